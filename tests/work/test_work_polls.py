"""Asking the site: one request per session, nothing failed by a bad reply, nothing forgotten."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from support.aio import run
from support.upstream import failure, html
from support.world import opened

from jimeng_gateway.domain.errors import ErrorKind
from jimeng_gateway.domain.request import Kind
from jimeng_gateway.domain.task import Stage


def test_all_due_tasks_of_a_session_are_asked_for_in_one_request(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            first, second = await world.sessions(2, slots=3)
            process = await world.process()
            for _ in range(6):
                await world.submit(Kind.VIDEO)
            await process.worker.drain()
            world.clock.advance(36)
            await process.worker.drain()
            assert [(poll.session_id, len(poll.submit_ids)) for poll in world.site.polls] == [
                (first.id, 3),
                (second.id, 3),
            ]
            assert {job.session_id for job in world.site.jobs.values()} == {first.id, second.id}

    run(main())


def test_a_request_names_at_most_fifty_tasks(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            world.site.takes = 3_600_000
            await world.sessions(1, slots=64)
            process = await world.process()
            for _ in range(60):
                await world.submit(Kind.VIDEO)
            await process.worker.drain()
            assert world.slots_taken() == 60
            world.clock.advance(36)
            await process.worker.drain()
            world.clock.advance(5)
            await process.worker.drain()
            first, second = world.site.polls
            assert (len(first.submit_ids), second.at - first.at) == (50, 5000)
            assert set(first.submit_ids) | set(second.submit_ids) == set(world.site.jobs)

    run(main())


def test_a_session_is_asked_at_most_once_per_interval(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            world.site.takes = 60_000
            await world.sessions(2, slots=4)
            process = await world.process()
            for _ in range(8):
                await world.submit(Kind.VIDEO)
                await process.worker.drain()
                world.clock.advance(1.3)
            await world.settle(process)
            for session in await world.gateway.sessions():
                times = [poll.at for poll in world.site.polls if poll.session_id == session.id]
                assert len(times) > 5
                assert min(b - a for a, b in pairwise(times)) >= 5000

    run(main())


@pytest.mark.parametrize(
    "fault",
    [
        html(),
        failure(ErrorKind.NETWORK, "connection_reset"),
        failure(ErrorKind.TIMEOUT, "read_timeout"),
        failure(ErrorKind.UPSTREAM_ERROR, "unclear_reply"),
        failure(ErrorKind.UNKNOWN, "77777"),
        failure(ErrorKind.CONTENT_REJECTED, "2038"),
        failure(ErrorKind.INVALID_REQUEST, "1000"),
        failure(ErrorKind.RATE_LIMITED, "1057"),
        failure(ErrorKind.RISK, "1019"),
        failure(ErrorKind.ACCOUNT_BLOCKED, "1018"),
        failure(ErrorKind.AUTH, "1015"),
    ],
    ids=lambda fault: fault.failure.code,
)
def test_no_bad_reply_fails_a_task(tmp_path: Path, fault: Exception) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            await world.sessions(1)
            tasks, process = [await world.submit() for _ in range(2)], await world.process()
            await process.worker.drain()
            world.site.poll_faults.extend([fault] * 8)
            await world.settle(process)
            assert [(await world.task(task)).stage for task in tasks] == [Stage.SUCCEEDED] * 2
            times = [poll.at for poll in world.site.polls[:8]]
            pauses = [b - a for a, b in pairwise(times)]
            assert pauses == sorted(pauses), "it backs off"
            assert 60_000 <= pauses[-1] <= 66_000
            assert len(world.site.sent) == 2

    run(main())


def test_a_job_that_polls_do_not_find_is_asked_for_by_its_history_id(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            await world.sessions(1)
            lost, process = await world.submit(), await world.process()
            await process.worker.drain()
            world.site.unlisted.add(next(iter(world.site.jobs)))
            await world.settle(process)
            assert (await world.task(lost)).stage is Stage.SUCCEEDED
            by_submit = [poll for poll in world.site.polls if poll.submit_ids]
            by_history = [poll for poll in world.site.polls if poll.history_ids]
            assert (len(by_submit), [poll.history_ids for poll in by_history]) == (4, [("h1",)])

    run(main())


def test_a_failing_second_look_does_not_hold_up_the_tasks_that_were_found(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            world.site.takes = 40_000
            await world.sessions(1)
            lost, found, process = await world.submit(), await world.submit(), await world.process()
            await process.worker.drain()
            world.site.unlisted.add(next(iter(world.site.jobs)))
            world.site.history_faults.extend(html() for _ in range(1000))
            await world.settle(process, seconds=120)
            assert (await world.task(found)).stage is Stage.SUCCEEDED
            assert (await world.task(lost)).stage is Stage.POLLING
            assert world.named("poll.failed") == []

    run(main())


def test_a_job_that_is_never_listed_stays_until_its_deadline(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            await world.sessions(1)
            task, process = await world.submit(), await world.process()
            await process.worker.drain()
            accepted = await world.task(task)
            world.site.jobs.clear()
            await world.settle(process, seconds=3590)
            assert (await world.task(task)).stage is Stage.POLLING
            await world.settle(process, seconds=60)
            failed = await world.task(task)
            assert failed.failure is not None
            assert (failed.stage, failed.failure.code) == (Stage.FAILED, "deadline")
            assert accepted.accepted_at is not None
            assert accepted.deadline_at == accepted.accepted_at + world.limits.image_deadline
            assert 110 <= failed.polls <= 140, "every half minute"

    run(main())


def test_claims_on_sessions_are_given_back_whatever_came_of_the_poll(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            await world.sessions(3)
            process = await world.process()
            for _ in range(3):
                await world.submit()
            await process.worker.drain()
            world.site.poll_faults.append(html())
            world.clock.advance(12)
            await process.worker.drain()
            assert len(world.site.polls) == 3
            assert world.sql("SELECT count(*) FROM session WHERE poll_owner IS NOT NULL") == [(0,)]
            assert sorted(row[0] for row in world.sql("SELECT poll_errors FROM session")) == [0, 0, 1]

    run(main())


def test_a_poll_that_broke_in_an_unforeseen_way_is_found_and_made_again(tmp_path: Path) -> None:
    """A bug in a step must not keep its session claimed for ever."""

    async def main() -> None:
        async with opened(tmp_path) as world:
            await world.sessions(1)
            task, process = await world.submit(), await world.process()
            await process.worker.drain()
            world.site.poll_faults.append(KeyError("a bug"))
            world.clock.advance(13)
            await process.worker.drain()
            assert [event["step"] for event in world.named("step.crashed")] == ["poll"]
            await world.settle(process, seconds=60)
            assert (await world.task(task)).stage is Stage.POLLING, "its session is claimed still"
            await process.worker.slow_round()
            await process.worker.slow_round()
            await world.settle(process)
            assert (await world.task(task)).stage is Stage.SUCCEEDED

    run(main())


def test_two_processes_ask_a_session_once(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            await world.sessions(4)
            one, two = await world.process(alone=False), await world.process(alone=False)
            for _ in range(8):
                await world.submit()
            await one.worker.drain()
            world.clock.advance(12)
            await one.worker.poll_round()
            await two.worker.poll_round()
            await one.worker.drain()
            await two.worker.drain()
            assert sorted(len(poll.submit_ids) for poll in world.site.polls) == [2, 2, 2, 2]
            assert len({poll.session_id for poll in world.site.polls}) == 4

    run(main())
