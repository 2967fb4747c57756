"""PostgreSQL going away and coming back, and transactions that meet head on: one policy answers."""

from __future__ import annotations

import asyncio
import threading

import apsw
import psycopg
import pytest
from support.aio import run
from support.database import Engine

from jimeng_gateway.domain.errors import StoreError
from jimeng_gateway.store import postgres, sqlite
from jimeng_gateway.store.database import ConstraintViolated, StoreBusy, Tx
from store.test_notifications import Heard, say


def put(tx: Tx, name: str) -> None:
    tx.run("setting_put", name=name, value="", now=1)


def cut(engine: Engine, which: str = "true") -> int:
    """Ends the connections of this database that match; how many."""
    return len(
        engine.query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
            f"AND pid <> pg_backend_pid() AND {which}"
        )
    )


def test_a_connection_that_broke_while_idle_costs_nothing(postgresql: Engine) -> None:
    async def main() -> None:
        async with postgresql.open() as db:
            await asyncio.gather(*(db.write(lambda tx, n=n: put(tx, f"a{n}")) for n in range(10)))
            assert cut(postgresql) >= 2
            await asyncio.gather(*(db.write(lambda tx, n=n: put(tx, f"b{n}")) for n in range(10)))
            assert await db.read(lambda tx: tx.one("ping")) == {"one": 1}

    run(main())
    assert postgresql.query("SELECT count(*) FROM setting") == [(20,)]


def test_a_connection_that_breaks_in_the_middle_runs_the_body_again_from_the_start(
    postgresql: Engine,
) -> None:
    runs: list[int] = []

    def body(tx: Tx) -> int:
        runs.append(len(runs))
        put(tx, f"run{len(runs)}")
        if len(runs) == 1:
            assert cut(postgresql, "state = 'idle in transaction'") == 1
        put(tx, "end")
        return len(runs)

    async def main() -> int:
        async with postgresql.open() as db:
            return await db.write(body)

    assert run(main()) == 2
    assert sorted(postgresql.query("SELECT name FROM setting")) == [("end",), ("run2",)]


def test_a_connection_that_never_holds_is_given_up_as_busy(postgresql: Engine) -> None:
    runs: list[int] = []

    def body(tx: Tx) -> None:
        runs.append(1)
        put(tx, "never")
        cut(postgresql, "state = 'idle in transaction'")
        tx.one("ping")

    async def main() -> None:
        async with postgresql.open() as db:
            with pytest.raises(StoreBusy):
                await db.write(body)
            await db.write(lambda tx: put(tx, "later"))

    run(main())
    assert len(runs) == postgres.TRIES
    assert postgresql.query("SELECT name FROM setting") == [("later",)]


def test_the_ear_listens_again_after_it_was_cut_off(postgresql: Engine) -> None:
    async def main() -> None:
        async with postgresql.open() as db:
            heard = Heard()
            db.subscribe(heard)
            await db.write(lambda tx: say(tx, "before"))
            await heard.until("before")
            assert cut(postgresql, "query LIKE 'LISTEN%'") == 1
            async with asyncio.timeout(20):
                while "after" not in heard.topics:
                    await db.write(lambda tx: say(tx, "after"))
                    await asyncio.sleep(0.05)

    run(main())


def test_a_deadlock_ends_with_both_having_run(postgresql: Engine) -> None:
    runs: list[str] = []
    both = threading.Barrier(2)

    def body(tx: Tx, mine: str, other: str) -> None:
        first = runs.count(mine) == 0
        runs.append(mine)
        tx.run("setting_put", name=mine, value=mine, now=1)
        if first:
            both.wait(10)
        tx.run("setting_put", name=other, value=mine, now=1)

    async def main() -> None:
        async with postgresql.open() as db:
            await asyncio.gather(
                db.write(lambda tx: body(tx, "a", "b")), db.write(lambda tx: body(tx, "b", "a"))
            )

    run(main())
    assert len(runs) == 3
    [(a,), (b,)] = postgresql.query("SELECT value FROM setting ORDER BY name")
    assert a == b, "the one that ran last wrote both"


def test_a_mistake_is_not_tried_again(postgresql: Engine) -> None:
    runs: list[int] = []

    def body(tx: Tx) -> None:
        runs.append(1)
        tx.run("slot_add", session_id="nobody", n=1)

    async def main() -> None:
        async with postgresql.open() as db:
            with pytest.raises(ConstraintViolated):
                await db.write(body)

    run(main())
    assert len(runs) == 1


def test_closing_while_the_server_is_gone_comes_to_an_end(postgresql: Engine) -> None:
    async def main() -> None:
        async with postgresql.open() as db:
            await db.write(lambda tx: put(tx, "a"))
            cut(postgresql)
            async with asyncio.timeout(10):
                await db.close()

    run(main())


@pytest.mark.parametrize(
    ("error", "ours"),
    [
        (psycopg.errors.UniqueViolation("x"), ConstraintViolated),
        (psycopg.errors.CheckViolation("x"), ConstraintViolated),
        (psycopg.OperationalError("x"), StoreBusy),
        (psycopg.InterfaceError("x"), StoreBusy),
        (psycopg.errors.UndefinedTable("x"), StoreError),
    ],
)
def test_errors_of_postgres_by_what_they_mean(error: Exception, ours: type[StoreError]) -> None:
    assert type(postgres.translate(error)) is ours


@pytest.mark.parametrize(
    ("error", "ours"),
    [
        (apsw.ConstraintError("x"), ConstraintViolated),
        (apsw.BusyError("x"), StoreBusy),
        (apsw.LockedError("x"), StoreBusy),
        (apsw.FullError("x"), StoreError),
        (apsw.IOError("x"), StoreError),
    ],
)
def test_errors_of_sqlite_by_what_they_mean(error: apsw.Error, ours: type[StoreError]) -> None:
    assert type(sqlite.translate(error)) is ours
