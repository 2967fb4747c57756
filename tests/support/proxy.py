"""A byte proxy in front of a server that can lose an answer: what was asked is done, and nobody hears of it.

Runs in a thread of its own, so that a plain test function can use it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from threading import Event, Thread

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]

PIECE = 65536


class Proxy:
    """Forwards between a loopback port and a target."""

    def __init__(self, target: Callable[[], Awaitable[Streams]], chance: Random) -> None:
        self._target = target
        self._chance = chance
        self._ready = Event()
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._thread = Thread(target=self._run, name="proxy", daemon=True)
        #: Chance that an answer is lost and the connection with it.
        self.lose = 0.0
        #: Answers lost so far.
        self.lost = 0
        self.port = 0

    def start(self) -> None:
        """Returns when it listens on `port`."""
        self._thread.start()
        self._ready.wait()

    def stop(self) -> None:
        """Cuts everything."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there = await self._target()
        except OSError:
            writer.close()
            return
        ways = (
            asyncio.ensure_future(self._forward(reader, there[1], answers=False)),
            asyncio.ensure_future(self._forward(there[0], writer, answers=True)),
        )
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            for end in (writer, there[1]):
                end.close()

    async def _forward(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool
    ) -> None:
        with contextlib.suppress(OSError):
            while piece := await reader.read(PIECE):
                if answers and self.lose and self._chance.random() < self.lose:
                    self.lost += 1
                    return
                writer.write(piece)
                await writer.drain()


@contextmanager
def proxy_to_socket(path: Path, chance: Random) -> Iterator[Proxy]:
    """A proxy in front of a Unix socket for the time of the block."""
    made = Proxy(lambda: asyncio.open_unix_connection(path), chance)
    made.start()
    try:
        yield made
    finally:
        made.stop()
