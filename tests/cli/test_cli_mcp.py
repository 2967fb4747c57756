"""`jimeng-gateway mcp` as programs start it: the SDK's own client talks to it over its stdin and stdout."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from cli.conftest import Invoke
from cli.stub import Answer, Stub, error, reply
from mcp import Client
from mcp.client.stdio import StdioServerParameters
from support.aio import run
from support.mcp import ADMIN, GENERATIONS, served, working

COMMAND = ("-m", "jimeng_gateway", "mcp")


@asynccontextmanager
async def started(url: str, mode: str = "auto", *, key: str = ADMIN) -> AsyncIterator[Client]:
    """A client that has started the command."""
    environ = {"JIMENG_GATEWAY_URL": url, "JIMENG_GATEWAY_KEY": key, "JIMENG_LANG": "zh"}
    program = StdioServerParameters(command=sys.executable, args=list(COMMAND), env=environ)
    async with Client(program, mode=mode) as client:
        yield client


@pytest.mark.parametrize("mode", GENERATIONS)
def test_a_picture_through_stdin_and_stdout(tmp_path: Path, mode: str) -> None:
    async def main() -> None:
        reports: list[float] = []

        async def on_progress(done: float, _total: float | None, _message: str | None) -> None:
            reports.append(done)

        async with working(tmp_path) as desk, started(desk.url, mode) as client, desk.client() as direct:
            assert (await client.list_tools()).tools == (await direct.list_tools()).tools
            job = (await client.call_tool("generate_image", {"prompt": "a kite"})).structured_content["id"]
            end = await client.call_tool("wait_job", {"id": job}, progress_callback=on_progress)
            assert end.structured_content["status"] == "succeeded"
            assert [part.type for part in end.content] == ["text", "resource_link"]
            assert reports
            wrong = await client.call_tool("generate_image", {"prompt": "x", "ratio": "7:5"})
            assert wrong.is_error
            assert "请求参数有误" in wrong.content[0].text

    run(main())


def test_a_gateway_that_goes_away_is_told_and_asked_again(tmp_path: Path) -> None:
    async def main() -> None:
        async with AsyncExitStack() as stack:
            async with served(tmp_path) as desk:
                client = await stack.enter_async_context(started(desk.url))
                await client.list_tools()
            gone = await client.call_tool("list_jobs", {})
            assert gone.is_error
            assert "The gateway" in gone.content[0].text
            async with served(tmp_path, port=int(desk.url.rpartition(":")[2])):
                assert not (await client.call_tool("list_jobs", {})).is_error

    run(main())


def test_a_lost_answer_is_not_told_as_if_nothing_had_been_done() -> None:
    async def main() -> None:
        with Stub() as stub:
            stub.on("GET", "/api/v1/models", reply({"data": []}))
            stub.on("POST", "/mcp", Answer(None))
            async with started(stub.url) as client:
                lost = await client.call_tool("generate_image", {"prompt": "a kite"})
        assert lost.is_error
        assert "was lost" in lost.content[0].text
        assert "look with list_jobs before you ask for it again" in lost.content[0].text

    run(main())


def test_a_key_that_was_revoked_meanwhile_is_named(tmp_path: Path) -> None:
    async def main() -> None:
        async with served(tmp_path) as desk:
            key, token = await desk.parts.gateway.create_key("somebody")
            async with started(desk.url, key=token) as client:
                assert not (await client.call_tool("list_jobs", {})).is_error
                await desk.parts.gateway.revoke_key(key.id)
                refused = await client.call_tool("generate_image", {"prompt": "a kite"})
            assert refused.is_error
            assert "密钥无效" in refused.content[0].text
            assert "list_jobs" not in refused.content[0].text

    run(main())


def test_nothing_but_messages_goes_to_stdout(tmp_path: Path) -> None:
    with Stub() as stub:
        stub.on("GET", "/api/v1/models", reply({"data": []}))
        environ = {"JIMENG_GATEWAY_URL": stub.url, "JIMENG_GATEWAY_KEY": ADMIN, "JIMENG_JSON_OUTPUT": "1"}
        done = subprocess.run(
            [sys.executable, *COMMAND], env=environ, input=b"", capture_output=True, timeout=60, check=False
        )
    assert (done.returncode, done.stdout) == (0, b"")
    assert f"MCP for {stub.url}".encode() in done.stderr


def test_what_is_missing_is_said_at_once(invoke: Invoke, stub: Stub) -> None:
    silent = invoke("mcp", gateway_url="http://127.0.0.1:9", gateway_key="k" * 20)
    assert silent.exit_code == 3
    assert "cannot reach the gateway at http://127.0.0.1:9" in silent.stderr
    stub.on("GET", "/api/v1/models", error(401, "invalid_api_key", "the key is not valid"))
    unknown = invoke("mcp", gateway_url=stub.url, gateway_key="k" * 20)
    assert unknown.exit_code == 4
    assert "the key is not valid" in unknown.stderr
    assert silent.stdout == unknown.stdout == ""
