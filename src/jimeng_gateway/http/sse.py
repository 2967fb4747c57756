"""A reply that goes on: server-sent events with a heartbeat.

The stream ends when its source ends, when the client goes away and when the process is about to stop;
in each case the source is closed, so that nothing keeps watching for nobody.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import msgspec
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from jimeng_gateway.http.endpoint import Service


def frame(event: str, data: object, *, number: int | None = None) -> bytes:
    """One event; `number` becomes its id, to which a client can return with Last-Event-ID."""
    head = f"id: {number}\nevent: {event}\n" if number is not None else f"event: {event}\n"
    return head.encode() + b"data: " + msgspec.json.encode(data) + b"\n\n"


def data_frame(data: object) -> bytes:
    """An event without a name, as the chat dialect sends them."""
    return b"data: " + msgspec.json.encode(data) + b"\n\n"


#: Sent first, so that proxies and clients see the reply begin, and later whenever nothing else was.
HEARTBEAT = b": keep-alive\n\n"
#: The same with how long to wait before coming back. Not for the OpenAI SDKs, which take it for an event.
RECONNECT = b"retry: 2000\n" + HEARTBEAT


class EventStream(Response):
    """Sends frames until there are no more."""

    media_type = "text/event-stream"

    def __init__(
        self,
        frames: AsyncGenerator[bytes, None],
        service: Service,
        *,
        opening: bytes = HEARTBEAT,
        farewell: bytes = b"",
    ) -> None:
        super().__init__(headers={"cache-control": "no-store", "x-accel-buffering": "no"})
        del self.headers["content-length"]
        self._frames = frames
        self._service = service
        self._opening = opening
        #: What a client is told whose stream ends before its frames do, because the process stops.
        self._farewell = farewell

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self._opening, "more_body": True})
        gone = asyncio.ensure_future(_disconnected(receive))
        closing = asyncio.ensure_future(self._service.closing.wait())
        try:
            complete = await self._pump(send, gone, closing)
        finally:
            await stop(gone, closing)
            await self._frames.aclose()
        last = b"" if complete else self._farewell
        await send({"type": "http.response.body", "body": last, "more_body": False})

    async def _pump(self, send: Send, *ends: asyncio.Future[Any]) -> bool:
        """Whether all frames were sent, and none of the `ends` came first."""
        frames = asyncio.ensure_future(self._next())
        beat = asyncio.ensure_future(self._heartbeat())
        try:
            while True:
                await asyncio.wait({frames, beat, *ends}, return_when=asyncio.FIRST_COMPLETED)
                if any(end.done() for end in ends):
                    return False
                if frames.done():
                    chunk = frames.result()
                    if chunk is None:
                        return True
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
                    frames = asyncio.ensure_future(self._next())
                if beat.done():
                    await send({"type": "http.response.body", "body": HEARTBEAT, "more_body": True})
                    beat = asyncio.ensure_future(self._heartbeat())
        finally:
            await stop(frames, beat)

    async def _next(self) -> bytes | None:
        return await anext(self._frames, None)

    async def _heartbeat(self) -> None:
        await self._service.clock.sleep(self._service.limits.heartbeat_seconds)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def stop(*pending: asyncio.Future[Any]) -> None:
    """Cancels them and waits until they have come to rest."""
    for future in pending:
        future.cancel()
    await asyncio.gather(*pending, return_exceptions=True)
