"""Transactions on both engines: all or nothing, answered only once durable, and never in each other's way."""

from __future__ import annotations

import asyncio
import threading

import pytest
from support.aio import run
from support.database import Engine

from jimeng_gateway.domain.errors import StoreError
from jimeng_gateway.store.database import ConstraintViolated, Tx


def put(tx: Tx, name: str, value: str = "x") -> None:
    tx.run("setting_put", name=name, value=value, now=1)


def fails(tx: Tx, name: str, error: Exception) -> None:
    put(tx, name)
    raise error


def every_third_fails(tx: Tx, i: int) -> None:
    if i % 3 == 0:
        fails(tx, f"bad{i}", ValueError(i))
    put(tx, f"ok{i}")


def names(engine: Engine) -> set[str]:
    return {row[0] for row in engine.query("SELECT name FROM setting")}


def test_what_a_body_returns_is_the_answer(engine: Engine) -> None:
    async def main() -> None:
        async with engine.open() as db:
            assert await db.write(lambda tx: tx.one("ping")) == {"one": 1}
            assert await db.read(lambda tx: tx.all("ping")) == [{"one": 1}]
            assert await db.read(lambda tx: tx.one("setting_get", name="none")) is None

    run(main())


def test_run_counts_the_rows_it_changed(engine: Engine) -> None:
    def body(tx: Tx) -> list[int]:
        return [
            tx.run("setting_put_once", name="a", value="v", now=1),
            tx.run("setting_put_once", name="a", value="v", now=1),
            tx.run("key_used", id="nobody", now=1),
            tx.run("node_enter", id="n1", host="h", pid=1, now=1, expires_at=2),
            tx.run("node_enter", id="n2", host="h", pid=1, now=1, expires_at=2),
            tx.run("node_forget", before=9),
            tx.run("node_clear"),
        ]

    async def main() -> list[int]:
        async with engine.open() as db:
            return await db.write(body)

    assert run(main()) == [1, 0, 0, 1, 1, 2, 0]


@pytest.mark.parametrize("error", [ValueError("mine"), StoreError("ours"), AssertionError("a bug")])
def test_an_exception_undoes_the_body_and_reaches_its_caller_unchanged(
    engine: Engine, error: Exception
) -> None:
    async def main() -> None:
        async with engine.open() as db:
            with pytest.raises(type(error)) as caught:
                await db.write(lambda tx: fails(tx, "undone", error))
            assert caught.value is error
            await db.write(lambda tx: put(tx, "after"))

    run(main())
    assert names(engine) == {"after"}


def test_what_the_schema_forbids_is_a_constraint_violation(engine: Engine) -> None:
    def twice(tx: Tx) -> None:
        put(tx, "undone")
        for _ in range(2):
            tx.run("node_enter", id="same", host="h", pid=1, now=1, expires_at=2)

    async def main() -> None:
        async with engine.open() as db:
            with pytest.raises(ConstraintViolated) as unique:
                await db.write(twice)
            assert unique.value.retryable is False
            with pytest.raises(ConstraintViolated):
                await db.write(lambda tx: tx.run("slot_add", session_id="no_such_session", n=1))

    run(main())
    assert names(engine) == set()


def test_a_bad_body_does_no_harm_to_those_it_shares_a_commit_with(engine: Engine) -> None:
    async def main() -> list[object]:
        gate = threading.Event()
        async with engine.open() as db:
            blocker = asyncio.create_task(db.write(lambda _: gate.wait(10)))
            writes = [
                asyncio.create_task(
                    db.write(
                        lambda tx, i=i: (
                            fails(tx, f"bad{i}", ValueError(i)) if i % 3 == 0 else put(tx, f"ok{i}")
                        )
                    )
                )
                for i in range(30)
            ]
            asyncio.get_running_loop().call_later(0.02, gate.set)
            outcomes = await asyncio.gather(*writes, return_exceptions=True)
            assert await blocker
            return list(outcomes)

    outcomes = run(main())
    assert [str(outcome) for outcome in outcomes if outcome is not None] == [str(i) for i in range(0, 30, 3)]
    assert names(engine) == {f"ok{i}" for i in range(30) if i % 3}


def test_a_caller_hears_of_success_only_after_the_commit(engine: Engine) -> None:
    async def main() -> None:
        async with engine.open() as db:

            async def write(i: int) -> bool:
                await db.write(lambda tx: put(tx, f"row{i}"))
                return f"row{i}" in names(engine)

            assert all(await asyncio.gather(*(write(i) for i in range(20))))

    run(main())


def test_one_commit_for_a_group_is_awaited_by_its_first_member(sqlite: Engine) -> None:
    async def main() -> None:
        gate, inside = threading.Event(), threading.Event()

        def stay(_: Tx) -> None:
            inside.set()
            gate.wait(10)

        async with sqlite.open() as db:
            opener = threading.Event()
            blocker = asyncio.create_task(db.write(lambda _: opener.wait(10)))
            await asyncio.sleep(0)
            first = asyncio.create_task(db.write(lambda tx: put(tx, "first")))
            last = asyncio.create_task(db.write(stay))
            await asyncio.sleep(0)
            opener.set()
            await asyncio.to_thread(inside.wait, 10)
            assert not first.done()
            assert names(sqlite) == set()
            gate.set()
            await asyncio.gather(blocker, first, last)
            assert names(sqlite) == {"first"}

    run(main())


def test_a_read_sees_one_moment(engine: Engine) -> None:
    def body(tx: Tx) -> tuple[object, object]:
        before = tx.one("setting_get", name="late")
        engine.query("INSERT INTO setting VALUES ('late', 'x', 1)")
        return before, tx.one("setting_get", name="late")

    async def main() -> None:
        async with engine.open() as db:
            assert await db.read(body) == (None, None)
            assert await db.read(lambda tx: tx.one("setting_get", name="late")) is not None

    run(main())


def test_a_read_cannot_write(engine: Engine) -> None:
    async def main() -> None:
        async with engine.open() as db:
            with pytest.raises(StoreError):
                await db.read(lambda tx: put(tx, "smuggled"))
            await db.write(lambda tx: put(tx, "written"))

    run(main())
    assert names(engine) == {"written"}


def test_a_read_that_raises_leaves_the_connection_usable(engine: Engine) -> None:
    async def main() -> None:
        async with engine.open() as db:
            for _ in range(20):
                with pytest.raises(ZeroDivisionError):
                    await db.read(lambda tx: tx.all("ping")[0]["one"] / 0)
            assert await db.read(lambda tx: tx.one("ping")) == {"one": 1}

    run(main())


def test_a_cancelled_waiter_harms_nobody_and_its_write_is_whole(engine: Engine) -> None:
    async def main() -> None:
        gate, inside = threading.Event(), threading.Event()

        def body(tx: Tx) -> None:
            put(tx, "one")
            inside.set()
            gate.wait(10)
            put(tx, "two")

        async with engine.open() as db:
            waiter = asyncio.create_task(db.write(body))
            await asyncio.to_thread(inside.wait, 10)
            waiter.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiter
            gate.set()
            await db.write(lambda tx: put(tx, "other"))

    run(main())
    assert names(engine) == {"one", "two", "other"}


def test_closing_waits_for_what_runs_and_answers_everybody(engine: Engine) -> None:
    async def main() -> list[object]:
        gate, inside = threading.Event(), threading.Event()

        def slow(tx: Tx) -> None:
            inside.set()
            gate.wait(10)
            put(tx, "slow")

        async with engine.open() as db:
            running = asyncio.create_task(db.write(slow))
            await asyncio.to_thread(inside.wait, 10)
            waiting = [asyncio.create_task(db.write(lambda tx, i=i: put(tx, f"row{i}"))) for i in range(20)]
            await asyncio.sleep(0)
            asyncio.get_running_loop().call_later(0.02, gate.set)
            await db.close()
            return list(await asyncio.gather(running, *waiting, return_exceptions=True))

    outcomes = run(main())
    assert outcomes[0] is None
    assert all(outcome is None or isinstance(outcome, StoreError) for outcome in outcomes)
    told = {f"row{i}" for i, outcome in enumerate(outcomes[1:]) if outcome is None}
    assert names(engine) == told | {"slow"}


def test_a_closed_database_says_so(engine: Engine) -> None:
    async def main() -> None:
        async with engine.open() as db:
            await db.close()
            with pytest.raises(StoreError, match="closed"):
                await db.write(lambda tx: put(tx, "late"))
            with pytest.raises(StoreError, match="closed"):
                await db.read(lambda tx: tx.one("ping"))

    run(main())


def test_a_database_that_was_never_opened_says_so(engine: Engine) -> None:
    async def main() -> None:
        db = engine.database()
        with pytest.raises(StoreError, match="closed"):
            await db.write(lambda tx: put(tx, "early"))
        with pytest.raises(StoreError, match="closed"):
            await db.read(lambda tx: tx.one("ping"))
        await db.close()

    run(main())


def test_many_writers_lose_nothing(engine: Engine) -> None:
    async def main() -> None:
        async with engine.open() as db:
            await asyncio.gather(*(db.write(lambda tx, i=i: put(tx, f"row{i}")) for i in range(500)))

    run(main())
    assert len(names(engine)) == 500


def test_the_same_lock_number_excludes(engine: Engine) -> None:
    """Read, decide and write under `serialise` behave as if one caller ran after the other."""

    def add_one(tx: Tx) -> None:
        tx.serialise(9_999)
        row = tx.one("setting_get", name="counter")
        put(tx, "counter", str(int(row["value"]) + 1 if row else 1))

    async def main() -> object:
        async with engine.open() as one, engine.open() as two:
            if engine.name == "postgres":
                await asyncio.gather(*(db.write(add_one) for db in (one, two) for _ in range(40)))
            else:
                await asyncio.gather(*(one.write(add_one) for _ in range(80)))
            return await two.read(lambda tx: tx.one("setting_get", name="counter"))

    assert run(main()) == {"value": "80", "updated_at": 1}


def test_text_that_a_database_finds_hard(engine: Engine) -> None:
    text = "quote ' percent % colon :name /*pg x*/ backslash \\ 🦊 中文 \U0010ffff"

    async def main() -> object:
        async with engine.open() as db:
            await db.write(lambda tx: put(tx, "hard", text))
            return await db.read(lambda tx: tx.one("setting_get", name="hard"))

    assert run(main()) == {"value": text, "updated_at": 1}


def test_a_nul_never_stops_a_write(engine: Engine) -> None:
    """PostgreSQL text cannot hold one; a site's odd message must not cost the fact that came with it."""

    async def main() -> dict[str, object] | None:
        async with engine.open() as db:
            await db.write(lambda tx: put(tx, "odd", "a\x00b"))
            return await db.read(lambda tx: tx.one("setting_get", name="odd"))

    row = run(main())
    assert row is not None
    assert row["value"] in ("a\x00b", "a\ufffdb")
