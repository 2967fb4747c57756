"""What the browser adds to a submit: against the very same submit sent plainly, in turn, in one run."""

from __future__ import annotations

import asyncio
import os
import statistics
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from report import Figure
from service import folder

from jimeng_gateway.browser.options import WORK_PAGE, SignerOptions
from jimeng_gateway.browser.signer import ChromiumSigner
from jimeng_gateway.clock import SystemClock
from jimeng_gateway.domain.builtin_models import builtin as catalogue
from jimeng_gateway.domain.intake import Wish, plan
from jimeng_gateway.domain.ports import Order
from jimeng_gateway.domain.request import Kind
from jimeng_gateway.domain.route import Route
from jimeng_gateway.domain.session import Identity
from jimeng_gateway.simulator.options import SimulatorOptions
from jimeng_gateway.simulator.server import Simulator
from jimeng_gateway.telemetry import Telemetry
from jimeng_gateway.upstream.client import HttpUpstream
from jimeng_gateway.upstream.wire import protocol
from jimeng_gateway.upstream.wire.identity import identity, parse_credential

SUBMITS = 100
BURST = 200
HOW = (
    f"The signer alone, with a real Chromium on the simulator: {SUBMITS} signed submits on a warm page and "
    f"as many plain ones in turn; then {BURST} at once over 1 and over 10 sessions. Memory is PSS of all "
    "browser processes."
)


def measure(runs: int) -> list[Figure]:
    """One browser for each run; the medians of the runs."""
    taken = [asyncio.run(_run()) for _ in range(runs)]
    figures = {name: statistics.median(run[name] for run in taken) for name in taken[0]}
    added = figures["signed"] - figures["plain"]
    return [
        Figure("signed submit, warm, median", f"{figures['signed']:.1f} ms", f"{added:.1f} ms added"),
        Figure("· p95", f"{figures['signed p95']:.1f} ms"),
        Figure("plain submit, median", f"{figures['plain']:.1f} ms", "the same body over plain HTTP"),
        Figure("· p95", f"{figures['plain p95']:.1f} ms"),
        Figure("submits per second, 1 session", f"{figures['one']:.0f}/s", "one after the other"),
        Figure("submits per second, 10 sessions", f"{figures['ten']:.0f}/s"),
        Figure("cold start", f"{figures['cold']:.2f} s", "browser, page and first submit"),
        Figure("memory of Chromium, 1 context", f"{figures['memory 1']:.0f} MB"),
        Figure("memory of Chromium, 10 contexts", f"{figures['memory 10']:.0f} MB"),
    ]


async def _run() -> dict[str, float]:
    clock = SystemClock()
    with Simulator(SimulatorOptions(require_signature="off", slot_limit=0)) as sim, folder() as data:
        options = SignerOptions(folder=data / "browser", page_url=sim.base_url + WORK_PAGE)
        signer = ChromiumSigner(options, clock, Telemetry())
        await signer.start()
        signed = client_of(sim.base_url, clock, Route.BROWSER, signer)
        plain = client_of(sim.base_url, clock, Route.DIRECT, None)
        people = [somebody(number, clock) for number in range(10)]
        try:
            cold = await _timed(lambda: signed.submit(people[0], _order()))
            found = {"cold": cold, "memory 1": _browser_mb()}
            pairs = [
                (
                    await _timed(lambda: signed.submit(people[0], _order())),
                    await _timed(lambda: plain.submit(people[0], _order())),
                )
                for _ in range(SUBMITS)
            ]
            for name, times in zip(("signed", "plain"), zip(*pairs, strict=True), strict=True):
                found[name] = 1000 * statistics.median(times)
                found[f"{name} p95"] = 1000 * statistics.quantiles(times, n=20)[-1]
            found["one"] = BURST / await _timed(lambda: _burst(signed, people[:1]))
            await _burst(signed, people)
            found["ten"] = BURST / await _timed(lambda: _burst(signed, people))
            found["memory 10"] = _browser_mb()
            return found
        finally:
            await signer.close()
            await signed.close()
            await plain.close()


async def _burst(client: HttpUpstream, people: list[Identity]) -> None:
    await asyncio.gather(*(client.submit(people[number % len(people)], _order()) for number in range(BURST)))


async def _timed(call: Callable[[], Awaitable[object]]) -> float:
    begun = time.perf_counter()
    await call()
    return time.perf_counter() - begun


def client_of(url: str, clock: SystemClock, route: Route, signer: ChromiumSigner | None) -> HttpUpstream:
    return HttpUpstream(
        protocol.builtin(), clock=clock, ids=_uuid, upstream_url=url, signer=signer, usual=route
    )


def _order() -> Order:
    wish = Wish("a boat leaves the harbour", kind=Kind.VIDEO, model="seedance-2.0")
    return Order(plan(wish, catalogue()), _uuid(), 1)


def somebody(number: int, clock: SystemClock) -> Identity:
    credential = parse_credential(f"{number:032x}")
    return identity(credential, str(7 * 10**18 + number), f"session_{number}", clock.now())


def _uuid() -> str:
    text = os.urandom(16).hex()
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-a{text[17:20]}-{text[20:]}"


def _browser_mb() -> float:
    """Proportional memory of every process of our browser, by its group: the keeper leads it."""
    total = 0
    for each in Path("/proc").glob("[0-9]*"):
        try:
            if b"chromium" in (each / "cmdline").read_bytes():
                rollup = (each / "smaps_rollup").read_text()
                total += int(rollup.partition("\nPss:")[2].split()[0])
        except (OSError, IndexError):
            continue
    return total / 1000
