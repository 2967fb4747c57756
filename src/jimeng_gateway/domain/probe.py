"""What a file is, by its content: its kind and media type, its pixels, its length.

Neither the name nor the type that came with it is asked. Only what the site takes (jimeng-web.md 6.5) is
recognised; everything else is refused with what would be taken. Files come from strangers: every length is
held against the size of the file, every walk is bounded, and nothing is read that is not needed.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass

from jimeng_gateway.domain import probe_mp3, probe_mp4
from jimeng_gateway.domain.errors import InvalidRequest
from jimeng_gateway.domain.probe_source import Malformed, Source, Window
from jimeng_gateway.domain.reference import Media

#: Enough to tell any kind by.
HEAD = 64
#: The site itself refuses far smaller ones; this keeps a forged header from becoming a number to work with.
LARGEST_SIDE = 100_000
_MOST_SEGMENTS = 4096
_WAVE_CHUNKS = 256

ALLOWED = "jpeg, png, webp, gif, bmp; mp4, mov; mp3, wav"


@dataclass(frozen=True, slots=True)
class Probed:
    """What a file is. Pixels as stored, before any rotation that a picture's EXIF data asks for."""

    kind: Media
    media_type: str
    width: int = 0
    height: int = 0
    duration_ms: int = 0
    #: 0 if the file does not say.
    fps: float = 0.0


def probe(source: Source, name: str) -> Probed:
    """What the file is; InvalidRequest "unsupported_reference", naming it, if the site would not take it."""
    window = Window(source)
    head = window.read(0, HEAD)
    try:
        for matches, read in _READERS:
            if matches(head):
                return _checked(read(window))
    except Malformed as error:
        raise _refused(name, str(error)) from error
    raise _refused(name, f"it is {_foreign(head)}")


def _checked(found: Probed) -> Probed:
    if found.kind is not Media.AUDIO and not (
        0 < found.width <= LARGEST_SIDE and 0 < found.height <= LARGEST_SIDE
    ):
        raise Malformed("it has no sensible width and height")
    if found.kind is not Media.IMAGE and found.duration_ms <= 0:
        raise Malformed("its length cannot be read")
    return found


def _refused(name: str, why: str) -> InvalidRequest:
    return InvalidRequest(
        f"{name}: {why}; allowed: {ALLOWED}", param="references", code="unsupported_reference"
    )


def _picture(media_type: str, width: int, height: int) -> Probed:
    return Probed(Media.IMAGE, media_type, width, height)


def _png(source: Window) -> Probed:
    if source.exactly(12, 4) != b"IHDR":
        raise Malformed("the PNG has no header")
    return _picture("image/png", *struct.unpack(">II", source.exactly(16, 8)))


def _jpeg(source: Window) -> Probed:
    """Walks the segments up to the frame header, whose place varies with what cameras put before it."""
    at = 2
    for _ in range(_MOST_SEGMENTS):
        mark, code = source.exactly(at, 2)
        if mark != 0xFF:
            break
        if code == 0xFF:
            at += 1
        elif code == 0x01 or 0xD0 <= code <= 0xD7:
            at += 2
        elif 0xC0 <= code <= 0xCF and code not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack(">HH", source.exactly(at + 5, 4))
            return _picture("image/jpeg", width, height)
        elif code in (0xD9, 0xDA):
            break
        else:
            at += 2 + max(2, source.number(at + 2, 2))
    raise Malformed("the JPEG has no frame header")


def _gif(source: Window) -> Probed:
    return _picture("image/gif", *struct.unpack("<HH", source.exactly(6, 4)))


def _bmp(source: Window) -> Probed:
    (size,) = struct.unpack("<I", source.exactly(14, 4))
    if size == 12:
        width, height, planes = struct.unpack("<HHH", source.exactly(18, 6))
    elif size in (40, 52, 56, 64, 108, 124):
        width, height, planes = struct.unpack("<iiH", source.exactly(18, 10))
    else:
        raise Malformed("the BMP has no header")
    if planes != 1:
        raise Malformed("the BMP has no header")
    # A negative height means that its rows go from top to bottom.
    return _picture("image/bmp", width, abs(height))


def _webp(source: Window) -> Probed:
    chunk = source.exactly(12, 4)
    if chunk == b"VP8X":
        sides = source.exactly(24, 6)
        width, height = (int.from_bytes(side, "little") + 1 for side in (sides[:3], sides[3:]))
    elif chunk == b"VP8L" and source.exactly(20, 1) == b"\x2f":
        bits = int.from_bytes(source.exactly(21, 4), "little")
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    elif chunk == b"VP8 " and source.exactly(23, 3) == b"\x9d\x01\x2a":
        width, height = (side & 0x3FFF for side in struct.unpack("<HH", source.exactly(26, 4)))
    else:
        raise Malformed("the WebP has no picture")
    return _picture("image/webp", width, height)


def _wave(source: Window) -> Probed:
    at, rate = 12, 0
    for _ in range(_WAVE_CHUNKS):
        name = source.exactly(at, 4)
        size = int.from_bytes(source.exactly(at + 4, 4), "little")
        if name == b"fmt ":
            (rate,) = struct.unpack("<I", source.exactly(at + 16, 4))
        elif name == b"data":
            # Programs that write to a pipe leave the size open.
            length = min(size or source.size, source.size - at - 8)
            if not rate:
                break
            return Probed(Media.AUDIO, "audio/wav", duration_ms=round(length * 1000 / rate))
        at += 8 + size + size % 2
    raise Malformed("the WAV has no sound")


def _mp4(source: Window) -> Probed:
    movie = probe_mp4.read(source)
    media_type = "video/quicktime" if movie.quicktime else "video/mp4"
    return Probed(Media.VIDEO, media_type, movie.width, movie.height, movie.duration_ms, movie.fps)


def _mp3(source: Window) -> Probed:
    return Probed(Media.AUDIO, "audio/mpeg", duration_ms=probe_mp3.duration_ms(source))


_READERS: tuple[tuple[Callable[[bytes], bool], Callable[[Window], Probed]], ...] = (
    (lambda head: head.startswith(b"\x89PNG\r\n\x1a\n"), _png),
    (lambda head: head.startswith(b"\xff\xd8\xff"), _jpeg),
    (lambda head: head.startswith((b"GIF87a", b"GIF89a")), _gif),
    (lambda head: head.startswith(b"BM") and head[6:10] == b"\0\0\0\0", _bmp),
    (lambda head: head.startswith(b"RIFF") and head[8:12] == b"WEBP", _webp),
    (lambda head: head.startswith(b"RIFF") and head[8:12] == b"WAVE", _wave),
    (probe_mp4.looks_like, _mp4),
    (probe_mp3.looks_like, _mp3),
)


def _foreign(head: bytes) -> str:
    """A word for what was given instead."""
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    known = {
        b"<!doctype": "an HTML page",
        b"<html": "an HTML page",
        b"<svg": "an SVG drawing",
        b"<?xml": "an XML document",
        b"%pdf": "a PDF document",
        b"pk\x03\x04": "a ZIP archive",
        b"\x1aE\xdf\xa3".lower(): "a WebM or Matroska video",
        b"oggs": "an Ogg file",
        b"flac": "a FLAC sound",
        b"{": "JSON text",
    }
    if not head:
        return "empty"
    return next((word for sign, word in known.items() if start.startswith(sign)), "no known picture or media")
