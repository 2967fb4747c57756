"""A load generator in a process of its own: keep-alive connections, one prepared request after another.

`python load.py HOST PORT CONNECTIONS SECONDS` reads the raw request from its input and prints JSON. On bare
protocols, so that it costs less than what it measures.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import cast

import uvloop

HEAD_END = b"\r\n\r\n"
LENGTH = b"content-length:"


class Connection(asyncio.Protocol):
    """Sends the request again as soon as its reply is whole."""

    def __init__(self, request: bytes, deadline: float, took: list[float]) -> None:
        self._request = request
        self._deadline = deadline
        self._took = took
        self._buffer = b""
        self._sent_at = 0.0
        self.errors = 0
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._send()

    def _send(self) -> None:
        self._sent_at = time.perf_counter()
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head_end = self._buffer.find(HEAD_END)
        if head_end < 0:
            return
        head = self._buffer[:head_end].lower()
        at = head.find(LENGTH)
        length = int(head[at + len(LENGTH) :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        if len(self._buffer) < head_end + 4 + length:
            return
        now = time.perf_counter()
        self._took.append(now - self._sent_at)
        self.errors += not self._buffer.startswith((b"HTTP/1.1 200", b"HTTP/1.1 201"))
        self._buffer = b""
        if now < self._deadline:
            self._send()
        else:
            self._transport.close()

    def connection_lost(self, _exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_result(None)


async def main(host: str, port: int, connections: int, seconds: float, request: bytes) -> None:
    """Runs and reports."""
    loop = asyncio.get_running_loop()
    took: list[float] = []
    begun = time.perf_counter()
    made = []
    for _ in range(connections):
        _, protocol = await loop.create_connection(
            lambda: Connection(request, begun + seconds, took), host, port
        )
        made.append(protocol)
    await asyncio.gather(*(protocol.done for protocol in made))
    elapsed = time.perf_counter() - begun
    took.sort()
    report = {
        "requests": len(took),
        "per_second": len(took) / elapsed,
        "p50_ms": 1000 * took[len(took) // 2],
        "p99_ms": 1000 * took[int(len(took) * 0.99)],
        "errors": sum(protocol.errors for protocol in made),
    }
    print(json.dumps(report))


if __name__ == "__main__":
    uvloop.run(
        main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]), sys.stdin.buffer.read())
    )
