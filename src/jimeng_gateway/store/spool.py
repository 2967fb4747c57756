"""Bytes of references in the data directory, known by their hash: whole or not there.

What arrives is written to a file of its own while it is hashed, and gets its name only when it is complete
and flushed to the disk. The same bytes sent twice are one file. No more than one batch is held in memory.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import secrets
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

from jimeng_gateway.domain.errors import CallerError
from jimeng_gateway.domain.materials import MB

#: Bytes that are gathered before a thread hashes and writes them.
BATCH = MB
_INCOMING = "incoming"
_LEAVING = "leaving"


class TooLarge(CallerError):
    """More bytes than allowed; told as soon as the first one too many arrives."""

    code = "reference_too_large"
    status = 413


@dataclass(frozen=True, slots=True)
class SpoolFile:
    """Bytes that are complete, but not yet part of the spool; also readable for a probe."""

    path: Path
    sha256: str
    size: int

    def read(self, at: int, length: int) -> bytes:
        """Up to so many bytes from there."""
        with self.path.open("rb", buffering=0) as file:
            return os.pread(file.fileno(), length, at)


class Incoming:
    """A file on its way in."""

    def __init__(self, path: Path, name: str, largest: int) -> None:
        self._path = path
        self._name = name
        self._largest = largest
        self._file = path.open("xb", buffering=0)
        self._digest = hashlib.sha256()
        self._batch = bytearray()
        self.size = 0

    async def write(self, chunk: bytes) -> None:
        """Takes bytes; TooLarge names the file and the limit."""
        self.size += len(chunk)
        if self.size > self._largest:
            raise TooLarge(
                f"{self._name}: more than the {self._largest / MB:g} MB allowed", param="references"
            )
        self._batch += chunk
        if len(self._batch) >= BATCH:
            await self._flush()

    async def complete(self) -> SpoolFile:
        """The file with all its bytes on the disk."""
        await self._flush()
        await asyncio.to_thread(self._close)
        return SpoolFile(self._path, self._digest.hexdigest(), self.size)

    async def _flush(self) -> None:
        batch, self._batch = self._batch, bytearray()
        if batch:
            await asyncio.to_thread(self._append, batch)

    def _append(self, batch: bytearray) -> None:
        self._digest.update(batch)
        left = memoryview(batch)
        while left:
            left = left[self._file.write(left) :]

    def _close(self) -> None:
        os.fsync(self._file.fileno())
        self._file.close()

    def discard(self) -> None:
        """Ends it; removes the file unless it has become part of the spool."""
        self._file.close()
        self._path.unlink(missing_ok=True)


class Spool:
    """The spool directory."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, sha256: str) -> Path:
        """Where the bytes with this hash lie, if they are here."""
        return self._folder / sha256[:2] / sha256

    @contextlib.asynccontextmanager
    async def receive(self, name: str, *, largest: int) -> AsyncIterator[Incoming]:
        """A new file; what was not kept at the end is gone. `name` is for messages."""
        path = self._folder / _INCOMING / secrets.token_hex(16)
        await asyncio.to_thread(path.parent.mkdir, parents=True, exist_ok=True)
        incoming = Incoming(path, name, largest)
        try:
            yield incoming
        finally:
            incoming.discard()

    async def keep(self, file: SpoolFile) -> Path:
        """Gives complete bytes their place: always anew, so that they are there and young."""
        return await asyncio.to_thread(self._keep, file)

    def _keep(self, file: SpoolFile) -> Path:
        final = self.path(file.sha256)
        final.parent.mkdir(exist_ok=True)
        file.path.replace(final)
        folder = os.open(final.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return final

    def remove(self, sha256: str, *, before: int) -> bool:
        """Removes bytes that nothing needs, unless they were written again after `before` (milliseconds).

        They are first taken out of the way and looked at there: whoever writes the same bytes meanwhile gives
        them their place anew and loses nothing.
        """
        path = self.path(sha256)
        aside = self._folder / _LEAVING / f"{sha256}.{secrets.token_hex(4)}"
        aside.parent.mkdir(parents=True, exist_ok=True)
        try:
            path.rename(aside)
        except FileNotFoundError:
            return False
        if _written_at(aside) >= before:
            aside.rename(path)
            return False
        aside.unlink(missing_ok=True)
        return True

    def sweep(self, *, before: int) -> int:
        """Removes what crashes left half written before that time; how many files."""
        found = 0
        for path in self._entries(_INCOMING):
            if _written_at(path) < before:
                path.unlink(missing_ok=True)
                found += 1
        for path in self._entries(_LEAVING):
            place = self.path(path.stem)
            if not place.exists():
                path.rename(place)
            else:
                path.unlink(missing_ok=True)
        return found

    def written_before(self, before: int) -> Iterator[str]:
        """The hashes of files that have not been written since."""
        for folder in self._folder.glob("[0-9a-f][0-9a-f]"):
            for path in folder.iterdir():
                if _written_at(path) < before:
                    yield path.name

    def _entries(self, name: str) -> list[Path]:
        folder = self._folder / name
        return list(folder.iterdir()) if folder.is_dir() else []


def _written_at(path: Path) -> int:
    """Milliseconds since the epoch; a file that is gone is never old."""
    try:
        return path.stat().st_mtime_ns // 1_000_000
    except FileNotFoundError:
        return 2**63
