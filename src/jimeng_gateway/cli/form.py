"""A multipart body that is read from the disk while it is sent, so that a clip never lies in memory."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_CHUNK = 1 << 18


@dataclass(frozen=True, slots=True)
class Part:
    """A file under the name of its field."""

    field: str
    file: Path


class Form:
    """Fields and files of one request; iterate over it for the bytes."""

    def __init__(self, fields: Mapping[str, object], parts: Sequence[Part]) -> None:
        self._boundary = secrets.token_hex(16)
        self._parts = parts
        self._texts = [
            self._head(f'name="{name}"') + str(value).encode() + b"\r\n" for name, value in fields.items()
        ]
        self._heads = [self._head(f'name="{part.field}"; filename="{_quoted(part.file)}"') for part in parts]
        self._end = f"--{self._boundary}--\r\n".encode()

    @property
    def content_type(self) -> str:
        """For the header of that name."""
        return f"multipart/form-data; boundary={self._boundary}"

    def __len__(self) -> int:
        texts = sum(map(len, self._texts)) + sum(map(len, self._heads)) + len(self._end)
        return texts + sum(part.file.stat().st_size + 2 for part in self._parts)

    def __iter__(self) -> Iterator[bytes]:
        yield from self._texts
        for head, part in zip(self._heads, self._parts, strict=True):
            yield head
            with part.file.open("rb") as file:
                while chunk := file.read(_CHUNK):
                    yield chunk
            yield b"\r\n"
        yield self._end

    def _head(self, disposition: str) -> bytes:
        return f"--{self._boundary}\r\nContent-Disposition: form-data; {disposition}\r\n\r\n".encode()


def _quoted(file: Path) -> str:
    # As browsers write it: the three characters that would end the name early.
    return file.name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
