"""Replies and steps that come when the world has moved on: each may speak for its own submit only."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from support.aio import run
from support.upstream import Hang, Lose, Refuse
from support.world import Process, World, opened, soon

from jimeng_gateway.domain.errors import ErrorKind, NotFound
from jimeng_gateway.domain.ports import Identities
from jimeng_gateway.domain.session import Identity
from jimeng_gateway.domain.task import Stage, Task
from jimeng_gateway.work import upkeep


def test_a_reply_that_comes_after_the_takeover_is_still_the_reply(tmp_path: Path) -> None:
    """A process that was slow, not dead: its submit was taken over as uncertain, then its reply comes in."""

    async def main() -> None:
        async with opened(tmp_path) as world:
            await world.sessions(1)
            task = await world.submit()
            slow = await world.process(alone=False)
            world.site.submit_faults.append(Hang(accepted=False))
            await slow.worker.reserve_round()
            await world.site.hanging.wait()
            world.clock.advance(31)
            other = await world.process(alone=False)
            await other.worker.upkeep_round()
            assert (await world.task(task)).uncertain_at is not None
            world.site.release.set()
            await slow.worker.drain()
            assert (await world.task(task)).stage is Stage.POLLING
            await world.settle(other)
            await world.assert_paid_once_and_done(task)
            assert len(world.site.sent) == 1

    run(main())


def test_an_acceptance_that_comes_when_nobody_believes_in_it_is_cancelled_upstream(tmp_path: Path) -> None:
    """Slower than the whole doubt: the task has gone on elsewhere, so the job it left behind is cancelled."""

    async def main() -> None:
        async with opened(tmp_path) as world:
            world.site.takes = 600_000
            await world.sessions(2)
            task = await world.submit()
            slow = await world.process(alone=False)
            world.site.submit_faults.append(Hang(accepted=False))
            await slow.worker.reserve_round()
            await world.site.hanging.wait()
            world.clock.advance(31)
            other = await world.process(alone=False)
            await world.settle(other, seconds=120, until=lambda: len(world.site.sent) == 2)
            assert len(world.site.sent) == 2
            world.site.release.set()
            await slow.worker.drain()
            assert world.site.cancels == ["h2"]
            found = await world.task(task)
            assert (found.stage, found.history_id) == (Stage.POLLING, "h1")
            assert "cancel.upstream" in await world.events(task)

    run(main())


async def superseded(world: World, first: Hang) -> tuple[Task, Process, asyncio.Event]:
    """A task whose second submit is under way while the first, believed absent, has no reply yet."""
    await world.sessions(2)
    task = await world.submit()
    slow = await world.process(alone=False)
    second = Hang(accepted=False, gate=asyncio.Event())
    world.site.submit_faults.extend([first, second])
    await slow.worker.reserve_round()
    await world.site.hanging.wait()
    world.clock.advance(31)
    other = await world.process(alone=False)
    await other.worker.upkeep_round()
    while len(world.site.sent) < 2:
        await other.lease.beat()
        await other.worker.poll_round()
        await other.worker.reserve_round()
        await asyncio.sleep(0.001)
        world.clock.advance(0.5)
    assert (await world.task(task)).submit_id == world.site.sent[1][0]
    assert second.gate is not None
    return task, slow, second.gate


@pytest.mark.parametrize("then", [None, Refuse(ErrorKind.NETWORK)], ids=["acceptance", "refusal"])
def test_the_reply_to_an_earlier_submit_says_nothing_about_the_present_one(
    tmp_path: Path, then: Refuse | None
) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            first = Hang(accepted=False, gate=asyncio.Event(), then=then)
            task, slow, second = await superseded(world, first)
            assert first.gate is not None
            first.gate.set()
            await soon(lambda: not slow.worker.busy()["submit"])
            between = await world.task(task)
            assert (between.stage, between.submit_id) == (Stage.SUBMITTING, world.site.sent[1][0])
            second.set()
            await world.settle(await world.process())
            done = await world.task(task)
            assert (done.stage, done.submit_id) == (Stage.SUCCEEDED, world.site.sent[1][0])
            assert world.site.charges[world.site.sent[1][0]] == 1
            assert len(world.site.sent) == 2
            # What was accepted in vain is cancelled, what was refused needs no cancelling.
            assert world.site.cancels == (["h1"] if then is None else [])

    run(main())


def test_a_poll_for_an_earlier_submit_says_nothing_about_the_present_one(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            await world.sessions(1)
            task = await world.submit()
            slow = await world.process(alone=False)
            first = Hang(accepted=False, gate=asyncio.Event(), then=Refuse(ErrorKind.NETWORK))
            world.site.submit_faults.extend([first, Lose(accepted=True)])
            await slow.worker.reserve_round()
            await world.site.hanging.wait()
            world.clock.advance(31)
            other = await world.process(alone=False)
            await other.worker.upkeep_round()
            world.clock.advance(1)
            reply = asyncio.Event()
            world.site.poll_gates.append(reply)
            await other.worker.poll_round()
            await soon(lambda: world.site.polls)
            assert first.gate is not None
            first.gate.set()
            await soon(lambda: not slow.worker.busy()["submit"])
            world.clock.advance(2)
            await other.worker.reserve_round()
            await soon(lambda: not other.worker.busy()["submit"])
            before = await world.task(task)
            assert (before.submit_id, before.misses) == (world.site.sent[1][0], 0)
            reply.set()
            await soon(lambda: not other.worker.busy()["poll"])
            assert await world.task(task) == before
            await world.settle(other)
            await world.assert_paid_once_and_done(task)

    run(main())


class Stalled:
    """Identities that come only when the gate of their session is opened, or not even then."""

    def __init__(self, inner: Identities) -> None:
        self._inner = inner
        self.waiting: list[str] = []
        self.gates: dict[str, asyncio.Event] = {}
        self.broken: set[str] = set()

    async def open(self, session_id: str) -> Identity:
        """See Identities."""
        self.waiting.append(session_id)
        await self.gates.setdefault(session_id, asyncio.Event()).wait()
        if session_id in self.broken:
            raise NotFound("the session was removed")
        return await self._inner.open(session_id)


async def twice_reserved(world: World) -> tuple[Task, Process, Process, Stalled, list[str]]:
    """Reserved, stalled, given back, and reserved again by the same process on the other session."""
    sessions = [session.id for session in await world.sessions(2)]
    task, process = await world.submit(), await world.process()
    stalled = Stalled(process.bench.identities)
    old = await world.process(identities=stalled, lease=process.lease)
    new = await world.process(identities=stalled, lease=process.lease)
    await old.worker.reserve_round()
    await soon(lambda: stalled.waiting == sessions[:1])
    await upkeep.release_own(process.bench, [task.id], "given back")
    world.clock.advance(1)
    await new.worker.reserve_round()
    await soon(lambda: stalled.waiting == sessions)
    return task, old, new, stalled, sessions


def test_a_step_that_outlived_its_reservation_sends_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            task, old, new, stalled, sessions = await twice_reserved(world)
            stalled.gates[sessions[0]].set()
            await soon(lambda: not old.worker.busy()["submit"])
            assert world.site.sent == []
            stalled.gates[sessions[1]].set()
            await world.settle(new)
            assert [session_id for _, session_id in world.site.sent] == sessions[1:]
            await world.assert_paid_once_and_done(task)

    run(main())


def test_a_step_that_outlived_its_reservation_sends_nothing_back(tmp_path: Path) -> None:
    """It cannot open its session, while the request of its successor is under way."""

    async def main() -> None:
        async with opened(tmp_path) as world:
            task, old, new, stalled, sessions = await twice_reserved(world)
            world.site.submit_faults.append(Hang(accepted=False))
            stalled.gates[sessions[1]].set()
            await world.site.hanging.wait()
            stalled.broken.add(sessions[0])
            stalled.gates[sessions[0]].set()
            await soon(lambda: not old.worker.busy()["submit"])
            assert (await world.task(task)).stage is Stage.SUBMITTING
            world.site.release.set()
            await world.settle(new)
            assert len(world.site.sent) == 1
            await world.assert_paid_once_and_done(task)

    run(main())


def test_a_submit_that_is_still_under_way_elsewhere_is_not_made_again(tmp_path: Path) -> None:
    """Its process lost the lease and the site takes its time: a submit may take as long as its timeout."""

    async def main() -> None:
        async with opened(tmp_path) as world:
            await world.sessions(2)
            task = await world.submit()
            slow = await world.process(alone=False)
            world.site.submit_faults.append(Hang(accepted=False))
            await slow.worker.reserve_round()
            await world.site.hanging.wait()
            world.clock.advance(31)
            other = await world.process(alone=False)
            await world.settle(other, seconds=58)
            assert len(world.site.sent) == 1
            world.site.release.set()
            await slow.worker.drain()
            await world.settle(other)
            await world.assert_paid_once_and_done(task)
            assert len(world.site.sent) == 1

    run(main())
