"""Form bodies, read as they arrive: text parts become fields, files go on piece by piece.

The parser is fed one chunk of the request at a time and what it finds is handed on before the next chunk is
asked for. So a file of any size costs no more memory than a chunk, and a slow disk slows the sender down.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header

from jimeng_gateway.domain.errors import InvalidRequest
from jimeng_gateway.http.body import shown, text

MOST_PARTS = 128


@dataclass(frozen=True, slots=True)
class Part:
    """What stands before the content of a part."""

    name: str
    #: None for a text part.
    filename: str | None


class Receiver(Protocol):
    """Takes the parts of a form in order."""

    async def begin(self, part: Part) -> None:
        """A part begins."""
        ...

    async def data(self, chunk: bytes) -> None:
        """More of its content."""
        ...

    async def end(self) -> None:
        """It is complete."""
        ...


class _Finds:
    """What the parser has found in the chunk that it was given last."""

    def __init__(self) -> None:
        #: The beginning of a part, some of its content, or None for its end.
        self.items: list[Part | bytes | None] = []
        self.complete = False
        self._parts = 0
        self._header = bytearray()
        self._value = bytearray()
        self._disposition = b""

    def on_part_begin(self) -> None:
        self._disposition = b""
        self._parts += 1
        if self._parts > MOST_PARTS:
            raise InvalidRequest(f"the form has more than {MOST_PARTS} parts", code="invalid_form")

    def on_header_begin(self) -> None:
        self._header.clear()
        self._value.clear()

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def on_header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = bytes(self._value)

    def on_headers_finished(self) -> None:
        _, options = parse_options_header(self._disposition)
        name = options.get(b"name", b"").decode("utf-8", "replace")
        if not name:
            raise InvalidRequest("a part of the form has no name", code="invalid_form")
        filename = options.get(b"filename")
        self.items.append(
            Part(text(name, shown(name)), None if filename is None else filename.decode("utf-8", "replace"))
        )

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        self.items.append(data[start:end])

    def on_part_end(self) -> None:
        self.items.append(None)

    def on_end(self) -> None:
        self.complete = True


async def read_form(chunks: AsyncIterator[bytes], content_type: str, receiver: Receiver) -> None:
    """Reads a multipart/form-data body; InvalidRequest "invalid_form" if it is none."""
    _, options = parse_options_header(content_type)
    boundary = options.get(b"boundary")
    if not boundary:
        raise InvalidRequest("the content type names no boundary", code="invalid_form")
    finds = _Finds()
    try:
        parser = MultipartParser(
            boundary,
            {
                "on_part_begin": finds.on_part_begin,
                "on_header_begin": finds.on_header_begin,
                "on_header_field": finds.on_header_field,
                "on_header_value": finds.on_header_value,
                "on_header_end": finds.on_header_end,
                "on_headers_finished": finds.on_headers_finished,
                "on_part_data": finds.on_part_data,
                "on_part_end": finds.on_part_end,
                "on_end": finds.on_end,
            },
        )
        async for chunk in chunks:
            parser.write(chunk)
            await _hand_on(finds, receiver)
        parser.finalize()
    except FormParserError as error:
        raise InvalidRequest("the body is not a multipart form", code="invalid_form") from error
    if not finds.complete:
        raise InvalidRequest("the form ends in the middle of a part", code="invalid_form")


async def _hand_on(finds: _Finds, receiver: Receiver) -> None:
    items, finds.items = finds.items, []
    for item in items:
        if isinstance(item, Part):
            await receiver.begin(item)
        elif item is None:
            await receiver.end()
        else:
            await receiver.data(item)
