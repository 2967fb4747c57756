"""From a reserved slot to a job at the site, without ever paying twice.

The order is the promise: references are brought to the session; the intent, with its submit_id, is committed;
then the lease is checked; then the request leaves once. Whatever comes back, or does not, is one of four
outcomes: accepted, surely refused, uncertain (the site is asked for the submit_id until it is certain), or
not ours any more.
"""

from __future__ import annotations

from jimeng_gateway.domain import lifecycle, policy
from jimeng_gateway.domain.errors import (
    Acceptance,
    ErrorKind,
    Failure,
    GatewayError,
    StoreError,
    UpstreamFailure,
)
from jimeng_gateway.domain.ports import Order
from jimeng_gateway.domain.record import Accepted
from jimeng_gateway.domain.session import Identity, Session
from jimeng_gateway.domain.task import Stage, Task
from jimeng_gateway.store import reservation, sessions, submissions, tasks, uploads
from jimeng_gateway.store.database import Tx
from jimeng_gateway.store.submissions import SubmissionState
from jimeng_gateway.work import references
from jimeng_gateway.work.bench import Bench

SEEDS = 2**32
#: The site cannot read an uploaded file (3020), or does not know it, for which it has no code of its own.
UNUSABLE = frozenset({"3020", "1000"})


async def submit(bench: Bench, task: Task) -> None:
    """Submits a task that this process has reserved."""
    assert task.session_id is not None
    try:
        identity = await bench.identities.open(task.session_id)
    except GatewayError as error:
        # Removed, or sealed with another key: unusable until it gets a new credential.
        kind = ErrorKind.UNKNOWN if isinstance(error, StoreError) else ErrorKind.AUTH
        await _unsendable(bench, task, Failure(kind, error.code, error.message))
        return
    try:
        uploaded = await references.prepare(bench, task, identity)
    except UpstreamFailure as error:
        await references.failed(bench, task, error.failure)
        return
    if uploaded is None:
        return
    order = Order(
        request=task.request,
        submit_id=bench.new_submit_id(),
        still_ours=bench.lease.valid,
        seed=bench.chance.randrange(SEEDS) if task.request.seed is None else task.request.seed,
        uploads=uploaded,
    )
    if not await _intend(bench, task, order, identity.login) or not bench.lease.valid():
        return
    await _send(bench, task, order, identity)


async def _send(bench: Bench, task: Task, order: Order, identity: Identity) -> None:
    try:
        accepted = await bench.upstream.submit(identity, order)
    except UpstreamFailure as error:
        if error.failure.acceptance is Acceptance.UNKNOWN:
            await _doubt(bench, task, order.submit_id, error.failure)
        else:
            await _refused(bench, task, order.submit_id, error.failure)
    except GatewayError as error:
        # Raised while the request was built: it never left.
        failure = Failure(ErrorKind.INVALID_REQUEST, error.code, error.message)
        await _refused(bench, task, order.submit_id, failure)
    else:
        await _accepted(bench, task, order.submit_id, accepted)


async def _intend(bench: Bench, task: Task, order: Order, login: str) -> bool:
    now = bench.clock.now()

    def body(tx: Tx) -> bool:
        following = tasks.change(
            tx,
            task.id,
            lambda found: (
                lifecycle.intend(found, owner=bench.lease.owner, submit_id=order.submit_id, now=now)
                if found.session_id == task.session_id
                else None
            ),
            now=now,
        )
        if following is not None:
            submissions.intend(tx, following, seed=order.seed, now=now, login=login)
        return following is not None

    return await bench.record(body)


async def _accepted(bench: Bench, task: Task, submit_id: str, accepted: Accepted) -> None:
    now, chance = bench.clock.now(), bench.chance.random()

    def body(tx: Tx) -> Task | None:
        following = tasks.change(
            tx,
            task.id,
            lambda found: (
                lifecycle.accept(
                    found,
                    accepted,
                    limits=bench.limits,
                    cadence=bench.cadence,
                    now=now,
                    chance=chance,
                    usual=bench.pace.usual(found.request.model_key),
                )
                if found.submit_id == submit_id
                else None
            ),
            now=now,
        )
        submissions.settle(tx, submit_id, SubmissionState.ACCEPTED, now=now, history_id=accepted.history_id)
        if following is None:
            _cancel_if_unwanted(tx, task.id, submit_id, now=now)
        elif following.session_id is not None:
            tx.run("session_thrives", id=following.session_id)
        return following

    following = await bench.record(body)
    bench.telemetry.emit("submit.accepted", task=task.id, session=task.session_id, late=following is None)


async def _refused(bench: Bench, task: Task, submit_id: str, failure: Failure) -> None:
    now, chance = bench.clock.now(), bench.chance.random()

    def body(tx: Tx) -> Session | None:
        submissions.settle(tx, submit_id, SubmissionState.REFUSED, now=now, failure=failure)
        earlier = submissions.refusals(tx, task.id)
        verdict = policy.after_refusal(failure, earlier, bench.limits.max_attempts, chance)
        if not reservation.servable(tx, earlier):
            verdict = policy.GiveUp()
        tasks.change(
            tx,
            task.id,
            lambda found: (
                lifecycle.refuse(found, failure, verdict, now=now) if found.submit_id == submit_id else None
            ),
            now=now,
        )
        assert task.session_id is not None
        if failure.code in UNUSABLE:
            uploads.forget(tx, task.session_id, task.request.references)
        return sessions.suffer(tx, task.session_id, failure, now=now)

    session = await bench.record(body)
    bench.telemetry.emit(
        "submit.refused", task=task.id, session=task.session_id, kind=failure.kind, code=failure.code
    )
    if session is not None:
        bench.telemetry.emit(f"session.{session.state}", session=session.id, reason=session.reason)


async def _doubt(bench: Bench, task: Task, submit_id: str, failure: Failure) -> None:
    now = bench.clock.now()

    def body(tx: Tx) -> None:
        submissions.settle(tx, submit_id, SubmissionState.UNCERTAIN, now=now, failure=failure)
        tasks.change(
            tx,
            task.id,
            lambda found: lifecycle.doubt(found, failure, now=now) if found.submit_id == submit_id else None,
            now=now,
        )

    await bench.record(body)
    bench.telemetry.emit("submit.uncertain", task=task.id, session=task.session_id, code=failure.code)


async def _unsendable(bench: Bench, task: Task, failure: Failure) -> None:
    """The session cannot be opened: nothing was sent, another one may do."""
    now = bench.clock.now()
    verdict = policy.TryAgain(1000)

    def body(tx: Tx) -> None:
        tasks.change(
            tx,
            task.id,
            lambda found: (
                lifecycle.refuse(found, failure, verdict, now=now)
                if found.submit_id is None and found.owner == bench.lease.owner
                else None
            ),
            now=now,
        )
        assert task.session_id is not None
        sessions.suffer(tx, task.session_id, failure, now=now)

    await bench.record(body)


def _cancel_if_unwanted(tx: Tx, task_id: str, submit_id: str, *, now: int) -> None:
    """Accepted after the task was cancelled, or after its absence was believed: nobody waits for it."""
    found = tasks.get(tx, task_id)
    if found is not None and (found.stage is Stage.CANCELLED or found.submit_id != submit_id):
        submissions.want_cancel(tx, submit_id, now=now)
