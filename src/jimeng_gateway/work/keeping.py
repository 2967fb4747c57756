"""Removes results that are older, or take more room, than the operator allows, and bytes that nobody names.

First the row says that a result is removed, guarded against whoever still works on its task; then its bytes
go, here or in an archive, and what could not be removed is tried again. A slower search finds files of the
results directory that no row names: copies of what lies in an archive, and what crashes left behind.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from pathlib import Path

from jimeng_gateway.store import results
from jimeng_gateway.store.database import Tx
from jimeng_gateway.store.files import StoredFile
from jimeng_gateway.store.leaving import Failing, Leaving, take_away
from jimeng_gateway.store.results import Amount, Keep
from jimeng_gateway.work.bench import Bench

EVERY_MS = 60_000
#: How often files without a row are looked for, and how old they are before they go.
SEARCH_EVERY_MS = 6 * 3_600_000
STRAY_MS = 24 * 3_600_000
#: Bytes that their remover has not yet taken away after so long are everybody's.
LEFT_MS = 60_000
_AT_ONCE = 200
_MOST_ROUNDS = 25


@dataclass(slots=True)
class ResultKeeper:
    """Keeps results within their bounds; holds only when it looked last."""

    #: Milliseconds for which a result is kept; 0 for ever.
    retention: int = 0
    #: Bytes of all results together; 0 for any number.
    most: int = 0
    _looked_at: int = 0
    _searched_at: int = 0

    async def round(self, bench: Bench) -> None:
        """Does what is due, at most once a minute."""
        now = bench.clock.now()
        if now - self._looked_at < EVERY_MS:
            return
        self._looked_at = now
        await self._shorten(bench)
        await sweep_left(bench)
        if now - self._searched_at >= SEARCH_EVERY_MS:
            self._searched_at = now
            await find_strays(bench)

    async def _shorten(self, bench: Bench) -> None:
        now = bench.clock.now()
        keep = Keep(since=now - self.retention if self.retention else None, most=self.most or None)

        def body(tx: Tx) -> tuple[int, Amount]:
            found = results.due(tx, keep, limit=_AT_ONCE)
            return len(found), results.remove_due(tx, found, now=now)

        total, more, rounds = Amount(), keep != Keep(), 0
        # The next round goes on: other upkeep waits behind this one.
        while more and rounds < _MOST_ROUNDS:
            rounds += 1
            # Not a read: adding up all results must not hold up the loop.
            found, removed = await bench.record(body)
            await sweep_left(bench, before=now)
            total += removed
            more = found == _AT_ONCE and removed.files > 0
        if total.files:
            bench.telemetry.emit("results.removed", count=total.files, bytes=total.bytes)


async def sweep_left(bench: Bench, *, before: int | None = None) -> int:
    """Removes the bytes of results that were marked by that time (usually a minute ago); how many results."""
    marked = bench.clock.now() - LEFT_MS if before is None else before
    removed, kept, failing = 0, 0, Failing()
    beyond: tuple[int, str, int] | None = (0, "", 0)
    while beyond is not None:
        waiting = await _waiting(bench, marked, beyond)
        gone = await take_away(bench.files, waiting, failing)
        await _forget(bench, gone)
        removed, kept = removed + len(gone), kept + len(waiting) - len(gone)
        last = waiting[-1] if len(waiting) == _AT_ONCE else None
        beyond = None if last is None else (last.at, last.task_id, last.index)
    if kept:
        bench.telemetry.emit("results.not_removed", count=kept, error=failing.why)
    return removed


async def _waiting(bench: Bench, marked: int, beyond: tuple[int, str, int]) -> list[Leaving]:
    return await bench.db.read(lambda tx: results.leaving(tx, limit=_AT_ONCE, before=marked, beyond=beyond))


async def _forget(bench: Bench, gone: list[Leaving]) -> None:
    if gone:
        await bench.record(lambda tx: results.left(tx, gone))


async def find_strays(bench: Bench) -> int:
    """Removes old files of the results directory whose task has ended and names them nowhere; how many.

    A file of a task that this database does not know stays: it may belong to another one.
    """
    before = bench.clock.now() - STRAY_MS
    removed = 0
    for folder in await asyncio.to_thread(bench.files.folders):
        names = await asyncio.to_thread(bench.files.written_before, folder, before)
        for start in range(0, len(names), _AT_ONCE):
            removed += await _remove_strays(bench, names[start : start + _AT_ONCE])
    if removed:
        bench.telemetry.emit("results.strays", count=removed)
    return removed


async def _remove_strays(bench: Bench, names: list[str]) -> int:
    strays = await bench.db.read(
        lambda tx: [name for name in names if results.needed(tx, _task_of(name), name) is False]
    )
    for name in strays:
        with contextlib.suppress(OSError):
            await bench.files.remove(StoredFile(name, "", 0, ""))
    return len(strays)


def _task_of(name: str) -> str:
    """The task of `7k/task_…7k-0.png`."""
    return Path(name).name.partition("-")[0]
