"""The routes that the clients of older gateways call; test_openai_*.py has those of the OpenAI SDKs."""

from __future__ import annotations

from pathlib import Path

import pytest
from http_client import make
from http_fake import NOW, FakeGateway, a_failure, a_task
from support.aio import run

from jimeng_gateway.domain.errors import ErrorKind
from jimeng_gateway.domain.task import Stage

IMAGES = "/v1/images/generations"
VIDEOS = "/v1/videos/generations"


def link(gateway: FakeGateway, index: int, task_id: str = "task_new") -> str:
    signature = gateway.link_signature(task_id, index)
    return f"http://gw.example:5100/api/v1/tasks/{task_id}/content?index={index}&signature={signature}"


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


@pytest.mark.parametrize(
    ("kind", "status", "code", "kind_of_error"),
    [
        (ErrorKind.CONTENT_REJECTED, 400, "moderation_blocked", "image_generation_user_error"),
        (ErrorKind.INVALID_REQUEST, 400, "invalid_request", "invalid_request_error"),
        (ErrorKind.MODEL_UNAVAILABLE, 400, "model_unavailable", "invalid_request_error"),
        (ErrorKind.QUOTA, 429, "insufficient_quota", "insufficient_quota"),
        (ErrorKind.RATE_LIMITED, 429, "rate_limit_exceeded", "rate_limit_error"),
        (ErrorKind.TIMEOUT, 504, "timeout", "upstream_error"),
        (ErrorKind.GENERATION_FAILED, 502, "generation_failed", "upstream_error"),
        (ErrorKind.RISK, 502, "risk", "upstream_error"),
        (ErrorKind.AUTH, 502, "auth", "upstream_error"),
        (ErrorKind.UNKNOWN, 502, "unknown", "upstream_error"),
    ],
)
@pytest.mark.parametrize("path", [IMAGES, VIDEOS])
def test_failed_tasks_are_errors_that_must_not_be_repeated(
    tmp_path: Path, path: str, kind: ErrorKind, status: int, code: str, kind_of_error: str
) -> None:
    async def main() -> None:
        gateway = FakeGateway(tmp_path)
        gateway.outcome = a_task(
            "task_new", stage=Stage.FAILED, failure=a_failure(kind, "no luck"), finished_at=NOW
        )
        answer = await make(gateway).post(path, {"prompt": "cat"}, headers={"prefer": "wait=9"})
        assert (answer.status, answer.error["code"], answer.error["type"]) == (status, code, kind_of_error)
        assert answer.error["message"] == "no luck (task task_new)"
        assert answer.header("x-should-retry") == "false"
        assert answer.header("retry-after") is None

    run(main())
