"""Runs the application on a socket: uvicorn with the fast parser, bounded heads, and no signal handlers.

Whoever owns the process (app.py) owns its signals and says when to stop. Stopping first ends event streams
and waits, which would otherwise hold the process up for as long as their clients please.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from collections.abc import Callable, Iterator

import msgspec
import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from jimeng_gateway.clock import SystemClock, new_id
from jimeng_gateway.domain.errors import CallerError
from jimeng_gateway.http.accept import preferred
from jimeng_gateway.http.connections import Connection
from jimeng_gateway.http.errors import RequestTimeout, error_body, error_headers, language_headers

#: Request line and headers together.
HEAD_BYTES = 64 * 1024
#: A head that has begun has to be complete after so many seconds.
HEAD_SECONDS = 15.0
#: An idle connection is kept for the next request for so many seconds.
KEEP_ALIVE_SECONDS = 20


class HeadTooLarge(CallerError):
    """Request line and headers over the limit."""

    code = "headers_too_large"
    status = 431


class MalformedRequest(CallerError):
    """Not HTTP."""

    code = "malformed_request"


class BoundedProtocol(HttpToolsProtocol):
    """Closes connections whose request head is too large or does not come, and says so in our envelope."""

    head_bytes = HEAD_BYTES
    head_seconds = HEAD_SECONDS

    _in_head = True
    _head_size = 0
    _head_timer: asyncio.TimerHandle | None = None
    _connection: Connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        # Not its address: behind a proxy that is the client's, and without a port.
        self._connection = Connection(new_id("conn", SystemClock().now()))
        self._arm()

    def connection_lost(self, exc: Exception | None) -> None:
        self._connection.open = False
        self._disarm()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        self._in_head = True
        super().on_message_begin()
        self.scope["state"]["connection"] = self._connection

    def on_headers_complete(self) -> None:
        if len(self.url) + sum(len(name) + len(value) for name, value in self.headers) > self.head_bytes:
            raise ValueError("head too large")
        self._in_head = False
        self._head_size = 0
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if not self._in_head:
            self._disarm()
        elif not self.transport.is_closing():
            self._head_size += len(data)
            if self._head_size > self.head_bytes:
                self._refuse(HeadTooLarge(f"the request head is larger than {self.head_bytes} bytes"))
            self._arm()

    def send_400_response(self, msg: str) -> None:
        """Called by the parser for what it cannot read."""
        size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers or ())
        if self._in_head and size > self.head_bytes:
            self._refuse(HeadTooLarge(f"the request head is larger than {self.head_bytes} bytes"))
        else:
            self._refuse(MalformedRequest(msg))

    def _unsupported_upgrade_warning(self) -> None:
        """Any client can ask for WebSockets or HTTP/2; the log need not tell the operator to install them."""

    def _arm(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(self.head_seconds, self._head_overdue)

    def _disarm(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_overdue(self) -> None:
        self._head_timer = None
        if self._head_size:
            self._refuse(
                RequestTimeout(f"the request head did not arrive within {self.head_seconds:g} seconds")
            )
        elif self._in_head:
            self.transport.close()

    def _refuse(self, error: CallerError) -> None:
        if self.transport.is_closing():
            return
        request_id = new_id("req", SystemClock().now())
        language = preferred(self.headers or ())
        body = msgspec.json.encode(error_body(error, request_id, language))
        said = {**error_headers(error, accepted=False), **language_headers(language)}
        spoken = "".join(f"{name}: {value}\r\n" for name, value in said.items())
        head = (
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n"
            f"x-request-id: {request_id}\r\n{spoken}connection: close\r\n\r\n"
        )
        self.transport.write(STATUS_LINE[error.status] + head.encode() + body)
        self.transport.close()


class _Uvicorn(uvicorn.Server):
    """Tells when it listens, and leaves the signals alone."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Server:
    """The application on one address. `port` 0 takes a free one."""

    def __init__(
        self,
        app: Starlette,
        *,
        host: str,
        port: int,
        grace_seconds: int = 5,
        protocol: type[HttpToolsProtocol] = BoundedProtocol,
    ) -> None:
        self._app = app
        self._host = host
        self._port = port
        self._config = uvicorn.Config(
            app,
            loop="none",
            http=protocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=grace_seconds,
        )
        self._uvicorn: _Uvicorn | None = None
        self._running: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """Where it listens, once started."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}"

    @property
    def port(self) -> int:
        """The port that it listens on, once started."""
        return self._port

    async def start(self) -> None:
        """Returns when connections are taken. OSError if the address cannot be had."""
        listener = _bind(self._host, self._port)
        self._port = listener.getsockname()[1]
        self._uvicorn = _Uvicorn(self._config)
        self._running = asyncio.create_task(self._uvicorn.serve([listener]), name="http-server")
        ready = asyncio.create_task(self._uvicorn.listening.wait())
        await asyncio.wait({self._running, ready}, return_when=asyncio.FIRST_COMPLETED)
        if self._running.done():
            ready.cancel()
            await self._running

    async def stop(self) -> None:
        """Takes no more connections, ends streams and waits, lets replies finish for the time of grace."""
        self._app.state.service.closing.set()
        if self._uvicorn is not None and self._running is not None:
            self._uvicorn.should_exit = True
            await self._running

    async def wait(self) -> None:
        """Returns when the server has ended, raising what ended it."""
        assert self._running is not None
        await asyncio.shield(self._running)


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named TCP, or asyncio leaves Nagle's algorithm on: 40 ms for every reply.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    """The event loop to serve on: uvloop wherever it exists. For asyncio.Runner."""
    if sys.platform == "win32":
        return asyncio.new_event_loop
    import uvloop

    return uvloop.new_event_loop
