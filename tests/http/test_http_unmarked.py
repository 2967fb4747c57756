"""Clients that repeat without saying so, over real connections: known by how the one before has ended."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from http_client import an_intake
from support.aio import run
from support.world import World, opened

from jimeng_gateway.gateway import ADMIN
from jimeng_gateway.http.serve import Server
from jimeng_gateway.http.server import create_app

AGENT = "User-Agent: volc-sdk-python/1.0.0\r\n"
BODY = json.dumps({"prompt": "a cat", "model": "jimeng-4.5", "n": 1})


class Line:
    """A client's connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, key: str) -> None:
        self._reader = reader
        self._writer = writer
        self._key = key

    async def made(self, headers: str) -> str:
        """Asks for a picture; the id of its task."""
        head = (
            f"POST /api/v1/tasks HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {self._key}\r\n{AGENT}{headers}"
            f"Content-Type: application/json\r\nContent-Length: {len(BODY)}\r\n\r\n"
        )
        self._writer.write(head.encode() + BODY.encode())
        answer = (await asyncio.wait_for(self._reader.readuntil(b"\r\n\r\n"), 10)).decode().lower()
        length = int(answer.split("content-length: ")[1].split("\r\n")[0])
        return str(json.loads(await self._reader.readexactly(length))["id"])

    async def close(self) -> None:
        """Ends it from this side."""
        self._writer.close()
        await self._writer.wait_closed()


@asynccontextmanager
async def line(server: Server, key: str) -> AsyncIterator[Line]:
    """A connection that is closed in the end."""
    one = Line(*await asyncio.open_connection("127.0.0.1", server.port), key)
    try:
        yield one
    finally:
        await one.close()


async def seen(server: Server) -> None:
    """Returns when the server has read what reached it before."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"GET /ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    await asyncio.wait_for(reader.read(), 10)
    writer.close()
    await writer.wait_closed()


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[tuple[World, Server, str]]:
    """A gateway on a socket whose clock stands still, and a key for it."""
    async with opened(folder) as world:
        _, key = await world.gateway.create_key("ci")
        app = create_app(world.gateway, intake=an_intake(folder), public_url="", clock=world.clock)
        server = Server(app, host="127.0.0.1", port=0, grace_seconds=1)
        await server.start()
        try:
            yield world, server, key
        finally:
            await asyncio.wait_for(server.stop(), 10)


@pytest.mark.parametrize(
    ("headers", "closed", "tasks"),
    [
        ("", True, 1),
        # Its client is another address then, and has no port.
        ("X-Forwarded-For: 192.0.2.7\r\n", True, 1),
        # A pool of connections, a client's own or a proxy's.
        ("", False, 2),
        ("X-Forwarded-For: 192.0.2.7\r\n", False, 2),
        # A proxy that keeps no connection.
        ("Connection: close\r\n", True, 2),
    ],
)
def test_only_the_end_of_a_connection_says_that_an_answer_was_lost(
    tmp_path: Path, headers: str, *, closed: bool, tasks: int
) -> None:
    async def main() -> None:
        async with (
            serving(tmp_path) as (world, server, key),
            line(server, key) as first,
            line(server, key) as second,
        ):
            found = {await first.made(headers)}
            if closed:
                await first.close()
            await seen(server)
            world.clock.advance(0.5)
            found.add(await second.made(headers))
            assert len(found) == tasks
            assert len((await world.gateway.tasks(ADMIN)).items) == tasks

    run(main())
