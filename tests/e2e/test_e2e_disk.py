"""A disk that takes nothing: the result was paid for, so the task waits for the repair instead of failing."""

from __future__ import annotations

from pathlib import Path

import pytest
from ledger import assert_all_succeeded, sqlite_rows
from support.process import SHORT, Api, gateway, until

from jimeng_gateway.simulator.options import SimulatorOptions
from jimeng_gateway.simulator.server import Simulator

pytestmark = pytest.mark.e2e


def test_a_task_outlasts_a_results_directory_that_cannot_be_written(tmp_path: Path) -> None:
    results = tmp_path / "data" / "results"
    site = SimulatorOptions(speed=20)
    with Simulator(site) as sim, gateway(tmp_path, {**SHORT, "JIMENG_UPSTREAM_URL": sim.base_url}) as gate:
        # A file in its place refuses everybody, root included.
        results.write_bytes(b"in the way")
        api = Api(gate)
        api.add_sessions(1)
        task_id = api.submit("a cat")
        until(
            lambda: api.events(task_id).count("download.failed") >= 2,
            seconds=20,
            what="storing the result was tried twice",
        )
        assert api.task(task_id)["stage"] == "downloading"
        assert api.raw("GET", f"/api/v1/tasks/{task_id}/content")[0] == 404

        results.unlink()
        task = api.reaches(task_id, "succeeded", seconds=20)
        status, data = api.raw("GET", f"/api/v1/tasks/{task_id}/content")
        assert (status, len(data)) == (200, task["results"][0]["size"])
        rows = sqlite_rows(tmp_path / "data")
        assert_all_succeeded(rows, sim, [task_id], results)
