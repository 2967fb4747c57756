"""Small pictures, clips and sounds that are what they claim, built from their formats' own definitions."""

from __future__ import annotations

import math
import struct
import zlib


def _png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def a_png(width: int = 4, height: int = 3, mark: bytes = b"") -> bytes:
    """A grey picture; `mark` makes its bytes its own."""
    rows = zlib.compress(bytes((width + 1) * height), 9)
    return (
        b"\x89PNG\r\n\x1a\n"
        + _png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
        + _png_chunk(b"tEXt", b"Comment\0" + mark)
        + _png_chunk(b"IDAT", rows)
        + _png_chunk(b"IEND", b"")
    )


def a_jpeg(width: int = 40, height: int = 30, comments: int = 0) -> bytes:
    """Its frame header behind so many comments; no pixels."""
    comment = b"\xff\xfe" + struct.pack(">H", 6) + b"note"
    frame = b"\xff\xc0" + struct.pack(">HBHHB", 11, 8, height, width, 1) + b"\x01\x11\x00"
    return b"\xff\xd8" + comment * comments + frame + b"\xff\xd9"


def a_gif(width: int = 40, height: int = 30) -> bytes:
    """Its header alone."""
    return b"GIF89a" + struct.pack("<HHBBB", width, height, 0, 0, 0) + b";"


def a_bmp(width: int = 40, height: int = -30) -> bytes:
    """A header of rows from top to bottom."""
    return (
        b"BM"
        + struct.pack("<IHHI", 54, 0, 0, 54)
        + struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, *[0] * 6)
    )


def a_webp(kind: bytes = b"VP8X", width: int = 40, height: int = 30) -> bytes:
    """One of the three forms."""
    if kind == b"VP8X":
        body = bytes(4) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    elif kind == b"VP8L":
        body = b"\x2f" + ((height - 1) << 14 | (width - 1)).to_bytes(4, "little")
    else:
        body = b"\0\0\0\x9d\x01\x2a" + struct.pack("<HH", width, height)
    chunk = kind + struct.pack("<I", len(body)) + body
    return b"RIFF" + struct.pack("<I", 4 + len(chunk)) + b"WEBP" + chunk


def a_wav(seconds: float = 1.0, rate: int = 8000, mark: bytes = b"") -> bytes:
    """A quiet tone."""
    samples = bytes(128 + round(20 * math.sin(n / 5)) for n in range(round(seconds * rate)))
    fmt = b"fmt " + struct.pack("<IHHIIHH", 16, 1, 1, rate, rate, 1, 8)
    extra = b"note" + struct.pack("<I", len(mark)) + mark + b"\0" * (len(mark) % 2) if mark else b""
    data = b"data" + struct.pack("<I", len(samples)) + samples
    return b"RIFF" + struct.pack("<I", 4 + len(fmt) + len(extra) + len(data)) + b"WAVE" + fmt + extra + data


def an_mp3(frames: int = 40, *, tag: int = 0) -> bytes:
    """Silent frames of 128 kbit/s at 44.1 kHz, each 417 bytes and 1152 samples long."""
    head = b""
    if tag:
        size = bytes(tag >> shift & 0x7F for shift in (21, 14, 7, 0))
        head = b"ID3\x04\0\0" + size + bytes(tag)
    return head + (b"\xff\xfb\x90\x00" + bytes(413)) * frames


def box(name: bytes, *parts: bytes) -> bytes:
    """A box of an MP4."""
    body = b"".join(parts)
    return struct.pack(">I", 8 + len(body)) + name + body


def an_mp4(
    width: int = 1280,
    height: int = 720,
    duration_ms: int = 5000,
    fps: int = 25,
    *,
    brand: bytes = b"isom",
    turned: bool = False,
    handler: bytes = b"vide",
    mark: bytes = b"",
) -> bytes:
    """An index without pictures behind it."""
    matrix = struct.pack(">9i", *((0, 65536) if turned else (65536, 0)), 0, -65536 if turned else 0, *[0] * 5)
    tkhd = box(b"tkhd", bytes(40), matrix, struct.pack(">II", width << 16, height << 16))
    mdhd = box(b"mdhd", bytes(12), struct.pack(">II", 1000, duration_ms), bytes(4))
    hdlr = box(b"hdlr", bytes(8), handler, bytes(13))
    stsz = box(b"stsz", bytes(4), struct.pack(">II", 1, duration_ms * fps // 1000))
    stbl = box(b"minf", box(b"stbl", stsz))
    mvhd = box(b"mvhd", bytes(12), struct.pack(">II", 1000, duration_ms), bytes(80))
    moov = box(b"moov", mvhd, box(b"trak", tkhd, box(b"mdia", mdhd, hdlr, stbl)))
    return box(b"ftyp", brand, bytes(4), brand) + box(b"mdat", mark) + moov
