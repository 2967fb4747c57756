"""Tasks through the facade: whose they are, how they are listed, waited for, watched and tried again."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from support.aio import run
from support.upstream import Refuse
from support.world import World, opened

from jimeng_gateway.clock import SystemClock
from jimeng_gateway.domain.errors import Conflict, ErrorKind, InvalidRequest, NotFound
from jimeng_gateway.domain.intake import Wish
from jimeng_gateway.domain.request import Kind
from jimeng_gateway.domain.task import Stage, Task, TaskEvent
from jimeng_gateway.gateway import ADMIN, Caller

ALICE, BOB = Caller("key_a", "alice", admin=False), Caller("key_b", "bob", admin=False)
CAT = Wish(prompt="a cat", n=1)


# ── whose it is ──────────────────────────────────────────────────────────────────────────────────────


def test_a_task_of_another_key_does_not_exist(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            gateway, task = world.gateway, await world.gateway.submit(ALICE, CAT)
            assert (await gateway.task(ALICE, task.id)).id == task.id
            assert (await gateway.task(ADMIN, task.id)).key_id == "key_a"
            asked = [
                gateway.task(BOB, task.id),
                gateway.cancel(BOB, task.id),
                gateway.retry(BOB, task.id),
                gateway.events(BOB, task.id),
                gateway.wait(BOB, task.id, seconds=1),
                anext(aiter(gateway.watch(BOB, task.id))),
                gateway.task(BOB, "task_that_never_was"),
            ]
            for question in asked:
                with pytest.raises(NotFound, match="there is no task"):
                    await question
            assert (await gateway.task(ALICE, task.id)).stage is Stage.QUEUED

    run(main())


def test_lists_show_ones_own_and_the_admin_all(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            mine = [await world.gateway.submit(ALICE, CAT) for _ in range(2)]
            his = await world.gateway.submit(BOB, CAT)
            assert {task.id for task in (await world.gateway.tasks(ALICE)).items} == {t.id for t in mine}
            assert [task.id for task in (await world.gateway.tasks(BOB)).items] == [his.id]
            assert len((await world.gateway.tasks(ADMIN)).items) == 3

    run(main())


def test_pages_go_back_in_time_without_gap_or_repetition(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            made = []
            for number in range(11):
                # Some in the same millisecond.
                world.clock.advance(0.001 if number % 3 == 0 else 0)
                made.append(await world.gateway.submit(ALICE, CAT))
            seen: list[Task] = []
            cursor, pages = None, 0
            while pages == 0 or cursor:
                page = await world.gateway.tasks(ALICE, limit=3, cursor=cursor)
                seen, cursor, pages = [*seen, *page.items], page.next_cursor, pages + 1
                # Newer ones do not disturb the pages behind.
                await world.gateway.submit(ALICE, CAT)
            assert pages == 4
            assert len({task.id for task in seen}) == len(seen) == 11
            assert {task.id for task in seen} == {task.id for task in made}
            assert [task.created_at for task in seen] == sorted(
                (task.created_at for task in seen), reverse=True
            )

    run(main())


def test_a_list_can_be_narrowed(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            image = await world.gateway.submit(ALICE, CAT)
            other = await world.gateway.submit(ALICE, Wish(prompt="x", n=1, model="jimeng-4.5"))
            video = await world.gateway.submit(ALICE, Wish(prompt="x", kind=Kind.VIDEO))
            await world.gateway.cancel(ALICE, image.id)

            async def ids(**filters: object) -> set[str]:
                page = await world.gateway.tasks(ALICE, **filters)  # type: ignore[arg-type]
                return {task.id for task in page.items}

            assert await ids(stage=Stage.CANCELLED) == {image.id}
            assert await ids(kind=Kind.VIDEO) == {video.id}
            assert await ids(model="jimeng-4.5") == {other.id}
            assert await ids(kind=Kind.IMAGE, stage=Stage.QUEUED) == {other.id}
            assert await ids(kind=Kind.VIDEO, stage=Stage.CANCELLED) == set()

    run(main())


@pytest.mark.parametrize(
    "cursor", ["x", "1795392000000", ".task_1", "-1.task", "1e9.task", "9" * 99 + ".t", "٣.t"]
)
def test_a_cursor_that_is_none_is_refused(tmp_path: Path, cursor: str) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            with pytest.raises(InvalidRequest) as caught:
                await world.gateway.tasks(ALICE, cursor=cursor)
            assert caught.value.param == "cursor"

    run(main())


# ── again ────────────────────────────────────────────────────────────────────────────────────────────


def test_only_what_has_ended_is_tried_again_as_a_new_task_of_whoever_asks(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            wish = Wish(prompt="a cat", n=2, ratio="16:9", seed=7)
            task = await world.gateway.submit(ALICE, wish)
            with pytest.raises(Conflict, match="still queued"):
                await world.gateway.retry(ALICE, task.id)
            await world.gateway.cancel(ALICE, task.id)
            again = await world.gateway.retry(ADMIN, task.id)
            assert again.id != task.id
            assert (again.retry_of, again.request, again.stage) == (task.id, task.request, Stage.QUEUED)
            assert (again.key_id, again.attempts) == ("admin", 0)
            (created,) = await world.gateway.events(ADMIN, again.id)
            assert created.data == {
                "model": task.request.model,
                "key": "admin token",
                "retry_of": task.id,
            }
            assert (await world.task(task)).stage is Stage.CANCELLED

    run(main())


def test_trying_again_submits_again_under_a_new_id(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            await world.sessions(1)
            world.site.submit_faults.append(Refuse(ErrorKind.CONTENT_REJECTED, "2038"))
            task, process = await world.submit(), await world.process()
            await world.settle(process)
            assert (await world.task(task)).stage is Stage.FAILED
            again = await world.gateway.retry(ADMIN, task.id)
            await world.settle(process)
            assert (await world.task(again)).stage is Stage.SUCCEEDED
            assert (await world.task(task)).stage is Stage.FAILED
            assert len({submit_id for submit_id, _ in world.site.sent}) == 2

    run(main())


# ── waiting and watching ─────────────────────────────────────────────────────────────────────────────


def test_waiting_returns_with_the_end(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            await world.sessions(1)
            task, process = await world.submit(), await world.process()
            waiting = asyncio.create_task(world.gateway.wait(ADMIN, task.id, seconds=3600))
            await world.settle(process, seconds=60)
            assert (await asyncio.wait_for(waiting, 1)).stage is Stage.SUCCEEDED
            assert (await world.gateway.wait(ADMIN, task.id, seconds=0)).stage is Stage.SUCCEEDED

    run(main())


def test_waiting_returns_the_task_as_it_is_when_the_time_is_up(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            # Its own, running clock: what is waited for here is time.
            gateway, task = world.facade(clock=SystemClock()), await world.submit()
            found = await gateway.wait(ADMIN, task.id, seconds=0.02)
            assert found.stage is Stage.QUEUED

    run(main())


async def watched(world: World, task: Task, after: int = 0) -> list[Task | TaskEvent]:
    return [item async for item in world.gateway.watch(ADMIN, task.id, after=after)]


def test_watching_tells_everything_once_and_ends_with_the_task(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            await world.sessions(1)
            task, process = await world.submit(), await world.process()
            watching = asyncio.create_task(watched(world, task))
            await asyncio.sleep(0)
            await world.settle(process, seconds=60)
            seen = await asyncio.wait_for(watching, 1)
            events = [item for item in seen if isinstance(item, TaskEvent)]
            assert [event.seq for event in events] == list(range(1, len(events) + 1))
            assert [event.name for event in events] == await world.events(task)
            states = [item.stage for item in seen if isinstance(item, Task)]
            assert states[0] is Stage.QUEUED
            assert states[-1] is Stage.SUCCEEDED
            assert {Stage.POLLING, Stage.DOWNLOADING} <= set(states)
            assert isinstance(seen[-1], Task)

    run(main())


def test_watching_goes_on_where_it_was_broken_off(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            await world.sessions(1)
            task, process = await world.submit(), await world.process()
            first: list[int] = []
            async for item in world.gateway.watch(ADMIN, task.id):
                if isinstance(item, TaskEvent):
                    first.append(item.seq)
                    break
            await world.settle(process)
            rest = [item.seq for item in await watched(world, task, after=1) if isinstance(item, TaskEvent)]
            assert first + rest == list(range(1, (await world.task(task)).revision + 1))
            assert [
                item for item in await watched(world, task, after=99) if isinstance(item, TaskEvent)
            ] == []

    run(main())


def test_a_watcher_that_leaves_leaves_nothing_behind(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            task = await world.submit()
            watching = [asyncio.create_task(watched(world, task)) for _ in range(3)]
            waiting = asyncio.create_task(world.gateway.wait(ADMIN, task.id, seconds=99))
            await asyncio.sleep(0.01)
            for each in (*watching, waiting):
                each.cancel()
            await asyncio.gather(*watching, waiting, return_exceptions=True)
            await world.gateway.cancel(ADMIN, task.id)
            assert [item.stage for item in await watched(world, task) if isinstance(item, Task)] == [
                Stage.CANCELLED
            ]

    run(main())


# ── results ──────────────────────────────────────────────────────────────────────────────────────────


def test_content_says_why_there_is_none(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            await world.sessions(1)
            task, process = await world.submit(), await world.process()
            with pytest.raises(NotFound) as early:
                world.gateway.content(task, 0)
            await world.settle(process)
            done = await world.task(task)
            assert world.file(done, 0).is_file()
            with pytest.raises(NotFound) as missing:
                world.gateway.content(done, 1)
            assert (early.value.retryable, missing.value.retryable) == (True, False)

    run(main())


def test_a_link_opens_one_result_and_no_other(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            task, gateway = await world.gateway.submit(ALICE, CAT), world.gateway
            signature = gateway.link_signature(task.id, 0)
            assert gateway.link_valid(task.id, 0, signature)
            assert (await gateway.task_for_link(task.id)).id == task.id
            assert not gateway.link_valid(task.id, 1, signature)
            assert not gateway.link_valid(task.id + "x", 0, signature)
            assert not gateway.link_valid(task.id, 0, signature[:-1])
            assert not gateway.link_valid(task.id, 0, "")

    run(main())


def test_a_refused_wish_leaves_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            with pytest.raises(InvalidRequest):
                await world.gateway.submit(ALICE, Wish(prompt=" "))
            assert (await world.gateway.tasks(ADMIN)).items == ()

    run(main())
