"""Bounds the memory that large bodies take together.

References may come as base64 in JSON, and such a body takes several times its size until they are decoded.
Bodies that do not fit wait at the socket, where TCP holds their senders back, and are refused in the end.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from jimeng_gateway.domain.errors import Unavailable


class Room:
    """So many bytes for the large bodies of all requests, given in the order of asking."""

    def __init__(self, size: int, *, seconds: float) -> None:
        self._size = size
        self._free = size
        self._seconds = seconds
        self._turn = asyncio.Lock()
        self._freed = asyncio.Event()

    @asynccontextmanager
    async def of(self, size: int) -> AsyncIterator[None]:
        """Room for a body of so many bytes; Unavailable if there is none within the time."""
        size = min(size, self._size)
        try:
            async with asyncio.timeout(self._seconds), self._turn:
                while self._free < size:
                    self._freed.clear()
                    await self._freed.wait()
                self._free -= size
        except TimeoutError:
            raise Unavailable(
                "too many large bodies are being read; send files as multipart/form-data, or come again",
                code="too_many_large_bodies",
                retry_after=5,
            ) from None
        try:
            yield
        finally:
            self._free += size
            self._freed.set()


class Place:
    """Takes room for one request when its body turns out to be large, until its stack ends."""

    def __init__(self, room: Room, stack: AsyncExitStack, *, small: int, size: int) -> None:
        self._room = room
        self._stack = stack
        self._small = small
        self._size = size
        self._taken = False

    async def reaches(self, size: int) -> None:
        """Called as the body grows: up to `small` bytes are free of charge, beyond the whole is paid."""
        if size > self._small and not self._taken:
            self._taken = True
            await self._stack.enter_async_context(self._room.of(self._size))
