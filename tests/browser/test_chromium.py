"""Finding, starting and ending the browser, and that nothing is left of it however its owner ends."""

from __future__ import annotations

import asyncio
import os
import pwd
import signal
import subprocess
import sys
import tempfile
import textwrap
from dataclasses import replace
from pathlib import Path

import pytest
from signing import (
    Told,
    confined,
    failure_of,
    main_process,
    options,
    processes,
    profiles,
    renderers,
    signing,
    submit,
    until,
    who,
)
from support.aio import run

from jimeng_gateway.browser import chromium, profile
from jimeng_gateway.browser.chromium import Chromium, Unusable
from jimeng_gateway.browser.options import SignerOptions
from jimeng_gateway.browser.profile import PREFIX, Account
from jimeng_gateway.browser.signer import ChromiumSigner
from jimeng_gateway.clock import SystemClock
from jimeng_gateway.domain.errors import Acceptance
from jimeng_gateway.simulator import Simulator

ROOT = os.geteuid() == 0


def test_without_chromium_the_task_is_told_how_to_get_it(
    sim: Simulator, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(folder))

    async def main() -> None:
        signer = ChromiumSigner(options(sim, folder, chromium=""), SystemClock(), Told())
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


def test_for_root_somebody_else_is_found_who_may_do_nothing(folder: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    usual = SignerOptions(folder=folder)
    assert profile.account(usual, 0) == Account("nobody", nobody.pw_uid, nobody.pw_gid)
    assert profile.account(usual, 1000) is None
    assert profile.account(replace(usual, sandbox=False), 0) is None
    with pytest.raises(Unusable, match="JIMENG_CHROMIUM_USER names root"):
        chromium.check(replace(usual, user="root"), user=0)
    with pytest.raises(Unusable, match=r"no-such-user, who does not exist.*JIMENG_CHROMIUM_SANDBOX=off"):
        chromium.check(replace(usual, user="no-such-user"), user=0)
    assert chromium.check(replace(usual, user="no-such-user"), user=1000)


def said_to(process: int) -> str:
    """Its arguments."""
    return Path(f"/proc/{process}/cmdline").read_text()


def user_namespace(process: int | str) -> Path:
    """The one it lives in."""
    return Path(f"/proc/{process}/ns/user").readlink()


def status(process: int, name: str) -> list[str]:
    """A field of /proc/PID/status."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(line.split()[1:] for line in lines if line.startswith(f"{name}:"))


@pytest.mark.skipif(not confined(), reason="no sandbox can be set up here")
def test_the_browser_is_confined_and_never_root(sim: Simulator, folder: Path) -> None:
    async def main() -> None:
        async with signing(sim, folder) as signer:
            await signer.send(who("one"), submit(sim, who("one")))
            everybody = processes(folder)
            assert len(everybody) > 3
            for process in everybody:
                assert "0" not in status(process, "Uid")
                assert "0" not in status(process, "Gid")
                assert "--no-sandbox" not in said_to(process)
            ours = user_namespace("self")
            for process in renderers(folder):
                # A user namespace of its own, and system calls filtered.
                assert user_namespace(process) != ours
                assert status(process, "Seccomp") == ["2"]
            (used,) = [folder / name for name in profiles(folder)]
            assert used.stat().st_uid == (pwd.getpwnam("nobody").pw_uid if ROOT else os.geteuid())
            assert used.stat().st_mode & 0o077 == 0

    run(main())


def test_a_sandbox_that_cannot_be_set_up_is_explained(sim: Simulator, folder: Path) -> None:
    fake = script(folder, "echo 'No usable sandbox! ...' >&2; exit 1")

    async def main() -> None:
        with pytest.raises(Unusable, match=r"unprivileged user namespaces.*JIMENG_CHROMIUM_SANDBOX=off"):
            await Chromium.start(options(sim, folder, chromium=fake, sandbox=True))

    run(main())
    assert profiles(folder) == []


@pytest.mark.skipif(not ROOT, reason="only root becomes somebody else")
def test_a_program_that_the_other_user_may_not_run(sim: Simulator, folder: Path, tmp_path: Path) -> None:
    hidden = script(tmp_path, "exit 0")
    tmp_path.chmod(0o700)

    async def main() -> None:
        with pytest.raises(Unusable, match="the user nobody, as whom Chromium is run for root, may not use"):
            await Chromium.start(options(sim, folder, chromium=hidden, sandbox=True))

    run(main())
    assert profiles(folder) == []


def test_the_sandbox_can_be_given_up(sim: Simulator, folder: Path) -> None:
    """For machines that allow none; then it runs as the gateway does."""

    async def main() -> None:
        async with signing(sim, folder, sandbox=False) as signer:
            await signer.send(who("one"), submit(sim, who("one")))
            process = main_process(folder)
            assert "--no-sandbox" in said_to(process)
            assert int(status(process, "Uid")[0]) == os.geteuid()

    run(main())
    assert sim.books()["charged"] == {"v-1": 1}


def script(folder: Path, text: str) -> str:
    """A program."""
    made = folder / "chromium"
    made.write_text(f"#!/bin/sh\n{text}\n")
    made.chmod(0o755)
    return str(made)


def test_a_program_that_is_no_chromium(sim: Simulator, folder: Path) -> None:
    fake = script(folder, "echo 'something is missing' >&2; exit 3")

    async def main() -> None:
        signer = ChromiumSigner(options(sim, folder, chromium=fake), SystemClock(), Told())
        await signer.start()
        health = await signer.probe()
        assert not health.available
        assert "something is missing" in health.reason
        await signer.close()

    run(main())
    assert profiles(folder) == []


def test_a_browser_that_never_answers_is_given_up(sim: Simulator, folder: Path) -> None:
    fake = script(folder, "exec sleep 60")

    async def main() -> None:
        with pytest.raises(Unusable, match="did not answer"):
            await Chromium.start(options(sim, folder, chromium=fake, start_timeout=0.3, stop_timeout=0.3))

    run(main())
    assert profiles(folder) == []


def test_a_probe_starts_it_and_tells_its_version(sim: Simulator, folder: Path) -> None:
    async def main() -> None:
        async with signing(sim, folder) as signer:
            health = await signer.probe()
            assert health.available
            assert health.version.startswith(("Chrome/", "HeadlessChrome/"))
            assert health.reason == ""

    run(main())


def test_the_browser_sees_none_of_our_secrets(tmp_path: Path) -> None:
    ours = {"JIMENG_SECRET_KEY": "k", "AWS_SECRET_ACCESS_KEY": "s", "PATH": "/bin", "LC_ALL": "C"}
    ours |= {"HOME": "/home/x", "TMPDIR": "/home/x/tmp", "XDG_RUNTIME_DIR": "/run/user/1"}
    homes = ("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME")
    common = {"PATH": "/bin", "LC_ALL": "C"} | dict.fromkeys(homes, str(tmp_path))
    seen = profile.environment(tmp_path, ours)
    assert seen == common | {"TMPDIR": tempfile.gettempdir()}
    seen = profile.environment(tmp_path, ours, Account("nobody", 65534, 65534))
    assert seen == common | {"TMPDIR": str(tmp_path), "USER": "nobody", "LOGNAME": "nobody"}


def test_leftovers_are_removed_and_profiles_in_use_are_not(tmp_path: Path) -> None:
    alone = SignerOptions(folder=tmp_path, sandbox=False)
    left, beside = tmp_path / f"{PREFIX}left", tmp_path / "org.chromium.Chromium.abc"
    for made in (left, beside):
        made.mkdir()
    (left / "Cookies").write_text("secret")
    (left / "SingletonSocket").symlink_to(beside / "SingletonSocket")
    used, lock = profile.make(alone, profile.home(alone))
    assert profiles(tmp_path) == [used.name]
    assert not beside.exists()
    assert profile.sweep(alone) == 0
    os.close(lock)
    assert profile.sweep(alone) == 1
    assert profiles(tmp_path) == []
    assert profile.sweep(replace(alone, folder=tmp_path / "absent")) == 0


@pytest.mark.skipif(not ROOT, reason="only root becomes somebody else")
def test_leftovers_of_the_other_user_are_removed_but_nothing_they_point_to(folder: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    shared = SignerOptions(folder=folder / "own", shared_folder=folder)
    left, foreign, pointed = (folder / name for name in (f"{PREFIX}left", f"{PREFIX}foreign", "a.Chromium.b"))
    for made in (left, foreign, pointed):
        made.mkdir()
    (left / "SingletonSocket").symlink_to(pointed / "SingletonSocket")
    (folder / f"{PREFIX}link").symlink_to(pointed)
    os.chown(left, nobody.pw_uid, nobody.pw_gid)
    used, lock = profile.make(shared, profile.home(shared))
    os.close(lock)
    assert (used.parent, used.stat().st_uid) == (folder, nobody.pw_uid)
    assert not left.exists()
    assert profile.sweep(shared) == 1
    # What belongs to somebody else is not ours to remove, nor is what a link of that user names.
    assert {found.name for found in folder.iterdir()} == {"own", foreign.name, pointed.name, f"{PREFIX}link"}


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


def test_nothing_is_left_when_the_gateway_is_killed(folder: Path) -> None:
    source = textwrap.dedent(OWNER).format(path=sys.path, folder=str(folder))
    with subprocess.Popen([sys.executable, "-c", source], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "ready\n"
        assert processes(folder)
        assert len(profiles(folder)) == 1
        owner.send_signal(signal.SIGKILL)

    async def gone() -> None:
        await until(lambda: processes(folder) == [], "its processes end")
        await until(lambda: profiles(folder) == [], "its profile is removed")

    asyncio.run(gone())


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_both_loops_can_drive_it(sim: Simulator, folder: Path, loop: str) -> None:
    async def main() -> None:
        async with signing(sim, folder) as signer:
            await signer.send(who("one"), submit(sim, who("one")))
            assert signer.health().contexts == 1

    if loop == "asyncio":
        asyncio.run(main())
    else:
        uvloop = pytest.importorskip("uvloop")
        uvloop.run(main())
    assert sim.books()["charged"] == {"v-1": 1}
