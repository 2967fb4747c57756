"""What must happen by itself: deadlines, work of dead processes, sessions that have rested, the catalogue.

Every round is safe to run on several nodes at once: each change is guarded by the state it starts from.
"""

from __future__ import annotations

from jimeng_gateway.domain import lifecycle
from jimeng_gateway.domain.catalogue import Model
from jimeng_gateway.domain.errors import ErrorKind, GatewayError, UpstreamFailure
from jimeng_gateway.domain.request import Kind
from jimeng_gateway.domain.session import MINUTE, SessionState
from jimeng_gateway.domain.task import Stage
from jimeng_gateway.store import catalogue, intents, sessions, submissions, tasks
from jimeng_gateway.store.database import Tx
from jimeng_gateway.store.submissions import SubmissionState
from jimeng_gateway.work.bench import Bench

#: Dead nodes are forgotten after an hour.
FORGET_MS = 3_600_000
#: A catalogue that could not be read is tried again after five minutes.
CATALOGUE_AGAIN_MS = 300_000


async def take_over(bench: Bench, *, own: bool = False) -> int:
    """Frees what dead processes held, and with `own` what this one does; the number of tasks."""
    now = bench.clock.now()
    me = "" if own else bench.lease.owner
    # Where only one process can be, the one before is surely dead, and so is every request of its.
    in_flight = 0 if bench.lease.alone else bench.limits.in_flight

    def body(tx: Tx) -> int:
        orphans = tx.all("task_orphans", now=now, me=me)
        for row in orphans:
            why = "the process that worked on it is gone"
            # It may only have lost its lease, and have a request on its way still.
            _abandon(tx, row["id"], row["owner"], now=now, why=why, in_flight=in_flight)
        tx.run("poll_orphans", now=now, me=me)
        tx.run("node_forget", before=now - FORGET_MS)
        intents.forget(tx, now=now)
        return len(orphans)

    found = await bench.record(body)
    if found:
        bench.telemetry.emit("tasks.taken_over", count=found)
    return found


async def release_own(bench: Bench, task_ids: list[str], why: str) -> None:
    """Gives back tasks that this process holds but does not work on (any more)."""
    now = bench.clock.now()

    def body(tx: Tx) -> None:
        for task_id in task_ids:
            _abandon(tx, task_id, bench.lease.owner, now=now, why=why)

    await bench.record(body)


async def release_polls(bench: Bench, session_ids: list[str]) -> None:
    """Gives back polls that this process has claimed but does not make (any more)."""

    def body(tx: Tx) -> None:
        for session_id in session_ids:
            tx.run("poll_drop", id=session_id, owner=bench.lease.owner)

    await bench.record(body)


def _abandon(tx: Tx, task_id: str, owner: str, *, now: int, why: str, in_flight: int = 0) -> None:
    """Frees a task if that owner still has it: since it was seen, another node may have taken it over."""
    following = tasks.change(
        tx,
        task_id,
        lambda task: (
            lifecycle.abandon(task, now=now, why=why, in_flight=in_flight) if task.owner == owner else None
        ),
        now=now,
    )
    if following is not None and following.stage is Stage.SUBMITTING and following.submit_id is not None:
        submissions.settle(tx, following.submit_id, SubmissionState.UNCERTAIN, now=now)


async def enforce_deadlines(bench: Bench) -> int:
    """Fails what has taken too long; the number of tasks."""
    now = bench.clock.now()

    def body(tx: Tx) -> list[str]:
        late = [row["id"] for row in tx.all("task_overdue", now=now)]
        return [
            task_id
            for task_id in late
            if tasks.change(
                tx, task_id, lambda task: lifecycle.time_out(task, limits=bench.limits, now=now), now=now
            )
        ]

    failed = await bench.record(body)
    for task_id in failed:
        bench.telemetry.emit("task.timed_out", task=task_id)
    return len(failed)


async def mend_slots(bench: Bench) -> int:
    """Frees slots of tasks that need none. There should be none: finding one is an error worth a look."""

    def body(tx: Tx) -> list[str]:
        leaked = [row["task_id"] for row in tx.all("slot_leaks")]
        for task_id in leaked:
            tx.run("slot_free", task_id=task_id)
        return leaked

    leaked = await bench.record(body)
    for task_id in leaked:
        bench.telemetry.emit("slot.leaked", task=task_id)
    return len(leaked)


async def wake_rested(bench: Bench) -> int:
    """Probes sessions whose rest is over; those that answer come back."""
    now = bench.clock.now()
    rested = await bench.db.read(lambda tx: [row["id"] for row in tx.all("session_rested", now=now)])
    for session_id in rested:
        await probe(bench, session_id)
    return len(rested)


async def probe(bench: Bench, session_id: str) -> None:
    """Asks the site whether a resting session lives, and lets the answer decide."""
    try:
        identity = await bench.identities.open(session_id)
        account = await bench.upstream.account(identity)
    except UpstreamFailure as error:
        failure = error.failure
        now = bench.clock.now()
        if failure.kind in (ErrorKind.AUTH, ErrorKind.ACCOUNT_BLOCKED, ErrorKind.RISK):
            await bench.record(lambda tx: sessions.suffer(tx, session_id, failure, now=now))
        else:
            reason = f"the probe failed: {failure.message}"
            await bench.record(
                lambda tx: sessions.rest_again(tx, session_id, until=now + MINUTE, reason=reason, now=now)
            )
        bench.telemetry.emit("session.probed", session=session_id, kind=failure.kind, ready=False)
        return
    except GatewayError:
        return
    now = bench.clock.now()

    def body(tx: Tx) -> None:
        session = sessions.get(tx, session_id)
        if session is None:
            return
        sessions.learn_account(tx, session_id, account, now=now)
        # Another node may have probed it too, and a submit of its been refused since: that rest counts.
        if session.state is SessionState.COOLING and (session.cooling_until or 0) <= now:
            # The count of rests stays until a submit is taken: a session that is refused again rests longer.
            sessions.recover(tx, session_id, now=now, rests=session.rests)

    await bench.record(body)
    bench.telemetry.emit("session.probed", session=session_id, ready=True)


async def refresh_catalogue(bench: Bench, every: int) -> bool:
    """Reads the live catalogue through a ready session; once per `every` ms on all nodes together.

    Whether all of it was read; a failure is made good sooner than after the usual time.
    """
    candidates = await bench.db.read(lambda tx: [row["id"] for row in tx.all("session_any_ready")])
    if not candidates:
        return False
    now = bench.clock.now()
    if not await bench.record(lambda tx: catalogue.claim(tx, now=now, every=every)):
        return False
    read = [await _refresh_kind(bench, kind, candidates) for kind in Kind]
    if not all(read):
        again = bench.clock.now() + min(every, CATALOGUE_AGAIN_MS)
        await bench.record(lambda tx: catalogue.due(tx, at=again, every=every))
    return all(read)


async def _refresh_kind(bench: Bench, kind: Kind, candidates: list[str]) -> bool:
    for session_id in candidates:
        try:
            identity = await bench.identities.open(session_id)
            models = await bench.upstream.models(identity, kind)
        except GatewayError as error:
            bench.telemetry.emit("catalogue.failed", kind=kind, session=session_id, error=error.message)
            continue
        if models:
            await _keep_models(bench, kind, models)
            bench.telemetry.emit("catalogue.read", kind=kind, models=len(models))
            return True
    return False


async def _keep_models(bench: Bench, kind: Kind, models: tuple[Model, ...]) -> None:
    now = bench.clock.now()
    await bench.record(lambda tx: catalogue.keep(tx, kind, models, now=now))
