"""From a task to what a model is told of it: the structured result, and a line that says what to do next."""

from __future__ import annotations

from dataclasses import dataclass

from jimeng_gateway.domain.costs import Estimate, estimate
from jimeng_gateway.domain.errors import Owner
from jimeng_gateway.domain.request import Kind
from jimeng_gateway.domain.task import Result, Stage, Task, progress
from jimeng_gateway.domain.words import Language
from jimeng_gateway.gateway import Rehearsal
from jimeng_gateway.http.links import Links
from jimeng_gateway.http.mcp_door.shapes import LONGEST_WAIT, JobBody, JobError
from jimeng_gateway.http.outcome import stored
from jimeng_gateway.http.spending import EstimateBody
from jimeng_gateway.http.views import failure_json, instant
from jimeng_gateway.store.sniff import SUFFIXES

#: How often asking makes sense where the site gave no forecast, in milliseconds.
_USUAL_POLL = {Kind.IMAGE: 3_000, Kind.VIDEO: 10_000}
_LONGEST_POLL = 30_000


@dataclass(frozen=True, slots=True)
class Link:
    """A finished file, to be fetched by whoever wants it."""

    url: str
    name: str
    media_type: str | None
    #: Bytes.
    size: int | None


def job_json(task: Task, now: int, links: Links, language: Language = Language.EN) -> JobBody:
    """The task as it is at `now`."""
    failure = failure_json(task.failure, language, admin=False) if task.failure else None
    return JobBody(
        id=task.id,
        kind=task.request.kind,
        model=task.request.model,
        prompt=task.request.prompt,
        status=task.stage,
        progress=round(progress(task, now), 4),
        poll_after_ms=poll_after(task),
        urls=[link.url for link in links_of(task, links)],
        error=JobError(code=failure.kind, message=failure.message) if failure else None,
        estimate=estimate_json(estimate(task.request)),
        created_at=instant(task.created_at),
        next=_next(task),
    )


def rehearsed_json(rehearsal: Rehearsal) -> JobBody:
    """What a dry run says."""
    request = rehearsal.request
    return JobBody(
        id=None,
        kind=request.kind,
        model=request.model,
        prompt=request.prompt,
        status=None,
        progress=0.0,
        poll_after_ms=None,
        urls=[],
        error=None,
        estimate=estimate_json(rehearsal.estimate),
        created_at=None,
        next="Nothing was made. Call the tool again without dry_run to make it.",
    )


def estimate_json(found: Estimate) -> EstimateBody:
    """An estimate as other doors show it."""
    return EstimateBody(credits=found.credits, basis=found.basis)


def links_of(task: Task, links: Links) -> list[Link]:
    """The files that are here."""
    return [
        Link(links.content(task.id, one.index), _name(task, one), one.media_type, one.size)
        for one in stored(task)
    ]


def _name(task: Task, result: Result) -> str:
    return f"{task.id}-{result.index}.{SUFFIXES.get(result.media_type or '', 'bin')}"


def poll_after(task: Task) -> int | None:
    """Milliseconds after which the task may have changed; None when it will not any more."""
    if task.terminal:
        return None
    usual = _USUAL_POLL[task.request.kind]
    return min(max(usual, (task.queue_eta or 0) * 500), _LONGEST_POLL)


def _next(task: Task) -> str:
    match task.stage:
        case Stage.SUCCEEDED if any(one.removed_at is not None for one in task.results) and not stored(task):
            return "Its files have been removed by now. To make it again costs credits: ask the user first."
        case Stage.SUCCEEDED:
            return "Give the links in urls to the user; they open without a key."
        case Stage.FAILED:
            return _after_failure(task)
        case Stage.CANCELLED:
            return "Nothing more will come of it."
        case _:
            return (
                f'Call wait_job with {{"id": "{task.id}", "timeout_s": {LONGEST_WAIT}}}, again and again '
                "until it has ended. Do not generate it a second time: that would pay twice."
            )


def _after_failure(task: Task) -> str:
    failure = task.failure
    if failure is not None and failure.owner is Owner.CALLER:
        return "Change the request before you try again; the same one will be refused again."
    if failure is not None and failure.retryable:
        return "The same request may succeed later. Ask the user before you try again."
    return "Tell the user; trying again is not likely to help."


def job_text(job: JobBody) -> str:
    """All that matters about a job, for clients that show only text to the model."""
    if job.id is None:
        return f"The request is in order: {_what(job)}, {cost(job.estimate)}. {job.next}"
    lines = [f"Job {job.id} ({_what(job)}): {job.status}{_how_far(job)}."]
    if job.error is not None:
        lines = [f"Job {job.id} ({_what(job)}): {job.status}, {job.error.code}: {job.error.message}"]
    return "\n".join([*lines, *job.urls, job.next])


def _what(job: JobBody) -> str:
    return f"{job.kind}, {job.model}"


def _how_far(job: JobBody) -> str:
    return f", {round(job.progress * 100)} % done" if job.poll_after_ms is not None else ""


def cost(estimate: EstimateBody) -> str:
    """An estimate in words."""
    if estimate.credits is None:
        return "cost not known"
    return f"about {estimate.credits} credit{'' if estimate.credits == 1 else 's'}"


def waiting_text(task: Task, now: int) -> str:
    """What is told while somebody waits."""
    place = "" if task.queue_position is None else f", place {task.queue_position} in the site's queue"
    return f"{task.stage}, {round(progress(task, now) * 100)} % done{place}"
