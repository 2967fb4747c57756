"""Cancelling in every stage: it wins over whatever comes later, and the site is asked to stop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.aio import run
from support.doom import Doom, DoomedUpstream, Killed, bury
from support.upstream import Hang, Lose, Refuse, failure, html
from support.world import Process, World, opened

from jimeng_gateway.domain.errors import Conflict, ErrorKind, NotFound
from jimeng_gateway.domain.task import Stage, Task
from jimeng_gateway.gateway import ADMIN
from jimeng_gateway.store.files import ResultFiles, StoredFile


async def cancelled(world: World, task: Task) -> Task:
    """What must be true of it for ever."""
    found = await world.task(task)
    assert (found.stage, found.owner, found.work, found.failure) == (Stage.CANCELLED, None, None, None)
    assert world.sql("SELECT count(*) FROM slot WHERE task_id = ?", task.id) == [(0,)]
    return found


async def outcome(world: World, task: Task) -> tuple[str, list[object]]:
    """How the upstream cancellation went: the submission's last word and the outcomes in the events."""
    rows = world.sql("SELECT cancel_state FROM submission WHERE task_id = ? ORDER BY attempt", task.id)
    events = await world.gateway.events(ADMIN, task.id)
    return str(rows[-1][0]), [event.data["outcome"] for event in events if event.name == "cancel.upstream"]


async def polling(world: World) -> tuple[Task, Process]:
    await world.sessions(1, slots=1)
    task, process = await world.submit(), await world.process()
    await process.worker.drain()
    assert (await world.task(task)).stage is Stage.POLLING
    return task, process


def test_in_the_queue_nothing_is_ever_sent(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            task = await world.submit()
            await world.gateway.cancel(ADMIN, task.id)
            await world.sessions(1)
            await world.settle(await world.process())
            await cancelled(world, task)
            assert (world.site.sent, world.site.cancels) == ([], [])

    run(main())


def test_between_reservation_and_intent_nothing_is_sent(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            await world.sessions(1)
            task, process = await world.submit(), await world.process()
            await process.worker.reserve_round()
            assert (await world.task(task)).stage is Stage.SUBMITTING
            await world.gateway.cancel(ADMIN, task.id)
            await world.settle(process)
            await cancelled(world, task)
            assert world.site.sent == []

    run(main())


def test_while_the_request_is_under_way_the_job_is_cancelled_when_it_turns_up(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            world.site.takes = 600_000
            world.site.submit_faults.append(Hang(accepted=False))
            await world.sessions(1)
            task, process = await world.submit(), await world.process()
            await process.worker.reserve_round()
            await world.site.hanging.wait()
            await world.gateway.cancel(ADMIN, task.id)
            await cancelled(world, task)
            for _ in range(9):
                # Longer than absence would be believed elsewhere: its reply is still to come.
                await process.worker.cancel_round()
                await process.worker.poll_round()
                world.clock.advance(5.1)
                await process.lease.beat()
            world.site.release.set()
            await world.settle(process, seconds=60)
            await cancelled(world, task)
            assert world.site.cancels == ["h1"]
            assert await outcome(world, task) == ("done", ["done"])

    run(main())


def test_an_uncertain_submit_is_looked_for_and_cancelled(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            world.site.takes, world.site.absent = 600_000, 8000
            world.site.submit_faults.append(Lose(accepted=True))
            await world.sessions(1)
            task, process = await world.submit(), await world.process()
            await process.worker.reserve_round()
            await process.worker.drain()
            await world.gateway.cancel(ADMIN, task.id)
            await world.settle(process, seconds=60)
            await cancelled(world, task)
            assert world.site.cancels == ["h1"]
            assert await outcome(world, task) == ("done", ["done"])

    run(main())


@pytest.mark.parametrize("sent", ["never arrived", "refused", "process died"])
def test_a_submit_that_was_not_accepted_is_found_to_be_gone(tmp_path: Path, sent: str) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            await world.sessions(1)
            task = await world.submit()
            if sent == "process died":
                process = await world.process(upstream=DoomedUpstream(world.site, Doom(1)))
                with pytest.raises(Killed):
                    await process.worker.drain()
                await bury()
                await world.gateway.cancel(ADMIN, task.id)
                process = await world.process()
            else:
                fault = Lose(accepted=False) if sent == "never arrived" else Refuse(ErrorKind.NETWORK)
                world.site.submit_faults.extend([Hang(accepted=False), fault])
                process = await world.process()
                await process.worker.reserve_round()
                await world.site.hanging.wait()
                await world.gateway.cancel(ADMIN, task.id)
                for step in asyncio.all_tasks() - {asyncio.current_task()}:
                    step.cancel()
            await world.settle(process, seconds=300)
            await cancelled(world, task)
            assert await outcome(world, task) == ("gone", ["gone"])
            assert not world.site.charges
            assert world.site.cancels == []

    run(main())


def test_while_polling_the_job_is_cancelled_and_its_slot_is_free_at_once(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            task, process = await polling(world)
            await world.gateway.cancel(ADMIN, task.id)
            await cancelled(world, task)
            other = await world.submit()
            await world.settle(process)
            await cancelled(world, task)
            assert (await world.task(other)).stage is Stage.SUCCEEDED
            assert await outcome(world, task) == ("done", ["done"])

    run(main())


def test_a_success_afterwards_changes_nothing(tmp_path: Path) -> None:
    """The site refuses to cancel and finishes: a poll that was under way finds the result."""

    async def main() -> None:
        async with opened(tmp_path) as world:
            task, process = await polling(world)
            world.site.cancel_faults.append(failure(ErrorKind.INVALID_REQUEST, "1000"))
            world.clock.advance(13)
            await process.lease.beat()
            await process.worker.poll_round()
            await world.gateway.cancel(ADMIN, task.id)
            await world.settle(process)
            found = await cancelled(world, task)
            assert found.results == ()
            assert world.site.downloads == []
            assert await outcome(world, task) == ("refused", ["refused"])

    run(main())


def test_while_downloading_the_files_are_not_delivered(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            task, process = await polling(world)
            slow = await world.process(files=CancelDuringSave(world, task), lease=process.lease)
            await world.settle(slow)
            found = await cancelled(world, task)
            assert found.results == ()
            with pytest.raises(NotFound):
                world.gateway.content(found, 0)
            state, outcomes = await outcome(world, task)
            assert (state, outcomes) == ("refused", ["refused"])
            assert world.slots_taken() == 0

    run(main())


def test_a_cancellation_is_tried_for_a_minute_when_the_site_is_away(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            world.site.takes = 3_600_000
            task, process = await polling(world)
            world.site.cancel_faults.extend(html() for _ in range(5))
            await world.gateway.cancel(ADMIN, task.id)
            await world.settle(process, seconds=120)
            assert len(world.site.cancels) == 6
            assert await outcome(world, task) == ("done", ["done"])

    run(main())


def test_in_the_end_not_having_been_able_to_is_recorded_too(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            world.site.takes = 3_600_000
            task, process = await polling(world)
            world.site.cancel_faults.extend(html() for _ in range(100))
            await world.gateway.cancel(ADMIN, task.id)
            await world.settle(process, seconds=600)
            assert len(world.site.cancels) == 12
            assert await outcome(world, task) == ("refused", ["refused"])

    run(main())


def test_a_process_that_dies_while_cancelling_is_replaced(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            world.site.takes = 3_600_000
            task, _ = await polling(world)
            await world.gateway.cancel(ADMIN, task.id)
            dying = await world.process(upstream=DoomedUpstream(world.site, Doom(2)))
            with pytest.raises(Killed):
                await dying.worker.drain()
            await bury()
            assert (await outcome(world, task))[0] == "wanted"
            world.site.cancel_faults.append(failure(ErrorKind.INVALID_REQUEST, "1000"))
            await world.settle(await world.process(), seconds=120)
            # Asked a second time, the site says that there is nothing left to cancel.
            assert await outcome(world, task) == ("refused", ["refused"])
            assert world.site.jobs[(await world.task(task)).submit_id or ""].cancelled

    run(main())


def test_cancelling_again_returns_it_and_cancelling_what_has_ended_is_a_conflict(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            await world.sessions(1)
            done, process = await world.submit(), await world.process()
            await world.settle(process)
            with pytest.raises(Conflict, match="succeeded"):
                await world.gateway.cancel(ADMIN, done.id)
            task = await world.submit()
            first = await world.gateway.cancel(ADMIN, task.id)
            assert await world.gateway.cancel(ADMIN, task.id) == first
            assert await world.events(task) == ["task.created", "task.cancelled"]

    run(main())


class CancelDuringSave(ResultFiles):
    """Files during whose download the caller loses interest."""

    def __init__(self, world: World, task: Task) -> None:
        super().__init__(world.path / "results", largest=1_000_000)
        self._world, self._task = world, task

    async def save(
        self, task_id: str, index: int, kind: str, chunks: AsyncIterator[bytes], length: int | None
    ) -> StoredFile:
        """See ResultFiles."""
        stored = await super().save(task_id, index, kind, chunks, length)
        await self._world.gateway.cancel(ADMIN, self._task.id)
        return stored
