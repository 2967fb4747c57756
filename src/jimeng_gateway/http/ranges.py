"""Range requests over one representation (RFC 9110, section 14), as values."""

from __future__ import annotations

import re
from dataclasses import dataclass

_SPEC = re.compile(r"([0-9]{0,18})-([0-9]{0,18})")


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes start … end - 1."""

    start: int
    end: int

    @property
    def length(self) -> int:
        """How many bytes."""
        return self.end - self.start


class Unsatisfiable(ValueError):
    """A well-formed range that begins behind the end."""


def wanted(header: str, size: int) -> Span | None:
    """The span that a Range header asks for; None for the whole.

    A header that is malformed, of another unit, or asks for several ranges is answered with the whole, which
    RFC 9110 allows. Raises Unsatisfiable for a range outside the file.
    """
    unit, _, specs = header.partition("=")
    match = _SPEC.fullmatch(specs.strip())
    if unit.strip().lower() != "bytes" or match is None:
        return None
    first, last = match[1], match[2]
    if first and last and int(last) < int(first):
        return None
    if not first and not last:
        return None
    if not first:
        if int(last) == 0 or size == 0:
            raise Unsatisfiable
        return Span(max(0, size - int(last)), size)
    if int(first) >= size:
        raise Unsatisfiable
    return Span(int(first), min(size, int(last) + 1) if last else size)
