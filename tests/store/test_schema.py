"""The schema and the domain say the same, and the schema refuses what the domain never means."""

from __future__ import annotations

import re
from enum import StrEnum

import apsw
import psycopg
import pytest
from support.aio import run
from support.database import Engine
from support.factories import add_session

from jimeng_gateway.domain.deliveries import DeliveryState, Event
from jimeng_gateway.domain.request import Kind
from jimeng_gateway.domain.session import SessionState
from jimeng_gateway.domain.task import SLOTTED, TERMINAL, Stage, Work
from jimeng_gateway.store.database import load_statements, migrations
from jimeng_gateway.store.submissions import CancelState, SubmissionState

SCHEMA = "\n".join(script for _, script in migrations())
STATEMENTS = load_statements(dialect="sqlite")
REFUSED = (apsw.ConstraintError, psycopg.IntegrityError)


def listed(text: str, column: str) -> list[set[str]]:
    """Every set of words that some `column IN (…)` names."""
    found = re.findall(rf"\b{column} IN\s*\(((?:\s*'\w+',?)+)\s*\)", text)
    return [set(re.findall(r"'(\w+)'", words)) for words in found]


def table(name: str) -> str:
    match = re.search(rf"CREATE TABLE {name} \((.*?)\n\);", SCHEMA, re.DOTALL)
    assert match is not None
    return match[1]


def words(enum: type[StrEnum]) -> set[str]:
    return {member.value for member in enum}


def test_checks_name_exactly_the_members_of_their_enums() -> None:
    assert listed(table("task"), "stage")[0] == words(Stage)
    assert listed(table("task"), "work") == [words(Work)]
    assert listed(table("task"), "kind") == [words(Kind)]
    assert listed(table("result"), "kind") == [words(Kind)]
    assert listed(table("session"), "state") == [words(SessionState)]
    assert listed(table("submission"), "state") == [words(SubmissionState)]
    assert listed(table("submission"), "cancel_state") == [words(CancelState)]
    assert listed(table("delivery"), "event") == [words(Event)]
    assert listed(table("delivery"), "state") == [words(DeliveryState)]


def test_lists_of_stages_in_sql_are_the_sets_of_the_domain() -> None:
    open_stages = set(Stage) - TERMINAL
    [deadline_index] = listed(SCHEMA[SCHEMA.index("task_open_deadline") :].split(";")[0], "stage")
    assert deadline_index == open_stages
    assert listed(STATEMENTS["task_overdue"], "stage") == [open_stages]
    [leaks] = re.findall(r"stage NOT IN \((.*?)\)", STATEMENTS["slot_leaks"])
    assert set(re.findall(r"'(\w+)'", leaks)) == SLOTTED
    [held] = re.findall(r"stage NOT IN \((.*?)\) OR session_id IS NOT NULL", table("task"))
    assert set(re.findall(r"'(\w+)'", held)) == SLOTTED


def test_nothing_changes_or_removes_events() -> None:
    touching = re.compile(
        r"\b(UPDATE|DELETE FROM|ON CONFLICT|REPLACE)\b[^;]*\bevent\b|\bINTO event\b", re.IGNORECASE
    )
    assert [name for name, sql in STATEMENTS.items() if touching.search(sql)] == ["event_insert"]
    assert "UPDATE" not in STATEMENTS["event_insert"]


TASK = {
    "id": "'t1'",
    "key_id": "'k'",
    "kind": "'image'",
    "model": "'m'",
    "request": "'{}'",
    "stage": "'queued'",
    "revision": "1",
    "created_at": "1",
    "updated_at": "1",
    "deadline_at": "2",
}
SUBMISSION = {
    "submit_id": "'sub'",
    "task_id": "'t1'",
    "session_id": "'s1'",
    "attempt": "1",
    "seed": "1",
    "state": "'intended'",
    "created_at": "1",
}
KEY = {
    "id": "'k'",
    "name": "'n'",
    "role": "'user'",
    "digest": "'d'",
    "prefix": "'p'",
    "created_at": "1",
}


def insert(table: str, row: dict[str, str], **changes: str) -> str:
    row = row | changes
    return f"INSERT INTO {table} ({', '.join(row)}) VALUES ({', '.join(row.values())})"


@pytest.fixture
def seeded(engine: Engine) -> Engine:
    """A store with session s1 (two slots) and task t1."""

    async def main() -> None:
        async with engine.open() as db:
            await db.write(lambda tx: add_session(tx, "s1"))

    run(main())
    engine.query(insert("task", TASK))
    return engine


IMPOSSIBLE = [
    insert("task", TASK, id="'t2'", stage="'sleeping'"),
    insert("task", TASK, id="'t2'", kind="'audio'"),
    insert("task", TASK, id="'t2'", work="'think'", due_at="1"),
    insert("task", TASK, id="'t2'", work="'reserve'"),
    insert("task", TASK, id="'t2'", session_id="'s1'"),
    insert("task", TASK, id="'t2'", submit_id="'x'"),
    insert("task", TASK, id="'t2'", owner="'n'"),
    *(insert("task", TASK, id="'t2'", stage=f"'{stage}'") for stage in sorted(SLOTTED)),
    insert("task", TASK, id="'t2'", stage="'polling'", session_id="'no such session'"),
    insert("task", TASK, id="'t2'", late="2"),
    insert("task", TASK),
    "INSERT INTO slot (session_id, n) VALUES ('nobody', 1)",
    "INSERT INTO slot (session_id, n) VALUES ('s1', 1)",
    "UPDATE slot SET task_id = 'no such task' WHERE n = 1",
    "UPDATE slot SET task_id = 't1'",
    "UPDATE session SET slots = 65",
    "UPDATE session SET slots = -1",
    "UPDATE session SET state = 'tired'",
    insert("submission", SUBMISSION, task_id="'no such task'"),
    insert("submission", SUBMISSION, state="'maybe'"),
    insert("submission", SUBMISSION, cancel_state="'maybe'"),
    "INSERT INTO event VALUES ('no such task', 1, 1, 'x', '{}')",
    insert("api_key", KEY, role="'root'"),
]


def refuses(engine: Engine, sql: str) -> bool:
    # SQLite asks for it on every connection.
    prefix = "PRAGMA foreign_keys = ON;" if engine.path is not None else ""
    try:
        engine.query(prefix + sql)
    except REFUSED:
        return True
    return False


def test_impossible_rows_are_refused(seeded: Engine) -> None:
    assert [sql for sql in IMPOSSIBLE if not refuses(seeded, sql)] == []


def test_the_rows_that_the_others_differ_from_are_accepted(seeded: Engine) -> None:
    seeded.query(insert("task", TASK, id="'t2'", stage="'polling'", session_id="'s1'", submit_id="'x'"))
    seeded.query(insert("submission", SUBMISSION))
    seeded.query(insert("api_key", KEY))
    seeded.query("UPDATE slot SET task_id = 't1' WHERE n = 1")
    assert seeded.query("SELECT count(*) FROM task") == [(2,)]
