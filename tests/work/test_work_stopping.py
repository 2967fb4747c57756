"""Stopping in order, losing the lease, losing the database: nothing stays leased, nothing is swallowed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TypeVar

import pytest
from support.aio import run
from support.flaky import FlakyDatabase
from support.upstream import Hang
from support.world import leased, opened, soon, until

from jimeng_gateway.domain.task import Stage
from jimeng_gateway.store.database import Tx
from jimeng_gateway.store.files import ResultFiles, StoredFile
from jimeng_gateway.work import upkeep

T = TypeVar("T")


# ── the loops ────────────────────────────────────────────────────────────────────────────────────────


def test_the_loops_serve_tasks_and_stop_with_nothing_leased(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            await world.sessions(2)
            process = await world.process()
            tasks = [await world.submit() for _ in range(6)]
            running = asyncio.create_task(process.worker.run())
            await until(
                world, lambda: world.sql("SELECT count(*) FROM task WHERE stage = 'succeeded'") == [(6,)]
            )
            await process.worker.stop(running, 5)
            assert running.done()
            assert leased(world) == []
            assert {(await world.task(task)).attempts for task in tasks} == {1}

    run(main())


@pytest.mark.parametrize("accepted", [True, False])
def test_stopping_does_not_wait_for_a_submit_that_hangs(tmp_path: Path, accepted: bool) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            await world.sessions(1)
            process, task = await world.process(), await world.submit()
            world.site.submit_faults.append(Hang(accepted))
            running = asyncio.create_task(process.worker.run())
            await until(world, world.site.hanging.is_set)
            await process.worker.stop(running, 0.01)
            assert leased(world) == []
            left = await world.task(task)
            assert (left.stage, left.submit_id is None) == (Stage.SUBMITTING, False)
            assert left.uncertain_at is not None
            await world.settle(await world.process())
            done = await world.task(task)
            assert (done.stage, done.attempts) == (Stage.SUCCEEDED, 1 if accepted else 2)
            assert list(world.site.charges.values()) == [1]

    run(main())


class SlowDatabase(FlakyDatabase):
    """Whose writes wait for a gate while there is one."""

    gate: asyncio.Event | None = None
    waiting = 0

    async def write(self, body: Callable[[Tx], T]) -> T:
        """See Database."""
        if self.gate is not None:
            self.waiting += 1
            await self.gate.wait()
        return await super().write(body)


def test_a_step_that_begins_while_stopping_is_ended_too(tmp_path: Path) -> None:
    """Its reservation was on its way to the disk when the stop came."""

    async def main() -> None:
        async with opened(tmp_path) as world:
            await world.sessions(1)
            db = SlowDatabase(world.db)
            process, first = await world.process(db=db), await world.submit()
            world.site.submit_faults.extend([Hang(accepted=False), Hang(accepted=False)])
            running = asyncio.create_task(process.worker.run())
            await until(world, world.site.hanging.is_set)
            db.gate = asyncio.Event()
            second = await world.submit()
            # Reserving, collecting, cancelling and upkeep all have something on its way to the disk.
            await until(world, lambda: db.waiting >= 4)
            stopping = asyncio.create_task(process.worker.stop(running, 0.1))
            await asyncio.sleep(0)
            db.gate.set()
            await stopping
            assert len(world.site.sent) == 2
            assert set(process.worker.busy().values()) == {0}
            assert leased(world) == []
            world.site.submit_faults.clear()
            await world.settle(await world.process())
            for task in (first, second):
                assert (await world.task(task)).stage is Stage.SUCCEEDED
            assert list(world.site.charges.values()) == [1, 1]

    run(main())


def test_stopping_lets_a_step_that_is_nearly_done_end(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            await world.sessions(1)
            process, task = await world.process(), await world.submit()
            world.site.submit_faults.append(Hang(accepted=True))
            running = asyncio.create_task(process.worker.run())
            await until(world, world.site.hanging.is_set)
            stopping = asyncio.create_task(process.worker.stop(running, 60))
            await asyncio.sleep(0)
            world.site.release.set()
            await stopping
            assert (await world.task(task)).stage is Stage.POLLING
            assert leased(world) == []

    run(main())


# ── lost steps ───────────────────────────────────────────────────────────────────────────────────────


def test_a_step_that_broke_is_given_back_when_it_was_missed_twice(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            await world.sessions(1)
            process, task = await world.process(), await world.submit()

            def bug(*_: object) -> None:
                raise KeyError("a bug")

            world.site.on_submit = bug
            await process.worker.drain()
            assert len(world.named("step.crashed")) == 1
            await process.worker.slow_round()
            assert (await world.task(task)).owner == process.lease.owner
            await process.worker.slow_round()
            given_back = await world.task(task)
            assert (given_back.owner, given_back.stage) == (None, Stage.SUBMITTING)
            assert given_back.uncertain_at is not None, "it may have left"
            world.site.on_submit = None
            await world.settle(process)
            assert (await world.task(task)).stage is Stage.SUCCEEDED
            assert list(world.site.charges.values()) == [1]

    run(main())


def test_a_step_that_is_at_work_is_not_lost(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            await world.sessions(1)
            process, task = await world.process(), await world.submit()
            world.site.submit_faults.append(Hang(accepted=False))
            await process.worker.reserve_round()
            await world.site.hanging.wait()
            for _ in range(3):
                await process.worker.slow_round()
            assert (await world.task(task)).owner == process.lease.owner
            world.site.release.set()
            await world.settle(process)
            assert (await world.task(task)).stage is Stage.SUCCEEDED

    run(main())


class SlowFiles(ResultFiles):
    """A disk that takes its time until the gate is open."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, largest=1_000_000)
        self.gate = asyncio.Event()

    async def save(
        self, task_id: str, index: int, kind: str, chunks: AsyncIterator[bytes], length: int | None
    ) -> StoredFile:
        """See ResultFiles."""
        await self.gate.wait()
        return await super().save(task_id, index, kind, chunks, length)


def test_a_task_that_is_claimed_again_under_its_running_step_is_fetched_once(tmp_path: Path) -> None:
    """Two steps would write to the same file."""

    async def main() -> None:
        async with opened(tmp_path) as world:
            await world.sessions(1)
            files = SlowFiles(tmp_path / "results")
            process, task = await world.process(files=files), await world.submit()
            await process.worker.drain()
            world.clock.advance(13)
            await process.worker.poll_round()
            await soon(lambda: not process.worker.busy()["poll"])
            await process.worker.collect_round()
            await soon(lambda: world.site.downloads)
            await upkeep.release_own(process.bench, [task.id], "given back")
            await process.worker.collect_round()
            await asyncio.sleep(0.01)
            assert process.worker.busy()["collect"] == 1
            files.gate.set()
            await process.lease.beat()
            await process.worker.drain()
            assert (await world.task(task)).stage is Stage.SUCCEEDED
            assert len(world.site.downloads) == 1

    run(main())
