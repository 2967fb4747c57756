"""Deadlines, and what is paid for beyond them."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.aio import run
from support.world import World, opened

from jimeng_gateway.domain.errors import ErrorKind, Failure
from jimeng_gateway.domain.policy import Limits
from jimeng_gateway.domain.request import Kind
from jimeng_gateway.domain.task import Stage
from jimeng_gateway.gateway import ADMIN
from jimeng_gateway.work.keeping import LEFT_MS, ResultKeeper

HOUR, DAY = 3600, 86_400


async def timed_out(world: World, takes_hours: float) -> str:
    """A picture that was still being made when its hour was over."""
    world.site.takes = int(takes_hours * 3_600_000)
    await world.sessions(1)
    task, process = await world.submit(), await world.process()
    await world.settle(process, seconds=HOUR + 60)
    failed = await world.task(task)
    assert failed.failure is not None
    assert (failed.stage, failed.failure.kind) == (Stage.FAILED, ErrorKind.TIMEOUT)
    assert world.slots_taken() == 0
    return task.id


@pytest.mark.parametrize(("kind", "seconds"), [(Kind.IMAGE, HOUR), (Kind.VIDEO, DAY)])
def test_a_task_that_nobody_serves_fails_in_time(tmp_path: Path, kind: Kind, seconds: int) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            task, process = await world.submit(kind), await world.process()
            await world.settle(process, seconds=seconds - 1)
            assert (await world.task(task)).stage is Stage.QUEUED
            await world.settle(process, seconds=2)
            failed = await world.task(task)
            assert failed.failure is not None
            assert (failed.stage, failed.failure.kind, failed.work) == (Stage.FAILED, ErrorKind.TIMEOUT, None)
            assert "free account" in failed.failure.message
            await world.sessions(1)
            await world.settle(process, seconds=60)
            assert world.site.sent == []

    run(main())


def test_the_time_in_the_queue_does_not_count_against_the_making(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            world.site.takes = 50 * 60_000
            task, process = await world.submit(), await world.process()
            await world.settle(process, seconds=50 * 60)
            await world.sessions(1)
            await world.settle(process, seconds=55 * 60)
            assert (await world.task(task)).stage is Stage.SUCCEEDED

    run(main())


def test_a_result_after_the_deadline_is_collected_and_marked_late(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            task_id = await timed_out(world, takes_hours=5)
            await world.settle(await world.process(), seconds=DAY)
            late = await world.task(task_id)
            assert (late.stage, late.late, late.work) == (Stage.FAILED, True, None)
            assert world.file(late, 0).exists()
            assert (await world.events(late))[-3:] == [
                "generation.finished_late",
                "results.stored",
                "task.collected_late",
            ]
            assert list(world.site.charges.values()) == [1]

    run(main())


def test_a_late_result_of_a_deleted_task_does_not_stay(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            task_id = await timed_out(world, takes_hours=5)
            await world.gateway.remove(ADMIN, task_id)
            process = await world.process()
            await world.settle(process, seconds=DAY)
            assert world.sql("SELECT late, removed_at IS NOT NULL FROM task") == [(1, 1)]
            assert world.sql("SELECT removed_why FROM result") == [("caller",)]
            world.clock.advance(LEFT_MS / 1000 + 1)
            await ResultKeeper().round(process.bench)
            assert [path for path in (tmp_path / "results").rglob("*") if path.is_file()] == []

    run(main())


def test_a_job_that_fails_after_the_deadline_ends_the_watch(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            world.site.ends_with = Failure(ErrorKind.CONTENT_REJECTED, "2004", "the picture")
            task_id = await timed_out(world, takes_hours=2)
            await world.settle(await world.process(), seconds=DAY)
            found = await world.task(task_id)
            assert (found.late, found.work) == (False, None)
            assert found.failure is not None
            assert found.failure.kind is ErrorKind.TIMEOUT, "it was the deadline that failed it"

    run(main())


def test_after_the_late_window_nobody_looks_any_more(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path, limits=Limits(late_window=86_400_000)) as world:
            task_id = await timed_out(world, takes_hours=24 * 30)
            process, polls = await world.process(), (await world.task(task_id)).polls
            await world.settle(process, seconds=DAY - 120)
            assert (await world.task(task_id)).work is not None
            await world.settle(process, seconds=DAY)
            after = await world.task(task_id)
            assert (after.work, after.late, after.results) == (None, False, ())
            assert (await world.events(after))[-1] == "watch.ended"
            # A minute apart at first, half an hour later.
            assert 50 < after.polls - polls < 100

    run(main())


def test_a_watched_task_takes_no_slot_from_the_living(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            task_id = await timed_out(world, takes_hours=24)
            world.site.takes = 12_000
            process = await world.process()
            others = [await world.submit() for _ in range(2)]
            await world.settle(process, seconds=60)
            assert [(await world.task(other)).stage for other in others] == [Stage.SUCCEEDED] * 2
            assert (await world.task(task_id)).late is False

    run(main())


def test_after_a_long_stop_nothing_overdue_is_submitted(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            await world.sessions(1)
            task = await world.submit()
            world.clock.advance(world.limits.image_deadline / 1000)
            process = await world.process()
            await process.worker.reserve_round()
            await world.settle(process)
            assert world.site.sent == []
            assert (await world.task(task)).stage is Stage.FAILED

    run(main())
