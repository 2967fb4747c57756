"""The archive: every request signed as botocore would, whole or not there, and failures named."""

from __future__ import annotations

import asyncio
import hashlib
import resource
from dataclasses import replace
from pathlib import Path

import pytest
from support.aio import run
from support.clock import ManualClock
from support.s3 import S3, Fault, archived, storage

from jimeng_gateway.sigv4 import Keys
from jimeng_gateway.store.archive import Archive, ArchiveFailed, ObjectMissing

DATA = bytes(range(256)) * 3000
NAME = "89/task_0123456789-0.png"


async def put(archive: Archive, s3: S3, path: Path, data: bytes = DATA, name: str = NAME) -> None:
    await asyncio.to_thread(path.write_bytes, data)
    digest = hashlib.sha256(data).hexdigest()
    await archive.put(s3.address(), name, path, size=len(data), sha256=digest, kind="image/png")


async def got(archive: Archive, s3: S3, start: int, end: int, size: int = len(DATA)) -> bytes:
    opened = await archive.get(s3.address(), NAME, start, end, size)
    try:
        return b"".join([chunk async for chunk in opened.chunks()])
    finally:
        await opened.close()


def test_what_is_put_is_there_and_can_be_had_in_parts(tmp_path: Path) -> None:
    async def main() -> None:
        async with storage() as s3, archived(s3, ManualClock()) as archive:
            await put(archive, s3, tmp_path / "f")
            assert s3.objects == {f"/results/gw/{NAME}": DATA}
            sent = s3.asked[0].headers
            assert (sent["content-type"], sent["content-length"]) == ("image/png", str(len(DATA)))
            assert "transfer-encoding" not in sent, "not every storage takes chunks"
            assert s3.methods == ["PUT", "HEAD"], "it is looked at once it is there"
            assert await got(archive, s3, 0, len(DATA)) == DATA
            assert await got(archive, s3, 5, 10) == DATA[5:10]
            assert await archive.head(s3.address(), NAME) == len(DATA)
            await archive.delete(s3.address(), NAME)
            await archive.delete(s3.address(), NAME)
            with pytest.raises(ObjectMissing):
                await got(archive, s3, 0, 5)
            assert (s3.objects, s3.refused) == ({}, [])

    run(main())


def test_names_and_prefixes_of_all_kinds_are_signed_right(tmp_path: Path) -> None:
    async def main() -> None:
        async with storage() as s3, archived(s3, ManualClock()) as archive:
            for prefix, name in (("", "x"), ("a/b c+d", "e=f&g/h~i"), ("p", "猫(1)*.png")):
                address = replace(s3.address(), prefix=prefix)
                path = tmp_path / "f"
                path.write_bytes(b"x" * 40)
                digest = hashlib.sha256(b"x" * 40).hexdigest()
                await archive.put(address, name, path, size=40, sha256=digest, kind="image/png")
            assert (len(s3.objects), s3.refused) == (3, [])

    run(main())


FAILURES = {
    Fault.REFUSE: "HTTP 503 .SlowDown. to a put",
    Fault.FORBID: "HTTP 403",
    Fault.CUT: "cannot be reached",
    Fault.LOSE: "cannot be reached",
}


@pytest.mark.parametrize(("fault", "says"), FAILURES.items())
def test_a_put_that_fails_is_told_and_not_repeated_by_itself(tmp_path: Path, fault: Fault, says: str) -> None:
    async def main() -> None:
        async with storage() as s3, archived(s3, ManualClock()) as archive:
            s3.faults.append(fault)
            with pytest.raises(ArchiveFailed, match=says) as caught:
                await put(archive, s3, tmp_path / "f")
            assert caught.value.retryable
            assert s3.methods == ["PUT"]
            await put(archive, s3, tmp_path / "f")
            assert s3.objects == {f"/results/gw/{NAME}": DATA}

    run(main())


def test_a_storage_that_only_says_yes_is_not_believed(tmp_path: Path) -> None:
    async def main() -> None:
        async with storage() as s3, archived(s3, ManualClock()) as archive:
            s3.faults.append(Fault.LIE)
            with pytest.raises(ObjectMissing):
                await put(archive, s3, tmp_path / "f")
            s3.objects[f"/results/gw/{NAME}"] = b"older and shorter"
            s3.faults.append(Fault.LIE)
            with pytest.raises(ArchiveFailed, match=r"took 768000 bytes .* and now has 17"):
                await put(archive, s3, tmp_path / "f")

    run(main())


@pytest.mark.parametrize("fault", [Fault.HANG, Fault.DEAF])
def test_a_storage_that_stands_still_is_given_up(tmp_path: Path, fault: Fault) -> None:
    async def main() -> None:
        async with storage() as s3, archived(s3, ManualClock(), idle=0.2) as archive:
            s3.faults.append(fault)
            with pytest.raises(ArchiveFailed, match="does not answer in time"):
                # More than the sockets between us hold.
                await put(archive, s3, tmp_path / "f", bytes(24_000_000))

    run(main())


def test_bytes_altered_on_the_way_are_refused(tmp_path: Path) -> None:
    async def main() -> None:
        async with storage() as s3, archived(s3, ManualClock()) as archive:
            (tmp_path / "f").write_bytes(b"other bytes than were checked" * 9)
            with pytest.raises(ArchiveFailed, match="XAmzContentSHA256Mismatch"):
                await archive.put(
                    s3.address(), NAME, tmp_path / "f", size=29 * 9, sha256="0" * 64, kind="image/png"
                )
            with pytest.raises(ArchiveFailed, match="not the file that was checked"):
                await archive.put(
                    s3.address(), NAME, tmp_path / "f", size=7, sha256="0" * 64, kind="image/png"
                )
            assert s3.objects == {}

    run(main())


def test_a_wrong_key_is_told_without_what_was_signed(tmp_path: Path) -> None:
    async def main() -> None:
        async with storage() as s3:
            archive = Archive(Keys("AKIAEXAMPLE", "another secret"), ManualClock(), home=s3.address())
            try:
                with pytest.raises(ArchiveFailed) as caught:
                    await put(archive, s3, tmp_path / "f")
            finally:
                await archive.close()
            assert caught.value.message == "the archive answered HTTP 403 (SignatureDoesNotMatch) to a put"

    run(main())


def test_a_reading_that_breaks_off_is_an_error_and_not_an_end(tmp_path: Path) -> None:
    async def main() -> None:
        async with storage() as s3, archived(s3, ManualClock()) as archive:
            await put(archive, s3, tmp_path / "f")
            s3.faults.append(Fault.HALF)
            with pytest.raises(ArchiveFailed):
                await got(archive, s3, 0, len(DATA))
            assert await got(archive, s3, 0, len(DATA)) == DATA

    run(main())


def test_an_object_of_another_size_says_so(tmp_path: Path) -> None:
    async def main() -> None:
        async with storage() as s3, archived(s3, ManualClock()) as archive:
            await put(archive, s3, tmp_path / "f")
            s3.objects[f"/results/gw/{NAME}"] = DATA[:-1]
            for start, end in ((0, len(DATA)), (5, 10)):
                opened = await archive.get(s3.address(), NAME, start, end, len(DATA))
                await opened.close()
                assert opened.size == len(DATA) - 1

    run(main())


def test_an_upload_needs_little_memory(tmp_path: Path) -> None:
    size = 200_000_000

    async def sink(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        left = size if head.startswith(b"PUT") else 0
        while left:
            left -= len(await reader.read(65_536))
        length = size if head.startswith(b"HEAD") else 0
        writer.write(f"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n".encode())
        writer.close()

    async def main() -> None:
        server = await asyncio.start_server(sink, "127.0.0.1", 0)
        s3 = S3(port=server.sockets[0].getsockname()[1])
        path = tmp_path / "large"
        with path.open("wb") as file:
            file.truncate(size)
        async with server, archived(s3, ManualClock()) as archive:
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            await archive.put(s3.address(), NAME, path, size=size, sha256="0" * 64, kind="video/mp4")
            grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        assert grown < 30_000, f"{grown} KiB"

    run(main())
