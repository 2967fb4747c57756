"""Takes cancellations upstream and records what the site said.

The task itself is cancelled already; this only tries to stop the job, so that it does not go on costing
credits. If we do not know whether the submit was accepted, the site is asked first.
"""

from __future__ import annotations

from jimeng_gateway.domain.errors import Acceptance, ErrorKind, Failure, GatewayError, UpstreamFailure
from jimeng_gateway.domain.record import JobState, Record
from jimeng_gateway.domain.session import Identity
from jimeng_gateway.store import tasks
from jimeng_gateway.store.database import Tx
from jimeng_gateway.store.submissions import CancelState, Submission, SubmissionState
from jimeng_gateway.work.bench import Bench

#: Looks and tries before we settle for not having been able to.
TRIES = 12
#: Milliseconds between them.
PAUSE = 5_000


async def cancel_upstream(bench: Bench, submission: Submission) -> None:
    """Handles one submission whose task was cancelled."""
    try:
        identity = await bench.identities.open(submission.session_id)
        outcome = await _attempt(bench, identity, submission)
    except GatewayError as error:
        outcome = _after_error(error, submission)
    if outcome is None:
        due_at = bench.clock.now() + PAUSE
        await bench.record(
            lambda tx: tx.run("submission_cancel_later", submit_id=submission.submit_id, due_at=due_at)
        )
        return
    state, reason = outcome
    await bench.record(lambda tx: _settle(tx, bench, submission, state, reason))
    bench.telemetry.emit("cancel.settled", task=submission.task_id, outcome=state, reason=reason)


async def _attempt(
    bench: Bench, identity: Identity, submission: Submission
) -> tuple[CancelState, str] | None:
    history_id = submission.history_id
    if not history_id:
        records = await bench.upstream.records(identity, submit_ids=[submission.submit_id])
        record = records.get(submission.submit_id)
        if record is None:
            return _absent(bench, submission)
        ended = _ended(record)
        if ended is not None:
            return ended
        history_id = record.history_id
    await bench.upstream.cancel(identity, history_id)
    return CancelState.DONE, "the site accepted the cancellation"


def _absent(bench: Bench, submission: Submission) -> tuple[CancelState, str] | None:
    if submission.state is SubmissionState.INTENDED and submission.cancel_tries < TRIES:
        # Its request may be under way still.
        return None
    age = bench.clock.now() - (submission.settled_at or submission.created_at)
    if age >= bench.limits.reconcile and submission.cancel_tries >= 2:
        return CancelState.GONE, "the site never had the job; nothing was charged"
    return None


def _ended(record: Record) -> tuple[CancelState, str] | None:
    if record.state is JobState.SUCCEEDED:
        return CancelState.GONE, "the job had finished before; it was probably charged"
    if record.state is JobState.FAILED:
        return CancelState.GONE, "the job had failed before"
    return None


def _after_error(error: GatewayError, submission: Submission) -> tuple[CancelState, str] | None:
    if isinstance(error, UpstreamFailure):
        failure: Failure = error.failure
        unclear = failure.acceptance is Acceptance.UNKNOWN or failure.kind in (
            ErrorKind.NETWORK,
            ErrorKind.TIMEOUT,
            ErrorKind.UPSTREAM_ERROR,
        )
        if unclear and submission.cancel_tries < TRIES:
            return None
        return CancelState.REFUSED, f"{failure.kind} {failure.code}: {failure.message}"
    return CancelState.REFUSED, error.message


def _settle(tx: Tx, bench: Bench, submission: Submission, state: CancelState, reason: str) -> None:
    if tx.run("submission_cancelled", submit_id=submission.submit_id, cancel_state=state):
        data: dict[str, object] = {"outcome": str(state), "reason": reason}
        tasks.record(tx, submission.task_id, "cancel.upstream", data, now=bench.clock.now())
