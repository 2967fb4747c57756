"""Takes in the references of a request: bytes into the spool, then what they are, read from the bytes.

Whatever way a reference comes (a part of a form, a URL, base64), it ends as a Reference whose file is whole,
measured and known to the store. Until a task names it, it is kept by having been used just now.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from urllib.parse import unquote_to_bytes, urlsplit

from jimeng_gateway.domain.errors import InvalidRequest
from jimeng_gateway.domain.probe import probe
from jimeng_gateway.domain.reference import Reference
from jimeng_gateway.egress import Egress
from jimeng_gateway.store.spool import Incoming, Spool, SpoolFile

#: Characters of base64 that are decoded at a time; a multiple of four.
_SLICE = 1 << 20
_LONGEST_NAME = 120


class Intake:
    """See the module."""

    def __init__(
        self,
        spool: Spool,
        egress: Egress,
        register: Callable[[Reference], Awaitable[None]],
        *,
        largest: int,
    ) -> None:
        self._spool = spool
        self._egress = egress
        #: Makes the store know bytes that have just got their place in the spool.
        self._register = register
        #: Bytes of one reference.
        self.largest = largest

    def receive(self, name: str) -> contextlib.AbstractAsyncContextManager[Incoming]:
        """A new file to write to; `admit` it before the end, or it is gone."""
        return self._spool.receive(name, largest=self.largest)

    async def admit(self, file: SpoolFile, name: str) -> Reference:
        """What has been received, as a reference; InvalidRequest if it is nothing that the site takes."""
        found = await asyncio.to_thread(probe, file, name)
        reference = Reference(
            kind=found.kind,
            sha256=file.sha256,
            media_type=found.media_type,
            size=file.size,
            name=name,
            width=found.width,
            height=found.height,
            duration_ms=found.duration_ms,
            fps=found.fps,
        )
        await self._spool.keep(file)
        await self._register(reference)
        return reference

    async def fetch(self, url: str, name: str = "") -> Reference:
        """A reference from a URL; see Egress for what it raises."""
        async with self._egress.open(url) as chunks:
            address = urlsplit(url)
            return await self._take(
                chunks, name or tidy_name(address.path) or address.hostname or "reference"
            )

    async def decode(self, data: str, name: str = "") -> Reference:
        """A reference from base64 or a `data:` URI."""
        return await self._take(_decoded(data, name or "reference"), name or "reference")

    async def _take(self, chunks: AsyncIterator[bytes], name: str) -> Reference:
        async with self.receive(name) as incoming:
            async for chunk in chunks:
                await incoming.write(chunk)
            return await self.admit(await incoming.complete(), name)


def tidy_name(name: str) -> str:
    """The last part of a file name or path, fit for messages and for @name in a prompt."""
    last = Path(name.replace("\\", "/")).name
    clean = "".join(letter for letter in last if letter.isprintable()).strip()
    return clean.encode("utf-8", "ignore").decode()[:_LONGEST_NAME]


async def _decoded(data: str, name: str) -> AsyncIterator[bytes]:
    """The bytes, a piece at a time."""
    text = data
    if data[:5].lower() == "data:":
        head, comma, text = data.partition(",")
        if not comma:
            raise InvalidRequest(f"{name}: the data: URI has no data", param="references")
        if not head.lower().endswith(";base64"):
            yield await asyncio.to_thread(unquote_to_bytes, text)
            return
    text = await asyncio.to_thread(_plain_base64, text)
    for start in range(0, len(text), _SLICE):
        try:
            yield await asyncio.to_thread(base64.b64decode, text[start : start + _SLICE], validate=True)
        except (binascii.Error, ValueError):
            raise InvalidRequest(
                f"{name}: it is neither a URL nor base64", param="references", code="unsupported_reference"
            ) from None


def _plain_base64(text: str) -> str:
    """Without line breaks, in the ordinary alphabet, padded."""
    plain = "".join(text.split()).replace("-", "+").replace("_", "/").rstrip("=")
    return plain + "=" * (-len(plain) % 4)
