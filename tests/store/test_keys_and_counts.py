"""Keys, the catalogue's single reader, settings, and counts that are zeros where there is nothing."""

from __future__ import annotations

import asyncio

import pytest
from support.aio import run
from support.clock import START_MS
from support.database import Engine
from support.factories import finish, in_flight, queue_tasks, seed_sessions

from jimeng_gateway.domain.builtin_models import builtin
from jimeng_gateway.domain.request import Kind
from jimeng_gateway.store import catalogue, keys
from jimeng_gateway.store.database import ConstraintViolated
from jimeng_gateway.store.keys import Key

NOW = START_MS


def test_a_key_is_found_by_its_hash_until_it_is_revoked(engine: Engine) -> None:
    key = Key("key_1", "ci", "user", "gw_ab12", NOW)

    async def main() -> None:
        async with engine.open() as db:
            await db.write(lambda tx: keys.insert(tx, key, "digest-1"))
            assert await db.read(lambda tx: keys.by_digest(tx, "digest-1")) == key
            assert await db.read(lambda tx: keys.by_digest(tx, "digest-2")) is None
            await db.write(lambda tx: tx.run("key_used", id="key_1", now=NOW + 1))
            assert await db.write(lambda tx: tx.run("key_revoke", id="key_1", now=NOW + 2)) == 1
            assert await db.write(lambda tx: tx.run("key_revoke", id="key_1", now=NOW + 3)) == 0
            assert await db.read(lambda tx: keys.by_digest(tx, "digest-1")) is None
            revoked = Key("key_1", "ci", "user", "gw_ab12", NOW, NOW + 1, NOW + 2)
            assert await db.read(lambda tx: keys.get(tx, "key_1")) == revoked
            assert await db.read(keys.find_all) == [revoked]
            assert await db.read(lambda tx: keys.get(tx, "key_2")) is None

    run(main())


def test_one_hash_belongs_to_one_key_and_roles_are_known(engine: Engine) -> None:
    async def main() -> None:
        async with engine.open() as db:
            await db.write(lambda tx: keys.insert(tx, Key("key_1", "a", "user", "gw", NOW), "same"))
            with pytest.raises(ConstraintViolated):
                await db.write(lambda tx: keys.insert(tx, Key("key_2", "b", "user", "gw", NOW), "same"))
            with pytest.raises(ConstraintViolated):
                await db.write(lambda tx: keys.insert(tx, Key("key_3", "c", "root", "gw", NOW), "other"))
            assert len(await db.read(keys.find_all)) == 1

    run(main())


def test_the_first_to_write_a_setting_once_wins(engine: Engine) -> None:
    async def main() -> None:
        async with engine.open() as one, engine.open() as two:
            doors = (one, two) if engine.name == "postgres" else (one, one)
            written = await asyncio.gather(
                *(
                    doors[n % 2].write(
                        lambda tx, n=n: tx.run("setting_put_once", name="s", value=str(n), now=n)
                    )
                    for n in range(20)
                )
            )
            assert sum(written) == 1
            row = await one.read(lambda tx: tx.one("setting_get", name="s"))
            assert row == {"value": str(written.index(1)), "updated_at": written.index(1)}

    run(main())


def test_the_catalogue_is_claimed_once_per_period(engine: Engine) -> None:
    async def main() -> list[int]:
        async with engine.open() as one, engine.open() as two:
            doors = (one, two) if engine.name == "postgres" else (one, one)
            claimed = []
            for now in (NOW, NOW + 999, NOW + 1000, NOW + 1500, NOW + 2000):
                answers = await asyncio.gather(
                    *(
                        doors[n % 2].write(lambda tx, now=now: catalogue.claim(tx, now=now, every=1000))
                        for n in range(12)
                    )
                )
                claimed.append(sum(answers))
            return claimed

    assert run(main()) == [1, 0, 1, 0, 1]


def test_the_catalogue_comes_back_as_it_was_read(engine: Engine) -> None:
    models = builtin().models

    async def main() -> None:
        async with engine.open() as db:
            assert await db.read(lambda tx: catalogue.models(tx, Kind.IMAGE)) == ()
            assert await db.read(lambda tx: catalogue.read_at(tx, Kind.IMAGE)) == 0
            await db.write(lambda tx: catalogue.keep(tx, Kind.IMAGE, models, now=NOW))
            assert await db.read(lambda tx: catalogue.models(tx, Kind.IMAGE)) == models
            assert await db.read(lambda tx: catalogue.read_at(tx, Kind.IMAGE)) == NOW
            assert await db.read(lambda tx: catalogue.models(tx, Kind.VIDEO)) == ()

    run(main())


COUNTS = ("task_counts", "task_oldest_queued", "slot_counts", "result_totals", "session_counts")


def test_an_empty_store_counts_zeros(engine: Engine) -> None:
    async def main() -> dict[str, list[dict[str, object]]]:
        async with engine.open() as db:
            return await db.read(lambda tx: {name: tx.all(name) for name in COUNTS})

    assert run(main()) == {
        "task_counts": [],
        "task_oldest_queued": [{"at": None}],
        "slot_counts": [{"total": 0, "taken": 0}],
        "result_totals": [{"files": 0, "bytes": 0}],
        "session_counts": [],
    }


def test_counts_are_whole_numbers_of_what_is_there(engine: Engine) -> None:
    async def main() -> dict[str, list[dict[str, object]]]:
        async with engine.open() as db:
            await seed_sessions(db, 2, slots=2)
            first, _ = await in_flight(db, 2)
            await db.write(lambda tx: finish(tx, first, pictures=2))
            await queue_tasks(db, 3, now=NOW + 100)
            engine.query(f"UPDATE result SET file = 'f', bytes = {2**40}, stored_at = {NOW}")
            return await db.read(lambda tx: {name: tx.all(name) for name in COUNTS})

    counts = run(main())
    assert sorted(counts["task_counts"], key=str) == [
        {"stage": "downloading", "kind": "image", "n": 1},
        {"stage": "polling", "kind": "image", "n": 1},
        {"stage": "queued", "kind": "image", "n": 3},
    ]
    assert counts["task_oldest_queued"] == [{"at": NOW + 98}]
    assert counts["slot_counts"] == [{"total": 4, "taken": 2}]
    assert counts["result_totals"] == [{"files": 2, "bytes": 2**41}]
    assert counts["session_counts"] == [{"state": "ready", "n": 2}]
    numbers = [value for rows in counts.values() for row in rows for value in row.values()]
    assert all(isinstance(value, str | int) for value in numbers), "JSON knows no Decimal"
