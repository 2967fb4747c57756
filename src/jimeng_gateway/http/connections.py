"""Which connections are still open, for what that says about the replies that went out on them.

A reply that was lost on its way takes its connection with it. So whoever was answered on one that is still
open, be it a client or a proxy that keeps its connections, has the answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakSet

from starlette.requests import Request


@dataclass(slots=True, weakref_slot=True, eq=False)
class Connection:
    """One TCP connection of ours, under a name that no other one ever has."""

    id: str
    open: bool = True


@dataclass(frozen=True, slots=True)
class Connections:
    """Those on which it matters whether a reply arrived; they are held only as long as they live."""

    _noted: WeakSet[Connection] = field(default_factory=WeakSet)

    def note(self, connection: Connection) -> None:
        """Watches this one too."""
        self._noted.add(connection)

    def open_ids(self) -> frozenset[str]:
        """The names of those that are open still."""
        return frozenset(one.id for one in self._noted if one.open)


def connection_of(scope: Mapping[str, Any]) -> Connection | None:
    """The connection by which a request came; None where its server tells of none."""
    found = scope.get("state", {}).get("connection")
    return found if isinstance(found, Connection) else None


def closes_anyway(request: Request) -> bool:
    """Whether its sender closes the connection whatever arrives, as a proxy without keep-alive does."""
    wishes = request.headers.get("connection", "").lower().split(",")
    return request.scope.get("http_version") == "1.0" or "close" in [wish.strip() for wish in wishes]
