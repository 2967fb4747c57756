"""Finished files: whole or not there, in the data directory or in an archive.

A download goes to a `.part` beside its place, is checked for size and kind by its first bytes, flushed to the
disk, and only then renamed; a crash leaves a `.part` that nobody serves and the next attempt overwrites. With
an archive the file goes on from there, and stays here until the archive has it and its row says so: an
archive that is away costs a later upload, not a second download of what the site may no longer have.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, BinaryIO, Protocol

from jimeng_gateway.domain.errors import ErrorKind, Failure, Gone, Unavailable, UpstreamFailure
from jimeng_gateway.domain.policy import RESULT_TOO_LARGE
from jimeng_gateway.store.archive import Archive, ObjectMissing
from jimeng_gateway.store.sniff import SUFFIXES, sniff

#: Smallest result that could be a picture or a video.
SMALLEST = 32
#: Largest preview that is kept: it is there to be small.
LARGEST_PREVIEW = 5 * 1024 * 1024
_CHUNK = 256 * 1024


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file that is whole."""

    #: Its name, relative to the results directory or to the archive.
    file: str
    media_type: str
    size: int
    sha256: str
    #: The address of the archive that has it; empty: the data directory.
    place: str = ""


class Opened(Protocol):
    """A span of a stored file; must be closed."""

    def chunks(self) -> AsyncIterator[bytes]:
        """The bytes asked for."""
        ...

    async def close(self) -> None:
        """Ends it, also in the middle."""
        ...


def refused(code: str, message: str) -> UpstreamFailure:
    """What a download that cannot be a result raises."""
    return UpstreamFailure(Failure(ErrorKind.UPSTREAM_ERROR, code, message))


class ResultFiles:
    """The results directory, and the archive if there is one."""

    def __init__(self, folder: Path, *, largest: int, archive: Archive | None = None) -> None:
        self._folder = folder
        #: Bytes beyond which a download is refused.
        self._largest = largest
        self._archive = archive

    def path(self, file: str) -> Path:
        """Where a file of the results directory lies."""
        return self._folder / file

    # ── in ───────────────────────────────────────────────────────────────────────────────────────

    async def save(
        self, task_id: str, index: int, kind: str, chunks: AsyncIterator[bytes], length: int | None
    ) -> StoredFile:
        """Keeps a download; UpstreamFailure if it is too large, cut short or not of the kind.

        ArchiveFailed if it could not be archived; `kept` finds it then.
        """
        if length is not None and length > self._largest:
            raise _too_large(f"{length} bytes", self._largest)
        place = self._place(task_id, f"{index}")
        return await self._shelve(await self._receive(place, kind, chunks, length, self._largest))

    async def save_preview(
        self, task_id: str, index: int, chunks: AsyncIterator[bytes], length: int | None
    ) -> StoredFile:
        """Keeps the small picture that stands for a result; the same errors."""
        place = self._place(task_id, f"{index}-preview")
        return await self._shelve(await self._receive(place, "image", chunks, length, LARGEST_PREVIEW))

    async def kept(self, task_id: str, index: int, kind: str) -> StoredFile | None:
        """What an earlier attempt brought home and could not archive; None if there is nothing.

        What has its final name is whole. Without an archive nothing waits: the attempt that stores a file
        records it at once.
        """
        if self._archive is None or self._archive.home is None:
            return None
        found = await asyncio.to_thread(self._find, self._place(task_id, f"{index}"), kind)
        return None if found is None else await self._shelve(found)

    async def settle(self, place: str, *files: str | None) -> None:
        """Clears away the copies of files whose row now says that they lie in an archive."""
        for file in files:
            if place and file is not None:
                with contextlib.suppress(OSError):
                    await asyncio.to_thread(self.path(file).unlink, missing_ok=True)

    async def _receive(
        self, place: Path, kind: str, chunks: AsyncIterator[bytes], length: int | None, largest: int
    ) -> StoredFile:
        part = place.with_suffix(".part")
        await asyncio.to_thread(part.parent.mkdir, parents=True, exist_ok=True)
        # A process that lost its lease may still be writing to the part: it keeps that file, we get our own.
        part.unlink(missing_ok=True)
        # Not in a thread: a step that is cancelled while it waits for one would leave the file open.
        with part.open("xb") as file:
            head, size, digest = await _write(file, chunks, largest)
            media_type = _judge(head, size, length, kind)
            await asyncio.to_thread(_flush, file)
        final = part.with_suffix(f".{SUFFIXES[media_type]}")
        await asyncio.to_thread(_rename, part, final)
        return StoredFile(str(final.relative_to(self._folder)), media_type, size, digest)

    def _place(self, task_id: str, rest: str) -> Path:
        # The last characters of an id are chance, so that folders fill evenly.
        return self._folder / task_id[-2:] / f"{task_id}-{rest}"

    def _find(self, place: Path, kind: str) -> StoredFile | None:
        for media_type, suffix in SUFFIXES.items():
            path = place.with_suffix(f".{suffix}")
            if media_type.startswith(kind) and path.is_file():
                with path.open("rb") as file:
                    digest = hashlib.file_digest(file, "sha256").hexdigest()
                    size = os.fstat(file.fileno()).st_size
                return StoredFile(str(path.relative_to(self._folder)), media_type, size, digest)
        return None

    async def _shelve(self, stored: StoredFile) -> StoredFile:
        archive = self._archive
        if archive is None or archive.home is None:
            return stored
        await archive.put(
            archive.home,
            stored.file,
            self.path(stored.file),
            size=stored.size,
            sha256=stored.sha256,
            kind=stored.media_type,
        )
        return replace(stored, place=str(archive.home))

    # ── out ──────────────────────────────────────────────────────────────────────────────────────

    async def check(self, stored: StoredFile) -> None:
        """Gone if the file is no longer here as it was stored; of an archive its row is believed."""
        if not stored.place:
            _close(await asyncio.to_thread(self._open, stored))

    async def open(self, stored: StoredFile, start: int, end: int) -> Opened:
        """The bytes start … end - 1; Gone if the file vanished or changed its size, else Unavailable."""
        if not stored.place:
            return _Local(await asyncio.to_thread(self._open, stored), start, end)
        archive = self._reached()
        try:
            opened = await archive.get(archive.find(stored.place), stored.file, start, end, stored.size)
        except ObjectMissing:
            raise Gone("the archive no longer has the file of this result") from None
        if opened.size != stored.size:
            await opened.close()
            raise Gone(_OTHER_SIZE)
        return opened

    async def read(self, stored: StoredFile) -> bytes:
        """All of a file, for replies that carry it inside."""
        opened = await self.open(stored, 0, stored.size)
        try:
            return b"".join([chunk async for chunk in opened.chunks()])
        finally:
            await opened.close()

    async def remove(self, stored: StoredFile) -> None:
        """Removes a file that no row needs any more; one that is not there is fine.

        OSError or ArchiveFailed if it is still there.
        """
        if not stored.place:
            await asyncio.to_thread(self.path(stored.file).unlink, missing_ok=True)
            return
        archive = self._reached()
        await archive.delete(archive.find(stored.place), stored.file)

    def folders(self) -> list[Path]:
        """The folders that hold files."""
        return [each for each in self._folder.iterdir() if each.is_dir()] if self._folder.is_dir() else []

    def written_before(self, folder: Path, before: int) -> list[str]:
        """Names of files of a folder that have not been written since that time (milliseconds)."""
        found = []
        for path in folder.iterdir():
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_mtime_ns // 1_000_000 < before:
                    found.append(str(path.relative_to(self._folder)))
        return found

    def _reached(self) -> Archive:
        if self._archive is None:
            message = (
                "the file lies in an archive, for which this gateway has no keys (JIMENG_ARCHIVE_KEY_ID)"
            )
            raise Unavailable(message, code="archive_failed")
        return self._archive

    def _open(self, stored: StoredFile) -> BinaryIO:
        try:
            file = self.path(stored.file).open("rb", buffering=0)
        except FileNotFoundError:
            raise Gone("the file of this result is no longer here") from None
        if os.fstat(file.fileno()).st_size != stored.size:
            file.close()
            raise Gone(_OTHER_SIZE)
        return file


_OTHER_SIZE = "the file of this result is no longer as it was stored"


@dataclass(frozen=True, slots=True)
class _Local:
    """A span of a file of the results directory."""

    file: BinaryIO
    start: int
    end: int

    async def chunks(self) -> AsyncIterator[bytes]:
        place = self.start
        while place < self.end:
            # pread has no position of its own: a read that outlives its reply, because the client left and
            # the thread has not yet noticed, disturbs nobody.
            wanted = min(_CHUNK, self.end - place)
            chunk = await asyncio.to_thread(os.pread, self.file.fileno(), wanted, place)
            if not chunk:
                raise OSError("the file became shorter while it was sent")
            place += len(chunk)
            yield chunk

    async def close(self) -> None:
        self.file.close()


def _close(file: BinaryIO) -> None:
    file.close()


async def _write(file: IO[bytes], chunks: AsyncIterator[bytes], largest: int) -> tuple[bytes, int, str]:
    digest = hashlib.sha256()
    head = b""
    size = 0
    async for chunk in chunks:
        size += len(chunk)
        if size > largest:
            raise _too_large(f"{size} bytes or more", largest)
        if len(head) < SMALLEST:
            head += chunk[:SMALLEST]
        digest.update(chunk)
        await asyncio.to_thread(file.write, chunk)
    return head, size, digest.hexdigest()


def _too_large(has: str, largest: int) -> UpstreamFailure:
    return refused(
        RESULT_TOO_LARGE,
        f"the file has {has}, but at most {largest} are stored (JIMENG_MAX_RESULT_MB for results)",
    )


def _judge(head: bytes, size: int, length: int | None, kind: str) -> str:
    if length is not None and size != length:
        raise refused("cut_short", f"the result ended after {size} of {length} bytes")
    media_type = sniff(head)
    if size < SMALLEST or media_type is None or not media_type.startswith(kind):
        raise refused("not_media", f"what the site served is not {kind} data ({size} bytes)")
    return media_type


def _flush(file: IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())


def _rename(part: Path, final: Path) -> None:
    part.replace(final)
    folder = os.open(final.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
