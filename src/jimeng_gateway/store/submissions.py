"""One row per request that could cost credits, and what came of it.

The row is written before the request leaves, so after any crash the site can be asked for its submit_id.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from jimeng_gateway.domain.errors import ErrorKind, Failure
from jimeng_gateway.domain.policy import Refusal
from jimeng_gateway.domain.task import Task
from jimeng_gateway.store.database import Row, Tx
from jimeng_gateway.store.tasks import CANCEL


class SubmissionState(StrEnum):
    """What we know of a submit."""

    INTENDED = "intended"
    UNCERTAIN = "uncertain"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    #: Asked for long enough and never there: not accepted.
    ABSENT = "absent"


class CancelState(StrEnum):
    """What became of the wish to cancel it upstream."""

    WANTED = "wanted"
    DONE = "done"
    REFUSED = "refused"
    #: It had ended already, or had never been accepted.
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Submission:
    """A submit as the store knows it."""

    submit_id: str
    task_id: str
    session_id: str
    attempt: int
    state: SubmissionState
    created_at: int
    #: When its state was last learned; None while it is only intended.
    settled_at: int | None
    history_id: str | None
    cancel_tries: int
    #: The login that made it; empty if not known.
    login: str = ""


def intend(tx: Tx, task: Task, *, seed: int, now: int, login: str = "") -> None:
    """Writes the intent of the task's current submission."""
    assert task.submit_id is not None
    assert task.session_id is not None
    tx.run(
        "submission_insert",
        submit_id=task.submit_id,
        task_id=task.id,
        session_id=task.session_id,
        login=login,
        attempt=task.attempts,
        seed=seed,
        now=now,
    )


def settle(
    tx: Tx,
    submit_id: str,
    state: SubmissionState,
    *,
    now: int,
    history_id: str | None = None,
    failure: Failure | None = None,
) -> None:
    """Writes what is now known of it."""
    tx.run(
        "submission_settle",
        submit_id=submit_id,
        state=state,
        now=now,
        history_id=history_id or None,
        error_kind=failure.kind if failure else None,
        error_code=failure.code if failure else None,
        error_message=failure.message if failure else None,
    )


def refusals(tx: Tx, task_id: str) -> list[Refusal]:
    """Earlier submissions of a task that surely were not accepted, and setbacks before one; oldest first."""
    rows = tx.all("submission_refusals", task_id=task_id)
    return [Refusal(row["session_id"], ErrorKind(row["error_kind"])) for row in rows]


def absences(tx: Tx, task_id: str) -> int:
    """Submissions of a task that were believed not to exist."""
    row = tx.one("submission_absences", task_id=task_id)
    return 0 if row is None else int(row["n"])


def set_back(tx: Tx, task: Task, failure: Failure, *, now: int) -> None:
    """Notes that the task's references could not be brought to its session: no submission was made."""
    tx.run(
        "setback_insert",
        task_id=task.id,
        session_id=task.session_id,
        error_kind=failure.kind,
        error_code=failure.code,
        error_message=failure.message,
        now=now,
    )


def last_failure(tx: Tx, task_id: str) -> Failure | None:
    """Why the latest refused submission of a task was refused, or what kept it from being made."""
    rows = tx.all("submission_refusals", task_id=task_id)
    if not rows:
        return None
    row = rows[-1]
    return Failure(ErrorKind(row["error_kind"]), row["error_code"], row["error_message"])


def want_cancel(tx: Tx, submit_id: str, *, now: int) -> None:
    """Asks for its upstream cancellation, if it may exist upstream."""
    if tx.run("submission_want_cancel", submit_id=submit_id, now=now):
        tx.notify(CANCEL)


def claim_cancels(tx: Tx, *, now: int, again_at: int, limit: int) -> list[Submission]:
    """Submissions to be cancelled upstream now; whoever claims one has until `again_at`."""
    rows = tx.all("submission_cancel_claim", now=now, again_at=again_at, limit=limit)
    return [_from_row(row) for row in rows]


def get(tx: Tx, submit_id: str) -> Submission | None:
    """One submission."""
    row = tx.one("submission_get", submit_id=submit_id)
    return None if row is None else _from_row(row)


def _from_row(row: Row) -> Submission:
    return Submission(
        submit_id=row["submit_id"],
        task_id=row["task_id"],
        session_id=row["session_id"],
        attempt=row["attempt"],
        state=SubmissionState(row["state"]),
        created_at=row["created_at"],
        settled_at=row["settled_at"],
        history_id=row["history_id"],
        cancel_tries=row["cancel_tries"],
        login=row["login"],
    )
