"""When contexts and the browser come and go, on a clock that the tests move."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from signing import ManualClock, Told, processes, profiles, signing, submit, until, who
from support.aio import run

from jimeng_gateway.browser.signer import TIDY_EVERY, ChromiumSigner
from jimeng_gateway.simulator import Simulator


async def send(signer: ChromiumSigner, sim: Simulator, session: str, submit_id: str) -> None:
    reply = await signer.send(who(session), submit(sim, who(session), submit_id))
    assert json.loads(reply)["ret"] == "0"


def test_nothing_is_started_before_it_is_needed(sim: Simulator, folder: Path) -> None:
    async def main() -> None:
        async with signing(sim, folder) as signer:
            assert signer.health().available
            assert not signer.health().running
            assert processes(folder) == []

    run(main())


def test_idle_contexts_close_and_then_the_browser_stops(sim: Simulator, folder: Path) -> None:
    clock, told = ManualClock(), Told()

    async def main() -> None:
        async with signing(sim, folder, clock, told, idle_close=600, browser_idle=180) as signer:
            await send(signer, sim, "one", "v-1")
            await send(signer, sim, "two", "w-1")
            clock.advance(400)
            await send(signer, sim, "two", "w-2")
            clock.advance(200)
            await until(lambda: signer.health().contexts == 1, "the idle one is closed")
            assert told.of("signer.page_closed", "session") == ["one"]
            clock.advance(400)
            await until(lambda: signer.health().contexts == 0, "so is the other")
            assert signer.health().running
            clock.advance(180)
            await until(lambda: "signer.browser_stopped" in told.names(), "the browser stops")
            assert told.of("signer.browser_stopped", "reason") == ["unused"]
            assert processes(folder) == []
            assert profiles(folder) == []
            await send(signer, sim, "one", "v-2")
            assert signer.health().running

    run(main())


def test_a_page_is_renewed_after_an_hour(sim: Simulator, folder: Path) -> None:
    clock = ManualClock()

    async def main() -> None:
        async with signing(sim, folder, clock, page_age=3600, idle_close=10_000) as signer:
            for turn in range(3):
                await send(signer, sim, "one", f"v-{turn}")
                clock.advance(1800)
            assert len(sim.requests("page")) == 2

    # v-0 opens it, v-1 is half an hour later, v-2 an hour later.
    run(main())


def test_the_longest_unused_makes_room(sim: Simulator, folder: Path) -> None:
    clock, told = ManualClock(), Told()

    async def main() -> None:
        async with signing(sim, folder, clock, told, max_contexts=2) as signer:
            for number, name in enumerate(("one", "two", "one", "three")):
                await send(signer, sim, name, f"v-{number}")
                clock.advance(1)
            assert signer.health().contexts == 2
            assert told.of("signer.page_closed", "session") == ["two"]

    run(main())


def test_more_sessions_than_contexts_all_get_their_turn(sim: Simulator, folder: Path) -> None:
    most: list[int] = []

    async def main() -> None:
        async with signing(sim, folder, max_contexts=2) as signer:

            async def one(number: int) -> None:
                await send(signer, sim, f"crowd{number}", f"v-{number}")
                most.append(signer.health().contexts)

            await asyncio.gather(*(one(number) for number in range(6)))
        assert sorted(sim.books()["charged"]) == [f"v-{number}" for number in range(6)]
        assert max(most) == 2

    run(main())


def test_a_busy_context_is_never_closed(sim: Simulator, folder: Path) -> None:
    clock = ManualClock()
    sim.fault("slow", endpoint="generate", seconds=1, session="one", count=1)

    async def main() -> None:
        async with signing(sim, folder, clock, max_contexts=1, idle_close=60) as signer:
            first = asyncio.create_task(send(signer, sim, "one", "v-1"))
            await until(lambda: sim.requests("generate"), "the submit arrives")
            second = asyncio.create_task(send(signer, sim, "two", "w-1"))
            clock.advance(1000)
            await signer.tidy()
            assert not second.done()
            await asyncio.gather(first, second)

    run(main())


def test_the_keeper_looks_often_enough() -> None:
    assert TIDY_EVERY <= 60
