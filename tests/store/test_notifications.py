"""Notifications: after the commit, never for what was undone, and on every node of one PostgreSQL."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest
from support.aio import run
from support.database import Engine

from jimeng_gateway.store.database import Tx


class Heard:
    """Topics in the order they came, and a way to wait for one."""

    def __init__(self, look: Callable[[], object] | None = None) -> None:
        self.topics: list[str] = []
        self.seen: list[object] = []
        self._look = look
        self._more = asyncio.Event()

    def __call__(self, topic: str) -> None:
        self.topics.append(topic)
        if self._look is not None:
            self.seen.append(self._look())
        self._more.set()

    async def until(self, topic: str) -> list[str]:
        """Everything heard up to that topic."""
        async with asyncio.timeout(10):
            while topic not in self.topics:
                self._more.clear()
                await self._more.wait()
        return self.topics


def say(tx: Tx, topic: str) -> None:
    tx.run("setting_put", name=topic, value="", now=1)
    tx.notify(topic)


def say_and_fail(tx: Tx, topic: str) -> None:
    say(tx, topic)
    raise ValueError(topic)


def test_subscribers_hear_after_the_commit(engine: Engine) -> None:
    async def main() -> None:
        async with engine.open() as db:
            heard = Heard(lambda: engine.query("SELECT count(*) FROM setting WHERE name = 'made'"))
            db.subscribe(heard)
            await db.write(lambda tx: say(tx, "made"))
            await heard.until("made")
            assert heard.seen == [[(1,)]]

    run(main())


def test_nobody_hears_of_what_was_undone(engine: Engine) -> None:
    async def main() -> list[str]:
        async with engine.open() as db:
            heard = Heard()
            db.subscribe(heard)
            gate = threading.Event()
            blocker = asyncio.create_task(db.write(lambda _: gate.wait(10)))
            await asyncio.sleep(0)
            undone = asyncio.create_task(db.write(lambda tx: say_and_fail(tx, "undone")))
            kept = asyncio.create_task(db.write(lambda tx: say(tx, "kept")))
            await asyncio.sleep(0)
            gate.set()
            with pytest.raises(ValueError, match="undone"):
                await undone
            await asyncio.gather(blocker, kept)
            await db.write(lambda tx: say(tx, "last"))
            return await heard.until("last")

    assert run(main()) == ["kept", "last"]


def test_whoever_stops_listening_hears_no_more(engine: Engine) -> None:
    async def main() -> None:
        async with engine.open() as db:
            gone, there = Heard(), Heard()
            stop = db.subscribe(gone)
            db.subscribe(there)
            await db.write(lambda tx: say(tx, "one"))
            await there.until("one")
            stop()
            stop()
            await db.write(lambda tx: say(tx, "two"))
            assert await there.until("two") == ["one", "two"]
            assert gone.topics == ["one"]

    run(main())


def test_topics_of_one_writer_keep_their_order(engine: Engine) -> None:
    async def main() -> list[str]:
        async with engine.open() as db:
            heard = Heard()
            db.subscribe(heard)
            for i in range(20):
                await db.write(lambda tx, i=i: say(tx, f"t{i}"))
            return await heard.until("t19")

    assert run(main()) == [f"t{i}" for i in range(20)]


def test_other_nodes_hear(postgresql: Engine) -> None:
    async def main() -> None:
        async with postgresql.open() as here, postgresql.open() as there:
            heard = Heard()
            there.subscribe(heard)
            await here.write(lambda tx: say(tx, "task:far"))
            await heard.until("task:far")

    run(main())
