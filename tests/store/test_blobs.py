"""References in the store and on the disk: there while something needs them, gone when nothing does."""

from __future__ import annotations

import asyncio
import hashlib
import os
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from support.aio import run
from support.clock import START_MS
from support.database import AnyDatabase, Engine
from support.factories import KEY, make_request, make_task

from jimeng_gateway.domain.errors import NotFound
from jimeng_gateway.domain.lifecycle import cancel
from jimeng_gateway.domain.reference import Media, Reference
from jimeng_gateway.domain.task import Stage, Task
from jimeng_gateway.store import blobs, tasks
from jimeng_gateway.store.blobs import CallerFile, ReferencesGone
from jimeng_gateway.store.database import Tx
from jimeng_gateway.store.spool import BATCH, Spool, TooLarge

NOW = START_MS
HOUR = 3_600_000
DAY = 24 * HOUR


def a_reference(mark: int = 0, name: str = "cat.png") -> Reference:
    digest = hashlib.sha256(str(mark).encode()).hexdigest()
    return Reference(
        Media.VIDEO, digest, "video/mp4", 5, name=name, width=4, height=3, duration_ms=2500, fps=29.97
    )


def a_file(number: int = 1, key: str = KEY, mark: int = 0, *, at: int = NOW) -> CallerFile:
    return CallerFile(f"file_{number:03d}", key, a_reference(mark), at, at + DAY)


def a_task(*marks: int, **fields: object) -> Task:
    request = make_request(references=tuple(a_reference(mark) for mark in marks))
    return make_task(request=request, **fields)


def queue(tx: Tx, task: Task, *, now: int = NOW) -> None:
    tasks.insert(tx, task, {})
    blobs.bind(tx, task.id, task.request.references, now=now)


async def keep(db: AnyDatabase, *marks: int, now: int = NOW) -> None:
    await db.write(lambda tx: [blobs.keep(tx, a_reference(mark), now=now) for mark in marks])


async def forgotten(db: AnyDatabase, *, now: int, retention: int = DAY, grace: int = HOUR) -> int:
    return len(
        await db.write(lambda tx: blobs.unneeded(tx, now=now, retention=retention, grace=grace, limit=100))
    )


def end(tx: Tx, task: Task, *, at: int) -> None:
    """Ends a queued task."""
    assert tasks.change(tx, task.id, lambda found: cancel(found, now=at), now=at) is not None


def test_a_reference_comes_back_as_it_went_in(engine: Engine) -> None:
    async def main() -> None:
        async with engine.open() as db:
            await keep(db, 0)
            await db.write(lambda tx: blobs.add_file(tx, a_file()))
            assert await db.read(lambda tx: blobs.file(tx, "file_001", key_id=KEY, now=NOW)) == a_file()
            task = a_task(0)
            await db.write(lambda tx: queue(tx, task))
            found = await db.read(lambda tx: tasks.get(tx, task.id))
            assert found is not None
            assert found.request.references == (a_reference(),)

    run(main())


def test_files_belong_to_a_key_and_expire(engine: Engine) -> None:
    async def main() -> None:
        async with engine.open() as db:
            await keep(db, 0)
            for number in range(5):
                file = a_file(number, "key_a" if number % 2 else "key_b", at=NOW + number)
                await db.write(lambda tx, file=file: blobs.add_file(tx, file))  # type: ignore[misc]

            async def listed(
                key: str | None, before: tuple[int, str] | None = None, at: int = NOW
            ) -> list[str]:
                found = await db.read(lambda tx: blobs.files(tx, key_id=key, limit=2, before=before, now=at))
                return [file.id for file in found]

            assert await listed(None) == ["file_004", "file_003"]
            assert await listed(None, (NOW + 3, "file_003")) == ["file_002", "file_001"]
            assert await listed("key_a") == ["file_003", "file_001"]
            assert await listed("key_a", at=NOW + DAY + 1) == ["file_003"]
            for key, at in (("key_b", NOW), ("key_a", NOW + DAY + 1)):
                with pytest.raises(NotFound):
                    await db.read(lambda tx, key=key, at=at: blobs.file(tx, "file_001", key_id=key, now=at))  # type: ignore[misc]
            await db.write(lambda tx: blobs.remove_file(tx, "file_001"))
            with pytest.raises(NotFound):
                await db.read(lambda tx: blobs.file(tx, "file_001", key_id="key_a", now=NOW))

    run(main())


def test_a_task_without_its_bytes_is_not_queued_at_all(engine: Engine) -> None:
    async def main() -> None:
        async with engine.open() as db:
            await keep(db, 0)
            task = a_task(0, 1)
            with pytest.raises(ReferencesGone, match=r"cat\.png is no longer stored here"):
                await db.write(lambda tx: queue(tx, task))
            assert await db.read(lambda tx: tasks.get(tx, task.id)) is None
            with pytest.raises(ReferencesGone):
                await db.write(lambda tx: blobs.add_file(tx, a_file(mark=1)))
            with pytest.raises(NotFound):
                await db.read(lambda tx: blobs.file(tx, "file_001", key_id=KEY, now=NOW))

    run(main())


def test_bytes_stay_while_anything_needs_them(engine: Engine) -> None:
    async def main() -> None:
        async with engine.open() as db:
            await keep(db, 0, 1, 2, 3)
            task = a_task(0, 0, 1)
            await db.write(lambda tx: queue(tx, task))
            await db.write(lambda tx: blobs.add_file(tx, a_file(mark=2)))
            # The fourth was just used; an hour later nothing names it.
            assert await forgotten(db, now=NOW + HOUR) == 0
            assert await forgotten(db, now=NOW + HOUR + 1) == 1
            assert not await db.read(lambda tx: blobs.known(tx, a_reference(3).sha256))
            # The file expires, the task goes on.
            assert await forgotten(db, now=NOW + DAY) == 1
            assert await forgotten(db, now=NOW + 30 * DAY) == 0
            await db.write(lambda tx: end(tx, task, at=NOW + 30 * DAY))
            assert await forgotten(db, now=NOW + 31 * DAY) == 0
            assert await forgotten(db, now=NOW + 31 * DAY + 1) == 2

    run(main())


def test_a_retry_in_time_keeps_what_it_needs(engine: Engine) -> None:
    async def main() -> None:
        async with engine.open() as db:
            await keep(db, 0)
            first = a_task(0)
            await db.write(lambda tx: queue(tx, first))
            await db.write(lambda tx: end(tx, first, at=NOW))
            again = replace(a_task(0), retry_of=first.id)
            await db.write(lambda tx: queue(tx, again, now=NOW + DAY))
            assert await forgotten(db, now=NOW + 9 * DAY) == 0
            await db.write(lambda tx: end(tx, again, at=NOW + 9 * DAY))
            assert await forgotten(db, now=NOW + 11 * DAY) == 1
            with pytest.raises(ReferencesGone):
                await db.write(lambda tx: queue(tx, a_task(0), now=NOW + 11 * DAY))

    run(main())


def test_cleaning_while_requests_come_in_never_takes_what_they_use(engine: Engine) -> None:
    """Every task that was queued has its bytes; whoever was too late was told so, and sends them again."""

    async def main() -> None:
        async with engine.open() as db:

            async def request(number: int) -> str:
                task = a_task(number % 5, task_id=f"task_{number:04d}")
                while True:
                    await keep(db, number % 5, now=NOW + number)
                    try:
                        await db.write(lambda tx: queue(tx, task, now=NOW + number))
                    except ReferencesGone:
                        # As a caller does who is told so. The cleaning ends some day.
                        continue
                    return task.id

            async def clean(number: int) -> int:
                return await forgotten(db, now=NOW + number + 3, grace=0)

            found = await asyncio.gather(
                *(request(number) if number % 2 else clean(number) for number in range(120))
            )
            queued = [task_id for task_id in found if isinstance(task_id, str)]
            assert len(queued) == 60
            for task_id in queued:
                task = await db.read(lambda tx, task_id=task_id: tasks.get(tx, task_id))  # type: ignore[misc]
                assert task is not None
                assert task.stage is Stage.QUEUED
                (reference,) = task.request.references
                assert await db.read(lambda tx, one=reference: blobs.known(tx, one.sha256))  # type: ignore[misc]

    run(main())


async def received(spool: Spool, data: bytes, *, largest: int = 1 << 30) -> str:
    async with spool.receive("x", largest=largest) as incoming:
        for start in range(0, len(data), 300_000):
            await incoming.write(data[start : start + 300_000])
        file = await incoming.complete()
        await spool.keep(file)
        return file.sha256


def everything(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_bytes_are_whole_or_not_there(tmp_path: Path) -> None:
    async def main() -> None:
        spool = Spool(tmp_path)
        data = bytes(range(256)) * 12_000
        assert len(data) > 2 * BATCH
        name = await received(spool, data)
        assert name == hashlib.sha256(data).hexdigest()
        assert spool.path(name).read_bytes() == data
        assert await received(spool, data) == name
        assert everything(tmp_path) == [spool.path(name)]
        with pytest.raises(TooLarge, match="x: more than the 2 MB allowed"):
            await received(spool, data, largest=2 << 20)
        async with spool.receive("y", largest=10) as incoming:
            await incoming.write(b"half")
        assert everything(tmp_path) == [spool.path(name)]

    run(main())


def test_what_was_written_again_is_not_removed(tmp_path: Path) -> None:
    async def main() -> None:
        spool = Spool(tmp_path)
        name = await received(spool, b"abc")
        os.utime(spool.path(name), (1000, 1000))
        await received(spool, b"abc")
        assert not spool.remove(name, before=2_000_000)
        assert spool.path(name).read_bytes() == b"abc"
        os.utime(spool.path(name), (1000, 1000))
        assert spool.remove(name, before=2_000_000)
        assert not spool.remove(name, before=2_000_000)
        assert everything(tmp_path) == []

    run(main())


def test_removing_and_writing_at_once_keeps_what_was_written_last(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    stop = threading.Event()

    def cleaner(name: str) -> None:
        while not stop.is_set():
            spool.remove(name, before=1_000_000)

    async def main() -> None:
        name = await received(spool, b"abc")
        threads = [threading.Thread(target=cleaner, args=(name,)) for _ in range(2)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(60):
                await received(spool, b"abc")
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        assert spool.path(name).read_bytes() == b"abc"

    run(main())


def test_a_crash_leaves_only_what_the_sweep_removes(tmp_path: Path) -> None:
    async def main() -> None:
        spool = Spool(tmp_path)
        name = await received(spool, b"abc")
        (tmp_path / "incoming" / "half").write_bytes(b"ha")
        (tmp_path / "leaving").mkdir()
        spool.path(name).rename(tmp_path / "leaving" / f"{name}.0a1b")
        assert spool.sweep(before=0) == 0
        assert spool.path(name).read_bytes() == b"abc"
        assert spool.sweep(before=2**62) == 1
        assert everything(tmp_path) == [spool.path(name)]
        assert list(spool.written_before(2**62)) == [name]
        assert list(spool.written_before(1)) == []

    run(main())
