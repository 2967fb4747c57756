"""What one process knows about bringing references to sessions: where bytes lie, and who is at it already.

Tasks that want the same bytes on the same session at the same time share one upload. A task that no longer
wants it leaves; the upload goes on for the others and ends with the last one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

HOUR_MS = 3_600_000


@dataclass(slots=True)
class _Flight(Generic[V]):
    doing: asyncio.Task[V]
    waiting: int = 0


class Flights(Generic[K, V]):
    """Things that are being done, each once however many wait for it."""

    def __init__(self) -> None:
        self._flights: dict[K, _Flight[V]] = {}

    async def join(self, key: K, start: Callable[[], Awaitable[V]]) -> tuple[V, bool]:
        """What comes of it, and whether it was begun for this caller; raises what it raises."""
        flight = self._flights.get(key)
        first = flight is None
        if flight is None:
            flight = self._flights[key] = _Flight(asyncio.ensure_future(_begun(start)))
            flight.doing.add_done_callback(_looked_at)
        flight.waiting += 1
        try:
            return await asyncio.shield(flight.doing), first
        finally:
            flight.waiting -= 1
            if flight.waiting == 0:
                if self._flights.get(key) is flight:
                    del self._flights[key]
                flight.doing.cancel()

    def __len__(self) -> int:
        return len(self._flights)


async def _begun(start: Callable[[], Awaitable[V]]) -> V:
    return await start()


def _looked_at(done: asyncio.Task[Any]) -> None:
    # Everybody who waited may have left; then nobody else asks for the exception.
    if not done.cancelled():
        done.exception()


def _nowhere(sha256: str) -> Path:
    return Path("nowhere") / sha256


@dataclass(frozen=True, slots=True)
class Materials:
    """See the module."""

    #: Where the bytes with a hash lie.
    path: Callable[[str], Path] = _nowhere
    #: Milliseconds for which an upload is used again.
    valid: int = 6 * HOUR_MS
    #: By session, its login and hash.
    flights: Flights[tuple[str, str, str], Any] = field(default_factory=Flights)
    #: Files that this process sends at the same time.
    hands: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(12))
