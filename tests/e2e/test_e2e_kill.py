"""kill -9 at random moments under a faulty site: nothing is lost, nothing is paid twice."""

from __future__ import annotations

import time
from pathlib import Path
from random import Random, SystemRandom

import pytest
from ledger import assert_all_succeeded, sqlite_rows, stages
from support.process import SHORT, Api, Gateway, gateway, until

from jimeng_gateway.simulator.options import SimulatorOptions
from jimeng_gateway.simulator.server import Simulator

pytestmark = [pytest.mark.e2e, pytest.mark.long]

#: Images of 2 s and videos of 4 s that are not listed for the first two seconds: who believes in absence
#: too early submits twice.
HASTY = SimulatorOptions(speed=10, absent_s=20, video_s=40)

KILLS = 20
PER_KILL = 15
VIDEO_EVERY = 10


def disturb(sim: Simulator) -> None:
    """One HTML 504 in ten, one reset in twenty, one lost reply in twenty, wherever they may fall."""
    sim.fault("html504", rate=0.10)
    sim.fault("reset", rate=0.05)
    sim.fault("lost_reply", rate=0.05)


def model_of(number: int) -> str:
    """Mostly pictures, now and then a video."""
    return "jimeng-video-3.0" if number % VIDEO_EVERY == 0 else "jimeng-4.5"


def test_twenty_kills_lose_nothing_and_pay_nothing_twice(tmp_path: Path) -> None:
    seed = SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    chance = Random(seed)
    with Simulator(HASTY) as sim, gateway(tmp_path, {**SHORT, "JIMENG_UPSTREAM_URL": sim.base_url}) as gate:
        api = Api(gate)
        api.add_sessions(12)
        disturb(sim)
        task_ids: list[str] = []
        for _ in range(KILLS):
            for _ in range(PER_KILL):
                task_ids.append(api.submit(f"a cat, number {len(task_ids)}", model_of(len(task_ids))))
            _kill_at_random(gate, chance)
        rows = sqlite_rows(tmp_path / "data")
        until(
            lambda: stages(rows).get("succeeded", 0) + stages(rows).get("failed", 0) == len(task_ids),
            seconds=60,
            what="all tasks have ended",
        )
        assert_all_succeeded(rows, sim, task_ids, tmp_path / "data" / "results")
        assert gate.terminate(seconds=10) < 10
        faults = sim.state()["fault_hits"]
        assert min(faults[kind] for kind in ("html504", "reset", "lost_reply")) > 10
        assert sim.state()["running_max"] <= 2
        assert not [line for line in gate.whole_log() if line["event"] in ("slot.leaked", "step.crashed")]


def _kill_at_random(gate: Gateway, chance: Random) -> None:
    """Lets it run for a moment, kills it, and now and then kills its successor while that is starting."""
    time.sleep(chance.uniform(0.05, 3))
    gate.kill()
    if chance.random() < 0.15:
        gate.launch()
        time.sleep(chance.uniform(0.1, 0.9))
        gate.kill()
    gate.start()
