"""Tasks: what goes in comes out, two who change one at once lose nothing, lists page completely."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import replace

import pytest
from support.aio import run
from support.clock import START_MS
from support.database import Engine
from support.factories import (
    LIMITS,
    accept,
    finish,
    in_flight,
    intend,
    make_request,
    make_task,
    queue_tasks,
    reserve,
    seed_sessions,
)

from jimeng_gateway.domain import lifecycle, policy
from jimeng_gateway.domain.errors import ErrorKind, Failure
from jimeng_gateway.domain.lifecycle import Change
from jimeng_gateway.domain.request import Kind
from jimeng_gateway.domain.task import Result, Stage, Task
from jimeng_gateway.store import tasks
from jimeng_gateway.store.database import Tx
from jimeng_gateway.store.tasks import TaskQuery

FAILURE = Failure(ErrorKind.GENERATION_FAILED, "1180", "it would not", "{}")


def test_a_new_task_comes_back_as_it_was_with_its_first_event(engine: Engine) -> None:
    task = make_task(request=make_request(Kind.VIDEO, prompt="灯塔 🦊", seed=2**40), retry_of="task_old")

    async def main() -> None:
        async with engine.open() as db:
            written = await db.write(lambda tx: tasks.insert(tx, task, {"why": "a test"}))
            assert written == replace(task, revision=1)
            assert await db.read(lambda tx: tasks.get(tx, task.id)) == written
            [event] = await db.read(lambda tx: tasks.events(tx, task.id))
            assert (event.seq, event.at, event.name) == (1, task.created_at, "task.created")
            assert event.data == {"why": "a test"}

    run(main())


def test_an_unknown_task_is_none(engine: Engine) -> None:
    async def main() -> None:
        async with engine.open() as db:
            assert await db.read(lambda tx: tasks.get(tx, "task_none")) is None
            assert await db.read(lambda tx: tasks.events(tx, "task_none")) == []
            unchanged = await db.write(
                lambda tx: tasks.change(tx, "task_none", lambda task: Change(task), now=1)
            )
            assert unchanged is None

    run(main())


def test_an_insert_that_runs_again_after_a_lost_commit_finds_what_it_wrote(engine: Engine) -> None:
    async def main() -> None:
        async with engine.open() as db:
            task = make_task()
            first = await db.write(lambda tx: tasks.insert(tx, task, {}))
            again = await db.write(lambda tx: tasks.insert(tx, task, {}))
            assert again == first
            assert [event.name for event in await db.read(lambda tx: tasks.events(tx, task.id))] == [
                "task.created"
            ]

    run(main())


def test_a_change_that_no_longer_applies_writes_nothing(engine: Engine) -> None:
    async def main() -> None:
        async with engine.open() as db:
            [task] = await queue_tasks(db, 1)

            def cancel(tx: Tx) -> Task | None:
                return tasks.change(
                    tx, task.id, lambda t: lifecycle.cancel(t, now=START_MS + 5), now=START_MS + 5
                )

            cancelled = await db.write(cancel)
            assert cancelled is not None
            assert cancelled.stage is Stage.CANCELLED
            assert await db.write(cancel) is None
            assert await db.read(lambda tx: tasks.get(tx, task.id)) == cancelled
            assert len(await db.read(lambda tx: tasks.events(tx, task.id))) == 2

    run(main())


def test_changes_at_once_lose_nothing_and_number_their_events_without_gaps(engine: Engine) -> None:
    def once(tx: Tx, task_id: str, number: int) -> None:
        facts: tuple[lifecycle.Fact, ...] = tuple(
            (f"seen.{number}", {"part": part}) for part in range(number % 3)
        )
        tasks.change(tx, task_id, lambda task: Change(replace(task, polls=task.polls + 1), facts), now=number)

    async def main() -> None:
        async with engine.open() as one, engine.open() as two:
            doors = (one, two) if engine.name == "postgres" else (one, one)
            [task] = await queue_tasks(one, 1)
            await asyncio.gather(
                *(doors[i % 2].write(lambda tx, i=i: once(tx, task.id, i)) for i in range(60))
            )
            after = await two.read(lambda tx: tasks.get(tx, task.id))
            events = await two.read(lambda tx: tasks.events(tx, task.id))
        assert after is not None
        assert after.polls == 60
        assert [event.seq for event in events] == list(range(1, 62))
        assert after.revision == 61
        # Facts of one change stand together, in order.
        pairs = list(itertools.pairwise(events))
        assert all(b.name == a.name for a, b in pairs if a.data == {"part": 0} and int(a.name[5:]) % 3 == 2)

    run(main())


def test_events_after_a_number(engine: Engine) -> None:
    async def main() -> None:
        async with engine.open() as db:
            [task] = await queue_tasks(db, 1)
            for n in range(4):
                await db.write(lambda tx, n=n: tasks.record(tx, task.id, f"fact.{n}", {"n": n}, now=n))
            events = await db.read(lambda tx: tasks.events(tx, task.id, 3))
            assert [(event.seq, event.at, event.name, event.data) for event in events] == [
                (4, 2, "fact.2", {"n": 2}),
                (5, 3, "fact.3", {"n": 3}),
            ]
            assert await db.read(lambda tx: tasks.events(tx, task.id, 5)) == []

    run(main())


def test_a_fact_can_be_recorded_after_the_end(engine: Engine) -> None:
    async def main() -> None:
        async with engine.open() as db:
            [task] = await queue_tasks(db, 1)
            await db.write(lambda tx: tasks.change(tx, task.id, lambda t: lifecycle.cancel(t, now=9), now=9))
            await db.write(lambda tx: tasks.record(tx, task.id, "cancel.confirmed", {}, now=10))
            after = await db.read(lambda tx: tasks.get(tx, task.id))
            assert after is not None
            assert (after.stage, after.revision) == (Stage.CANCELLED, 3)

    run(main())


def test_a_task_that_fails_keeps_why(engine: Engine) -> None:
    async def main() -> Task | None:
        async with engine.open() as db:
            [task] = await queue_tasks(db, 1)
            await db.write(
                lambda tx: tasks.change(tx, task.id, lambda t: lifecycle.fail_now(t, FAILURE, now=9), now=9)
            )
            return await db.read(lambda tx: tasks.get(tx, task.id))

    after = run(main())
    assert after is not None
    assert (after.stage, after.failure) == (Stage.FAILED, FAILURE)


def test_results_from_the_site_to_the_file(engine: Engine) -> None:
    def stored(result: Result) -> Result:
        return replace(
            result,
            file=f"ab/{result.index}.png",
            media_type="image/png",
            size=2**33,
            sha256="f" * 64,
            stored_at=9,
        )

    async def main() -> None:
        async with engine.open() as db:
            await seed_sessions(db, 1)
            [task] = await in_flight(db, 1)
            found = await db.write(lambda tx: finish(tx, task, pictures=3))
            assert [result.index for result in found.results] == [0, 1, 2]
            assert await db.read(lambda tx: tasks.get(tx, task.id)) == found

            def collect(tx: Tx) -> Task | None:
                tasks.change(tx, task.id, lambda t: lifecycle.begin_collect(t, owner="n"), now=9)
                files = tuple(stored(result) for result in found.results)
                return tasks.change(
                    tx, task.id, lambda t: lifecycle.collected(t, files, owner="n", now=9), now=9
                )

            done = await db.write(collect)
            assert done is not None
            assert done.stage is Stage.SUCCEEDED
            assert done.results == tuple(stored(result) for result in found.results)
            assert await db.read(lambda tx: tasks.get(tx, task.id)) == done

    run(main())


# ── lists ────────────────────────────────────────────────────────────────────────────────────────────

KEYS, MODELS = ("key_a", "key_b"), ("jimeng-4.5", "jimeng-3.1")


async def varied(db: object, engine: Engine) -> list[Task]:
    """24 tasks of all sorts, four at every moment."""
    made = []
    for n, (key, kind, model, stage) in enumerate(
        itertools.product(KEYS, Kind, MODELS, (Stage.QUEUED, Stage.FAILED, Stage.CANCELLED))
    ):
        request = make_request(kind, model=model)
        made.append(
            (make_task(f"task_{(n * 7) % 24:02d}", now=START_MS + n // 4, key_id=key, request=request), stage)
        )

    def body(tx: Tx) -> list[Task]:
        written = []
        for task, stage in made:
            now = task.created_at
            after: Task | None = tasks.insert(tx, task, {})
            if stage is Stage.FAILED:
                after = tasks.change(
                    tx, task.id, lambda t, now=now: lifecycle.fail_now(t, FAILURE, now=now), now=now
                )
            if stage is Stage.CANCELLED:
                after = tasks.change(tx, task.id, lambda t, now=now: lifecycle.cancel(t, now=now), now=now)
            assert after is not None
            written.append(after)
        return written

    return await db.write(body)  # type: ignore[attr-defined,no-any-return]


def test_every_combination_of_filters(engine: Engine) -> None:
    async def main() -> None:
        async with engine.open() as db:
            written = await varied(db, engine)
            written.sort(key=lambda task: (task.created_at, task.id), reverse=True)
            for key_id, stage, kind, model in itertools.product(
                (None, *KEYS, "key_none"),
                (None, Stage.QUEUED, Stage.FAILED, Stage.SUCCEEDED),
                (None, *Kind),
                (None, *MODELS),
            ):
                found = await db.read(
                    lambda tx, k=key_id, s=stage, d=kind, m=model: tasks.find(
                        tx, TaskQuery(stages=(s,) if s else (), kind=d, model=m, limit=100), key_id=k
                    )
                )
                assert found == [
                    task
                    for task in written
                    if key_id in (None, task.key_id)
                    and stage in (None, task.stage)
                    and kind in (None, task.request.kind)
                    and model in (None, task.request.model)
                ], (key_id, stage, kind, model)

    run(main())


@pytest.mark.parametrize("key_id", [None, "key_a"])
@pytest.mark.parametrize("size", [1, 5])
def test_pages_hold_everything_once_though_many_were_made_at_one_moment(
    engine: Engine, key_id: str | None, size: int
) -> None:
    async def main() -> None:
        async with engine.open() as db:
            written = await varied(db, engine)
            pages: list[Task] = []
            before: tuple[int, str] | None = None
            while True:
                page = await db.read(
                    lambda tx, b=before: tasks.find(tx, TaskQuery(limit=size, beyond=b), key_id=key_id)
                )
                if not page:
                    break
                pages += page
                before = (page[-1].created_at, page[-1].id)
            expected = [task for task in written if key_id in (None, task.key_id)]
            assert pages == sorted(expected, key=lambda task: (task.created_at, task.id), reverse=True)

    run(main())


@pytest.mark.parametrize("key_id", [None, "key_a"])
def test_oldest_first_is_the_same_list_backwards(engine: Engine, key_id: str | None) -> None:
    async def main() -> None:
        async with engine.open() as db:
            await varied(db, engine)
            newest = await db.read(lambda tx: tasks.find(tx, TaskQuery(limit=100), key_id=key_id))
            query = TaskQuery(oldest_first=True, limit=100)
            oldest = await db.read(lambda tx: tasks.find(tx, query, key_id=key_id))
            assert len(oldest) > 3
            assert oldest == newest[::-1]
            place = (oldest[1].created_at, oldest[1].id)
            rest = await db.read(lambda tx: tasks.find(tx, replace(query, beyond=place), key_id=key_id))
            assert rest == oldest[2:]

    run(main())


def test_pages_by_number_and_their_total(engine: Engine) -> None:
    async def main() -> None:
        async with engine.open() as db:
            await varied(db, engine)
            ended = TaskQuery(stages=(Stage.FAILED, Stage.QUEUED), limit=100)
            everything = await db.read(lambda tx: tasks.find(tx, ended, key_id=None))
            assert {task.stage for task in everything} == {Stage.FAILED, Stage.QUEUED}
            second = replace(ended, skip=2, limit=2)
            assert await db.read(lambda tx: tasks.find(tx, second, key_id=None)) == everything[2:4]
            assert await db.read(lambda tx: tasks.count(tx, second, key_id=None)) == len(everything)
            middle = everything[1].created_at
            since = replace(ended, since=middle)
            later = [task for task in everything if task.created_at >= middle]
            assert await db.read(lambda tx: tasks.find(tx, since, key_id=None)) == later
            assert await db.read(lambda tx: tasks.count(tx, since, key_id="key_none")) == 0

    run(main())


def test_what_its_caller_deleted_is_in_no_list(engine: Engine) -> None:
    async def main() -> None:
        async with engine.open() as db:
            first, second = await queue_tasks(db, 2)
            assert await db.write(lambda tx: tx.run("task_remove", id=first.id, now=9)) == 0, "not ended"
            for task in (first, second):
                await db.write(
                    lambda tx, t=task: tasks.change(tx, t.id, lambda x: lifecycle.cancel(x, now=9), now=9)
                )
            assert await db.write(lambda tx: tx.run("task_remove", id=first.id, now=9)) == 1
            assert await db.write(lambda tx: tx.run("task_remove", id=first.id, now=10)) == 0, "only once"
            found = await db.read(lambda tx: tasks.find(tx, TaskQuery(), key_id=None))
            assert [task.id for task in found] == [second.id]
            assert await db.read(lambda tx: tasks.count(tx, TaskQuery(), key_id=None)) == 1
            kept = await db.read(lambda tx: tasks.get(tx, first.id))
            assert kept is not None
            assert kept.removed_at == 9

    run(main())


def test_a_door_finds_its_memo_again(engine: Engine) -> None:
    task = make_task(door="ark", memo={"model": "豆包", "flags": [1, None, {"x": 0.5}]})

    async def main() -> None:
        async with engine.open() as db:
            await db.write(lambda tx: tasks.insert(tx, task, {}))
            found = await db.read(lambda tx: tasks.get(tx, task.id))
            assert found is not None
            assert (found.door, found.memo) == (task.door, task.memo)

    run(main())


def test_how_many_wait_before_a_task(engine: Engine) -> None:
    async def main() -> list[object]:
        async with engine.open() as db:
            waiting = await queue_tasks(db, 5)
            await db.write(
                lambda tx: tasks.change(tx, waiting[1].id, lambda t: lifecycle.cancel(t, now=9), now=9)
            )
            return [
                (await db.read(lambda tx, t=task: tx.one("task_ahead", due_at=t.due_at, id=t.id)) or {})["n"]
                for task in waiting
            ]

    assert run(main()) == [0, 1, 1, 2, 3]


def test_a_requeued_task_starts_afresh(engine: Engine) -> None:
    async def main() -> None:
        async with engine.open() as db:
            await seed_sessions(db, 1)
            await queue_tasks(db, 1)
            [task] = (await reserve(db)).reserved
            sent = await db.write(lambda tx: intend(tx, task))
            again = await db.write(
                lambda tx: tasks.change(
                    tx,
                    task.id,
                    lambda t: lifecycle.refuse(t, FAILURE, policy.TryAgain(500), now=START_MS),
                    now=START_MS,
                )
            )
            assert again is not None
            assert (again.stage, again.session_id, again.submit_id) == (Stage.QUEUED, None, None)
            assert (again.attempts, again.due_at) == (1, START_MS + 500)
            assert (await reserve(db, now=START_MS + 499)).reserved == ()
            [second] = (await reserve(db, now=START_MS + 500)).reserved
            resent = await db.write(lambda tx: intend(tx, second))
            taken = await db.write(lambda tx: accept(tx, resent))
            assert (resent.attempts, taken.stage) == (2, Stage.POLLING)
            assert sent.submit_id != resent.submit_id
            assert taken.deadline_at == START_MS + LIMITS.image_deadline

    run(main())
