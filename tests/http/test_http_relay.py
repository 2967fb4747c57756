"""The pair of routes that relays have for videos."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
from http_client import make
from http_fake import NOW, FakeGateway, a_failure, a_result, a_task, a_video
from support.aio import run
from support.media import a_png
from test_http_real import LOGIN, key_of, opened, working

from jimeng_gateway.domain.errors import ErrorKind, InvalidRequest
from jimeng_gateway.domain.intake import Wish
from jimeng_gateway.domain.reference import Role
from jimeng_gateway.domain.request import Kind
from jimeng_gateway.domain.task import Stage
from jimeng_gateway.http.givens import Given
from jimeng_gateway.http.relay.shapes import RelayVideo
from jimeng_gateway.http.relay.translate import unpack, wish_of

VIDEO = "/v1/video/generations"


@pytest.mark.parametrize(
    ("sent", "wish"),
    [
        ({}, {}),
        ({"duration": 5.0, "seed": 0, "n": 1}, {"duration": 5.0, "seed": 0, "n": 1}),
        ({"width": 1280, "height": 720}, {"size": "1280x720"}),
        ({"width": 0, "height": 0, "fps": 0, "n": 0, "duration": 0}, {}),
        ({"seconds": "5s"}, {"duration": "5s"}),
        ({"duration": 5.0, "seconds": 5.0}, {"duration": 5.0}),
        ({"metadata": {"ratio": "9:16", "resolution": "720p"}}, {"ratio": "9:16", "resolution": "720p"}),
        ({"metadata": {"aspect_ratio": "9:16"}}, {"ratio": "9:16"}),
        ({"size": "1280x720", "metadata": {"size": "1:1"}}, {"size": "1280x720"}),
        ({"metadata": {"negative_prompt": "dogs"}}, {"negative_prompt": "dogs"}),
    ],
)  # fmt: skip
def test_wishes(sent: dict[str, Any], wish: dict[str, Any]) -> None:
    body = RelayVideo(prompt="a cat", **sent)
    assert wish_of(body, ()) == Wish("a cat", kind=Kind.VIDEO, **wish)


@pytest.mark.parametrize(
    ("sent", "param", "code"),
    [
        ({"width": 1280}, "height", "invalid_request"),
        ({"height": 720, "width": 0}, "width", "invalid_request"),
        ({"duration": 5.0, "seconds": 6.0}, "duration", "invalid_request"),
        ({"width": 1280, "height": 720, "size": "720x1280"}, "width", "invalid_request"),
        ({"metadata": {"ratio": "1:1", "aspect_ratio": "9:16"}}, "ratio", "invalid_request"),
        ({"metadata": {"ratio": 1}}, "metadata", "invalid_request"),
    ],
)
def test_contradictions_are_refused(sent: dict[str, Any], param: str, code: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        wish_of(RelayVideo(prompt="a cat", **sent), ())
    assert (refusal.value.param, refusal.value.code) == (param, code)


@pytest.mark.parametrize(
    ("values", "left", "givens"),
    [
        ({"prompt": "x"}, {"prompt": "x"}, []),
        (
            {"metadata": {"ratio": "1:1", "last_frame": "http://a/2.png", "image_url": None}},
            {"metadata": {"ratio": "1:1"}},
            [Given(url="http://a/2.png", role=Role.LAST_FRAME)],
        ),
        ({"metadata": {"images": ["http://a/1.png"]}}, {}, [Given(url="http://a/1.png")]),
        ({"metadata": '{"ratio": "1:1"}'}, {"metadata": {"ratio": "1:1"}}, []),
        (
            {"metadata[ratio]": "1:1", "metadata[resolution]": "720p"},
            {"metadata": {"ratio": "1:1", "resolution": "720p"}},
            [],
        ),
        ({"metadata": 7}, {"metadata": 7}, []),
    ],
)
def test_references_in_metadata(values: dict[str, Any], left: dict[str, Any], givens: list[Given]) -> None:
    assert unpack(values) == (left, tuple(givens))


def test_a_ticket_and_nothing_else(tmp_path: Path) -> None:
    async def main() -> None:
        client = make(FakeGateway(tmp_path))
        answer = await client.post(VIDEO, {"model": "jimeng-video-3.0", "prompt": "a cat", "user": "u"})
        assert (answer.status, answer.json) == (
            200,
            {"id": "task_new", "task_id": "task_new", "object": "video", "status": "queued"},
        )
        for sent, param in (
            ({"response_format": "b64_json"}, "response_format"),
            ({"colour": "red"}, "colour"),
            ({"metadata": "no JSON"}, None),
            ({"metadata": 7}, "metadata"),
        ):
            refused = await client.post(VIDEO, {"prompt": "a cat", **sent})
            assert (refused.status, refused.error["param"]) == (400, param), refused.body

    run(main())


def test_a_form(tmp_path: Path) -> None:
    async def main() -> None:
        gateway = FakeGateway(tmp_path)
        fields = {
            "prompt": "a cat",
            "duration": "5",
            "width": "1280",
            "height": "720",
            "metadata[ratio]": "16:9",
        }
        body = b"".join(
            f'--X\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
            for name, value in fields.items()
        )
        file = b'--X\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n'
        headers = {"content-type": "multipart/form-data; boundary=X"}
        sent = body + file + a_png() + b"\r\n--X--\r\n"
        answer = await make(gateway).call("POST", VIDEO, headers=headers, body=sent)
        assert answer.status == 200, answer.body
        (wish,) = gateway.wishes
        assert (wish.duration, wish.size, wish.ratio) == ("5", "1280x720", "16:9")
        assert [entry.media_type for entry in wish.references] == ["image/png"]

    run(main())


async def told(tmp_path: Path, **changes: Any) -> dict[str, Any]:
    gateway = FakeGateway(tmp_path)
    gateway.all_tasks["task_v"] = a_video(**changes)
    return (await make(gateway).get(f"{VIDEO}/task_v")).json


@pytest.mark.parametrize(
    ("stage", "status", "record"),
    [
        (Stage.QUEUED, "queued", "QUEUED"),
        (Stage.SUBMITTING, "in_progress", "IN_PROGRESS"),
        (Stage.POLLING, "in_progress", "IN_PROGRESS"),
        (Stage.DOWNLOADING, "in_progress", "IN_PROGRESS"),
    ],
)
def test_on_the_way(tmp_path: Path, stage: Stage, status: str, record: str) -> None:
    found = run(told(tmp_path, stage=stage))
    assert (found["status"], found["url"], found["format"]) == (status, "", "")
    assert (found["error"], found["metadata"]) == (None, None)
    assert (found["data"]["status"], found["data"]["result_url"]) == (record, "")


def test_at_the_end(tmp_path: Path) -> None:
    (tmp_path / "v.mp4").write_bytes(b"video")
    result = a_result(0, tmp_path / "v.mp4", "video/mp4")
    found = run(told(tmp_path, stage=Stage.SUCCEEDED, results=(result,), finished_at=NOW))
    link = found["url"]
    assert link.startswith("http://gw.example:5100/api/v1/tasks/task_v/content?index=0&signature=")
    assert found == {
        "task_id": "task_v",
        "status": "completed",
        "url": link,
        "format": "mp4",
        "metadata": {"duration": 5.0, "fps": 24, "width": 2048, "height": 2048, "seed": 0},
        "error": None,
        "code": "success",
        "message": "",
        "data": {
            "task_id": "task_v",
            "action": "generate",
            "status": "SUCCESS",
            "fail_reason": "",
            "result_url": link,
            "submit_time": NOW // 1000,
            "start_time": 0,
            "finish_time": NOW // 1000,
            "progress": "100%",
        },
    }


def test_failures_are_told_with_a_number(tmp_path: Path) -> None:
    failed = run(told(tmp_path, stage=Stage.FAILED, failure=a_failure(ErrorKind.QUOTA, "no credits")))
    assert (failed["status"], failed["error"]) == ("failed", {"code": 429, "message": "no credits"})
    assert (failed["data"]["status"], failed["data"]["fail_reason"]) == ("FAILURE", "no credits")
    cancelled = run(told(tmp_path, stage=Stage.CANCELLED))
    assert (cancelled["status"], cancelled["error"]["code"]) == ("failed", 409)


def test_another_key_does_not_see_it_and_other_doors_do(tmp_path: Path) -> None:
    async def main() -> None:
        gateway = FakeGateway(tmp_path)
        gateway.all_tasks["task_1"] = a_task()
        client = make(gateway)
        assert (await client.get(f"{VIDEO}/task_1")).json["status"] == "queued"
        assert (await client.get(f"{VIDEO}/none")).status == 404

    run(main())


def test_the_whole_way(tmp_path: Path) -> None:
    async def main() -> None:
        async with working(tmp_path) as (admin, _):
            await admin.post("/api/v1/sessions", {"credential": LOGIN})
            user = await key_of(admin, "relay")
            picture = "data:image/png;base64," + base64.b64encode(a_png(1280, 720)).decode()
            made = await user.post(
                VIDEO,
                {"model": "jimeng-video-3.0", "prompt": "a cat", "image": picture, "duration": 5, "fps": 24},
            )
            assert made.status == 200, made.body
            task_id = made.json["task_id"]
            await user.get(f"/api/v1/tasks/{task_id}/events", headers={"accept": "text/event-stream"})
            found = (await user.get(f"{VIDEO}/{task_id}")).json
            assert (found["status"], found["format"], found["metadata"]["duration"]) == (
                "completed",
                "mp4",
                5.042,
            )
            file = await user.speaking(None).get(found["url"].removeprefix("http://gw.example:5100"))
            assert file.body[4:8] == b"ftyp"
            stranger = await key_of(admin, "other")
            assert (await stranger.get(f"{VIDEO}/{task_id}")).status == 404

    run(main())


def test_what_is_meant_for_other_services_has_no_effect(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as (admin, _):
            wish = {"model": "jimeng-video-3.0", "prompt": "a cat"}
            other = {
                **wish,
                "fps": 30,
                "metadata": {"style": "noir", "quality_level": "high", "ratio": "9:16"},
            }
            plain = {**wish, "ratio": "9:16"}
            told = [(await admin.post(f"{VIDEO}?dry_run=true", body)).json for body in (other, plain)]
            assert told[0] == told[1]

    run(main())


def test_what_cannot_be_made_is_refused_before_anything_is_spent(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as (admin, _):
            pictures = await admin.post(VIDEO, {"model": "jimeng-4.5", "prompt": "a cat"})
            assert pictures.error["param"] == "model"
            many = await admin.post(VIDEO, {"model": "jimeng-video-3.0", "prompt": "a cat", "n": 2})
            assert (many.status, many.error["param"]) == (400, "n")
            assert (await admin.get("/api/v1/tasks")).json["data"] == []

    run(main())
