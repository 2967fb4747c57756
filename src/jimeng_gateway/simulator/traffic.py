"""What was asked of the site: counters for ever, the last requests in full, and every session's polls.

Tests assert on it: how often a session was polled, with how many ids, and what a request looked like.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

#: Polls remembered for each session.
_POLLS_KEPT = 5000
#: Bytes of a body that are kept.
_BODY_KEPT = 65536


@dataclass(frozen=True, slots=True)
class Arrived:
    """What is known of a body that was too large to keep; `Call.body` is only its beginning."""

    length: int
    crc32: int
    #: Its last bytes.
    tail: bytes


@dataclass(frozen=True, slots=True)
class Call:
    """One request as it came in."""

    method: str
    #: Decoded, without the query.
    path: str
    raw_query: str
    query: Mapping[str, str]
    #: Names in lower case.
    headers: Mapping[str, str]
    cookies: Mapping[str, str]
    body: bytes
    #: Scheme and host under which the site was reached.
    base: str
    host: str
    #: For bytes that are uploaded.
    arrived: Arrived | None = None

    @property
    def length(self) -> int:
        """Bytes of the body."""
        return len(self.body) if self.arrived is None else self.arrived.length

    @property
    def checksum(self) -> str:
        """CRC-32 of the body, 8 hex digits."""
        return f"{crc32(self.body) if self.arrived is None else self.arrived.crc32:08x}"

    @property
    def tail(self) -> bytes:
        """The last bytes of the body."""
        return self.body if self.arrived is None else self.arrived.tail

    @property
    def session(self) -> str:
        """The session id; commerce calls take it from Authorization as well (2.2)."""
        found = self.cookies.get("sessionid", "")
        bearer = self.headers.get("authorization", "")
        if not found and self.path.startswith("/commerce/") and bearer.startswith("Bearer "):
            return bearer.removeprefix("Bearer ")
        return found


@dataclass(frozen=True, slots=True)
class Seen:
    """One request and what became of it."""

    at: float
    endpoint: str
    call: Call
    #: The reply's code; "" for one that has none.
    ret: str
    status: int
    #: What a strict site would refuse.
    remarks: tuple[str, ...]
    #: The fault that hit it, if any.
    fault: str | None

    def plain(self) -> dict[str, Any]:
        """For `/_sim/requests`."""
        return {
            "at": self.at,
            "endpoint": self.endpoint,
            "method": self.call.method,
            "path": self.call.path,
            "query": dict(self.call.query),
            "headers": dict(self.call.headers),
            "session": self.call.session,
            "body": self.call.body[:_BODY_KEPT].decode(errors="replace"),
            "ret": self.ret,
            "status": self.status,
            "remarks": list(self.remarks),
            "fault": self.fault,
        }


@dataclass(slots=True)
class Traffic:
    """The site's access log."""

    log: deque[Seen]
    endpoints: Counter[str] = field(default_factory=Counter)
    #: By endpoint and code.
    rets: Counter[tuple[str, str]] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    remarks: Counter[str] = field(default_factory=Counter)
    #: By session id: when it polled, and for how many ids.
    polls: defaultdict[str, deque[tuple[float, int]]] = field(
        default_factory=lambda: defaultdict(lambda: deque(maxlen=_POLLS_KEPT))
    )
    largest_batch: int = 0

    def note(self, seen: Seen) -> None:
        """Writes it down."""
        self.log.append(seen)
        self.endpoints[seen.endpoint] += 1
        self.rets[seen.endpoint, seen.ret] += 1
        self.remarks.update(seen.remarks)
        if seen.fault:
            self.faults[seen.fault] += 1

    def note_poll(self, session: str, at: float, ids: int) -> None:
        """A session asked for so many records."""
        self.polls[session].append((at, ids))
        self.largest_batch = max(self.largest_batch, ids)
