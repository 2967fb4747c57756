"""Deliveries on both engines: written with the change they tell of, claimed by one, fair to every place."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from support.aio import run
from support.clock import START_MS as NOW
from support.database import Engine
from support.factories import make_task

from jimeng_gateway.domain import lifecycle
from jimeng_gateway.domain.deliveries import Attempt, DeliveryState
from jimeng_gateway.domain.order import Order
from jimeng_gateway.domain.task import Task
from jimeng_gateway.store import deliveries, subscriptions, tasks
from jimeng_gateway.store.database import Database, Tx
from jimeng_gateway.store.deliveries import Claimed, DeliveryQuery


async def queue(db: Database, url: str, *, now: int = NOW, door: str = "native", key_id: str = "k") -> Task:
    """A queued task of which that address is told."""
    task = replace(make_task(now=now), key_id=key_id)
    order = Order(door=door, callback_url=url, base_url="http://gw")

    def body(tx: Tx) -> Task:
        written = tasks.insert(tx, task, {})
        subscriptions.subscribe(tx, task, order, now=now)
        # A transaction whose COMMIT was lost runs again.
        subscriptions.subscribe(tx, task, order, now=now)
        return written

    return await db.write(body)


async def claim(db: Database, *, now: int = NOW, limit: int = 100, most: int = 4) -> Claimed:
    return await db.write(
        lambda tx: deliveries.claim(tx, now=now, until=now + 20_000, limit=limit, most=most)
    )


async def cancel(db: Database, task: Task) -> None:
    await db.write(
        lambda tx: tasks.change(tx, task.id, lambda found: lifecycle.cancel(found, now=NOW), now=NOW)
    )


def test_the_note_is_written_with_the_change_or_not_at_all(engine: Engine) -> None:
    async def main() -> None:
        async with engine.open() as db:
            task = await queue(db, "http://a/x")

            def broken(tx: Tx) -> None:
                tasks.change(tx, task.id, lambda found: lifecycle.cancel(found, now=NOW), now=NOW)
                raise RuntimeError("the process dies")

            with pytest.raises(RuntimeError):
                await db.write(broken)
            assert engine.query("SELECT event, state, place FROM delivery") == [("queued", "pending", "a:80")]
            await cancel(db, task)
            found = engine.query("SELECT event, state, stage FROM delivery ORDER BY event")
            assert found == [("cancelled", "pending", "cancelled"), ("queued", "superseded", "queued")]

    run(main())


def test_what_a_dialect_has_no_word_for_is_not_noted(engine: Engine) -> None:
    async def main() -> None:
        async with engine.open() as db:
            task = await queue(db, "http://a/x", door="ark")
            await cancel(db, task)
            assert engine.query("SELECT event, state FROM delivery") == [("queued", "pending")]
            assert (await claim(db)).parcels == ()
            assert engine.query("SELECT event, state FROM delivery") == [("queued", "superseded")]

    run(main())


def test_a_delivery_has_one_bearer_at_a_time(engine: Engine) -> None:
    async def main() -> None:
        async with engine.open() as one, engine.open() as two:
            for number in range(20):
                await queue(one, f"http://place{number}/", now=NOW + number)
            claims = await asyncio.gather(*(claim(db, now=NOW + 99, limit=10) for db in (one, two) * 3))
            taken = [delivery.id for part in claims for delivery, _ in part.parcels]
            assert len(taken) == len(set(taken))
            taken += [delivery.id for delivery, _ in (await claim(one, now=NOW + 99)).parcels]
            assert len(set(taken)) == len(taken) == 20
            assert (await claim(one, now=NOW + 20_098)).parcels == ()
            assert len((await claim(one, now=NOW + 20_099)).parcels) == 20

    run(main())


def test_a_place_gets_its_share_and_no_more(engine: Engine) -> None:
    async def main() -> None:
        async with engine.open() as db:
            for number in range(10):
                await queue(db, f"http://slow/{number}", now=NOW + number)
            await queue(db, "http://quick/", now=NOW + 50)
            first = await claim(db, now=NOW + 60, limit=8)
            assert [delivery.place for delivery, _ in first.parcels] == ["slow:80"] * 4 + ["quick:80"]
            assert (await claim(db, now=NOW + 61)).parcels == ()
            done, task = first.parcels[0]
            assert task.id == done.task_id
            state = await db.write(lambda tx: deliveries.settle(tx, done, Attempt(204), now=NOW + 62))
            assert state is DeliveryState.DELIVERED
            following = await claim(db, now=NOW + 63)
            assert [delivery.url for delivery, _ in following.parcels] == ["http://slow/4"]

    run(main())


def test_what_was_settled_stays_so(engine: Engine) -> None:
    async def main() -> None:
        async with engine.open() as db:
            await queue(db, "http://a/x")
            ((delivery, _),) = (await claim(db)).parcels
            await db.write(lambda tx: deliveries.settle(tx, delivery, Attempt(200), now=NOW + 5))
            await db.write(lambda tx: deliveries.settle(tx, delivery, Attempt(None, "late"), now=NOW + 9))
            (found,) = await db.read(lambda tx: deliveries.find(tx, DeliveryQuery(), key_id=None))
            assert (found.state, found.status, found.tries) == (DeliveryState.DELIVERED, 200, 1)
            assert (found.delivered_at, found.due_at, found.error) == (NOW + 5, None, "")

    run(main())


def test_lists(engine: Engine) -> None:
    async def main() -> None:
        async with engine.open() as db:
            made = [
                await queue(db, "http://a/x", now=NOW + number, key_id="ab"[number % 2])
                for number in range(4)
            ]

            async def listed(key_id: str | None = None, **query: object) -> list[str]:
                wanted = DeliveryQuery(**query)  # type: ignore[arg-type]
                found = await db.read(lambda tx: deliveries.find(tx, wanted, key_id=key_id))
                return [delivery.task_id for delivery in found]

            ids = [task.id for task in made][::-1]
            assert await listed() == ids
            assert await listed(key_id="b") == [ids[0], ids[2]]
            assert await listed(limit=2) == ids[:2]
            assert await listed(task_id=ids[1]) == [ids[1]]
            assert await listed(state=DeliveryState.FAILED) == []
            (last,) = await db.read(
                lambda tx: deliveries.find(tx, DeliveryQuery(task_id=ids[1]), key_id=None)
            )
            assert await listed(beyond=(last.created_at, last.id)) == ids[2:]

    run(main())
