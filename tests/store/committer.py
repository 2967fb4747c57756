"""A process that opens a store and commits tasks until it is killed; prints what it was told is durable.

python -m store.committer URL migrate          opens, prints the migrations it applied, ends
python -m store.committer URL commit PREFIX    prints the id of every task after its insert has returned
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from support.aio import run
from support.database import AnyDatabase, Engine
from support.factories import make_task

from jimeng_gateway.store import tasks


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def commit(db: AnyDatabase, prefix: str, writer: int) -> None:
    number = 0
    while True:
        task = make_task(f"{prefix}_{writer}_{number}")
        await db.write(lambda tx, task=task: tasks.insert(tx, task, {}))
        say(task.id)
        number += 1


async def main(url: str, what: str, prefix: str = "") -> None:
    path = Path(url.removeprefix("sqlite:///")) if url.startswith("sqlite:") else None
    async with Engine("child", url, path=path).open() as db:
        if what == "migrate":
            say(f"applied {db.applied}")
            return
        await asyncio.gather(*(commit(db, prefix, writer) for writer in range(8)))


if __name__ == "__main__":
    run(main(*sys.argv[1:]))
