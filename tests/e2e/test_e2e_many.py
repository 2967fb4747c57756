"""A thousand tasks in flight over five hundred sessions: each session is asked once per interval, none is
forgotten, and none is given more than its slots.
"""

from __future__ import annotations

import time
from itertools import pairwise
from pathlib import Path

import pytest
from ledger import assert_paid_once, sqlite_rows, stages
from support.process import SHORT, Api, gateway, until

from jimeng_gateway.simulator.options import SimulatorOptions
from jimeng_gateway.simulator.server import Simulator

pytestmark = [pytest.mark.e2e, pytest.mark.long]

SESSIONS = 500
EVERY = 5.0
LONGEST = 8.0
WINDOW = 20.0


def together(sim: Simulator) -> bool:
    """Whether the last poll of nearly every session asked for both of its tasks."""
    return sum(account["polls"][-1][1] for account in sim.accounts() if account["polls"]) > 1.85 * SESSIONS


def test_a_thousand_in_flight_cost_one_request_per_session_and_interval(tmp_path: Path) -> None:
    environ = {
        **SHORT,
        "JIMENG_LEASE": "30",
        "JIMENG_POLL_VIDEO_FIRST": "2",
        "JIMENG_POLL_VIDEO_EVERY": str(EVERY),
        "JIMENG_POLL_LONGEST": str(LONGEST),
    }
    with Simulator(SimulatorOptions(speed=20, sign="off")) as sim:
        with gateway(tmp_path, {**environ, "JIMENG_UPSTREAM_URL": sim.base_url}) as gate:
            api = Api(gate)
            api.add_sessions(SESSIONS)
            prompt = "a film that is never ready [sim:forever]"
            task_ids = [api.submit(prompt, "jimeng-video-3.0") for _ in range(2 * SESSIONS)]
            rows = sqlite_rows(tmp_path / "data")
            until(lambda: stages(rows) == {"polling": 2 * SESSIONS}, seconds=90, what="all are in flight")
            # The longer it took to submit them, the longer two tasks of a session differ in their intervals.
            until(lambda: together(sim), seconds=90, what="they fall in with each other", look=1.0)

            begun = time.time()
            until(lambda: time.time() > begun + WINDOW, seconds=WINDOW + 1, what="the window is over")
            accounts = sim.accounts()
        assert_paid_once(rows, sim, task_ids)
    assert len(accounts) == SESSIONS
    assert {account["running_max"] for account in accounts} == {2}
    for account in accounts:
        polls = [(at, ids) for at, ids in account["polls"] if at >= begun]
        gaps = [later - earlier for (earlier, _), (later, _) in pairwise(polls)]
        # Never twice in an interval, and never left alone for much longer than the longest one.
        assert min(gaps) > EVERY * 0.98, account["session"]
        assert max(gaps) < LONGEST * 1.1 + 2, account["session"]
        assert len(polls) >= WINDOW / (LONGEST * 1.1 + 2) - 1, account["session"]
    settled = [ids for account in accounts for at, ids in account["polls"] if at >= begun]
    # And they stay together.
    assert sum(settled) / len(settled) > 1.8
