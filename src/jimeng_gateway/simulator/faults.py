"""Disturbances that a site shows now and then, on demand: which request they hit, and how often.

Choosing is bookkeeping without effects; carrying one out is `disturb`, which needs the connection.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random

#: Endpoints that are named; every other one answers to "other" too.
MAIN_ENDPOINTS = frozenset({"generate", "history", "media"})


class FaultKind(StrEnum):
    """What goes wrong."""

    #: HTTP 504 with the load balancer's HTML page.
    HTML504 = "html504"
    #: The same page with HTTP 200.
    HTML200 = "html200"
    #: HTTP 500 with an empty body.
    HTTP500 = "http500"
    #: The connection is reset before anything is done.
    RESET = "reset"
    #: Everything is done, charging included, then the connection is reset.
    LOST_REPLY = "lost_reply"
    #: A delay of `seconds`, then the ordinary reply.
    SLOW = "slow"
    #: HTTP 200 with no body.
    EMPTY = "empty"
    #: HTTP 200 with text that is no JSON.
    NOT_JSON = "not_json"
    #: The reply breaks off in the middle: broken JSON for calls, a cut connection for files.
    TRUNCATED = "truncated"
    #: `ret` and every `fail_code` as numbers.
    NUMBERS = "numbers"
    #: `data` is null.
    NULL_DATA = "null_data"
    #: `ret` and `errmsg` are empty strings.
    BLANK_RET = "blank_ret"
    #: A poll reply in which the ids that were asked are missing.
    ABSENT = "absent"
    #: The body is the map alone, without the envelope.
    BARE = "bare"
    #: The call is answered with the code given in `ret`.
    RET = "ret"


#: Kinds that come after the request was carried out, unless the fault says otherwise.
_PROCESSED = frozenset(FaultKind) - {
    FaultKind.HTML504,
    FaultKind.HTML200,
    FaultKind.HTTP500,
    FaultKind.RESET,
    FaultKind.RET,
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One disturbance and what it is limited to."""

    kind: FaultKind
    #: An endpoint's name ("generate", "history", "media", "cancel", …), "other", or "any".
    endpoint: str = "any"
    #: Only requests of this session id.
    session: str | None = None
    #: How many requests it still hits; None for no end.
    count: int | None = None
    #: Chance that a matching request is hit, 0 to 1.
    rate: float = 1.0
    #: Delay before the reply, for any kind.
    seconds: float = 0.0
    #: The code that is answered by kind "ret".
    ret: str = "1000"
    #: Whether the request is carried out first; None for what the kind suggests.
    processed: bool | None = None

    def __post_init__(self) -> None:
        """ValueError for a chance or a number that is none."""
        if not 0 <= self.rate <= 1:
            raise ValueError("rate must be from 0 to 1")
        if self.count is not None and self.count < 1:
            raise ValueError("count must be 1 or more")

    @property
    def after(self) -> bool:
        """Whether the request takes effect although its reply is spoilt."""
        return self.kind in _PROCESSED if self.processed is None else self.processed

    def matches(self, endpoint: str, session: str) -> bool:
        """Whether the request is one of those it may hit."""
        if self.session is not None and self.session != session:
            return False
        if self.endpoint in ("any", endpoint):
            return True
        return self.endpoint == "other" and endpoint not in MAIN_ENDPOINTS


@dataclass(slots=True)
class Armed:
    """A fault on duty."""

    id: int
    fault: Fault
    left: int | None
    hits: int = 0


@dataclass(slots=True)
class FaultBook:
    """The faults on duty, oldest first."""

    rng: Random
    armed: list[Armed] = field(default_factory=list)
    _next_id: int = 1

    def arm(self, faults: Iterable[Fault]) -> list[Armed]:
        """Puts them on duty."""
        added = []
        for fault in faults:
            added.append(Armed(self._next_id, fault, fault.count))
            self._next_id += 1
        self.armed.extend(added)
        return added

    def clear(self) -> None:
        """Takes all of them off duty."""
        self.armed.clear()

    def choose(self, endpoint: str, session: str) -> Fault | None:
        """The first fault that hits this request, if any; a spent one leaves."""
        for armed in self.armed:
            if armed.fault.matches(endpoint, session) and self._fires(armed.fault.rate):
                armed.hits += 1
                if armed.left is not None:
                    armed.left -= 1
                    if armed.left <= 0:
                        self.armed.remove(armed)
                return armed.fault
        return None

    def _fires(self, rate: float) -> bool:
        return rate >= 1 or self.rng.random() < rate
