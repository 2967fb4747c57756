"""Finding, starting and ending the browser, and that nothing is left of it however its owner ends."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from signing import Told, failure_of, options, processes, profiles, signing, submit, until, who
from support.aio import run

from jimeng_gateway.browser import chromium
from jimeng_gateway.browser.chromium import Chromium, Unusable
from jimeng_gateway.browser.signer import ChromiumSigner
from jimeng_gateway.clock import SystemClock
from jimeng_gateway.domain.errors import Acceptance
from jimeng_gateway.simulator import Simulator


def test_without_chromium_the_task_is_told_how_to_get_it(
    sim: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    async def main() -> None:
        signer = ChromiumSigner(options(sim, tmp_path, chromium=""), SystemClock(), Told())
        await signer.start()
        failure = await failure_of(signer.send(who("one"), submit(sim, who("one"))))
        assert (failure.code, failure.acceptance) == ("signer_unavailable", Acceptance.NO)
        assert "apt install chromium" in failure.message
        health = signer.health()
        assert not health.available
        assert "JIMENG_CHROMIUM" in health.reason
        await signer.close()

    run(main())
    assert sim.requests("generate") == []


def test_a_named_chromium_that_is_not_there() -> None:
    with pytest.raises(Unusable, match="JIMENG_CHROMIUM names nowhere/chromium"):
        chromium.find("nowhere/chromium")


def test_root_is_told_before_chromium_refuses(sim: Simulator, tmp_path: Path) -> None:
    confined = options(sim, tmp_path, sandbox=True)
    with pytest.raises(Unusable, match="JIMENG_CHROMIUM_SANDBOX=off"):
        chromium.check(confined, user=0)
    assert chromium.check(confined, user=1000)
    assert chromium.check(options(sim, tmp_path, sandbox=False), user=0)


def test_a_program_that_is_no_chromium(sim: Simulator, tmp_path: Path) -> None:
    fake = tmp_path / "chromium"
    fake.write_text("#!/bin/sh\necho 'something is missing' >&2\nexit 3\n")
    fake.chmod(0o755)

    async def main() -> None:
        signer = ChromiumSigner(options(sim, tmp_path, chromium=str(fake)), SystemClock(), Told())
        await signer.start()
        health = await signer.probe()
        assert not health.available
        assert "something is missing" in health.reason
        await signer.close()

    run(main())
    assert profiles(tmp_path) == []


def test_a_browser_that_never_answers_is_given_up(sim: Simulator, tmp_path: Path) -> None:
    fake = tmp_path / "chromium"
    fake.write_text("#!/bin/sh\nexec sleep 60\n")
    fake.chmod(0o755)

    async def main() -> None:
        with pytest.raises(Unusable, match="did not answer"):
            await Chromium.start(
                options(sim, tmp_path, chromium=str(fake), start_timeout=0.3, stop_timeout=0.3)
            )

    run(main())
    assert profiles(tmp_path) == []


def test_a_probe_starts_it_and_tells_its_version(sim: Simulator, tmp_path: Path) -> None:
    async def main() -> None:
        async with signing(sim, tmp_path) as signer:
            health = await signer.probe()
            assert health.available
            assert health.version.startswith(("Chrome/", "HeadlessChrome/"))
            assert health.reason == ""

    run(main())


def test_the_browser_sees_none_of_our_secrets(tmp_path: Path) -> None:
    seen = chromium.environment(tmp_path, {"JIMENG_SECRET_KEY": "k", "PATH": "/bin", "HOME": "/home/x"})
    assert seen == {
        "PATH": "/bin",
        "HOME": "/home/x",
        "XDG_CONFIG_HOME": str(tmp_path),
        "XDG_CACHE_HOME": str(tmp_path),
    }


def test_leftovers_are_removed_and_profiles_in_use_are_not(tmp_path: Path) -> None:
    left, beside = tmp_path / "profile-left", tmp_path / "org.chromium.Chromium.abc"
    for folder in (left, beside):
        folder.mkdir()
    (left / "Cookies").write_text("secret")
    (left / "SingletonSocket").symlink_to(beside / "SingletonSocket")
    used, lock = chromium.make_profile(tmp_path)
    assert profiles(tmp_path) == [used.name]
    assert not beside.exists()
    assert chromium.sweep(tmp_path) == 0
    os.close(lock)
    assert chromium.sweep(tmp_path) == 1
    assert profiles(tmp_path) == []
    assert chromium.sweep(tmp_path / "absent") == 0


OWNER = """
    import asyncio, sys
    sys.path[:0] = {path!r}
    from pathlib import Path
    from signing import Told, options, submit, who
    from jimeng_gateway.browser.signer import ChromiumSigner
    from jimeng_gateway.clock import SystemClock
    from jimeng_gateway.simulator import Simulator, SimulatorOptions

    async def main():
        with Simulator(SimulatorOptions(require_signature="video")) as sim:
            signer = ChromiumSigner(options(sim, Path({folder!r})), SystemClock(), Told())
            await signer.start()
            await signer.send(who("one"), submit(sim, who("one")))
            print("ready", flush=True)
            await asyncio.Event().wait()

    asyncio.run(main())
"""


def test_nothing_is_left_when_the_gateway_is_killed(tmp_path: Path) -> None:
    source = textwrap.dedent(OWNER).format(path=sys.path, folder=str(tmp_path))
    with subprocess.Popen([sys.executable, "-c", source], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "ready\n"
        assert processes(tmp_path)
        assert len(profiles(tmp_path)) == 1
        owner.send_signal(signal.SIGKILL)

    async def gone() -> None:
        await until(lambda: processes(tmp_path) == [], "its processes end")
        await until(lambda: profiles(tmp_path) == [], "its profile is removed")

    asyncio.run(gone())


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_both_loops_can_drive_it(sim: Simulator, tmp_path: Path, loop: str) -> None:
    async def main() -> None:
        async with signing(sim, tmp_path) as signer:
            await signer.send(who("one"), submit(sim, who("one")))
            assert signer.health().contexts == 1

    if loop == "asyncio":
        asyncio.run(main())
    else:
        uvloop = pytest.importorskip("uvloop")
        uvloop.run(main())
    assert sim.books()["charged"] == {"v-1": 1}
