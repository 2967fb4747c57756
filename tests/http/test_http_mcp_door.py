"""What stands before the SDK, what is told of a task, and that nothing of it is loaded without need."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest
from http_client import make
from http_fake import NOW, FakeGateway, a_failure, a_result, a_task, a_video
from support.aio import run
from support.mcp import ADMIN, GENERATIONS, Desk, message, served
from support.world import soon

from jimeng_gateway.domain import builtin_models
from jimeng_gateway.domain.catalogue import Catalogue, ModelStatus
from jimeng_gateway.domain.errors import ErrorKind, Forbidden
from jimeng_gateway.domain.request import Kind
from jimeng_gateway.domain.task import Removal, Stage, Task
from jimeng_gateway.gateway import ADMIN as OPERATOR
from jimeng_gateway.http.endpoint import Limits
from jimeng_gateway.http.links import Links
from jimeng_gateway.http.mcp_door.door import check_origin
from jimeng_gateway.http.mcp_door.jobs import job_json, job_text, poll_after
from jimeng_gateway.http.mcp_door.offer import Offer
from jimeng_gateway.http.mcp_door.tools import offered

LINKS = Links("https://gw.example", lambda task_id, index, expires: "s")


async def posted(desk: Desk, body: object, **headers: str) -> httpx2.Response:
    sent = {"authorization": f"Bearer {ADMIN}", "content-type": "application/json", **headers}
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    async with httpx2.AsyncClient() as http:
        return await http.post(f"{desk.url}/mcp", content=content, headers=sent)


def test_without_a_key_nothing_runs(tmp_path: Path) -> None:
    async def main() -> None:
        wish, headers = message("tools/call", {"name": "generate_image", "arguments": {"prompt": "x"}})
        async with served(tmp_path) as desk:
            for authorization, code in (("", "invalid_api_key"), ("Bearer gw_nobody", "invalid_api_key")):
                reply = await posted(desk, wish, **headers, authorization=authorization)
                assert reply.status_code == 401
                assert reply.json()["error"]["code"] == code
                assert reply.headers["www-authenticate"] == "Bearer"
            assert (await desk.parts.gateway.tasks(OPERATOR)).items == ()
            reply = await posted(desk, wish, **headers)
            assert (reply.status_code, reply.headers["x-request-id"][:4]) == (200, "req_")
            assert len((await desk.parts.gateway.tasks(OPERATOR)).items) == 1

    run(main())


@pytest.mark.parametrize(
    ("origin", "public_url", "allowed"),
    [
        ("http://localhost:6274", "", True),
        ("http://127.0.0.1:80", "", True),
        ("http://[::1]:3000", "", True),
        ("https://gw.example", "https://gw.example/", True),
        ("https://gw.example:443", "https://gw.example", True),
        ("http://gw.example", "https://gw.example", False),
        ("https://gw.example:8443", "https://gw.example", False),
        ("https://gw.example.evil.test", "https://gw.example", False),
        ("https://evil.test", "", False),
        ("http://localhost.evil.test", "", False),
        ("null", "", False),
        ("null", "https://gw.example", False),
        ("http://[", "http://[", False),
        ("http://x:99999", "https://gw.example", False),
        ("", "", False),
    ],
)
def test_pages_from_elsewhere_are_refused(origin: str, public_url: str, allowed: bool) -> None:
    if allowed:
        check_origin([origin], public_url)
        return
    with pytest.raises(Forbidden):
        check_origin([origin], public_url)
    with pytest.raises(Forbidden):
        check_origin(["http://localhost", origin], public_url)


def test_refusals_before_the_sdk_have_our_shape(tmp_path: Path) -> None:
    async def main() -> None:
        ping, headers = message("tools/list")
        limits = Limits(reference_json_bytes=2000)
        async with served(tmp_path, limits=limits, public_url="https://gw.example") as desk:
            for body, extra, status, code in (
                (ping, {"origin": "https://evil.test"}, 403, "origin_refused"),
                (b"x" * 2001, {}, 413, "payload_too_large"),
                (ping, {"content-type": "text/plain"}, 415, "unsupported_media_type"),
            ):
                reply = await posted(desk, body, **headers, **extra)
                assert (reply.status_code, reply.json()["error"]["code"]) == (status, code)
                assert reply.json()["error"]["request_id"] == reply.headers["x-request-id"]
            assert (await posted(desk, ping, **headers, origin="https://gw.example")).status_code == 200
            assert (await posted(desk, ping, **headers, host="any.example")).status_code == 200
            async with httpx2.AsyncClient(headers={"authorization": f"Bearer {ADMIN}"}) as http:
                for method in ("GET", "DELETE"):
                    reply = await http.request(method, f"{desk.url}/mcp")
                    assert (reply.status_code, reply.headers["allow"]) == (405, "POST")

    run(main())


def test_a_large_message_of_many_small_values_is_not_read(tmp_path: Path) -> None:
    async def main() -> None:
        async with served(tmp_path, limits=Limits(json_bytes=40_000)) as desk:
            for values, size, status in ((9_000, 1, 200), (9_000, 60_000, 200), (10_002, 60_000, 400)):
                arguments = {"id": "x" * size, "more": [1] * values}
                asked, headers = message("tools/call", {"name": "get_job", "arguments": arguments})
                assert (await posted(desk, asked, **headers)).status_code == status

    run(main())


def test_errors_of_the_protocol_are_its_own(tmp_path: Path) -> None:
    async def main() -> None:
        async with served(tmp_path) as desk:
            asked, headers = message("resources/list")
            reply = await posted(desk, asked, **headers)
            assert (reply.status_code, reply.json()["error"]["code"]) == (404, -32601)
            reply = await posted(desk, b"{", **headers)
            assert (reply.status_code, reply.json()["error"]["code"]) == (400, -32700)
            note = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}}
            assert (await posted(desk, note, **headers)).status_code == 202

    run(main())


def test_clients_that_take_no_stream_get_json(tmp_path: Path) -> None:
    async def main() -> None:
        asked, headers = message("tools/call", {"name": "list_jobs", "arguments": {}})
        old = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "list_jobs"}}
        async with served(tmp_path) as desk:
            for body, sent in ((asked, headers), (old, {})):
                for accept in ("application/json", "*/*", ""):
                    reply = await posted(desk, body, **{**sent, "accept": accept})
                    assert (reply.status_code, reply.headers["content-type"]) == (200, "application/json")
                    assert reply.json()["result"]["structuredContent"]["jobs"] == []

    run(main())


@pytest.mark.parametrize("mode", GENERATIONS)
def test_a_hang_up_ends_the_waiting_and_not_the_job(tmp_path: Path, mode: str) -> None:
    async def main() -> None:
        async with served(tmp_path) as desk:
            wish, headers = message("tools/call", {"name": "generate_image", "arguments": {"prompt": "x"}})
            job = (await posted(desk, wish, **headers)).json()["result"]["structuredContent"]["id"]
            call, headers = message("tools/call", {"name": "wait_job", "arguments": {"id": job}})
            call["params"]["_meta"]["progressToken"] = 1
            if mode == "legacy":
                headers = {"accept": headers["accept"]}
            before = waiting()
            sent = {"authorization": f"Bearer {ADMIN}", **headers}
            async with (
                httpx2.AsyncClient() as http,
                http.stream("POST", f"{desk.url}/mcp", json=call, headers=sent) as reply,
            ):
                async for line in reply.aiter_lines():
                    if "notifications/progress" in line:
                        break
                assert waiting() > before
            await soon(lambda: waiting() == before)
            assert (await desk.parts.gateway.task(OPERATOR, job)).stage is Stage.QUEUED

    def waiting() -> int:
        """Coroutines that wait for news of a task."""
        return sum(
            "wait" in getattr(task.get_coro(), "__qualname__", "").split(".")[-1:]
            for task in asyncio.all_tasks()
        )

    run(main())


def test_a_bug_gives_no_details_away(tmp_path: Path) -> None:
    class Broken(FakeGateway):
        async def catalogue(self) -> Any:
            raise RuntimeError("secret")

    async def main() -> None:
        asked, headers = message("tools/call", {"name": "list_models", "arguments": {}})
        reply = await make(Broken(tmp_path)).post("/mcp", asked, headers=headers)
        result = reply.json["result"]
        assert result["isError"]
        assert result["content"][0]["text"].startswith("internal_error: the gateway failed to answer")
        assert b"secret" not in reply.body

    run(main())


def told(task: Task) -> tuple[str, str]:
    job = job_json(task, NOW, LINKS)
    return job.next, job_text(job)


def test_each_end_says_what_to_do_next(tmp_path: Path) -> None:
    (tmp_path / "p.png").write_bytes(b"0123456789")
    result = a_result(0, tmp_path / "p.png")
    following, text = told(a_task(stage=Stage.SUCCEEDED, results=(result,)))
    url = "https://gw.example/api/v1/tasks/task_1/content?index=0&signature=s"
    assert text == f"Job task_1 (image, jimeng-4.5): succeeded.\n{url}\n{following}"
    assert "links" in following
    removed = replace(result, file=None, removed_at=NOW, removed_why=Removal.AGE)
    assert "removed" in told(a_task(stage=Stage.SUCCEEDED, results=(removed,)))[0]
    assert "wait_job" in told(a_task(stage=Stage.QUEUED))[0]
    assert told(a_task(stage=Stage.CANCELLED))[0] == "Nothing more will come of it."
    rejected = a_task(stage=Stage.FAILED, failure=a_failure(ErrorKind.CONTENT_REJECTED, "too rude"))
    following, text = told(rejected)
    assert following.startswith("Change the request")
    assert text.startswith("Job task_1 (image, jimeng-4.5): failed, content_rejected: too rude\n")
    later, _ = told(a_task(stage=Stage.FAILED, failure=a_failure(ErrorKind.QUOTA)))
    assert later.startswith("The same request may succeed later. Ask the user")


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        (a_task(), 3000),
        (a_video(stage=Stage.POLLING), 10_000),
        (a_video(stage=Stage.POLLING, queue_eta=30), 15_000),
        (a_video(stage=Stage.POLLING, queue_eta=3600), 30_000),
        (a_task(stage=Stage.POLLING, queue_eta=1), 3000),
        (a_task(stage=Stage.FAILED), None),
    ],
)
def test_when_to_ask_again(task: Task, expected: int | None) -> None:
    assert poll_after(task) == expected


def test_what_no_model_makes_has_no_tool() -> None:
    catalogue = builtin_models.builtin()

    def names(models: Any) -> set[str]:
        found = Offer(Catalogue(tuple(models), catalogue.defaults), admin=False)
        return {tool.name for tool in offered(found)}

    everything = names(catalogue.models)
    assert {"generate_image", "generate_video"} <= everything
    images = [model for model in catalogue.models if model.kind is Kind.IMAGE]
    videos = [model for model in catalogue.models if model.kind is Kind.VIDEO]
    assert names(images) == everything - {"generate_video"}
    unlisted = [replace(model, status=ModelStatus.UNLISTED) for model in videos]
    assert names([*images, *unlisted]) == everything - {"generate_video"}
    assert names(videos) == everything - {"generate_image"}


def test_the_sdk_is_loaded_by_the_first_message_only(tmp_path: Path) -> None:
    program = f"""
import asyncio, json, sys
from pathlib import Path
from jimeng_gateway.app import open_parts
from jimeng_gateway.http.server import create_app
from jimeng_gateway.settings import Settings
import jimeng_gateway.__main__, jimeng_gateway.cli.main

async def asked(app, method, path, key, body=b""):
    sent = []
    length = str(len(body)).encode()
    headers = [(b"host", b"gw"), (b"content-type", b"application/json"), (b"content-length", length)]
    if key:
        headers.append((b"authorization", b"Bearer " + key))
    scope = {{"type": "http", "method": method, "path": path, "raw_path": path.encode(), "query_string": b"",
             "scheme": "http", "root_path": "", "headers": headers, "server": ("gw", 80), "state": {{}},
             "asgi": {{"version": "3.0"}}, "http_version": "1.1"}}
    async def receive():
        return {{"type": "http.request", "body": body, "more_body": False}}
    async def send(what):
        sent.append(what)
    await app(scope, receive, send)
    return sent[0]["status"]

def heavy():
    loaded = {{name.split(".")[0] for name in sys.modules}}
    return sorted(loaded & {{"mcp", "mcp_types", "pydantic", "sse_starlette"}})

async def main():
    settings = Settings(data_dir=Path({str(tmp_path)!r}), admin_token={ADMIN!r})
    async with open_parts(settings) as parts:
        app = create_app(parts.gateway, intake=parts.intake, public_url="", clock=parts.clock)
        key, lines = {ADMIN!r}.encode(), []
        task = json.dumps({{"prompt": "x"}}).encode()
        ping = json.dumps({{"jsonrpc": "2.0", "id": 1, "method": "ping"}}).encode()
        for step in (("GET", "/openapi.json", key), ("POST", "/api/v1/tasks", key, task),
                     ("POST", "/mcp", None, ping), ("GET", "/mcp", key), ("POST", "/mcp", key, ping)):
            lines.append([await asked(app, *step), heavy()])
        print(json.dumps(lines))

asyncio.run(main())
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [
        [200, []],
        [201, []],
        [401, []],
        [405, []],
        [200, ["mcp", "mcp_types", "pydantic", "sse_starlette"]],
    ]
