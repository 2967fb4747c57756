"""Hands out the file of a result: with Range, HEAD and validators, from wherever it lies.

Files are read piece by piece, in a thread or from the archive: a slow disk holds up nobody else, and a long
video never lies in memory. A link stays the same wherever its file moves.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from jimeng_gateway.domain.task import Task
from jimeng_gateway.http.endpoint import Call
from jimeng_gateway.http.errors import RangeNotSatisfiable
from jimeng_gateway.http.ranges import Span, Unsatisfiable, wanted
from jimeng_gateway.http.schemas import Number
from jimeng_gateway.store.files import Opened, StoredFile
from jimeng_gateway.store.sniff import SUFFIXES

#: Names of the small picture, as several APIs call it.
_PREVIEWS = frozenset({"preview", "poster", "thumbnail"})


class ContentQuery(msgspec.Struct, kw_only=True):
    """Which file of the task, and how."""

    index: Number = 0
    #: The result itself (`original`, `video`), or the small picture that stands for it.
    variant: Literal["original", "video", "preview", "poster", "thumbnail"] = "original"
    #: Offer it to be saved rather than shown.
    download: bool = False
    #: In place of a key, from the links in a task's JSON.
    signature: str = ""
    #: When such a link ends, in seconds since the epoch; part of what is signed.
    expires: Annotated[int, Meta(ge=0, le=2**53)] = 0


async def get_content(call: Call, query: ContentQuery) -> Response:
    """GET and HEAD …/content."""
    task_id = call.id("task_id")
    if call.caller_or_none is None:
        task = await call.gateway.task_for_link(task_id)
    else:
        task = await call.gateway.task(call.caller, task_id)
    preview = query.variant in _PREVIEWS
    return await file_reply(call, task, query.index, preview=preview, download=query.download)


async def file_reply(
    call: Call, task: Task, index: int = 0, *, preview: bool = False, download: bool = False
) -> Response:
    """A file of a task as this request asks for it; every door that serves files answers so."""
    file = call.gateway.content(task, index, preview=preview)
    headers = _headers(file, _name(task, index, file, preview=preview), download=download)
    if _matches(call.request.headers.get("if-none-match", ""), headers["etag"]):
        await call.gateway.check_content(file)
        return Response(None, 304, {name: headers[name] for name in ("etag", "cache-control")})
    span = _span(call.request, headers["etag"], file.size)
    status = 200 if span is None else 206
    if span is not None:
        headers["content-range"] = f"bytes {span.start}-{span.end - 1}/{file.size}"
    span = span or Span(0, file.size)
    headers["content-length"] = str(span.length)
    kind = file.media_type or "application/octet-stream"
    if call.request.method == "HEAD":
        await call.gateway.check_content(file)
        return Response(None, status, headers, kind)
    opened = await call.gateway.open_content(file, span.start, span.end)
    return _FileReply(opened, status, headers, kind)


def _name(task: Task, index: int, file: StoredFile, *, preview: bool) -> str:
    """What a browser saves it as; the prompt is not in it, for a link may be passed on."""
    small = "-preview" if preview else ""
    return f"{task.id}-{index}{small}.{SUFFIXES.get(file.media_type, 'bin')}"


def _headers(file: StoredFile, name: str, *, download: bool) -> dict[str, str]:
    return {
        "etag": f'"{file.sha256}"',
        "accept-ranges": "bytes",
        # A result never changes; it is the caller's own, so shared caches keep out.
        "cache-control": "private, max-age=31536000, immutable",
        "content-disposition": f'{"attachment" if download else "inline"}; filename="{name}"',
        # Results come from elsewhere: a browser must neither guess another type nor run anything. To play a
        # video that was opened by its link, it fetches the same address again, as the page that it is.
        "x-content-type-options": "nosniff",
        "content-security-policy": "sandbox allow-same-origin; default-src 'none'; media-src 'self'",
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
    """Sends a span of a file, and closes it even if the client leaves before the first byte."""

    def __init__(self, opened: Opened, status: int, headers: dict[str, str], kind: str) -> None:
        super().__init__(opened.chunks(), status, headers, kind)
        self._opened = opened

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._opened.close()
