"""The length of an MP3, by walking its frames.

The headers that encoders add (Xing, VBRI) would be quicker to read and may say anything; the frames are what
is played.
"""

from __future__ import annotations

from dataclasses import dataclass

from jimeng_gateway.domain.probe_source import Malformed, Window

#: Frames that are walked; the length of a longer file is estimated from these.
_MOST_FRAMES = 100_000
#: Padding between a tag and the first frame.
_SEARCHED = 8192

#: kbit/s of layer III by number, for MPEG 1 and for 2 and 2.5.
_RATES = (
    (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
)
_FREQUENCIES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}


@dataclass(frozen=True, slots=True)
class _Frame:
    """A frame: its bytes, and its share of the time."""

    length: int
    samples: int
    frequency: int


def looks_like(head: bytes) -> bool:
    """Whether a file that begins so may be one."""
    return head.startswith(b"ID3") or _frame(head[:4]) is not None


def duration_ms(source: Window) -> int:
    """Milliseconds; Malformed if there are not two frames in a row."""
    start = at = _first_frame(source)
    seconds, frames = 0.0, 0
    while frames < _MOST_FRAMES:
        frame = _frame(source.read(at, 4))
        if frame is None or at + frame.length > source.size:
            break
        seconds += frame.samples / frame.frequency
        frames += 1
        at += frame.length
    if frames == _MOST_FRAMES:
        seconds *= (source.size - start) / (at - start)
    return round(seconds * 1000)


def _first_frame(source: Window) -> int:
    at = _after_tag(source)
    for place in range(at, at + _SEARCHED):
        frame = _frame(source.read(place, 4))
        if frame is None:
            continue
        following = place + frame.length
        if following == source.size or _frame(source.read(following, 4)) is not None:
            return place
    raise Malformed("the MP3 has no sound")


def _after_tag(source: Window) -> int:
    """Where an ID3v2 tag ends; its size is written in sevenths of bytes."""
    head = source.read(0, 10)
    if not head.startswith(b"ID3") or len(head) < 10:
        return 0
    size = 0
    for byte in head[6:]:
        size = size << 7 | byte & 0x7F
    return 10 + size + (10 if head[5] & 0x10 else 0)


def _frame(head: bytes) -> _Frame | None:
    """The frame with this header; None if it is none of layer III."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    rate, frequency, padding = head[2] >> 4, head[2] >> 2 & 3, head[2] >> 1 & 1
    if layer != 1 or version == 1 or rate in (0, 15) or frequency == 3:
        return None
    first = version == 3
    samples, hertz = 1152 if first else 576, _FREQUENCIES[version][frequency]
    kilobits = _RATES[0 if first else 1][rate]
    return _Frame(samples // 8 * kilobits * 1000 // hertz + padding, samples, hertz)
