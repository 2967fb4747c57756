"""Pixels, length and frame rate of MP4 and QuickTime files, from their boxes (ISO/IEC 14496-12).

Only the few boxes on the way are looked into, and no more than a bounded number of them; media data is never
read. A file whose boxes reach beyond its end was cut short and is refused: the site could not play it either.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from jimeng_gateway.domain.probe_source import Malformed, Window

_MOST_BOXES = 4096
#: What old QuickTime files, which have no ftyp, begin with.
_OLD_STARTS = (b"moov", b"mdat", b"wide", b"free", b"skip")
_PICTURES = (b"heic", b"heix", b"heim", b"heis", b"mif1", b"msf1", b"avif", b"avis")
_SOUNDS = (b"M4A ", b"M4B ", b"M4P ")


@dataclass(frozen=True, slots=True)
class Movie:
    """What the boxes say."""

    quicktime: bool
    width: int
    height: int
    duration_ms: int
    fps: float


@dataclass(frozen=True, slots=True)
class _Box:
    """A box: where its content begins and ends."""

    name: bytes
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class _Track:
    """A track of pictures."""

    width: int
    height: int
    duration_ms: int
    samples: int


def looks_like(head: bytes) -> bool:
    """Whether a file that begins so may be one."""
    return head[4:8] == b"ftyp" or head[4:8] in _OLD_STARTS


def read(source: Window) -> Movie:
    """What the file holds; Malformed if it is no video, or broken."""
    boxes = _boxes(source, 0, source.size, whole=True)
    brand = source.exactly(8, 4) if boxes and boxes[0].name == b"ftyp" else b"qt  "
    if brand in _PICTURES:
        raise Malformed("it is an HEIF or AVIF picture")
    if brand in _SOUNDS:
        raise Malformed("it is an M4A sound")
    movie = _only(boxes, b"moov")
    if movie is None:
        raise Malformed("the video has no index (moov)")
    inner = _inside(source, movie)
    tracks = [track for box in inner if box.name == b"trak" and (track := _track(source, box))]
    if not tracks:
        raise Malformed("it holds no pictures")
    track = max(tracks, key=lambda track: track.width * track.height)
    duration = _movie_duration(source, inner) or track.duration_ms
    fps = round(track.samples * 1000 / track.duration_ms, 3) if track.duration_ms and track.samples else 0.0
    return Movie(brand == b"qt  ", track.width, track.height, duration, fps if fps <= 1000 else 0.0)


def _boxes(source: Window, start: int, end: int, *, whole: bool = False) -> list[_Box]:
    return list(_walk(source, start, end, whole=whole))


def _walk(source: Window, start: int, end: int, *, whole: bool) -> Iterator[_Box]:
    for _ in range(_MOST_BOXES):
        if end - start < 8:
            return
        size, name = struct.unpack(">I4s", source.exactly(start, 8))
        header = 8
        if size == 1:
            size, header = source.number(start + 8, 8), 16
        elif size == 0:
            size = end - start
        if size < header:
            raise Malformed("one of its boxes has no size")
        if start + size > end:
            raise Malformed("it is cut short" if whole else "one of its boxes is too large")
        yield _Box(name, start + header, start + size)
        start += size
    raise Malformed("it has too many boxes")


def _inside(source: Window, box: _Box) -> list[_Box]:
    return _boxes(source, box.start, box.end)


def _only(boxes: list[_Box], name: bytes) -> _Box | None:
    return next((box for box in boxes if box.name == name), None)


def _movie_duration(source: Window, boxes: list[_Box]) -> int:
    header = _only(boxes, b"mvhd")
    duration = _duration(source, header, 12, 20) if header else 0
    extends = _only(boxes, b"mvex")
    extended = _only(_inside(source, extends), b"mehd") if extends else None
    if duration or not header or not extended:
        return duration
    # A file in fragments may tell its length apart.
    long = source.exactly(extended.start, 1) == b"\1"
    scale = source.number(header.start + (20 if source.exactly(header.start, 1) == b"\1" else 12), 4)
    return _milliseconds(source.number(extended.start + 4, 8 if long else 4), scale)


def _duration(source: Window, box: _Box, scale_at: int, scale_at_long: int) -> int:
    """Milliseconds from a mvhd or mdhd, whose fields are wider in version 1."""
    if source.exactly(box.start, 1) == b"\1":
        at, width, unknown = box.start + scale_at_long, 8, 2**64 - 1
    else:
        at, width, unknown = box.start + scale_at, 4, 2**32 - 1
    duration = source.number(at + 4, width)
    return 0 if duration == unknown else _milliseconds(duration, source.number(at, 4))


def _milliseconds(duration: int, scale: int) -> int:
    return round(duration * 1000 / scale) if scale else 0


def _track(source: Window, box: _Box) -> _Track | None:
    """The track if it is one of pictures."""
    inner = _inside(source, box)
    header, media = _only(inner, b"tkhd"), _only(inner, b"mdia")
    if header is None or media is None:
        return None
    parts = _inside(source, media)
    handler, timing = _only(parts, b"hdlr"), _only(parts, b"mdhd")
    if handler is None or source.exactly(handler.start + 8, 4) != b"vide":
        return None
    width, height = _sides(source, header)
    duration = _duration(source, timing, 12, 20) if timing else 0
    return _Track(width, height, duration, _samples(source, parts))


def _sides(source: Window, header: _Box) -> tuple[int, int]:
    """As it is shown: the matrix of a phone's upright video turns it by a quarter."""
    at = header.start + (52 if source.exactly(header.start, 1) == b"\1" else 40)
    across, down = struct.unpack(">ii", source.exactly(at, 8))
    width, height = (side >> 16 for side in struct.unpack(">II", source.exactly(at + 36, 8)))
    return (height, width) if across == 0 and down != 0 else (width, height)


def _samples(source: Window, parts: list[_Box]) -> int:
    """How many pictures; 0 if the track does not say."""
    place = parts
    for name in (b"minf", b"stbl"):
        found = _only(place, name)
        if found is None:
            return 0
        place = _inside(source, found)
    sizes = _only(place, b"stsz") or _only(place, b"stz2")
    return source.number(sizes.start + 8, 4) if sizes else 0
