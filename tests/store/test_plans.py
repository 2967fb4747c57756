"""The statements that run all the time find their rows by an index, also when most tasks are history."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import apsw
import psycopg
import pytest
from support import postgres
from support.clock import START_MS
from support.database import Engine, migrate, postgres_engine, sqlite_engine

from jimeng_gateway.store.database import load_statements

NOW = START_MS
TASKS = 50_000

#: Every hot statement with the arguments of an ordinary call.
#: A list without a filter.
EVERY: dict[str, object] = {"stages": None, "kind": None, "model": None, "since": 0}
HOT: dict[str, dict[str, object]] = {
    "task_get": {"id": "task_00042"},
    "task_ready": {"now": NOW, "limit": 32},
    "task_collectable": {"now": NOW, "limit": 8},
    "task_pollable": {"session_id": "s7", "limit": 200},
    "task_overdue": {"now": NOW},
    "task_orphans": {"now": NOW, "me": "node_a"},
    "task_owned": {"owner": "node_a"},
    "task_ahead": {"due_at": NOW, "id": "task_00042"},
    "task_list_of_key": {
        "key_id": "key_3",
        **EVERY,
        "at": NOW,
        "after": "x",
        "limit": 21,
        "skip": 0,
    },
    "task_list": {**EVERY, "at": NOW, "after": "x", "limit": 21, "skip": 0},
    "intent_by_token": {"key_id": "key_3", "token": "once", "since": 0},
    "intent_before": {"key_id": "key_3", "fingerprint": "x", "since": 0, "attempt": 1},
    "intent_after": {"key_id": "key_3", "fingerprint": "x", "arrived_at": 0, "attempt": 1},
    "intent_unmarked": {
        "key_id": "key_3",
        "fingerprint": "x",
        "peer": "127.0.0.1 1",
        "answered_since": 0,
        "lost_since": 0,
    },
    "intent_by_request": {"key_id": "key_3", "fingerprint": "x", "request_id": "req_1"},
    "poll_due": {"now": NOW},
    "poll_claim": {"now": NOW, "owner": "node_a", "limit": 64},
    "session_seats": {"limit": 32},
    "slot_leaks": {},
    "submission_of_task": {"task_id": "task_00042"},
    "submission_refusals": {"task_id": "task_00042"},
    "submission_cancel_claim": {"now": NOW, "again_at": NOW, "limit": 8},
    "event_list": {"task_id": "task_00042", "after": 0},
    "subscription_of_task": {"task_id": "task_00042"},
    "delivery_any_due": {"now": NOW},
    "delivery_due": {"now": NOW, "limit": 64, "most": 4},
    "result_of_task": {"task_id": "task_00042"},
    "result_oldest": {"limit": 200},
    "result_leaving": {"before": NOW, "at": 0, "task_id": "", "idx": 0, "limit": 200},
    "result_leaving_of": {"task_id": "task_00042"},
    "result_removals": {"at": NOW, "task_id": "", "idx": 0, "limit": 21},
    "result_needs": {"task_id": "task_00042", "file": "42/x.png"},
}

#: Three tasks in a hundred live, spread over fifty sessions; the others are history of five hundred keys.
FILL = [
    f"""INSERT INTO session (id, label, region, credential, fingerprint, web_id, slots, created_at,
        updated_at)
    SELECT 's' || n, '', 'cn', '', 'f' || n, 'w', 2, {NOW}, {NOW} FROM numbers WHERE n < 50""",
    "INSERT INTO slot (session_id, n) SELECT id, 1 FROM session UNION ALL SELECT id, 2 FROM session",
    f"""INSERT INTO task (id, key_id, kind, model, request, stage, work, due_at, revision, created_at,
        updated_at, deadline_at, session_id, submit_id, owner)
    SELECT 'task_' || n, 'key_' || (n % 500), 'image', 'm', '{{}}',
        CASE WHEN n % 100 > 2 THEN 'succeeded' WHEN n % 100 = 0 THEN 'queued' WHEN n % 100 = 1 THEN 'polling'
             ELSE 'downloading' END,
        CASE WHEN n % 100 > 2 THEN NULL WHEN n % 100 = 0 THEN 'reserve' WHEN n % 100 = 1 THEN 'poll'
             WHEN n % 200 = 2 THEN 'collect' ELSE NULL END,
        CASE WHEN n % 100 > 2 THEN NULL ELSE {NOW} - 30000 + n END,
        1, {NOW} - n, {NOW}, {NOW} - 25000 + n,
        CASE WHEN n % 100 = 0 THEN NULL ELSE 's' || (n % 50) END,
        CASE WHEN n % 100 = 0 THEN NULL ELSE 'sub' || n END,
        CASE WHEN n % 200 = 102 THEN 'node_a' ELSE NULL END
    FROM numbers""",
    "INSERT INTO event SELECT id, 1, created_at, 'task.created', '{}' FROM task",
    """INSERT INTO submission (submit_id, task_id, session_id, attempt, seed, state, created_at)
    SELECT submit_id, id, session_id, 1, 1, 'accepted', 1 FROM task WHERE submit_id IS NOT NULL""",
    f"""INSERT INTO result (task_id, idx, kind, upstream_url, item_id, stored_at, file, bytes, removed_at)
    SELECT id, 0, 'image', 'u', 'i', created_at, 'f', 7, CASE WHEN created_at % 9 = 0 THEN {NOW} ELSE NULL END
    FROM task""",
]
NUMBERS = (
    f"WITH RECURSIVE numbers (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < {TASKS - 1}) "
)


def fill(engine: Engine) -> None:
    for statement in FILL:
        # A recursive list stands before the insert in both dialects.
        engine.query((NUMBERS if "FROM numbers" in statement else "") + statement)
    engine.query("ANALYZE")


#: They share two databases full of tasks.
pytestmark = pytest.mark.xdist_group("plans")


@pytest.fixture(scope="module")
def full_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """Fifty thousand tasks in a file."""
    engine = sqlite_engine(Path(tmp_path_factory.mktemp("full")))
    migrate(engine)
    fill(engine)
    return engine


@pytest.fixture(scope="module")
def full_postgres(postgres_server: postgres.Server) -> Iterator[Engine]:
    """Fifty thousand tasks in PostgreSQL."""
    with postgres_engine(postgres_server) as engine:
        migrate(engine)
        fill(engine)
        yield engine


def scans(plan: list[str], table: str) -> list[str]:
    """Steps of a SQLite plan that walk the whole table, or a whole index that holds every row."""
    partial = (
        "task_due",
        "task_session_due",
        "task_open_deadline",
        "task_owner",
        "submission_cancel",
        "result_age",
    )
    return [
        step
        for step in plan
        if step.startswith(f"SCAN {table}") and not any(f"INDEX {name}" in step for name in partial)
    ]


@pytest.mark.parametrize("name", HOT)
def test_sqlite_walks_no_whole_table(full_sqlite: Engine, name: str) -> None:
    connection = apsw.Connection(str(full_sqlite.path))
    sql = load_statements(dialect="sqlite")[name]
    plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", HOT[name])]
    connection.close()
    walked = [
        step for table in ("task", "submission", "event", "result", "intent") for step in scans(plan, table)
    ]
    if name == "task_list":
        # Newest first over everybody's tasks: it reads the index from its end until the page is full.
        assert walked == [] or all("INDEX task_newest" in step for step in walked), plan
    else:
        assert walked == [], plan
    if name.startswith("task_list"):
        assert not any("TEMP B-TREE" in step for step in plan), plan


@pytest.mark.parametrize("name", HOT)
def test_postgres_walks_no_whole_table(full_postgres: Engine, name: str) -> None:
    sql = load_statements(dialect="postgres")[name]
    with psycopg.connect(full_postgres.url) as connection:
        plan = [row[0] for row in connection.execute(f"EXPLAIN {sql}", HOT[name])]
    walked = [
        line for line in plan for table in ("task", "event", "result") if f"Seq Scan on {table}" in line
    ]
    assert walked == [], "\n".join(plan)


def test_a_page_of_one_key_reads_little(full_sqlite: Engine) -> None:
    """The last page costs what the first one does: a cursor is sought, not counted up to."""
    connection = apsw.Connection(str(full_sqlite.path))
    sql = load_statements(dialect="sqlite")["task_list_of_key"]

    def steps(at: int) -> int:
        ticks = 0

        def tick() -> bool:
            nonlocal ticks
            ticks += 1
            return False

        connection.set_progress_handler(tick, 1)
        rows = connection.execute(sql, HOT["task_list_of_key"] | {"at": at}).fetchall()
        connection.set_progress_handler(None)
        assert len(rows) == 21
        return ticks

    first, deep = steps(NOW + 1), steps(NOW - 35_000)
    connection.close()
    assert deep < 1.2 * first
