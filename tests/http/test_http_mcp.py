"""The MCP door with the SDK's own client: what the tools do, for whom, and what they cost."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp import Client, MCPError
from mcp_types import CallToolResult
from support.aio import run
from support.mcp import ADMIN, GENERATIONS, Desk, served, working
from support.media import a_png

from jimeng_gateway.gateway import ADMIN as OPERATOR

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
PICTURE = "data:image/png;base64," + base64.b64encode(a_png()).decode()


async def called(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    """The structured result of a call that succeeds."""
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content
    return dict(result.structured_content)


async def refused(client: Client, tool: str, **arguments: Any) -> str:
    """The words of a call that does not."""
    result = await client.call_tool(tool, arguments)
    assert result.is_error
    assert result.structured_content is None
    return words(result)


def words(result: CallToolResult) -> str:
    (text,) = [part.text for part in result.content if part.type == "text"]
    return text


async def tasks(desk: Desk) -> int:
    return len((await desk.parts.gateway.tasks(OPERATOR)).items)


@pytest.mark.parametrize("mode", GENERATIONS)
def test_a_picture_from_wish_to_link(tmp_path: Path, mode: str) -> None:
    async def main() -> None:
        reports: list[tuple[float, float | None]] = []

        async def on_progress(done: float, total: float | None, _message: str | None) -> None:
            reports.append((done, total))

        async with working(tmp_path) as desk, desk.client(await desk.key(), mode) as client:
            assert {tool.name for tool in (await client.list_tools()).tools} == TOOLS
            job = await called(client, "generate_image", prompt="a kite", model="jimeng-4.5", n=1)
            assert (job["status"], job["urls"], job["error"]) == ("queued", [], None)
            assert job["poll_after_ms"] > 0
            assert f'wait_job with {{"id": "{job["id"]}"' in job["next"]
            result = await client.call_tool(
                "wait_job", {"id": job["id"], "inline_images": True}, progress_callback=on_progress
            )
            end = result.structured_content
            assert (end["status"], end["progress"], end["poll_after_ms"]) == ("succeeded", 1.0, None)
            text, link, picture = result.content
            assert (text.type, link.type, picture.type) == ("text", "resource_link", "image")
            assert end["urls"] == [link.uri]
            assert link.uri in text.text
            assert (link.mime_type, link.name) == ("image/png", f"{job['id']}-0.png")
            assert len(base64.b64decode(picture.data)) <= 1 << 20
            async with httpx2.AsyncClient() as anybody:
                file = await anybody.get(link.uri)
            assert (file.status_code, len(file.content)) == (200, link.size)
            assert await called(client, "get_job", id=job["id"]) == end
            assert [part.type for part in (await client.call_tool("get_job", {"id": job["id"]})).content] == [
                "text",
                "resource_link",
            ]
        assert reports
        assert all(total == 45 for _, total in reports)
        done = [progress for progress, _ in reports]
        assert done == sorted(set(done)), "progress grows with every report"

    run(main())


def test_what_the_tools_say_of_themselves(tmp_path: Path) -> None:
    def each(tree: Any) -> Any:
        if isinstance(tree, dict):
            yield tree
        for entry in tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ():
            yield from each(entry)

    async def main() -> None:
        async with served(tmp_path) as desk, desk.client() as client:
            tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        for tool in tools.values():
            assert tool.output_schema is not None
            assert tool.annotations is not None
            assert (tool.input_schema["type"], tool.output_schema["type"]) == ("object", "object")
            assert not any("$ref" in node or "$defs" in node for node in each(tool.input_schema))
            assert not any("$ref" in node or "$defs" in node for node in each(tool.output_schema))
            spends = tool.name.startswith("generate_")
            assert ("SPENDS CREDITS" in (tool.description or "")) == spends
            assert tool.annotations.idempotent_hint != spends
            assert tool.annotations.read_only_hint == (not spends and tool.name != "cancel_job")
            assert tool.annotations.destructive_hint == (tool.name == "cancel_job")
        image = tools["generate_image"]
        assert image.input_schema["required"] == ["prompt"]
        assert "jimeng-5.0-pro" in image.input_schema["properties"]["model"]["enum"]
        assert "- jimeng-5.0-pro: " in (image.description or "")
        assert "about 8 credits" in (image.description or "")
        assert image.input_schema["properties"]["images"]["type"] == "array"
        assert tools["wait_job"].input_schema["properties"]["timeout_s"]["maximum"] == 45

    run(main())


def test_the_same_wish_is_paid_once(tmp_path: Path) -> None:
    async def main() -> None:
        async with served(tmp_path) as desk, desk.client() as client:
            wish = {"prompt": "a kite", "images": [PICTURE], "idempotency_key": "f3a9"}
            both = await asyncio.gather(*(called(client, "generate_image", **wish) for _ in range(2)))
            again = await called(client, "generate_image", **wish)
            assert {job["id"] for job in (*both, again)} == {again["id"]}
            assert await tasks(desk) == 1
            other = await refused(client, "generate_image", **{**wish, "prompt": "a boat"})
            assert other.startswith("idempotency_key_reused: ")
            assert "idempotency_key" in await refused(
                client, "generate_image", prompt="x", idempotency_key="a b"
            )
            assert await tasks(desk) == 1
            async with desk.client(await desk.key()) as somebody:
                theirs = await called(somebody, "generate_image", **wish)
            assert theirs["id"] != again["id"]
            await called(client, "generate_image", prompt="a kite")
            await called(client, "generate_image", prompt="a kite")
            assert await tasks(desk) == 4

    run(main())


def test_a_dry_run_makes_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        async with served(tmp_path) as desk, desk.client() as client:
            wish = {"prompt": "x", "model": "jimeng-5.0-pro", "n": 2, "dry_run": True, "idempotency_key": "1"}
            result = await client.call_tool("generate_image", wish)
            job = result.structured_content
            assert (job["id"], job["status"], job["estimate"]) == (
                None,
                None,
                {"credits": 16, "basis": "observed"},
            )
            assert "about 16 credits" in words(result)
            refusal = await refused(client, "generate_video", prompt="x", duration=99, dry_run=True)
            assert "duration" in refusal
            assert await tasks(desk) == 0
            made = await called(client, "generate_image", **{**wish, "dry_run": False})
            assert made["status"] == "queued"

    run(main())


def test_references_come_in_as_at_other_doors(tmp_path: Path) -> None:
    async def main() -> None:
        async with served(tmp_path) as desk, desk.client() as client:
            async with httpx2.AsyncClient(headers={"Authorization": f"Bearer {ADMIN}"}) as http:
                file = (await http.post(f"{desk.url}/api/v1/files", content=a_png(9, 9))).json()["id"]
            job = await called(client, "generate_image", prompt="@2 like @1", images=[PICTURE, file])
            frames = {"first_frame": file, "last_frame": PICTURE, "model": "jimeng-video-3.0-fast"}
            video = await called(client, "generate_video", prompt="x", **frames)
            for made, roles in ((job, ["reference"] * 2), (video, ["first_frame", "last_frame"])):
                task = await desk.parts.gateway.task(OPERATOR, made["id"])
                assert [str(one.role) for one in task.request.references] == roles
            for wrong, code in (
                ("/home/me/cat.png", "unsupported_reference"),
                ("http://127.0.0.1:1/cat.png", "address_refused"),
                ("file_" + "0" * 22, "not_found"),
            ):
                assert (await refused(client, "generate_image", prompt="x", images=[wrong])).startswith(code)
            assert await tasks(desk) == 2

    run(main())


@pytest.mark.parametrize(
    ("tool", "arguments", "says"),
    [
        ("generate_image", {}, "missing_field: argument `prompt` is missing"),
        ("generate_image", {"prompt": " "}, "prompt: it must not be empty"),
        ("generate_image", {"prompt": "x", "ratio": "7:5"}, "allowed: 1:1"),
        ("generate_image", {"prompt": "x", "steps": 30}, "unknown argument `steps`"),
        ("generate_image", {"prompt": "x", "model": "seedance-2.0"}, "makes videos"),
        ("generate_image", {"prompt": "x\0"}, "NUL"),
        ("generate_video", {"prompt": "x", "duration": "long"}, "`duration`"),
        ("wait_job", {"id": "task_1", "timeout_s": 46}, "`timeout_s`"),
        ("get_job", {"id": "task_1"}, "not_found: "),
        ("list_jobs", {"status": "done"}, "must be one of"),
        ("list_jobs", {"cursor": "x"}, "cursor"),
    ],
)
def test_refusals_say_what_to_change(tmp_path: Path, tool: str, arguments: dict[str, Any], says: str) -> None:
    async def main() -> None:
        async with served(tmp_path) as desk, desk.client() as client:
            text = await refused(client, tool, **arguments)
            assert says in text
            assert text.endswith("Change the call before you repeat it.")
            assert await tasks(desk) == 0

    run(main())


def test_numbers_as_text_and_nulls_are_understood(tmp_path: Path) -> None:
    async def main() -> None:
        async with served(tmp_path) as desk, desk.client() as client:
            job = await called(client, "generate_image", prompt="x", n="2", ratio=None, seed=None)
            assert (await desk.parts.gateway.task(OPERATOR, job["id"])).request.count == 2

    run(main())


def test_jobs_of_others_are_not_there(tmp_path: Path) -> None:
    async def main() -> None:
        async with served(tmp_path) as desk:
            async with desk.client(await desk.key("one")) as one:
                mine = (await called(one, "generate_image", prompt="x"))["id"]
            async with desk.client(await desk.key("two")) as two:
                for tool in ("get_job", "wait_job", "cancel_job"):
                    assert (await refused(two, tool, id=mine)).startswith("not_found: ")
                assert (await called(two, "list_jobs"))["jobs"] == []
            async with desk.client() as operator:
                assert (await called(operator, "get_job", id=mine))["status"] == "queued"

    run(main())


def test_jobs_are_listed_page_by_page_and_cancelled(tmp_path: Path) -> None:
    async def main() -> None:
        async with served(tmp_path) as desk, desk.client() as client:
            made = [(await called(client, "generate_image", prompt=f"kite {n}"))["id"] for n in range(3)]
            first = await called(client, "list_jobs", limit=2)
            rest = await called(client, "list_jobs", limit=2, cursor=first["next_cursor"])
            assert [job["id"] for job in first["jobs"] + rest["jobs"]] == made[::-1]
            assert first["next_cursor"] in first["next"]
            assert rest["next_cursor"] is None
            gone = await called(client, "cancel_job", id=made[0])
            assert (gone["status"], gone["poll_after_ms"]) == ("cancelled", None)
            listed = await called(client, "list_jobs", status="cancelled")
            assert [job["id"] for job in listed["jobs"]] == [made[0]]

    run(main())


def test_models_and_what_they_cost(tmp_path: Path) -> None:
    async def main() -> None:
        async with served(tmp_path) as desk, desk.client() as client:
            models = (await called(client, "list_models"))["models"]
            videos = (await called(client, "list_models", kind="video"))["models"]
            assert videos == [model for model in models if model["kind"] == "video"]
            assert {
                kind: [m["default"] for m in models if m["kind"] == kind].count(True)
                for kind in ("image", "video")
            } == {
                "image": 1,
                "video": 1,
            }
            pro = next(model for model in models if model["id"] == "jimeng-5.0-pro")
            assert "16:9" in pro["ratios"]
            assert pro["estimate"] == {"credits": 8, "basis": "observed"}

    run(main())


def test_balances_are_for_the_operator(tmp_path: Path) -> None:
    async def main() -> None:
        async with working(tmp_path) as desk:
            (session,) = await desk.parts.gateway.sessions()
            async with desk.client() as client:
                before = words(await client.call_tool("get_credits", {}))
                assert before.startswith(f"mine: balance not known ({session.state})")
                await desk.parts.gateway.check_session(session.id)
                known = await called(client, "get_credits")
            (balance,) = known["balances"]
            assert balance["session"] == session.id
            assert balance["label"] == "mine"
            assert balance["credits"] == known["total"] > 0
            async with desk.client(await desk.key()) as client:
                result = await client.call_tool("get_credits", {})
            told = result.structured_content
            assert (told["balances"], told["total"]) == (None, None)
            assert {"model": "jimeng-5.0-pro", "job": "1 picture at 2k", "credits": 8} in told["prices"]
            assert "mine" not in words(result)

    run(main())


@pytest.mark.parametrize("mode", GENERATIONS)
def test_a_wait_that_runs_out_gives_the_job_as_it_is(tmp_path: Path, mode: str) -> None:
    async def main() -> None:
        async with served(tmp_path) as desk, desk.client(mode=mode) as client:
            job = await called(client, "generate_image", prompt="x")
            for seconds in (0, 0.05):
                end = await called(client, "wait_job", id=job["id"], timeout_s=seconds)
                assert (end["status"], end["next"]) == ("queued", job["next"])

    run(main())


@pytest.mark.parametrize("mode", GENERATIONS)
def test_a_wait_ends_with_the_process(tmp_path: Path, mode: str) -> None:
    async def main() -> None:
        waiting = asyncio.Event()

        async def on_progress(*_: object) -> None:
            waiting.set()

        async with served(tmp_path) as desk, desk.client(mode=mode) as client:
            job = await called(client, "generate_image", prompt="x")
            call = asyncio.create_task(
                client.call_tool("wait_job", {"id": job["id"]}, progress_callback=on_progress)
            )
            await asyncio.wait_for(waiting.wait(), 10)
            desk.service.closing.set()
            result = await asyncio.wait_for(call, 10)
            assert not result.is_error
            assert result.structured_content["status"] == "queued"

    run(main())


def test_a_tool_that_is_not_there(tmp_path: Path) -> None:
    async def main() -> None:
        async with served(tmp_path) as desk, desk.client() as client:
            with pytest.raises(MCPError, match="there is no tool generate_music") as raised:
                await client.call_tool("generate_music", {})
            assert raised.value.code == -32602

    run(main())
