"""Every change a task can undergo, as functions from a task to the task that follows and what to record.

The store reads a task under a lock, asks one of these functions, and writes what it answers; nothing else
changes a task. None means that the change no longer applies (somebody else was faster): write nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from jimeng_gateway.domain import policy
from jimeng_gateway.domain.errors import ErrorKind, Failure
from jimeng_gateway.domain.policy import Cadence, Limits
from jimeng_gateway.domain.record import Accepted, Item, JobState, Record
from jimeng_gateway.domain.task import TERMINAL, Move, Result, Stage, Task, after

#: (name, data) of an event.
Fact = tuple[str, dict[str, object]]


@dataclass(frozen=True, slots=True)
class Change:
    """The task afterwards and the events that say why."""

    task: Task
    facts: tuple[Fact, ...] = ()


def reserve(task: Task, *, owner: str, session_id: str, slot: int, reason: str, now: int) -> Change | None:
    """A slot has been taken for a queued task."""
    if task.stage is not Stage.QUEUED:
        return None
    following = _moved(task, Move.RESERVE, now, owner=owner, session_id=session_id, due_at=None)
    return Change(following, (("task.reserved", {"session_id": session_id, "slot": slot, "reason": reason}),))


def intend(task: Task, *, owner: str, submit_id: str, now: int) -> Change | None:
    """The request is about to leave; from here on it may cost credits."""
    if not _held(task, owner, Stage.SUBMITTING) or task.submit_id is not None:
        return None
    following = replace(
        task, submit_id=submit_id, submitted_at=now, attempts=task.attempts + 1, updated_at=now, misses=0
    )
    facts: Fact = ("submit.sent", {"submit_id": submit_id, "attempt": following.attempts})
    return Change(following, (facts,))


def accept(
    task: Task,
    accepted: Accepted,
    *,
    limits: Limits,
    cadence: Cadence,
    now: int,
    chance: float,
    adopted: bool = False,
    usual: float | None = None,
) -> Change | None:
    """The site has the job; `adopted` says that it was found by asking for its submit_id.

    `usual` is how many seconds jobs of its model usually take, if that is known.
    """
    if task.stage is not Stage.SUBMITTING or task.submit_id is None:
        return None
    record = accepted.record
    following = _moved(
        task,
        Move.ACCEPT,
        now,
        owner=None,
        history_id=accepted.history_id or None,
        uncertain_at=None,
        accepted_at=now,
        misses=0,
        deadline_at=_deadline(task, limits, now),
        due_at=now + policy.first_poll(task.request.kind, record, cadence, chance, usual),
        images_total=record.images_total if record else None,
    )
    if record is not None:
        following = _observed(following, record)
    name = "submit.adopted" if adopted else "submit.accepted"
    return Change(following, ((name, {"history_id": accepted.history_id}),))


def refuse(
    task: Task,
    failure: Failure,
    verdict: policy.TryAgain | policy.GiveUp,
    *,
    now: int,
    what: str = "submit.refused",
) -> Change | None:
    """The site surely did not take the current submission, or, before there was one, its references."""
    if task.stage is not Stage.SUBMITTING:
        return None
    fact: Fact = (what, _failure_data(failure) | {"session_id": task.session_id})
    if isinstance(verdict, policy.TryAgain):
        return Change(_requeued(task, now + verdict.pause, now), (fact,))
    return Change(_failed(task, failure, now), (fact, ("task.failed", _failure_data(failure))))


def doubt(task: Task, failure: Failure, *, now: int, in_flight: int = 0) -> Change | None:
    """The submission may have been accepted: from now on the site is asked for its submit_id.

    Its request may arrive for another `in_flight` milliseconds, in which its absence says nothing. Whoever
    sent it knows that it has ended, so their word replaces what was reckoned without them.
    """
    if task.stage is not Stage.SUBMITTING or task.submit_id is None:
        return None
    following = replace(
        task, owner=None, uncertain_at=now + in_flight, misses=0, due_at=now + 1000, updated_at=now
    )
    return Change(following, (("submit.uncertain", _failure_data(failure)),))


def abandon(task: Task, *, now: int, why: str, in_flight: int = 0) -> Change | None:
    """The process that held the task is gone; a request of its may be under way for `in_flight` ms more."""
    if task.owner is None:
        return None
    if task.stage is Stage.SUBMITTING and task.submit_id is not None:
        lost = Failure(ErrorKind.NETWORK, "process_lost", why)
        return doubt(replace(task, owner=None), lost, now=now, in_flight=in_flight)
    fact: Fact = ("task.taken_over", {"reason": why})
    if task.stage is Stage.SUBMITTING:
        return Change(_requeued(task, now, now), (fact,))
    return Change(replace(task, owner=None, due_at=now, updated_at=now), (fact,))


def observe(
    task: Task,
    record: Record | None,
    *,
    limits: Limits,
    cadence: Cadence,
    now: int,
    chance: float,
    absences: int = 0,
    other_login: bool = False,
) -> Change | None:
    """What a well-formed poll reply makes of a task; `record` is None if the reply did not hold it.

    `absences` counts its earlier submits that were never found. With `other_login` the reply was given to
    another login than the one that submitted, which may not see the job: then its absence says nothing.
    """
    if task.owner is not None or task.submit_id is None:
        return None
    polled = replace(task, polls=task.polls + 1, misses=0 if record else task.misses + 1)
    match task.stage:
        case Stage.SUBMITTING if task.uncertain_at is not None:
            if record is None:
                sure = not other_login and policy.reconciled_absent(task, now, limits)
                return _missing(polled, sure, absences, limits=limits, now=now, chance=chance)
            return _adopted(polled, record, limits=limits, cadence=cadence, now=now, chance=chance)
        case Stage.POLLING:
            return _poll(polled, record, cadence=cadence, now=now, chance=chance)
        case Stage.FAILED if task.due_at is not None and not task.late:
            return _look_for_late(polled, record, limits=limits, now=now, chance=chance)
        case _:
            return None


def postpone(task: Task, *, until: int, limits: Limits, now: int) -> Change | None:
    """The poll itself failed; nothing is known and nothing is lost."""
    if task.due_at is None or task.owner is not None:
        return None
    return stop_watching(task, limits=limits, now=now) or Change(replace(task, due_at=until))


def begin_collect(task: Task, *, owner: str) -> Change | None:
    """A process starts to fetch the files."""
    if task.owner is not None or not task.collecting:
        return None
    return Change(replace(task, owner=owner))


def collected(task: Task, results: tuple[Result, ...], *, owner: str, now: int) -> Change | None:
    """Every file is in hand and whole."""
    if task.owner != owner or not task.collecting:
        return None
    facts: Fact = ("results.stored", {"count": len(results), "bytes": sum(r.size or 0 for r in results)})
    if task.stage is Stage.FAILED:
        following = replace(task, owner=None, due_at=None, results=results, updated_at=now)
        return Change(following, (facts, ("task.collected_late", {})))
    following = _moved(task, Move.STORE, now, owner=None, due_at=None, results=results, finished_at=now)
    made, wanted = len(results), task.images_total or len(results)
    data: dict[str, object] = {"results": made}
    if made < wanted:
        data["missing"] = wanted - made
    return Change(following, (facts, ("task.succeeded", data)))


def not_collected(
    task: Task, failure: Failure, *, owner: str, limits: Limits, now: int, chance: float
) -> Change | None:
    """Fetching failed; the result is paid for, so it is tried again, beyond the deadline too.

    Except one that is larger than allowed: it never becomes smaller.
    """
    if task.owner != owner or not task.collecting:
        return None
    told: Fact = ("download.failed", _failure_data(failure))
    if failure.code == policy.RESULT_TOO_LARGE:
        if task.stage is Stage.FAILED:
            return Change(replace(task, owner=None, due_at=None, updated_at=now), (told,))
        return Change(_failed(task, failure, now), (told, ("task.failed", _failure_data(failure))))
    over = now >= task.deadline_at + limits.late_window
    due_at = None if over else now + policy.after_download_error(task.misses, chance)
    following = replace(task, owner=None, due_at=due_at, misses=task.misses + 1, updated_at=now)
    return Change(following, (told,))


def cancel(task: Task, *, now: int) -> Change | None:
    """The caller does not want it any more."""
    if task.stage in TERMINAL:
        return None
    following = _moved(task, Move.CANCEL, now, owner=None, due_at=None, finished_at=now)
    return Change(following, (("task.cancelled", {"stage": str(task.stage)}),))


def time_out(task: Task, *, limits: Limits, now: int) -> Change | None:
    """The deadline has passed; a job the site may still finish is watched for a while longer."""
    if task.stage in TERMINAL or task.owner is not None or now < task.deadline_at:
        return None
    what = "waited for a free account" if task.submit_id is None else "did not finish upstream"
    seconds = (task.request.expires_after_ms or limits.deadline(task.request.kind)) // 1000
    failure = Failure(ErrorKind.TIMEOUT, "deadline", f"the task {what} within {seconds} s")
    following = _failed(task, failure, now)
    if task.submit_id is not None:
        collecting = task.stage is Stage.DOWNLOADING
        following = replace(following, due_at=now + 60_000, late=collecting)
    return Change(following, (("task.failed", _failure_data(failure)),))


def fail_now(task: Task, failure: Failure, *, now: int) -> Change | None:
    """The task can never be served."""
    if task.stage in TERMINAL:
        return None
    return Change(_failed(task, failure, now), (("task.failed", _failure_data(failure)),))


def stop_watching(task: Task, *, limits: Limits, now: int) -> Change | None:
    """Seven days after the deadline nobody expects the result any more."""
    if task.stage is not Stage.FAILED or task.due_at is None or task.owner is not None:
        return None
    if now < task.deadline_at + limits.late_window:
        return None
    return Change(replace(task, due_at=None, updated_at=now), (("watch.ended", {}),))


def _missing(polled: Task, sure: bool, absences: int, *, limits: Limits, now: int, chance: float) -> Change:
    if not sure:
        return Change(replace(polled, due_at=now + min(5000, policy.absent_poll(polled, chance))))
    fact: Fact = ("submit.absent", {"submit_id": polled.submit_id, "looks": polled.misses})
    if absences + 1 < limits.max_attempts:
        return Change(_requeued(polled, now, now), (fact,))
    # Should the site take them all the same and only list none, each of them was paid.
    message = (
        f"{absences + 1} submits vanished: each ended without a clear answer and was not found afterwards"
    )
    failure = Failure(ErrorKind.UPSTREAM_ERROR, "submits_vanished", message)
    return Change(_failed(polled, failure, now), (fact, ("task.failed", _failure_data(failure))))


def _adopted(
    polled: Task, record: Record, *, limits: Limits, cadence: Cadence, now: int, chance: float
) -> Change | None:
    accepted = Accepted(record.history_id, record)
    change = accept(polled, accepted, limits=limits, cadence=cadence, now=now, chance=chance, adopted=True)
    if change is None or record.state in (JobState.QUEUED, JobState.RUNNING):
        return change
    ended = _poll(change.task, record, cadence=cadence, now=now, chance=chance)
    return Change(ended.task, change.facts + ended.facts)


def _poll(task: Task, record: Record | None, *, cadence: Cadence, now: int, chance: float) -> Change:
    if record is None:
        return Change(replace(task, due_at=now + policy.absent_poll(task, chance)))
    seen = _observed(task, record)
    match record.state:
        case JobState.SUCCEEDED if record.items:
            following = _moved(
                seen, Move.FINISH, now, due_at=now, queue_position=None, queue_total=None, queue_eta=None
            )
            following = replace(following, results=_results(record.items))
            return Change(following, (("generation.finished", {"items": len(record.items)}),))
        case JobState.FAILED:
            failure = record.failure or Failure(
                ErrorKind.GENERATION_FAILED, str(record.status), "the site gave no reason"
            )
            return Change(_failed(seen, failure, now), (("task.failed", _failure_data(failure)),))
        case _:
            facts: tuple[Fact, ...] = ()
            if record.state is JobState.RUNNING and not task.running:
                facts = (("generation.started", {"queue_total": record.queue_total}),)
            seen = replace(seen, running=record.state is JobState.RUNNING)
            pause = policy.next_poll(task, record, now, cadence, chance)
            changed = seen.progress_key != task.progress_key
            return Change(
                replace(seen, due_at=now + pause, updated_at=now if changed else task.updated_at), facts
            )


def _look_for_late(
    task: Task, record: Record | None, *, limits: Limits, now: int, chance: float
) -> Change | None:
    if record is not None and record.state is JobState.SUCCEEDED and record.items:
        found = replace(task, late=True, results=_results(record.items), due_at=now, updated_at=now)
        return Change(found, (("generation.finished_late", {"items": len(record.items)}),))
    if record is not None and record.state is JobState.FAILED:
        return Change(replace(task, due_at=None, updated_at=now), (("generation.failed_late", {}),))
    if now >= task.deadline_at + limits.late_window:
        return stop_watching(task, limits=limits, now=now)
    return Change(replace(task, due_at=now + policy.late_poll(now, task.deadline_at, chance)))


def _deadline(task: Task, limits: Limits, now: int) -> int:
    """From acceptance on: as long again as in the queue, unless its caller has set an end to it all."""
    if task.request.expires_after_ms:
        return task.created_at + task.request.expires_after_ms
    return now + limits.deadline(task.request.kind)


def _held(task: Task, owner: str, stage: Stage) -> bool:
    return task.owner == owner and task.stage is stage


def _moved(task: Task, move: Move, now: int, **fields: object) -> Task:
    return replace(task, stage=after(task.stage, move), updated_at=now, **fields)  # type: ignore[arg-type]


def _requeued(task: Task, due_at: int, now: int) -> Task:
    return _moved(
        task,
        Move.REQUEUE,
        now,
        owner=None,
        session_id=None,
        submit_id=None,
        history_id=None,
        uncertain_at=None,
        misses=0,
        due_at=due_at,
    )


def _failed(task: Task, failure: Failure, now: int) -> Task:
    return _moved(task, Move.FAIL, now, owner=None, due_at=None, failure=failure, finished_at=now)


def _observed(task: Task, record: Record) -> Task:
    forecast = record.forecast_generate_s
    if forecast is not None or record.forecast_queue_s is not None:
        forecast = (forecast or 0) + (record.forecast_queue_s or 0)
    return replace(
        task,
        history_id=record.history_id or task.history_id,
        queue_position=record.queue_position,
        queue_total=record.queue_total,
        queue_eta=forecast,
        images_done=max(task.images_done, record.images_done),
        images_total=record.images_total or task.images_total,
    )


def _results(items: tuple[Item, ...]) -> tuple[Result, ...]:
    return tuple(
        Result(
            index=index,
            kind=item.kind,
            upstream_url=item.url,
            item_id=item.item_id,
            width=item.width,
            height=item.height,
            duration_ms=item.duration_ms,
            preview_url=item.preview_url,
        )
        for index, item in enumerate(items)
    )


def _failure_data(failure: Failure) -> dict[str, object]:
    return {
        "kind": str(failure.kind),
        "code": failure.code,
        "message": failure.message,
        "owner": str(failure.owner),
    }
