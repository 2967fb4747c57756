"""Claims besides reservation: cancellations with a time-out, polls one node at a time, downloads once."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace

import pytest
from support.aio import run
from support.clock import START_MS
from support.database import Engine
from support.factories import add_node, finish, in_flight, intend, queue_tasks, reserve, seed_sessions

from jimeng_gateway.domain import lifecycle
from jimeng_gateway.domain.errors import ErrorKind, Failure
from jimeng_gateway.domain.lifecycle import Change
from jimeng_gateway.store import submissions, tasks
from jimeng_gateway.store.database import Database, Row, Tx
from jimeng_gateway.store.submissions import CancelState, Submission, SubmissionState

NOW = START_MS


def two_doors(engine: Engine, one: Database, two: Database) -> tuple[Database, Database]:
    """Two nodes on PostgreSQL; SQLite has one writing process."""
    return (one, two) if engine.name == "postgres" else (one, one)


# ── cancellations ────────────────────────────────────────────────────────────────────────────────────


def claim_cancels(tx: Tx, *, now: int, limit: int = 10) -> list[Submission]:
    return submissions.claim_cancels(tx, now=now, again_at=now + 60_000, limit=limit)


def test_a_claimed_cancellation_comes_back_only_after_its_time(engine: Engine) -> None:
    async def main() -> None:
        async with engine.open() as db:
            await seed_sessions(db, 1)
            [task] = await in_flight(db, 1)
            submit_id = task.submit_id or ""
            assert await db.write(lambda tx: claim_cancels(tx, now=NOW)) == []
            await db.write(lambda tx: submissions.want_cancel(tx, submit_id, now=NOW))
            [claimed] = await db.write(lambda tx: claim_cancels(tx, now=NOW))
            assert (claimed.submit_id, claimed.task_id, claimed.session_id) == (
                submit_id,
                task.id,
                "session_0",
            )
            assert (claimed.state, claimed.cancel_tries) == (SubmissionState.ACCEPTED, 1)
            assert await db.write(lambda tx: claim_cancels(tx, now=NOW + 59_999)) == []
            [again] = await db.write(lambda tx: claim_cancels(tx, now=NOW + 60_000))
            assert again.cancel_tries == 2
            await db.write(
                lambda tx: tx.run("submission_cancelled", submit_id=submit_id, cancel_state=CancelState.DONE)
            )
            assert await db.write(lambda tx: claim_cancels(tx, now=NOW + 999_999)) == []
            # Wanted once is enough: what was cancelled is not cancelled again.
            await db.write(lambda tx: submissions.want_cancel(tx, submit_id, now=NOW))
            assert await db.write(lambda tx: claim_cancels(tx, now=NOW + 999_999)) == []

    run(main())


def test_a_cancellation_put_off_is_due_then(engine: Engine) -> None:
    async def main() -> None:
        async with engine.open() as db:
            await seed_sessions(db, 1)
            [task] = await in_flight(db, 1)
            submit_id = task.submit_id or ""
            await db.write(lambda tx: submissions.want_cancel(tx, submit_id, now=NOW))
            await db.write(lambda tx: claim_cancels(tx, now=NOW))
            await db.write(lambda tx: tx.run("submission_cancel_later", submit_id=submit_id, due_at=NOW + 5))
            assert await db.write(lambda tx: claim_cancels(tx, now=NOW + 4)) == []
            assert len(await db.write(lambda tx: claim_cancels(tx, now=NOW + 5))) == 1

    run(main())


def test_two_claimers_never_get_the_same_cancellation(engine: Engine) -> None:
    async def main() -> None:
        async with engine.open() as one, engine.open() as two:
            await seed_sessions(one, 1, slots=60)
            flying = await in_flight(one, 60)

            def want(tx: Tx) -> None:
                for task in flying:
                    submissions.want_cancel(tx, task.submit_id or "", now=NOW)

            await one.write(want)
            doors = two_doors(engine, one, two)
            claimed = await asyncio.gather(
                *(doors[n % 2].write(lambda tx: claim_cancels(tx, now=NOW, limit=7)) for n in range(30))
            )
        counts = Counter(submission.submit_id for batch in claimed for submission in batch)
        assert max(len(batch) for batch in claimed) <= 7
        assert counts == {task.submit_id: 1 for task in flying}

    run(main())


@pytest.mark.parametrize(
    ("state", "wanted"),
    [
        (SubmissionState.INTENDED, True),
        (SubmissionState.UNCERTAIN, True),
        (SubmissionState.ACCEPTED, True),
        (SubmissionState.REFUSED, False),
        (SubmissionState.ABSENT, False),
    ],
)
def test_only_what_may_exist_upstream_is_cancelled_there(
    engine: Engine, state: SubmissionState, wanted: bool
) -> None:
    async def main() -> None:
        async with engine.open() as db:
            await seed_sessions(db, 1)
            await queue_tasks(db, 1)
            [task] = (await reserve(db)).reserved
            sent = await db.write(lambda tx: intend(tx, task, "sub-1"))
            if state is not SubmissionState.INTENDED:
                await db.write(lambda tx: submissions.settle(tx, "sub-1", state, now=NOW))
            await db.write(lambda tx: submissions.want_cancel(tx, sent.submit_id or "", now=NOW))
            assert bool(await db.write(lambda tx: claim_cancels(tx, now=NOW))) is wanted

    run(main())


def test_a_submission_remembers_how_it_went(engine: Engine) -> None:
    quota = Failure(ErrorKind.QUOTA, "1006", "no credits")

    async def main() -> None:
        async with engine.open() as db:
            await seed_sessions(db, 1)
            await queue_tasks(db, 1)
            [task] = (await reserve(db)).reserved
            assert await db.read(lambda tx: submissions.get(tx, "sub-1")) is None
            await db.write(lambda tx: intend(tx, task, "sub-1"))
            made = await db.read(lambda tx: submissions.get(tx, "sub-1"))
            assert made == Submission(
                "sub-1", task.id, "session_0", 1, SubmissionState.INTENDED, NOW, None, None, cancel_tries=0
            )
            assert await db.read(lambda tx: submissions.last_failure(tx, task.id)) is None
            await db.write(
                lambda tx: submissions.settle(tx, "sub-1", SubmissionState.REFUSED, now=NOW, failure=quota)
            )
            assert await db.read(lambda tx: submissions.last_failure(tx, task.id)) == quota
            [refusal] = await db.read(lambda tx: submissions.refusals(tx, task.id))
            assert (refusal.session_id, refusal.kind) == ("session_0", ErrorKind.QUOTA)
            await db.write(
                lambda tx: submissions.settle(tx, "sub-1", SubmissionState.ACCEPTED, now=NOW, history_id="h9")
            )
            settled = await db.read(lambda tx: submissions.get(tx, "sub-1"))
            assert settled is not None
            assert (settled.state, settled.history_id) == (SubmissionState.ACCEPTED, "h9")

    run(main())


# ── polls ────────────────────────────────────────────────────────────────────────────────────────────

LATER = NOW + 60_000


def claim_polls(tx: Tx, owner: str, *, now: int = LATER, limit: int = 64) -> list[Row]:
    return tx.all("poll_claim", owner=owner, now=now, limit=limit)


def release_poll(tx: Tx, session_id: str, owner: str, *, until: int) -> int:
    return tx.run("poll_release", id=session_id, owner=owner, poll_after=until, poll_errors=0)


async def flying(db: Database, sessions: int, each: int = 2) -> None:
    """So many sessions with that many tasks in `polling`."""
    await seed_sessions(db, sessions, slots=each)
    await in_flight(db, sessions * each)


def test_a_session_is_polled_by_one_node_at_a_time(engine: Engine) -> None:
    async def main() -> None:
        async with engine.open() as one, engine.open() as two:
            await flying(one, 20)
            doors = two_doors(engine, one, two)
            claimed = await asyncio.gather(
                *(
                    doors[n % 2].write(lambda tx, n=n: claim_polls(tx, f"node_{n % 2}", limit=3))
                    for n in range(40)
                )
            )
        assert Counter(row["id"] for batch in claimed for row in batch) == {
            f"session_{n}": 1 for n in range(20)
        }
        assert max(len(batch) for batch in claimed) <= 3

    run(main())


def test_a_session_is_due_again_after_its_gap_and_only_its_owner_may_release_it(engine: Engine) -> None:
    async def main() -> None:
        async with engine.open() as db:
            await flying(db, 1)
            assert await db.write(lambda tx: claim_polls(tx, "node_a", now=NOW)) == [], "nothing is due yet"
            assert await db.read(lambda tx: tx.one("poll_due", now=NOW)) is None
            assert await db.read(lambda tx: tx.one("poll_due", now=LATER)) == {"one": 1}
            [row] = await db.write(lambda tx: claim_polls(tx, "node_a"))
            assert row == {"id": "session_0", "poll_errors": 0}
            assert await db.write(lambda tx: claim_polls(tx, "node_b")) == []
            assert await db.write(lambda tx: release_poll(tx, "session_0", "node_b", until=0)) == 0
            assert await db.write(lambda tx: claim_polls(tx, "node_b")) == []
            await db.write(lambda tx: release_poll(tx, "session_0", "node_a", until=LATER + 500))
            assert await db.write(lambda tx: claim_polls(tx, "node_b", now=LATER + 499)) == []
            assert len(await db.write(lambda tx: claim_polls(tx, "node_b", now=LATER + 500))) == 1

    run(main())


def test_polls_of_dead_nodes_are_freed_and_those_of_the_living_are_not(engine: Engine) -> None:
    async def main() -> None:
        async with engine.open() as db:
            await flying(db, 2)
            await add_node(db, "node_dead", now=LATER - 40_000, lease=30_000)
            await add_node(db, "node_live", now=LATER, lease=30_000)
            [dead] = await db.write(lambda tx: claim_polls(tx, "node_dead", limit=1))
            [live] = await db.write(lambda tx: claim_polls(tx, "node_live", limit=1))
            assert await db.write(lambda tx: tx.run("poll_orphans", now=LATER, me="")) == 1
            freed = await db.write(lambda tx: claim_polls(tx, "node_live"))
            assert [row["id"] for row in freed] == [dead["id"]]
            assert dead["id"] != live["id"]

    run(main())


def test_when_more_sessions_are_due_than_hands_the_longest_due_go_first(engine: Engine) -> None:
    """Ten sessions, three hands: after four rounds each was asked, though the early ones are due again."""

    async def main() -> list[str]:
        asked: list[str] = []
        async with engine.open() as db:
            await flying(db, 10, each=1)
            for turn in range(4):
                now = LATER + turn * 10
                rows = await db.write(lambda tx, now=now: claim_polls(tx, "node_a", now=now, limit=3))

                def answer(tx: Tx, now: int = now, rows: list[Row] = rows) -> None:
                    for row in rows:
                        for found in tx.all("task_pollable", session_id=row["id"], limit=50):
                            tasks.change(
                                tx,
                                found["id"],
                                lambda task: Change(replace(task, due_at=now + 1)),
                                now=now,
                            )
                        release_poll(tx, row["id"], "node_a", until=now + 1)

                await db.write(answer)
                asked += [row["id"] for row in rows]
        return asked

    asked = run(main())
    assert len(asked) == 12
    assert set(asked) == {f"session_{n}" for n in range(10)}


def test_claiming_polls_and_reserving_at_once_do_not_deadlock(postgresql: Engine) -> None:
    """Both write many rows of `session`; a deadlock would be retried, but costs its time-out every time."""
    assert postgresql.server is not None
    deadlocks = f"SELECT deadlocks FROM pg_stat_database WHERE datname = '{postgresql.database_name}'"

    async def poller(db: Database, owner: str) -> None:
        for turn in range(8):
            rows = await db.write(lambda tx: claim_polls(tx, owner))
            for row in reversed(rows):
                await db.write(lambda tx, row=row, turn=turn: release_poll(tx, row["id"], owner, until=turn))

    async def reserver(db: Database, owner: str) -> None:
        for turn in range(8):
            done = await reserve(db, owner, now=LATER + turn, limit=30)

            def end(tx: Tx, ids: tuple[str, ...] = tuple(task.id for task in done.reserved)) -> None:
                for task_id in ids:
                    tasks.change(tx, task_id, lambda task: lifecycle.cancel(task, now=LATER), now=LATER)

            await db.write(end)

    async def main() -> None:
        async with postgresql.open() as one, postgresql.open() as two:
            await seed_sessions(one, 30, slots=3)
            await in_flight(one, 30)
            await queue_tasks(one, 300)
            await asyncio.gather(
                *(poller(db, f"node_{n}") for n in range(3) for db in (one, two)),
                reserver(one, "node_0"),
                reserver(two, "node_1"),
            )

    [(before,)] = postgresql.query(deadlocks)
    run(main())
    postgresql.query("SELECT pg_stat_force_next_flush()")
    assert postgresql.query(deadlocks) == [(before,)]


# ── downloads ────────────────────────────────────────────────────────────────────────────────────────


def test_a_finished_task_is_fetched_by_one_node(engine: Engine) -> None:
    def claim(tx: Tx, owner: str) -> list[str]:
        claimed = []
        for row in tx.all("task_collectable", now=NOW, limit=5):
            task = tasks.with_results(tx, tasks.from_row(row))
            decision = lifecycle.begin_collect(task, owner=owner)
            if decision is not None:
                claimed.append(tasks.apply(tx, task, decision, now=NOW).id)
        return claimed

    async def main() -> None:
        async with engine.open() as one, engine.open() as two:
            await seed_sessions(one, 1, slots=40)
            ready = await in_flight(one, 40)
            await one.write(lambda tx: [finish(tx, task) for task in ready])
            doors = two_doors(engine, one, two)
            claimed: Counter[str] = Counter()
            for _ in range(4):
                batches = await asyncio.gather(
                    *(doors[n % 2].write(lambda tx, n=n: claim(tx, f"node_{n}")) for n in range(16))
                )
                claimed.update(task_id for batch in batches for task_id in batch)
            assert claimed == {task.id: 1 for task in ready}

    run(main())
