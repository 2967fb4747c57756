"""Reservation: never more tasks than slots, no slot idle while work waits, nobody starves, nobody blocks."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import replace

import pytest
from support.aio import run
from support.clock import START_MS
from support.database import Engine
from support.factories import add_session, intend, queue_tasks, reserve, seed_sessions

from jimeng_gateway.domain import lifecycle, policy
from jimeng_gateway.domain.errors import ErrorKind, Failure
from jimeng_gateway.domain.lifecycle import Change
from jimeng_gateway.domain.route import Route
from jimeng_gateway.domain.session import SessionState
from jimeng_gateway.domain.task import Stage, Task
from jimeng_gateway.store import reservation, sessions, submissions, tasks
from jimeng_gateway.store.database import Database, Tx
from jimeng_gateway.store.reservation import Round
from jimeng_gateway.store.submissions import SubmissionState

NOW = START_MS
RISK = Failure(ErrorKind.RISK, "1019", "the account was refused")


def release(tx: Tx, task_id: str, now: int = NOW) -> None:
    """Ends a task, whatever it does."""
    tasks.change(tx, task_id, lambda task: lifecycle.cancel(task, now=now), now=now)


def refused(tx: Tx, task: Task, *session_ids: str, failure: Failure = RISK) -> None:
    """Writes that these sessions refused the task earlier."""
    for attempt, session_id in enumerate(session_ids, start=1):
        submit_id = f"{task.id}-{attempt}"
        tx.run(
            "submission_insert",
            submit_id=submit_id,
            task_id=task.id,
            session_id=session_id,
            login="",
            attempt=attempt,
            seed=1,
            now=NOW,
        )
        submissions.settle(tx, submit_id, SubmissionState.REFUSED, now=NOW, failure=failure)
    tasks.change(
        tx,
        task.id,
        lambda found: Change(replace(found, attempts=len(session_ids))),
        now=NOW,
    )


async def bar(db: Database, waiting: list[Task], *session_ids: str, failure: Failure = RISK) -> None:
    """As `refused`, for many tasks."""

    def body(tx: Tx) -> None:
        for task in waiting:
            refused(tx, task, *session_ids, failure=failure)

    await db.write(body)


def test_sixty_four_claimers_over_five_sessions(engine: Engine) -> None:
    """No limit is exceeded, every slot is used, every session serves, every task is reserved exactly once."""
    limits = {"session_0": 1, "session_1": 2, "session_2": 3, "session_3": 2, "session_4": 1}
    chance = random.Random(5)
    given: list[Task] = []
    fullest: Counter[str] = Counter()
    total = 0

    def claim(tx: Tx, owner: str, limit: int) -> tuple[Round, dict[str, int]]:
        done = reservation.reserve(tx, owner=owner, now=NOW, limit=limit)
        taken = {row["id"]: row["taken"] for row in tx.all("session_list")}
        assert all(taken[name] <= limits[name] for name in limits), taken
        return done, taken

    async def claimer(db: Database, name: str) -> None:
        nonlocal total
        while len(given) < 200:
            limit = chance.randint(1, 4)
            done, taken = await db.write(lambda tx, limit=limit: claim(tx, name, limit))
            given.extend(done.reserved)
            for session_id, count in taken.items():
                fullest[session_id] = max(fullest[session_id], count)
            total = max(total, sum(taken.values()))
            for task in done.reserved:
                assert task.owner == name
                await db.write(lambda tx, task=task: release(tx, task.id))

    async def main() -> None:
        async with engine.open() as one, engine.open() as two:
            doors = (one, two) if engine.name == "postgres" else (one, one)
            await one.write(lambda tx: [add_session(tx, name, slots) for name, slots in limits.items()])
            await queue_tasks(one, 200)
            async with asyncio.timeout(60):
                await asyncio.gather(*(claimer(doors[n % 2], f"node_{n}") for n in range(64)))
            counts = await one.read(lambda tx: tx.one("slot_counts"))
            assert counts == {"total": 9, "taken": 0}

    run(main())
    assert Counter(task.id for task in given).most_common(1)[0][1] == 1
    assert len(given) == 200
    assert fullest == limits
    assert total == 9
    served = Counter(task.session_id for task in given)
    assert served.keys() == limits.keys()
    assert min(served.values()) >= 10


def test_tasks_go_in_the_order_they_are_due_to_the_session_idle_longest(engine: Engine) -> None:
    async def main() -> None:
        async with engine.open() as db:
            await seed_sessions(db, 4, slots=2)
            waiting = await queue_tasks(db, 10)
            order = []
            for n in range(8):
                [task] = (await reserve(db, now=NOW + n, limit=1)).reserved
                order.append((task.id, task.session_id))
            assert order == [(waiting[n].id, f"session_{n % 4}") for n in range(8)]
            assert (await reserve(db, now=NOW + 99)).reserved == ()
            # The one that is freed first is not the one that gets the next task: the idlest free one is.
            await db.write(lambda tx: release(tx, waiting[7].id))
            await db.write(lambda tx: release(tx, waiting[4].id))
            [task] = (await reserve(db, now=NOW + 100, limit=1)).reserved
            assert task.session_id == "session_0"

    run(main())


def test_one_round_spreads_before_it_piles_up(engine: Engine) -> None:
    async def main() -> Counter[str | None]:
        async with engine.open() as db:
            await seed_sessions(db, 3, slots=4)
            await queue_tasks(db, 6)
            return Counter(task.session_id for task in (await reserve(db)).reserved)

    assert run(main()) == {"session_0": 2, "session_1": 2, "session_2": 2}


def test_a_reserved_task_says_who_has_it_and_why(engine: Engine) -> None:
    async def main() -> None:
        async with engine.open() as db:
            await seed_sessions(db, 1)
            await queue_tasks(db, 1)
            [task] = (await reserve(db, "node_x")).reserved
            assert (task.stage, task.owner, task.session_id) == (Stage.SUBMITTING, "node_x", "session_0")
            assert task.work is None
            assert await db.read(lambda tx: tasks.get(tx, task.id)) == task
            event = (await db.read(lambda tx: tasks.events(tx, task.id)))[-1]
            assert event.name == "task.reserved"
            assert (event.data["session_id"], event.data["slot"]) == ("session_0", 1)

    run(main())


def test_what_is_not_due_waits(engine: Engine) -> None:
    async def main() -> None:
        async with engine.open() as db:
            await seed_sessions(db, 1)
            await queue_tasks(db, 1, now=NOW + 10)
            assert (await reserve(db, now=NOW + 9)).reserved == ()
            assert len((await reserve(db, now=NOW + 10)).reserved) == 1

    run(main())


def cool(tx: Tx) -> None:
    sessions.suffer(tx, "session_0", RISK, now=NOW)


def expire(tx: Tx) -> None:
    sessions.suffer(tx, "session_0", Failure(ErrorKind.AUTH, "1015", "log in"), now=NOW)


def block(tx: Tx) -> None:
    sessions.suffer(tx, "session_0", Failure(ErrorKind.ACCOUNT_BLOCKED, "1", "gone"), now=NOW)


def disable(tx: Tx) -> None:
    sessions.configure(tx, "session_0", label="", enabled=False, slots=2, route=Route.AUTO, now=NOW)


def remove(tx: Tx) -> None:
    tx.run("session_remove", id="session_0", now=NOW)
    tx.run("slot_trim", session_id="session_0", slots=0)


def shut(tx: Tx) -> None:
    sessions.configure(tx, "session_0", label="", enabled=True, slots=0, route=Route.AUTO, now=NOW)


@pytest.mark.parametrize("why", [cool, expire, block, disable, remove, shut])
def test_a_session_that_may_not_serve_is_never_chosen(engine: Engine, why: object) -> None:
    async def main() -> None:
        async with engine.open() as db:
            await seed_sessions(db, 2, slots=2)
            await queue_tasks(db, 5)
            await db.write(why)  # type: ignore[arg-type]
            done = await reserve(db)
            assert [task.session_id for task in done.reserved] == ["session_1"] * 2
            assert (await reserve(db)).reserved == ()

    run(main())


def test_a_session_that_recovers_serves_again(engine: Engine) -> None:
    async def main() -> None:
        async with engine.open() as db:
            await seed_sessions(db, 1)
            await queue_tasks(db, 1)
            await db.write(cool)
            assert (await reserve(db)).reserved == ()
            await db.write(lambda tx: sessions.recover(tx, "session_0", now=NOW))
            assert len((await reserve(db)).reserved) == 1

    run(main())


def test_a_limit_lowered_while_slots_are_taken(engine: Engine) -> None:
    async def main() -> None:
        async with engine.open() as db:
            await seed_sessions(db, 1, slots=3)
            await queue_tasks(db, 9)
            held = list((await reserve(db)).reserved)
            assert len(held) == 3
            await db.write(
                lambda tx: sessions.configure(
                    tx, "session_0", label="", enabled=True, slots=1, route=Route.AUTO, now=NOW
                )
            )
            for left in (2, 1):
                await db.write(lambda tx: release(tx, held.pop(0).id))
                assert (await reserve(db)).reserved == (), f"{left} still run, one may"
            await db.write(lambda tx: release(tx, held.pop(0).id))
            assert len((await reserve(db)).reserved) == 1
            assert (await reserve(db)).reserved == ()
            assert await db.read(lambda tx: tx.one("slot_counts")) == {"total": 1, "taken": 1}
            await db.write(
                lambda tx: sessions.configure(
                    tx, "session_0", label="", enabled=True, slots=4, route=Route.AUTO, now=NOW
                )
            )
            assert len((await reserve(db)).reserved) == 3
            assert (await reserve(db)).reserved == ()
            assert await db.read(lambda tx: tx.one("slot_counts")) == {"total": 4, "taken": 4}

    run(main())


def test_limits_that_change_while_sixteen_claim(engine: Engine) -> None:
    """Changing a limit and reserving exclude each other: no claimer finds a slot gone that it has counted."""
    chance = random.Random(3)

    async def claimer(db: Database, name: str) -> None:
        for _ in range(12):
            done = await reserve(db, name, limit=2)
            for task in done.reserved:
                await db.write(lambda tx, task=task: release(tx, task.id))

    async def operator(db: Database) -> None:
        for _ in range(40):
            name, slots = f"session_{chance.randrange(3)}", chance.randrange(4)
            await db.write(
                lambda tx, name=name, slots=slots: sessions.configure(
                    tx, name, label="", enabled=True, slots=slots, route=Route.AUTO, now=NOW
                )
            )

    async def main() -> None:
        async with engine.open() as one, engine.open() as two:
            doors = (one, two) if engine.name == "postgres" else (one, one)
            await seed_sessions(one, 3)
            await queue_tasks(one, 300)
            await asyncio.gather(
                operator(two if engine.name == "postgres" else one),
                *(claimer(doors[n % 2], f"node_{n}") for n in range(16)),
            )
            assert await one.read(lambda tx: tx.all("slot_leaks")) == []

    run(main())


def test_a_session_that_refused_a_task_does_not_get_it_again(engine: Engine) -> None:
    async def main() -> None:
        async with engine.open() as db:
            await seed_sessions(db, 2)
            waiting = await queue_tasks(db, 3)
            await bar(db, waiting[:1], "session_0")
            await bar(db, waiting[1:2], "session_0", failure=Failure(ErrorKind.NETWORK, "reset", "reset"))
            done = await reserve(db)
            placed = {task.id: task.session_id for task in done.reserved}
            assert placed[waiting[0].id] == "session_1"
            assert placed[waiting[1].id] == "session_0", "a lost connection says nothing against a session"

    run(main())


def test_a_task_that_every_session_refused_fails_with_the_last_reason(engine: Engine) -> None:
    async def main() -> None:
        async with engine.open() as db:
            await seed_sessions(db, 3)
            await db.write(
                lambda tx: sessions.configure(
                    tx, "session_2", label="", enabled=False, slots=2, route=Route.AUTO, now=NOW
                )
            )
            waiting = await queue_tasks(db, 2)
            await bar(db, waiting[:1], "session_0", "session_1")
            done = await reserve(db)
            [failed] = done.failed
            assert failed.id == waiting[0].id
            assert failed.failure is not None
            assert (failed.failure.kind, failed.failure.code) == (ErrorKind.RISK, "1019")
            assert "2 tried" in failed.failure.message
            assert "the account was refused" in failed.failure.message
            assert (await db.read(lambda tx: tasks.get(tx, failed.id))) == failed
            assert [task.id for task in done.reserved] == [waiting[1].id]

    run(main())


def test_a_task_whose_only_other_session_rests_waits_for_it(engine: Engine) -> None:
    async def main() -> None:
        async with engine.open() as db:
            await seed_sessions(db, 2)
            [task] = await queue_tasks(db, 1)
            await bar(db, [task], "session_1")
            await db.write(cool)
            done = await reserve(db)
            assert (done.reserved, done.failed) == ((), ())
            await db.write(lambda tx: sessions.recover(tx, "session_0", now=NOW))
            later = NOW + reservation.STEP_BACK_MS
            [taken] = (await reserve(db, now=later)).reserved
            assert taken.session_id == "session_0"

    run(main())


def test_two_hundred_tasks_that_nobody_free_may_take_do_not_hold_up_the_next(engine: Engine) -> None:
    """`more` says when another round at once may help; following it must reach the one that can be served."""

    async def main() -> None:
        async with engine.open() as db:
            await seed_sessions(db, 2, slots=1)
            waiting = await queue_tasks(db, 201)
            await bar(db, waiting[:200], "session_1")
            await db.write(cool)
            done = await reserve(db)
            for _ in range(20):
                if done.reserved or not done.more:
                    break
                done = await reserve(db)
            assert [task.id for task in done.reserved] == [waiting[200].id]
            assert done.reserved[0].session_id == "session_1"

    run(main())


def test_rounds_that_only_pass_tasks_over_come_to_an_end(engine: Engine) -> None:
    async def main() -> int:
        async with engine.open() as db:
            await seed_sessions(db, 2, slots=1)
            await bar(db, await queue_tasks(db, 70), "session_1")
            await db.write(cool)
            rounds = 1
            while (await reserve(db)).more:
                rounds += 1
                assert rounds < 10
            return rounds

    assert run(main()) == 3


def test_a_full_round_asks_for_another_and_an_idle_one_does_not(engine: Engine) -> None:
    async def main() -> list[tuple[int, bool]]:
        async with engine.open() as db:
            await seed_sessions(db, 3, slots=2)
            await queue_tasks(db, 5)
            rounds = [await reserve(db, limit=2) for _ in range(4)]
            return [(len(done.reserved), done.more) for done in rounds]

    assert run(main()) == [(2, True), (2, True), (1, False), (0, False)]


def test_a_slot_goes_back_with_the_refusal_and_the_session_rests(engine: Engine) -> None:
    """What the submit step writes after a refusal is one transaction: no task, no slot, no ready session."""

    async def main() -> None:
        async with engine.open() as db:
            await seed_sessions(db, 2, slots=1)
            await queue_tasks(db, 2)
            first = (await reserve(db, limit=1)).reserved[0]
            sent = await db.write(lambda tx: intend(tx, first))

            def refuse(tx: Tx) -> None:
                assert sent.submit_id is not None
                submissions.settle(tx, sent.submit_id, SubmissionState.REFUSED, now=NOW, failure=RISK)
                tasks.change(
                    tx,
                    sent.id,
                    lambda task: lifecycle.refuse(task, RISK, policy.TryAgain(0), now=NOW),
                    now=NOW,
                )
                sessions.suffer(tx, "session_0", RISK, now=NOW)

            await db.write(refuse)
            session = await db.read(lambda tx: sessions.get(tx, "session_0"))
            assert session is not None
            assert (session.state, session.slots_taken) == (SessionState.COOLING, 0)
            done = await reserve(db, now=NOW + 1)
            assert [task.session_id for task in done.reserved] == ["session_1"]

    run(main())
