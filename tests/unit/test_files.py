"""Finished files: whole, of the right kind and durable, or not there at all."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.aio import run

from jimeng_gateway.domain.errors import UpstreamFailure
from jimeng_gateway.store.files import SMALLEST, ResultFiles, StoredFile
from jimeng_gateway.store.sniff import sniff

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(120))
MP4 = b"\x00\x00\x00\x18ftypmp42" + bytes(range(120))
HTML = b"<html><body>504 Gateway Time-out</body></html>" + b" " * 100

HEADS = {
    "image/png": PNG,
    "image/jpeg": b"\xff\xd8\xff\xe0" + bytes(60),
    "image/webp": b"RIFF\x24\x00\x00\x00WEBPVP8 " + bytes(60),
    "image/gif": b"GIF89a" + bytes(60),
    "image/avif": b"\x00\x00\x00\x1cftypavif" + bytes(60),
    "image/heic": b"\x00\x00\x00\x1cftypheic" + bytes(60),
    "video/mp4": MP4,
    "video/quicktime": b"\x00\x00\x00\x14ftypqt  " + bytes(60),
    "video/webm": b"\x1aE\xdf\xa3" + bytes(60),
}


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


def save(
    folder: Path, *parts: bytes, kind: str = "image", length: int | None = None, largest: int = 10_000
) -> StoredFile:
    files = ResultFiles(folder, largest=largest)
    return run(files.save("task_0123456789", 0, kind, chunks(*parts), length))


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize(("media_type", "head"), HEADS.items())
def test_media_are_told_by_their_first_bytes(media_type: str, head: bytes) -> None:
    assert sniff(head) == media_type


@pytest.mark.parametrize("head", [b"", b"\x89PN", HTML, b'{"ret":"1015"}', b"RIFF\x00\x00\x00\x00WAVE"])
def test_anything_else_is_no_media(head: bytes) -> None:
    assert sniff(head) is None


def test_a_whole_file_is_stored_under_the_end_of_its_task_id(tmp_path: Path) -> None:
    stored = save(tmp_path, PNG[:5], PNG[5:], length=len(PNG))
    assert stored.file == "89/task_0123456789-0.png"
    assert (stored.media_type, stored.size) == ("image/png", len(PNG))
    assert stored.sha256 == hashlib.sha256(PNG).hexdigest()
    assert ResultFiles(tmp_path, largest=1).path(stored.file).read_bytes() == PNG
    assert left(tmp_path) == ["task_0123456789-0.png"]


def test_a_first_byte_at_a_time_is_enough_to_tell_the_kind(tmp_path: Path) -> None:
    stored = save(tmp_path, *(bytes([byte]) for byte in MP4), kind="video")
    assert (stored.file, stored.media_type) == ("89/task_0123456789-0.mp4", "video/mp4")


REFUSED = {
    "a web page": ((HTML,), {}, "not_media"),
    "nothing": ((), {}, "not_media"),
    "a picture instead of a video": ((PNG,), {"kind": "video"}, "not_media"),
    "too few bytes to be a picture": ((PNG[: SMALLEST - 1],), {}, "not_media"),
    "an end too soon": ((PNG[:-1],), {"length": len(PNG)}, "cut_short"),
    "more than announced": ((PNG, b"!"), {"length": len(PNG)}, "cut_short"),
    "more than allowed": ((PNG, PNG), {"largest": len(PNG)}, "result_too_large"),
    "more than allowed, announced": ((PNG,), {"length": 10_001}, "result_too_large"),
}


@pytest.mark.parametrize(("parts", "options", "code"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_the_result_is_refused_and_never_served(
    tmp_path: Path, parts: tuple[bytes, ...], options: dict[str, int | str], code: str
) -> None:
    with pytest.raises(UpstreamFailure) as caught:
        save(tmp_path, *parts, **options)  # type: ignore[arg-type]
    assert caught.value.failure.code == code
    assert all(name.endswith(".part") for name in left(tmp_path))


def test_the_next_attempt_overwrites_what_a_broken_one_left(tmp_path: Path) -> None:
    with pytest.raises(UpstreamFailure):
        save(tmp_path, PNG + PNG, length=len(PNG))
    save(tmp_path, PNG, length=len(PNG))
    assert (tmp_path / "89" / "task_0123456789-0.png").read_bytes() == PNG
    assert left(tmp_path) == ["task_0123456789-0.png"]


def test_a_disk_that_does_not_take_it_is_an_os_error(tmp_path: Path) -> None:
    (tmp_path / "89").write_bytes(b"a file where the folder should be")
    with pytest.raises(OSError, match="89"):
        save(tmp_path, PNG)


def test_two_that_fetch_the_same_result_never_mix_their_bytes(tmp_path: Path) -> None:
    """One lost its lease and does not know; what the other has stored stays what it hashed."""
    mine, others = PNG + b"m" * 400, PNG + b"o" * 300

    async def main() -> None:
        files = ResultFiles(tmp_path, largest=10_000)
        begun, stored = asyncio.Event(), asyncio.Event()

        async def slowly() -> AsyncIterator[bytes]:
            yield others[:200]
            begun.set()
            await stored.wait()
            yield others[200:]

        slow = asyncio.create_task(files.save("task_0123456789", 0, "image", slowly(), None))
        await begun.wait()
        found = await files.save("task_0123456789", 0, "image", chunks(mine), None)
        stored.set()
        with pytest.raises(FileNotFoundError):
            await slow
        assert (tmp_path / found.file).read_bytes() == mine
        assert left(tmp_path) == ["task_0123456789-0.png"]

    run(main())
