"""The one place where tasks meet slots.

A round runs in one transaction that no other node's round overlaps: it reads who waits and who is free, lets
domain/selection.py decide, and writes stage and slot together. The slot's own row and its unique task column
are the last guard: two rounds could not book one slot even if both believed that they might.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from jimeng_gateway.domain import lifecycle, policy, selection
from jimeng_gateway.domain.errors import ErrorKind, Failure
from jimeng_gateway.domain.lifecycle import Change
from jimeng_gateway.domain.task import Task
from jimeng_gateway.store import submissions, tasks
from jimeng_gateway.store.database import LOCK_RESERVE, Tx

#: How long a task steps back when only sessions that refused it have free slots.
STEP_BACK_MS = 5_000


@dataclass(frozen=True, slots=True)
class Round:
    """What one round did."""

    reserved: tuple[Task, ...]
    failed: tuple[Task, ...]
    #: Whether another round at once may find more.
    more: bool


def reserve(tx: Tx, *, owner: str, now: int, limit: int) -> Round:
    """Gives waiting tasks to free slots; the reserved ones belong to `owner` and must be submitted."""
    tx.serialise(LOCK_RESERVE)
    seats = [
        selection.Seat(row["id"], min(row["free"], row["slots"] - row["taken"]), row["last_used_at"])
        for row in tx.all("session_seats", limit=limit)
    ]
    if not seats:
        return Round((), (), more=False)
    ready = [tasks.from_row(row) for row in tx.all("task_ready", now=now, limit=limit)]
    refusals = {task.id: submissions.refusals(tx, task.id) for task in ready if _may_have_refusals(task)}
    barred = {task_id: policy.excluded(earlier) for task_id, earlier in refusals.items()}
    pool = _pool(tx) if any(barred.values()) else frozenset()
    plan = selection.assign([task.id for task in ready], seats, barred, pool)
    by_id = {task.id: task for task in ready}
    reserved = [_take(tx, by_id[match.task_id], match, owner=owner, now=now) for match in plan.matches]
    failed = [_give_up(tx, by_id[task_id], refusals[task_id], now=now) for task_id in plan.hopeless]
    for task_id in plan.passed_over:
        waiting = by_id[task_id]
        tasks.apply(tx, waiting, Change(replace(waiting, due_at=now + STEP_BACK_MS)), now=now)
    worked = bool(reserved or failed or plan.passed_over)
    return Round(tuple(reserved), tuple(failed), more=len(ready) == limit and worked)


def servable(tx: Tx, refusals: Sequence[policy.Refusal]) -> bool:
    """Whether some session that is switched on may still get a task with these refusals."""
    barred = policy.excluded(refusals)
    return not barred or bool(_pool(tx) - barred)


def _may_have_refusals(task: Task) -> bool:
    # Most tasks have none: that is known without asking.
    return task.attempts > 0 or bool(task.request.references)


def _pool(tx: Tx) -> frozenset[str]:
    return frozenset(row["id"] for row in tx.all("session_pool"))


def _take(tx: Tx, task: Task, match: selection.Match, *, owner: str, now: int) -> Task:
    row = tx.one("slot_take", session_id=match.session_id, task_id=task.id, now=now)
    assert row is not None, "a free slot was counted in this very transaction"
    tx.run("session_used", id=match.session_id, now=now)
    decision = lifecycle.reserve(
        task, owner=owner, session_id=match.session_id, slot=row["n"], reason=match.reason, now=now
    )
    assert decision is not None, "a queued task was read in this very transaction"
    return tasks.apply(tx, task, decision, now=now)


def _give_up(tx: Tx, task: Task, refusals: Sequence[policy.Refusal], *, now: int) -> Task:
    last = submissions.last_failure(tx, task.id) or Failure(ErrorKind.UNKNOWN, "", "")
    message = f"every session refused this task ({len(refusals)} tried); the last one said: {last.message}"
    decision = lifecycle.fail_now(task, replace(last, message=message), now=now)
    assert decision is not None
    return tasks.apply(tx, task, decision, now=now)
