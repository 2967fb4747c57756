"""What must be true at the end, whatever happened: read from the gateway's own tables, the simulator's books
and the files, so that no part of the gateway is asked about itself.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg

from jimeng_gateway.simulator.server import Simulator
from jimeng_gateway.store.sniff import sniff

#: Runs a query on the gateway's database.
Rows = Callable[[str], list[tuple[Any, ...]]]


def sqlite_rows(data_dir: Path) -> Rows:
    """Queries on the SQLite file in a data directory."""

    def rows(query: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(f"file:{data_dir / 'gateway.db'}?mode=ro", uri=True)) as connection:
            return connection.execute(query).fetchall()

    return rows


def postgres_rows(url: str) -> Rows:
    """Queries on a PostgreSQL database."""

    def rows(query: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(url, autocommit=True) as connection:
            return connection.execute(query.encode()).fetchall()

    return rows


def stages(rows: Rows) -> dict[str, int]:
    """How many tasks are in each stage."""
    return dict(rows("SELECT stage, count(*) FROM task GROUP BY stage"))  # type: ignore[arg-type]


def assert_nothing_held(rows: Rows) -> None:
    """No task and no session belongs to a process, and no process is registered."""
    assert rows("SELECT id, stage, owner FROM task WHERE owner IS NOT NULL") == []
    assert rows("SELECT id, poll_owner FROM session WHERE poll_owner IS NOT NULL") == []
    assert rows("SELECT id FROM node") == []


def assert_paid_once(rows: Rows, sim: Simulator, task_ids: Iterable[str]) -> None:
    """Every one of the tasks, and nothing else, was accepted and charged exactly once."""
    accepted = rows("SELECT task_id, submit_id FROM submission WHERE state = 'accepted'")
    per_task = Counter(task_id for task_id, _ in accepted)
    assert {task_id: count for task_id, count in per_task.items() if count != 1} == {}
    assert set(per_task) == set(task_ids)
    charged = sim.books()["charged"]
    assert {submit_id: count for submit_id, count in charged.items() if count != 1} == {}
    assert set(charged) == {submit_id for _, submit_id in accepted}


def assert_all_succeeded(rows: Rows, sim: Simulator, task_ids: Iterable[str], results: Path) -> None:
    """All of it: ended well, paid once, no slot taken, files whole."""
    wanted = set(task_ids)
    odd = rows("SELECT id, stage, error_kind, error_code FROM task WHERE stage <> 'succeeded'")
    assert odd == []
    assert {task_id for (task_id,) in rows("SELECT id FROM task")} == wanted
    assert_paid_once(rows, sim, wanted)
    assert rows("SELECT session_id, n, task_id FROM slot WHERE task_id IS NOT NULL") == []
    assert_files_whole(rows, wanted, results)


def assert_files_whole(rows: Rows, task_ids: set[str], results: Path) -> None:
    """Each task has results, and each result's file is what the database says."""
    found = rows("SELECT task_id, kind, file, size, sha256 FROM result")
    assert {task_id for task_id, *_ in found} == task_ids
    for task_id, kind, file, size, digest in found:
        data = (results / file).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (size, digest), task_id
        assert (sniff(data) or "").startswith(kind), task_id
