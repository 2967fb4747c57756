"""What files are, by their bytes; and that no file, however forged, brings the reader down or holds it up."""

from __future__ import annotations

import contextlib
import struct
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.media import a_bmp, a_gif, a_jpeg, a_png, a_wav, a_webp, an_mp3, an_mp4, box

from jimeng_gateway.domain.errors import InvalidRequest
from jimeng_gateway.domain.probe import LARGEST_SIDE, Probed, probe
from jimeng_gateway.domain.reference import Media
from jimeng_gateway.simulator import media


@dataclass(slots=True)
class Bytes:
    """A file in memory that counts what is read of it; `tail` zeros follow that are not there."""

    data: bytes
    tail: int = 0
    read_bytes: int = 0

    @property
    def size(self) -> int:
        return len(self.data) + self.tail

    def read(self, at: int, length: int) -> bytes:
        found = self.data[at : at + length]
        found += bytes(max(0, min(length, self.size - at) - len(found)))
        self.read_bytes += len(found)
        return found


MP4, MOV = "video/mp4", "video/quicktime"
NO_SIDES = "it has no sensible width and height"


def of(data: bytes) -> Probed:
    return probe(Bytes(data), "file")


def why(data: bytes) -> str:
    with pytest.raises(InvalidRequest) as caught:
        probe(Bytes(data), "x.png")
    assert caught.value.code == "unsupported_reference"
    assert caught.value.message.startswith("x.png: ")
    assert "; allowed: jpeg, png, webp, gif, bmp; mp4, mov; mp3, wav" in caught.value.message
    return caught.value.message.removeprefix("x.png: ").partition(";")[0]


@pytest.mark.parametrize(
    ("data", "media_type"),
    [
        (a_png(40, 30), "image/png"),
        (a_jpeg(40, 30), "image/jpeg"),
        (a_jpeg(40, 30, comments=3000), "image/jpeg"),
        (a_gif(40, 30), "image/gif"),
        (a_bmp(40, -30), "image/bmp"),
        (a_bmp(40, 30), "image/bmp"),
        (a_webp(b"VP8X", 40, 30), "image/webp"),
        (a_webp(b"VP8L", 40, 30), "image/webp"),
        (a_webp(b"VP8 ", 40, 30), "image/webp"),
    ],
)
def test_pictures(data: bytes, media_type: str) -> None:
    assert of(data) == Probed(Media.IMAGE, media_type, 40, 30)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (an_mp4(1280, 720, 5000, 25), Probed(Media.VIDEO, MP4, 1280, 720, 5000, 25.0)),
        (an_mp4(1280, 720, 5000, 24, brand=b"M4V "), Probed(Media.VIDEO, MP4, 1280, 720, 5000, 24.0)),
        (an_mp4(1280, 720, 15_400, 30, brand=b"qt  "), Probed(Media.VIDEO, MOV, 1280, 720, 15_400, 30.0)),
        (an_mp4(1280, 720, 5000, 25, turned=True), Probed(Media.VIDEO, MP4, 720, 1280, 5000, 25.0)),
        (a_wav(1.5), Probed(Media.AUDIO, "audio/wav", duration_ms=1500)),
        (a_wav(1.5, mark=b"odd"), Probed(Media.AUDIO, "audio/wav", duration_ms=1500)),
        (an_mp3(40), Probed(Media.AUDIO, "audio/mpeg", duration_ms=1045)),
        (an_mp3(40, tag=3000), Probed(Media.AUDIO, "audio/mpeg", duration_ms=1045)),
        (an_mp3(1), Probed(Media.AUDIO, "audio/mpeg", duration_ms=26)),
        (an_mp3(40) + b"TAG" + bytes(125), Probed(Media.AUDIO, "audio/mpeg", duration_ms=1045)),
    ],
)  # fmt: skip
def test_videos_and_sounds(data: bytes, expected: Probed) -> None:
    assert of(data) == expected


def test_what_the_simulator_makes_is_understood() -> None:
    assert of(media.picture(64, 48, "x", "y")) == Probed(Media.IMAGE, "image/png", 64, 48)


def test_media_data_is_never_read() -> None:
    film = an_mp4()
    head, index = film[: 16 + 8], film[film.index(b"moov") - 4 :]
    huge = 5 << 30
    long = head[:20] + struct.pack(">I4sQ", 1, b"mdat", 16 + huge)

    class Sparse(Bytes):
        def read(self, at: int, length: int) -> bytes:
            self.read_bytes += length
            gap = len(long) + huge
            return (index[at - gap : at - gap + length]) if at >= gap else long[at : at + length]

    source = Sparse(long + index, tail=huge)
    assert probe(source, "film.mp4").duration_ms == 5000
    assert source.read_bytes < 1 << 20


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "it is empty"),
        (b"<!DOCTYPE html><html>", "it is an HTML page"),
        (b"\xef\xbb\xbf\n <svg xmlns='x'>", "it is an SVG drawing"),
        (b"<?xml version='1.0'?><svg/>", "it is an XML document"),
        (b"%PDF-1.7", "it is a PDF document"),
        (b"PK\x03\x04zip", "it is a ZIP archive"),
        (b"\x1aE\xdf\xa3webm", "it is a WebM or Matroska video"),
        (b"OggS\0", "it is an Ogg file"),
        (b"fLaC\0", "it is a FLAC sound"),
        (b"hello world", "it is no known picture or media"),
        (b"BM is how this text begins", "it is no known picture or media"),
        (box(b"ftyp", b"heic", bytes(4)), "it is an HEIF or AVIF picture"),
        (box(b"ftyp", b"avif", bytes(4)), "it is an HEIF or AVIF picture"),
        (box(b"ftyp", b"M4A ", bytes(4)), "it is an M4A sound"),
        (an_mp4(handler=b"soun"), "it holds no pictures"),
        (box(b"ftyp", b"isom", bytes(4)), "the video has no index (moov)"),
        (an_mp4()[:-10], "it is cut short"),
        (an_mp4(duration_ms=0), "its length cannot be read"),
        (an_mp4(width=0), NO_SIDES),
        (a_png(40, 30)[:18], "it is cut short"),
        (a_png(1, 1).replace(struct.pack(">II", 1, 1), struct.pack(">II", 1, 0)), NO_SIDES),
        (a_jpeg(40, 0), NO_SIDES),
        (a_gif(0, 4), NO_SIDES),
        (b"\xff\xd8\xff\xd9", "the JPEG has no frame header"),
        (a_jpeg(comments=5000), "the JPEG has no frame header"),
        (b"RIFF\0\0\0\0WAVE", "it is cut short"),
        (b"ID3\x04\0\0\0\0\0\x05hello" + bytes(9000), "the MP3 has no sound"),
        (b"\xff\xfb\x90\x00" + bytes(5000), "the MP3 has no sound"),
    ],
)  # fmt: skip
def test_what_is_refused_and_why(data: bytes, reason: str) -> None:
    assert why(data) == reason


@pytest.mark.parametrize(
    "data",
    [
        box(b"ftyp", b"isom") + struct.pack(">I4s", 7, b"moov"),
        box(b"ftyp", b"isom") + struct.pack(">I4sQ", 1, b"moov", 2**63),
        box(b"ftyp", b"isom") + struct.pack(">I4sQ", 1, b"moov", 0),
        box(b"ftyp", b"isom") + struct.pack(">I4s", 2**32 - 1, b"moov"),
        box(b"ftyp", b"isom") + box(b"moov", struct.pack(">I4s", 9999, b"trak")),
        box(b"ftyp", b"isom") + box(b"free") * 5000,
        b"RIFF\0\0\0\0WAVE" + b"junk\0\0\0\0" * 300,
    ],
)
def test_forged_sizes_end_in_a_refusal(data: bytes) -> None:
    assert why(data)


def test_boxes_in_boxes_are_given_up() -> None:
    """4000 tracks of 4000 boxes each would keep a reader busy for minutes."""
    track = box(b"trak", box(b"free") * 4000)
    source = Bytes(box(b"ftyp", b"isom") + box(b"moov", track * 4000)[:8], tail=len(track) * 4000)
    whole = source.data + track * 400

    class Repeated(Bytes):
        def read(self, at: int, length: int) -> bytes:
            place = len(source.data) + (at - len(source.data)) % len(track) if at >= len(source.data) else at
            return whole[place : place + length]

    with pytest.raises(InvalidRequest, match="too many parts"):
        probe(Repeated(source.data, tail=source.tail), "x.mp4")


GOOD = [
    a_png(), a_jpeg(comments=3), a_gif(), a_bmp(), a_webp(), a_webp(b"VP8L"),
    a_wav(0.1), an_mp3(4, tag=20), an_mp4(),
]  # fmt: skip


@settings(max_examples=300)
@given(
    st.sampled_from(GOOD),
    st.lists(st.tuples(st.integers(0, 2000), st.binary(min_size=1, max_size=8)), max_size=6),
)
def test_damaged_files_are_read_or_refused(data: bytes, damages: list[tuple[int, bytes]]) -> None:
    broken = bytearray(data)
    for at, junk in damages:
        place = at % len(broken)
        broken[place : place + len(junk)] = junk
    source = Bytes(bytes(broken))
    with contextlib.suppress(InvalidRequest):
        found = probe(source, "x")
        assert 0 <= found.width <= LARGEST_SIDE
        assert found.duration_ms >= 0


@given(st.sampled_from(GOOD), st.integers(0, 400), st.binary(max_size=300))
def test_any_beginning_with_any_end_is_read_or_refused(data: bytes, cut: int, tail: bytes) -> None:
    with contextlib.suppress(InvalidRequest):
        assert probe(Bytes(data[:cut] + tail), "x").media_type
