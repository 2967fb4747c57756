"""Real files, made cheaply: a PNG of the full size in a few kilobytes, and short playable MP4 clips.

Pictures of one size share their compressed pixels and differ in palette and text; clips differ in a `free`
box. So every result has its own bytes, and any decoder opens it.
"""

from __future__ import annotations

import colorsys
import hashlib
import struct
import zlib
from functools import lru_cache
from importlib import resources

#: Bytes by which clips of a better quality are longer.
_QUALITY_BYTES = {"360p": 0, "720p": 1024, "origin": 4096, "hq": 16384}
_MEGABYTE = 1 << 20

_PNG_HEAD = b"\x89PNG\r\n\x1a\n"
#: Palette places: sky from 0 to 10, the sun, then the ground.
_SKY, _SUN, _GROUND = 11, 11, 12


def picture(width: int, height: int, prompt: str, mark: str, *, big: int = 0) -> bytes:
    """A PNG; its colours come from the prompt, its text chunk from `mark`; `big` megabytes are added."""
    header = struct.pack(">IIBBBBB", width, height, 4, 3, 0, 0, 0)
    parts = [
        _PNG_HEAD,
        _chunk(b"IHDR", header),
        _chunk(b"PLTE", _palette(prompt)),
        _chunk(b"tEXt", b"Comment\0jimeng simulator " + mark.encode()),
    ]
    if big:
        parts.append(_chunk(b"siMp", bytes(big * _MEGABYTE)))
    return b"".join([*parts, _chunk(b"IDAT", _pixels(width, height)), _chunk(b"IEND", b"")])


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _palette(prompt: str) -> bytes:
    hue = hashlib.sha256(prompt.encode()).digest()[0] / 256
    sky = [colorsys.hsv_to_rgb(hue, 0.75 - 0.05 * step, 0.35 + 0.055 * step) for step in range(_SKY)]
    sun = colorsys.hsv_to_rgb((hue + 0.45) % 1, 0.55, 1.0)
    ground = colorsys.hsv_to_rgb((hue + 0.5) % 1, 0.5, 0.22)
    return bytes(round(255 * part) for colour in [*sky, sun, ground] for part in colour)


@lru_cache(maxsize=64)
def _pixels(width: int, height: int) -> bytes:
    """Compressed rows of four-bit pixels: a sky in steps, a round sun, the ground."""
    radius, horizon = min(width, height) // 6, height * 3 // 4
    squeeze = zlib.compressobj(6)
    out = []
    for y in range(height):
        if y >= horizon:
            row = _run(_GROUND, width)
        else:
            step = y * _SKY // horizon
            half = _half_chord(radius, y - height * 2 // 5)
            left = width // 2 - half
            row = _run(step, left) + _run(_SUN, 2 * half) + _run(step, width - left - 2 * half)
        out.append(squeeze.compress(b"\0" + _packed(row)))
    return b"".join([*out, squeeze.flush()])


def _run(index: int, length: int) -> bytes:
    return bytes((index,)) * length


def _half_chord(radius: int, dy: int) -> int:
    return int((radius * radius - dy * dy) ** 0.5) if abs(dy) < radius else 0


@lru_cache(maxsize=8192)
def _packed(row: bytes) -> bytes:
    """Two pixels to a byte."""
    even = int.from_bytes(row[::2], "big")
    odd = int.from_bytes((row[1::2] + b"\0") if len(row) % 2 else row[1::2], "big")
    return ((even << 4) | odd).to_bytes((len(row) + 1) // 2, "big")


def clip(aspect: str, mark: str, quality: str, *, big: int = 0) -> bytes:
    """An MP4 of the aspect; longer for a better quality; `big` megabytes are added."""
    content = _mark(mark, quality) + bytes(_QUALITY_BYTES[quality] + big * _MEGABYTE)
    return _clip(aspect) + struct.pack(">I", len(content) + 8) + b"free" + content


def clip_size(aspect: str, mark: str, quality: str, *, big: int = 0) -> int:
    """Length of that clip in bytes."""
    padding = _QUALITY_BYTES[quality] + big * _MEGABYTE
    return len(_clip(aspect)) + 8 + len(_mark(mark, quality)) + padding


def _mark(mark: str, quality: str) -> bytes:
    return f"jimeng simulator {mark} {quality}".encode()


@lru_cache
def _clip(aspect: str) -> bytes:
    # One clip for each ratio that a video may have; five seconds of 24 frames.
    return _asset(f"clip-{aspect.replace(':', 'x')}.mp4")


def cover() -> bytes:
    """A small WebP."""
    return _asset("cover.webp")


@lru_cache
def _asset(name: str) -> bytes:
    return (resources.files("jimeng_gateway.simulator") / "assets" / name).read_bytes()
