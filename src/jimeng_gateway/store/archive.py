"""Finished files in S3-compatible storage, for operators who keep no results on the gateway's own disk.

An upload is signed together with the hash of its bytes and looked at once more when it is there; it counts
only then. Bytes are streamed both ways, so that a long video never lies in memory. The endpoint is the
operator's own and may be private: it is reached directly, with the system's trust store.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import re
import ssl
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import aiohttp
from yarl import URL

from jimeng_gateway.domain.archive import ArchiveAddress
from jimeng_gateway.domain.errors import GatewayError, Unavailable
from jimeng_gateway.domain.ports import Clock
from jimeng_gateway.sigv4 import EMPTY, Keys, object_path, sign_object

CHUNK = 256 * 1024
_LARGEST_ERROR = 4096
_CODE = re.compile(rb"<Code>([A-Za-z0-9]{1,64})</Code>")


class ArchiveFailed(Unavailable):
    """The archive could not be reached or refused; the same may succeed later."""

    code = "archive_failed"


class ObjectMissing(GatewayError):
    """The archive has no such object."""

    code = "object_missing"


@dataclass(frozen=True, slots=True)
class ArchiveTimeouts:
    """In seconds."""

    connect: float = 10.0
    #: A transfer in which nothing moves for so long is given up.
    idle: float = 60.0


@dataclass(frozen=True, slots=True)
class Opened:
    """A span of an object on its way; must be closed."""

    #: Of the whole object, in bytes.
    size: int
    response: aiohttp.ClientResponse

    async def chunks(self) -> AsyncIterator[bytes]:
        """The bytes asked for."""
        try:
            async for chunk in self.response.content.iter_chunked(CHUNK):
                yield chunk
        except (aiohttp.ClientError, OSError) as error:
            raise _unreachable(error) from error

    async def close(self) -> None:
        """Ends it, also in the middle."""
        self.response.close()


class Archive:
    """Speaks to the storage that an address names. Opens nothing before the first call."""

    def __init__(
        self,
        keys: Keys,
        clock: Clock,
        *,
        home: ArchiveAddress | None = None,
        timeouts: ArchiveTimeouts | None = None,
    ) -> None:
        self._keys = keys
        self._clock = clock
        #: Where new files go; None: nowhere, and the archive is only read.
        self.home = home
        self._timeouts = timeouts or ArchiveTimeouts()
        self._session: aiohttp.ClientSession | None = None

    def find(self, place: str) -> ArchiveAddress:
        """The address that a row names; as it is configured today, if that has the same objects."""
        address = ArchiveAddress.parse(place)
        if self.home is not None and self.home.same_objects(address):
            return self.home
        return address

    async def put(
        self, address: ArchiveAddress, name: str, path: Path, *, size: int, sha256: str, kind: str
    ) -> None:
        """Stores a file; returns when the storage has all of it, else raises ArchiveFailed or OSError."""
        # Not in a thread: a step that is cancelled while it waits for one would leave the file open.
        with path.open("rb", buffering=0) as file:
            if os.fstat(file.fileno()).st_size != size:
                raise ArchiveFailed(f"{path.name} is not the file that was checked")
            try:
                # The library limits only how long it waits for the reply; a body may stall as well.
                async with asyncio.timeout(self._timeouts.idle) as stall:
                    body = _pieces(file, size, lambda: self._moved(stall))
                    headers = {"content-length": str(size), "content-type": kind}
                    async with await self._send("PUT", address, name, sha256, headers, body) as response:
                        await _expect(response, 200, "put")
            except TimeoutError as error:
                raise _unreachable(error) from error
        found = await self.head(address, name)
        if found != size:
            raise ArchiveFailed(f"the archive took {size} bytes of {name} and now has {found}")

    async def head(self, address: ArchiveAddress, name: str) -> int | None:
        """The size of an object; ObjectMissing if there is none."""
        async with await self._send("HEAD", address, name) as response:
            await _expect(response, 200, "head")
            return response.content_length

    async def get(self, address: ArchiveAddress, name: str, start: int, end: int, size: int) -> Opened:
        """Opens the bytes start … end - 1 of an object that should have that size."""
        headers = {} if (start, end) == (0, size) else {"range": f"bytes={start}-{end - 1}"}
        response = await self._send("GET", address, name, headers=headers)
        try:
            await _expect(response, 206 if headers else 200, "get")
            total = _total(response) if headers else response.content_length
            if total is None or (total == size and response.content_length != end - start):
                raise ArchiveFailed(f"the archive gives another part of {name} than was asked for")
            return Opened(total, response)
        except BaseException:
            response.close()
            raise

    async def delete(self, address: ArchiveAddress, name: str) -> None:
        """Removes an object; one that is not there is as good as removed."""
        async with await self._send("DELETE", address, name) as response:
            if response.status != 404:
                await _expect(response, 204, "delete", also=200)

    async def probe(self, address: ArchiveAddress, name: str) -> None:
        """Puts a small object, reads it and removes it; ArchiveFailed or ObjectMissing tells what fails."""
        data = name.encode()
        with tempfile.NamedTemporaryFile() as file:
            file.write(data)
            file.flush()
            digest = hashlib.sha256(data).hexdigest()
            await self.put(address, name, Path(file.name), size=len(data), sha256=digest, kind="text/plain")
        opened = await self.get(address, name, 0, len(data), len(data))
        try:
            found = b"".join([chunk async for chunk in opened.chunks()])
        finally:
            await opened.close()
        if found != data:
            raise ArchiveFailed("the archive gives other bytes than it was given")
        await self.delete(address, name)

    async def close(self) -> None:
        """Closes all connections."""
        if self._session is not None:
            await self._session.close()

    async def _send(
        self,
        method: str,
        address: ArchiveAddress,
        name: str,
        digest: str = EMPTY,
        headers: Mapping[str, str] | None = None,
        body: AsyncIterator[bytes] | None = None,
    ) -> aiohttp.ClientResponse:
        url, host, path = locate(address, name)
        signed = sign_object(self._keys, method, host, path, digest, self._clock.now(), region=address.region)
        try:
            return await self._opened().request(
                method,
                url,
                headers={**(headers or {}), **signed, "host": host},
                data=body,
                allow_redirects=False,
            )
        except (aiohttp.ClientError, OSError) as error:
            raise _unreachable(error) from error

    def _moved(self, stall: asyncio.Timeout) -> None:
        if not stall.expired():
            stall.reschedule(asyncio.get_running_loop().time() + self._timeouts.idle)

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            limit = self._timeouts
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=ssl.create_default_context()),
                timeout=aiohttp.ClientTimeout(
                    total=None, sock_connect=limit.connect, connect=limit.connect, sock_read=limit.idle
                ),
                # What is stored is what was made: nobody may pack or unpack it on the way.
                auto_decompress=False,
                headers={"accept-encoding": "identity"},
                skip_auto_headers=("user-agent",),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session


def locate(address: ArchiveAddress, name: str) -> tuple[URL, str, str]:
    """Where an object is asked for: the URL, and the host and the path in it as they are signed."""
    endpoint = URL(address.endpoint)
    host = address.endpoint.partition("://")[2]
    if endpoint.port == {"http": 80, "https": 443}[endpoint.scheme] and endpoint.host:
        host = host.removesuffix(f":{endpoint.port}")
    if not address.path_style:
        host = f"{address.bucket}.{host}"
    path = object_path(address.bucket if address.path_style else "", address.prefix, name)
    return URL(f"{endpoint.scheme}://{host}{path}", encoded=True), host, path


async def _pieces(file: BinaryIO, size: int, moved: Callable[[], None]) -> AsyncIterator[bytes]:
    place = 0
    while place < size:
        moved()
        chunk = await asyncio.to_thread(os.pread, file.fileno(), min(CHUNK, size - place), place)
        if not chunk:
            raise OSError("the file became shorter while it was sent")
        place += len(chunk)
        yield chunk


async def _expect(response: aiohttp.ClientResponse, status: int, doing: str, *, also: int = 0) -> None:
    if response.status in (status, also):
        return
    if response.status == 404:
        raise ObjectMissing("the archive does not have the file")
    said = b""
    with contextlib.suppress(aiohttp.ClientError, OSError):
        said = await response.content.read(_LARGEST_ERROR)
    # The rest of such a document repeats what was signed.
    code = _CODE.search(said)
    why = f" ({code[1].decode()})" if code else ""
    raise ArchiveFailed(f"the archive answered HTTP {response.status}{why} to a {doing}")


def _total(response: aiohttp.ClientResponse) -> int | None:
    """The size of the whole, from `Content-Range: bytes 0-9/100`."""
    total = response.headers.get("Content-Range", "").rpartition("/")[2]
    return int(total) if total.isascii() and total.isdigit() else None


def _unreachable(error: BaseException) -> ArchiveFailed:
    what = "does not answer in time" if isinstance(error, TimeoutError) else "cannot be reached"
    return ArchiveFailed(f"the archive {what} ({type(error).__name__})")
