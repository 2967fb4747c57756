"""However large a file is, uploading it takes next to no memory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from jimeng_gateway.simulator.server import Simulator, SimulatorOptions

MB = 1024 * 1024
LARGEST_MORE = 16 * MB


@pytest.mark.parametrize("multipart", [True, False])
def test_200_megabytes_take_no_more_than_16(tmp_path: Path, multipart: bool) -> None:
    small, large = tmp_path / "small", tmp_path / "large"
    small.write_bytes(bytes(MB))
    with large.open("wb") as file:
        file.truncate(200 * MB)
    with Simulator(SimulatorOptions(multipart=multipart)) as site:
        done = subprocess.run(
            [sys.executable, str(Path(__file__).with_name("uploading.py")), site.base_url, small, large],
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert site.world.depot.files[-1].committed
        assert site.world.depot.files[-1].received == 200 * MB
    assert int(done.stdout) < LARGEST_MORE
