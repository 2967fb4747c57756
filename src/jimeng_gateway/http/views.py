"""The JSON of tasks and their events.

Each type is encoded as it stands and shown as it stands by the OpenAPI document: the two cannot differ.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from jimeng_gateway.domain.errors import ErrorKind, Failure, Owner
from jimeng_gateway.domain.reference import Media, Reference, Role
from jimeng_gateway.domain.request import GenerationRequest, Kind
from jimeng_gateway.domain.task import Removal, Result, Stage, Task, TaskEvent, progress
from jimeng_gateway.domain.words import Language, failure_message
from jimeng_gateway.http.links import Links


def instant(at: int) -> str:
    """Milliseconds since the epoch as RFC 3339: `2026-11-23T22:09:23.456Z`."""
    return f"{datetime.fromtimestamp(at // 1000, UTC).isoformat()[:19]}.{at % 1000:03d}Z"


def maybe_instant(at: int | None) -> str | None:
    """The same for a time that may not have come."""
    return None if at is None else instant(at)


class RequestBody(msgspec.Struct, kw_only=True):
    """All chosen parameters of a task, defaults filled in."""

    kind: Kind
    model: str
    ratio: str
    resolution: str
    width: int
    height: int
    n: int
    negative_prompt: str
    sample_strength: float
    intelligent_ratio: bool
    multi_image: bool
    seed: int | None
    #: Seconds; null for pictures.
    duration: float | None


class ReferenceBody(msgspec.Struct, kw_only=True):
    """A picture, clip or sound that the task was given; `index` from 1, as in the prompt."""

    index: int
    kind: Media
    role: Role
    name: str
    media_type: str
    #: Bytes.
    size: int
    width: int | None
    height: int | None
    duration_ms: int | None


class ResultBody(msgspec.Struct, kw_only=True):
    """One finished picture or video."""

    index: int
    #: Our copy; null until it is stored, and again when it was removed.
    url: str | None
    #: A small picture of it: a video's poster, or an image made small; null where there is none.
    preview_url: str | None
    #: Where the site serves it, for as long as that lasts.
    upstream_url: str
    media_type: str | None
    width: int | None
    height: int | None
    duration_ms: int | None
    size: int | None
    sha256: str | None
    #: When the file was removed on purpose, and why; null as long as it is here.
    removed_at: str | None
    removed_why: Removal | None


class FailureBody(msgspec.Struct, kw_only=True):
    """Why a task or a check failed."""

    kind: ErrorKind
    code: str
    message: str
    retryable: bool
    owner: Owner
    #: The redacted reply it was read from; admins only.
    raw: str | UnsetType = UNSET


class TaskBody(msgspec.Struct, kw_only=True):
    """A task. Times are RFC 3339 in UTC."""

    id: str
    object: Literal["task"] = "task"
    kind: Kind
    model: str
    stage: Stage
    #: The same as stage, for older clients.
    status: Stage
    prompt: str
    request: RequestBody
    references: list[ReferenceBody]
    #: 0 to 1; an estimate, 1 only when the files are here.
    progress: float
    queue_position: int | None
    queue_total: int | None
    #: Seconds until the result is expected, as the site forecasts it.
    queue_eta: int | None
    #: Only for pictures.
    image_urls: list[str] | UnsetType = UNSET
    #: Only for videos.
    video_url: str | UnsetType | None = UNSET
    results: list[ResultBody]
    error_kind: ErrorKind | None
    error_message: str | None
    error: FailureBody | None
    #: The result came after the deadline had failed the task.
    late: bool
    attempts: int
    session_id: str | None
    retry_of: str | None
    poll_url: str
    created_at: str
    updated_at: str
    submitted_at: str | None
    accepted_at: str | None
    finished_at: str | None
    deadline_at: str


def task_json(
    task: Task, now: int, links: Links, language: Language = Language.EN, *, admin: bool = False
) -> TaskBody:
    """The task as its caller sees it at `now`."""
    results = [_result(task, result, links) for result in task.results]
    urls = [result.url for result in results if result.url is not None]
    picture = task.request.kind is Kind.IMAGE
    error = failure_json(task.failure, language, admin=admin) if task.failure else None
    return TaskBody(
        id=task.id,
        kind=task.request.kind,
        model=task.request.model,
        stage=task.stage,
        status=task.stage,
        prompt=task.request.prompt,
        request=request_json(task.request),
        references=[
            reference_json(entry, number) for number, entry in enumerate(task.request.references, start=1)
        ],
        progress=round(progress(task, now), 4),
        queue_position=task.queue_position,
        queue_total=task.queue_total,
        queue_eta=task.queue_eta,
        image_urls=urls if picture else UNSET,
        video_url=UNSET if picture else next(iter(urls), None),
        results=results,
        error_kind=error.kind if error else None,
        error_message=error.message if error else None,
        error=error,
        late=task.late,
        attempts=task.attempts,
        session_id=task.session_id,
        retry_of=task.retry_of,
        poll_url=links.task(task.id),
        created_at=instant(task.created_at),
        updated_at=instant(task.updated_at),
        submitted_at=maybe_instant(task.submitted_at),
        accepted_at=maybe_instant(task.accepted_at),
        finished_at=maybe_instant(task.finished_at),
        deadline_at=instant(task.deadline_at),
    )


def request_json(request: GenerationRequest) -> RequestBody:
    """What was chosen, defaults filled in."""
    return RequestBody(
        kind=request.kind,
        model=request.model,
        ratio=request.ratio,
        resolution=request.resolution,
        width=request.width,
        height=request.height,
        n=request.count,
        negative_prompt=request.negative_prompt,
        sample_strength=request.sample_strength,
        intelligent_ratio=request.intelligent_ratio,
        multi_image=request.multi_image,
        seed=request.seed,
        duration=request.duration_ms / 1000 if request.kind is Kind.VIDEO else None,
    )


def reference_json(reference: Reference, number: int) -> ReferenceBody:
    """A reference as its caller sees it."""
    return ReferenceBody(
        index=number,
        kind=reference.kind,
        role=reference.role,
        name=reference.name,
        media_type=reference.media_type,
        size=reference.size,
        width=reference.width or None,
        height=reference.height or None,
        duration_ms=reference.duration_ms or None,
    )


def _result(task: Task, result: Result, links: Links) -> ResultBody:
    return ResultBody(
        index=result.index,
        url=links.content(task.id, result.index) if result.file is not None else None,
        preview_url=links.preview(task.id, result.index) if _has_preview(result) else None,
        upstream_url=result.upstream_url,
        media_type=result.media_type,
        width=result.width,
        height=result.height,
        duration_ms=result.duration_ms,
        size=result.size,
        sha256=result.sha256,
        removed_at=maybe_instant(result.removed_at),
        removed_why=result.removed_why,
    )


def _has_preview(result: Result) -> bool:
    """An image without a small picture is its own."""
    return result.preview_file is not None or (result.kind == "image" and result.file is not None)


def failure_json(failure: Failure, language: Language = Language.EN, *, admin: bool) -> FailureBody:
    """A failure; what the site answered is for the operator alone."""
    return FailureBody(
        kind=failure.kind,
        code=failure.code,
        message=failure_message(failure.kind, failure.message, language),
        retryable=failure.retryable,
        owner=failure.owner,
        raw=failure.raw if admin else UNSET,
    )


class TaskList(msgspec.Struct, kw_only=True):
    """A page of tasks, newest first."""

    object: Literal["list"] = "list"
    data: list[TaskBody]
    has_more: bool
    #: Give it as `cursor` for the next page; null at the end.
    next_cursor: str | None


class EventBody(msgspec.Struct, kw_only=True):
    """One recorded fact in the life of a task."""

    seq: int
    at: str
    name: str
    data: dict[str, Any]


class EventList(msgspec.Struct, kw_only=True):
    """The events of a task, oldest first."""

    object: Literal["list"] = "list"
    data: list[EventBody]


def event_json(event: TaskEvent, language: Language = Language.EN) -> EventBody:
    """An event as callers see it; of what was recorded only the message of a failure is for people."""
    data = event.data
    if language is not Language.EN and "kind" in data and "message" in data:
        data = {**data, "message": failure_message(str(data["kind"]), str(data["message"]), language)}
    return EventBody(seq=event.seq, at=instant(event.at), name=event.name, data=data)
