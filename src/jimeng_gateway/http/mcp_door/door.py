"""What stands before the MCP SDK: who may come in, from where, and with how much.

The SDK weighs 32 MB and half a second, so it is imported when the first message comes, and in a thread, so
that nobody else waits for it. The key was checked before.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from importlib import import_module
from urllib.parse import urlsplit

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from jimeng_gateway.domain.errors import Forbidden, InvalidRequest
from jimeng_gateway.http.body import declared_length, media_type, read_body
from jimeng_gateway.http.endpoint import Call
from jimeng_gateway.http.room import Place
from jimeng_gateway.http.spending import JSON

_EXCHANGE = "jimeng_gateway.http.mcp_door.exchange"
#: A large message is one with pictures inside: few values, some of them long. Many would be read one by one
#: by the SDK, and nobody else would be served meanwhile.
_MOST_VALUES = 10_000
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


async def converse(call: Call) -> Response:
    """POST /mcp."""
    check_origin(call.request.headers.getlist("origin"), call.service.public_url)
    media_type(call.request, (JSON,))
    return _Exchange(call)


def check_origin(origins: list[str], public_url: str) -> None:
    """Forbidden for a request that a browser sends for a page from elsewhere, as the protocol demands.

    Pages of the gateway's own address and of the user's own machine may talk to it. A page whose name was
    made to lead to us (DNS rebinding) still names itself here, so the Host header may be any.
    """
    own = _origin(public_url)
    for found in map(_origin, origins):
        if found is None or (found != own and found[1] not in _LOOPBACK):
            raise Forbidden(
                "the request comes from a web page of another address; set JIMENG_PUBLIC_URL if it is yours",
                code="origin_refused",
            )


def _origin(url: str) -> tuple[str, str, int | None] | None:
    """Scheme, host and port; None for what is no address."""
    try:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        return None
    return (parts.scheme, parts.hostname or "", port) if parts.hostname else None


class _Exchange(Response):
    """Reads the message and lets the SDK answer it."""

    def __init__(self, call: Call) -> None:
        super().__init__()
        self._call = call

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        call, limits = self._call, self._call.service.limits
        most = limits.reference_json_bytes
        async with AsyncExitStack() as stack:
            size = min(declared_length(call.request) or most, most)
            place = Place(call.service.room, stack, small=limits.json_bytes, size=size)
            message = await read_body(
                call.request, limit=most, seconds=limits.body_seconds, reaches=place.reaches
            )
            if len(message) > limits.json_bytes and message.count(b",") > _MOST_VALUES:
                raise InvalidRequest(f"a message of this size may hold {_MOST_VALUES} values at most")
            exchange = await asyncio.to_thread(import_module, _EXCHANGE)
            await exchange.answer(call, message, scope, send)
