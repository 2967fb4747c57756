"""A receiver of callbacks on this machine: it answers, redirects, fails or is silent, as its path has it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Received:
    """A request that came in whole."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """Its body."""
        return json.loads(self.body)


@dataclass(slots=True)
class Receiver:
    """`/500` answers 500, `/302` leads to `/200`, `/stall` says nothing, `/cut` hangs up; the rest is 200."""

    requests: list[Received] = field(default_factory=list)
    port: int = 0
    #: Requests that are being held.
    stalled: int = 0
    most_stalled: int = 0
    #: Answers in place of the path's own, first come first served.
    answers: list[int] = field(default_factory=list)
    _came: asyncio.Event = field(default_factory=asyncio.Event)

    def url(self, path: str) -> str:
        """An address of it."""
        return f"http://127.0.0.1:{self.port}{path}"

    def told(self, path: str = "") -> list[str]:
        """The statuses that arrived there, in order."""
        return [one.json["status"] for one in self.requests if one.path.startswith(path)]

    async def heard(self) -> None:
        """Returns when the next request has come."""
        self._came.clear()
        await self._came.wait()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Handles one connection."""
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            lines = head.split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
            body = await reader.readexactly(int(headers["content-length"]))
            received = Received(lines[0].split(" ")[1], headers, body)
            assert lines[0].startswith("POST "), lines[0]
            self.requests.append(received)
            self._came.set()
            await self._reply(received.path, reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _reply(self, path: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if path.startswith("/cut"):
            return
        if path.startswith("/stall"):
            self.stalled += 1
            self.most_stalled = max(self.most_stalled, self.stalled)
            await reader.read()
            self.stalled -= 1
            return
        found = re.match(r"/([1-5]\d\d)\b", path)
        status = self.answers.pop(0) if self.answers else int(found[1]) if found else 200
        location = f"Location: {self.url('/200/redirected')}\r\n" if 300 <= status < 400 else ""
        writer.write(f"HTTP/1.1 {status} x\r\n{location}Content-Length: 0\r\n\r\n".encode())
        await writer.drain()


@contextlib.asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """A receiver that listens."""
    receiver = Receiver()
    server = await asyncio.start_server(receiver.answer, "127.0.0.1", 0)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
        await server.wait_closed()
