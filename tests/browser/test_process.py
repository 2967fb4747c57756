"""A process is ended with what it has started, whoever of them went first, and no sooner is `end` over."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest
import uvloop

from jimeng_gateway.browser.process import Process

#: Far more than any machine needs, far less than the time after which `end` would help itself.
SOON = 20.0
NEVER = 170.0


@pytest.fixture(params=["asyncio", "uvloop"])
def runner(request: pytest.FixtureRequest) -> Any:
    """Runs a coroutine on each loop in turn."""

    def run(main: Coroutine[Any, Any, None]) -> None:
        factory = uvloop.new_event_loop if request.param == "uvloop" else None
        with asyncio.Runner(loop_factory=factory) as made:
            made.run(main)

    return run


async def started(folder: Path, script: str) -> tuple[Process, int]:
    """A shell that has run the script, and the number that it told: of a process that it left behind."""
    process = await Process.start(
        ("/bin/sh", "-c", script), env=os.environ, folder=folder, keep=(), account=None
    )
    return process, int(await process.stdout.readline())


def alive(pid: int) -> bool:
    """Whether it runs: whoever is on the way out or only waits for being buried has no arguments left."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/cmdline").read_bytes() != b""
    return False


pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc")


def test_what_outlives_its_parent_is_waited_for(runner: Any, tmp_path: Path) -> None:
    async def main() -> None:
        process, orphan = await started(tmp_path, "exec 3<&0; read _ <&3 >/dev/null & echo $!")
        assert alive(orphan)
        async with asyncio.timeout(SOON):
            await process.end(NEVER)
        assert not alive(orphan)

    runner(main())


def test_what_hears_nothing_is_killed(runner: Any, tmp_path: Path) -> None:
    async def main() -> None:
        process, orphan = await started(tmp_path, "sleep 600 >/dev/null & echo $!")
        async with asyncio.timeout(SOON):
            await process.end(0.05)
        assert not alive(orphan)

    runner(main())


def test_nobody_stays_when_the_end_is_cut_short(runner: Any, tmp_path: Path) -> None:
    async def main() -> None:
        process, orphan = await started(tmp_path, "sleep 600 >/dev/null & echo $!")
        end = asyncio.create_task(process.end(NEVER))
        await asyncio.sleep(0)
        end.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await end
        async with asyncio.timeout(SOON):
            await process.end(NEVER)
        assert not alive(orphan)

    runner(main())
