"""Sessions: the operator's logins, added, changed, checked and removed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from jimeng_gateway.clock import new_id
from jimeng_gateway.domain.errors import (
    Conflict,
    ErrorKind,
    Failure,
    InvalidRequest,
    NotFound,
    UpstreamFailure,
)
from jimeng_gateway.domain.route import Route
from jimeng_gateway.domain.session import Account, Session, SessionState
from jimeng_gateway.gateway.desk import Desk
from jimeng_gateway.store import sessions
from jimeng_gateway.store.database import LOCK_RESERVE, ConstraintViolated, Tx

MOST_SLOTS = 64


@dataclass(frozen=True, slots=True)
class SessionCheck:
    """What the site said about a session; `valid` only on its own word."""

    valid: bool
    account: Account | None
    failure: Failure | None


class SessionDesk(Desk):
    """The pool."""

    async def add_session(
        self, *, credential: str, label: str = "", region: str = "cn", slots: int | None = None
    ) -> Session:
        """A new session; Conflict if its login is here already."""
        if region != "cn":
            raise InvalidRequest("region: only cn (jimeng.jianying.com) is supported", param="region")
        count = self._parts.session_slots if slots is None else slots
        _check_slots(count)
        now = self._clock.now()
        session_id = new_id("session", now)
        stored = self._parts.credentials.seal(session_id, credential)

        def body(tx: Tx) -> Session | None:
            _refuse_known_login(tx, stored.fingerprint)
            sessions.insert(
                tx,
                session_id=session_id,
                label=label or session_id,
                region=region,
                slots=count,
                credential=stored,
                now=now,
            )
            return sessions.get(tx, session_id)

        return _present(await self._write_login(body), session_id)

    async def sessions(self) -> list[Session]:
        """Every session, oldest first."""
        return await self._db.read(sessions.find_all)

    async def session(self, session_id: str) -> Session:
        """One session."""
        return _present(await self._db.read(lambda tx: sessions.get(tx, session_id)), session_id)

    async def update_session(
        self,
        session_id: str,
        *,
        label: str | None = None,
        enabled: bool | None = None,
        slots: int | None = None,
        credential: str | None = None,
        route: Route | None = None,
    ) -> Session:
        """Changes what is given; a new credential makes the session ready again."""
        if slots is not None:
            _check_slots(slots)
        now = self._clock.now()
        stored = None
        if credential is not None:
            known = await self._db.read(lambda tx: sessions.sealed(tx, session_id))
            stored = self._parts.credentials.seal(
                session_id, credential, web_id=known.web_id if known else None
            )

        def body(tx: Tx) -> Session | None:
            session = sessions.get(tx, session_id)
            if session is None:
                return None
            sessions.configure(
                tx,
                session_id,
                label=session.label if label is None else label,
                enabled=session.enabled if enabled is None else enabled,
                slots=session.slots if slots is None else slots,
                route=session.route if route is None else route,
                now=now,
            )
            if stored is not None:
                _refuse_known_login(tx, stored.fingerprint, but=session_id)
                sessions.replace_credential(tx, session_id, stored, now=now)
            return sessions.get(tx, session_id)

        return _present(await self._write_login(body), session_id)

    async def remove_session(self, session_id: str) -> None:
        """Forgets the credential and the session; its tasks keep their history."""
        now = self._clock.now()

        def body(tx: Tx) -> Session | None:
            tx.serialise(LOCK_RESERVE)
            session = sessions.get(tx, session_id)
            if session is not None and session.slots_taken:
                raise Conflict(
                    f"{session.slots_taken} tasks run on this session; disable it and wait, or cancel them"
                )
            tx.run("session_remove", id=session_id, now=now)
            tx.run("slot_trim", session_id=session_id, slots=0)
            return session

        _present(await self._db.write(body), session_id)

    async def check_session(self, session_id: str) -> SessionCheck:
        """Asks the site whether the session is valid, and learns from the answer."""
        session = await self.session(session_id)
        identity = await self._parts.credentials.open(session_id)
        try:
            account = await self._parts.upstream.account(identity)
        except UpstreamFailure as error:
            failure = error.failure
            if failure.kind in (ErrorKind.AUTH, ErrorKind.ACCOUNT_BLOCKED):
                now = self._clock.now()
                await self._db.write(lambda tx: sessions.suffer(tx, session_id, failure, now=now))
            return SessionCheck(valid=False, account=None, failure=failure)
        now = self._clock.now()

        def body(tx: Tx) -> None:
            sessions.learn_account(tx, session_id, account, now=now)
            if session.state in (SessionState.EXPIRED, SessionState.BLOCKED):
                sessions.recover(tx, session_id, now=now)

        await self._db.write(body)
        return SessionCheck(valid=True, account=account, failure=None)

    async def _write_login(self, body: Callable[[Tx], Session | None]) -> Session | None:
        try:
            return await self._db.write(body)
        except ConstraintViolated as error:
            raise Conflict("this login was added at the same moment by somebody else") from error


def _check_slots(slots: int) -> None:
    if not 1 <= slots <= MOST_SLOTS:
        raise InvalidRequest(f"slots: {slots} is not between 1 and {MOST_SLOTS}", param="slots")


def _refuse_known_login(tx: Tx, fingerprint: str, but: str = "") -> None:
    row = tx.one("session_by_fingerprint", fingerprint=fingerprint)
    if row is not None and row["id"] != but:
        raise Conflict(f"this login is here already, as session {row['id']} ({row['label']})")


def _present(session: Session | None, session_id: str) -> Session:
    if session is None:
        raise NotFound(f"there is no session {session_id[:80]}")
    return session
