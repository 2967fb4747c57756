"""References are brought to the session before anything is submitted: once, checked, and never in vain."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.aio import run
from support.factories import LIMITS, make_request, make_task
from support.materials import AUDIO, IMAGE, VIDEO, a_reference
from support.upstream import Refuse, failure
from support.world import Process, World, opened

from jimeng_gateway.domain.errors import ErrorKind, UpstreamFailure
from jimeng_gateway.domain.reference import Reference
from jimeng_gateway.domain.session import SessionState
from jimeng_gateway.domain.task import Stage, Task
from jimeng_gateway.gateway import ADMIN
from jimeng_gateway.store import tasks
from jimeng_gateway.work import references
from jimeng_gateway.work.materials import HOUR_MS, Flights

ONE = (a_reference(IMAGE, 1, name="cat.png"),)
REFUSED = failure(ErrorKind.CONTENT_REJECTED, "2003")


def with_world(folder: Path, main: Callable[[World, Process], Coroutine[Any, Any, None]]) -> None:
    async def inside() -> None:
        async with opened(folder) as world:
            await main(world, await world.process())

    run(inside())


async def queue(world: World, *given: Reference) -> Task:
    """A queued task with these references."""
    world.clock.advance(0.001)
    task = make_task(now=world.clock.now(), request=make_request(references=given, count=1))
    task = replace(task, key_id=ADMIN.key_id)
    return await world.db.write(lambda tx: tasks.insert(tx, task, {}))


async def spin(until: Callable[[], object]) -> None:
    """Lets others run until something holds, on a clock that stands still."""
    for _ in range(10_000):
        if until():
            return
        await asyncio.sleep(0)
    raise AssertionError("it never came to pass")


def test_they_go_with_the_submit_in_their_order(tmp_path: Path) -> None:
    async def main(world: World, process: Process) -> None:
        await world.sessions(1)
        given = (a_reference(AUDIO, 3), a_reference(IMAGE, 1), a_reference(VIDEO, 2))
        task = await queue(world, *given)
        await world.settle(process)
        assert (await world.task(task)).stage is Stage.SUCCEEDED
        [job] = world.site.jobs.values()
        assert [uploaded.kind for uploaded in job.order.uploads] == [AUDIO, IMAGE, VIDEO]
        assert [uploaded.handle.split("-")[2] for uploaded in job.order.uploads] == [r.sha256 for r in given]
        names = await world.events(task)
        assert names.index("references.uploaded") < names.index("submit.sent")
        size = sum(reference.size for reference in given)
        [told] = world.named("references.uploaded")
        assert (told["count"], told["bytes"], told["reused"]) == (3, size, 0)
        # Only pictures are checked.
        assert world.site.prechecks == [job.order.uploads[1].handle]

    with_world(tmp_path, main)


def test_a_task_without_any_asks_for_nothing(tmp_path: Path) -> None:
    async def main(world: World, process: Process) -> None:
        await world.sessions(1)
        task = await queue(world)
        await world.settle(process)
        assert (await world.task(task)).stage is Stage.SUCCEEDED
        assert "references.uploaded" not in await world.events(task)
        assert world.site.uploads == world.site.prechecks == []

    with_world(tmp_path, main)


def test_no_more_than_a_few_at_once(tmp_path: Path) -> None:
    async def main(world: World, process: Process) -> None:
        await world.sessions(1)
        world.site.upload_gate = asyncio.Event()
        await queue(world, *(a_reference(IMAGE, number) for number in range(1, 8)))
        await process.worker.reserve_round()
        await spin(lambda: world.site.uploading == references.AT_ONCE)
        world.site.upload_gate.set()
        await world.settle(process)
        assert (len(world.site.uploads), world.site.uploading_most) == (7, references.AT_ONCE)

    with_world(tmp_path, main)


def test_the_same_bytes_are_uploaded_once_for_a_session(tmp_path: Path) -> None:
    async def main(world: World, process: Process) -> None:
        await world.sessions(1)
        await queue(world, *ONE, a_reference(IMAGE, 1, name="again.png"))
        await world.settle(process)
        await queue(world, *ONE)
        await world.settle(process)
        assert len(world.site.uploads) == len(world.site.prechecks) == 1
        orders = [job.order for job in world.site.jobs.values()]
        assert len({uploaded for order in orders for uploaded in order.uploads}) == 1
        assert [len(order.uploads) for order in orders] == [2, 1]
        assert [told["reused"] for told in world.named("references.uploaded")] == [1, 1]
        assert [told["bytes"] for told in world.named("references.uploaded")] == [ONE[0].size, 0]

    with_world(tmp_path, main)


def test_also_by_tasks_that_run_at_the_same_time(tmp_path: Path) -> None:
    async def main(world: World, process: Process) -> None:
        await world.sessions(1, slots=4)
        world.site.upload_gate = asyncio.Event()
        for _ in range(4):
            await queue(world, *ONE)
        await process.worker.reserve_round()
        await spin(lambda: process.worker.busy()["submit"] == 4 and world.site.uploads)
        world.site.upload_gate.set()
        await world.settle(process)
        assert (len(world.site.uploads), len(world.site.jobs)) == (1, 4)

    with_world(tmp_path, main)


def test_each_session_has_its_own(tmp_path: Path) -> None:
    async def main(world: World, process: Process) -> None:
        sessions = await world.sessions(2, slots=1)
        await queue(world, *ONE)
        await queue(world, *ONE)
        await world.settle(process)
        assert {session for session, _ in world.site.uploads} == {session.id for session in sessions}
        for job in world.site.jobs.values():
            assert job.order.uploads[0].handle.startswith(f"uri-{job.session_id}")

    with_world(tmp_path, main)


def test_an_upload_is_made_anew_once_it_is_old(tmp_path: Path) -> None:
    async def main(world: World, process: Process) -> None:
        await world.sessions(1)
        await queue(world, *ONE)
        await world.settle(process)
        world.clock.advance(6 * HOUR_MS / 1000)
        await process.lease.enter()
        await queue(world, *ONE)
        await world.settle(process)
        assert len(world.site.uploads) == 2
        assert len(world.sql("SELECT * FROM upload")) == 1

    with_world(tmp_path, main)


def test_another_credential_begins_without_uploads(tmp_path: Path) -> None:
    async def main(world: World, process: Process) -> None:
        [session] = await world.sessions(1)
        await queue(world, *ONE)
        await world.settle(process)
        await world.gateway.update_session(session.id, credential="f" * 32)
        await queue(world, *ONE)
        await world.settle(process)
        assert len(world.site.uploads) == 2

    with_world(tmp_path, main)


@pytest.mark.parametrize("code", ["3020", "1000"])
def test_what_the_site_cannot_use_is_uploaded_anew(tmp_path: Path, code: str) -> None:
    async def main(world: World, process: Process) -> None:
        await world.sessions(1)
        kind = ErrorKind.UPSTREAM_ERROR if code == "3020" else ErrorKind.INVALID_REQUEST
        world.site.submit_faults.append(Refuse(kind, code))
        first = await queue(world, *ONE)
        await world.settle(process)
        second = await queue(world, *ONE)
        await world.settle(process)
        assert len(world.site.uploads) == 2
        ended = (await world.task(first)).stage
        assert ended is (Stage.SUCCEEDED if code == "3020" else Stage.FAILED)
        assert (await world.task(second)).stage is Stage.SUCCEEDED

    with_world(tmp_path, main)


def test_a_rejected_picture_fails_the_task_before_it_costs_anything(tmp_path: Path) -> None:
    async def main(world: World, process: Process) -> None:
        await world.sessions(2)
        world.site.precheck_faults.append(REFUSED)
        task = await queue(world, *ONE)
        await world.settle(process)
        ended = await world.task(task)
        assert ended.stage is Stage.FAILED
        assert ended.failure is not None
        assert (ended.failure.kind, ended.failure.code) == (ErrorKind.CONTENT_REJECTED, "2003")
        assert "'cat.png'" in ended.failure.message
        assert world.site.sent == []
        assert world.slots_taken() == 0
        assert ended.attempts == 0

    with_world(tmp_path, main)


def test_what_the_check_said_is_remembered(tmp_path: Path) -> None:
    async def main(world: World, process: Process) -> None:
        await world.sessions(1)
        world.site.precheck_faults.append(REFUSED)
        for _ in range(2):
            task = await queue(world, *ONE)
            await world.settle(process)
            assert (await world.task(task)).stage is Stage.FAILED
        assert len(world.site.prechecks) == len(world.site.uploads) == 1
        assert world.site.sent == []

    with_world(tmp_path, main)


@pytest.mark.parametrize("kind", [ErrorKind.NETWORK, ErrorKind.TIMEOUT, ErrorKind.UPSTREAM_ERROR])
def test_a_check_that_cannot_be_asked_stops_nothing(tmp_path: Path, kind: ErrorKind) -> None:
    async def main(world: World, process: Process) -> None:
        await world.sessions(1)
        world.site.precheck_faults.append(failure(kind, "x"))
        task = await queue(world, *ONE)
        await world.settle(process)
        assert (await world.task(task)).stage is Stage.SUCCEEDED
        assert world.named("precheck.skipped")
        await queue(world, *ONE)
        await world.settle(process)
        # It was not answered, so it is asked again.
        assert (len(world.site.prechecks), len(world.site.uploads)) == (2, 1)

    with_world(tmp_path, main)


def test_a_dead_login_is_told_by_the_check_too(tmp_path: Path) -> None:
    async def main(world: World, process: Process) -> None:
        first, second = await world.sessions(2)
        world.site.precheck_faults.append(failure(ErrorKind.AUTH, "1015"))
        task = await queue(world, *ONE)
        await world.settle(process)
        assert (await world.task(task)).stage is Stage.SUCCEEDED
        assert [session for _, session in world.site.sent] == [second.id]
        assert (await world.gateway.session(first.id)).state is SessionState.EXPIRED

    with_world(tmp_path, main)


def test_a_failed_upload_is_tried_again_without_a_submission(tmp_path: Path) -> None:
    async def main(world: World, process: Process) -> None:
        await world.sessions(1)
        world.site.upload_faults.extend([failure(ErrorKind.UPSTREAM_ERROR, "http_504")] * 2)
        task = await queue(world, *ONE)
        await world.settle(process)
        ended = await world.task(task)
        assert (ended.stage, ended.attempts) == (Stage.SUCCEEDED, 1)
        assert (await world.events(task)).count("references.failed") == 2
        assert len(world.site.sent) == len(world.sql("SELECT * FROM submission")) == 1

    with_world(tmp_path, main)


def test_a_broken_upload_ends_after_so_many_tries(tmp_path: Path) -> None:
    async def main(world: World, process: Process) -> None:
        sessions = await world.sessions(3)
        fault = failure(ErrorKind.UPSTREAM_ERROR, "SignatureDoesNotMatch")
        world.site.session_upload_faults = {session.id: fault for session in sessions}
        task = await queue(world, *ONE)
        await world.settle(process)
        ended = await world.task(task)
        assert ended.stage is Stage.FAILED
        assert ended.failure is not None
        assert ended.failure.code == "SignatureDoesNotMatch"
        assert len(world.site.uploads) == LIMITS.max_attempts
        assert world.site.sent == []
        assert world.sql("SELECT * FROM submission") == []

    with_world(tmp_path, main)


def test_a_network_that_stays_away_is_bounded_by_the_deadline(tmp_path: Path) -> None:
    async def main(world: World, process: Process) -> None:
        [session] = await world.sessions(1)
        world.site.session_upload_faults[session.id] = failure(ErrorKind.NETWORK, "connect_error")
        task = await queue(world, *ONE)
        await world.settle(process, seconds=LIMITS.image_deadline / 1000 + 120)
        ended = await world.task(task)
        assert ended.failure is not None
        assert (ended.stage, ended.failure.kind) == (Stage.FAILED, ErrorKind.TIMEOUT)
        assert world.site.sent == []

    with_world(tmp_path, main)


@pytest.mark.parametrize(
    ("kind", "state"),
    [
        (ErrorKind.AUTH, SessionState.EXPIRED),
        (ErrorKind.RISK, SessionState.COOLING),
        (ErrorKind.ACCOUNT_BLOCKED, SessionState.BLOCKED),
    ],
)
def test_a_session_that_may_not_upload_gets_the_task_no_more(
    tmp_path: Path, kind: ErrorKind, state: SessionState
) -> None:
    async def main(world: World, process: Process) -> None:
        first, second = await world.sessions(2)
        world.site.session_upload_faults[first.id] = failure(kind, "no")
        task = await queue(world, *ONE)
        await world.settle(process, until=lambda: world.site.sent)
        assert [session for session, _ in world.site.uploads] == [first.id, second.id]
        assert (await world.gateway.session(first.id)).state is state
        await world.settle(process)
        assert (await world.task(task)).stage is Stage.SUCCEEDED

    with_world(tmp_path, main)


def test_when_no_session_may_upload_the_task_ends(tmp_path: Path) -> None:
    async def main(world: World, process: Process) -> None:
        [session] = await world.sessions(1)
        world.site.session_upload_faults[session.id] = failure(ErrorKind.RISK, "4013")
        task = await queue(world, *ONE)
        await world.settle(process, seconds=60)
        ended = await world.task(task)
        assert ended.failure is not None
        assert (ended.stage, ended.failure.code) == (Stage.FAILED, "4013")

    with_world(tmp_path, main)


def test_bytes_that_are_gone_fail_the_task(tmp_path: Path) -> None:
    async def main(world: World, process: Process) -> None:
        await world.sessions(1)
        world.site.upload_faults.append(failure(ErrorKind.INVALID_REQUEST, "reference_gone"))
        task = await queue(world, *ONE)
        await world.settle(process)
        ended = await world.task(task)
        assert ended.failure is not None
        assert (ended.stage, ended.failure.kind) == (Stage.FAILED, ErrorKind.INVALID_REQUEST)
        assert ended.failure.code == "reference_gone"

    with_world(tmp_path, main)


def test_one_failure_stops_the_others(tmp_path: Path) -> None:
    async def main(world: World, process: Process) -> None:
        await world.sessions(1)
        world.site.upload_faults.append(failure(ErrorKind.INVALID_REQUEST, "file_changed"))
        await queue(world, *(a_reference(IMAGE, number) for number in range(1, 9)))
        await world.settle(process)
        assert len(world.site.uploads) <= references.AT_ONCE + 1
        assert world.site.uploading == 0

    with_world(tmp_path, main)


def test_a_cancelled_task_needs_no_upload_any_more(tmp_path: Path) -> None:
    async def main(world: World, process: Process) -> None:
        await world.sessions(1)
        world.site.upload_gate = asyncio.Event()
        task = await queue(world, *ONE)
        await process.worker.reserve_round()
        await spin(lambda: world.site.uploading)
        await world.gateway.cancel(ADMIN, task.id)
        await spin(lambda: not process.worker.busy()["submit"])
        assert world.site.uploading == 0
        assert world.site.sent == []
        assert world.slots_taken() == 0

    with_world(tmp_path, main)


def test_a_cancel_does_not_end_the_upload_of_others(tmp_path: Path) -> None:
    async def main(world: World, process: Process) -> None:
        await world.sessions(1, slots=2)
        world.site.upload_gate = asyncio.Event()
        first, second = await queue(world, *ONE), await queue(world, *ONE)
        await process.worker.reserve_round()
        await spin(lambda: world.site.uploading)
        await world.gateway.cancel(ADMIN, first.id)
        await spin(lambda: process.worker.busy()["submit"] == 1)
        world.site.upload_gate.set()
        await world.settle(process)
        assert (await world.task(second)).stage is Stage.SUCCEEDED
        assert len(world.site.uploads) == len(world.site.sent) == 1

    with_world(tmp_path, main)


def test_a_deadline_ends_an_upload_without_end(tmp_path: Path) -> None:
    async def main(world: World, process: Process) -> None:
        await world.sessions(1)
        world.site.upload_gate = asyncio.Event()
        task = await queue(world, *ONE)
        await process.worker.reserve_round()
        await spin(lambda: world.site.uploading and world.clock.sleeping)
        world.clock.advance(LIMITS.image_deadline / 1000 + 1)
        await process.lease.enter()
        await spin(lambda: not process.worker.busy()["submit"])
        await world.settle(process)
        ended = await world.task(task)
        assert ended.failure is not None
        assert (ended.stage, ended.failure.kind) == (Stage.FAILED, ErrorKind.TIMEOUT)

    with_world(tmp_path, main)


def test_a_stopping_process_gives_the_task_back(tmp_path: Path) -> None:
    async def main(world: World, process: Process) -> None:
        await world.sessions(1)
        world.site.upload_gate = asyncio.Event()
        task = await queue(world, *ONE)
        running = asyncio.create_task(process.worker.run())
        await spin(lambda: world.site.uploading)
        await process.worker.stop(running, 0)
        assert (await world.task(task)).stage is Stage.QUEUED
        assert world.site.uploading == 0
        world.site.upload_gate = None
        await world.settle(await world.process())
        assert (await world.task(task)).stage is Stage.SUCCEEDED

    with_world(tmp_path, main)


# ── one flight for all ──────────────────────────────────────────────────────────────────────────


def test_a_flight_is_flown_once_and_forgotten() -> None:
    async def main() -> None:
        flights: Flights[str, int] = Flights()
        gate, begun = asyncio.Event(), []

        async def fly() -> int:
            begun.append(1)
            await gate.wait()
            return len(begun)

        waiting = [asyncio.create_task(flights.join("a", fly)) for _ in range(5)]
        await spin(lambda: begun)
        gate.set()
        came = await asyncio.gather(*waiting)
        assert came == [(1, True)] + [(1, False)] * 4
        assert len(flights) == 0
        assert await flights.join("a", fly) == (2, True)

    run(main())


def test_everybody_hears_of_a_failed_flight() -> None:
    async def main() -> None:
        flights: Flights[str, int] = Flights()

        async def fly() -> int:
            raise REFUSED

        waiting = [asyncio.create_task(flights.join("a", fly)) for _ in range(3)]
        came = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(one) for one in came] == [UpstreamFailure] * 3
        assert len(flights) == 0

    run(main())


@pytest.mark.parametrize("leaving", [0, 1, 2])
def test_whoever_leaves_takes_nobody_along(leaving: int) -> None:
    async def main() -> None:
        flights: Flights[str, str] = Flights()
        gate, begun = asyncio.Event(), []

        async def fly() -> str:
            begun.append(1)
            await gate.wait()
            return "there"

        waiting = [asyncio.create_task(flights.join("a", fly)) for _ in range(3)]
        await spin(lambda: begun)
        waiting[leaving].cancel()
        await spin(lambda: waiting[leaving].done())
        gate.set()
        came = await asyncio.gather(*waiting, return_exceptions=True)
        assert [isinstance(one, tuple) for one in came] == [number != leaving for number in range(3)]
        assert len(begun) == 1

    run(main())


def test_the_last_one_to_leave_ends_it_and_the_next_begins_anew() -> None:
    async def main() -> None:
        flights: Flights[str, str] = Flights()
        gate, ended = asyncio.Event(), []

        async def fly() -> str:
            try:
                await gate.wait()
            except asyncio.CancelledError:
                ended.append(1)
                raise
            return "there"

        waiting = [asyncio.create_task(flights.join("a", fly)) for _ in range(2)]
        await spin(lambda: len(flights))
        for one in waiting:
            one.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        gate.set()
        assert await flights.join("a", fly) == ("there", True)
        assert ended == [1]

    run(main())
