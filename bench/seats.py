"""How fast waiting tasks get slots: the one transaction in which tasks and sessions meet."""

from __future__ import annotations

import asyncio
import statistics
import time
from pathlib import Path

from report import Figure
from service import folder, on_core
from support.factories import add_node, queue_tasks, reserve, seed_sessions

from jimeng_gateway.store.sqlite import SqliteDatabase

SESSIONS, TASKS = 500, 1000
HOW = (
    f"In one process on SQLite: {TASKS:,} waiting tasks for {SESSIONS} sessions with two slots; the worker "
    "takes up to 32 in a round."
)


def measure(runs: int) -> list[Figure]:
    """Rounds as the worker makes them (32) and as one at a time would be."""
    figures = []
    for size in (1, 32):
        with on_core(0):
            rate = statistics.median(asyncio.run(_rate(size)) for _ in range(runs))
        figures.append(Figure(f"reserved, {size} in a round", f"{rate:,.0f}/s"))
    return figures


async def _rate(size: int) -> float:
    with folder() as data:
        database = SqliteDatabase(Path(data) / "bench.db")
        await database.open()
        try:
            await seed_sessions(database, SESSIONS)
            await queue_tasks(database, TASKS)
            await add_node(database, "node_a")
            begun, done = time.perf_counter(), 0
            while done < TASKS:
                taken = await reserve(database, limit=size)
                assert taken.reserved
                done += len(taken.reserved)
            return done / (time.perf_counter() - begun)
        finally:
            await database.close()
