"""Losing the lease, losing the database: a process stops loudly or goes on rightly, and swallows nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest
from support.aio import run
from support.clock import ManualClock
from support.flaky import FlakyDatabase
from support.upstream import Hang, Lose
from support.world import Process, World, leased, opened, until

from jimeng_gateway.domain.errors import StoreError
from jimeng_gateway.domain.request import Kind
from jimeng_gateway.domain.task import Stage
from jimeng_gateway.store.database import StoreBusy, Tx
from jimeng_gateway.work.lease import LeaseLost

T = TypeVar("T")


class TwoClocks(ManualClock):
    """A machine that sleeps: the time of day goes on without the other clock."""

    def __init__(self) -> None:
        super().__init__()
        self.slept = 0.0

    def monotonic(self) -> float:
        """Seconds awake."""
        return super().monotonic() - self.slept

    def sleep_through(self, seconds: float) -> None:
        """The lid is closed for so long."""
        self.slept += seconds
        self.advance(seconds)


# ── the lease ────────────────────────────────────────────────────────────────────────────────────────


def test_a_lease_that_ran_out_stops_the_worker_loudly(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            process = await world.process(alone=False)
            running = asyncio.create_task(process.worker.run())
            await asyncio.sleep(0.01)
            world.clock.advance(31)
            with pytest.raises(BaseExceptionGroup) as caught:
                await running
            assert caught.value.subgroup(LeaseLost) is not None
            await process.worker.stop(running, 0)
            assert leased(world) == []

    run(main())


def test_a_process_alone_that_slept_goes_on(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            clock = TwoClocks()
            world.site.clock = world.clock = clock
            world.gateway = world.facade()
            await world.sessions(1)
            process = await world.process()
            done, hanging = await world.submit(), await world.submit(Kind.VIDEO)
            world.site.submit_faults.extend([None, Hang(accepted=False)])
            running = asyncio.create_task(process.worker.run())
            await until(world, world.site.hanging.is_set)
            clock.sleep_through(3000)
            await asyncio.sleep(0.02)
            assert (await world.task(hanging)).owner == process.lease.owner, "nobody took it from itself"
            world.site.release.set()
            await until(
                world, lambda: world.sql("SELECT count(*) FROM task WHERE stage = 'succeeded'") == [(2,)]
            )
            await process.worker.stop(running, 5)
            assert (await world.task(done)).attempts == (await world.task(hanging)).attempts == 1
            assert max(world.site.charges.values()) == 1
            assert "submit.uncertain" not in await world.events(hanging)

    run(main())


@pytest.mark.parametrize("asleep", [True, False], ids=["machine asleep", "process stopped"])
def test_what_was_intended_before_the_lease_ran_out_is_not_sent_after_it(
    tmp_path: Path, asleep: bool
) -> None:
    """The last moment before the request leaves: another process may own the task by now."""

    async def main() -> None:
        async with opened(tmp_path) as world:
            clock = TwoClocks()
            world.site.clock = world.clock = clock
            world.gateway = world.facade()
            await world.sessions(1)
            task = await world.submit()
            passes = clock.sleep_through if asleep else clock.advance
            late = FlakyIntent(world, lambda: passes(31))
            process = await world.process(alone=False, db=late)
            await process.worker.reserve_round()
            late.armed = True
            await process.worker.drain()
            assert world.site.sent == []
            assert (await world.task(task)).submit_id is not None
            await world.settle(await world.process(alone=False))
            assert (await world.task(task)).stage is Stage.SUCCEEDED
            assert len(world.site.sent) == 1

    run(main())


class FlakyIntent(FlakyDatabase):
    """A database whose next write takes very long to be acknowledged."""

    def __init__(self, world: World, passes: Callable[[], None]) -> None:
        super().__init__(world.db)
        self.armed = False
        self._passes = passes

    async def write(self, body: Callable[[Tx], T]) -> T:
        """See Database."""
        value = await super().write(body)
        if self.armed:
            self.armed = False
            self._passes()
        return value


def test_a_heartbeat_renews_in_time_and_only_in_time(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            process = await world.process(alone=False)
            for _ in range(10):
                world.clock.advance(29)
                assert process.lease.valid()
                await process.lease.beat()
            world.clock.advance(30)
            assert not process.lease.valid()
            with pytest.raises(LeaseLost):
                await process.lease.beat()

    run(main())


# ── the database ─────────────────────────────────────────────────────────────────────────────────────


def test_an_outcome_outlasts_an_absence_of_the_database(tmp_path: Path) -> None:
    """The site took the job; the database is locked when that is to be written down."""

    async def main() -> None:
        async with opened(tmp_path) as world:
            await world.sessions(1)
            db = FlakyDatabase(world.db)
            process, task = await world.process(db=db), await world.submit()

            def lock(*_: object) -> None:
                db.busy = 4

            world.site.on_submit = lock
            await process.worker.reserve_round()
            for _ in range(200):
                await asyncio.sleep(0.001)
                if (await world.task(task)).stage is Stage.POLLING:
                    break
                if world.clock.sleeping:
                    world.clock.advance(0.5)
            assert (await world.task(task)).stage is Stage.POLLING
            assert db.refused == 4
            assert len(world.named("store.retry")) == 4
            assert list(world.site.charges.values()) == [1]

    run(main())


def test_an_outcome_that_cannot_be_written_is_found_out_from_the_site(tmp_path: Path) -> None:
    """A full disk at the worst moment: the step ends loudly, and nothing is submitted again."""

    async def main() -> None:
        async with opened(tmp_path) as world:
            await world.sessions(1)
            db = FlakyDatabase(world.db)
            process, task = await world.process(db=db), await world.submit()

            def fill(*_: object) -> None:
                db.broken = StoreError("SQLite failed: FullError: database or disk is full")

            world.site.on_submit = fill
            await process.worker.reserve_round()
            await until(world, lambda: bool(world.named("step.crashed")))
            assert "disk is full" in str(world.named("step.crashed")[0]["error"])
            db.broken, world.site.on_submit = None, None
            for _ in range(3):
                await process.worker.slow_round()
            await world.settle(process)
            done = await world.task(task)
            assert (done.stage, done.attempts) == (Stage.SUCCEEDED, 1)
            assert list(world.site.charges.values()) == [1]

    run(main())


def test_a_database_that_is_locked_for_longer_than_the_lease_stops_the_worker(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            db = FlakyDatabase(world.db)
            process = await world.process(db=db)
            db.busy = -1
            begun = world.clock.monotonic()
            running = asyncio.create_task(process.worker.run())
            await until(world, running.done)
            error = running.exception()
            assert isinstance(error, BaseExceptionGroup)
            assert error.subgroup(StoreBusy) is not None
            assert world.clock.monotonic() - begun > 29

    run(main())


def test_a_short_absence_of_the_database_stops_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            await world.sessions(1)
            db = FlakyDatabase(world.db)
            process, task = await world.process(db=db), await world.submit()
            db.busy = 20
            running = asyncio.create_task(process.worker.run())
            await until(
                world, lambda: world.sql("SELECT count(*) FROM task WHERE stage = 'succeeded'") == [(1,)]
            )
            await process.worker.stop(running, 5)
            assert db.refused == 20
            assert (await world.task(task)).attempts == 1

    run(main())


def test_a_broken_database_stops_the_worker_at_once(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            db = FlakyDatabase(world.db)
            process = await world.process(db=db)
            db.broken = StoreError("SQLite failed: CorruptError: database disk image is malformed")
            with pytest.raises(BaseExceptionGroup) as caught:
                await process.worker.run()
            assert caught.value.subgroup(StoreError) is not None

    run(main())


async def both(world: World) -> tuple[Process, Process]:
    return await world.process(alone=False), await world.process(alone=False)


def test_a_living_process_keeps_what_it_holds(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            await world.sessions(1)
            one, two = await both(world)
            task = await world.submit()
            world.site.submit_faults.append(Hang(accepted=False))
            await one.worker.reserve_round()
            await world.site.hanging.wait()
            for _ in range(10):
                world.clock.advance(10)
                await one.lease.beat()
                await two.lease.beat()
                await two.worker.upkeep_round()
            assert (await world.task(task)).owner == one.lease.owner
            world.site.release.set()
            await world.settle(one, seconds=5)
            assert (await world.task(task)).stage is Stage.POLLING

    run(main())


def test_slots_of_ended_tasks_are_mended_and_said_so(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            (session,) = await world.sessions(1)
            task, process = await world.submit(), await world.process()
            await world.settle(process)
            await world.db.write(
                lambda tx: tx.run("slot_take", session_id=session.id, task_id=task.id, now=1)
            )
            assert world.slots_taken() == 1
            await process.worker.slow_round()
            assert world.slots_taken() == 0
            assert world.named("slot.leaked") == [{"task": task.id}]

    run(main())


def sent_at_least(world: World, count: int) -> bool:
    return len(world.site.sent) >= count


def test_lost_replies_and_restarts_in_a_row(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            await world.sessions(2)
            task = await world.submit()
            for number in range(5):
                world.site.submit_faults.append(Lose(accepted=number == 4))
                process = await world.process()
                running = asyncio.create_task(process.worker.run())
                await until(world, partial(sent_at_least, world, number + 1))
                await process.worker.stop(running, 0.01)
                assert leased(world) == []
            await world.settle(await world.process())
            assert (await world.task(task)).stage is Stage.SUCCEEDED
            assert (len(world.site.sent), list(world.site.charges.values())) == (5, [1])

    run(main())
