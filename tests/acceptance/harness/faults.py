"""An HTTP proxy in front of the gateway that fails as networks and front proxies do.

What happens to a request is said by the first part of its path: `/~lost.edit/v1/images/edits` is sent on as
`/v1/images/edits`, and what goes wrong is `lost`, under the label `edit`. So a client needs only a base URL,
and whoever reads the log knows to which step of a program a request belongs. Each fault strikes once for each
label and path (`refuse` and `refuse-after` twice), and only requests that may spend: POST.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from urllib.parse import urlsplit

from support.process import until

#: How often each fault strikes, and what it does.
FAULTS: Mapping[str, int] = {
    "none": 0,
    # 503 in place of the gateway, which hears nothing of it.
    "refuse": 2,
    # The gateway answers, and the client gets a 503 in place of the answer.
    "refuse-after": 2,
    # The connection ends before anything reached the gateway.
    "cut": 1,
    # Half of the body reaches the gateway.
    "half": 1,
    # The gateway has the request, and the connection ends while it is at it.
    "hangup": 1,
    # The gateway answers, and the connection ends in place of the answer.
    "lost": 1,
    # The gateway answers, and the connection ends in the middle of the answer.
    "torn": 1,
}

_HOP = {"connection", "keep-alive", "transfer-encoding", "upgrade", "proxy-connection", "expect"}
_PIECE = 65536
_LONGEST_S = 120
_ABSENT_S = 20
_READ_S = 0.1


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it came from a client."""

    label: str
    method: str
    path: str
    headers: Mapping[str, str]


class FaultProxy:
    """Listens on a loopback port and forwards to wherever the gateway is at the time."""

    def __init__(self, target: Callable[[], str], files: Mapping[str, tuple[str, bytes]]) -> None:
        self.target = target
        #: Files that it serves itself, by path: media type and bytes.
        self.files = files
        self._lock = Lock()
        self._strikes: Counter[tuple[str, str, str]] = Counter()
        self._log: list[Request] = []
        proxy = self

        class Handler(_Handler):
            owner = proxy

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = Thread(target=self._server.serve_forever, args=(0.05,), name="faults", daemon=True)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def start(self) -> None:
        """Requests are taken as soon as this returns."""
        self._thread.start()

    def stop(self) -> None:
        """Takes no more requests."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def note(self, request: Request, fault: str) -> bool:
        """Logs the request; whether the fault strikes it."""
        with self._lock:
            self._log.append(request)
            if request.method != "POST":
                return False
            key = (fault, request.label, request.path)
            self._strikes[key] += 1
            return self._strikes[key] <= FAULTS[fault]

    def log(self, label: str | None = None) -> list[Request]:
        """The requests so far, or those under a label."""
        with self._lock:
            return [request for request in self._log if label in (None, request.label)]

    def tries(self) -> Counter[str]:
        """How many POST requests came under each label."""
        return Counter(request.label for request in self.log() if request.method == "POST")


class _Handler(BaseHTTPRequestHandler):
    owner: FaultProxy
    protocol_version = "HTTP/1.1"
    # Heads and bodies go out in one piece each; waiting for the other side's acknowledgement costs 40 ms.
    disable_nagle_algorithm = True

    def _any(self) -> None:
        self.close_connection = True
        if self.path in self.owner.files:
            media_type, data = self.owner.files[self.path]
            self._answer(200, media_type, data)
            return
        fault, label, path = _split(self.path)
        body = self._body()
        struck = self.owner.note(
            Request(label, self.command, path, {name.lower(): value for name, value in self.headers.items()}),
            fault,
        )
        if not struck:
            self._forward(path, body)
        elif fault == "refuse":
            self._unavailable()
        elif fault == "refuse-after":
            self._unheard(path, body)
            self._unavailable()
        elif fault == "cut":
            self._cut()
        elif fault == "half":
            self._send_half(path, body)
            self._cut()
        elif fault == "hangup":
            self._leave(self._send(path, body))
            self._cut()
        elif fault == "lost":
            self._unheard(path, body)
            self._cut()
        elif fault == "torn":
            reply, data = self._unheard(path, body)
            self._begin(reply)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data[: len(data) // 2])
            self._cut()

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = _any  # noqa: N815 - http.server's

    def log_message(self, *_: object) -> None:
        """Says nothing: the log is kept by the owner."""

    def _body(self) -> bytes:
        if "chunked" not in self.headers.get("transfer-encoding", "").lower():
            return self.rfile.read(int(self.headers.get("content-length", 0)))
        pieces = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return b"".join(pieces)

    def _connected(self) -> http.client.HTTPConnection | None:
        """A connection; None while the gateway is being restarted."""
        parts = urlsplit(self.owner.target())
        there = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=_LONGEST_S)
        try:
            there.connect()
        except ConnectionRefusedError:
            return None
        return there

    def _head(self, path: str, length: int) -> http.client.HTTPConnection:
        there = until(self._connected, seconds=_ABSENT_S, what="the gateway is there")
        there.putrequest(self.command, path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() not in _HOP and name.lower() != "content-length":
                there.putheader(name, value)
        if length or self.command in ("POST", "PUT", "PATCH"):
            there.putheader("Content-Length", str(length))
        return there

    def _send(self, path: str, body: bytes) -> http.client.HTTPConnection:
        there = self._head(path, len(body))
        there.endheaders(body or None)
        return there

    def _send_half(self, path: str, body: bytes) -> None:
        there = self._head(path, len(body))
        there.endheaders(body[: len(body) // 2])
        there.close()

    def _leave(self, there: http.client.HTTPConnection) -> None:
        # Whoever is gone before the request was read has not asked.
        there.sock.settimeout(_READ_S)
        with contextlib.suppress(TimeoutError):
            there.sock.recv(1)
        there.close()

    def _unheard(self, path: str, body: bytes) -> tuple[http.client.HTTPResponse, bytes]:
        """What the gateway answers, to its end."""
        there = self._send(path, body)
        try:
            reply = there.getresponse()
            return reply, reply.read()
        finally:
            there.close()

    def _begin(self, reply: http.client.HTTPResponse) -> None:
        self.send_response_only(reply.status, reply.reason)
        for name, value in reply.getheaders():
            if name.lower() not in _HOP and name.lower() != "content-length":
                self.send_header(name, value)
        self.send_header("Connection", "close")

    def _forward(self, path: str, body: bytes) -> None:
        there = self._send(path, body)
        try:
            reply = there.getresponse()
            self._begin(reply)
            if reply.chunked:
                self.send_header("Transfer-Encoding", "chunked")
            elif length := reply.getheader("Content-Length"):
                self.send_header("Content-Length", length)
            self.end_headers()
            while piece := reply.read1(_PIECE):
                self.wfile.write(_chunk(piece) if reply.chunked else piece)
            if reply.chunked:
                self.wfile.write(_chunk(b""))
        except (OSError, http.client.HTTPException):
            # The client went away, or the gateway did: either way the other one should notice.
            self._cut()
        finally:
            there.close()

    def _unavailable(self) -> None:
        body = json.dumps({"error": {"message": "the proxy says no", "type": "server_error", "code": None}})
        self._answer(503, "application/json", body.encode())

    def _answer(self, status: int, media_type: str, data: bytes) -> None:
        self.send_response_only(status)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _cut(self) -> None:
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)


def _chunk(piece: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(piece), piece)


def _split(path: str) -> tuple[str, str, str]:
    """Fault, label, and the path for the gateway."""
    if not path.startswith("/~"):
        return "none", "", path
    said, _, rest = path[2:].partition("/")
    fault, _, label = said.partition(".")
    return fault, label, f"/{rest}"


@contextmanager
def fault_proxy(target: Callable[[], str], files: Mapping[str, tuple[str, bytes]]) -> Iterator[FaultProxy]:
    """A proxy for the time of the block."""
    made = FaultProxy(target, files)
    made.start()
    try:
        yield made
    finally:
        made.stop()
