"""Ten thousand tasks in flight: what they cost while the site keeps them waiting."""

from __future__ import annotations

import time
from typing import Any

from report import Figure
from service import Api, Gateway, Site, cpu_s, folder, gateway, on_core, rss_mb, site, until

SESSIONS, SLOTS, WINDOW_S = 5000, 2, 60.0
HOW = (
    f"One run: {SESSIONS:,} sessions with {SLOTS} videos each that stay in the site's queue for hours; "
    f"default settings, SQLite. Watched for {WINDOW_S:g} s after every session had been polled."
)


def measure(_runs: int) -> list[Figure]:
    """Some minutes: the first poll of a job with hours to go comes after two of them."""
    with (
        site(sign="off", log_size=10) as made,
        folder() as data,
        on_core(0),
        gateway(data, {"JIMENG_UPSTREAM_URL": made.url}) as gate,
    ):
        api = Api(gate)
        empty = rss_mb(gate.pid)
        for number in range(SESSIONS):
            credential = f"{number:08d}{'ab12' * 6}"
            api.call("POST", "/api/v1/sessions", {"credential": credential, "slots": SLOTS})
        filling = _fill(api)
        # Twice as many as there are sessions: the rhythm has settled.
        until(
            lambda: made.ask("/state")["polls"] >= 2 * SESSIONS, seconds=400, what="polls came round", look=2
        )
        return [
            *_watched(gate, made, empty),
            Figure("submitted to the site", f"{SESSIONS * SLOTS / filling:,.0f}/s", "while the queue filled"),
        ]


def _fill(api: Api) -> float:
    begun = time.monotonic()
    for _ in range(SESSIONS * SLOTS):
        api.submit("a film that waits [sim:queue=36000]", "jimeng-video-3.0")
    until(lambda: api.stages()["polling"] == SESSIONS * SLOTS, seconds=300, what="all are in flight", look=1)
    return time.monotonic() - begun


def _watched(gate: Gateway, made: Site, empty: float) -> list[Figure]:
    before, begun = _counts(gate, made), time.monotonic()
    until(lambda: time.monotonic() - begun >= WINDOW_S, seconds=WINDOW_S + 1, what="the window is over")
    after, span = _counts(gate, made), time.monotonic() - begun
    polls = (after["polls"] - before["polls"]) / span
    cpu = 100 * (after["cpu"] - before["cpu"]) / span
    memory = rss_mb(gate.pid)
    return [
        Figure(
            "requests to the site",
            f"{polls:.0f}/s",
            f"{SESSIONS / 30:.0f}/s is one per session and half minute",
        ),
        Figure(
            "gateway CPU", f"{cpu:.0f} %", f"of one core; {10 * cpu / max(polls, 1e-9):.2f} ms for each poll"
        ),
        Figure("gateway memory (RSS)", f"{memory:.0f} MB", f"{empty:.0f} MB before the first session"),
        Figure(
            "simulator CPU", f"{100 * (after['site'] - before['site']) / span:.0f} %", "of the other core"
        ),
    ]


def _counts(gate: Gateway, made: Site) -> dict[str, Any]:
    return {"polls": made.ask("/state")["polls"], "cpu": cpu_s(gate.pid), "site": cpu_s(made.pid)}
