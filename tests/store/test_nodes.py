"""Leases: who did not renew in time owns nothing, and only such a one is taken over from."""

from __future__ import annotations

import asyncio
import random
import threading
from typing import Any, cast

import pytest
from support.aio import run
from support.clock import START_MS, ManualClock
from support.database import Engine
from support.factories import (
    CADENCE,
    LIMITS,
    accept,
    add_node,
    finish,
    in_flight,
    intend,
    queue_tasks,
    reserve,
    seed_sessions,
)

from jimeng_gateway.domain import lifecycle
from jimeng_gateway.domain.task import Stage, Task
from jimeng_gateway.store import nodes, reservation, submissions, tasks
from jimeng_gateway.store.database import Database, Tx
from jimeng_gateway.store.submissions import SubmissionState
from jimeng_gateway.work import upkeep
from jimeng_gateway.work.bench import Bench
from jimeng_gateway.work.lease import Lease, LeaseLost

NOW = START_MS


class Silence:
    """Telemetry that nobody reads."""

    def emit(self, name: str, **fields: object) -> None:
        pass


def make_bench(db: Database, clock: ManualClock) -> Bench:
    """A process that only takes over: it has no site, identities or files, so touching one would fail."""
    nobody = cast("Any", None)
    return Bench(
        db=db,
        upstream=nobody,
        identities=nobody,
        files=nobody,
        clock=clock,
        telemetry=Silence(),
        lease=Lease(db, clock, length=30_000, alone=False),
        limits=LIMITS,
        cadence=CADENCE,
        chance=random.Random(1),
        new_submit_id=nobody,
    )


def test_a_lease_is_renewed_in_time_or_not_at_all(engine: Engine) -> None:
    def beat(tx: Tx, now: int) -> bool:
        return nodes.beat(tx, "node_a", now=now, lease=30_000)

    async def main() -> None:
        async with engine.open() as db:
            await add_node(db, "node_a")
            assert await db.write(lambda tx: beat(tx, NOW + 29_999))
            assert await db.write(lambda tx: beat(tx, NOW + 59_998))
            assert not await db.write(lambda tx: beat(tx, NOW + 89_998)), "at its end a lease is over"
            [node] = await db.read(nodes.find_all)
            assert (node.beat_at, node.expires_at) == (NOW + 59_998, NOW + 89_998)
            assert not await db.write(lambda tx: nodes.beat(tx, "node_b", now=NOW, lease=30_000))

    run(main())


def test_the_only_process_sweeps_away_the_one_before_it(engine: Engine) -> None:
    async def main() -> list[str]:
        async with engine.open() as db:
            await add_node(db, "node_old")
            await db.write(
                lambda tx: nodes.enter(tx, "node_new", host="h", pid=2, now=NOW, lease=30_000, alone=True)
            )
            return [node.id for node in await db.read(nodes.find_all)]

    assert run(main()) == ["node_new"]


def test_a_process_that_beats_too_late_must_stop(engine: Engine) -> None:
    async def main() -> None:
        clock = ManualClock()
        async with engine.open() as db:
            lease = Lease(db, clock, length=30_000, alone=False)
            assert not lease.valid()
            await lease.enter()
            assert lease.valid()
            clock.advance(29)
            await lease.beat()
            clock.advance(29)
            assert lease.valid()
            clock.advance(1.5)
            assert not lease.valid()
            with pytest.raises(LeaseLost):
                await lease.beat()
            await lease.leave()
            assert await db.read(nodes.find_all) == []

    run(main())


async def scattered(db: Database, owner: str, now: int) -> dict[str, Task]:
    """One task of that owner in every situation that a crash can leave behind."""
    await queue_tasks(db, 3, now=now)
    reserved, sent, finished = (await reserve(db, owner, now=now, limit=3)).reserved

    def body(tx: Tx) -> Task:
        intend(tx, sent, now=now)
        ready = finish(tx, accept(tx, intend(tx, finished, now=now), now=now), now=now)
        decision = lifecycle.begin_collect(ready, owner=owner)
        assert decision is not None
        return tasks.apply(tx, ready, decision, now=now)

    collecting = await db.write(body)
    return {"reserved": reserved, "sent": sent, "collecting": collecting}


def test_what_dead_nodes_held_is_free_and_what_the_living_hold_is_not(engine: Engine) -> None:
    async def main() -> None:
        clock = ManualClock()
        async with engine.open() as db:
            await seed_sessions(db, 5, slots=2)
            await add_node(db, "node_live", now=NOW)
            await add_node(db, "node_dead", now=NOW - 40_000)
            live = await scattered(db, "node_live", NOW)
            dead = await scattered(db, "node_dead", NOW)
            gone = (await in_flight(db, 1, "node_forgotten"))[0]
            assert await upkeep.take_over(make_bench(db, clock)) == 3

            async def now_is(task: Task) -> Task:
                found = await db.read(lambda tx: tasks.get(tx, task.id))
                assert found is not None
                return found

            for task in live.values():
                assert (await now_is(task)).owner == "node_live"

            # Reserved, but nothing was sent: back in the queue at once, its slot free.
            reserved = await now_is(dead["reserved"])
            assert (reserved.stage, reserved.session_id, reserved.owner) == (Stage.QUEUED, None, None)
            assert reserved.due_at == NOW

            # The request may have left: it keeps its session and slot, and the site is asked for it.
            sent = await now_is(dead["sent"])
            assert (sent.stage, sent.owner) == (Stage.SUBMITTING, None)
            assert sent.session_id == dead["sent"].session_id
            assert sent.uncertain_at == NOW + LIMITS.in_flight, "its request may be under way still"
            assert sent.work == "poll"
            submission = await db.read(lambda tx: submissions.get(tx, sent.submit_id or ""))
            assert submission is not None
            assert submission.state is SubmissionState.UNCERTAIN

            collecting = await now_is(dead["collecting"])
            assert (collecting.stage, collecting.owner, collecting.due_at) == (Stage.DOWNLOADING, None, NOW)
            assert (await now_is(gone)).stage is Stage.POLLING, "nobody held it: it waits for its poll"

            assert await upkeep.take_over(make_bench(db, clock)) == 0
            held = dict(engine.query("SELECT task_id, session_id FROM slot WHERE task_id IS NOT NULL"))
            assert held.keys() == {t.id for t in (*live.values(), sent, collecting, gone)}

    run(main())


def test_a_lease_that_ends_later_frees_its_tasks_then(engine: Engine) -> None:
    async def main() -> list[int]:
        clock = ManualClock()
        async with engine.open() as db:
            await seed_sessions(db, 1)
            await add_node(db, "node_a")
            await queue_tasks(db, 1)
            await reserve(db, "node_a")
            freed = []
            for seconds in (29.9, 0.1):
                clock.advance(seconds)
                freed.append(await upkeep.take_over(make_bench(db, clock)))
            return freed

    assert run(main()) == [0, 1]


def test_a_task_that_found_a_new_owner_meanwhile_is_left_to_it(postgresql: Engine) -> None:
    """Between seeing an orphan and locking it, another node may have taken it over and reserved it anew."""
    waiting = (
        "SELECT count(*) FROM pg_locks JOIN pg_database d ON d.datname = current_database() "
        "WHERE NOT granted AND (database = d.oid OR database IS NULL)"
    )

    async def main() -> None:
        async with postgresql.open() as here, postgresql.open() as there:
            await seed_sessions(here, 1)
            await queue_tasks(here, 1)
            [task] = (await reserve(here, "node_dead")).reserved
            locked, seen = threading.Event(), threading.Event()

            def be_faster(tx: Tx) -> None:
                tx.one("task_lock", id=task.id)
                locked.set()
                assert seen.wait(10)
                tasks.change(
                    tx, task.id, lambda found: lifecycle.abandon(found, now=NOW, why="dead"), now=NOW
                )
                assert len(reservation.reserve(tx, owner="node_new", now=NOW, limit=1).reserved) == 1

            faster = asyncio.create_task(here.write(be_faster))
            await asyncio.to_thread(locked.wait, 10)
            slower = asyncio.create_task(upkeep.take_over(make_bench(there, ManualClock())))
            async with asyncio.timeout(10):
                while postgresql.query(waiting) == [(0,)]:  # noqa: ASYNC110 - what it waits for is in PostgreSQL
                    await asyncio.sleep(0.01)
            seen.set()
            await asyncio.gather(faster, slower)
            after = await here.read(lambda tx: tasks.get(tx, task.id))
            assert after is not None
            assert (after.stage, after.owner) == (Stage.SUBMITTING, "node_new")

    run(main())


def test_dead_nodes_are_forgotten_after_an_hour(engine: Engine) -> None:
    async def main() -> list[str]:
        clock = ManualClock()
        async with engine.open() as db:
            await add_node(db, "node_ancient", now=NOW - 30_001 - upkeep.FORGET_MS)
            await add_node(db, "node_recent", now=NOW - 40_000)
            await upkeep.take_over(make_bench(db, clock))
            return [node.id for node in await db.read(nodes.find_all)]

    assert run(main()) == ["node_recent"]
