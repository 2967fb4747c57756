"""Removes references that nothing needs any more: expired files, and bytes that no task can want again.

First the row goes, guarded against whoever takes the bytes up at that moment; then the file, unless it was
written again meanwhile. A crash between the two leaves a file without a row, which a slower round finds.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from jimeng_gateway.store import blobs
from jimeng_gateway.store.spool import Spool
from jimeng_gateway.work.bench import Bench

EVERY_MS = 60_000
#: How long bytes stay after they were last used, whatever else: longer than any request takes to come in.
GRACE_MS = 3_600_000
#: Files without a row are as old as this before they go.
STRAY_MS = 24 * 3_600_000
_AT_ONCE = 200


@dataclass(slots=True)
class SpoolKeeper:
    """Keeps the spool small; holds only when it looked last."""

    spool: Spool
    #: Milliseconds for which a task that has ended keeps its references, so that it can be made again.
    retention: int
    _looked_at: int = 0
    _searched_at: int = 0

    async def round(self, bench: Bench) -> int:
        """Removes what has become unneeded, at most once a minute; how many files."""
        now = bench.clock.now()
        if now - self._looked_at < EVERY_MS:
            return 0
        self._looked_at = now
        removed = await self._forget(bench, now)
        if now - self._searched_at >= GRACE_MS:
            self._searched_at = now
            await asyncio.to_thread(self.spool.sweep, before=now - GRACE_MS)
            removed += await self._find_strays(bench, now)
        if removed:
            bench.telemetry.emit("references.removed", count=removed)
        return removed

    async def _forget(self, bench: Bench, now: int) -> int:
        hashes = await bench.record(
            lambda tx: blobs.unneeded(tx, now=now, retention=self.retention, grace=GRACE_MS, limit=_AT_ONCE)
        )
        return await asyncio.to_thread(self._remove, hashes, now - GRACE_MS)

    async def _find_strays(self, bench: Bench, now: int) -> int:
        old = await asyncio.to_thread(lambda: list(self.spool.written_before(now - STRAY_MS)))
        strays = await bench.db.read(lambda tx: [one for one in old if not blobs.known(tx, one)])
        return await asyncio.to_thread(self._remove, strays, now - STRAY_MS)

    def _remove(self, hashes: list[str], before: int) -> int:
        return sum(self.spool.remove(sha256, before=before) for sha256 in hashes)
