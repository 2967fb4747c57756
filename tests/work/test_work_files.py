"""Bringing results home: dead links, web pages instead of pictures, a full disk; no success without files."""

from __future__ import annotations

import errno
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.aio import run
from support.upstream import HTML, PNG, failure
from support.world import World, opened

from jimeng_gateway.domain.errors import ErrorKind, NotFound
from jimeng_gateway.domain.request import Kind
from jimeng_gateway.domain.task import Stage, Task
from jimeng_gateway.gateway import ADMIN
from jimeng_gateway.store.files import ResultFiles, StoredFile


class FullDisk(ResultFiles):
    """A results directory on a disk that has no room for a while."""

    def __init__(self, folder: Path, times: int) -> None:
        super().__init__(folder, largest=1_000_000)
        self.times = times

    async def save(
        self, task_id: str, index: int, kind: str, chunks: AsyncIterator[bytes], length: int | None
    ) -> StoredFile:
        """See ResultFiles."""
        if self.times:
            self.times -= 1
            raise OSError(errno.ENOSPC, "No space left on device")
        return await super().save(task_id, index, kind, chunks, length)


async def finished(world: World, kind: Kind = Kind.IMAGE, **process: object) -> Task:
    await world.sessions(1)
    task = await world.submit(kind)
    await world.settle(await world.process(**process))  # type: ignore[arg-type]
    return await world.task(task)


async def failures(world: World, task: Task) -> list[object]:
    events = await world.gateway.events(ADMIN, task.id)
    return [event.data["code"] for event in events if event.name == "download.failed"]


def test_a_dead_link_is_asked_for_anew(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            world.site.download_faults.append(failure(ErrorKind.UPSTREAM_ERROR, "http_403"))
            done = await finished(world)
            assert done.stage is Stage.SUCCEEDED
            assert world.site.downloads == [
                "https://cdn.example/h1/0?shown=1",
                "https://cdn.example/h1/0?shown=2",
            ]
            assert done.results[0].upstream_url == "https://cdn.example/h1/0?shown=2"
            assert await failures(world, done) == [], "that is no failure yet"

    run(main())


def test_a_result_that_the_site_no_longer_lists_is_looked_for_again_and_again(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            dead = failure(ErrorKind.UPSTREAM_ERROR, "http_404")
            world.site.download_faults.extend([dead] * 4)
            await world.sessions(1)
            task = await world.submit()
            process = await world.process()
            await world.settle(process, until=lambda: world.site.downloads)
            world.site.delisted.add(next(iter(world.site.jobs)))
            await world.settle(process, seconds=7)
            assert (await world.task(task)).stage is Stage.DOWNLOADING
            assert set(await failures(world, task)) == {"http_404", "link_lost"}
            world.site.delisted.clear()
            await world.settle(process)
            assert (await world.task(task)).stage is Stage.SUCCEEDED

    run(main())


def test_a_web_page_is_no_picture_however_often_it_comes(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            world.site.download_faults.extend([HTML, b"", PNG[:20]])
            done = await finished(world)
            assert done.stage is Stage.SUCCEEDED
            assert world.file(done, 0).read_bytes() == PNG
            assert await failures(world, done) == ["not_media"] * 3
            assert len(world.site.downloads) == 4

    run(main())


def test_a_picture_is_no_video(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            world.site.download_faults.append(PNG)
            done = await finished(world, Kind.VIDEO)
            assert (done.stage, done.results[0].media_type) == (Stage.SUCCEEDED, "video/mp4")
            assert await failures(world, done) == ["not_media"]

    run(main())


def test_a_full_disk_means_later(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            done = await finished(world, files=FullDisk(tmp_path / "results", times=5))
            assert done.stage is Stage.SUCCEEDED
            assert await failures(world, done) == ["disk"] * 5
            assert world.file(done, 0).read_bytes() == PNG
            assert list(world.site.charges.values()) == [1]

    run(main())


def test_a_broken_download_of_one_picture_delays_all_and_loses_none(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            world.site.download_faults.extend([PNG, failure(ErrorKind.NETWORK, "incomplete_body")])
            await world.sessions(1)
            task = await world.submit(n=4)
            process = await world.process()
            await world.settle(process, until=lambda: world.named("download.failed"))
            between = await world.task(task)
            assert between.stage is Stage.DOWNLOADING
            with pytest.raises(NotFound, match="no results yet"):
                world.gateway.content(between, 0)
            assert world.slots_taken() == 1
            await world.settle(process)
            done = await world.task(task)
            assert [world.file(done, n).read_bytes() for n in range(4)] == [PNG] * 4

    run(main())


@pytest.mark.parametrize("kind", [ErrorKind.UPSTREAM_ERROR, ErrorKind.AUTH, ErrorKind.UNKNOWN])
def test_without_its_best_address_a_video_is_fetched_from_the_other_one(
    tmp_path: Path, kind: ErrorKind
) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            world.site.best_url = True
            world.site.best_faults.append(failure(kind))
            done = await finished(world, Kind.VIDEO)
            assert done.stage is Stage.SUCCEEDED
            assert done.results[0].upstream_url == "https://cdn.example/h1/0?shown=1"
            assert len(world.named("video.plain_quality")) == 1

    run(main())


def test_files_are_fetched_beyond_the_deadline_when_the_job_ended_before(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            world.site.download_faults.extend([HTML] * 40)
            await world.sessions(1)
            task = await world.submit()
            process = await world.process()
            await world.settle(process, seconds=2 * 3600)
            failed = await world.task(task)
            assert (failed.stage, failed.late) == (Stage.FAILED, True)
            assert failed.failure is not None
            assert failed.failure.kind is ErrorKind.TIMEOUT
            assert world.slots_taken() == 0
            await world.settle(process, seconds=86_400)
            assert world.file(await world.task(task), 0).read_bytes() == PNG
            assert (await world.events(task))[-1] == "task.collected_late"

    run(main())


def test_a_dead_link_is_asked_for_by_the_other_id_too(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            world.site.download_faults.append(failure(ErrorKind.UPSTREAM_ERROR, "http_403"))
            await world.sessions(1)
            task, process = await world.submit(), await world.process()
            await process.worker.drain()
            world.site.unlisted.add(next(iter(world.site.jobs)))
            await world.settle(process)
            done = await world.task(task)
            assert done.stage is Stage.SUCCEEDED
            assert await failures(world, done) == []
            assert world.site.polls[-1].history_ids == ("h1",)

    run(main())


def test_a_result_that_is_too_large_is_fetched_once_and_said_to_be(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            small = ResultFiles(tmp_path / "results", largest=100)
            failed = await finished(world, files=small)
            assert failed.stage is Stage.FAILED
            assert failed.failure is not None
            assert failed.failure.code == "result_too_large"
            assert "JIMENG_MAX_RESULT_MB" in failed.failure.message
            assert len(world.site.downloads) == 1
            assert (world.slots_taken(), failed.work) == (0, None)
            assert (await world.events(failed))[-2:] == ["download.failed", "task.failed"]

    run(main())


def test_a_late_result_that_is_too_large_is_given_up_too(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            world.site.takes = 2 * 3_600_000
            small = ResultFiles(tmp_path / "results", largest=100)
            await world.sessions(1)
            task = await world.submit()
            await world.settle(await world.process(files=small), seconds=86_400)
            failed = await world.task(task)
            assert failed.failure is not None
            assert (failed.failure.kind, failed.work) == (ErrorKind.TIMEOUT, None)
            assert len(world.site.downloads) == 1
            assert (await world.events(failed))[-1] == "download.failed"

    run(main())
