"""The routes that clients of older gateways call."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
from pathlib import Path
from typing import Any

import pytest
from http_client import make
from http_fake import NOW, USER, FakeGateway, a_failure, a_result, a_task, a_video
from support.aio import run
from support.media import a_png
from test_http_real import LOGIN, key_of, working

from jimeng_gateway.domain.errors import ErrorKind
from jimeng_gateway.domain.intake import Wish
from jimeng_gateway.domain.options import ImageFormat, KeyOptions
from jimeng_gateway.domain.request import Kind
from jimeng_gateway.domain.task import Stage

VIDEOS = "/v1/videos/generations"
ASYNC = "/v1/videos/generations/async"
COMPOSITIONS = "/v1/images/compositions"
PICTURE = "data:image/png;base64," + base64.b64encode(a_png()).decode()


def link(gateway: FakeGateway, index: int, task_id: str = "task_new") -> str:
    signature = gateway.link_signature(task_id, index)
    return f"http://gw.example:5100/api/v1/tasks/{task_id}/content?index={index}&signature={signature}"


def finished_video(gateway: FakeGateway, tmp_path: Path) -> None:
    """From now on every submitted video is ready at once."""
    (tmp_path / "v.mp4").write_bytes(b"video")
    result = a_result(0, tmp_path / "v.mp4", "video/mp4")
    gateway.outcome = a_video("task_new", stage=Stage.SUCCEEDED, results=(result,), finished_at=NOW)


def finished_pictures(gateway: FakeGateway, tmp_path: Path, count: int) -> None:
    """The same for pictures."""
    for index in range(count):
        (tmp_path / f"{index}.png").write_bytes(b"picture %d" % index)
    results = tuple(a_result(index, tmp_path / f"{index}.png") for index in range(count))
    gateway.outcome = a_task("task_new", stage=Stage.SUCCEEDED, results=results, finished_at=NOW)


def options(gateway: FakeGateway, **chosen: Any) -> None:
    """What the operator has chosen for the user's key."""
    gateway.holders[USER] = dataclasses.replace(gateway.holders[USER], options=KeyOptions(**chosen))


def form(fields: dict[str, str], files: dict[str, bytes]) -> dict[str, Any]:
    """A request with this form."""
    parts = [f'name="{name}"\r\n\r\n{value}\r\n'.encode() for name, value in fields.items()]
    parts += [
        f'name="{name.partition(" ")[0]}"; filename="{name}.png"\r\n\r\n'.encode() + data + b"\r\n"
        for name, data in files.items()
    ]
    body = b"".join(b"--X\r\nContent-Disposition: form-data; " + part for part in parts) + b"--X--\r\n"
    return {"headers": {"content-type": "multipart/form-data; boundary=X"}, "body": body}


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
        assert (answer.status, answer.header("preference-applied")) == (202, None)
        assert {name: answer.json[name] for name in ("code", "data")} == {
            "code": 0,
            "data": [{"task_id": "task_new", "status": "queued"}],
        }
        task = answer.json["task"]
        assert (task["id"], task["status"]) == ("task_new", "queued")
        assert task["poll_url"] == "http://gw.example:5100/api/v1/tasks/task_new"
        assert answer.header("location") == task["poll_url"]
        assert not gateway.waiting.is_set()
        assert gateway.wishes[0] == Wish(
            "cat", "jimeng-video-3.0", Kind.VIDEO, ratio="16:9", resolution="720p", duration="5s"
        )

    run(main())


def test_a_video_by_form(tmp_path: Path) -> None:
    async def main() -> None:
        gateway = FakeGateway(tmp_path)
        client = make(gateway)
        fields = {"prompt": "一只猫", "duration": "10", "model": "jimeng-video-3.0", "ratio": ""}
        assert (await client.call("POST", VIDEOS, **form(fields, {}))).status == 202
        assert gateway.wishes == [Wish("一只猫", "jimeng-video-3.0", Kind.VIDEO, duration="10")]
        refused = await client.call("POST", VIDEOS, **form({}, {"f": a_png()}))
        assert (refused.status, refused.error["code"]) == (400, "unknown_field")
        huge = form({"prompt": "x" * ((2 << 20) + 1)}, {})
        assert (await client.call("POST", VIDEOS, **huge)).status == 413

    run(main())


def test_a_video_that_is_ready_within_the_wait(tmp_path: Path) -> None:
    async def main() -> None:
        gateway = FakeGateway(tmp_path)
        finished_video(gateway, tmp_path)
        answer = await make(gateway).post(VIDEOS, {"prompt": "cat"}, headers={"prefer": "wait=60"})
        assert (answer.status, answer.header("preference-applied")) == (200, "wait=60")
        expected = {"task_id": "task_new", "status": "succeeded", "url": link(gateway, 0)}
        assert (answer.json["code"], answer.json["created"], answer.json["data"]) == (
            0,
            NOW // 1000,
            [expected],
        )

    run(main())


def test_whether_a_video_is_waited_for_is_the_keys_choice_and_the_requests(tmp_path: Path) -> None:
    async def main() -> None:
        gateway = FakeGateway(tmp_path)
        options(gateway, wait=30.0)
        user = make(gateway).speaking(USER)
        waiting = asyncio.create_task(user.post(VIDEOS, {"prompt": "cat"}))
        await asyncio.wait_for(gateway.waiting.wait(), 5)
        finished_video(gateway, tmp_path)
        assert gateway.outcome is not None
        gateway.all_tasks["task_new"] = dataclasses.replace(gateway.outcome, key_id="key_user")
        gateway.ended.set()
        assert (await asyncio.wait_for(waiting, 5)).status == 200
        gateway.outcome = None
        at_once = await user.post(VIDEOS, {"prompt": "cat"}, headers={"prefer": "respond-async"})
        assert (at_once.status, at_once.header("preference-applied")) == (202, "respond-async")
        options(gateway, wait=0.0)
        assert (await user.post(COMPOSITIONS, {"prompt": "cat", "images": [PICTURE]})).status == 202

    run(main())


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        (ErrorKind.CONTENT_REJECTED, 400),
        (ErrorKind.INVALID_REQUEST, 400),
        (ErrorKind.QUOTA, 429),
        (ErrorKind.RATE_LIMITED, 429),
        (ErrorKind.TIMEOUT, 504),
        (ErrorKind.RISK, 502),
        (ErrorKind.AUTH, 502),
    ],
)
@pytest.mark.parametrize("path", [VIDEOS, COMPOSITIONS])
def test_failed_tasks_are_errors_that_must_not_be_repeated(
    tmp_path: Path, path: str, kind: ErrorKind, status: int
) -> None:
    async def main() -> None:
        gateway = FakeGateway(tmp_path)
        gateway.outcome = a_task(
            "task_new", stage=Stage.FAILED, failure=a_failure(kind, "no luck"), finished_at=NOW
        )
        sent = {"prompt": "cat", "images": [PICTURE]}
        answer = await make(gateway).post(path, sent, headers={"prefer": "wait=9"})
        assert (answer.status, answer.error["message"]) == (status, "no luck (task task_new)")
        assert (answer.header("x-should-retry"), answer.header("retry-after")) == ("false", None)

    run(main())


def test_pictures_out_of_pictures(tmp_path: Path) -> None:
    async def main() -> None:
        gateway = FakeGateway(tmp_path)
        finished_pictures(gateway, tmp_path, 2)
        client = make(gateway)
        sent = {
            "model": "jimeng-4.5",
            "prompt": "blend them",
            "images": [PICTURE, {"url": None, "data": PICTURE}],
            "ratio": "16:9",
            "resolution": "2k",
            "negative_prompt": "",
            "sample_strength": 0.7,
            "intelligent_ratio": False,
            "response_format": "url",
        }
        answer = await client.post(COMPOSITIONS, sent)
        assert answer.json == {
            "created": NOW // 1000,
            "data": [{"url": link(gateway, 0)}, {"url": link(gateway, 1)}],
            "input_images": 2,
            "composition_type": "multi_image_synthesis",
            "task_id": "task_new",
        }
        (wish,) = gateway.wishes
        assert (wish.kind, wish.ratio, wish.sample_strength) == (Kind.IMAGE, "16:9", 0.7)
        fields = {"prompt": "blend them", "sample_strength": "0.3", "response_format": "b64_json"}
        sent_form = form(fields, {"images": a_png(), "images 2": a_png(8, 8)})
        by_form = await client.call("POST", COMPOSITIONS, **sent_form)
        assert (by_form.json["input_images"], gateway.wishes[1].sample_strength) == (2, 0.3)
        assert [entry.width for entry in gateway.wishes[1].references] == [4, 8]
        texts = [base64.b64decode(entry["b64_json"]) for entry in by_form.json["data"]]
        assert texts == [b"picture 0", b"picture 1"]

    run(main())


def test_the_form_of_pictures_is_the_keys_choice_and_the_requests(tmp_path: Path) -> None:
    async def main() -> None:
        gateway = FakeGateway(tmp_path)
        finished_pictures(gateway, tmp_path, 1)
        options(gateway, image_format=ImageFormat.B64_JSON)
        user = make(gateway).speaking(USER)
        for more, name in (({}, "b64_json"), ({"response_format": "url"}, "url")):
            sent = {"prompt": "cat", "images": [PICTURE], **more}
            assert list((await user.post(COMPOSITIONS, sent)).json["data"][0]) == [name]

    run(main())


@pytest.mark.parametrize(
    ("sent", "param", "code"),
    [
        ({}, "images", "missing_field"),
        ({"images": []}, "images", "missing_field"),
        ({"images": ["http://10.0.0.1/1.png"]}, "references", "address_refused"),
        ({"images": [PICTURE], "response_format": "jpeg"}, "response_format", "invalid_request"),
        ({"images": [PICTURE], "colour": "red"}, "colour", "unknown_field"),
    ],
)
def test_compositions_that_cannot_be(tmp_path: Path, sent: dict[str, Any], param: str, code: str) -> None:
    async def main() -> None:
        gateway = FakeGateway(tmp_path)
        answer = await make(gateway).post(COMPOSITIONS, {"prompt": "cat", **sent})
        assert (answer.status, answer.error["param"], answer.error["code"]) == (400, param, code)
        assert gateway.wishes == []

    run(main())


@pytest.mark.parametrize("path", ["/v1/videos/generations", "/v1/images/generations"])
def test_polls(tmp_path: Path, path: str) -> None:
    async def main() -> None:
        gateway = FakeGateway(tmp_path)
        finished_pictures(gateway, tmp_path, 2)
        assert gateway.outcome is not None
        gateway.all_tasks = {
            "on": a_task("on", stage=Stage.POLLING, queue_position=2),
            "done": dataclasses.replace(gateway.outcome, id="done"),
            "bad": a_task("bad", stage=Stage.FAILED, failure=a_failure(ErrorKind.QUOTA, "no credits")),
            "off": a_task("off", stage=Stage.CANCELLED),
        }
        client = make(gateway)
        on = (await client.get(f"{path}/on")).json
        assert on["data"] == [{"task_id": "on", "status": "polling"}]
        assert (on["code"], on["message"], on["task"]["queue_position"]) == (0, "the task goes on", 2)
        done = (await client.get(f"{path}/done")).json
        assert done["data"] == [
            {"task_id": "done", "status": "succeeded", "url": link(gateway, index, "done")}
            for index in range(2)
        ]
        bad = (await client.get(f"{path}/bad")).json
        assert (bad["message"], bad["task"]["error_message"]) == ("no credits", "no credits")
        off = await client.get(f"{path}/off", headers={"accept-language": "zh"})
        assert off.json["message"] == "任务已取消"
        assert (await client.get(f"{path}/none")).status == 404

    run(main())


def test_the_asynchronous_pair(tmp_path: Path) -> None:
    async def main() -> None:
        gateway = FakeGateway(tmp_path)
        options(gateway, wait=30.0)
        client = make(gateway).speaking(USER)
        made = await client.post(ASYNC, {"prompt": "@1 flies", "file_paths": [PICTURE]})
        assert made.json == {
            "created": NOW // 1000,
            "task_id": "task_new",
            "status": "processing",
            "message": f"the task was accepted; ask http://gw.example:5100{ASYNC}/task_new",
        }
        assert len(gateway.wishes[0].references) == 1
        assert not gateway.waiting.is_set()
        path = f"{ASYNC}/task_new"
        known = {"created": NOW // 1000, "task_id": "task_new", "data": None, "error": None}
        going = {**known, "status": "processing"}
        assert (await client.get(path)).json == going
        gateway.ended.set()
        waited = await client.get(path, headers={"prefer": "wait=5"})
        assert (waited.json, waited.header("preference-applied")) == (going, "wait=5")
        finished_video(gateway, tmp_path)
        assert gateway.outcome is not None
        gateway.all_tasks["task_new"] = dataclasses.replace(gateway.outcome, key_id="key_user")
        assert (await client.get(path)).json == {
            **known,
            "status": "succeeded",
            "data": [{"url": link(gateway, 0), "revised_prompt": "a cat"}],
        }
        failed = a_video(stage=Stage.FAILED, failure=a_failure(ErrorKind.QUOTA, "no credits"))
        gateway.all_tasks["task_new"] = dataclasses.replace(failed, id="task_new")
        assert (await client.get(path)).json == {**known, "status": "failed", "error": "no credits"}

    run(main())


def test_the_whole_way(tmp_path: Path) -> None:
    async def main() -> None:
        async with working(tmp_path) as (admin, _):
            await admin.post("/api/v1/sessions", {"credential": LOGIN})
            user = await key_of(admin, "old")
            blended = await user.post(COMPOSITIONS, {"prompt": "blend", "n": 1, "images": [PICTURE, PICTURE]})
            assert (blended.status, blended.json["input_images"]) == (200, 2), blended.body
            poll = (await user.get(f"/v1/images/generations/{blended.json['task_id']}")).json
            assert poll["data"][0]["url"] == blended.json["data"][0]["url"]
            made = (await user.post(ASYNC, {"prompt": "a cat", "model": "jimeng-video-3.0"})).json
            done = await user.get(f"{ASYNC}/{made['task_id']}", headers={"prefer": "wait=60"})
            assert done.json["status"] == "succeeded"
            target = done.json["data"][0]["url"].removeprefix("http://gw.example:5100")
            assert (await user.speaking(None).get(target)).body[4:8] == b"ftyp"

    run(main())
