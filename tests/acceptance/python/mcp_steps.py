"""The steps of an MCP client, the same for the new protocol and the older ones (clients.md 9).

`connect` gives a connection for a key; what it is like differs between the versions of the client.
"""

from __future__ import annotations

import asyncio
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from steps import KEY, PICTURE_URL, PNG, Case, flat, is_, raised, step

LONGEST_ROUNDS = 20


class Connection(Protocol):
    """What the steps need of a client."""

    async def tools(self) -> dict[str, Any]:
        """The tools by name."""

    async def call(self, name: str, arguments: dict[str, Any], progress: Any = None) -> Any:
        """The result of a tool: `isError`-like flag, structured content and content, as a tuple."""


Connect = Callable[[str, str], AbstractAsyncContextManager[Connection]]

TOOLS = {
    "generate_image",
    "generate_video",
    "get_job",
    "wait_job",
    "cancel_job",
    "list_jobs",
    "list_models",
    "get_credits",
}


async def succeeded(client: Connection, job: dict[str, Any], progress: Any = None) -> dict[str, Any]:
    """The job at its end, waited for as often as it takes."""
    for _ in range(LONGEST_ROUNDS):
        if job["status"] in ("succeeded", "failed", "cancelled"):
            break
        job = await done(client, "wait_job", {"id": job["id"], "timeout_s": 20}, progress)
    is_(job["status"], "succeeded")
    return job


async def done(
    client: Connection, name: str, arguments: dict[str, Any], progress: Any = None
) -> dict[str, Any]:
    """The structured result of a tool, which was no error."""
    failed, structured, content = await client.call(name, arguments, progress)
    assert not failed, content
    assert content, "a result without a line for the model"
    assert isinstance(structured, dict), structured
    return structured


def declare(connect: Connect) -> None:
    """Declares all steps for a way of connecting: to a URL with a key."""

    def here(case: Case, key: str = KEY) -> AbstractAsyncContextManager[Connection]:
        return connect(f"{case.root}/mcp", key)

    @step("list-tools")
    async def list_tools(case: Case) -> Any:
        async with here(case) as client:
            tools = await client.tools()
        assert set(tools) >= TOOLS, sorted(tools)
        assert all(tool["output_schema"] for tool in tools.values()), tools
        assert tools["get_job"]["read_only"] is True
        assert tools["generate_video"]["read_only"] is not True
        assert "credit" in tools["generate_video"]["description"].lower()
        return sorted(tools)

    @step("image")
    async def image(case: Case) -> Any:
        async with here(case) as client:
            job = await done(client, "generate_image", {"prompt": case.prompt(), "model": "jimeng-4.5"})
            job = await succeeded(client, job)
            same = await done(client, "get_job", {"id": job["id"]})
        is_(same["status"], "succeeded")
        assert (await asyncio.to_thread(read, same["urls"][0])).startswith(PNG)
        return same

    @step("video-with-progress")
    async def video(case: Case) -> Any:
        told: list[float] = []

        async def progress(value: float, _total: float | None, _message: str | None) -> None:
            told.append(value)

        async with here(case) as client:
            asked = {"prompt": case.prompt("a cat [sim:slow=150]"), "model": "jimeng-video-3.0"}
            job = await done(client, "generate_video", asked)
            assert job["poll_after_ms"] > 0, job
            job = await succeeded(client, job, progress)
        assert told, "no progress was told"
        is_(told, sorted(told))
        return told

    @step("wait-runs-out")
    async def wait_runs_out(case: Case) -> Any:
        """The present state, not an error."""
        async with here(case) as client:
            asked = {"prompt": case.prompt("a cat [sim:slow=1000]"), "model": "jimeng-video-3.0"}
            job = await done(client, "generate_video", asked)
            job = await done(client, "wait_job", {"id": job["id"], "timeout_s": 1})
        assert job["status"] not in ("succeeded", "failed", "cancelled"), job
        return job["status"]

    @step("image-from-a-picture")
    async def image_from_a_picture(case: Case) -> Any:
        async with here(case) as client:
            asked = {"prompt": case.prompt(), "model": "jimeng-4.5", "images": [PICTURE_URL]}
            return (await succeeded(client, await done(client, "generate_image", asked)))["id"]

    @step("said-twice")
    async def said_twice(case: Case) -> Any:
        """Models repeat their calls."""
        async with here(case) as client:
            asked = {"prompt": case.prompt(), "model": "jimeng-4.5", "idempotency_key": case.name}
            ids = {(await done(client, "generate_image", asked))["id"] for _ in range(2)}
        return is_(len(ids), 1)

    @step("failed")
    async def failed(case: Case) -> Any:
        async with here(case) as client:
            asked = {"prompt": case.prompt("a cat [sim:reject-text]"), "model": "jimeng-4.5"}
            job = await done(client, "generate_image", asked)
            for _ in range(LONGEST_ROUNDS):
                _, job, _ = await client.call("wait_job", {"id": job["id"], "timeout_s": 20})
                if job["status"] == "failed":
                    break
        is_(job["status"], "failed")
        assert isinstance(job["error"]["code"], str)
        return job["error"]["code"]

    @step("cancel")
    async def cancel(case: Case) -> Any:
        async with here(case) as client:
            asked = {"prompt": case.prompt("a cat [sim:slow=1000]"), "model": "jimeng-video-3.0"}
            job = await done(client, "generate_video", asked)
            while job["status"] in ("queued", "submitting"):
                job = await done(client, "wait_job", {"id": job["id"], "timeout_s": 0.2})
            job = await done(client, "cancel_job", {"id": job["id"]})
        return is_(job["status"], "cancelled")

    @step("look-around")
    async def look_around(case: Case) -> Any:
        async with here(case) as client:
            models = await done(client, "list_models", {})
            jobs = await done(client, "list_jobs", {})
            credits_left = await done(client, "get_credits", {})
        return [len(str(models)) > 100, sorted(jobs), sorted(credits_left)]

    @step("unknown-job")
    async def unknown_job(case: Case) -> Any:
        async with here(case) as client:
            wrong, _, content = await client.call("get_job", {"id": "task_none"})
        assert wrong, content
        return str(content)[:200]

    @step("unknown-model")
    async def unknown_model(case: Case) -> Any:
        async with here(case) as client:
            asked = {"prompt": case.prompt(), "model": "no-such-model"}
            wrong, _, content = await client.call("generate_image", asked)
        assert wrong, content
        return str(content)[:200]

    @step("wrong-key")
    async def wrong_key(case: Case) -> Any:
        """The new client does not tell the status, so it is looked at as well."""
        key = "gw_00000000000000000000000000000000"
        try:
            async with here(case, key) as client:
                found = await client.call("generate_image", {"prompt": case.prompt()})
        except Exception as error:
            return [await asyncio.to_thread(status_without, case, key), flat(error)[:200]]
        raise AssertionError(f"no error but {found!r}")

    @step("no-key")
    def no_key(case: Case) -> Any:
        return status_without(case)


def status_without(case: Case, key: str = "") -> int:
    """What a request is answered that has no good key: 401."""
    headers = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
    if key:
        headers["authorization"] = f"Bearer {key}"
    body = b'{"jsonrpc":"2.0","id":1,"method":"tools/list"}'
    asked = urllib.request.Request(f"{case.root}/mcp", body, headers)
    error = raised(urllib.error.HTTPError, lambda: urllib.request.urlopen(asked))
    return int(is_(error.code, 401))


def read(url: str) -> bytes:
    """What a link leads to."""
    with urllib.request.urlopen(url) as file:
        return bytes(file.read())
