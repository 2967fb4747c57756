"""Results with an archive: a task succeeds when the archive has its files, and a process may die anywhere."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.aio import run
from support.doom import Doom, DoomedDatabase, DoomedUpstream, Killed, bury
from support.s3 import KEYS, S3, Fault, archived, storage
from support.upstream import MP4, PNG, WEBP, failure
from support.world import World, opened

from jimeng_gateway.domain.archive import ArchiveAddress
from jimeng_gateway.domain.errors import ErrorKind, Gone, Unavailable
from jimeng_gateway.domain.request import Kind
from jimeng_gateway.domain.task import Stage, Task
from jimeng_gateway.gateway import ADMIN
from jimeng_gateway.store.archive import Archive
from jimeng_gateway.work.keeping import STRAY_MS, find_strays

#: Moments of a life that goes well; a process is killed at each of them.
MOST_MOMENTS = 200


@contextlib.asynccontextmanager
async def with_archive(folder: Path, *, idle: float = 30.0) -> AsyncIterator[tuple[World, S3]]:
    """A World whose results go to a storage."""
    async with opened(folder) as world, storage() as s3, archived(s3, world.clock, idle=idle) as archive:
        world.files = world.shelf(archive)
        world.gateway = world.facade()
        await world.sessions(1)
        yield world, s3


async def read(world: World, task: Task, index: int = 0, *, preview: bool = False) -> bytes:
    return await world.gateway.read_content(world.gateway.content(task, index, preview=preview))


def lying(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "results").rglob("*") if path.is_file())


async def failures(world: World, task: Task) -> list[object]:
    events = await world.gateway.events(ADMIN, task.id)
    return [event.data["code"] for event in events if event.name == "download.failed"]


def test_files_lie_in_the_archive_and_no_longer_here(tmp_path: Path) -> None:
    async def main() -> None:
        async with with_archive(tmp_path) as (world, s3):
            world.site.previews = True
            task = await world.submit(n=2)
            await world.settle(await world.process())
            done = await world.task(task)
            assert done.stage is Stage.SUCCEEDED
            assert [result.place for result in done.results] == [str(s3.address())] * 2
            assert [await read(world, done, index) for index in (0, 1)] == [PNG, PNG]
            assert await read(world, done, 1, preview=True) == WEBP
            folder = f"/results/gw/{task.id[-2:]}/{task.id}"
            assert s3.objects == {
                f"{folder}-0.png": PNG,
                f"{folder}-1.png": PNG,
                f"{folder}-0-preview.webp": WEBP,
                f"{folder}-1-preview.webp": WEBP,
            }
            assert (lying(tmp_path), s3.refused) == ([], [])

    run(main())


@pytest.mark.parametrize("fault", [Fault.REFUSE, Fault.CUT, Fault.LOSE, Fault.LIE])
def test_what_could_not_be_archived_waits_here_and_is_not_fetched_again(tmp_path: Path, fault: Fault) -> None:
    async def main() -> None:
        async with with_archive(tmp_path) as (world, s3):
            s3.faults.append(fault)
            task = await world.submit(Kind.VIDEO)
            process = await world.process()
            await world.settle(process, until=lambda: world.named("download.failed"))
            assert (await world.task(task)).stage is Stage.DOWNLOADING
            assert lying(tmp_path) == [f"{task.id}-0.mp4"]
            world.site.delisted.update(world.site.jobs)
            world.site.download_faults.extend([failure(ErrorKind.UPSTREAM_ERROR, "http_404")] * 9)
            await world.settle(process)
            done = await world.task(task)
            assert (done.stage, await read(world, done)) == (Stage.SUCCEEDED, MP4)
            assert len(world.site.downloads) == 1, "the site may no longer have it"
            assert len(await failures(world, task)) == 1
            assert lying(tmp_path) == []
            assert list(world.site.charges.values()) == [1]

    run(main())


def test_an_archive_that_is_away_beyond_the_deadline_loses_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        async with with_archive(tmp_path) as (world, s3):
            s3.faults.extend([Fault.REFUSE] * 200)
            task = await world.submit()
            process = await world.process()
            await world.settle(process, seconds=2 * 3600)
            failed = await world.task(task)
            assert (failed.stage, failed.late) == (Stage.FAILED, True)
            assert set(await failures(world, task)) == {"archive_failed"}
            s3.faults.clear()
            await world.settle(process, seconds=86_400)
            assert await read(world, await world.task(task)) == PNG
            assert len(world.site.downloads) == 1

    run(main())


def test_a_preview_that_cannot_be_archived_is_done_without(tmp_path: Path) -> None:
    async def main() -> None:
        async with with_archive(tmp_path) as (world, s3):
            world.site.previews = True
            s3.faults.extend([None, None, Fault.REFUSE])
            task = await world.submit()
            await world.settle(await world.process())
            done = await world.task(task)
            assert (done.stage, done.results[0].preview_file) == (Stage.SUCCEEDED, None)
            assert [fields["code"] for fields in world.named("preview.failed")] == ["archive_failed"]
            assert await read(world, done, preview=True) == PNG, "a picture is its own preview"

    run(main())


@dataclass
class DoomedArchive(Archive):
    """The archive of a doomed process: it may die before and after each upload."""

    archive: Archive
    doom: Doom

    @property
    def home(self) -> ArchiveAddress | None:  # type: ignore[override]
        """See Archive."""
        return self.archive.home

    async def put(
        self, address: ArchiveAddress, name: str, path: Path, *, size: int, sha256: str, kind: str
    ) -> None:
        """See Archive."""
        await self.doom.around(
            lambda: self.archive.put(address, name, path, size=size, sha256=sha256, kind=kind)
        )


def test_wherever_a_process_dies_the_file_is_whole_and_paid_once(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world, storage() as s3, archived(s3, world.clock) as archive:
            world.site.previews = True
            world.gateway = world.facade(files=world.shelf(archive))
            await world.sessions(1)
            for at in range(1, MOST_MOMENTS):
                task = await world.submit()
                doom = await run_to_death(world, archive, at)
                await world.settle(await world.process(files=world.shelf(archive)))
                done = await world.task(task)
                assert (done.stage, await read(world, done)) == (Stage.SUCCEEDED, PNG), at
                assert await read(world, done, preview=True) == WEBP
                assert world.site.charges[done.submit_id or ""] == 1
                if not doom.dead:
                    break
            assert 40 < at < MOST_MOMENTS - 1, "the last life was not disturbed"
            assert len(s3.objects) == 2 * at, "every task has its two objects and no other"
            assert s3.refused == []
            # What processes left that died right after their commit goes with the next search.
            process = await world.process(files=world.shelf(archive))
            world.clock.advance(2 * STRAY_MS / 1000)
            _age(tmp_path, world.clock.now() - 2 * STRAY_MS)
            await find_strays(process.bench)
            assert lying(tmp_path) == []

    run(main())


def _age(folder: Path, at: int) -> None:
    for path in (folder / "results").rglob("*"):
        os.utime(path, (at / 1000, at / 1000))


async def run_to_death(world: World, archive: Archive, at: int) -> Doom:
    doom = Doom(0)
    process = await world.process(
        db=DoomedDatabase(world.db, doom),
        upstream=DoomedUpstream(world.site, doom),
        files=world.shelf(DoomedArchive(archive, doom)),
    )
    doom.at, doom.moments = at, 0
    try:
        await world.settle(process, seconds=600)
    except Killed:
        await bury()
    return doom


def test_old_files_are_found_when_the_archive_is_switched_on_and_off(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world, storage() as s3:
            await world.sessions(1)
            here = await world.submit()
            await world.settle(await world.process())
            async with archived(s3, world.clock) as archive:
                world.files = world.shelf(archive)
                there = await world.submit()
                process = await world.process(files=world.files)
                await world.settle(process)
                world.gateway = world.facade()
                assert await read(world, await world.task(here)) == PNG
                assert await read(world, await world.task(there)) == PNG
            # Switched off: the keys alone still open what lies there.
            keys = Archive(KEYS, world.clock)
            try:
                world.files = world.shelf(keys)
                world.gateway = world.facade()
                assert await read(world, await world.task(there)) == PNG
                again = await world.submit()
                await world.settle(await world.process(files=world.files))
                assert (await world.task(again)).results[0].place == ""
            finally:
                await keys.close()
            world.gateway = world.facade(files=world.shelf())
            with pytest.raises(Unavailable, match="JIMENG_ARCHIVE_KEY_ID"):
                await read(world, await world.task(there))
            assert await read(world, await world.task(here)) == PNG

    run(main())


def test_the_storage_may_move_while_its_objects_keep_their_names(tmp_path: Path) -> None:
    async def main() -> None:
        async with with_archive(tmp_path) as (world, s3), storage() as moved:
            task = await world.submit()
            await world.settle(await world.process())
            moved.objects.update(s3.objects)
            async with archived(moved, world.clock) as archive:
                world.gateway = world.facade(files=world.shelf(archive))
                asked = len(s3.asked)
                assert await read(world, await world.task(task)) == PNG
                assert (len(s3.asked), moved.methods) == (asked, ["GET"])
            async with archived(moved, world.clock, home=moved.address("elsewhere")) as archive:
                world.gateway = world.facade(files=world.shelf(archive))
                assert await read(world, await world.task(task)) == PNG
                assert len(s3.asked) == asked + 1, "it is looked for where its row says"

    run(main())


def test_what_vanished_from_the_archive_or_changed_there_is_gone(tmp_path: Path) -> None:
    async def main() -> None:
        async with with_archive(tmp_path) as (world, s3):
            task = await world.submit()
            await world.settle(await world.process())
            done = await world.task(task)
            file = world.gateway.content(done, 0)
            [name] = s3.objects
            s3.objects[name] = PNG + b"!"
            for start, end in ((0, file.size), (3, 7)):
                with pytest.raises(Gone, match="no longer as it was stored"):
                    await world.gateway.open_content(file, start, end)
            del s3.objects[name]
            with pytest.raises(Gone, match="no longer has the file"):
                await world.gateway.open_content(file, 0, file.size)
            s3.faults.append(Fault.REFUSE)
            with pytest.raises(Unavailable):
                await world.gateway.open_content(file, 0, file.size)

    run(main())


def test_a_task_cancelled_during_its_upload_leaves_nothing_there(tmp_path: Path) -> None:
    async def main() -> None:
        async with with_archive(tmp_path) as (world, s3):
            s3.faults.append(Fault.HANG)
            task = await world.submit()
            process = await world.process()
            working = asyncio.create_task(world.settle(process))
            await s3.hanging.wait()
            await world.gateway.cancel(ADMIN, task.id)
            s3.release.set()
            await working
            assert (await world.task(task)).stage is Stage.CANCELLED
            assert (s3.objects, s3.methods) == ({}, ["PUT", "HEAD", "DELETE"])

    run(main())


def test_a_hanging_archive_holds_up_only_the_download(tmp_path: Path) -> None:
    async def main() -> None:
        async with with_archive(tmp_path, idle=0.1) as (world, s3):
            s3.faults.append(Fault.HANG)
            task = await world.submit()
            await asyncio.wait_for(world.settle(await world.process()), 30)
            assert await failures(world, task) == ["archive_failed"]
            assert await read(world, await world.task(task)) == PNG

    run(main())
