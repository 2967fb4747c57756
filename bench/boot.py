"""How soon the gateway answers after it was started, and what it weighs when it has nothing to do."""

from __future__ import annotations

import statistics
import time
from pathlib import Path

from report import Figure
from service import Api, cpu_s, folder, gateway, on_core, rss_mb, until

NOWHERE = {"JIMENG_UPSTREAM_URL": "http://127.0.0.1:9"}
IDLE_S = 10.0


def measure(runs: int) -> list[Figure]:
    """Start time over more runs than the rest: each costs a second."""
    fresh, again, memory, idle = [], [], [], []
    for _ in range(runs + 2):
        with folder() as data, on_core(0):
            fresh.append(_start(data, memory))
            again.append(_start(data, []))
    with folder() as data, gateway(data, NOWHERE) as gate:
        before, begun = cpu_s(gate.pid), time.monotonic()
        until(lambda: time.monotonic() > begun + IDLE_S, seconds=IDLE_S + 1, what="it was idle")
        idle.append(100 * (cpu_s(gate.pid) - before) / IDLE_S)
    rss, start = statistics.median(memory), statistics.median(fresh)
    return [
        Figure("exec to /health/live 200, new data directory", f"{start:.2f} s", "target 1.5 s", start < 1.5),
        Figure("· existing data directory", f"{statistics.median(again):.2f} s"),
        Figure("idle memory (RSS)", f"{rss:.0f} MB", "target 70 MB", rss <= 70),
        Figure("idle CPU", f"{idle[0]:.1f} %", "of one core, one run of 10 s"),
    ]


def _start(data: Path, memory: list[float]) -> float:
    begun = time.perf_counter()
    with gateway(data, NOWHERE) as gate:
        assert Api(gate).raw("GET", "/health/live")[0] == 200
        took = time.perf_counter() - begun
        settled = time.monotonic() + 1
        until(lambda: time.monotonic() > settled, seconds=2, what="it has settled")
        memory.append(rss_mb(gate.pid))
    return took
