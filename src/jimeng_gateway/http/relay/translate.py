"""Between a relay's words and ours; values to values."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from jimeng_gateway.domain.errors import InvalidRequest
from jimeng_gateway.domain.intake import Wish
from jimeng_gateway.domain.reference import Reference
from jimeng_gateway.domain.request import Kind
from jimeng_gateway.domain.task import Result, Stage, Task, progress
from jimeng_gateway.domain.words import Language, failure_message
from jimeng_gateway.http.body import parse_json
from jimeng_gateway.http.givens import FIELDS, Given, from_json
from jimeng_gateway.http.links import Links
from jimeng_gateway.http.outcome import JobFailed, stored
from jimeng_gateway.http.relay.shapes import (
    LIFTED,
    OPTIONS,
    RelayError,
    RelayMetadata,
    RelayRecord,
    RelayStatus,
    RelayTask,
    RelayVideo,
)

_NESTED = re.compile(r"metadata\[(\w+)\]")


def unpack(values: dict[str, Any]) -> tuple[dict[str, Any], Sequence[Given]]:
    """References and fields out of `metadata`, which a form has as JSON or as fields like `metadata[ratio]`.

    A field that is said in both places counts as it stands in the request itself.
    """
    left = {name: value for name, value in values.items() if not _NESTED.fullmatch(name)}
    nested = {match[1]: values[name] for name in values if (match := _NESTED.fullmatch(name))}
    metadata = left.get("metadata")
    if isinstance(metadata, str):
        metadata = parse_json(metadata.encode())
    if metadata is None:
        metadata = nested
    elif isinstance(metadata, dict):
        metadata = {**metadata, **nested}
    else:
        return left, ()
    givens = tuple(from_json({name: value for name, value in metadata.items() if name in FIELDS}))
    rest = {name: value for name, value in metadata.items() if name not in FIELDS and value is not None}
    lifted = {name: rest.pop(name) for name in LIFTED if name in rest}
    left |= {name: value for name, value in lifted.items() if not left.get(name)}
    return {**left, "metadata": rest} if rest else _without(left, "metadata"), givens


def wish_of(body: RelayVideo, references: tuple[Reference, ...]) -> Wish:
    """The wish; InvalidRequest for what contradicts itself or has no meaning here."""
    wish = Wish(
        kind=Kind.VIDEO,
        prompt=body.prompt,
        model=body.model,
        n=body.n or None,
        duration=_agreed("duration", body.duration or None, "seconds", body.seconds or None),
        size=_agreed("width", _pixels(body), "size", body.size),
        ratio=body.ratio,
        resolution=body.resolution,
        seed=body.seed,
        references=references,
    )
    return with_options(wish, body.metadata)


def with_options(wish: Wish, metadata: Mapping[str, Any] | None) -> Wish:
    """The wish with what only `metadata` says; InvalidRequest if that contradicts itself."""
    options = _options(metadata or {})
    return replace(
        wish,
        size=wish.size or options.get("size"),
        ratio=wish.ratio
        or _agreed("ratio", options.get("ratio"), "aspect_ratio", options.get("aspect_ratio")),
        resolution=wish.resolution or options.get("resolution"),
        negative_prompt=options.get("negative_prompt"),
    )


def _options(metadata: Mapping[str, Any]) -> dict[str, str]:
    known = {name: value for name, value in metadata.items() if name in OPTIONS}
    for name, value in known.items():
        if not isinstance(value, str):
            raise InvalidRequest(f"field `metadata.{name}`: expected `str`", param="metadata")
    return known


def _pixels(body: RelayVideo) -> str | None:
    if bool(body.width) != bool(body.height):
        raise InvalidRequest(
            "width and height belong together; send both or none", param="height" if body.width else "width"
        )
    return f"{body.width}x{body.height}" if body.width else None


def _agreed(one: str, first: Any, other: str, second: Any) -> Any:
    """Whichever was said; InvalidRequest if both were and they differ."""
    if first and second and str(first) != str(second):
        raise InvalidRequest(f"{one} contradicts {other}", param=one)
    return first or second or None


def _without(values: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key != name}


def status_of(task: Task) -> RelayStatus:
    """One of the four that this dialect knows."""
    match task.stage:
        case Stage.QUEUED:
            return "queued"
        case Stage.SUCCEEDED:
            return "completed"
        case Stage.FAILED | Stage.CANCELLED:
            return "failed"
        case _:
            return "in_progress"


_RECORDED: dict[RelayStatus, Any] = {
    "queued": "QUEUED",
    "in_progress": "IN_PROGRESS",
    "completed": "SUCCESS",
    "failed": "FAILURE",
}


def relay_task(task: Task, now: int, links: Links, language: Language = Language.EN) -> RelayTask:
    """The task as clients of a relay read it."""
    found = next(iter(stored(task)), None)
    url = links.content(task.id, found.index) if found else ""
    error = _error(task, language)
    return RelayTask(
        task_id=task.id,
        status=status_of(task),
        url=url,
        format=_format(found),
        metadata=_metadata(task, found) if found else None,
        error=error,
        data=RelayRecord(
            task_id=task.id,
            status=_RECORDED[status_of(task)],
            fail_reason=error.message if error else "",
            result_url=url,
            submit_time=task.created_at // 1000,
            start_time=(task.accepted_at or 0) // 1000,
            finish_time=(task.finished_at or 0) // 1000,
            progress=f"{round(progress(task, now) * 100)}%",
        ),
    )


def _error(task: Task, language: Language) -> RelayError | None:
    if status_of(task) != "failed":
        return None
    failed = JobFailed(task)
    if task.failure is None:
        return RelayError(code=failed.status, message=failed.message)
    message = failure_message(task.failure.kind, task.failure.message, language)
    return RelayError(code=failed.status, message=message)


def _format(result: Result | None) -> str:
    return (result.media_type or "").rpartition("/")[2] if result else ""


def _metadata(task: Task, result: Result) -> RelayMetadata:
    request = task.request
    return RelayMetadata(
        duration=(result.duration_ms or request.duration_ms) / 1000,
        fps=request.fps if request.kind is Kind.VIDEO else 0,
        width=result.width or request.width,
        height=result.height or request.height,
        seed=request.seed or 0,
    )
