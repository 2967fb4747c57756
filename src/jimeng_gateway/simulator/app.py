"""The ASGI face of a Site: routes by path alone, so it answers under any host name.

A connection is cut through the extension `simulator.abort`, which `server` puts into the scope.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from urllib.parse import parse_qsl
from zlib import crc32

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Mount
from starlette.types import Receive, Scope, Send

from jimeng_gateway.simulator import admin
from jimeng_gateway.simulator.checks import cookies_of
from jimeng_gateway.simulator.replies import Reply
from jimeng_gateway.simulator.site import Site
from jimeng_gateway.simulator.traffic import Arrived, Call
from jimeng_gateway.simulator.uploads import takes_bytes

ABORT = "simulator.abort"
#: Bytes of an upload that are kept at either end.
_KEPT = 64 * 1024


def create_app(site: Site, sleep: Callable[[float], Awaitable[None]]) -> Starlette:
    """The site and its admin door."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        call = await _read(Request(scope, receive))
        with site.lock:
            outcome = site.answer(call)
        if outcome.delay_s:
            await sleep(outcome.delay_s)
        await _send(outcome.reply, scope, receive, send)

    return Starlette(routes=[Mount("/_sim", routes=admin.routes(site)), Mount("/", app=answer)])


async def _read(request: Request) -> Call:
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in request.scope["headers"]}
    host = headers.get("host", "")
    raw_query = request.scope["query_string"].decode("latin-1")
    path = request.scope["path"]
    body, arrived = (await _count(request)) if takes_bytes(path) else (await request.body(), None)
    return Call(
        method=request.method,
        path=path,
        raw_query=raw_query,
        query=dict(parse_qsl(raw_query, keep_blank_values=True)),
        headers=headers,
        cookies=cookies_of(headers["cookie"]) if "cookie" in headers else {},
        body=body,
        base=f"{request.scope['scheme']}://{host}",
        host=host.partition(":")[0],
        arrived=arrived,
    )


async def _count(request: Request) -> tuple[bytes, Arrived]:
    """The beginning of a body, and what is left of the rest once it has gone by."""
    head, tail, length, checksum = b"", b"", 0, 0
    async for piece in request.stream():
        length += len(piece)
        checksum = crc32(piece, checksum)
        head += piece[: _KEPT - len(head)]
        tail = piece[-_KEPT:] if len(piece) >= _KEPT else (tail + piece)[-_KEPT:]
    return head, Arrived(length, checksum, tail)


async def _send(reply: Reply, scope: Scope, receive: Receive, send: Send) -> None:
    if reply.cut == 0:
        await _abort(scope, receive)
        return
    headers = {**reply.headers, "content-length": str(len(reply.body))}
    encoded = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": reply.status, "headers": encoded})
    if reply.cut is None:
        await send({"type": "http.response.body", "body": reply.body})
        return
    await send({"type": "http.response.body", "body": reply.body[: reply.cut], "more_body": True})
    await _abort(scope, receive)


async def _abort(scope: Scope, receive: Receive) -> None:
    """Cuts the connection and waits until the server has noticed."""
    scope["extensions"][ABORT]["call"]()
    while (await receive())["type"] != "http.disconnect":
        pass
