"""Ending a process politely or not at all: what it holds up, what it leaves behind, who may follow it."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path
from threading import Thread

import pytest
from ledger import assert_all_succeeded, assert_nothing_held, sqlite_rows, stages
from support.process import SHORT, Api, Gateway, gateway, until

from jimeng_gateway.simulator.options import SimulatorOptions
from jimeng_gateway.simulator.server import Simulator

pytestmark = pytest.mark.e2e

QUICK = SimulatorOptions(speed=20, absent_s=10)


def test_sigterm_drains_in_time_although_everything_hangs(tmp_path: Path) -> None:
    with Simulator(QUICK) as sim, gateway(tmp_path, {**SHORT, "JIMENG_UPSTREAM_URL": sim.base_url}) as gate:
        api = Api(gate)
        api.add_sessions(10)
        sim.fault("slow", endpoint="generate", seconds=30.0)
        task_ids = [api.submit(f"hangs {number}") for number in range(24)]
        until(lambda: len(sim.jobs()) == 20, seconds=10, what="every slot has a submit that hangs")
        with ExitStack() as streams:
            for task_id in task_ids:
                connection, response = api.open(
                    "GET", f"/api/v1/tasks/{task_id}/events", headers={"accept": "text/event-stream"}
                )
                streams.callback(connection.close)
                assert response.status == 200
            waits = [Thread(target=_wait_for_picture, args=(api,)) for _ in range(4)]
            for wait in waits:
                wait.start()
            until(lambda: _tasks(tmp_path) == 28, seconds=10, what="the waiting requests are queued")
            assert gate.terminate(seconds=10) < 10
            for wait in waits:
                wait.join(5)
                assert not wait.is_alive()
        rows = sqlite_rows(tmp_path / "data")
        assert_nothing_held(rows)
        assert stages(rows) == {"submitting": 20, "queued": 8}

        sim.clear_faults()
        gate.start()
        until(lambda: stages(rows) == {"succeeded": 28}, seconds=30, what="the next process ends them all")
        every = [task_id for (task_id,) in rows("SELECT id FROM task")]
        assert_all_succeeded(rows, sim, every, tmp_path / "data" / "results")


def _tasks(folder: Path) -> int:
    return sum(stages(sqlite_rows(folder / "data")).values())


def _wait_for_picture(api: Api) -> None:
    """A client of the old kind that waits for its picture; whatever it is told when the gateway goes."""
    body = {"prompt": "waits", "model": "jimeng-4.5"}
    api.raw("POST", "/v1/images/generations", body, headers={"prefer": "wait=60"}, timeout=60)


def test_sigterm_of_an_idle_gateway_takes_a_moment(tmp_path: Path) -> None:
    with gateway(tmp_path, {"JIMENG_UPSTREAM_URL": "http://127.0.0.1:9"}) as gate:
        # Far less than the ten seconds for which it would finish what it is doing.
        assert gate.terminate(seconds=10) < 5
        assert_nothing_held(sqlite_rows(tmp_path / "data"))


def test_a_second_process_on_the_same_file_is_refused(tmp_path: Path) -> None:
    environ = {"JIMENG_UPSTREAM_URL": "http://127.0.0.1:9"}
    with gateway(tmp_path, environ) as first:
        second = Gateway(tmp_path, environ, "second")
        try:
            second.launch()
            assert second.ended(seconds=30) == 1
        finally:
            second.stop()
        said = second.output()
        assert "another gateway is running on" in said
        assert "PostgreSQL" in said
        assert "Traceback" not in said
        assert Api(first).stages()["queued"] == 0


def test_after_a_kill_the_next_process_goes_on_within_seconds(tmp_path: Path) -> None:
    # The lease is long on purpose: on SQLite nobody has to wait for it to pass.
    environ = {**SHORT, "JIMENG_LEASE": "60"}
    with Simulator(QUICK) as sim, gateway(tmp_path, {**environ, "JIMENG_UPSTREAM_URL": sim.base_url}) as gate:
        api = Api(gate)
        api.add_sessions(4)
        running = [api.submit("takes its time [sim:slow=40]") for _ in range(4)]
        for task_id in running:
            api.reaches(task_id, "polling")
        sim.fault("slow", endpoint="generate", seconds=30.0)
        sending = [api.submit("is being sent") for _ in range(4)]
        until(lambda: len(sim.jobs()) == 8, seconds=10, what="four submits hang")
        gate.kill()
        sim.clear_faults()

        polls_before = {job["submit_id"]: job["polls"] for job in sim.jobs()}
        gate.start()
        restarted = time.monotonic()
        until(
            lambda: all(job["polls"] > polls_before[job["submit_id"]] for job in sim.jobs()),
            seconds=20,
            what="every job is asked for again",
        )
        rows = sqlite_rows(tmp_path / "data")
        until(lambda: stages(rows) == {"succeeded": 8}, seconds=30, what="all succeed")
        assert time.monotonic() - restarted < 30
        assert_all_succeeded(rows, sim, [*running, *sending], tmp_path / "data" / "results")
        for task_id in sending:
            assert "submit.adopted" in api.events(task_id)
