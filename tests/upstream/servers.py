"""Small servers on loopback: one that speaks bytes exactly as told, and helpers to aim a client at it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from support.wire import FixedClock, counting_ids

from jimeng_gateway.domain.route import Route
from jimeng_gateway.upstream.client import HttpUpstream
from jimeng_gateway.upstream.transport import Timeouts
from jimeng_gateway.upstream.wire.protocol import builtin

Handler = Callable[["Request", asyncio.StreamWriter], Awaitable[None]]


class Request:
    """One request as it arrived."""

    def __init__(self, head: bytes, body: bytes) -> None:
        lines = head.decode("latin-1").split("\r\n")
        self.method, self.target, _ = lines[0].split(" ", 2)
        pairs = (line.partition(":") for line in lines[1:] if line)
        self.headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
        self.body = body


class Server:
    """Answers each request by calling the handler; remembers requests and counts connections."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self.requests: list[Request] = []
        self.connections = 0
        self.port = 0

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(
                    (h for h in head.lower().split(b"\r\n") if h.startswith(b"content-length:")), b":0"
                )
                body = await reader.readexactly(int(length.split(b":")[1]))
                request = Request(head[:-4], body)
                self.requests.append(request)
                await self._handler(request, writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[Server]:
    """A running server."""
    server = Server(handler)
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()


@asynccontextmanager
async def client(
    url: str, timeouts: Timeouts | None = None, usual: Route = Route.DIRECT, **options: object
) -> AsyncIterator[HttpUpstream]:
    """A client that takes this address for every host."""
    upstream = HttpUpstream(
        builtin(),
        usual=usual,
        clock=FixedClock(),
        ids=counting_ids(),
        upstream_url=url,
        timeouts=timeouts,
        **options,  # type: ignore[arg-type]
    )
    try:
        yield upstream
    finally:
        await upstream.close()


def reply(body: bytes | str, status: str = "200 OK", *headers: str) -> bytes:
    """An HTTP reply with a length."""
    raw = body.encode() if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(raw)}", "Content-Type: application/json", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + raw


def answering(*bodies: bytes | str) -> Handler:
    """Answers the requests with these bodies in turn, the last one again and again."""
    left = list(bodies)

    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        body = left.pop(0) if len(left) > 1 else left[0]
        writer.write(reply(body))

    return handler
