"""A task as a Video object of the OpenAI API: four statuses, whole seconds, text where that API has text.

Tasks of every door can be asked for here; only what this door left with its own is read from a memo.
"""

from __future__ import annotations

from msgspec import UNSET

from jimeng_gateway.domain.request import Kind
from jimeng_gateway.domain.task import Stage, Task, progress
from jimeng_gateway.domain.words import Language, failure_message
from jimeng_gateway.http.dialects import openai_code
from jimeng_gateway.http.links import Links
from jimeng_gateway.http.openai import DOOR
from jimeng_gateway.http.openai.replies import VideoError, VideoFacts, VideoJob
from jimeng_gateway.http.outcome import stored

POLL_AFTER = "openai-poll-after-ms"

#: Milliseconds. SDKs keep to the first answer for the whole job, and ask first right after the order (5.6):
#: so a job that has not begun is told what suits all of its life.
_USUAL_WAIT = {Kind.IMAGE: 1000, Kind.VIDEO: 3000}
_SHORTEST_WAIT = 1000
_LONGEST_WAIT = 10_000

_STATUSES = {
    Stage.QUEUED: "queued",
    Stage.SUBMITTING: "in_progress",
    Stage.POLLING: "in_progress",
    Stage.DOWNLOADING: "in_progress",
    Stage.SUCCEEDED: "completed",
    Stage.FAILED: "failed",
    Stage.CANCELLED: "failed",
}


def video_json(task: Task, now: int, links: Links, language: Language = Language.EN) -> VideoJob:
    """The task as its caller sees it at `now`."""
    url = next((links.content(task.id, result.index) for result in stored(task)), UNSET)
    done = task.stage is Stage.SUCCEEDED
    return VideoJob(
        id=task.id,
        model=_own(task, "model") or task.request.model,
        status=_STATUSES[task.stage],  # type: ignore[arg-type]
        progress=percentage(task, now),
        created_at=task.created_at // 1000,
        completed_at=task.finished_at // 1000 if done and task.finished_at is not None else None,
        error=_error(task, language),
        prompt=task.request.prompt,
        remixed_from_video_id=_own(task, "remixed_from"),
        seconds=f"{task.request.duration_ms / 1000:g}",
        size=f"{task.request.width}x{task.request.height}",
        url=url,
        video_url=url,
        metadata=VideoFacts(
            stage=task.stage, queue_position=task.queue_position, queue_total=task.queue_total
        ),
    )


def percentage(task: Task, now: int) -> int:
    """0 to 100, and 100 only when the file is here."""
    return int(progress(task, now) * 100)


def poll_after(task: Task, now: int) -> int:
    """Milliseconds until it makes sense to ask again: when the gateway itself asks next, within reason."""
    if task.terminal:
        return _SHORTEST_WAIT
    if task.stage is not Stage.POLLING or task.due_at is None:
        return _USUAL_WAIT[task.request.kind]
    return max(_SHORTEST_WAIT, min(_LONGEST_WAIT, task.due_at - now))


def _own(task: Task, name: str) -> str | None:
    """What this door left with the task."""
    value = task.memo.get(name) if task.door == DOOR else None
    return value if isinstance(value, str) else None


def _error(task: Task, language: Language) -> VideoError | None:
    if task.failure is not None:
        message = failure_message(task.failure.kind, task.failure.message, language)
        return VideoError(code=openai_code(task.failure.kind), message=message)
    if task.stage is Stage.CANCELLED:
        message = "已取消" if language is Language.ZH else "it was cancelled"
        return VideoError(code=str(task.stage), message=message)
    return None
