"""A task in Ark's words, from values: statuses, errors, tokens, and tasks of other doors."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from http_fake import NOW, a_failure, a_result, a_task, a_video

from jimeng_gateway.domain.errors import ErrorKind, Failure
from jimeng_gateway.domain.options import ArkStatus
from jimeng_gateway.domain.reference import Media, Reference
from jimeng_gateway.domain.request import Kind
from jimeng_gateway.domain.task import Result, Stage, Task
from jimeng_gateway.domain.words import Language
from jimeng_gateway.http.ark.render import is_lenient, status_of, task_json
from jimeng_gateway.http.links import Links

LINKS = Links("https://gw.example", lambda task, index, expires: f"{task}{index}{expires}")
LATE = Failure(ErrorKind.TIMEOUT, "deadline", "the task waited for a free account within 3600 s")
SLOW = Failure(ErrorKind.TIMEOUT, "http_timeout", "the site did not answer")
VIDEO = Result(
    0, "video", "https://up.example/v", "item", 1280, 720, 5041, file="v.mp4", media_type="video/mp4"
)


def seen(task: Task, **how: Any) -> dict[str, Any]:
    """The JSON of it."""
    found = msgspec.to_builtins(task_json(task, LINKS, **how))
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize(
    ("fields", "strict", "lenient"),
    [
        ({"stage": Stage.QUEUED}, "queued", "queued"),
        ({"stage": Stage.SUBMITTING}, "queued", "queued"),
        ({"stage": Stage.POLLING}, "queued", "queued"),
        ({"stage": Stage.POLLING, "running": True}, "running", "running"),
        ({"stage": Stage.DOWNLOADING}, "running", "running"),
        ({"stage": Stage.SUCCEEDED}, "succeeded", "succeeded"),
        ({"stage": Stage.FAILED, "failure": SLOW}, "failed", "failed"),
        ({"stage": Stage.FAILED, "failure": LATE}, "expired", "failed"),
        ({"stage": Stage.CANCELLED}, "cancelled", "failed"),
    ],
)
def test_statuses(fields: dict[str, Any], strict: str, lenient: str) -> None:
    task = a_video(**fields)
    assert (status_of(task), status_of(task, lenient=True)) == (strict, lenient)


@pytest.mark.parametrize(
    ("option", "agent", "lenient"),
    [
        (ArkStatus.AUTO, "ai/6.0.326 ai-sdk/provider-utils/4.0.1 runtime/node.js/20", True),
        (ArkStatus.AUTO, "Go-http-client/1.1", True),
        (ArkStatus.AUTO, "volc-sdk-python/1.0.0", False),
        (ArkStatus.AUTO, "", False),
        (ArkStatus.STRICT, "Go-http-client/1.1", False),
        (ArkStatus.LENIENT, "volc-sdk-python/1.0.0", True),
    ],
)
def test_who_is_told_failed_instead(option: ArkStatus, agent: str, lenient: bool) -> None:
    assert is_lenient(option, agent) is lenient


CODES = {
    ErrorKind.CONTENT_REJECTED: "SensitiveContentDetected",
    ErrorKind.INVALID_REQUEST: "InvalidParameter",
    ErrorKind.MODEL_UNAVAILABLE: "ModelNotOpen",
    ErrorKind.QUOTA: "SetLimitExceeded",
    ErrorKind.RATE_LIMITED: "ServerOverloaded",
}


@pytest.mark.parametrize("kind", list(ErrorKind))
def test_errors_have_arks_codes(kind: ErrorKind) -> None:
    task = a_video(stage=Stage.FAILED, failure=a_failure(kind))
    assert seen(task)["error"] == {
        "code": CODES.get(kind, "InternalServiceError"),
        "message": "it went wrong",
    }


def test_errors_speak_the_callers_language() -> None:
    task = a_video(stage=Stage.FAILED, failure=a_failure(ErrorKind.CONTENT_REJECTED))
    assert seen(task, language=Language.ZH)["error"]["message"].startswith("内容未通过网站审核")


def test_a_task_before_its_end() -> None:
    task = a_video(
        door="ark", memo={"model": "doubao-seedance-2-0-260128", "priority": 4}, deadline_at=NOW + 7_200_000
    )
    assert seen(task) == {
        "id": "task_v",
        "model": "doubao-seedance-2-0-260128",
        "status": "queued",
        "error": None,
        "content": None,
        "usage": None,
        "created_at": 1_790_000_000,
        "updated_at": 1_790_000_000,
        "seed": -1,
        "resolution": "720p",
        "ratio": "16:9",
        "duration": 5,
        "framespersecond": 24,
        "generate_audio": False,
        "service_tier": "default",
        "execution_expires_after": 7200,
        "draft": False,
        "priority": 4,
    }


def test_a_task_that_has_succeeded() -> None:
    task = a_video(stage=Stage.SUCCEEDED, results=(VIDEO,), door="ark", memo={"model": "x", "frames": 121})
    found = seen(replace(task, request=replace(task.request, seed=58944, omni=True)))
    assert found["content"] == {
        "video_url": "https://gw.example/api/v1/tasks/task_v/content?index=0&signature=task_v00",
        "last_frame_url": None,
    }
    # ark.md 2.6: five seconds of 1280x720 are about 108 000.
    assert found["usage"] == {"completion_tokens": 108_000, "total_tokens": 108_000}
    assert (found["frames"], "duration" in found) == (121, False)
    assert (found["seed"], found["generate_audio"]) == (58944, True)


def test_clips_that_were_given_count_as_tokens_too() -> None:
    clip = Reference(Media.VIDEO, "a" * 64, "video/mp4", 9, duration_ms=5000)
    sound = Reference(Media.AUDIO, "b" * 64, "audio/wav", 9, duration_ms=5000)
    task = a_video(stage=Stage.SUCCEEDED, results=(VIDEO,))
    task = replace(task, request=replace(task.request, references=(clip, sound)))
    assert seen(task)["usage"]["total_tokens"] == 216_000


def test_results_whose_files_are_gone_keep_their_link(tmp_path: Path) -> None:
    gone = replace(VIDEO, file=None, removed_at=NOW)
    assert seen(a_video(stage=Stage.SUCCEEDED, results=(gone,)))["content"]["video_url"]


def test_a_task_of_another_door_is_told_sensibly(tmp_path: Path) -> None:
    (tmp_path / "p.png").write_bytes(b"png")
    task = a_task(
        stage=Stage.SUCCEEDED,
        results=(a_result(0, tmp_path / "p.png"),),
        door="openai",
        memo={"model": "gpt-image-2", "frames": 121, "priority": "high"},
    )
    found = seen(task)
    assert (found["model"], found["priority"]) == ("jimeng-4.5", 0)
    assert not {"duration", "frames"} & found.keys()
    assert found["content"]["video_url"] is None
    assert found["content"]["file_url"].startswith("https://gw.example/api/v1/tasks/task_1/content?index=0")
    assert found["usage"]["completion_tokens"] == 2048 * 2048 // 256
    assert task.request.kind is Kind.IMAGE
