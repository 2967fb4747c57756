"""Two JSON documents side by side: where they differ, and how."""

from __future__ import annotations

from collections.abc import Iterator

NOTHING = "(absent)"


def differences(theirs: object, ours: object, at: str = "") -> Iterator[tuple[str, tuple[object, object]]]:
    """(place, (theirs, ours)) of all that is not the same; `<…>` in theirs stands for any drawn value."""
    if isinstance(theirs, str) and theirs.startswith("<") and isinstance(ours, str | int):
        return  # a value that is drawn
    if isinstance(theirs, dict) and isinstance(ours, dict):
        for key in sorted(theirs.keys() | ours.keys()):
            inner = f"{at}.{key}" if at else key
            yield from differences(theirs.get(key, NOTHING), ours.get(key, NOTHING), inner)
    elif isinstance(theirs, list) and isinstance(ours, list) and len(theirs) == len(ours):
        for index, (one, other) in enumerate(zip(theirs, ours, strict=True)):
            yield from differences(one, other, f"{at}.{index}")
    elif theirs != ours:
        yield at, (shape(theirs), shape(ours))


def shape(value: object) -> object:
    """Whole objects that only one side has, in short."""
    if isinstance(value, dict) and value:
        return {...}
    return [...] if isinstance(value, list) and value else value
