"""The worker over real sockets: the product's own client against the product's own simulator.

The simulator runs on the test's clock, so an hour of site time costs nothing.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from support.aio import run
from support.wire import counting_ids
from support.world import Process, World, opened

from jimeng_gateway.domain.errors import ErrorKind
from jimeng_gateway.domain.intake import Wish
from jimeng_gateway.domain.request import Kind
from jimeng_gateway.domain.route import Route
from jimeng_gateway.domain.session import SessionState
from jimeng_gateway.domain.task import Stage, Task
from jimeng_gateway.gateway import ADMIN
from jimeng_gateway.simulator.options import SimulatorOptions
from jimeng_gateway.simulator.server import Simulator
from jimeng_gateway.upstream.client import HttpUpstream
from jimeng_gateway.upstream.wire import protocol


@contextlib.asynccontextmanager
async def on_the_wire(path: Path, **options: Any) -> AsyncIterator[tuple[World, Process, Simulator]]:
    """A world whose processes speak HTTP with a simulator."""
    async with opened(path) as world:
        with Simulator(SimulatorOptions(**options), clock=lambda: world.clock.now() / 1000) as simulator:
            upstream = HttpUpstream(
                protocol.builtin(),
                clock=world.clock,
                ids=counting_ids(),
                upstream_url=simulator.base_url,
                usual=Route.DIRECT,
            )
            try:
                yield world, await world.process(upstream=upstream), simulator
            finally:
                await upstream.close()


async def wish(world: World, text: str, kind: Kind = Kind.IMAGE, **fields: Any) -> Task:
    return await world.gateway.submit(ADMIN, Wish(prompt=text, kind=kind, **fields))


def test_pictures_and_a_video(tmp_path: Path) -> None:
    async def main() -> None:
        async with on_the_wire(tmp_path, sign="strict") as (world, process, simulator):
            await world.sessions(1)
            pictures = await wish(world, "four cats", n=4)
            video = await wish(world, "a cat that runs", Kind.VIDEO)
            await world.settle(process)
            done, clip = await world.task(pictures), await world.task(video)
            assert (done.stage, clip.stage) == (Stage.SUCCEEDED, Stage.SUCCEEDED)
            assert [result.media_type for result in done.results] == ["image/png"] * 4
            assert [result.media_type for result in clip.results] == ["video/mp4"]
            assert done.polls <= 3
            assert clip.polls <= 8
            for task in (done, clip):
                assert task.finished_at is not None
                assert task.accepted_at is not None
            assert (done.finished_at or 0) - (done.accepted_at or 0) <= 14_000
            assert (clip.finished_at or 0) - (clip.accepted_at or 0) <= 66_000
            assert simulator.books()["twice"] == []
            assert simulator.state()["largest_batch"] <= 2
            assert simulator.state()["remarks"] == {}

    run(main())


def test_a_site_that_is_never_well(tmp_path: Path) -> None:
    """Web pages, resets and lost replies at every turn: everything is served and paid once."""

    async def main() -> None:
        async with on_the_wire(tmp_path, seed=5) as (world, process, simulator):
            await world.sessions(4)
            for kind, rate in (("html504", 0.15), ("reset", 0.1), ("truncated", 0.05), ("empty", 0.05)):
                simulator.fault(kind, rate=rate)
            simulator.fault("lost_reply", endpoint="generate", rate=0.3)
            tasks = [await wish(world, f"cat {n}", n=2) for n in range(20)]
            await world.settle(process)
            assert [(await world.task(task)).stage for task in tasks] == [Stage.SUCCEEDED] * 20
            assert len(simulator.books()["charged"]) == 20
            assert simulator.books()["twice"] == []
            assert world.slots_taken() == 0
            assert set(simulator.state()["fault_hits"]) >= {"html504", "reset", "lost_reply"}

    run(main())


@pytest.mark.parametrize("words", ["[sim:bad-file=2]", "[sim:dead-link]", "[sim:partial=1]", "[sim:big=1]"])
def test_results_with_a_flaw(tmp_path: Path, words: str) -> None:
    async def main() -> None:
        async with on_the_wire(tmp_path) as (world, process, _):
            await world.sessions(1)
            task = await wish(world, f"a cat {words}", n=2)
            await world.settle(process)
            done = await world.task(task)
            assert done.stage is Stage.SUCCEEDED
            assert len(done.results) == (1 if "partial" in words else 2)
            for result in done.results:
                head = world.file(done, result.index).read_bytes()[:8]
                assert head == b"\x89PNG\r\n\x1a\n"

    run(main())


@pytest.mark.parametrize(
    ("words", "kind", "state"),
    [
        ("[sim:reject-text]", ErrorKind.CONTENT_REJECTED, SessionState.READY),
        ("[sim:reject-result]", ErrorKind.CONTENT_REJECTED, SessionState.READY),
        ("[sim:fail]", ErrorKind.GENERATION_FAILED, SessionState.READY),
        ("[sim:ret=2038]", ErrorKind.CONTENT_REJECTED, SessionState.READY),
        ("[sim:ret=2061]", ErrorKind.MODEL_UNAVAILABLE, SessionState.READY),
        ("[sim:ret=1006]", ErrorKind.QUOTA, SessionState.READY),
        ("[sim:ret=121101]", ErrorKind.QUOTA, SessionState.COOLING),
        ("[sim:ret=4013]", ErrorKind.RISK, SessionState.COOLING),
        ("[sim:ret=1018]", ErrorKind.ACCOUNT_BLOCKED, SessionState.BLOCKED),
        ("[sim:ret=1015]", ErrorKind.AUTH, SessionState.EXPIRED),
        ("[sim:ret=987654]", ErrorKind.UNKNOWN, SessionState.READY),
    ],
)
def test_refusals_in_the_sites_own_words(
    tmp_path: Path, words: str, kind: ErrorKind, state: SessionState
) -> None:
    async def main() -> None:
        async with on_the_wire(tmp_path) as (world, process, simulator):
            (session,) = await world.sessions(1)
            task = await wish(world, f"a cat {words}", n=1)
            await world.settle(process, seconds=50)
            failed = await world.task(task)
            assert failed.failure is not None
            assert (failed.stage, failed.failure.kind) == (Stage.FAILED, kind)
            assert (await world.gateway.session(session.id)).state is state
            assert len(simulator.requests("generate")) == 1
            if kind is ErrorKind.UNKNOWN:
                assert failed.failure.code == "987654"
                assert "987654" in failed.failure.raw

    run(main())


def test_too_many_at_once_is_waited_out(tmp_path: Path) -> None:
    """The account takes one job at a time although the session was given two slots (1310)."""

    async def main() -> None:
        async with on_the_wire(tmp_path, slot_limit=1) as (world, process, simulator):
            await world.sessions(1)
            tasks = [await wish(world, f"cat {n}", n=1) for n in range(3)]
            for _ in range(20):
                await world.settle(process, seconds=61)
                await process.worker.slow_round()
            assert [(await world.task(task)).stage for task in tasks] == [Stage.SUCCEEDED] * 3
            assert len(simulator.books()["charged"]) == 3

    run(main())


def test_a_running_job_is_cancelled_and_paid_back(tmp_path: Path) -> None:
    async def main() -> None:
        async with on_the_wire(tmp_path) as (world, process, simulator):
            await world.sessions(1)
            task = await wish(world, "a long one", Kind.VIDEO)
            await world.settle(process, seconds=40)
            await world.gateway.cancel(ADMIN, task.id)
            await world.settle(process)
            assert (await world.task(task)).stage is Stage.CANCELLED
            assert simulator.books()["total"] == 0
            assert (await world.events(task))[-1] == "cancel.upstream"

    run(main())


def test_a_dead_login_and_its_replacement(tmp_path: Path) -> None:
    async def main() -> None:
        async with on_the_wire(tmp_path, open_door=False) as (world, process, simulator):
            simulator.account(f"{0:032x}", credits=1000)
            (session,) = await world.sessions(1)
            task = await wish(world, "a cat", n=1)
            await process.worker.drain()
            simulator.account(f"{0:032x}", dead=True)
            await world.settle(process, seconds=60)
            assert (await world.gateway.session(session.id)).state is SessionState.EXPIRED
            assert (await world.task(task)).stage is Stage.POLLING
            simulator.account(f"{0:032x}", dead=False)
            await world.gateway.update_session(session.id, credential=f"{0:032x}")
            await world.settle(process)
            assert (await world.task(task)).stage is Stage.SUCCEEDED

    run(main())
