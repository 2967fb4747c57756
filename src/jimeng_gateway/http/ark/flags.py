"""The settings that old clients of Ark write into the prompt: `a cat --ratio 16:9 --dur 5` (ark.md 2.4).

They are read loosely, as Ark reads them: what does not parse has no effect. No flag stays in the prompt, and
no word of the prompt that is not part of a flag is lost.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

_FIELDS = {
    "resolution": "resolution",
    "rs": "resolution",
    "ratio": "ratio",
    "rt": "ratio",
    "duration": "duration",
    "dur": "duration",
    "frames": "frames",
    "framespersecond": "fps",
    "fps": "fps",
    "seed": "seed",
    "camerafixed": "camera_fixed",
    "cf": "camera_fixed",
    "watermark": "watermark",
    "wm": "watermark",
}
#: A flag at the start of a word, with what follows it if that has the look of a value. A run of spaces is
#: looked through from its beginning only, or a long one would hold up everybody.
_FLAG = re.compile(
    rf"(?:^|(?<!\s)\s+)--({'|'.join(_FIELDS)})(?=[\s=]|$)"
    r"(?:(?:\s*=\s*|\s+)(-?[0-9][\w.:+-]*|(?:true|false|adaptive)(?!\w)))?",
    re.IGNORECASE,
)
_WHOLE = re.compile(r"-?[0-9]{1,10}", re.ASCII)
_RESOLUTION = re.compile(r"[0-9]{1,4}[kp]", re.ASCII | re.IGNORECASE)
_RATIO = re.compile(r"[0-9]{1,3}:[0-9]{1,3}|adaptive", re.ASCII | re.IGNORECASE)
_SWITCH = {"true": True, "1": True, "false": False, "0": False}


@dataclass(frozen=True, slots=True)
class Flags:
    """What the flags of a prompt say; None where they say nothing."""

    resolution: str | None = None
    ratio: str | None = None
    #: Seconds.
    duration: int | None = None
    frames: int | None = None
    fps: int | None = None
    seed: int | None = None
    camera_fixed: bool | None = None
    watermark: bool | None = None


def without_flags(text: str) -> tuple[str, Flags]:
    """The prompt without its flags, and what they say; the last one of a name counts."""
    said: dict[str, Any] = {}

    def take(match: re.Match[str]) -> str:
        field = _FIELDS[match[1].lower()]
        value = None if match[2] is None else _READ[field](match[2])
        if value is not None:
            said[field] = value
        return ""

    left, found = _FLAG.subn(take, text)
    return (left.strip() if found else text), replace(Flags(), **said)


def _whole(value: str) -> int | None:
    return int(value) if _WHOLE.fullmatch(value) else None


def _resolution(value: str) -> str | None:
    return value.lower() if _RESOLUTION.fullmatch(value) else None


def _ratio(value: str) -> str | None:
    return value.lower() if _RATIO.fullmatch(value) else None


def _switch(value: str) -> bool | None:
    return _SWITCH.get(value.lower())


_READ: dict[str, Callable[[str], object]] = {
    "resolution": _resolution,
    "ratio": _ratio,
    "duration": _whole,
    "frames": _whole,
    "fps": _whole,
    "seed": _whole,
    "camera_fixed": _switch,
    "watermark": _switch,
}
