"""When the site says no: what becomes of the task and of the session, kind by kind."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from support.aio import run
from support.upstream import Refuse
from support.world import World, opened

from jimeng_gateway.domain.errors import ErrorKind
from jimeng_gateway.domain.request import Kind
from jimeng_gateway.domain.session import MINUTE, SessionState
from jimeng_gateway.domain.task import Stage
from jimeng_gateway.secrets import Vault


@dataclass(frozen=True, slots=True)
class Expected:
    """Of a refusal by one of two sessions."""

    #: Whether the task is served in the end, by the other session.
    served: bool
    session: SessionState
    rest_minutes: int = 0
    #: Whether the session that refused may be asked for this task again.
    asked_again: bool = False


TABLE = {
    ErrorKind.AUTH: Expected(True, SessionState.EXPIRED),
    ErrorKind.ACCOUNT_BLOCKED: Expected(True, SessionState.BLOCKED),
    ErrorKind.QUOTA: Expected(True, SessionState.READY),
    ErrorKind.RISK: Expected(True, SessionState.COOLING, 15),
    ErrorKind.RATE_LIMITED: Expected(True, SessionState.COOLING, 1, asked_again=True),
    ErrorKind.CONTENT_REJECTED: Expected(False, SessionState.READY),
    ErrorKind.INVALID_REQUEST: Expected(False, SessionState.READY),
    ErrorKind.MODEL_UNAVAILABLE: Expected(False, SessionState.READY),
    ErrorKind.GENERATION_FAILED: Expected(True, SessionState.READY),
    ErrorKind.UNKNOWN: Expected(True, SessionState.READY),
    ErrorKind.NETWORK: Expected(True, SessionState.READY, asked_again=True),
    ErrorKind.TIMEOUT: Expected(True, SessionState.READY, asked_again=True),
    ErrorKind.UPSTREAM_ERROR: Expected(True, SessionState.READY, asked_again=True),
}


async def sends(world: World) -> list[str]:
    """Labels of the sessions that were asked, in order."""
    labels = {session.id: session.label for session in await world.gateway.sessions()}
    return [labels[session_id] for _, session_id in world.site.sent]


def test_the_table_is_complete() -> None:
    assert set(TABLE) == set(ErrorKind)


@pytest.mark.parametrize(("kind", "expected"), TABLE.items())
def test_one_of_two_sessions_refuses(tmp_path: Path, kind: ErrorKind, expected: Expected) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            refusing, other = await world.sessions(2)
            world.site.submit_faults.append(Refuse(kind, "4242"))
            task, begun = await world.submit(), world.clock.now()
            await world.settle(await world.process(), seconds=50)
            found, session = await world.task(task), await world.gateway.session(refusing.id)
            assert (session.state, session.cooling_until) == (
                expected.session,
                begun + expected.rest_minutes * MINUTE if expected.rest_minutes else None,
            )
            assert (await world.gateway.session(other.id)).state is SessionState.READY
            if expected.served:
                assert found.stage is Stage.SUCCEEDED
                assert found.attempts == 2
                assert world.site.sent[1][0] == found.submit_id != world.site.sent[0][0]
            else:
                assert found.failure is not None
                assert (found.stage, found.failure.kind, found.failure.code) == (Stage.FAILED, kind, "4242")
                assert len(world.site.sent) == 1
            if expected.session is not SessionState.READY:
                assert (session.reason_kind, session.reason) == (kind, "the site said 4242")
            assert world.slots_taken() == 0

    run(main())


@pytest.mark.parametrize("kind", sorted(kind for kind, row in TABLE.items() if row.served))
def test_a_session_is_asked_again_only_for_what_says_nothing_of_the_pair(
    tmp_path: Path, kind: ErrorKind
) -> None:
    """One session only, which refuses once."""

    async def main() -> None:
        async with opened(tmp_path) as world:
            await world.sessions(1)
            world.site.submit_faults.append(Refuse(kind, "4242"))
            task = await world.submit()
            process = await world.process()
            for _ in range(4):
                await world.settle(process, seconds=30)
                await process.worker.slow_round()
            found = await world.task(task)
            if TABLE[kind].asked_again:
                assert (found.stage, len(world.site.sent)) == (Stage.SUCCEEDED, 2)
            else:
                assert found.failure is not None
                assert (found.stage, found.failure.kind, found.failure.code) == (Stage.FAILED, kind, "4242")
                assert len(world.site.sent) == 1

    run(main())


def test_five_refusals_are_enough(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            for session in await world.sessions(8):
                world.site.session_faults[session.id] = Refuse(ErrorKind.UNKNOWN, "9999")
            task = await world.submit()
            await world.settle(await world.process())
            found = await world.task(task)
            assert (found.stage, found.attempts) == (Stage.FAILED, 5)
            assert await sends(world) == [f"session {n}" for n in range(5)]
            assert found.failure is not None
            assert (found.failure.kind, found.failure.raw) == (ErrorKind.UNKNOWN, "raw")

    run(main())


def test_a_task_that_every_session_refused_fails_with_the_last_word(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            first, second, third = await world.sessions(3)
            world.site.session_faults = {
                first.id: Refuse(ErrorKind.RISK, "4013"),
                second.id: Refuse(ErrorKind.AUTH, "1015"),
                third.id: Refuse(ErrorKind.QUOTA, "1006"),
            }
            task = await world.submit()
            await world.settle(await world.process(), seconds=60)
            found = await world.task(task)
            assert found.failure is not None
            assert (found.stage, found.failure.kind, found.failure.code) == (
                Stage.FAILED,
                ErrorKind.QUOTA,
                "1006",
            )
            assert len(world.site.sent) == 3

    run(main())


def test_a_busy_session_may_still_take_what_the_free_one_refused(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            refusing, busy = await world.sessions(2, slots=1)
            process = await world.process()
            await world.gateway.update_session(refusing.id, enabled=False)
            running = await world.submit()
            await process.worker.drain()
            await world.gateway.update_session(refusing.id, enabled=True)
            world.site.session_faults[refusing.id] = Refuse(ErrorKind.UNKNOWN)
            task = await world.submit()
            await world.settle(process, seconds=8)
            assert (await world.task(task)).stage is Stage.QUEUED
            await world.settle(process)
            assert (await world.task(task)).stage is Stage.SUCCEEDED
            assert (await world.task(running)).stage is Stage.SUCCEEDED
            assert await sends(world) == ["session 1", "session 0", "session 1"]
            assert busy.id == world.site.sent[2][1]

    run(main())


def test_a_passed_over_task_does_not_hold_up_the_others(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            refusing, busy = await world.sessions(2, slots=1)
            world.site.takes = 600_000
            process = await world.process()
            await world.gateway.update_session(refusing.id, enabled=False)
            await world.submit()
            await process.worker.drain()
            await world.gateway.update_session(refusing.id, enabled=True)
            world.site.submit_faults.append(Refuse(ErrorKind.UNKNOWN))
            barred = await world.submit()
            await process.worker.drain()
            follower = await world.submit()
            world.clock.advance(2)
            await process.worker.drain()
            await process.worker.drain()
            assert (await world.task(follower)).session_id == refusing.id
            assert (await world.task(barred)).stage is Stage.QUEUED
            assert busy.id != refusing.id

    run(main())


def test_a_network_that_is_away_uses_up_no_attempts(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            await world.sessions(1)
            world.site.submit_faults.extend([Refuse(ErrorKind.NETWORK, "connect_refused")] * 20)
            task, begun = await world.submit(), world.clock.now()
            await world.settle(await world.process())
            found = await world.task(task)
            assert (found.stage, len(world.site.sent)) == (Stage.SUCCEEDED, 21)
            # 1, 2, 4 … 30 seconds: it backs off instead of hammering.
            assert world.clock.now() - begun > 400_000

    run(main())


def test_a_rate_limited_session_rests_a_minute_and_the_task_goes_elsewhere(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            limited, _ = await world.sessions(2)
            world.site.session_faults[limited.id] = Refuse(ErrorKind.RATE_LIMITED, "1310")
            tasks = [await world.submit() for _ in range(4)]
            process = await world.process()
            await world.settle(process, seconds=45)
            assert [(await world.task(task)).stage for task in tasks] == [Stage.SUCCEEDED] * 4
            assert (await sends(world)).count("session 0") == 2, "both slots were told before it rested"
            session = await world.gateway.session(limited.id)
            assert (session.state, session.rests) == (SessionState.COOLING, 1), "one rest, not two"
            world.site.session_faults.clear()
            world.clock.advance(60)
            await process.lease.beat()
            await process.worker.slow_round()
            assert (await world.gateway.session(limited.id)).state is SessionState.READY

    run(main())


def test_a_risk_refusal_is_never_repeated_on_its_session(tmp_path: Path) -> None:
    """Not even when the session has rested, been probed and is ready again."""

    async def main() -> None:
        async with opened(tmp_path) as world:
            world.site.takes = 7 * 3_600_000
            risky, busy = await world.sessions(2, slots=1)
            process = await world.process()
            await world.gateway.update_session(risky.id, enabled=False)
            await world.submit(Kind.VIDEO)
            await process.worker.drain()
            await world.gateway.update_session(risky.id, enabled=True)
            world.site.submit_faults.append(Refuse(ErrorKind.RISK, "4013"))
            task = await world.submit(Kind.VIDEO)
            for _ in range(5):
                await world.settle(process, seconds=300)
                await process.worker.slow_round()
            assert (await world.gateway.session(risky.id)).state is SessionState.READY
            assert world.site.probes == [risky.id]
            assert (await sends(world)).count("session 0") == 1
            assert (await world.task(task)).session_id in (None, busy.id)

    run(main())


def test_a_longer_rest_is_not_lost_behind_a_shorter_one(tmp_path: Path) -> None:
    """Two submits at once: the first is told to slow down, the second that it looked like a machine."""

    async def main() -> None:
        async with opened(tmp_path) as world:
            (session,) = await world.sessions(1, slots=2)
            world.site.submit_faults.extend(
                [Refuse(ErrorKind.RATE_LIMITED, "1310"), Refuse(ErrorKind.RISK, "1019")]
            )
            tasks = [await world.submit() for _ in range(2)]
            begun = world.clock.now()
            await (await world.process()).worker.drain()
            found = await world.gateway.session(session.id)
            assert found.reason_kind is ErrorKind.RISK
            assert (found.cooling_until or 0) >= begun + 15 * MINUTE
            assert len(tasks) == len(world.site.sent)

    run(main())


def test_a_session_whose_credential_cannot_be_opened_is_taken_out(tmp_path: Path) -> None:
    """Sealed with another key: nothing can be sent, the task goes on to the next session."""

    async def main() -> None:
        async with opened(tmp_path) as world:
            (sealed,) = await world.sessions(1)
            world.vault = Vault(b"another key, as after a lost secret.key file")
            world.gateway = world.facade()
            world.clock.advance(1)
            await world.gateway.add_session(credential="f" * 32)
            task = await world.submit()
            await world.settle(await world.process(), seconds=60)
            found = await world.gateway.session(sealed.id)
            assert found.state is SessionState.EXPIRED
            assert "encrypted with key" in (found.reason or "")
            done = await world.task(task)
            assert (done.stage, done.attempts, len(world.site.sent)) == (Stage.SUCCEEDED, 1, 1)

    run(main())
