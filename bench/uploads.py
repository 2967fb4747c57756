"""Bringing a large reference to the site: against a plain copy of the same bytes over loopback."""

from __future__ import annotations

import asyncio
import hashlib
import resource
import statistics
import time
from pathlib import Path

from report import Figure
from service import folder
from signing import client_of, somebody

from jimeng_gateway.clock import SystemClock
from jimeng_gateway.domain.reference import Media, Reference
from jimeng_gateway.domain.route import Route
from jimeng_gateway.simulator.options import SimulatorOptions
from jimeng_gateway.simulator.server import Simulator

SIZE = 200 * 1024 * 1024
CHUNK = 1 << 18
HOW = (
    "A clip of 200 MB, in parts with a checksum each, to the simulator, which checks every one; the baseline "
    "sends the same file through a bare socket to a reader that throws it away. Memory is the growth of the "
    "peak, the simulator's included, because they share a process here."
)


def measure(runs: int) -> list[Figure]:
    """Uploads and copies in turn."""
    with folder() as data:
        clip = data / "clip.mp4"
        digest = _write(clip)
        taken = [asyncio.run(_run(clip, digest)) for _ in range(runs)]
    upload, copy = (statistics.median(column) for column in list(zip(*taken, strict=True))[:2])
    megabytes = SIZE / 1e6
    return [
        Figure("upload of 200 MB", f"{megabytes / upload:.0f} MB/s", f"{copy / upload:.0%} of a plain copy"),
        Figure("plain copy over loopback", f"{megabytes / copy:.0f} MB/s"),
        Figure("memory that it adds", f"{max(row[2] for row in taken):.0f} MB", "of all runs, the most"),
    ]


async def _run(clip: Path, digest: str) -> tuple[float, float, float]:
    clock = SystemClock()
    with Simulator(SimulatorOptions(sign="strict", check_uploads=True)) as sim:
        client = client_of(sim.base_url, clock, Route.DIRECT, None)
        who = somebody(1, clock)
        reference = Reference(Media.VIDEO, digest, "video/mp4", SIZE, duration_ms=5000)
        try:
            await client.account(who)
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            begun = time.perf_counter()
            await client.upload(who, reference, clip)
            took = time.perf_counter() - begun
            grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1000
        finally:
            await client.close()
    return took, await _copy(clip), grown


async def _copy(clip: Path) -> float:
    done = asyncio.Event()

    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(CHUNK):
            pass
        writer.close()
        done.set()

    server = await asyncio.start_server(swallow, "127.0.0.1", 0)
    async with server:
        host, port = server.sockets[0].getsockname()[:2]
        begun = time.perf_counter()
        _, writer = await asyncio.open_connection(host, port)
        with clip.open("rb") as file:
            while chunk := file.read(CHUNK):
                writer.write(chunk)
                await writer.drain()
        writer.close()
        await done.wait()
        return time.perf_counter() - begun


def _write(clip: Path) -> str:
    digest, block = hashlib.sha256(), bytes(range(256)) * 4096
    with clip.open("wb") as file:
        for _ in range(SIZE // len(block)):
            file.write(block)
            digest.update(block)
    return digest.hexdigest()
