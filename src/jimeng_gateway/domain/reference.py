"""What a caller gives besides the prompt: pictures, clips and sounds, known by their content.

A Reference is complete before a task is queued: its bytes lie in the spool under their hash, its kind was
read from the bytes, its size and length were measured. What the site makes of it is an Uploaded.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Media(StrEnum):
    """What it is."""

    IMAGE = "image"
    VIDEO = "video"
    AUDIO = "audio"


class Role(StrEnum):
    """What it is for."""

    REFERENCE = "reference"
    FIRST_FRAME = "first_frame"
    LAST_FRAME = "last_frame"


@dataclass(frozen=True, slots=True)
class Reference:
    """One material of a request; its place in the request's tuple is its number."""

    kind: Media
    #: Of the bytes; names the file in the spool.
    sha256: str
    #: As its first bytes say: "image/png".
    media_type: str
    #: Bytes.
    size: int
    role: Role = Role.REFERENCE
    #: As the caller named it; serves as @name in the prompt.
    name: str = ""
    width: int = 0
    height: int = 0
    #: Videos and sounds.
    duration_ms: int = 0
    #: Frames per second of a video; 0 if its file does not say.
    fps: float = 0.0


@dataclass(frozen=True, slots=True)
class Uploaded:
    """A reference as the site knows it, for one session and for a while."""

    kind: Media
    #: Images: the uri ("tos-cn-i-…"). Videos and sounds: the vid.
    handle: str
    #: What the site measured; 0 where it did not say.
    width: int = 0
    height: int = 0
    duration_ms: int = 0
    fps: float = 0.0
    format: str = ""
