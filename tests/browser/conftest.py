"""One loop and one Chromium for the tests that leave it unharmed."""

from __future__ import annotations

import asyncio
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


@dataclass(frozen=True, slots=True)
class Shared:
    """A site, a signer for it that is running, and the loop it runs on."""

    sim: Simulator
    signer: ChromiumSigner
    folder: Path
    told: Told
    runner: asyncio.Runner


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared]:
    """The same for all tests of a file."""
    folder, told = tmp_path_factory.mktemp("browser"), Told()
    with Simulator(STRICT) as site, asyncio.Runner() as runner:
        running = signing(site, folder, told=told)
        signer = runner.run(running.__aenter__())
        yield Shared(site, signer, folder, told, runner)
        runner.run(running.__aexit__(None, None, None))
