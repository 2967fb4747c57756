"""Sessions: what failures do to them, how they come back, and what stays of a removed one."""

from __future__ import annotations

import asyncio

import pytest
from support.aio import run
from support.clock import START_MS
from support.database import AnyDatabase, Engine
from support.factories import add_session, credential, in_flight, seed_sessions

from jimeng_gateway.domain import lifecycle
from jimeng_gateway.domain.errors import ErrorKind, Failure
from jimeng_gateway.domain.route import Route
from jimeng_gateway.domain.session import MINUTE, Account, Session, SessionState
from jimeng_gateway.store import sessions, tasks
from jimeng_gateway.store.database import ConstraintViolated, Tx

NOW = START_MS
RISK = Failure(ErrorKind.RISK, "1019", "the account was refused")
AUTH = Failure(ErrorKind.AUTH, "1015", "log in first")


async def look(db: AnyDatabase, session_id: str = "session_0") -> Session:
    found = await db.read(lambda tx: sessions.get(tx, session_id))
    assert found is not None
    return found


def test_a_new_session_is_ready_with_all_its_slots(engine: Engine) -> None:
    async def main() -> None:
        async with engine.open() as db:
            await seed_sessions(db, 2, slots=3)
            session = await look(db)
            assert session == Session(
                id="session_0",
                label="session_0",
                region="cn",
                enabled=True,
                state=SessionState.READY,
                slots=3,
                created_at=NOW,
                updated_at=NOW,
            )
            assert [found.id for found in await db.read(sessions.find_all)] == ["session_0", "session_1"]
            assert await db.read(lambda tx: sessions.sealed(tx, "session_0")) == sessions.Sealed(
                "sealed-session_0", "print-session_0", "7" * 19, "cn", Route.AUTO
            )
            assert await db.read(lambda tx: sessions.get(tx, "nobody")) is None
            assert await db.read(lambda tx: sessions.sealed(tx, "nobody")) is None

    run(main())


def test_taken_slots_are_counted(engine: Engine) -> None:
    async def main() -> None:
        async with engine.open() as db:
            await seed_sessions(db, 1, slots=3)
            await in_flight(db, 2)
            assert (await look(db)).slots_taken == 2
            assert [s.slots_taken for s in await db.read(sessions.find_all)] == [2]

    run(main())


def test_one_login_is_one_session(engine: Engine) -> None:
    async def main() -> None:
        async with engine.open() as db:
            await seed_sessions(db, 2)
            with pytest.raises(ConstraintViolated):
                await db.write(
                    lambda tx: sessions.insert(
                        tx,
                        session_id="another",
                        label="",
                        region="cn",
                        slots=1,
                        credential=credential("session_0"),
                        now=NOW,
                    )
                )
            with pytest.raises(ConstraintViolated):
                await db.write(
                    lambda tx: sessions.replace_credential(tx, "session_1", credential("session_0"), now=NOW)
                )
            assert (await look(db, "session_1")).updated_at == NOW
            assert len(await db.read(sessions.find_all)) == 2

    run(main())


def test_several_refusals_at_once_are_one_rest(engine: Engine) -> None:
    async def main() -> None:
        async with engine.open() as db:
            await seed_sessions(db, 1)
            answers = await asyncio.gather(
                *(db.write(lambda tx: sessions.suffer(tx, "session_0", RISK, now=NOW)) for _ in range(8))
            )
            assert sum(answer is not None for answer in answers) == 1
            session = await look(db)
            assert (session.state, session.rests) == (SessionState.COOLING, 1)
            assert session.cooling_until == NOW + 15 * MINUTE
            assert (session.reason, session.reason_kind) == ("the account was refused", ErrorKind.RISK)

    run(main())


def test_every_further_rest_is_twice_as_long_until_a_submit_is_taken(engine: Engine) -> None:
    def rested(tx: Tx, now: int) -> int:
        session = sessions.suffer(tx, "session_0", RISK, now=now)
        assert session is not None
        assert session.cooling_until is not None
        sessions.recover(tx, "session_0", now=session.cooling_until, rests=session.rests)
        return session.cooling_until - now

    async def main() -> None:
        async with engine.open() as db:
            await seed_sessions(db, 1)
            now, rests = NOW, []
            for _ in range(7):
                rests.append(await db.write(lambda tx, now=now: rested(tx, now)))
                now += rests[-1]
            assert [rest // MINUTE for rest in rests] == [15, 30, 60, 120, 240, 360, 360]
            assert (await look(db)).rests == 7
            await db.write(lambda tx: tx.run("session_thrives", id="session_0"))
            assert (await look(db)).rests == 0
            assert await db.write(lambda tx, now=now: rested(tx, now)) == 15 * MINUTE

    run(main())


#: Kind of a failure, what the session is afterwards, and for how many minutes.
EFFECTS = [
    (ErrorKind.AUTH, SessionState.EXPIRED, None),
    (ErrorKind.ACCOUNT_BLOCKED, SessionState.BLOCKED, None),
    (ErrorKind.RISK, SessionState.COOLING, 15),
    (ErrorKind.QUOTA, SessionState.COOLING, 60),
    (ErrorKind.RATE_LIMITED, SessionState.COOLING, 1),
    (ErrorKind.CONTENT_REJECTED, SessionState.READY, None),
    (ErrorKind.INVALID_REQUEST, SessionState.READY, None),
    (ErrorKind.MODEL_UNAVAILABLE, SessionState.READY, None),
    (ErrorKind.GENERATION_FAILED, SessionState.READY, None),
    (ErrorKind.NETWORK, SessionState.READY, None),
    (ErrorKind.TIMEOUT, SessionState.READY, None),
    (ErrorKind.UPSTREAM_ERROR, SessionState.READY, None),
    (ErrorKind.UNKNOWN, SessionState.READY, None),
]


def test_what_each_failure_does(engine: Engine) -> None:
    async def main() -> None:
        async with engine.open() as db:
            for kind, state, minutes in EFFECTS:
                await db.write(lambda tx, kind=kind: add_session(tx, kind))
                # A code that speaks of the whole account, where that makes a difference.
                failure = Failure(kind, "121101", "why")
                changed = await db.write(
                    lambda tx, failure=failure: sessions.suffer(tx, failure.kind, failure, now=NOW)
                )
                session = await look(db, kind)
                assert (changed is not None) is (state is not SessionState.READY), kind
                assert session.state is state, kind
                assert session.cooling_until == (None if minutes is None else NOW + minutes * MINUTE), kind

    run(main())
    assert {kind for kind, _, _ in EFFECTS} == set(ErrorKind)


def test_a_dead_login_stays_dead_until_it_is_replaced(engine: Engine) -> None:
    async def main() -> None:
        async with engine.open() as db:
            await seed_sessions(db, 1)
            await db.write(lambda tx: sessions.suffer(tx, "session_0", RISK, now=NOW))
            await db.write(lambda tx: sessions.suffer(tx, "session_0", AUTH, now=NOW + 1))
            assert (await look(db)).state is SessionState.EXPIRED, "a resting session can turn out to be dead"
            assert await db.write(lambda tx: sessions.suffer(tx, "session_0", RISK, now=NOW + 2)) is None
            await db.write(
                lambda tx: sessions.rest_again(tx, "session_0", until=NOW + 9, reason="?", now=NOW + 3)
            )
            assert (await look(db)).state is SessionState.EXPIRED
            await db.write(
                lambda tx: sessions.replace_credential(tx, "session_0", credential("fresh"), now=NOW + 4)
            )
            session = await look(db)
            assert (session.state, session.reason, session.cooling_until) == (SessionState.READY, None, None)
            sealed = await db.read(lambda tx: sessions.sealed(tx, "session_0"))
            assert sealed is not None
            assert sealed.credential == "sealed-fresh"

    run(main())


def test_a_session_is_due_for_a_probe_when_its_rest_is_over(engine: Engine) -> None:
    async def rested(db: AnyDatabase, now: int) -> list[str]:
        return [row["id"] for row in await db.read(lambda tx: tx.all("session_rested", now=now))]

    async def main() -> None:
        async with engine.open() as db:
            await seed_sessions(db, 2)
            await db.write(lambda tx: sessions.suffer(tx, "session_1", RISK, now=NOW))
            until = NOW + 15 * MINUTE
            assert await rested(db, until - 1) == []
            assert await rested(db, until) == ["session_1"]
            await db.write(
                lambda tx: sessions.rest_again(
                    tx, "session_1", until=until + MINUTE, reason="the probe failed", now=until
                )
            )
            assert await rested(db, until) == []
            session = await look(db, "session_1")
            assert (session.rests, session.reason) == (1, "the probe failed")
            assert session.reason_kind is ErrorKind.RISK

    run(main())


def test_what_the_site_says_about_the_account_is_kept(engine: Engine) -> None:
    async def main() -> None:
        async with engine.open() as db:
            await seed_sessions(db, 1)
            account = Account("uid-1", "陈\x00", 2**40)
            await db.write(lambda tx: sessions.learn_account(tx, "session_0", account, now=NOW + 5))
            session = await look(db)
            assert (session.uid, session.credits, session.checked_at) == ("uid-1", 2**40, NOW + 5)
            assert (session.name or "").startswith("陈")

    run(main())


def test_a_removed_session_leaves_only_the_history_of_its_tasks(engine: Engine) -> None:
    def remove(tx: Tx) -> None:
        tx.run("session_remove", id="session_0", now=NOW)
        tx.run("slot_trim", session_id="session_0", slots=0)

    async def main() -> None:
        async with engine.open() as db:
            await seed_sessions(db, 1)
            [task] = await in_flight(db, 1)
            ended = await db.write(
                lambda tx: tasks.change(
                    tx,
                    task.id,
                    lambda t: lifecycle.cancel(t, now=NOW),
                    now=NOW,
                )
            )
            await db.write(remove)
            assert await db.read(lambda tx: sessions.get(tx, "session_0")) is None
            assert await db.read(lambda tx: sessions.sealed(tx, "session_0")) is None
            assert await db.read(sessions.find_all) == []
            assert await db.write(lambda tx: sessions.suffer(tx, "session_0", RISK, now=NOW)) is None
            assert await db.read(lambda tx: tasks.get(tx, task.id)) == ended
            # The same login may come back under a new id.
            await db.write(
                lambda tx: sessions.insert(
                    tx,
                    session_id="session_again",
                    label="",
                    region="cn",
                    slots=1,
                    credential=credential("session_0"),
                    now=NOW,
                )
            )
        assert engine.query("SELECT count(*) FROM session WHERE credential = 'sealed-session_0'") == [(1,)]
        assert engine.query("SELECT count(*) FROM slot WHERE session_id = 'session_0'") == [(0,)]

    run(main())


def test_settings_of_the_operator(engine: Engine) -> None:
    async def main() -> None:
        async with engine.open() as db:
            await db.write(lambda tx: add_session(tx, "s", 2))
            await db.write(
                lambda tx: sessions.configure(
                    tx, "s", label="mine", enabled=False, slots=5, route=Route.BROWSER, now=NOW + 1
                )
            )
            session = await look(db, "s")
            assert (session.label, session.enabled, session.slots) == ("mine", False, 5)
            assert engine.query("SELECT count(*) FROM slot") == [(5,)]

    run(main())
