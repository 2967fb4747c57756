"""The outermost layer: a request id on every reply, and every error turned into the one envelope.

Pure ASGI. An error after the first byte of a reply cannot become a status any more; then the connection is
cut, so that nobody takes half a file for a whole one.
"""

from __future__ import annotations

import asyncio
import contextlib

import structlog
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from jimeng_gateway.clock import new_id
from jimeng_gateway.domain.errors import GatewayError, Owner
from jimeng_gateway.domain.ports import Clock
from jimeng_gateway.http.accept import preferred
from jimeng_gateway.http.errors import RequestTimeout, error_response

log = structlog.get_logger("jimeng_gateway.http")

#: What is read and thrown away so that a refused client can read why, before the connection is closed.
_DRAIN_BYTES = 4 << 20
_DRAIN_SECONDS = 5.0


class Guard:
    """Wraps the whole application."""

    def __init__(self, app: ASGIApp, clock: Clock) -> None:
        self._app = app
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(scope, receive, send, new_id("req", self._clock.now()))
        try:
            await self._app(scope, exchange.receive, exchange.send)
        except ClientDisconnect:
            return
        except GatewayError as error:
            await exchange.fail(error)
        except Exception as error:
            log.exception("request failed", request_id=exchange.request_id, path=scope["path"])
            await exchange.fail(GatewayError("the gateway failed to answer; its log has the details"), error)


class _Exchange:
    """One request and its reply: knows whether the body was read and whether the reply has begun."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, request_id: str) -> None:
        self.request_id = request_id
        self._scope = scope
        self._receive = receive
        self._send = send
        self._replying = False
        self._body_read = not _has_body(scope)
        scope.setdefault("state", {})["request_id"] = request_id

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request" and not message.get("more_body", False):
            self._body_read = True
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._replying = True
            message["headers"] = [*message.get("headers", ()), (b"x-request-id", self.request_id.encode())]
            if not self._body_read:
                # What is left of the body stands in the way of the next request.
                message["headers"].append((b"connection", b"close"))
        await self._send(message)

    async def fail(self, error: GatewayError, cause: Exception | None = None) -> None:
        """Answers with an error, or cuts the connection if the reply has already begun."""
        if self._replying:
            raise cause or error
        if error.owner is Owner.GATEWAY and cause is None:
            log.warning("request not served", request_id=self.request_id, code=error.code, error=str(error))
        accepted = bool(self._scope["state"].get("accepted"))
        response: Response = error_response(
            error,
            self.request_id,
            preferred(self._scope["headers"]),
            path=self._scope["path"],
            accepted=accepted,
        )
        if not isinstance(error, RequestTimeout):
            await self._drain()
        await response(self._scope, self._receive, self.send)

    async def _drain(self) -> None:
        """Gets the rest of the body out of the way, within reason, so that the client comes to reading."""
        left = 0 if _header(self._scope, b"expect") else _DRAIN_BYTES
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_DRAIN_SECONDS):
                while not self._body_read and left > 0:
                    message = await self.receive()
                    if message["type"] == "http.disconnect":
                        return
                    left -= len(message.get("body", b""))


def _has_body(scope: Scope) -> bool:
    return _header(scope, b"content-length") not in (b"", b"0") or bool(_header(scope, b"transfer-encoding"))


def _header(scope: Scope, name: bytes) -> bytes:
    return next((value for key, value in scope["headers"] if key == name), b"")
