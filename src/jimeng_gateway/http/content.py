"""Hands out the file of a result: with Range, HEAD and validators.

Files are read in a thread, piece by piece: a slow disk holds up nobody else, and a long video fits in memory.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import BinaryIO

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from jimeng_gateway.domain.errors import NotFound
from jimeng_gateway.domain.task import Result, Task
from jimeng_gateway.http.endpoint import Call
from jimeng_gateway.http.errors import RangeNotSatisfiable
from jimeng_gateway.http.ranges import Span, Unsatisfiable, wanted
from jimeng_gateway.http.schemas import Number

_CHUNK = 256 * 1024

_EXTENSIONS = {
    "image/png": "png",
    "image/jpeg": "jpg",
    "image/webp": "webp",
    "image/gif": "gif",
    "image/avif": "avif",
    "video/mp4": "mp4",
    "video/webm": "webm",
    "video/quicktime": "mov",
}


class ContentQuery(msgspec.Struct, kw_only=True):
    """Which file of the task."""

    index: Number = 0
    #: In place of a key, from the links in a task's JSON.
    signature: str = ""


async def get_content(call: Call, query: ContentQuery) -> Response:
    """GET and HEAD …/content."""
    task_id = call.id("task_id")
    if call.caller_or_none is None:
        task = await call.gateway.task_for_link(task_id)
    else:
        task = await call.gateway.task(call.caller, task_id)
    path = call.gateway.content(task, query.index)
    result = next((result for result in task.results if result.index == query.index), None)
    if result is None:
        raise NotFound("the task has no such result", param="index")
    try:
        file = await asyncio.to_thread(_open, path)
    except FileNotFoundError:
        raise NotFound("the file of this result is no longer here", code="content_gone") from None
    try:
        size = os.fstat(file.fileno()).st_size
        return _reply(call.request, task, result, file, size)
    except BaseException:
        file.close()
        raise


def _open(path: Path) -> BinaryIO:
    return path.open("rb", buffering=0)


def _reply(request: Request, task: Task, result: Result, file: BinaryIO, size: int) -> Response:
    headers = _headers(task, result)
    if _matches(request.headers.get("if-none-match", ""), headers["etag"]):
        file.close()
        return Response(None, 304, {name: headers[name] for name in ("etag", "cache-control")})
    span = _span(request, headers["etag"], size)
    whole = span is None
    span = span or Span(0, size)
    headers["content-length"] = str(span.length)
    if not whole:
        headers["content-range"] = f"bytes {span.start}-{span.end - 1}/{size}"
    kind = result.media_type or "application/octet-stream"
    if request.method == "HEAD":
        file.close()
        return Response(None, 200 if whole else 206, headers, kind)
    return _FileReply(file, span, 200 if whole else 206, headers, kind)


def _headers(task: Task, result: Result) -> dict[str, str]:
    extension = _EXTENSIONS.get(result.media_type or "", "bin")
    return {
        "etag": f'"{result.sha256 or f"{task.id}-{result.index}"}"',
        "accept-ranges": "bytes",
        # A result never changes; it is the caller's own, so shared caches keep out.
        "cache-control": "private, max-age=31536000, immutable",
        "content-disposition": f'inline; filename="{task.id}-{result.index}.{extension}"',
        # Results come from elsewhere: a browser must neither guess another type nor run anything.
        "x-content-type-options": "nosniff",
        "content-security-policy": "sandbox; default-src 'none'",
    }


def _span(request: Request, etag: str, size: int) -> Span | None:
    header = request.headers.get("range", "")
    if not header or request.headers.get("if-range", etag) != etag:
        return None
    try:
        return wanted(header, size)
    except Unsatisfiable:
        raise RangeNotSatisfiable(size) from None


def _matches(header: str, etag: str) -> bool:
    tags = [tag.strip().removeprefix("W/") for tag in header.split(",")]
    return etag in tags or tags == ["*"]


class _FileReply(StreamingResponse):
    """Sends a span of an open file, and closes it even if the client leaves before the first byte."""

    def __init__(self, file: BinaryIO, span: Span, status: int, headers: dict[str, str], kind: str) -> None:
        super().__init__(_chunks(file, span), status, headers, kind)
        self._file = file

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._file:
            await super().__call__(scope, receive, send)


async def _chunks(file: BinaryIO, span: Span) -> AsyncIterator[bytes]:
    place = span.start
    while place < span.end:
        # pread has no position of its own: a read that outlives its reply, because the client left and the
        # thread has not yet noticed, disturbs nobody.
        chunk = await asyncio.to_thread(os.pread, file.fileno(), min(_CHUNK, span.end - place), place)
        if not chunk:
            raise OSError("the file became shorter while it was sent")
        place += len(chunk)
        yield chunk
