"""Asks the site how the jobs of one session are doing: all of them in one request.

A failed or odd reply changes no task; only a well-formed one does, and what it means is decided by
domain/lifecycle.py. The same request finds out whether uncertain submits exist.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from jimeng_gateway.domain import lifecycle, policy
from jimeng_gateway.domain.errors import ErrorKind, Failure, GatewayError, UpstreamFailure
from jimeng_gateway.domain.record import Record
from jimeng_gateway.domain.session import Identity, Session
from jimeng_gateway.domain.task import Stage, Task
from jimeng_gateway.store import sessions, submissions, tasks
from jimeng_gateway.store.database import Tx
from jimeng_gateway.store.submissions import SubmissionState
from jimeng_gateway.work.bench import Bench

#: Most ids in one request.
MOST = 50
#: Replies in a row without a job after which its other id is tried too.
TRY_HISTORY_ID_AFTER = 3


async def poll_session(bench: Bench, session_id: str, errors: int) -> None:
    """Polls a session that this process has claimed; `errors` is how often that failed in a row."""
    candidates = await bench.db.read(lambda tx: _pollable(tx, session_id))
    batch = policy.batch(candidates, bench.clock.now(), bench.cadence, MOST)
    if not batch.asked:
        await bench.record(lambda tx: _release(tx, bench, session_id, errors, bench.clock.now()))
        return
    try:
        identity = await bench.identities.open(session_id)
        records = await _ask(bench, identity, batch.asked)
    except GatewayError as error:
        failure = _failure(error)
        await _postpone(bench, session_id, batch.asked, failure, errors + 1)
    else:
        await _observe(bench, identity, batch, records)


async def _ask(bench: Bench, identity: Identity, asked: Sequence[Task]) -> dict[str, Record]:
    records = await bench.upstream.records(
        identity, submit_ids=[task.submit_id for task in asked if task.submit_id is not None]
    )
    lost = {
        task.history_id: task.submit_id
        for task in asked
        if task.history_id
        and task.submit_id
        and task.submit_id not in records
        and task.misses >= TRY_HISTORY_ID_AFTER
    }
    if lost:
        records |= await _ask_by_history(bench, identity, lost)
    return records


async def _ask_by_history(bench: Bench, identity: Identity, lost: Mapping[str, str]) -> dict[str, Record]:
    """The second look, from history id to submit id; if it fails, the first reply counts all the same."""
    try:
        found = await bench.upstream.records(identity, history_ids=list(lost))
    except UpstreamFailure as error:
        bench.telemetry.emit("poll.second_look_failed", code=error.failure.code, tasks=len(lost))
        return {}
    return {lost[history_id]: record for history_id, record in found.items() if history_id in lost}


async def _observe(
    bench: Bench, identity: Identity, batch: policy.Batch, records: Mapping[str, Record]
) -> None:
    session_id, now = identity.session_id, bench.clock.now()
    chances = [bench.chance.random() for _ in batch.asked]

    def body(tx: Tx) -> tuple[list[tuple[Task, Task]], Session | None]:
        moved, session = [], None
        for task, chance in zip(batch.asked, chances, strict=True):
            record = records.get(task.submit_id or "")
            following = _observe_one(tx, bench, task, record, login=identity.login, now=now, chance=chance)
            if following is not None and following.stage is not task.stage:
                moved.append((task, following))
                session = _suffered(tx, session_id, following, now=now) or session
        _release(tx, bench, session_id, 0, now + batch.gap)
        return moved, session

    moved, session = await bench.record(body)
    _tell_of(bench, session)
    _learn(bench, moved, records)
    for before, following in moved:
        bench.telemetry.emit(
            "task.advanced", task=following.id, stage=following.stage, was=before.stage, session=session_id
        )


def _learn(bench: Bench, moved: Sequence[tuple[Task, Task]], records: Mapping[str, Record]) -> None:
    for task, _ in moved:
        record = records.get(task.submit_id or "")
        if record is not None and record.took_s is not None:
            bench.pace.learn(task.request.model_key, record.took_s)


def _observe_one(
    tx: Tx, bench: Bench, asked: Task, record: Record | None, *, login: str, now: int, chance: float
) -> Task | None:
    doubted = record is None and asked.stage is Stage.SUBMITTING and asked.submit_id is not None
    submission = submissions.get(tx, asked.submit_id or "") if doubted else None
    following = tasks.change(
        tx,
        asked.id,
        lambda task: (
            lifecycle.observe(
                task,
                record,
                limits=bench.limits,
                cadence=bench.cadence,
                now=now,
                chance=chance,
                absences=submissions.absences(tx, task.id) if doubted else 0,
                other_login=submission is not None and submission.login not in ("", login),
            )
            if task.submit_id == asked.submit_id
            else None
        ),
        now=now,
    )
    if following is None or asked.submit_id is None:
        return following
    gone = following.stage in (Stage.QUEUED, Stage.FAILED) and record is None
    if asked.stage is Stage.SUBMITTING and gone:
        submissions.settle(tx, asked.submit_id, SubmissionState.ABSENT, now=now)
    elif asked.stage is Stage.SUBMITTING and following.stage is not Stage.SUBMITTING:
        submissions.settle(
            tx, asked.submit_id, SubmissionState.ACCEPTED, now=now, history_id=following.history_id
        )
    return following


def _suffered(tx: Tx, session_id: str, following: Task, *, now: int) -> Session | None:
    """What the end of a task does to its session; the session if that changed it."""
    if following.stage is not Stage.FAILED or following.failure is None:
        return None
    return sessions.suffer(tx, session_id, following.failure, now=now)


def _tell_of(bench: Bench, session: Session | None) -> None:
    if session is not None:
        bench.telemetry.emit(f"session.{session.state}", session=session.id, reason=session.reason)


async def _postpone(
    bench: Bench, session_id: str, asked: Sequence[Task], failure: Failure, errors: int
) -> None:
    now = bench.clock.now()
    until = now + policy.after_poll_error(errors, bench.chance.random())

    def body(tx: Tx) -> Session | None:
        for task in asked:
            tasks.change(
                tx,
                task.id,
                lambda found: lifecycle.postpone(found, until=until, limits=bench.limits, now=now),
                now=now,
            )
        session = sessions.suffer(tx, session_id, failure, now=now)
        _release(tx, bench, session_id, errors, until)
        return session

    session = await bench.record(body)
    bench.telemetry.emit(
        "poll.failed", session=session_id, kind=failure.kind, code=failure.code, tasks=len(asked)
    )
    _tell_of(bench, session)


def _pollable(tx: Tx, session_id: str) -> list[Task]:
    rows = tx.all("task_pollable", session_id=session_id, limit=4 * MOST)
    return [tasks.from_row(row) for row in rows]


def _release(tx: Tx, bench: Bench, session_id: str, errors: int, poll_after: int) -> None:
    tx.run("poll_release", id=session_id, owner=bench.lease.owner, poll_after=poll_after, poll_errors=errors)


def _failure(error: GatewayError) -> Failure:
    if isinstance(error, UpstreamFailure):
        return error.failure
    return Failure(ErrorKind.UNKNOWN, error.code, error.message)
