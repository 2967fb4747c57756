"""An S3-compatible storage in memory on loopback, which lets botocore judge every signature.

What goes wrong is told beforehand: each entry of `faults` befalls one request, from the left.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.compat import HTTPHeaders
from botocore.credentials import Credentials

from jimeng_gateway.domain.archive import ArchiveAddress
from jimeng_gateway.domain.ports import Clock
from jimeng_gateway.sigv4 import Keys
from jimeng_gateway.store.archive import Archive, ArchiveTimeouts

KEYS = Keys("AKIAEXAMPLE", "an-example-secret-of-an-archive")
REGION = "eu-example-1"


class Fault(StrEnum):
    """What may befall a request."""

    #: HTTP 503, and nothing is done.
    REFUSE = "refuse"
    #: HTTP 403 as for a wrong key.
    FORBID = "forbid"
    #: The connection closes before the reply; nothing is done.
    CUT = "cut"
    #: It is done, and the connection closes before the reply.
    LOSE = "lose"
    #: Half of a body is sent, then the connection closes.
    HALF = "half"
    #: The reply says yes, and nothing is done.
    LIE = "lie"
    #: No reply until `release` is set.
    HANG = "hang"
    #: The body is not even read.
    DEAF = "deaf"


@dataclass
class Asked:
    """A request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes = b""


@dataclass
class S3:
    """See the module."""

    port: int = 0
    #: By path, bucket included.
    objects: dict[str, bytes] = field(default_factory=dict)
    faults: deque[Fault | None] = field(default_factory=deque)
    asked: list[Asked] = field(default_factory=list)
    #: Reasons for which requests were refused: there should be none.
    refused: list[str] = field(default_factory=list)
    release: asyncio.Event = field(default_factory=asyncio.Event)
    hanging: asyncio.Event = field(default_factory=asyncio.Event)
    #: Called with every request that will be done, before it is.
    on_request: Callable[[Asked], None] | None = None

    @property
    def methods(self) -> list[str]:
        """What was asked for so far."""
        return [asked.method for asked in self.asked]

    def address(self, prefix: str = "gw", bucket: str = "results") -> ArchiveAddress:
        """A bucket of it."""
        return ArchiveAddress(bucket, prefix, f"http://127.0.0.1:{self.port}", REGION, path_style=True)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        try:
            while await self._one(reader, writer):
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, path, _ = head[0].split(" ")
        pairs = (line.partition(":") for line in head[1:] if line)
        asked = Asked(method, path, {name.lower(): value.strip() for name, _, value in pairs})
        self.asked.append(asked)
        fault = self.faults.popleft() if self.faults else None
        if fault is Fault.DEAF:
            await self.release.wait()
            return False
        asked.body = await reader.readexactly(int(asked.headers.get("content-length", "0")))
        if fault is Fault.HANG:
            self.hanging.set()
            await self.release.wait()
        if fault is Fault.CUT:
            return False
        wrong = self._wrong(asked)
        if wrong:
            self.refused.append(wrong)
        if wrong or fault in (Fault.REFUSE, Fault.FORBID):
            status = "503 Slow Down" if fault is Fault.REFUSE else "403 Forbidden"
            _reply(writer, status, f"<Error><Code>{wrong or 'SlowDown'}</Code></Error>".encode(), method)
            return True
        if self.on_request is not None:
            self.on_request(asked)
        status, headers, body = ("200 OK", {}, b"") if fault is Fault.LIE else self._do(asked)
        if fault is Fault.LOSE:
            return False
        _reply(writer, status, body, method, headers, cut=fault is Fault.HALF)
        return fault is not Fault.HALF

    def _do(self, asked: Asked) -> tuple[str, dict[str, str], bytes]:
        if asked.method == "PUT":
            self.objects[asked.path] = asked.body
            return "200 OK", {"etag": f'"{hashlib.md5(asked.body).hexdigest()}"'}, b""
        if asked.method == "DELETE":
            self.objects.pop(asked.path, None)
            return "204 No Content", {}, b""
        data = self.objects.get(asked.path)
        if data is None:
            return "404 Not Found", {}, b"<Error><Code>NoSuchKey</Code></Error>"
        span = re.fullmatch(r"bytes=(\d+)-(\d+)", asked.headers.get("range", ""))
        if span is None:
            return "200 OK", {}, data
        start, end = int(span[1]), min(int(span[2]) + 1, len(data))
        if start >= len(data):
            return "416 Range Not Satisfiable", {"content-range": f"bytes */{len(data)}"}, b""
        part = {"content-range": f"bytes {start}-{end - 1}/{len(data)}"}
        return "206 Partial Content", part, data[start:end]

    def _wrong(self, asked: Asked) -> str:
        if hashlib.sha256(asked.body).hexdigest() != asked.headers.get("x-amz-content-sha256"):
            return "XAmzContentSHA256Mismatch"
        return "" if asked.headers.get("authorization") == judged(asked) else "SignatureDoesNotMatch"


class _Judge(S3SigV4Auth):
    """Signs the headers that a request says are signed, and no others."""

    def headers_to_sign(self, request: AWSRequest) -> HTTPHeaders:
        headers = HTTPHeaders()
        for name, value in request.headers.items():
            headers[name.lower()] = value
        return headers


def judged(asked: Asked) -> str:
    """What botocore would have sent as Authorization with the same headers signed."""
    names = re.search(r"SignedHeaders=([a-z0-9;-]+)", asked.headers.get("authorization", ""))
    signed = {name: asked.headers.get(name, "") for name in (names[1].split(";") if names else ())}
    judge = _Judge(Credentials(KEYS.access_key_id, KEYS.secret_access_key), "s3", REGION)
    request = AWSRequest(asked.method, f"http://{asked.headers['host']}{asked.path}", headers=signed)
    request.context["timestamp"] = asked.headers.get("x-amz-date", "")
    to_sign = judge.string_to_sign(request, judge.canonical_request(request))
    return (
        f"AWS4-HMAC-SHA256 Credential={judge.scope(request)}, "
        f"SignedHeaders={judge.signed_headers(judge.headers_to_sign(request))}, "
        f"Signature={judge.signature(to_sign, request)}"
    )


def _reply(
    writer: asyncio.StreamWriter,
    status: str,
    body: bytes,
    method: str,
    headers: dict[str, str] | None = None,
    *,
    cut: bool = False,
) -> None:
    lines = {"content-length": str(len(body)), **(headers or {})}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    sent = b"" if method == "HEAD" else body[: len(body) // 2] if cut else body
    writer.write(f"HTTP/1.1 {status}\r\n{head}\r\n".encode() + sent)


@asynccontextmanager
async def storage() -> AsyncIterator[S3]:
    """A running storage."""
    s3 = S3()
    open_ones: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        open_ones.add(task)
        try:
            await s3.serve(reader, writer)
        finally:
            open_ones.discard(task)

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    s3.port = listener.sockets[0].getsockname()[1]
    try:
        yield s3
    finally:
        s3.release.set()
        listener.close()
        for task in list(open_ones):
            task.cancel()
        await asyncio.gather(*open_ones, return_exceptions=True)


@asynccontextmanager
async def archived(
    s3: S3, clock: Clock, *, idle: float = 30.0, home: ArchiveAddress | None = None
) -> AsyncIterator[Archive]:
    """A client of it whose new files go there."""
    archive = Archive(
        KEYS, clock, home=home or s3.address(), timeouts=ArchiveTimeouts(connect=5.0, idle=idle)
    )
    try:
        yield archive
    finally:
        await archive.close()
