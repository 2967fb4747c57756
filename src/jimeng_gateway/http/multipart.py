"""Form bodies, for the routes where older clients send them.

The body is already in memory and bounded when it comes here; text parts become fields, and a file part is
refused by name, since this version takes no reference files.
"""

from __future__ import annotations

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header

from jimeng_gateway.domain.errors import InvalidRequest
from jimeng_gateway.http.body import shown, text

_MOST_PARTS = 64


class _Collector:
    """Gathers the parts that the parser reports."""

    def __init__(self) -> None:
        self.fields: dict[str, str] = {}
        self.complete = False
        self._header = bytearray()
        self._value = bytearray()
        self._disposition = b""
        self._name = ""
        self._data = bytearray()

    def on_part_begin(self) -> None:
        self._disposition = b""
        self._data.clear()

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
        self._name = options.get(b"name", b"").decode("utf-8", "replace")
        if not self._name:
            raise InvalidRequest("a part of the form has no name", code="invalid_form")
        if b"filename" in options:
            raise InvalidRequest(
                f"`{shown(self._name)}` is a file: reference files are not supported in this version",
                param=shown(self._name),
                code="references_unsupported",
            )

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        self._data += data[start:end]

    def on_part_end(self) -> None:
        name = text(self._name, shown(self._name))
        if name in self.fields:
            raise InvalidRequest(f"`{shown(name)}` is given twice", param=shown(name), code="duplicate_field")
        if len(self.fields) == _MOST_PARTS:
            raise InvalidRequest(f"the form has more than {_MOST_PARTS} parts", code="invalid_form")
        try:
            self.fields[name] = text(self._data.decode("utf-8"), name)
        except UnicodeDecodeError:
            raise InvalidRequest(f"`{shown(name)}` is not UTF-8", param=shown(name)) from None

    def on_end(self) -> None:
        self.complete = True


def parse_form(raw: bytes, content_type: str) -> dict[str, str]:
    """The text fields of a multipart/form-data body. An empty field means an absent one."""
    _, options = parse_options_header(content_type)
    boundary = options.get(b"boundary")
    if not boundary:
        raise InvalidRequest("the content type names no boundary", code="invalid_form")
    found = _Collector()
    try:
        parser = MultipartParser(
            boundary,
            {
                "on_part_begin": found.on_part_begin,
                "on_header_begin": found.on_header_begin,
                "on_header_field": found.on_header_field,
                "on_header_value": found.on_header_value,
                "on_header_end": found.on_header_end,
                "on_headers_finished": found.on_headers_finished,
                "on_part_data": found.on_part_data,
                "on_part_end": found.on_part_end,
                "on_end": found.on_end,
            },
        )
        parser.write(raw)
        parser.finalize()
    except FormParserError as error:
        raise InvalidRequest("the body is not a multipart form", code="invalid_form") from error
    if not found.complete:
        raise InvalidRequest("the form ends in the middle of a part", code="invalid_form")
    return {name: value for name, value in found.fields.items() if value}
