"""Pictures at the OpenAI door: in every form, waited for, streamed, edited and varied."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from http_client import Client, Exchange, form, make
from http_fake import NOW, FakeGateway, a_failure, a_result, a_task
from support.aio import run
from support.media import a_png

from jimeng_gateway.domain.errors import ErrorKind, StoreError
from jimeng_gateway.domain.intake import Wish
from jimeng_gateway.domain.reference import Media
from jimeng_gateway.domain.request import Kind
from jimeng_gateway.domain.task import Stage
from jimeng_gateway.http.openai.pictures import VARIATION_PROMPT

IMAGES = "/v1/images/generations"
EDITS = "/v1/images/edits"
VARIATIONS = "/v1/images/variations"


def link(gateway: FakeGateway, index: int, task_id: str = "task_new") -> str:
    signature = gateway.link_signature(task_id, index)
    return f"http://gw.example:5100/api/v1/tasks/{task_id}/content?index={index}&signature={signature}"


def finished_pictures(gateway: FakeGateway, tmp_path: Path, count: int = 1) -> None:
    """From now on every submitted picture is ready at once."""
    for index in range(count):
        (tmp_path / f"{index}.png").write_bytes(b"picture %d" % index)
    results = tuple(a_result(index, tmp_path / f"{index}.png") for index in range(count))
    gateway.outcome = a_task("task_new", stage=Stage.SUCCEEDED, results=results, finished_at=NOW)


def test_pictures_as_urls(tmp_path: Path) -> None:
    async def main() -> None:
        gateway = FakeGateway(tmp_path)
        finished_pictures(gateway, tmp_path, 2)
        sent = {
            "model": "jimeng-4.5",
            "prompt": "cat",
            "n": 2,
            "response_format": "url",
            "size": "2048x2048",
            "user": "u1",
            "quality": "hd",
            "style": "vivid",
            "ratio": "16:9",
            "negative_prompt": "x",
        }
        answer = await make(gateway).post(IMAGES, sent)
        assert answer.status == 200
        assert answer.json == {
            "created": NOW // 1000,
            "data": [{"url": link(gateway, 0)}, {"url": link(gateway, 1)}],
            "background": "opaque",
            "output_format": "png",
            "size": "2048x2048",
            "usage": {
                "input_tokens": 0,
                "output_tokens": 0,
                "total_tokens": 0,
                "input_tokens_details": {"image_tokens": 0, "text_tokens": 0},
            },
            "task_id": "task_new",
        }
        wish = Wish("cat", "jimeng-4.5", Kind.IMAGE, 2, "16:9", None, "2048x2048", "x")
        assert gateway.wishes == [wish]

    run(main())


@pytest.mark.parametrize(
    ("sent", "form"),
    [
        ({"response_format": "b64_json"}, "b64_json"),
        ({"model": "gpt-image-2"}, "b64_json"),
        ({"model": "GPT-Image-2"}, "b64_json"),
        ({"model": "gpt-image-2", "response_format": "url"}, "url"),
        ({"model": "jimeng-4.5"}, "url"),
        ({"response_format": None}, "url"),
    ],
)
def test_pictures_come_in_the_form_asked_for_and_in_no_other(tmp_path: Path, sent: dict, form: str) -> None:
    async def main() -> None:
        gateway = FakeGateway(tmp_path)
        finished_pictures(gateway, tmp_path)
        (picture,) = (await make(gateway).post(IMAGES, {"prompt": "cat", **sent})).json["data"]
        assert set(picture) == {form}
        if form == "b64_json":
            assert base64.b64decode(picture["b64_json"]) == b"picture 0"

    run(main())


@pytest.mark.parametrize(("asked", "told"), [("High", "high"), ("hd", None), ("auto", None), (None, None)])
def test_the_quality_is_told_only_in_words_that_sdks_validate(
    tmp_path: Path, asked: str | None, told: str | None
) -> None:
    async def main() -> None:
        gateway = FakeGateway(tmp_path)
        finished_pictures(gateway, tmp_path)
        reply = (await make(gateway).post(IMAGES, {"prompt": "cat", "quality": asked})).json
        assert {name: word for name, word in reply.items() if name == "quality"} == (
            {"quality": told} if told else {}
        )

    run(main())


def test_what_belongs_to_other_models_is_passed_over(tmp_path: Path) -> None:
    """openai-media.md 3.1, the last line of the table."""

    async def main() -> None:
        gateway = FakeGateway(tmp_path)
        finished_pictures(gateway, tmp_path)
        client = make(gateway)
        svg = {"model": "x", "reasoning": {"effort": "low"}}
        sent = {"complexity": "low", "frame_count": 2, "frame_duration_ms": 50, "svg": svg}
        assert (await client.post(IMAGES, {"prompt": "cat", **sent})).status == 200
        flat = [("svg[model]", "", b"x"), ("svg[reasoning][effort]", "", b"low"), ("frame_count", "", b"2")]
        parts = form(("prompt", "", b"cat"), ("image[]", "upload", a_png()), *flat)
        assert (await client.call("POST", EDITS, **parts)).status == 200
        assert [wish.prompt for wish in gateway.wishes] == ["cat", "cat"]

    run(main())


def test_what_cannot_be_honoured_is_refused(tmp_path: Path) -> None:
    async def main() -> None:
        client = make(FakeGateway(tmp_path))
        for sent, param in [
            ({"background": "transparent"}, "background"),
            ({"output_format": "svg"}, "output_format"),
            ({"quality": "superb"}, "quality"),
            ({"image": "http://10.0.0.1/1.png"}, "references"),
            ({"images": [{"url": "http://10.0.0.1/1.png", "file_id": "file_1"}]}, "images"),
            ({"colour": "red"}, "colour"),
            ({"response_format": "jpeg"}, "response_format"),
        ]:
            answer = await client.post(IMAGES, {"prompt": "cat", **sent})
            assert (answer.status, answer.error["param"]) == (400, param)
            assert answer.header("x-should-retry") == "false"

    run(main())


def test_a_wait_that_runs_out_gives_the_task(tmp_path: Path) -> None:
    async def main() -> None:
        gateway = FakeGateway(tmp_path)
        gateway.ended.set()
        answer = await make(gateway).post(IMAGES, {"prompt": "cat"}, headers={"prefer": "wait=2"})
        assert (answer.status, answer.header("preference-applied")) == (202, "wait=2")
        assert answer.json["data"] == [{"task_id": "task_new", "status": "queued"}]
        assert answer.json["task"]["poll_url"] == "http://gw.example:5100/api/v1/tasks/task_new"
        assert answer.header("location") == answer.json["task"]["poll_url"]

    run(main())


def test_a_task_cancelled_meanwhile(tmp_path: Path) -> None:
    async def main() -> None:
        gateway = FakeGateway(tmp_path)
        gateway.outcome = a_task("task_new", stage=Stage.CANCELLED, finished_at=NOW)
        answer = await make(gateway).post(IMAGES, {"prompt": "cat"})
        assert (answer.status, answer.error["code"]) == (409, "task_cancelled")
        assert answer.header("x-should-retry") == "false"

    run(main())


@pytest.mark.parametrize("error", [StoreError("gone"), RuntimeError("bug")])
def test_no_error_after_the_submit_invites_a_second_one(tmp_path: Path, error: Exception) -> None:
    async def main() -> None:
        gateway = FakeGateway(tmp_path)
        gateway.fail_wait = error
        answer = await make(gateway).post(IMAGES, {"prompt": "cat"})
        assert answer.status in (500, 503)
        assert answer.header("x-should-retry") == "false"

    run(main())


def test_hanging_up_ends_the_waiting_and_not_the_task(tmp_path: Path) -> None:
    async def main() -> None:
        gateway = FakeGateway(tmp_path)
        exchange = make(gateway).start("POST", IMAGES, body=b'{"prompt":"cat"}')
        await asyncio.wait_for(gateway.waiting.wait(), 5)
        exchange.hang_up()
        assert exchange.task is not None
        await asyncio.wait_for(exchange.task, 5)
        assert exchange.sent.empty()
        assert gateway.all_tasks["task_new"].stage is Stage.QUEUED

    run(main())


def test_a_process_that_stops_answers_those_who_wait(tmp_path: Path) -> None:
    async def main() -> None:
        gateway = FakeGateway(tmp_path)
        client = make(gateway)
        waiting = asyncio.create_task(client.post(IMAGES, {"prompt": "cat"}))
        await asyncio.wait_for(gateway.waiting.wait(), 5)
        client.app.state.service.closing.set()
        answer = await asyncio.wait_for(waiting, 5)
        assert (answer.status, answer.json["data"][0]["task_id"]) == (202, "task_new")

    run(main())


def test_a_picture_that_gets_ready_during_the_wait(tmp_path: Path) -> None:
    async def main() -> None:
        gateway = FakeGateway(tmp_path)
        waiting = asyncio.create_task(make(gateway).post(IMAGES, {"prompt": "cat"}))
        await asyncio.wait_for(gateway.waiting.wait(), 5)
        finished_pictures(gateway, tmp_path)
        assert gateway.outcome is not None
        gateway.all_tasks["task_new"] = dataclasses.replace(gateway.outcome, key_id="key_admin")
        gateway.ended.set()
        answer = await asyncio.wait_for(waiting, 5)
        assert (answer.status, len(answer.json["data"])) == (200, 1)

    run(main())


def test_a_wait_that_runs_out_can_still_be_read_by_the_sdks(tmp_path: Path) -> None:
    async def main() -> None:
        client = make(FakeGateway(tmp_path))
        answer = await client.post(IMAGES, {"prompt": "cat"}, headers={"prefer": "respond-async"})
        assert (answer.status, answer.json["created"]) == (202, NOW // 1000)
        assert answer.json["data"] == [{"task_id": "task_new", "status": "queued"}]

    run(main())


@pytest.mark.parametrize(
    ("sent", "tier"), [({"quality": "low"}, "2k"), ({"quality": "auto"}, None), ({}, None)]
)
def test_quality_chooses_the_resolution(tmp_path: Path, sent: dict[str, str], tier: str | None) -> None:
    """The only model here has one resolution, so that is the nearest."""

    async def main() -> None:
        gateway = FakeGateway(tmp_path)
        finished_pictures(gateway, tmp_path)
        await make(gateway).post(IMAGES, {"prompt": "cat", **sent})
        assert gateway.wishes[0].resolution == tier

    run(main())


def events_in(body: bytes) -> list[tuple[str, dict[str, Any]]]:
    """(name, data) of every event; comments left out."""
    found = []
    for block in body.decode().split("\n\n"):
        lines = [line for line in block.splitlines() if not line.startswith(":")]
        fields = dict(line.split(": ", 1) for line in lines)
        if fields:
            found.append((fields.get("event", ""), json.loads(fields["data"])))
    return found


@pytest.mark.parametrize(
    ("path", "event"), [(IMAGES, "image_generation.completed"), (EDITS, "image_edit.completed")]
)
def test_a_stream_has_one_event_for_each_picture(tmp_path: Path, path: str, event: str) -> None:
    async def main() -> None:
        gateway = FakeGateway(tmp_path)
        finished_pictures(gateway, tmp_path, 2)
        gateway.ended.set()
        sent = [("prompt", "", b"cat"), ("stream", "", b"true"), ("partial_images", "", b"2")]
        answer = await make(gateway).call("POST", path, **form(*sent, ("image", "a.png", a_png())))
        assert (answer.status, answer.header("content-type")) == (200, "text/event-stream; charset=utf-8")
        assert answer.body.startswith(b": keep-alive\n\n")
        found = events_in(answer.body)
        assert [name for name, _ in found] == [event, event]
        assert [base64.b64decode(data.pop("b64_json")) for _, data in found] == [b"picture 0", b"picture 1"]
        assert found[0][1] == {
            "type": event,
            "created_at": NOW // 1000,
            "size": "2048x2048",
            "quality": "auto",
            "background": "opaque",
            "output_format": "png",
            "usage": {
                "input_tokens": 0,
                "output_tokens": 0,
                "total_tokens": 0,
                "input_tokens_details": {"image_tokens": 0, "text_tokens": 0},
            },
        }

    run(main())


async def streaming(client: Client) -> Exchange:
    """A stream that has begun."""
    exchange = client.start("POST", IMAGES, body=b'{"prompt":"cat","stream":true}')
    assert (await asyncio.wait_for(exchange.sent.get(), 5))["status"] == 200
    assert await exchange.next_body() == b": keep-alive\n\n"
    return exchange


def test_a_failure_in_mid_stream_is_an_event_without_a_name(tmp_path: Path) -> None:
    async def main() -> None:
        gateway = FakeGateway(tmp_path)
        exchange = await streaming(make(gateway))
        await asyncio.wait_for(gateway.waiting.wait(), 5)
        task = gateway.all_tasks["task_new"]
        gateway.all_tasks["task_new"] = dataclasses.replace(
            task, stage=Stage.FAILED, failure=a_failure(ErrorKind.CONTENT_REJECTED, "not this")
        )
        gateway.ended.set()
        ((name, data),) = events_in(await exchange.next_body())
        assert (name, data["error"]["code"]) == ("", "moderation_blocked")
        assert data["error"]["type"] == "image_generation_user_error"
        assert data["error"]["message"] == "not this (task task_new)"
        assert await exchange.next_body() == b""

    run(main())


def test_a_stream_that_the_process_cuts_short_says_so(tmp_path: Path) -> None:
    async def main() -> None:
        client = make(FakeGateway(tmp_path))
        exchange = await streaming(client)
        client.app.state.service.closing.set()
        ((name, data),) = events_in(await exchange.next_body())
        assert (name, data["error"]["code"]) == ("", "unavailable")
        assert data["error"]["message"] == "the gateway is stopping; task task_new goes on"

    run(main())


def test_a_stream_that_cannot_begin_is_an_ordinary_error(tmp_path: Path) -> None:
    async def main() -> None:
        sent = {"prompt": "cat", "stream": True, "model": "no-such-model"}
        answer = await make(FakeGateway(tmp_path)).post(IMAGES, sent)
        assert (answer.status, answer.error["code"]) == (404, "model_not_found")

    run(main())


@pytest.mark.parametrize(
    "parts",
    [
        [("image", "a.png", a_png()), ("image", "b.png", a_png(5))],
        [("image[]", "upload", a_png()), ("image[]", "upload", a_png(5))],
        [("images[0]", "a.png", a_png()), ("image[1]", "b.png", a_png(5))],
    ],
)
def test_edits_take_pictures_under_every_name(tmp_path: Path, parts: list[tuple[str, str, bytes]]) -> None:
    async def main() -> None:
        gateway = FakeGateway(tmp_path)
        finished_pictures(gateway, tmp_path)
        fields = [("prompt", "", b"blue"), ("n", "", b"2"), ("input_fidelity", "", b"high")]
        answer = await make(gateway).call("POST", EDITS, **form(*fields, *parts))
        assert answer.status == 200, answer.body
        (wish,) = gateway.wishes
        assert (wish.prompt, wish.n, wish.kind) == ("blue", 2, Kind.IMAGE)
        assert [(one.kind, one.width) for one in wish.references] == [(Media.IMAGE, 4), (Media.IMAGE, 5)]

    run(main())


def test_edits_by_json(tmp_path: Path) -> None:
    async def main() -> None:
        gateway = FakeGateway(tmp_path)
        finished_pictures(gateway, tmp_path)
        inline = f"data:image/png;base64,{base64.b64encode(a_png()).decode()}"
        for image in (inline, [inline], {"image_url": inline}):
            answer = await make(gateway).post(EDITS, {"prompt": "blue", "image": image})
            assert answer.status == 200, answer.body
        assert [len(wish.references) for wish in gateway.wishes] == [1, 1, 1]

    run(main())


def test_an_edit_needs_a_picture_and_no_mask(tmp_path: Path) -> None:
    async def main() -> None:
        client = make(FakeGateway(tmp_path))
        none = await client.post(EDITS, {"prompt": "blue"})
        assert (none.status, none.error["code"], none.error["param"]) == (400, "missing_field", "image")
        for name in ("mask", "markup"):
            parts = form(("prompt", "", b"x"), ("image", "a.png", a_png()), (name, "m.png", a_png()))
            answer = await client.call("POST", EDITS, **parts)
            assert (answer.status, answer.error["code"]) == (400, "not_supported")
            assert answer.error["param"] == name
            assert answer.header("x-should-retry") == "false"

    run(main())


def test_a_variation_has_a_prompt_of_its_own(tmp_path: Path) -> None:
    async def main() -> None:
        gateway = FakeGateway(tmp_path)
        finished_pictures(gateway, tmp_path)
        answer = await make(gateway).call("POST", VARIATIONS, **form(("image", "a.png", a_png())))
        assert (answer.status, len(answer.json["data"])) == (200, 1)
        (wish,) = gateway.wishes
        assert (wish.prompt, len(wish.references)) == (VARIATION_PROMPT, 1)

    run(main())
