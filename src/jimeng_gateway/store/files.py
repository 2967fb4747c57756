"""Finished files in the data directory: whole or not there.

A download goes to a `.part` beside its place, is checked for size and kind by its first bytes, flushed to the
disk, and only then renamed; a crash leaves a `.part` that nobody serves and the next attempt overwrites.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from jimeng_gateway.domain.errors import ErrorKind, Failure, UpstreamFailure
from jimeng_gateway.domain.policy import RESULT_TOO_LARGE

#: Smallest result that could be a picture or a video.
SMALLEST = 32


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file that is whole; `file` is relative to the results directory."""

    file: str
    media_type: str
    size: int
    sha256: str


def sniff(head: bytes) -> str | None:
    """The media type of a picture or video by its first bytes; None for anything else."""
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if head.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "image/webp"
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if head[4:8] == b"ftyp":
        return {b"avif": "image/avif", b"heic": "image/heic", b"qt  ": "video/quicktime"}.get(
            head[8:12], "video/mp4"
        )
    if head.startswith(b"\x1aE\xdf\xa3"):
        return "video/webm"
    return None


_SUFFIX = {
    "image/png": "png",
    "image/jpeg": "jpg",
    "image/webp": "webp",
    "image/gif": "gif",
    "image/avif": "avif",
    "image/heic": "heic",
    "video/mp4": "mp4",
    "video/quicktime": "mov",
    "video/webm": "webm",
}


def refused(code: str, message: str) -> UpstreamFailure:
    """What a download that cannot be a result raises."""
    return UpstreamFailure(Failure(ErrorKind.UPSTREAM_ERROR, code, message))


class ResultFiles:
    """The results directory."""

    def __init__(self, folder: Path, *, largest: int) -> None:
        self._folder = folder
        #: Bytes beyond which a download is refused.
        self._largest = largest

    def path(self, file: str) -> Path:
        """Where a stored file lies."""
        return self._folder / file

    async def save(
        self, task_id: str, index: int, kind: str, chunks: AsyncIterator[bytes], length: int | None
    ) -> StoredFile:
        """Writes a download; UpstreamFailure if it is too large, cut short or not of the kind."""
        if length is not None and length > self._largest:
            raise self._too_large(f"{length} bytes")
        # The last characters of an id are chance, so that folders fill evenly.
        part = self._folder / task_id[-2:] / f"{task_id}-{index}.part"
        await asyncio.to_thread(part.parent.mkdir, parents=True, exist_ok=True)
        # A process that lost its lease may still be writing to the part: it keeps that file, we get our own.
        part.unlink(missing_ok=True)
        # Not in a thread: a step that is cancelled while it waits for one would leave the file open.
        with part.open("xb") as file:
            head, size, digest = await self._receive(file, chunks)
            media_type = self._judge(head, size, length, kind)
            await asyncio.to_thread(_flush, file)
        final = part.with_suffix(f".{_SUFFIX[media_type]}")
        await asyncio.to_thread(_rename, part, final)
        return StoredFile(str(final.relative_to(self._folder)), media_type, size, digest)

    async def _receive(self, file: IO[bytes], chunks: AsyncIterator[bytes]) -> tuple[bytes, int, str]:
        digest = hashlib.sha256()
        head = b""
        size = 0
        async for chunk in chunks:
            size += len(chunk)
            if size > self._largest:
                raise self._too_large(f"{size} bytes or more")
            if len(head) < SMALLEST:
                head += chunk[:SMALLEST]
            digest.update(chunk)
            await asyncio.to_thread(file.write, chunk)
        return head, size, digest.hexdigest()

    def _too_large(self, has: str) -> UpstreamFailure:
        return refused(
            RESULT_TOO_LARGE,
            f"the result has {has}, but this gateway stores {self._largest} at most (JIMENG_MAX_RESULT_MB)",
        )

    @staticmethod
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
