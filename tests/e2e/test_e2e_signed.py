"""The browser dies again and again while Seedance tasks go through it: all arrive, each is paid once."""

from __future__ import annotations

import base64
import contextlib
import os
import signal
import time
from pathlib import Path
from random import Random, SystemRandom

import pytest
from ledger import assert_all_succeeded, sqlite_rows, stages
from support.media import a_png, a_wav, an_mp4
from support.process import SHORT, Api, gateway, until

from jimeng_gateway.simulator.options import SimulatorOptions
from jimeng_gateway.simulator.server import Simulator

pytestmark = [pytest.mark.e2e, pytest.mark.long]

TASKS = 100
SESSIONS = 10
KILLS = 10

#: Videos of 4 s that only a page of the same session can submit.
STRICT = SimulatorOptions(speed=10, absent_s=5, video_s=40, sign="strict", require_signature="video")


def data_uri(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


REFERENCES = [
    data_uri("image/png", a_png(640, 480)),
    data_uri("video/mp4", an_mp4()),
    data_uri("audio/wav", a_wav(3.0)),
]


def test_ten_dead_browsers_lose_nothing_and_pay_nothing_twice(tmp_path: Path) -> None:
    seed = SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    chance = Random(seed)
    environ = {**SHORT, "JIMENG_SUBMIT_ROUTE": "auto", "JIMENG_SUBMIT_TIMEOUT": "20"}
    with (
        Simulator(STRICT) as sim,
        gateway(tmp_path, {**environ, "JIMENG_UPSTREAM_URL": sim.base_url}) as gate,
    ):
        api = Api(gate)
        api.add_sessions(SESSIONS)
        task_ids = [
            api.submit(f"@1 moves as in @2, to @3; number {n}", "seedance-2.0", references=REFERENCES)
            for n in range(TASKS)
        ]
        killed: set[int] = set()
        while len(killed) < KILLS:
            (browser,) = until(lambda: browsers(gate.pid), seconds=30, what="a browser runs")
            time.sleep(chance.uniform(0.2, 1.5))
            killed |= kill(browser)
            until(lambda dead=browser: dead not in browsers(gate.pid), seconds=10, what="it is gone")
        rows = sqlite_rows(tmp_path / "data")
        until(
            lambda: stages(rows).get("succeeded", 0) + stages(rows).get("failed", 0) == TASKS,
            seconds=90,
            what="all tasks have ended",
        )
        assert_all_succeeded(rows, sim, task_ids, tmp_path / "data" / "results")
        assert gate.terminate(seconds=10) < 10
        assert browsers(gate.pid) == []


def kill(browser: int) -> set[int]:
    """kill -9; empty if it was no longer there."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(browser, signal.SIGKILL)
        return {browser}
    return set()


def browsers(gateway_pid: int) -> list[int]:
    """The main processes of Chromium below a gateway: those that own its debugging pipe."""
    parents: dict[int, int] = {}
    found: list[int] = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, IndexError):
            pid = int(folder.name)
            parents[pid] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            words = (folder / "cmdline").read_bytes().split(b"\0")
            if b"--remote-debugging-pipe" in words and not any(w.startswith(b"--type=") for w in words):
                found.append(pid)
    # The shell that cleans up behind Chromium has the same words on its line; it is not the one to kill.
    shells = {pid for pid in found if parents.get(pid) == gateway_pid}
    return [pid for pid in found if parents.get(pid) in shells]
