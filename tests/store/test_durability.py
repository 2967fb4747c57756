"""What the store has confirmed survives `kill -9` of the process that wrote it."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.database import Engine

from jimeng_gateway.store.database import migrations

TESTS = Path(__file__).parents[1]


def child(engine: Engine, *words: str) -> subprocess.Popen[str]:
    """Starts a committer on the store."""
    return subprocess.Popen(
        [sys.executable, "-m", "store.committer", engine.url, *words],
        stdout=subprocess.PIPE,
        text=True,
        cwd=TESTS,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )


@pytest.mark.e2e
def test_every_confirmed_task_survives_kill_9(empty_engine: Engine) -> None:
    confirmed: set[str] = set()
    for life in range(3):
        lines = random.randrange(20, 400)
        with child(empty_engine, "commit", f"life{life}") as process:
            assert process.stdout is not None
            heard = [process.stdout.readline() for _ in range(lines)]
            process.send_signal(signal.SIGKILL)
            heard += process.stdout.readlines()
        # The last line may be cut in two by the kill; only whole lines were said.
        confirmed |= {line.strip() for line in heard if line.endswith("\n")}
        assert process.returncode == -signal.SIGKILL, f"killed after {lines} lines"
    stored = {row[0] for row in empty_engine.query("SELECT id FROM task")}
    assert confirmed <= stored
    assert len(confirmed) >= 60
    # Whatever else was written is whole: a task and its first event are one transaction.
    odd = empty_engine.query(
        "SELECT id FROM task LEFT JOIN event ON event.task_id = task.id AND seq = 1 WHERE event.seq IS NULL"
    )
    assert odd == []


@pytest.mark.e2e
def test_processes_that_open_a_new_store_at_once_migrate_it_once(empty_engine: Engine) -> None:
    children = [child(empty_engine, "migrate") for _ in range(4)]
    said = [process.communicate(timeout=60)[0] for process in children]
    assert [process.returncode for process in children] == [0, 0, 0, 0]
    everything = [version for version, _ in migrations()]
    assert sorted(said) == sorted([f"applied {everything}\n"] + ["applied []\n"] * 3)
