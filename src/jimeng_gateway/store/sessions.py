"""Sessions and their slots: rows to values and back. Credentials pass through here only sealed."""

from __future__ import annotations

from dataclasses import dataclass

from jimeng_gateway.domain.errors import ErrorKind, Failure
from jimeng_gateway.domain.route import Route
from jimeng_gateway.domain.session import Account, Session, SessionState, health_after
from jimeng_gateway.store.database import LOCK_RESERVE, Row, Tx
from jimeng_gateway.store.tasks import QUEUE


@dataclass(frozen=True, slots=True)
class StoredCredential:
    """What opens a session's identity; `sealed` is encrypted."""

    sealed: str
    fingerprint: str
    web_id: str
    expires_at: int | None


def insert(
    tx: Tx, *, session_id: str, label: str, region: str, slots: int, credential: StoredCredential, now: int
) -> None:
    """A new session with its slots."""
    tx.run(
        "session_insert",
        id=session_id,
        label=label,
        region=region,
        slots=slots,
        credential=credential.sealed,
        fingerprint=credential.fingerprint,
        web_id=credential.web_id,
        expires_at=credential.expires_at,
        now=now,
    )
    _fit_slots(tx, session_id, slots)
    tx.notify(QUEUE)


def get(tx: Tx, session_id: str) -> Session | None:
    """One session that has not been removed."""
    row = tx.one("session_get", id=session_id)
    return None if row is None else from_row(row)


@dataclass(frozen=True, slots=True)
class Sealed:
    """What is stored of a login, for whoever may open it."""

    credential: str
    fingerprint: str
    web_id: str
    region: str
    route: Route


def sealed(tx: Tx, session_id: str) -> Sealed | None:
    """The login of a session that has not been removed."""
    row = tx.one("session_get", id=session_id)
    if row is None:
        return None
    return Sealed(row["credential"], row["fingerprint"], row["web_id"], row["region"], Route(row["route"]))


def has_login(tx: Tx, session_id: str, login: str) -> bool:
    """Whether this is the session's login, now and until this transaction ends."""
    row = tx.one("session_lock", id=session_id)
    return row is not None and row["fingerprint"] == login


def find_all(tx: Tx) -> list[Session]:
    """Every session, oldest first."""
    return [from_row(row) for row in tx.all("session_list")]


def configure(
    tx: Tx, session_id: str, *, label: str, enabled: bool, slots: int, route: Route, now: int
) -> None:
    """Writes what the operator sets; no round of reservations runs meanwhile that counted on other slots."""
    tx.serialise(LOCK_RESERVE)
    tx.run(
        "session_settings",
        id=session_id,
        label=label,
        enabled=int(enabled),
        slots=slots,
        route=route,
        now=now,
    )
    _fit_slots(tx, session_id, slots)
    tx.notify(QUEUE)


def replace_credential(tx: Tx, session_id: str, credential: StoredCredential, *, now: int) -> None:
    """Writes another credential; the session starts afresh."""
    tx.run(
        "session_credential",
        id=session_id,
        credential=credential.sealed,
        fingerprint=credential.fingerprint,
        web_id=credential.web_id,
        expires_at=credential.expires_at,
        now=now,
    )
    tx.run("upload_forget_session", session_id=session_id)
    recover(tx, session_id, now=now)


def suffer(tx: Tx, session_id: str, failure: Failure, *, now: int) -> Session | None:
    """Lets a failure of a call with this session take its effect; the session if that changed it."""
    row = tx.one("session_lock", id=session_id)
    if row is None:
        return None
    session = from_row(row)
    health = health_after(failure, session.rests)
    if health is None or session.state in (SessionState.EXPIRED, SessionState.BLOCKED):
        return None
    until = now + health.rest_ms if health.state is SessionState.COOLING else None
    resting_until = session.cooling_until or 0
    # Several tasks met the same refusal: one rest, not one for each. Another kind may need a longer one.
    same = health.kind is session.reason_kind
    if until is not None and resting_until > now and (same or until <= resting_until):
        return None
    tx.run(
        "session_health",
        id=session_id,
        state=health.state,
        reason=health.reason,
        reason_kind=health.kind,
        cooling_until=until,
        rests=session.rests + 1 if until is not None else session.rests,
        now=now,
    )
    return get(tx, session_id)


def recover(tx: Tx, session_id: str, *, now: int, rests: int = 0) -> None:
    """Ready again."""
    tx.run(
        "session_health",
        id=session_id,
        state=SessionState.READY,
        reason=None,
        reason_kind=None,
        cooling_until=None,
        rests=rests,
        now=now,
    )
    tx.notify(QUEUE)


def rest_again(tx: Tx, session_id: str, *, until: int, reason: str, now: int) -> None:
    """A probe could not tell: it stays cooling until the next one."""
    session = get(tx, session_id)
    if session is None or session.state is not SessionState.COOLING:
        return
    tx.run(
        "session_health",
        id=session_id,
        state=SessionState.COOLING,
        reason=reason,
        reason_kind=session.reason_kind,
        cooling_until=until,
        rests=session.rests,
        now=now,
    )


def learn_account(tx: Tx, session_id: str, account: Account, *, now: int) -> None:
    """Writes what the site says about the account."""
    tx.run(
        "session_account",
        id=session_id,
        uid=account.uid,
        account_name=account.name,
        credits=account.credits,
        now=now,
    )


def from_row(row: Row) -> Session:
    """A row of `session` as a value."""
    return Session(
        id=row["id"],
        label=row["label"],
        region=row["region"],
        enabled=bool(row["enabled"]),
        state=SessionState(row["state"]),
        slots=row["slots"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        reason=row["reason"],
        reason_kind=ErrorKind(row["reason_kind"]) if row["reason_kind"] else None,
        cooling_until=row["cooling_until"],
        rests=row["rests"],
        last_used_at=row["last_used_at"],
        slots_taken=row["taken"],
        uid=row["uid"],
        name=row["account_name"],
        credits=row["credits"],
        checked_at=row["checked_at"],
        expires_at=row["expires_at"],
        poll_errors=row["poll_errors"],
        route=Route(row["route"]),
    )


def _fit_slots(tx: Tx, session_id: str, slots: int) -> None:
    for number in range(1, slots + 1):
        tx.run("slot_add", session_id=session_id, n=number)
    tx.run("slot_trim", session_id=session_id, slots=slots)
