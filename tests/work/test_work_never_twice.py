"""Never submitted twice, never lost: processes that die at every moment, replies that never come.

The site counts the money, so each test ends with the same question: was every task charged exactly once, and
did it end with its files?
"""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from support.aio import run
from support.doom import Doom, DoomedDatabase, DoomedUpstream, Killed, bury
from support.upstream import Lose, SubmitFault, failure, html
from support.world import Process, World, opened

from jimeng_gateway.domain.errors import Acceptance, ErrorKind
from jimeng_gateway.domain.ports import Order
from jimeng_gateway.domain.request import Kind
from jimeng_gateway.domain.session import Identity
from jimeng_gateway.domain.task import Stage

#: Moments of a life that goes well; a process is killed at each of them.
MOST_MOMENTS = 400


def reset() -> Exception:
    """A poll whose connection broke."""
    return failure(ErrorKind.NETWORK, "connection_reset", acceptance=Acceptance.UNKNOWN)


async def doomed(world: World, at: int) -> tuple[Process, Doom]:
    doom = Doom(0)
    process = await world.process(
        db=DoomedDatabase(world.db, doom), upstream=DoomedUpstream(world.site, doom)
    )
    doom.at, doom.moments = at, 0
    return process, doom


async def run_to_death(world: World, at: int, seconds: float = 600) -> Doom:
    process, doom = await doomed(world, at)
    try:
        await world.settle(process, seconds=seconds)
    except Killed:
        await bury()
    assert doom.dead or at == 0 or doom.moments < at
    return doom


@pytest.mark.parametrize(("kind", "step"), [(Kind.IMAGE, 1), (Kind.VIDEO, 3)])
def test_a_kill_at_every_single_moment_of_a_life(tmp_path: Path, kind: Kind, step: int) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            world.site.absent = 4000
            await world.sessions(2)
            for at in range(1, MOST_MOMENTS, step):
                task = await world.submit(kind)
                doom = await run_to_death(world, at)
                await world.settle(await world.process())
                await world.assert_paid_once_and_done(task)
                if not doom.dead:
                    break
            assert 40 < at < MOST_MOMENTS - step, "the last life was not disturbed"

    run(main())


@pytest.mark.parametrize(
    ("fault", "step"),
    [(Lose(accepted=True), 5), (Lose(accepted=False), 17)],
    ids=["accepted", "not accepted"],
)
def test_kills_all_along_the_way_after_a_lost_reply(tmp_path: Path, fault: SubmitFault, step: int) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            world.site.absent = 4000
            await world.sessions(1)
            for at in range(1, 2 * MOST_MOMENTS, step):
                world.site.submit_faults.append(fault)
                task = await world.submit()
                doom = await run_to_death(world, at)
                await world.settle(await world.process())
                await world.assert_paid_once_and_done(task)
                world.site.submit_faults.clear()
                if not doom.dead:
                    break
            assert 60 < at < 2 * MOST_MOMENTS - step

    run(main())


@pytest.mark.parametrize("seed", range(6))
def test_many_tasks_and_many_deaths(tmp_path: Path, seed: int) -> None:
    rng = Random(seed)

    async def main() -> None:
        async with opened(tmp_path) as world:
            world.site.absent = 3000
            await world.sessions(3)
            tasks = [await world.submit(rng.choice(list(Kind))) for _ in range(10)]
            for _ in range(12):
                world.site.submit_faults.extend(
                    rng.choice([None, None, Lose(accepted=True), Lose(accepted=False)]) for _ in range(3)
                )
                await run_to_death(world, rng.randrange(1, 120), seconds=rng.choice([1, 20, 90]))
                assert world.slots_taken() <= 6
            world.site.submit_faults.clear()
            await world.settle(await world.process())
            for task in tasks:
                await world.assert_paid_once_and_done(task)
            assert max(world.site.charges.values()) == 1
            assert len(world.site.charges) == 10

    run(main())


def test_the_intent_is_on_the_disk_before_the_request_leaves(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            await world.sessions(1)
            task = await world.submit()
            found: list[object] = []

            def look(identity: Identity, order: Order) -> None:
                found.extend(
                    world.sql(
                        "SELECT t.submit_id, t.attempts, s.state, s.session_id FROM task t"
                        " JOIN submission s ON s.task_id = t.id WHERE t.id = ? AND s.submit_id = ?",
                        task.id,
                        order.submit_id,
                    )
                )

            world.site.on_submit = look
            await world.settle(await world.process())
            (session,) = await world.gateway.sessions()
            assert found == [("00000000-0000-4000-8000-000000000001", 1, "intended", session.id)]

    run(main())


def test_a_lost_reply_is_asked_for_until_the_job_is_listed(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            world.site.absent = 9000
            world.site.submit_faults.append(Lose(accepted=True, kind=ErrorKind.TIMEOUT, code="read_timeout"))
            await world.sessions(2)
            task = await world.submit()
            await world.settle(await world.process())
            await world.assert_paid_once_and_done(task)
            events = await world.events(task)
            assert events[2:5] == ["submit.sent", "submit.uncertain", "submit.adopted"]
            assert len(world.site.sent) == 1

    run(main())


def test_only_certainty_sends_a_task_back(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            world.site.submit_faults.append(Lose(accepted=False))
            await world.sessions(1)
            task, begun = await world.submit(), world.clock.now()
            process = await world.process()
            await world.settle(process, until=lambda: len(world.site.sent) == 2)
            assert world.clock.now() - begun >= world.limits.reconcile
            looks = [poll for poll in world.site.polls if poll.submit_ids == (world.site.sent[0][0],)]
            assert len(looks) >= 2
            assert "submit.absent" in await world.events(task)
            await world.settle(process)
            await world.assert_paid_once_and_done(task)
            states = world.sql("SELECT state FROM submission WHERE task_id = ? ORDER BY attempt", task.id)
            assert states == [("absent",), ("accepted",)]

    run(main())


def test_while_the_site_is_away_nothing_is_certain(tmp_path: Path) -> None:
    """Ten minutes of errors are no absence: the job is found when the site is back."""

    async def main() -> None:
        async with opened(tmp_path) as world:
            world.site.submit_faults.append(Lose(accepted=True))
            world.site.poll_faults.extend(
                html() if n % 2 else reset()
                for n in range(16)  # about ten minutes of backing off
            )
            await world.sessions(1)
            task, begun = await world.submit(), world.clock.now()
            process = await world.process()
            await world.settle(process, until=lambda: not world.site.poll_faults)
            assert world.clock.now() - begun > 10 * world.limits.reconcile
            assert (await world.task(task)).stage is Stage.SUBMITTING
            await world.settle(process)
            await world.assert_paid_once_and_done(task)
            assert len(world.site.sent) == 1

    run(main())


def test_restarts_do_not_start_the_doubt_again(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            world.site.submit_faults.append(Lose(accepted=False))
            await world.sessions(1)
            task = await world.submit()
            await (await world.process()).worker.drain()
            doubted = (await world.task(task)).uncertain_at
            assert doubted is not None
            for _ in range(3):
                await world.settle(await world.process(), seconds=9)
                assert (await world.task(task)).uncertain_at == doubted
            await world.settle(await world.process(), seconds=9)
            # Believed 30 s after the first doubt, although no process lived that long.
            assert len(world.site.sent) == 2

    run(main())


def test_an_uncertain_task_that_misses_its_deadline_is_collected_late(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            world.site.submit_faults.append(Lose(accepted=True))
            world.site.absent = world.limits.image_deadline + 30_000
            world.site.poll_faults.extend(reset() for _ in range(70))
            await world.sessions(1)
            task = await world.submit()
            process = await world.process()
            await world.settle(process, seconds=3700, until=lambda: world.named("task.timed_out"))
            failed = await world.task(task)
            assert (failed.stage, failed.late) == (Stage.FAILED, False)
            assert failed.failure is not None
            assert failed.failure.kind is ErrorKind.TIMEOUT
            assert world.slots_taken() == 0
            world.site.poll_faults.clear()
            await world.settle(process, seconds=86_400)
            late = await world.task(task)
            assert (late.stage, late.late) == (Stage.FAILED, True)
            assert world.file(late, 0).exists()
            assert list(world.site.charges.values()) == [1]

    run(main())


def test_two_processes_one_killed_at_every_moment(tmp_path: Path) -> None:
    """The survivor takes over when the lease has run out, not before, and on the same session."""

    async def main() -> None:
        async with opened(tmp_path) as world:
            await world.sessions(2)
            survivor = await world.process(alone=False)
            for at in range(1, MOST_MOMENTS, 4):
                task = await world.submit()
                doom = Doom(0)
                victim = await world.process(
                    alone=False,
                    db=DoomedDatabase(world.db, doom),
                    upstream=DoomedUpstream(world.site, doom),
                )
                doom.at, doom.moments = at, 0
                try:
                    await victim.worker.drain()
                    world.clock.advance(9)
                    await victim.worker.drain()
                    world.clock.advance(5)
                    await victim.worker.drain()
                except Killed:
                    await bury()
                for _ in range(8):
                    await survivor.lease.beat()
                    await survivor.worker.drain()
                    world.clock.advance(5)
                await survivor.lease.beat()
                await world.settle(survivor, seconds=120)
                await world.assert_paid_once_and_done(task)
                if not doom.dead:
                    break
            assert 20 < at < MOST_MOMENTS - 4

    run(main())


def test_the_task_resumes_on_its_own_session(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            await world.sessions(3)
            task = await world.submit()
            await (await world.process()).worker.drain()
            before = await world.task(task)
            assert before.stage is Stage.POLLING
            await world.settle(await world.process())
            assert {poll.session_id for poll in world.site.polls} == {before.session_id}
            await world.assert_paid_once_and_done(task)

    run(main())


def test_what_another_login_does_not_see_is_not_absent(tmp_path: Path) -> None:
    """The credential was replaced while a submit was uncertain: perhaps it is another account's."""

    async def main() -> None:
        async with opened(tmp_path) as world:
            world.site.by_login = True
            world.site.submit_faults.append(Lose(accepted=True))
            (session,) = await world.sessions(1)
            task = await world.submit()
            process = await world.process()
            await world.settle(process, until=lambda: world.site.sent)
            await world.gateway.update_session(session.id, credential="e" * 32)
            await world.settle(process, seconds=600)
            assert (await world.task(task)).stage is Stage.SUBMITTING
            assert len(world.site.polls) > 10
            await world.gateway.update_session(session.id, credential=f"{0:032x}")
            await world.settle(process)
            await world.assert_paid_once_and_done(task)
            assert len(world.site.sent) == 1

    run(main())


def test_submits_that_vanish_are_not_made_for_ever(tmp_path: Path) -> None:
    """Should the site take them and list none, the deadline alone would mean hundreds of them."""

    async def main() -> None:
        async with opened(tmp_path) as world:
            world.site.submit_faults.extend(Lose(accepted=False) for _ in range(50))
            await world.sessions(2)
            task = await world.submit(Kind.VIDEO)
            await world.settle(await world.process())
            failed = await world.task(task)
            assert failed.failure is not None
            assert (failed.stage, failed.failure.code) == (Stage.FAILED, "submits_vanished")
            assert len(world.site.sent) == world.limits.max_attempts
            assert world.slots_taken() == 0
            states = world.sql("SELECT DISTINCT state FROM submission WHERE task_id = ?", task.id)
            assert states == [("absent",)]

    run(main())
