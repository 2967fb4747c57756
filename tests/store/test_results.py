"""Results as rows: how old, how many, removed in two steps; the same on both engines."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.aio import run
from support.clock import START_MS
from support.database import AnyDatabase, Engine
from support.factories import make_task

from jimeng_gateway.domain.lifecycle import Change
from jimeng_gateway.domain.task import Removal, Result, Stage, Task
from jimeng_gateway.store import results, tasks
from jimeng_gateway.store.database import Tx
from jimeng_gateway.store.files import StoredFile
from jimeng_gateway.store.results import Amount, Due, Keep, Leaving, Removed

NOW = START_MS
HOUR = 3_600_000
PLACE = "s3://bucket/p?endpoint=https%3A%2F%2Fminio.example&region=eu-1&style=path"


def a_result(task_id: str, index: int, size: int, at: int, **fields: object) -> Result:
    stored = {
        "file": f"7k/{task_id}-{index}.png",
        "media_type": "image/png",
        "size": size,
        "sha256": "ab" * 32,
        "stored_at": at,
    }
    return Result(index, "image", "https://x", f"i{index}", **{**stored, **fields})  # type: ignore[arg-type]


def put(tx: Tx, number: int, *sizes: int, at: int, stage: Stage = Stage.SUCCEEDED, **fields: object) -> Task:
    """A task that ended with results of these sizes at that time."""
    task = make_task(id=f"task_{number:03d}", created_at=NOW, updated_at=NOW)
    tasks.insert(tx, task, {})
    made = tuple(a_result(task.id, index, size, at, **fields) for index, size in enumerate(sizes))

    def end(found: Task) -> Change:
        ended = replace(
            found, stage=stage, late=stage is Stage.FAILED, due_at=None, finished_at=at, results=made
        )
        return Change(ended, ())

    following = tasks.change(tx, task.id, end, now=at)
    assert following is not None
    return following


async def three(db: AnyDatabase) -> None:
    """One old task with two pictures, one younger, one of now."""
    await db.write(lambda tx: put(tx, 1, 100, 50, at=NOW - 9 * HOUR))
    await db.write(lambda tx: put(tx, 2, 30, at=NOW - 3 * HOUR, preview_file="x.webp", preview_size=4))
    await db.write(lambda tx: put(tx, 3, 7, at=NOW))


def test_results_come_back_as_they_went_in(engine: Engine) -> None:
    async def main() -> None:
        async with engine.open() as db:
            fields = {"place": PLACE, "preview_url": "https://p", "preview_type": "image/webp"}
            task = await db.write(
                lambda tx: put(tx, 1, 5, at=NOW, preview_file="7k/p.webp", preview_size=9, **fields)
            )
            found = await db.read(lambda tx: tasks.get(tx, task.id))
            assert found is not None
            assert found.results == task.results
            assert found.results[0].preview_size == 9

    run(main())


AGE, SIZE = Removal.AGE, Removal.SIZE


@pytest.mark.parametrize(
    ("keep", "expected"),
    [
        (Keep(), []),
        (Keep(since=NOW - 10 * HOUR), []),
        (Keep(since=NOW - 4 * HOUR), [("task_001", 0, AGE), ("task_001", 1, AGE)]),
        (Keep(most=191), []),
        (Keep(most=190), [("task_001", 0, SIZE)]),
        (Keep(most=91), [("task_001", 0, SIZE)]),
        (Keep(most=90), [("task_001", 0, SIZE), ("task_001", 1, SIZE)]),
        (
            Keep(since=NOW - 4 * HOUR, most=40),
            [("task_001", 0, AGE), ("task_001", 1, AGE), ("task_002", 0, SIZE)],
        ),
        (
            Keep(most=0),
            [("task_001", 0, SIZE), ("task_001", 1, SIZE), ("task_002", 0, SIZE), ("task_003", 0, SIZE)],
        ),
    ],
)
def test_what_is_too_old_or_too_much(
    engine: Engine, keep: Keep, expected: list[tuple[str, int, Removal]]
) -> None:
    async def main() -> None:
        async with engine.open() as db:
            await three(db)
            found = await db.read(lambda tx: results.due(tx, keep, limit=100))
            assert found == [Due(*one) for one in expected]
            bytes_of = {("task_001", 0): 100, ("task_001", 1): 50, ("task_002", 0): 34, ("task_003", 0): 7}
            total = Amount(len(expected), sum(bytes_of[one[0], one[1]] for one in expected))
            assert await db.read(lambda tx: results.amount_due(tx, keep)) == total
            assert await db.read(lambda tx: results.due(tx, keep, limit=1)) == [
                Due(*one) for one in expected[:1]
            ]

    run(main())


def test_a_result_is_removed_once_and_its_bytes_are_named_until_they_are_gone(engine: Engine) -> None:
    async def main() -> None:
        async with engine.open() as db:
            task = await db.write(
                lambda tx: put(tx, 1, 5, 6, at=NOW, place=PLACE, preview_file="7k/p.webp", preview_size=1)
            )
            whys = {1: Removal.CALLER}
            first = await db.write(lambda tx: results.remove(tx, task.id, whys, now=NOW + 1))
            again = await db.write(lambda tx: results.remove(tx, task.id, whys, now=NOW + 2))
            assert (first, again) == (Amount(1, 7), Amount())
            found = await db.read(lambda tx: tasks.get(tx, task.id))
            assert found is not None
            assert (found.stage, found.results[0]) == (Stage.SUCCEEDED, task.results[0])
            gone = found.results[1]
            assert (gone.file, gone.preview_file, gone.size) == (None, None, 6)
            assert (gone.removed_at, gone.removed_why) == (NOW + 1, Removal.CALLER)
            events = await db.read(lambda tx: tasks.events(tx, task.id))
            told = [event.data for event in events if event.name == "result.removed"]
            assert told == [{"index": 1, "bytes": 7, "why": "caller"}]

            names = (f"7k/{task.id}-1.png", "7k/p.webp")
            waiting = Leaving(
                task.id, 1, NOW + 1, PLACE, tuple(StoredFile(name, "", 0, "", PLACE) for name in names)
            )
            assert await db.read(lambda tx: results.leaving(tx, limit=9, before=NOW)) == []
            assert await db.read(lambda tx: results.leaving(tx, limit=9, before=NOW + 1)) == [waiting]
            assert await db.read(lambda tx: results.leaving_of(tx, task.id)) == [waiting]
            beyond = (NOW + 1, task.id, 1)
            assert await db.read(lambda tx: results.leaving(tx, limit=9, before=NOW + 1, beyond=beyond)) == []
            await db.write(lambda tx: results.left(tx, [waiting]))
            assert await db.read(lambda tx: results.leaving_of(tx, task.id)) == []
            assert await db.read(lambda tx: results.due(tx, Keep(most=0), limit=9)) == [Due(task.id, 0, SIZE)]

    run(main())


def test_nothing_is_removed_while_somebody_is_at_it(engine: Engine) -> None:
    async def main() -> None:
        async with engine.open() as db:
            late = await db.write(lambda tx: put(tx, 1, 5, at=NOW, stage=Stage.FAILED))

            def busy(found: Task) -> Change:
                return Change(replace(found, due_at=NOW), ())

            await db.write(lambda tx: tasks.change(tx, late.id, busy, now=NOW))
            due = await db.read(lambda tx: results.due(tx, Keep(most=0), limit=9))
            assert await db.write(lambda tx: results.remove_due(tx, due, now=NOW)) == Amount()
            assert await db.read(lambda tx: results.needed(tx, late.id, "7k/anything.part")) is True

    run(main())


def test_the_report_is_told_from_the_latest_on_page_by_page(engine: Engine) -> None:
    async def main() -> None:
        async with engine.open() as db:
            await three(db)
            for number, (index, why) in enumerate(((1, AGE), (0, SIZE))):
                await db.write(
                    lambda tx, i=index, w=why, n=number: results.remove(tx, "task_001", {i: w}, now=NOW + n)
                )
            due = [Due("task_002", 0, AGE), Due("task_003", 0, AGE)]
            await db.write(lambda tx: results.remove_due(tx, due, now=NOW + 1, why=Removal.OPERATOR))
            whole = await db.read(lambda tx: results.removals(tx, limit=9, before=None))
            assert whole == [
                Removed("task_003", 0, NOW + 1, Removal.OPERATOR, 7),
                Removed("task_002", 0, NOW + 1, Removal.OPERATOR, 34),
                Removed("task_001", 0, NOW + 1, SIZE, 100),
                Removed("task_001", 1, NOW, AGE, 50),
            ]
            paged, before = [], None
            while page := await db.read(lambda tx, b=before: results.removals(tx, limit=1, before=b)):
                paged += page
                before = (page[0].at, page[0].task_id, page[0].index)
            assert paged == whole

    run(main())


def test_which_files_have_to_stay(engine: Engine) -> None:
    async def main() -> None:
        async with engine.open() as db:
            await db.write(lambda tx: put(tx, 1, 5, at=NOW, preview_file="7k/p.webp", preview_size=1))
            await db.write(lambda tx: put(tx, 2, 5, at=NOW, place=PLACE))
            await db.write(lambda tx: tasks.insert(tx, make_task(id="task_003"), {}))
            expected = {
                ("task_001", "7k/task_001-0.png"): True,
                ("task_001", "7k/p.webp"): True,
                ("task_001", "7k/task_001-0.part"): False,
                ("task_002", "7k/task_002-0.png"): False,  # the archive has it
                ("task_003", "7k/task_003-0.part"): True,
                ("task_004", "7k/task_004-0.png"): None,
            }
            for (task_id, name), stays in expected.items():
                found = await db.read(lambda tx, t=task_id, n=name: results.needed(tx, t, n))
                assert found is stays, name

    run(main())


def test_old_rows_are_counted_by_their_size(empty_engine: Engine) -> None:
    """Rows of an earlier version get their bytes when the schema is brought up to date."""
    from jimeng_gateway.store.database import migrations

    async def main() -> None:
        old = empty_engine.database([one for one in migrations() if one[0] < 6])
        await old.open()
        await old.close()
        empty_engine.query(
            "INSERT INTO task (id, key_id, kind, model, request, stage, revision, created_at, updated_at, "
            f"deadline_at) VALUES ('task_1', 'k', 'image', 'm', '{{}}', 'succeeded', 1, {NOW}, {NOW}, {NOW})"
        )
        empty_engine.query(
            "INSERT INTO result (task_id, idx, kind, upstream_url, item_id, file, media_type, size, sha256, "
            f"stored_at) VALUES ('task_1', 0, 'image', 'u', 'i', 'f.png', 'image/png', 77, 'ab', {NOW})"
        )
        async with empty_engine.open() as db:
            assert await db.read(lambda tx: results.amount_due(tx, Keep(most=0))) == Amount(1, 77)

    run(main())
