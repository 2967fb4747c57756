"""The same request sent again makes no second task, however the two meet; different requests never meet."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.aio import run
from support.database import AnyDatabase, Engine
from support.factories import make_task

from jimeng_gateway.domain.lifecycle import Change
from jimeng_gateway.domain.order import (
    BACK_AFTER_MS,
    KEEP_TOKEN_MS,
    KEEP_TRIES_MS,
    Intent,
    TaskRemoved,
    TokenReused,
)
from jimeng_gateway.domain.task import Stage
from jimeng_gateway.store import intents, tasks
from jimeng_gateway.store.database import Tx

NOW = 2 * KEEP_TOKEN_MS
KEYED = Intent("print", arrived_at=NOW, token="once")
FIRST = Intent("print", arrived_at=NOW, attempt=0)

#: Both engines are asked the same, each example about content of its own.
few = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
_numbers = itertools.count()


def place(tx: Tx, task_id: str, intent: Intent, *, now: int, key_id: str = "key_a") -> str:
    """What the facade does in one transaction."""
    known = intents.find(tx, key_id, intent, now=now)
    if known is None:
        tasks.insert(tx, make_task(id=task_id, key_id=key_id), {})
        intents.remember(tx, key_id, task_id, intent, now=now)
    return known or task_id


async def placed(
    db: AnyDatabase, task_id: str, intent: Intent, *, now: int = NOW, key_id: str = "key_a"
) -> str:
    return await db.write(lambda tx: place(tx, task_id, intent, now=now, key_id=key_id))


# ── by Idempotency-Key ───────────────────────────────────────────────────────────────────────────────


def test_the_same_key_and_content_is_the_same_task_for_a_day(engine: Engine) -> None:
    async def main() -> None:
        async with engine.open() as db:
            assert await placed(db, "task_1", KEYED) == "task_1"
            assert await placed(db, "task_2", KEYED, now=NOW + KEEP_TOKEN_MS - 1) == "task_1"
            assert await placed(db, "task_3", KEYED, now=NOW + KEEP_TOKEN_MS) == "task_3"
            assert await placed(db, "task_4", KEYED, now=NOW + KEEP_TOKEN_MS) == "task_3"

    run(main())


def test_the_same_key_with_other_content_is_refused(engine: Engine) -> None:
    async def main() -> None:
        async with engine.open() as db:
            await placed(db, "task_1", KEYED)
            with pytest.raises(TokenReused):
                await placed(db, "task_2", replace(KEYED, fingerprint="other"))
            assert await db.read(lambda tx: tasks.get(tx, "task_2")) is None

    run(main())


def test_a_key_belongs_to_the_caller_who_sent_it(engine: Engine) -> None:
    async def main() -> None:
        async with engine.open() as db:
            await placed(db, "task_1", KEYED)
            other = replace(KEYED, fingerprint="other")
            assert await placed(db, "task_2", other, key_id="key_b") == "task_2"
            assert await placed(db, "task_3", KEYED) == "task_1"

    run(main())


def test_of_many_at_the_same_moment_one_makes_the_task(engine: Engine) -> None:
    async def main() -> None:
        async with engine.open() as one, engine.open() as two:
            calls = [placed(db, f"task_{number}", KEYED) for number, db in enumerate((one, two) * 8)]
            found = await asyncio.gather(*calls)
            assert len(set(found)) == 1
            assert engine.query("SELECT count(*) FROM task") == [(1,)]

    run(main())


def test_many_that_come_as_the_day_ends_make_one_more(engine: Engine) -> None:
    """The clocks of two nodes differ by a little, so for one of them the key still stands."""

    async def main() -> None:
        async with engine.open() as one, engine.open() as two:
            await placed(one, "task_old", KEYED)
            end = NOW + KEEP_TOKEN_MS
            calls = [
                placed(db, f"task_{number}", KEYED, now=end - late)
                for number, (db, late) in enumerate([(one, 0), (two, 1)] * 6)
            ]
            found = set(await asyncio.gather(*calls)) - {"task_old"}
            assert len(found) == 1
            assert engine.query("SELECT count(*) FROM task") == [(2,)]
            assert engine.query("SELECT task_id FROM intent") == [(found.pop(),)]

    run(main())


def test_of_many_repetitions_at_the_same_moment_each_finds_a_task_of_its_own(engine: Engine) -> None:
    async def main() -> None:
        async with engine.open() as one, engine.open() as two:
            first = {await placed(one, f"task_{number}", FIRST) for number in range(8)}
            again = replace(FIRST, attempt=1)
            calls = [placed(db, f"more_{number}", again) for number, db in enumerate((one, two) * 4)]
            assert set(await asyncio.gather(*calls)) == first

    run(main())


def test_a_key_whose_task_was_deleted_makes_no_other_one(engine: Engine) -> None:
    async def main() -> None:
        async with engine.open() as db:
            await placed(db, "task_1", KEYED)
            await ended(db, "task_1", Stage.SUCCEEDED, removed=True)
            with pytest.raises(TaskRemoved, match="task_1"):
                await placed(db, "task_2", KEYED)
            assert engine.query("SELECT id FROM task") == [("task_1",)]

    run(main())


# ── by content ───────────────────────────────────────────────────────────────────────────────────────


def test_a_counted_repetition_is_the_same_task_for_a_while(engine: Engine) -> None:
    async def main() -> None:
        async with engine.open() as db:
            assert await placed(db, "task_1", FIRST) == "task_1"
            again = replace(FIRST, attempt=1)
            assert await placed(db, "task_2", again, now=NOW + 1000) == "task_1"
            later = NOW + KEEP_TRIES_MS
            late = replace(FIRST, attempt=2, arrived_at=later)
            assert await placed(db, "task_3", late, now=later) == "task_3"

    run(main())


def test_two_who_want_the_same_get_two(engine: Engine) -> None:
    async def main() -> None:
        async with engine.open() as db:
            assert await placed(db, "task_1", FIRST) == "task_1"
            assert await placed(db, "task_2", FIRST) == "task_2"
            again = replace(FIRST, attempt=1)
            found = [await placed(db, f"task_{n}", again, now=NOW + n) for n in (3, 4)]
            assert sorted(found) == ["task_1", "task_2"], "each repetition finds its own"

    run(main())


def test_a_repetition_may_overtake_the_first_try(engine: Engine) -> None:
    async def main() -> None:
        async with engine.open() as db:
            again = replace(FIRST, attempt=1, arrived_at=NOW + 500)
            assert await placed(db, "task_1", again, now=NOW + 600) == "task_1"
            assert await placed(db, "task_2", FIRST, now=NOW + 900) == "task_1", "it was on its way before"
            new = replace(FIRST, arrived_at=NOW + 700)
            assert await placed(db, "task_3", new, now=NOW + 900) == "task_3", "it came after: another wish"

    run(main())


def test_other_content_or_another_caller_is_another_wish(engine: Engine) -> None:
    async def main() -> None:
        async with engine.open() as db:
            await placed(db, "task_1", FIRST)
            again = replace(FIRST, attempt=1)
            assert await placed(db, "task_2", replace(again, fingerprint="other")) == "task_2"
            assert await placed(db, "task_3", again, key_id="key_b") == "task_3"

    run(main())


def test_clients_that_do_not_count_are_never_taken_for_each_other(engine: Engine) -> None:
    async def main() -> None:
        async with engine.open() as db:
            plain = Intent("print", arrived_at=NOW)
            assert [await placed(db, f"task_{n}", plain) for n in (1, 2)] == ["task_1", "task_2"]
            assert engine.query("SELECT count(*) FROM intent") == [(0,)]

    run(main())


@pytest.mark.parametrize(
    "again",
    [
        Intent("print", arrived_at=NOW + 500, attempt=1, request_id="req_2"),
        Intent(
            "print",
            arrived_at=NOW + 500,
            peer="conn_2",
            pauses=BACK_AFTER_MS["volc-sdk-python/"],
            request_id="req_2",
        ),
    ],
    ids=["counted", "unmarked"],
)
def test_a_transaction_that_runs_again_finds_what_it_found(engine: Engine, again: Intent) -> None:
    """As after a COMMIT whose answer was lost: the first run is in the database already."""

    async def main() -> None:
        async with engine.open() as db:
            first = replace(again, attempt=0 if again.attempt else None, arrived_at=NOW, request_id="req_1")
            first = replace(first, peer=again.peer and "conn_1")
            assert await placed(db, "task_1", first) == "task_1"
            await answered(db, "task_1", first, now=NOW)
            assert await placed(db, "task_2", again, now=NOW + 500) == "task_1"
            assert await placed(db, "task_2", again, now=NOW + 600) == "task_1"
            assert engine.query("SELECT id FROM task") == [("task_1",)]

    run(main())


def test_a_later_try_that_made_its_task_finds_it_when_it_runs_again(engine: Engine) -> None:
    async def main() -> None:
        async with engine.open() as db:
            second = replace(FIRST, attempt=1, request_id="req_2")
            assert await placed(db, "task_1", second) == "task_1"
            other = replace(FIRST, arrived_at=NOW + 10, request_id="req_3")
            assert await placed(db, "task_2", other, now=NOW + 10) == "task_2", "another wish, meanwhile"
            assert await placed(db, "task_1", second, now=NOW + 20) == "task_1"

    run(main())


def test_who_has_deleted_a_task_wants_another_one(engine: Engine) -> None:
    async def main() -> None:
        async with engine.open() as db:
            await placed(db, "task_1", FIRST)
            await ended(db, "task_1", Stage.SUCCEEDED, removed=True)
            assert await placed(db, "task_2", replace(FIRST, attempt=1)) == "task_2"

    run(main())


@few
@given(arrived=st.lists(st.lists(st.booleans(), min_size=3, max_size=3), min_size=1, max_size=4))
def test_every_wish_makes_one_task_whatever_was_lost(engine: Engine, arrived: list[list[bool]]) -> None:
    """Some callers want the same and try three times each; not every try arrives."""
    number = next(_numbers)

    async def main() -> set[str]:
        found = set()
        async with engine.open() as db:
            tries = [(n, caller) for n in range(3) for caller, came in enumerate(arrived) if came[n]]
            for place_in_line, (attempt, caller) in enumerate(tries):
                now = NOW + place_in_line
                intent = Intent(f"print {number}", arrived_at=now, attempt=attempt)
                found.add(await placed(db, f"task_{number}_{attempt}_{caller}", intent, now=now))
        return found

    most_at_once = max(sum(came[n] for came in arrived) for n in range(3))
    assert most_at_once <= len(run(main())) <= sum(any(came) for came in arrived)


# ── by content and connection, from clients that do not say that they repeat ─────────────────────────


ARK = Intent("print", arrived_at=NOW, peer="127.0.0.1 40001", pauses=BACK_AFTER_MS["volc-sdk-python/"])


async def ended(db: AnyDatabase, task_id: str, stage: Stage, *, removed: bool = False) -> None:
    def body(tx: Tx) -> None:
        tasks.change(
            tx,
            task_id,
            lambda task: Change(replace(task, stage=stage, due_at=None, finished_at=NOW)),
            now=NOW,
        )
        if removed:
            assert tx.run("task_remove", id=task_id, now=NOW) == 1

    await db.write(body)


async def answered(db: AnyDatabase, task_id: str, intent: Intent, *, now: int, lost: bool = False) -> None:
    await db.write(lambda tx: intents.answered(tx, task_id, intent, now=now, lost=lost))


def later(intent: Intent, ms: int, port: int) -> Intent:
    return replace(intent, arrived_at=NOW + ms, peer=f"127.0.0.1 {port}")


@pytest.mark.parametrize(
    ("ms", "port", "known"),
    [
        (375, 40_002, True),
        (1_000, 40_002, True),
        # At once: the caller had its answer and wants another one.
        (20, 40_002, False),
        # On the same connection: it had its answer there.
        (500, 40_001, False),
        # Somebody who wants the same again.
        (3_100, 40_002, False),
    ],
)
def test_a_client_that_is_back_just_after_its_answer_never_had_it(
    engine: Engine, ms: int, port: int, known: bool
) -> None:
    async def main() -> None:
        async with engine.open() as db:
            await placed(db, "task_1", ARK)
            await answered(db, "task_1", ARK, now=NOW)
            again = later(ARK, ms, port)
            assert await placed(db, "task_2", again, now=NOW + ms) == ("task_1" if known else "task_2")

    run(main())


def test_it_is_known_a_third_time_too_and_by_nobody_else(engine: Engine) -> None:
    async def main() -> None:
        async with engine.open() as db:
            await placed(db, "task_1", ARK)
            await answered(db, "task_1", ARK, now=NOW)
            second, third = later(ARK, 400, 40_002), later(ARK, 1_300, 40_003)
            assert await placed(db, "task_2", second, now=NOW + 400) == "task_1"
            other = replace(second, peer="127.0.0.1 50001")
            assert await placed(db, "task_3", other, now=NOW + 401) == "task_3", "one came back, not two"
            await answered(db, "task_1", second, now=NOW + 410)
            assert await placed(db, "task_4", third, now=NOW + 1_300) == "task_1"

    run(main())


def test_a_client_that_was_seen_to_go_is_known_when_it_is_back(engine: Engine) -> None:
    async def main() -> None:
        async with engine.open() as db:
            await placed(db, "task_1", ARK)
            assert await placed(db, "task_2", later(ARK, 400, 40_002), now=NOW) == "task_2", (
                "it is still there"
            )
            await answered(db, "task_1", ARK, now=NOW + 5_000, lost=True)
            back = later(ARK, 5_400, 40_003)
            assert await placed(db, "task_3", back, now=NOW + 5_400) == "task_1"

    run(main())


def test_who_was_answered_on_a_connection_that_is_open_still_has_the_answer(engine: Engine) -> None:
    async def main() -> None:
        async with engine.open() as db:
            await placed(db, "task_1", ARK)
            await answered(db, "task_1", ARK, now=NOW)
            pooled = replace(later(ARK, 500, 40_002), open_peers=frozenset({ARK.peer}))
            assert await placed(db, "task_2", pooled, now=NOW + 500) == "task_2"

    run(main())


def test_where_every_connection_ends_its_end_says_nothing(engine: Engine) -> None:
    async def main() -> None:
        async with engine.open() as db:
            closing = replace(ARK, pauses=())
            await placed(db, "task_1", closing)
            await answered(db, "task_1", closing, now=NOW)
            assert await placed(db, "task_2", later(closing, 500, 40_002), now=NOW + 500) == "task_2"
            await answered(db, "task_1", closing, now=NOW + 600, lost=True)
            again = later(closing, 1_000, 40_003)
            assert await placed(db, "task_3", again, now=NOW + 1_000) == "task_1", "it was seen to go"

    run(main())


@pytest.mark.parametrize("removed", [False, True])
def test_who_has_cancelled_a_task_had_its_id(engine: Engine, *, removed: bool) -> None:
    async def main() -> None:
        async with engine.open() as db:
            await placed(db, "task_1", ARK)
            await answered(db, "task_1", ARK, now=NOW)
            await ended(db, "task_1", Stage.CANCELLED, removed=removed)
            assert await placed(db, "task_2", later(ARK, 500, 40_002), now=NOW + 500) == "task_2"

    run(main())


def test_what_no_request_can_mean_any_more_is_forgotten(engine: Engine) -> None:
    async def main() -> None:
        async with engine.open() as db:
            await placed(db, "task_1", KEYED)
            await placed(db, "task_2", replace(KEYED, token="twice"), now=NOW + 1)
            await db.write(lambda tx: intents.forget(tx, now=NOW + KEEP_TOKEN_MS))
            assert engine.query("SELECT task_id FROM intent") == [("task_2",)]

    run(main())
