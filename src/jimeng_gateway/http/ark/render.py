"""A task in Ark's words (ark.md 2.6 and 8), whichever door it came in by.

Pure, so that a callback can be told exactly what a get would have told (ark.md 2.9).
"""

from __future__ import annotations

from msgspec import UNSET

from jimeng_gateway.domain.deliveries import Event, event_of
from jimeng_gateway.domain.errors import Owner
from jimeng_gateway.domain.options import ArkStatus
from jimeng_gateway.domain.reference import Media
from jimeng_gateway.domain.request import Kind
from jimeng_gateway.domain.task import Result, Stage, Task
from jimeng_gateway.domain.words import Language, failure_message
from jimeng_gateway.http.ark.asks import FPS
from jimeng_gateway.http.ark.shapes import ArkContent, ArkFailure, ArkTask, ArkUsage
from jimeng_gateway.http.dialects import ark_code
from jimeng_gateway.http.links import Links

DOOR = "ark"
#: Pixels that make one token.
_TOKEN_OF_VIDEO = 1024
_TOKEN_OF_IMAGE = 256
#: Programs that wait on for ever at `cancelled` and `expired` (clients.md 6 and 10.1).
_LENIENT_AGENTS = ("ai-sdk", "Go-http-client")


def is_lenient(option: ArkStatus, user_agent: str) -> bool:
    """Whether this client is told `failed` in place of the ends that it may not know."""
    if option is ArkStatus.AUTO:
        return any(agent in user_agent for agent in _LENIENT_AGENTS)
    return option is ArkStatus.LENIENT


def status_of(task: Task, *, lenient: bool = False) -> Event:
    """The status; what waits in the site's queue is still queued, and can be cancelled."""
    status = event_of(task)
    return Event.FAILED if lenient and status in (Event.CANCELLED, Event.EXPIRED) else status


def model_of(task: Task) -> str:
    """The model as its caller named it."""
    return str(task.memo.get("model", task.request.model)) if task.door == DOOR else task.request.model


def task_json(
    task: Task, links: Links, *, lenient: bool = False, language: Language = Language.EN
) -> ArkTask:
    """The task, as a get and a callback tell it."""
    request, memo = task.request, task.memo if task.door == DOOR else {}
    video = request.kind is Kind.VIDEO
    frames = _whole(memo.get("frames"))
    return ArkTask(
        id=task.id,
        model=model_of(task),
        status=status_of(task, lenient=lenient),
        error=failure_of(task, language),
        content=_content(task, links),
        usage=_usage(task),
        created_at=task.created_at // 1000,
        updated_at=task.updated_at // 1000,
        seed=-1 if request.seed is None else request.seed,
        resolution=request.resolution,
        ratio=request.ratio,
        duration=request.duration_ms // 1000 if video and not frames else UNSET,
        frames=frames if video and frames else UNSET,
        framespersecond=request.fps,
        generate_audio=request.omni,
        execution_expires_after=(task.deadline_at - task.created_at) // 1000,
        priority=_whole(memo.get("priority")),
    )


def failure_of(task: Task, language: Language = Language.EN) -> ArkFailure | None:
    """Why the task has no result; None unless it ended without one."""
    if task.stage is Stage.CANCELLED:
        return ArkFailure(code=ark_code("task_cancelled", 409), message="the task was cancelled")
    if task.stage is not Stage.FAILED or task.failure is None:
        return None
    failure = task.failure
    status = 400 if failure.owner is Owner.CALLER else 500
    return ArkFailure(
        code=ark_code(str(failure.kind), status),
        message=failure_message(failure.kind, failure.message, language),
    )


def picture_tokens(result: Result, task: Task) -> int:
    """What Ark would count for a picture (ark.md 3.2)."""
    width, height = pixels(result, task)
    return width * height // _TOKEN_OF_IMAGE


def pixels(result: Result, task: Task) -> tuple[int, int]:
    """Width and height as the site tells them, else as they were ordered."""
    return result.width or task.request.width, result.height or task.request.height


def _content(task: Task, links: Links) -> ArkContent | None:
    if task.stage is not Stage.SUCCEEDED or not task.results:
        return None
    link = links.content(task.id, task.results[0].index)
    return ArkContent(video_url=link) if task.request.kind is Kind.VIDEO else ArkContent(file_url=link)


def _usage(task: Task) -> ArkUsage | None:
    if task.stage is not Stage.SUCCEEDED:
        return None
    if task.request.kind is Kind.IMAGE:
        tokens = sum(picture_tokens(result, task) for result in task.results)
    else:
        tokens = sum(_video_tokens(result, task) for result in task.results)
    return ArkUsage(completion_tokens=tokens, total_tokens=tokens)


def _video_tokens(result: Result, task: Task) -> int:
    """(input video + output) seconds, times pixels, times frames, by 1024 (ark.md 2.6)."""
    given = sum(entry.duration_ms for entry in task.request.references if entry.kind is Media.VIDEO)
    width, height = pixels(result, task)
    return (given + task.request.duration_ms) * width * height * FPS // (1000 * _TOKEN_OF_VIDEO)


def _whole(value: object) -> int:
    return value if isinstance(value, int) else 0
