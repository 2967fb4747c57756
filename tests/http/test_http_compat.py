"""The routes that older clients and the OpenAI SDKs call."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
from pathlib import Path

import pytest
from http_client import make
from http_fake import NOW, FakeGateway, a_failure, a_result, a_task, a_video
from support.aio import run

from jimeng_gateway.domain.errors import ErrorKind, StoreError
from jimeng_gateway.domain.intake import Wish
from jimeng_gateway.domain.request import Kind
from jimeng_gateway.domain.task import Stage

IMAGES = "/v1/images/generations"
VIDEOS = "/v1/videos/generations"


def finished_pictures(gateway: FakeGateway, tmp_path: Path, count: int = 1) -> None:
    """From now on every submitted picture is ready at once."""
    for index in range(count):
        (tmp_path / f"{index}.png").write_bytes(b"picture %d" % index)
    results = tuple(a_result(index, tmp_path / f"{index}.png") for index in range(count))
    gateway.outcome = a_task("task_new", stage=Stage.SUCCEEDED, results=results, finished_at=NOW)


def link(gateway: FakeGateway, index: int, task_id: str = "task_new") -> str:
    signature = gateway.link_signature(task_id, index)
    return f"http://gw.example:5100/api/v1/tasks/{task_id}/content?index={index}&signature={signature}"


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


def test_what_cannot_be_honoured_is_refused(tmp_path: Path) -> None:
    async def main() -> None:
        client = make(FakeGateway(tmp_path))
        for sent, param in [
            ({"stream": True}, "stream"),
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


def test_nobody_waits_who_does_not_want_to(tmp_path: Path) -> None:
    async def main() -> None:
        gateway = FakeGateway(tmp_path)
        client = make(gateway)
        answer = await client.post(IMAGES, {"prompt": "cat"}, headers={"prefer": "respond-async"})
        assert (answer.status, answer.header("preference-applied")) == (202, "respond-async")
        video = await client.post(VIDEOS, {"prompt": "cat"})
        assert (video.status, video.header("preference-applied")) == (202, None)
        assert not gateway.waiting.is_set()

    run(main())


def test_a_video_is_accepted_as_the_old_gateway_did(tmp_path: Path) -> None:
    async def main() -> None:
        gateway = FakeGateway(tmp_path)
        sent = {
            "model": "jimeng-video-3.0",
            "prompt": "cat",
            "duration": "5s",
            "ratio": "16:9",
            "resolution": "720p",
        }
        answer = await make(gateway).post(VIDEOS, sent)
        assert answer.status == 202
        assert {name: answer.json[name] for name in ("code", "data")} == {
            "code": 0,
            "data": [{"task_id": "task_new", "status": "queued"}],
        }
        task = answer.json["task"]
        assert (task["id"], task["status"]) == ("task_new", "queued")
        assert task["poll_url"] == "http://gw.example:5100/api/v1/tasks/task_new"
        assert gateway.wishes[0] == Wish(
            "cat", "jimeng-video-3.0", Kind.VIDEO, ratio="16:9", resolution="720p", duration="5s"
        )

    run(main())


def test_a_video_by_form(tmp_path: Path) -> None:
    async def main() -> None:
        gateway = FakeGateway(tmp_path)
        fields = {"prompt": "一只猫", "duration": "10", "model": "jimeng-video-3.0", "ratio": ""}
        body = b"".join(
            f'--X\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
            for name, value in fields.items()
        )
        headers = {"content-type": "multipart/form-data; boundary=X"}
        client = make(gateway)
        answer = await client.call("POST", VIDEOS, headers=headers, body=body + b"--X--\r\n")
        assert answer.status == 202
        assert gateway.wishes == [Wish("一只猫", "jimeng-video-3.0", Kind.VIDEO, duration="10")]
        with_file = (
            b'--X\r\nContent-Disposition: form-data; name="f"; filename="a.png"\r\n\r\n\x89PNG\r\n--X--\r\n'
        )
        refused = await client.call("POST", VIDEOS, headers=headers, body=with_file)
        assert (refused.status, refused.error["code"]) == (400, "unknown_field")
        huge = b'--X\r\nContent-Disposition: form-data; name="prompt"\r\n\r\n' + b"x" * (2 << 20) + b"x"
        assert (await client.call("POST", VIDEOS, headers=headers, body=huge)).status == 413

    run(main())


def test_a_video_that_is_ready_within_the_wait(tmp_path: Path) -> None:
    async def main() -> None:
        gateway = FakeGateway(tmp_path)
        (tmp_path / "v.mp4").write_bytes(b"video")
        result = a_result(0, tmp_path / "v.mp4", "video/mp4")
        gateway.outcome = a_video("task_new", stage=Stage.SUCCEEDED, results=(result,), finished_at=NOW)
        answer = await make(gateway).post(VIDEOS, {"prompt": "cat"}, headers={"prefer": "wait=60"})
        assert (answer.status, answer.header("preference-applied")) == (200, "wait=60")
        expected = {"task_id": "task_new", "status": "succeeded", "url": link(gateway, 0)}
        assert (answer.json["code"], answer.json["created"], answer.json["data"]) == (
            0,
            NOW // 1000,
            [expected],
        )

    run(main())


@pytest.mark.parametrize(
    ("kind", "status", "kind_of_error"),
    [
        (ErrorKind.CONTENT_REJECTED, 400, "invalid_request_error"),
        (ErrorKind.INVALID_REQUEST, 400, "invalid_request_error"),
        (ErrorKind.MODEL_UNAVAILABLE, 400, "invalid_request_error"),
        (ErrorKind.QUOTA, 429, "rate_limit_error"),
        (ErrorKind.RATE_LIMITED, 429, "rate_limit_error"),
        (ErrorKind.TIMEOUT, 504, "upstream_error"),
        (ErrorKind.GENERATION_FAILED, 502, "upstream_error"),
        (ErrorKind.RISK, 502, "upstream_error"),
        (ErrorKind.AUTH, 502, "upstream_error"),
        (ErrorKind.UNKNOWN, 502, "upstream_error"),
    ],
)
@pytest.mark.parametrize("path", [IMAGES, VIDEOS])
def test_failed_tasks_are_errors_that_must_not_be_repeated(
    tmp_path: Path, path: str, kind: ErrorKind, status: int, kind_of_error: str
) -> None:
    async def main() -> None:
        gateway = FakeGateway(tmp_path)
        gateway.outcome = a_task(
            "task_new", stage=Stage.FAILED, failure=a_failure(kind, "no luck"), finished_at=NOW
        )
        answer = await make(gateway).post(path, {"prompt": "cat"}, headers={"prefer": "wait=9"})
        assert (answer.status, answer.error["code"], answer.error["type"]) == (status, kind, kind_of_error)
        assert answer.error["message"] == "no luck (task task_new)"
        assert answer.header("x-should-retry") == "false"
        assert answer.header("retry-after") is None

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


def test_models_as_openai_lists_them(tmp_path: Path) -> None:
    async def main() -> None:
        client = make(FakeGateway(tmp_path))
        listed = (await client.get("/v1/models")).json
        assert listed["object"] == "list"
        assert listed["data"][0] == {
            "id": "jimeng-4.5",
            "object": "model",
            "created": 0,
            "owned_by": "jimeng",
            "kind": "image",
        }
        for name in ("jimeng-4.5", "JIMENG-4.5", "seedream/4.5"):
            assert (await client.get(f"/v1/models/{name}")).json["id"] == "jimeng-4.5"
        missing = await client.get("/v1/models/none")
        assert (missing.status, missing.error["code"]) == (404, "model_not_found")

    run(main())
