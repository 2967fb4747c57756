"""An upstream account's login: what it may do now, and what the site's answers do to it.

Effects of failures on a session are decided here, once, from the kind of the failure; the store only writes
them down. A caller's bad request never takes a session out of the pool.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from jimeng_gateway.domain.errors import ErrorKind, Failure
from jimeng_gateway.domain.route import Route


class SessionState(StrEnum):
    """Health as the site's answers have taught it."""

    READY = "ready"
    COOLING = "cooling"
    EXPIRED = "expired"
    BLOCKED = "blocked"


@dataclass(frozen=True, slots=True, repr=False)
class Identity:
    """What every call of a session looks like upstream. Its repr shows no secret."""

    session_id: str
    region: str
    #: The whole Cookie header.
    cookie: str
    #: 19 digits; equals the cookie `_tea_web_id` (jimeng-web.md 2.5).
    web_id: str
    #: By which door its submits leave.
    route: Route = Route.AUTO
    #: A keyed hash that tells this login from others of the session; empty if there is none.
    login: str = ""

    def __repr__(self) -> str:
        return f"Identity({self.session_id})"


@dataclass(frozen=True, slots=True)
class Session:
    """A session as the store knows it; the credential stays in the store."""

    id: str
    label: str
    region: str
    enabled: bool
    state: SessionState
    #: Most tasks at once.
    slots: int
    created_at: int
    updated_at: int
    #: Why it is not ready, in words, and the kind that caused it.
    reason: str | None = None
    reason_kind: ErrorKind | None = None
    cooling_until: int | None = None
    #: Rests in a row; lengthens the next one.
    rests: int = 0
    last_used_at: int = 0
    slots_taken: int = 0
    #: Identity as the site told it at the last check.
    uid: str | None = None
    name: str | None = None
    credits: int | None = None
    checked_at: int | None = None
    #: Expiry that the cookie itself announces.
    expires_at: int | None = None
    #: Failed polls in a row; stretches the interval of the next.
    poll_errors: int = 0
    #: By which door its submits leave.
    route: Route = Route.AUTO


@dataclass(frozen=True, slots=True)
class Account:
    """What the site says about the account behind a session."""

    uid: str
    name: str = ""
    credits: int | None = None


@dataclass(frozen=True, slots=True)
class Health:
    """What a failure makes of a session: its new state and, when cooling, for how long."""

    state: SessionState
    rest_ms: int = 0
    reason: str = ""
    kind: ErrorKind | None = None
    extra: dict[str, object] = field(default_factory=dict)


MINUTE = 60_000

#: First rest by kind; doubled with every further rest in a row, up to six hours.
_FIRST_REST: dict[ErrorKind, int] = {
    ErrorKind.RISK: 15 * MINUTE,
    ErrorKind.QUOTA: 60 * MINUTE,
    ErrorKind.RATE_LIMITED: 1 * MINUTE,
}
_LONGEST_REST = 360 * MINUTE
#: Quota refusals that speak of the account (jimeng-web.md 2.7). The others, 1006 above all, may only mean
#: that it lacks one model, and one caller's wish must not take a session from all the others.
_WHOLE_ACCOUNT = frozenset({"121101", "4001", "5000"})


def health_after(failure: Failure, rests: int) -> Health | None:
    """What a failure of a call does to the session it was made with; None for nothing.

    `rests` is how many times in a row it had to rest before.
    """
    if failure.kind is ErrorKind.AUTH:
        return Health(SessionState.EXPIRED, reason=failure.message, kind=failure.kind)
    if failure.kind is ErrorKind.ACCOUNT_BLOCKED:
        return Health(SessionState.BLOCKED, reason=failure.message, kind=failure.kind)
    first = _FIRST_REST.get(failure.kind)
    if first is None or (failure.kind is ErrorKind.QUOTA and failure.code not in _WHOLE_ACCOUNT):
        return None
    rest = min(_LONGEST_REST, first * 2 ** min(rests, 10))
    return Health(SessionState.COOLING, rest_ms=rest, reason=failure.message, kind=failure.kind)
