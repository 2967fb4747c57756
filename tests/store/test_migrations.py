"""The schema comes into being once, whole, and is never touched by an older gateway."""

from __future__ import annotations

import asyncio

import apsw
import psycopg
import pytest
from support.aio import run
from support.database import Engine

from jimeng_gateway.domain import lifecycle
from jimeng_gateway.domain.errors import StoreError
from jimeng_gateway.store import results, tasks
from jimeng_gateway.store import sqlite as sqlite_module
from jimeng_gateway.store.database import load_statements, migrations, split_script
from jimeng_gateway.store.results import Amount, Keep
from jimeng_gateway.store.tasks import TaskQuery

NEWEST = max(version for version, _ in migrations())
ALL = [version for version, _ in migrations()]
#: A second statement that fails after a first that worked.
BROKEN = (NEWEST + 1, "CREATE TABLE extra (n INTEGER);\n\nINSERT INTO nowhere VALUES (1);\n")
GOOD = (NEWEST + 1, "-- a comment;\nCREATE TABLE extra (n INTEGER);\nINSERT INTO extra VALUES (1);\n")

_REQUEST = (
    '{"kind":"image","model":"jimeng-4.5","model_key":"high_aes_general_v40l","prompt":"x","ratio":"1:1",'
    '"resolution":"2k","width":2048,"height":2048}'
)
_OF_SCHEMA_4 = (
    (
        "INSERT INTO api_key (id, name, role, digest, prefix, created_at)"
        " VALUES ('key_a', 'a', 'user', 'd', 'p', 1)"
    ),
    (
        "INSERT INTO task (id, key_id, kind, model, request, stage, work, due_at, revision, created_at,"
        " updated_at, deadline_at, finished_at) VALUES"
        f" ('task_done', 'key_a', 'image', 'm', '{_REQUEST}', 'succeeded', NULL, NULL, 0, 1, 5, 99, 5),"
        f" ('task_wait', 'key_a', 'image', 'm', '{_REQUEST}', 'queued', 'reserve', 2, 0, 2, 2, 99, NULL)"
    ),
    (
        "INSERT INTO result (task_id, idx, kind, upstream_url, item_id, file, media_type, size, sha256,"
        " stored_at) VALUES ('task_done', 0, 'image', '', 'i', 'ne/a.png', 'image/png', 70, 'f', 40)"
    ),
)


def test_a_new_store_gets_everything_and_an_old_one_nothing(empty_engine: Engine) -> None:
    async def main() -> list[list[int]]:
        applied = []
        for _ in range(3):
            async with empty_engine.open() as db:
                applied.append(db.applied)
        return applied

    assert run(main()) == [ALL, [], []]


def test_two_that_open_a_new_store_at_once(empty_engine: Engine) -> None:
    async def main() -> list[list[int]]:
        doors = [empty_engine.database() for _ in range(4)]
        try:
            await asyncio.gather(*(db.open() for db in doors))
            return [db.applied for db in doors]
        finally:
            for db in doors:
                await db.close()

    assert sorted(run(main())) == [[], [], [], ALL]


@pytest.mark.parametrize("before", ["empty", "migrated"])
def test_a_step_that_fails_leaves_nothing(empty_engine: Engine, before: str) -> None:
    async def main() -> None:
        if before == "migrated":
            async with empty_engine.open():
                pass
        broken = empty_engine.database([*migrations(), BROKEN])
        with pytest.raises(StoreError):
            await broken.open()
        await broken.close()
        with pytest.raises((apsw.SQLError, psycopg.errors.UndefinedTable)):
            empty_engine.query("SELECT * FROM extra")
        async with empty_engine.open() as db:
            assert db.applied == (ALL if before == "empty" else [])

    run(main())


def test_the_next_step_is_applied_to_a_store_with_data(empty_engine: Engine) -> None:
    async def main() -> None:
        async with empty_engine.open() as db:
            await db.write(lambda tx: tx.run("setting_put", name="kept", value="v", now=1))
        newer = empty_engine.database([*migrations(), GOOD])
        await newer.open()
        assert newer.applied == [NEWEST + 1]
        await newer.close()

    run(main())
    assert empty_engine.query("SELECT n FROM extra") == [(1,)]
    assert empty_engine.query("SELECT value FROM setting") == [("v",)]


def test_what_was_made_before_the_doors_opened_lives_on(empty_engine: Engine) -> None:
    """A store of schema 4 with a finished task, one that waits, and a key."""

    async def main() -> None:
        before = empty_engine.database([one for one in migrations() if one[0] <= 4])
        await before.open()
        await before.close()
        for text in _OF_SCHEMA_4:
            empty_engine.query(text)
        async with empty_engine.open() as db:
            assert db.applied == [version for version in ALL if version > 4]
            done = await db.read(lambda tx: tasks.get(tx, "task_done"))
            assert done is not None
            assert (done.door, done.memo, done.removed_at, done.request.expires_after_ms) == (
                "native",
                {},
                None,
                0,
            )
            (result,) = done.results
            assert (result.file, result.size, result.place, result.preview_file) == ("ne/a.png", 70, "", None)
            found = await db.read(lambda tx: tasks.find(tx, TaskQuery(), key_id="key_a"))
            assert [task.id for task in found] == ["task_wait", "task_done"]
            key = await db.read(lambda tx: tx.one("key_by_digest", digest="d"))
            assert key is not None
            assert key["options"] == "{}"
            # What is new works on what is old.
            cancelled = await db.write(
                lambda tx: tasks.change(tx, "task_wait", lambda task: lifecycle.cancel(task, now=9), now=9)
            )
            assert cancelled is not None
            keep = Keep(since=50)
            due = await db.read(lambda tx: results.due(tx, keep, limit=9))
            assert await db.write(lambda tx: results.remove_due(tx, due, now=60)) == Amount(1, 70)
            (waiting,) = await db.read(lambda tx: results.leaving_of(tx, "task_done"))
            assert [file.file for file in waiting.files] == ["ne/a.png"]

    run(main())


def test_a_store_made_by_a_newer_version_is_left_alone(empty_engine: Engine) -> None:
    async def main() -> None:
        newer = empty_engine.database([*migrations(), GOOD])
        await newer.open()
        await newer.close()
        older = empty_engine.database()
        with pytest.raises(StoreError, match=f"newer version \\(schema {NEWEST + 1}\\)"):
            await older.open()
        await older.close()

    run(main())
    assert empty_engine.query("SELECT max(version) FROM schema_version") == [(NEWEST + 1,)]


def test_sqlite_is_set_up_to_survive(sqlite: Engine) -> None:
    async def main() -> None:
        async with sqlite.open():
            assert sqlite.query("PRAGMA journal_mode") == [("wal",)]

    run(main())
    connection = sqlite_module._open(str(sqlite.path))
    settings = {name: connection.pragma(name) for name in ("synchronous", "foreign_keys", "busy_timeout")}
    connection.close()
    assert settings == {"synchronous": 2, "foreign_keys": 1, "busy_timeout": sqlite_module.BUSY_TIMEOUT_MS}


def test_a_database_that_cannot_be_opened_is_a_store_error(tmp_path: object, engine: Engine) -> None:
    """A folder that is not there; a server that is not there."""
    nowhere = (
        Engine("sqlite", "", path=engine.path.parent / "missing" / "gateway.db")
        if engine.path is not None
        else Engine("postgres", f"{engine.url}/missing&connect_timeout=1")
    )

    async def main() -> None:
        db = nowhere.database()
        with pytest.raises(StoreError):
            await db.open()
        await db.close()

    run(main())


def test_versions_count_up_from_one_without_gaps() -> None:
    assert list(range(1, len(ALL) + 1)) == ALL


def test_a_script_is_split_at_semicolons_that_end_a_line() -> None:
    script = "-- no; statement;\nCREATE TABLE a (\n    b TEXT DEFAULT 'x;y' -- why\n);\n\n  SELECT 1;  \n"
    assert split_script(script) == ["CREATE TABLE a (\n    b TEXT DEFAULT 'x;y' -- why\n)", "SELECT 1"]


@pytest.mark.parametrize("dialect", ["sqlite", "postgres"])
def test_every_statement_is_one_statement(dialect: str) -> None:
    statements = load_statements(dialect=dialect)
    assert len(statements) > 50
    assert not [name for name, sql in statements.items() if ";" in sql or not sql]
    placeholders = ":" if dialect == "postgres" else "%("
    assert not [name for name, sql in statements.items() if placeholders in sql.replace("::", "")]
