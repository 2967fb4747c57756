"""Where a probe reads from: any file that can be read at a place, through a window that saves small reads."""

from __future__ import annotations

from typing import Protocol

_WINDOW = 64 * 1024
#: Pieces that are looked at before a file is given up, and those that have to be fetched for it: both far
#: more than any honest file needs, and few enough that a forged one costs less than a second.
_MOST_READS = 300_000
_MOST_FETCHES = 8_192


class Malformed(Exception):
    """The file is not what it begins like; the message says what is wrong with it."""


class Source(Protocol):
    """A file."""

    @property
    def size(self) -> int:
        """Bytes."""
        ...

    def read(self, at: int, length: int) -> bytes:
        """Up to so many bytes from there; fewer only at the end."""
        ...


class Window:
    """Reads pieces of a source, most of them from the one larger piece that it holds."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.size = source.size
        self._at = 0
        self._held = b""
        self._reads = 0
        self._fetches = 0

    def read(self, at: int, length: int) -> bytes:
        """Up to so many bytes from there."""
        self._reads += 1
        if self._reads > _MOST_READS or self._fetches > _MOST_FETCHES:
            raise Malformed("it has too many parts")
        if at < 0 or at >= self.size:
            return b""
        if not (self._at <= at and at + length <= self._at + len(self._held)):
            self._fetches += 1
            self._at, self._held = at, self._source.read(at, max(length, _WINDOW))
        start = at - self._at
        return self._held[start : start + length]

    def exactly(self, at: int, length: int) -> bytes:
        """So many bytes; Malformed if the file ends before."""
        found = self.read(at, length)
        if len(found) < length:
            raise Malformed("it is cut short")
        return found

    def number(self, at: int, length: int) -> int:
        """A big-endian number."""
        return int.from_bytes(self.exactly(at, length), "big")
