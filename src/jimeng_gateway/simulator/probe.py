"""Measures of an uploaded file, from its first and last bytes: what Commit tells (6.2, 6.3).

Only as much as is cheap: a file that hides its measures has none, and then the reply leaves them out, as the
real site's does at times.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Measures:
    """0 and "" for what could not be seen."""

    format: str = ""
    width: int = 0
    height: int = 0
    duration_s: float = 0.0


def picture(head: bytes) -> Measures:
    """Of a picture."""
    if head.startswith(b"\x89PNG\r\n\x1a\n") and len(head) >= 24:
        return Measures("png", *struct.unpack(">II", head[16:24]))
    if head.startswith((b"GIF87a", b"GIF89a")):
        return Measures("gif", *struct.unpack("<HH", head[6:10]))
    if head.startswith(b"\xff\xd8"):
        return _jpeg(head)
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return Measures("webp", *_webp(head))
    if head.startswith(b"BM") and len(head) >= 26:
        width, height = struct.unpack("<ii", head[18:26])
        return Measures("bmp", width, abs(height))
    return Measures()


def clip(head: bytes, tail: bytes) -> Measures:
    """Of a video or a sound."""
    if head.startswith(b"RIFF") and head[8:12] == b"WAVE":
        (rate,) = struct.unpack("<I", head[28:32])
        place = head.find(b"data")
        size = struct.unpack("<I", head[place + 4 : place + 8])[0] if place > 0 else 0
        return Measures("WAV", duration_s=size / rate if rate else 0.0)
    if head[4:8] != b"ftyp":
        return Measures("MP3" if head[:3] == b"ID3" or head[:2] == b"\xff\xfb" else "")
    width, height = _track_size(head) or _track_size(tail) or (0, 0)
    return Measures("MP4", width, height, _movie_seconds(head) or _movie_seconds(tail))


def _jpeg(head: bytes) -> Measures:
    place = 2
    while place + 9 < len(head) and head[place] == 0xFF:
        marker = head[place + 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack(">HH", head[place + 5 : place + 9])
            return Measures("jpeg", width, height)
        place += 2 + int.from_bytes(head[place + 2 : place + 4], "big")
    return Measures("jpeg")


def _webp(head: bytes) -> tuple[int, int]:
    if head[12:16] == b"VP8X":
        return 1 + int.from_bytes(head[24:27], "little"), 1 + int.from_bytes(head[27:30], "little")
    if head[12:16] == b"VP8 ":
        width, height = struct.unpack("<HH", head[26:30])
        return width & 0x3FFF, height & 0x3FFF
    bits = int.from_bytes(head[21:25], "little")
    return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)


def _movie_seconds(part: bytes) -> float:
    """From the movie header, wherever it begins in this part."""
    place = part.find(b"mvhd")
    if place < 0 or place + 36 > len(part):
        return 0.0
    form, start = (">IQ", place + 24) if part[place + 4] else (">II", place + 16)
    scale, duration = struct.unpack_from(form, part, start)
    return duration / scale if scale else 0.0


def _track_size(part: bytes) -> tuple[int, int] | None:
    """From the first track header that has a picture."""
    place = part.find(b"tkhd")
    while place >= 0:
        start = place + (92 if part[place + 4] else 80)
        if start + 8 > len(part):
            return None
        width, height = (size >> 16 for size in struct.unpack_from(">II", part, start))
        if width and height:
            return width, height
        place = part.find(b"tkhd", place + 4)
    return None
