"""Five hundred clients that watch a task each: what an open stream weighs, and how soon news arrives."""

from __future__ import annotations

import asyncio
import statistics
import time
from pathlib import Path

from report import Figure
from service import ADMIN_TOKEN, Api, cpu_s, folder, gateway, on_core, rss_mb

CLIENTS, IDLE_S = 500, 10.0
HOW = (
    f"{CLIENTS} clients read `GET /api/v1/tasks/{{id}}/events` of a waiting task each; then the tasks are "
    "cancelled one by one, and each client notes when it hears of it. One run."
)


def measure(_runs: int) -> list[Figure]:
    """One run."""
    with (
        folder() as data,
        on_core(0),
        gateway(Path(data), {"JIMENG_UPSTREAM_URL": "http://127.0.0.1:9"}) as gate,
    ):
        api = Api(gate)
        task_ids = [api.submit(f"waits {number}") for number in range(CLIENTS)]
        before = rss_mb(gate.pid)
        return asyncio.run(_watch(api, task_ids, gate.pid, int(gate.url.rpartition(":")[2]), before))


async def _watch(api: Api, task_ids: list[str], pid: int, port: int, before: float) -> list[Figure]:
    heard: dict[str, float] = {}
    open_now = asyncio.Semaphore(0)
    clients = [asyncio.create_task(_client(port, task_id, open_now, heard)) for task_id in task_ids]
    for _ in clients:
        await open_now.acquire()
    weight = 1000 * (rss_mb(pid) - before) / CLIENTS
    cpu, begun = cpu_s(pid), time.monotonic()
    await asyncio.sleep(IDLE_S)
    idle = 100 * (cpu_s(pid) - cpu) / (time.monotonic() - begun)
    asked: dict[str, float] = {}
    for task_id in task_ids:
        asked[task_id] = time.monotonic()
        await asyncio.to_thread(api.call, "DELETE", f"/api/v1/tasks/{task_id}")
    await asyncio.wait_for(asyncio.gather(*clients), 20)
    delays = sorted(1000 * (heard[task_id] - asked[task_id]) for task_id in task_ids)
    return [
        Figure("memory for each open stream", f"{weight:.0f} kB"),
        Figure("gateway CPU while nothing happens", f"{idle:.1f} %", "of one core"),
        Figure("from the request to cancel to the event, median", f"{statistics.median(delays):.1f} ms"),
        Figure("· 99th percentile", f"{delays[int(len(delays) * 0.99)]:.1f} ms"),
    ]


async def _client(port: int, task_id: str, open_now: asyncio.Semaphore, heard: dict[str, float]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        head = f"GET /api/v1/tasks/{task_id}/events HTTP/1.1\r\nhost: bench\r\naccept: text/event-stream\r\n"
        writer.write(f"{head}authorization: Bearer {ADMIN_TOKEN}\r\n\r\n".encode())
        while line := await reader.readline():
            if line.startswith(b"event: progress"):
                open_now.release()
            elif line.startswith(b"event: task.cancelled"):
                heard[task_id] = time.monotonic()
                return
    finally:
        writer.close()
