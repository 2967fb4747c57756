"""Pictures and videos by conversation: what is asked, what is answered, and what a stream tells."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from http_client import HandClock, make
from http_fake import NOW, FakeGateway, a_failure, a_result, a_task, a_video
from support.aio import run
from support.media import a_png
from support.world import soon
from test_http_real import LOGIN, key_of, working

from jimeng_gateway.domain.errors import ErrorKind, StoreError
from jimeng_gateway.domain.task import Stage, Task
from jimeng_gateway.domain.words import Language
from jimeng_gateway.http.openai.chat_replies import progress_line

CHAT = "/v1/chat/completions"
DATA = "data:image/png;base64," + base64.b64encode(a_png()).decode()


def asked(text: str = "a cat", **more: Any) -> dict[str, Any]:
    return {"model": "jimeng-4.5", "messages": [{"role": "user", "content": text}], **more}


def parts(*content: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"role": "user", "content": list(content)}]


def events(body: bytes) -> list[Any]:
    """The data of a stream, as the SDKs cut it: comments passed over, nothing else than data."""
    found: list[Any] = []
    for block in body.decode().split("\n\n"):
        lines = [line for line in block.split("\n") if line and not line.startswith(":")]
        for line in lines:
            assert line.startswith("data: "), line
            text = line.removeprefix("data: ")
            found.append(text if text == "[DONE]" else json.loads(text))
    return found


def deltas(found: list[Any], field: str) -> str:
    return "".join(
        choice["delta"].get(field, "") for one in found if one != "[DONE]" for choice in one["choices"]
    )


def finished(gateway: FakeGateway, tmp_path: Path, count: int = 1) -> None:
    for index in range(count):
        (tmp_path / f"{index}.png").write_bytes(b"picture")
    results = tuple(a_result(index, tmp_path / f"{index}.png") for index in range(count))
    gateway.outcome = a_task("task_new", stage=Stage.SUCCEEDED, results=results, finished_at=NOW)


def link(gateway: FakeGateway, index: int, variant: str = "") -> str:
    signature = gateway.link_signature("task_new", index)
    path = f"/api/v1/tasks/task_new/content?index={index}{variant}&signature={signature}"
    return f"http://gw.example:5100{path}"


# ── answers in one piece ──────────────────────────────────────────────────────────────────────────


def test_pictures_are_markdown(tmp_path: Path) -> None:
    async def main() -> None:
        gateway = FakeGateway(tmp_path)
        finished(gateway, tmp_path, 2)
        answer = await make(gateway).post(CHAT, asked())
        assert answer.json == {
            "id": "chatcmpl-task_new",
            "object": "chat.completion",
            "created": NOW // 1000,
            "model": "jimeng-4.5",
            "choices": [
                {
                    "index": 0,
                    "message": {
                        "role": "assistant",
                        "content": f"![image]({link(gateway, 0)})\n\n![image]({link(gateway, 1)})",
                        "refusal": None,
                    },
                    "logprobs": None,
                    "finish_reason": "stop",
                }
            ],
            "usage": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
            "task_id": "task_new",
        }

    run(main())


def test_a_video_is_a_link_and_its_poster(tmp_path: Path) -> None:
    async def main() -> None:
        gateway = FakeGateway(tmp_path)
        (tmp_path / "v.mp4").write_bytes(b"video")
        result = dataclasses.replace(
            a_result(0, tmp_path / "v.mp4", "video/mp4"), kind="video", preview_file="p.webp"
        )
        gateway.outcome = a_video("task_new", stage=Stage.SUCCEEDED, results=(result,), finished_at=NOW)
        answer = await make(gateway).post(CHAT, asked(model="jimeng-video-3.0", duration="5s"))
        poster = f"![poster]({link(gateway, 0, '&variant=preview')})"
        content = answer.json["choices"][0]["message"]["content"]
        assert content == f"[video]({link(gateway, 0)})\n\n{poster}"
        bare = dataclasses.replace(result, preview_file=None)
        gateway.outcome = dataclasses.replace(gateway.outcome, results=(bare,))
        answer = await make(gateway).post(CHAT, asked(model="jimeng-video-3.0"))
        assert answer.json["choices"][0]["message"]["content"] == f"[video]({link(gateway, 0)})"
        gone = dataclasses.replace(result, file=None)
        gateway.outcome = dataclasses.replace(gateway.outcome, results=(gone,))
        answer = await make(gateway).post(CHAT, asked(model="jimeng-video-3.0"))
        assert "`task_new` were removed" in answer.json["choices"][0]["message"]["content"]

    run(main())


def test_a_wait_that_runs_out_answers_with_the_task(tmp_path: Path) -> None:
    async def main() -> None:
        gateway = FakeGateway(tmp_path)
        gateway.ended.set()
        client = make(gateway)
        answer = await client.post(CHAT, asked(), headers={"prefer": "wait=2"})
        assert (answer.status, answer.header("preference-applied")) == (200, "wait=2")
        content = answer.json["choices"][0]["message"]["content"]
        assert "[task_new](http://gw.example:5100/api/v1/tasks/task_new)" in content
        assert f"[image]({link(gateway, 0)})" in content
        chinese = await client.post(
            CHAT, asked(), headers={"prefer": "respond-async", "accept-language": "zh"}
        )
        assert "请勿重复提交" in chinese.json["choices"][0]["message"]["content"]

    run(main())


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [
        (ErrorKind.CONTENT_REJECTED, 400, "moderation_blocked"),
        (ErrorKind.QUOTA, 429, "insufficient_quota"),
        (ErrorKind.TIMEOUT, 504, "timeout"),
        (ErrorKind.RISK, 502, "risk"),
    ],
)
def test_a_failure_is_an_error_that_must_not_be_repeated(
    tmp_path: Path, kind: ErrorKind, status: int, code: str
) -> None:
    async def main() -> None:
        gateway = FakeGateway(tmp_path)
        gateway.outcome = a_task(
            "task_new", stage=Stage.FAILED, failure=a_failure(kind, "no luck"), finished_at=NOW
        )
        answer = await make(gateway).post(CHAT, asked())
        assert (answer.status, answer.error["code"]) == (status, code)
        assert answer.header("x-should-retry") == "false"

    run(main())


# ── streams ───────────────────────────────────────────────────────────────────────────────────────


def test_a_stream_tells_how_it_goes_and_ends_as_the_sdks_expect(tmp_path: Path) -> None:
    async def main() -> None:
        gateway = FakeGateway(tmp_path)
        client = make(gateway)
        queued = a_task("task_new")
        polling = dataclasses.replace(queued, stage=Stage.POLLING)
        waiting = dataclasses.replace(polling, queue_position=3, queue_total=40, queue_eta=61)
        told: list[Task] = [
            queued,
            queued,
            dataclasses.replace(queued, stage=Stage.SUBMITTING),
            waiting,
            dataclasses.replace(waiting, queue_eta=90),
            dataclasses.replace(polling, running=True, images_total=4, images_done=1),
            dataclasses.replace(polling, running=True, images_total=4, images_done=2),
            dataclasses.replace(queued, stage=Stage.DOWNLOADING),
        ]
        sent = asked(stream=True, stream_options={"include_usage": True})
        stream = asyncio.create_task(client.post(CHAT, sent))
        await soon(lambda: gateway.watching)
        for task in told:
            gateway.live.put_nowait(task)
        (tmp_path / "p.png").write_bytes(b"picture")
        done = dataclasses.replace(
            gateway.all_tasks["task_new"],
            stage=Stage.SUCCEEDED,
            results=(a_result(0, tmp_path / "p.png"),),
            finished_at=NOW,
        )
        gateway.all_tasks["task_new"] = done
        gateway.live.put_nowait(done)
        answer = await asyncio.wait_for(stream, 5)
        assert (answer.status, answer.header("content-type")) == (200, "text/event-stream; charset=utf-8")
        found = events(answer.body)
        assert found[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
        assert deltas(found, "reasoning_content").splitlines() == [
            "Task task_new is queued.",
            "Submitting.",
            "In the site's queue: 3/40, about 2 min.",
            "Generating: 20 %.",
            "Generating: 50 %.",
            "Fetching the result.",
        ]
        assert deltas(found, "content") == f"![image]({link(gateway, 0)})"
        assert found[-3]["choices"] == [{"index": 0, "delta": {}, "logprobs": None, "finish_reason": "stop"}]
        assert (found[-2]["choices"], found[-2]["usage"]["total_tokens"]) == ([], 0)
        assert found[-1] == "[DONE]"
        chunks = found[:-1]
        assert {one["object"] for one in chunks} == {"chat.completion.chunk"}
        assert {(one["id"], one["model"], one["created"]) for one in chunks} == {
            ("chatcmpl-task_new", "jimeng-4.5", NOW // 1000)
        }
        assert ["usage" in one for one in chunks] == [False] * (len(chunks) - 1) + [True]

    run(main())


def test_a_silent_stream_has_heartbeats_and_a_client_that_leaves_ends_the_watching(tmp_path: Path) -> None:
    async def main() -> None:
        gateway, clock = FakeGateway(tmp_path), HandClock()
        client = make(gateway, clock=clock)
        body = json.dumps(asked(stream=True)).encode()
        exchange = client.start("POST", CHAT, body=body)
        assert (await asyncio.wait_for(exchange.sent.get(), 5))["type"] == "http.response.start"
        assert await exchange.next_body() == b": keep-alive\n\n"
        assert b'"role":"assistant"' in await exchange.next_body()
        await soon(lambda: gateway.watching)
        await asyncio.wait_for(clock.asleep.wait(), 5)
        clock.advance(16)
        assert await exchange.next_body() == b": keep-alive\n\n"
        exchange.hang_up()
        assert exchange.task is not None
        await asyncio.wait_for(exchange.task, 5)
        assert (gateway.watching, gateway.all_tasks["task_new"].stage) == (0, Stage.QUEUED)

    run(main())


def test_a_failure_in_mid_stream_is_the_event_that_sdks_raise(tmp_path: Path) -> None:
    async def main() -> None:
        gateway = FakeGateway(tmp_path)
        gateway.outcome = a_task(
            "task_new",
            stage=Stage.FAILED,
            failure=a_failure(ErrorKind.CONTENT_REJECTED, "no luck"),
            finished_at=NOW,
        )
        found = events((await make(gateway).post(CHAT, asked(stream=True))).body)
        assert [sorted(one) for one in found[1:]] == [["error"]]
        assert found[1]["error"]["code"] == "moderation_blocked"
        gateway.outcome = None
        stream = asyncio.create_task(make(gateway).post(CHAT, asked(stream=True)))
        await soon(lambda: gateway.watching)
        gateway.live.put_nowait(StoreError("secret words of the database"))
        found = events((await asyncio.wait_for(stream, 5)).body)
        assert found[-1]["error"]["message"] == "the database is not available"

    run(main())


def test_a_process_that_stops_says_where_the_result_will_be(tmp_path: Path) -> None:
    async def main() -> None:
        gateway = FakeGateway(tmp_path)
        client = make(gateway)
        stream = asyncio.create_task(client.post(CHAT, asked(stream=True)))
        await soon(lambda: gateway.watching)
        client.app.state.service.closing.set()
        found = events((await asyncio.wait_for(stream, 5)).body)
        assert link(gateway, 0) in deltas(found, "content")
        assert (found[-2]["choices"][0]["finish_reason"], found[-1]) == ("stop", "[DONE]")

    run(main())


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({}, "任务 task_1 排队中。"),
        ({"stage": Stage.POLLING, "queue_position": 3}, "网站排队：3。"),
        ({"stage": Stage.POLLING, "running": True, "queue_position": 3}, "生成中：0%。"),
        ({"stage": Stage.SUCCEEDED}, ""),
    ],
)
def test_progress_in_chinese(changes: dict[str, Any], line: str) -> None:
    assert progress_line(a_task(**changes), NOW, Language.ZH) == line


# ── the whole way ─────────────────────────────────────────────────────────────────────────────────


def test_a_conversation_with_the_real_gateway(tmp_path: Path) -> None:
    async def main() -> None:
        async with working(tmp_path) as (admin, _):
            await admin.post("/api/v1/sessions", {"credential": LOGIN})
            user = await key_of(admin, "chat")
            image = {"type": "image_url", "image_url": {"url": DATA}}
            sent = {"model": "jimeng-4.5", "messages": parts(image, {"type": "text", "text": "blue"}), "n": 1}
            answer = await user.post(CHAT, sent)
            assert answer.status == 200, answer.body
            task = (await user.get(f"/api/v1/tasks/{answer.json['task_id']}")).json
            assert (task["prompt"], len(task["references"])) == ("blue", 1)
            content = answer.json["choices"][0]["message"]["content"]
            target = content.removeprefix("![image](http://gw.example:5100").removesuffix(")")
            file = await user.speaking(None).get(target)
            assert file.body[:8] == b"\x89PNG\r\n\x1a\n"

            again = {"idempotency-key": "one", "content-type": "application/json"}
            video = {"model": "jimeng-video-3.0", "messages": parts({"type": "text", "text": "a cat"})}
            body = json.dumps({**video, "stream": True}).encode()
            streams = [await user.call("POST", CHAT, headers=again, body=body) for _ in range(2)]
            contents = [deltas(events(stream.body), "content") for stream in streams]
            assert contents[0] == contents[1]
            assert contents[0].startswith("[video](http://gw.example:5100/api/v1/tasks/")
            assert "Fetching" in deltas(events(streams[0].body), "reasoning_content")
            listed = (await user.get("/api/v1/tasks")).json["data"]
            assert [task["kind"] for task in listed] == ["video", "image"]

    run(main())
