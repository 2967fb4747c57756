"""A clock that stands still until a test moves it."""

from __future__ import annotations

import asyncio
import heapq
import itertools

#: 2026-11-23T00:00:00Z
START_MS = 1_795_392_000_000


class ManualClock:
    """The Clock of tests: `advance` moves both clocks and wakes whoever has slept long enough."""

    def __init__(self, now: int = START_MS) -> None:
        self._now = float(now)
        self._numbers = itertools.count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def now(self) -> int:
        """Milliseconds since the epoch, UTC."""
        return int(self._now)

    def monotonic(self) -> float:
        """Seconds."""
        return self._now / 1000

    async def sleep(self, seconds: float) -> None:
        """Returns once the clock has been moved that far; at once for nothing or less."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now + seconds * 1000, next(self._numbers), waiting))
        await waiting

    def advance(self, seconds: float) -> None:
        """Moves on and wakes sleepers in the order of their times; they run when the test next awaits.

        Who sleeps again after being woken does so from the new time: use small steps where that matters.
        """
        self._now += seconds * 1000
        while self._sleepers and self._sleepers[0][0] <= self._now:
            _, _, waiting = heapq.heappop(self._sleepers)
            if not waiting.done():
                waiting.set_result(None)

    @property
    def sleeping(self) -> int:
        """How many wait on this clock."""
        return sum(1 for _, _, waiting in self._sleepers if not waiting.done())
