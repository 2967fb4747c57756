"""From a wish to files, when the site does what it should."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from support.aio import run
from support.upstream import MP4, PNG
from support.world import opened

from jimeng_gateway.domain.errors import ErrorKind, Failure
from jimeng_gateway.domain.intake import Wish
from jimeng_gateway.domain.request import Kind
from jimeng_gateway.domain.task import Stage
from jimeng_gateway.gateway import ADMIN
from jimeng_gateway.work.worker import Hands


def test_an_image_goes_from_the_queue_to_files(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            await world.sessions(1)
            task = await world.submit(n=2)
            await world.settle(await world.process())
            done = await world.task(task)
            assert done.stage is Stage.SUCCEEDED
            assert [result.media_type for result in done.results] == ["image/png"] * 2
            assert world.file(done, 1).read_bytes() == PNG
            assert await world.events(task) == [
                "task.created",
                "task.reserved",
                "submit.sent",
                "submit.accepted",
                "generation.started",
                "generation.finished",
                "results.stored",
                "task.succeeded",
            ]
            assert done.revision == 8
            assert (done.attempts, done.polls, done.owner, done.work) == (1, 2, None, None)
            assert list(world.site.charges.values()) == [1]
            assert world.slots_taken() == 0

    run(main())


def test_a_video_is_fetched_from_its_best_address(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            world.site.takes, world.site.best_url = 60_000, True
            await world.sessions(1)
            task = await world.submit(Kind.VIDEO)
            await world.settle(await world.process())
            done = await world.task(task)
            assert [(r.kind, r.media_type) for r in done.results] == [("video", "video/mp4")]
            assert done.results[0].upstream_url == "https://cdn.example/best/h1-0"
            assert world.file(done, 0).read_bytes() == MP4
            assert done.polls <= 8

    run(main())


def test_what_the_site_delivers_of_four_pictures_is_handed_over(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            world.site.delivers = 3
            await world.sessions(1)
            task = await world.submit(n=4)
            await world.settle(await world.process())
            done = await world.task(task)
            assert (done.stage, len(done.results), done.images_total) == (Stage.SUCCEEDED, 3, 4)
            last = (await world.gateway.events(ADMIN, task.id))[-1]
            assert (last.name, last.data) == ("task.succeeded", {"results": 3, "missing": 1})

    run(main())


def test_a_failure_of_the_job_fails_the_task_and_frees_the_slot(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            world.site.ends_with = Failure(ErrorKind.CONTENT_REJECTED, "2038", "the text", "raw reply")
            (session,) = await world.sessions(1)
            task = await world.submit()
            await world.settle(await world.process())
            failed = await world.task(task)
            assert (failed.stage, failed.failure) == (Stage.FAILED, world.site.ends_with)
            assert world.slots_taken() == 0
            assert (await world.gateway.session(session.id)).state == "ready"
            assert len(world.site.sent) == 1, "what was accepted and failed is not tried again"

    run(main())


@pytest.mark.parametrize("slots", [1, 2, 5])
def test_never_more_at_once_than_there_are_slots_and_every_task_is_served(tmp_path: Path, slots: int) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            sessions = await world.sessions(2, slots=slots)
            tasks = [await world.submit() for _ in range(12)]
            running: list[int] = []
            world.site.on_submit = lambda identity, order: running.append(
                sum(
                    world.clock.now() < job.ends_at and job.session_id == identity.session_id
                    for job in world.site.jobs.values()
                )
            )
            await world.settle(await world.process())
            assert max(running) == slots - 1, "beside the one that was just being submitted"
            assert [(await world.task(task)).stage for task in tasks] == [Stage.SUCCEEDED] * 12
            used = [session_id for _, session_id in world.site.sent]
            assert used[:2] == [session.id for session in sessions], "the longest idle one first"
            assert min(used.count(session.id) for session in sessions) >= 5
            order = [job.order.submit_id for job in world.site.jobs.values()]
            assert order == sorted(order), "first come, first served"

    run(main())


def test_without_a_session_a_task_waits(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            process = await world.process()
            task = await world.submit()
            await process.worker.drain()
            assert (await world.task(task)).stage is Stage.QUEUED
            (session,) = await world.sessions(1)
            await world.gateway.update_session(session.id, enabled=False)
            await process.worker.drain()
            assert (await world.task(task)).stage is Stage.QUEUED
            await world.gateway.update_session(session.id, enabled=True)
            await world.settle(process)
            assert (await world.task(task)).stage is Stage.SUCCEEDED

    run(main())


def test_a_thousand_tasks_over_five_hundred_sessions(tmp_path: Path) -> None:
    """All in flight at once; one request per session asks for both of its tasks."""

    async def main() -> None:
        async with opened(tmp_path) as world:
            world.site.takes = 60_000
            await asyncio.gather(
                *(world.gateway.add_session(credential=f"{number:032x}") for number in range(500)),
                *(world.gateway.submit(ADMIN, Wish(prompt="x", kind=Kind.VIDEO)) for _ in range(1000)),
            )
            process = await world.process(hands=Hands(submit=1000, poll=1000))
            await process.worker.reserve_round()
            await process.worker.drain()
            assert world.sql("SELECT stage, count(*) FROM task GROUP BY stage") == [("polling", 1000)]
            assert world.slots_taken() == 1000
            world.clock.advance(36)
            await process.lease.beat()
            await process.worker.drain()
            assert len(world.site.polls) == 500
            assert len({poll.session_id for poll in world.site.polls}) == 500
            assert all(len(poll.submit_ids) == 2 for poll in world.site.polls)
            world.clock.advance(1)
            await process.worker.drain()
            assert len(world.site.polls) == 500

    run(main())
