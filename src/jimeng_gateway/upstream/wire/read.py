"""Reading values out of replies that may hold anything.

A value of the wrong type becomes "not there", never an exception; nothing here knows what the values mean.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

_EMPTY: Mapping[str, object] = {}
_LARGEST = 2**63


def mapping(value: object) -> Mapping[str, object]:
    """The object, or an empty one."""
    return value if isinstance(value, dict) else _EMPTY


def sequence(value: object) -> list[object]:
    """The array, or an empty one."""
    return value if isinstance(value, list) else []


def mappings(value: object) -> Iterator[Mapping[str, object]]:
    """The objects among the entries of an array."""
    return (entry for entry in sequence(value) if isinstance(entry, dict))


def text(value: object) -> str:
    """A string, or a whole number as one; empty for everything else.

    Lone surrogates, which JSON can carry and no database can store, are replaced.
    """
    if isinstance(value, str):
        return (
            value if value.isascii() else value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        )
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < _LARGEST:
        return str(value)
    return ""


def integer(value: object) -> int | None:
    """A whole number given as number or string; None if it is not one that fits 64 bits."""
    found = number(value)
    if found is None or abs(found) >= _LARGEST or not float(found).is_integer():
        return None
    return int(found)


def number(value: object) -> int | float | None:
    """A finite number given as number or string."""
    if isinstance(value, str):
        stripped = value.strip()
        if not stripped.isascii() or len(stripped) > 40 or "_" in stripped:
            return None
        try:
            value = int(stripped)
        except ValueError:
            try:
                value = float(stripped)
            except ValueError:
                return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if abs(value) < _LARGEST else None


def positive(value: object) -> int | None:
    """A number above zero, rounded up to a whole one; None for zero and everything else."""
    found = number(value)
    return math.ceil(found) if found is not None and found > 0 else None


def web_address(value: object) -> str:
    """An http(s) URL, or empty."""
    found = text(value).strip()
    good = found.startswith(("https://", "http://")) and " " not in found and found.isprintable()
    return found if good and len(found) <= 8192 else ""
