"""Sessions that rest, die and come back, and the tasks that go on meanwhile."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.aio import run
from support.upstream import Refuse, failure
from support.world import Process, World, opened

from jimeng_gateway.domain.errors import ErrorKind
from jimeng_gateway.domain.session import MINUTE, Session, SessionState
from jimeng_gateway.domain.task import Stage


async def rested(world: World) -> tuple[Session, Process]:
    """A session whose fifteen minutes of rest are over, before anybody has looked at it."""
    session, _ = await world.sessions(2)
    world.site.submit_faults.append(Refuse(ErrorKind.RISK, "4013"))
    await world.submit()
    process = await world.process()
    await process.worker.drain()
    resting = await world.gateway.session(session.id)
    assert (resting.state, resting.rests) == (SessionState.COOLING, 1)
    world.clock.advance(15 * 60 - 1)
    await process.lease.beat()
    await process.worker.slow_round()
    assert world.site.probes == [], "its rest is not over yet"
    world.clock.advance(1)
    await process.lease.beat()
    return session, process


def test_after_its_rest_a_probe_brings_a_session_back(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            session, process = await rested(world)
            await process.worker.slow_round()
            found = await world.gateway.session(session.id)
            assert (found.state, found.reason, found.cooling_until) == (SessionState.READY, None, None)
            assert (found.uid, found.credits) == (f"uid-{session.id}", 88)
            assert world.site.probes == [session.id]
            await process.worker.slow_round()
            assert world.site.probes == [session.id]

    run(main())


def test_a_session_that_is_refused_again_rests_twice_as_long_until_a_submit_is_taken(
    tmp_path: Path,
) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            session, process = await rested(world)
            await process.worker.slow_round()
            world.site.session_faults[session.id] = Refuse(ErrorKind.RISK, "4013")
            await world.submit()
            await world.submit()
            begun = world.clock.now()
            await world.settle(process, seconds=60)
            found = await world.gateway.session(session.id)
            assert (found.rests, found.cooling_until) == (2, begun + 30 * MINUTE)
            world.site.session_faults.clear()
            world.clock.advance(30 * 60)
            await process.lease.beat()
            await process.worker.slow_round()
            await world.submit()
            await world.submit()
            await world.settle(process)
            assert (await world.gateway.session(session.id)).rests == 0

    run(main())


@pytest.mark.parametrize(
    ("kind", "state", "minutes"),
    [
        (ErrorKind.AUTH, SessionState.EXPIRED, None),
        (ErrorKind.ACCOUNT_BLOCKED, SessionState.BLOCKED, None),
        (ErrorKind.RISK, SessionState.COOLING, 30),
        (ErrorKind.NETWORK, SessionState.COOLING, 1),
        (ErrorKind.UPSTREAM_ERROR, SessionState.COOLING, 1),
        (ErrorKind.UNKNOWN, SessionState.COOLING, 1),
    ],
)
def test_a_probe_that_fails(
    tmp_path: Path, kind: ErrorKind, state: SessionState, minutes: int | None
) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            session, process = await rested(world)
            world.site.account_faults[session.id] = failure(kind)
            await process.worker.slow_round()
            found = await world.gateway.session(session.id)
            until = None if minutes is None else world.clock.now() + minutes * MINUTE
            assert (found.state, found.cooling_until) == (state, until)

    run(main())


def test_a_login_that_dies_during_polling_costs_no_task(tmp_path: Path) -> None:
    """1015 on a poll: no new tasks for the session, and its own ones go on with the next credential."""

    async def main() -> None:
        async with opened(tmp_path) as world:
            (session,) = await world.sessions(1)
            task, process = await world.submit(), await world.process()
            await process.worker.drain()
            world.site.poll_faults.extend(failure(ErrorKind.AUTH, "1015") for _ in range(6))
            await world.settle(process, seconds=40)
            assert (await world.gateway.session(session.id)).state is SessionState.EXPIRED
            assert [told["session"] for told in world.named("session.expired")] == [session.id]
            waiting = await world.submit()
            await world.settle(process, seconds=20)
            assert (await world.task(waiting)).stage is Stage.QUEUED
            assert (await world.task(task)).stage is Stage.POLLING
            assert world.slots_taken() == 1
            world.site.poll_faults.clear()
            await world.gateway.update_session(session.id, credential="f" * 32)
            await world.settle(process)
            assert (await world.task(task)).stage is Stage.SUCCEEDED
            assert (await world.task(waiting)).stage is Stage.SUCCEEDED
            assert len(world.site.sent) == 2

    run(main())


def test_a_session_that_was_switched_off_finishes_its_tasks_and_gets_none(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            (session,) = await world.sessions(1)
            task, process = await world.submit(), await world.process()
            await process.worker.drain()
            await world.gateway.update_session(session.id, enabled=False)
            waiting = await world.submit()
            await world.settle(process, seconds=60)
            assert (await world.task(task)).stage is Stage.SUCCEEDED
            assert (await world.task(waiting)).stage is Stage.QUEUED

    run(main())


def test_fewer_slots_hold_back_new_tasks_until_the_old_ones_end(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            (session,) = await world.sessions(1, slots=3)
            process = await world.process()
            for _ in range(5):
                await world.submit()
            await process.worker.drain()
            assert world.slots_taken() == 3
            found = await world.gateway.update_session(session.id, slots=1)
            assert (found.slots, found.slots_taken) == (1, 3)
            taken: list[int] = []
            world.site.on_submit = lambda identity, order: taken.append(world.slots_taken())
            await world.settle(process)
            assert taken == [1, 1]
            assert world.sql("SELECT count(*) FROM task WHERE stage = 'succeeded'") == [(5,)]

    run(main())
