"""One loop and one Chromium for the tests that leave it unharmed."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from signing import Told, signing

from jimeng_gateway.browser.signer import ChromiumSigner
from jimeng_gateway.simulator import Simulator, SimulatorOptions

#: Checks everything a client can get wrong, and that a page of the paying session signed.
STRICT = SimulatorOptions(sign="strict", require_signature="video")


@pytest.fixture
def sim() -> Iterator[Simulator]:
    """A site of its own."""
    with Simulator(STRICT) as site:
        yield site


@contextlib.contextmanager
def open_to_all() -> Iterator[Path]:
    """A directory like /tmp; pytest's own are hidden from the user as whom root runs Chromium."""
    made = Path(tempfile.mkdtemp(prefix="signer-"))
    made.chmod(0o1777)
    try:
        yield made
    finally:
        shutil.rmtree(made)


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where a test's profiles live."""
    with open_to_all() as made:
        yield made


@dataclass(frozen=True, slots=True)
class Shared:
    """A site, a signer for it that is running, and the loop it runs on."""

    sim: Simulator
    signer: ChromiumSigner
    folder: Path
    told: Told
    runner: asyncio.Runner


@pytest.fixture(scope="module")
def shared() -> Iterator[Shared]:
    """The same for all tests of a file."""
    told = Told()
    with open_to_all() as folder, Simulator(STRICT) as site, asyncio.Runner() as runner:
        running = signing(site, folder, told=told)
        signer = runner.run(running.__aenter__())
        yield Shared(site, signer, folder, told, runner)
        runner.run(running.__aexit__(None, None, None))
