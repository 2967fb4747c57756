"""What breaks, where, and what the task is told: NO only if nothing can have left."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
from dataclasses import replace
from pathlib import Path

import pytest
from signing import (
    Told,
    failure_of,
    helpers,
    main_process,
    options,
    processes,
    renderers,
    signing,
    submit,
    until,
    who,
)
from support.aio import run

from jimeng_gateway.browser.signer import ChromiumSigner
from jimeng_gateway.clock import SystemClock
from jimeng_gateway.domain.errors import Acceptance
from jimeng_gateway.simulator import Simulator

#: Seconds after which the site would have answered; what ends a submit before has not waited for that.
SLOW = 40


async def cleared(signer: ChromiumSigner) -> None:
    """Until the signer has noticed that all its pages are gone."""
    while signer.health().contexts:
        await signer.tidy()
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("behaviour", ["broken", "unsigned"])
def test_a_page_that_does_not_sign_sends_nothing(sim: Simulator, folder: Path, behaviour: str) -> None:
    sim.set(page=behaviour)

    async def main() -> None:
        async with signing(sim, folder, ready_timeout=4) as signer:
            failure = await failure_of(signer.send(who("one"), submit(sim, who("one"))))
            assert (failure.code, failure.acceptance) == ("signer_unavailable", Acceptance.NO)
            assert failure.retryable
            assert sim.requests("generate") == []
            # The site is repaired: the page is loaded anew.
            sim.set(page="good")
            reply = await signer.send(who("one"), submit(sim, who("one")))
            assert json.loads(reply)["ret"] == "0"

    run(main())


def test_a_slow_page_is_waited_for(sim: Simulator, folder: Path) -> None:
    sim.set(page_delay_s=1.0)

    async def main() -> None:
        async with signing(sim, folder) as signer:
            reply = await signer.send(who("one"), submit(sim, who("one")))
            assert json.loads(reply)["ret"] == "0"

    run(main())


def test_a_page_that_sends_twice_is_held_to_once(sim: Simulator, folder: Path) -> None:
    sim.set(page="twice")

    async def main() -> None:
        async with signing(sim, folder) as signer:
            for turn in range(3):
                reply = await signer.send(who("one"), submit(sim, who("one"), f"v-{turn}"))
                assert json.loads(reply)["ret"] == "0"
        assert sim.books()["charged"] == {"v-0": 1, "v-1": 1, "v-2": 1}
        assert len(sim.requests("generate")) == 3

    run(main())


def test_no_answer_in_time_is_unclear(sim: Simulator, folder: Path) -> None:
    sim.fault("slow", endpoint="generate", seconds=SLOW, count=1)

    async def main() -> None:
        async with signing(sim, folder, submit_timeout=2.5) as signer:
            failure = await failure_of(signer.send(who("one"), submit(sim, who("one"))))
            assert (failure.code, failure.acceptance) == ("signer_timeout", Acceptance.UNKNOWN)
            reply = await signer.send(who("one"), submit(sim, who("one"), "v-2"))
            assert json.loads(reply)["ret"] == "0"

    run(main())


def test_a_connection_reset_is_not_tried_again_by_the_browser(sim: Simulator, folder: Path) -> None:
    """Chromium sends a POST again when a kept connection breaks, unless it is kept from doing so."""

    async def main() -> None:
        async with signing(sim, folder) as signer:
            for turn in range(3):
                await signer.send(who("one"), submit(sim, who("one"), f"warm-{turn}"))
            sim.fault("lost_reply", endpoint="generate", count=1)
            failure = await failure_of(signer.send(who("one"), submit(sim, who("one"), "lost")))
            assert failure.acceptance is Acceptance.UNKNOWN
            assert sim.books("lost")["charged"] == {"lost": 1}
            assert len(sim.requests("generate")) == 4

    run(main())


def test_a_site_that_cannot_be_reached_got_nothing(sim: Simulator, folder: Path) -> None:
    async def main() -> None:
        async with signing(sim, folder) as signer:
            await signer.send(who("one"), submit(sim, who("one"), "v-1"))
            sim.stop()
            failure = await failure_of(signer.send(who("one"), submit(sim, who("one"), "v-2")))
            assert (failure.code, failure.acceptance) == ("signer_unavailable", Acceptance.NO)
            assert "refused" in failure.message or "Connect call failed" in failure.message

    run(main())


def test_the_page_itself_cannot_be_loaded(sim: Simulator, folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]

    async def main() -> None:
        nowhere = f"http://127.0.0.1:{port}/ai-tool/generate"
        async with signing(sim, folder, page_url=nowhere) as signer:
            failure = await failure_of(signer.send(who("one"), submit(sim, who("one"))))
            assert (failure.code, failure.acceptance) == ("signer_unavailable", Acceptance.NO)
            assert f"127.0.0.1:{port}" in failure.message

    run(main())


def test_the_browser_is_killed_in_the_middle_of_a_submit(sim: Simulator, folder: Path) -> None:
    sim.fault("slow", endpoint="generate", seconds=SLOW, count=1)
    told = Told()

    async def main() -> None:
        async with signing(sim, folder, told=told) as signer:
            sending = asyncio.create_task(failure_of(signer.send(who("one"), submit(sim, who("one")))))
            await until(lambda: sim.requests("generate"), "the submit arrives")
            began = SystemClock().monotonic()
            os.kill(main_process(folder), signal.SIGKILL)
            failure = await sending
            assert SystemClock().monotonic() - began < SLOW / 2
            assert (failure.code, failure.acceptance) == ("signer_browser_gone", Acceptance.UNKNOWN)
            reply = await signer.send(who("one"), submit(sim, who("one"), "v-2"))
            assert json.loads(reply)["ret"] == "0"
        assert told.names().count("signer.browser_started") == 2
        assert told.of("signer.browser_stopped", "reason") == ["lost", "closed"]

    run(main())


def test_a_killed_browser_is_cleared_away_without_a_submit(sim: Simulator, folder: Path) -> None:
    async def main() -> None:
        async with signing(sim, folder) as signer:
            await signer.send(who("one"), submit(sim, who("one")))
            os.kill(main_process(folder), signal.SIGKILL)
            await until(lambda: not signer.health().running, "its end is noticed")
            await signer.tidy()
            assert signer.health().contexts == 0
            assert signer.health().available

    run(main())


def test_what_a_killed_browser_leaves_behind_is_killed_too(sim: Simulator, folder: Path) -> None:
    """Its processes go when they notice that it is gone; one that hangs notices nothing."""

    async def main() -> None:
        async with signing(sim, folder, stop_timeout=0.5) as signer:
            await signer.send(who("one"), submit(sim, who("one")))
            for hanging in helpers(folder):
                os.kill(hanging, signal.SIGSTOP)
            os.kill(main_process(folder), signal.SIGKILL)
            await until(lambda: not signer.health().running, "its end is noticed")
            await signer.tidy()
            assert processes(folder) == []

    run(main())


def test_a_page_that_crashes_fails_at_once_and_comes_back(sim: Simulator, folder: Path) -> None:
    """As when the machine runs out of memory; a call into such a page would never return by itself."""
    sim.fault("slow", endpoint="generate", seconds=SLOW, session="one", count=1)
    told = Told()

    async def main() -> None:
        async with signing(sim, folder, told=told) as signer:
            await signer.send(who("two"), submit(sim, who("two"), "w-1"))
            sending = asyncio.create_task(failure_of(signer.send(who("one"), submit(sim, who("one")))))
            await until(lambda: len(sim.requests("generate")) == 2, "the submit arrives")
            began = SystemClock().monotonic()
            for process in renderers(folder):
                os.kill(process, signal.SIGKILL)
            failure = await sending
            assert SystemClock().monotonic() - began < SLOW / 2
            assert (failure.code, failure.acceptance) == ("signer_page_gone", Acceptance.UNKNOWN)
            await cleared(signer)
            for name in ("one", "two"):
                reply = await signer.send(who(name), submit(sim, who(name), f"{name}-2"))
                assert json.loads(reply)["ret"] == "0"
        assert told.names().count("signer.browser_started") == 1

    run(main())


def test_a_page_that_went_elsewhere_is_not_asked(sim: Simulator, folder: Path) -> None:
    """A login page, say: same browser, same cookies, nobody there to sign."""
    sim.set(page="leave")

    async def main() -> None:
        async with signing(sim, folder) as signer:
            await signer.send(who("one"), submit(sim, who("one")))
            await until(lambda: sim.requests("page_extra"), "the page leaves")
            await failure_of(signer.send(who("one"), submit(sim, who("one"), "v-2")))
            assert len(sim.requests("generate")) == 1
            reply = await signer.send(who("one"), submit(sim, who("one"), "v-3"))
            assert json.loads(reply)["ret"] == "0"

    run(main())


def test_an_alert_does_not_stop_a_page(sim: Simulator, folder: Path) -> None:
    sim.set(page="alert")

    async def main() -> None:
        async with signing(sim, folder) as signer:
            reply = await signer.send(who("one"), submit(sim, who("one")))
            assert json.loads(reply)["ret"] == "0"

    run(main())


def test_closing_refuses_what_waits(sim: Simulator, folder: Path) -> None:
    sim.fault("slow", endpoint="generate", seconds=5)

    async def main() -> None:
        signer = ChromiumSigner(options(sim, folder, max_contexts=1), SystemClock(), Told())
        await signer.start()
        first = asyncio.create_task(failure_of(signer.send(who("one"), submit(sim, who("one")))))
        await until(lambda: sim.requests("generate"), "the submit arrives")
        second = asyncio.create_task(failure_of(signer.send(who("two"), submit(sim, who("two"), "w-1"))))
        await asyncio.sleep(0)
        await signer.close()
        assert (await first).acceptance is Acceptance.UNKNOWN
        assert (await second).acceptance is Acceptance.NO
        third = await failure_of(signer.send(who("one"), submit(sim, who("one"), "v-3")))
        assert third.acceptance is Acceptance.NO

    run(main())


def test_a_submit_that_is_no_longer_ours_does_not_leave(sim: Simulator, folder: Path) -> None:
    """It waited for its turn or for the page; meanwhile another process has taken the task over."""

    async def main() -> None:
        async with signing(sim, folder) as signer:
            taken_over = replace(submit(sim, who("one")), still_ours=lambda: False)
            failure = await failure_of(signer.send(who("one"), taken_over))
            assert (failure.code, failure.acceptance) == ("signer_unavailable", Acceptance.NO)
            assert sim.requests("generate") == []
            reply = await signer.send(who("one"), submit(sim, who("one"), "v-2"))
            assert json.loads(reply)["ret"] == "0"

    run(main())
