"""Over TLS and under the site's own name: which authorities count, and that a submit leaves only once."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import tls
from signing import Told, failure_of, options, processes, profiles, submit_to, who
from support.aio import run
from tls import SITE, Door, Papers

from jimeng_gateway.browser.options import WORK_PAGE
from jimeng_gateway.browser.signer import ChromiumSigner
from jimeng_gateway.clock import SystemClock
from jimeng_gateway.domain.errors import Acceptance
from jimeng_gateway.simulator import Simulator

needs_certutil = pytest.mark.skipif(shutil.which("certutil") is None, reason="there is no certutil")
Making = Callable[[Papers, int], contextlib.AbstractAsyncContextManager[Door]]
DOORS = [
    pytest.param(tls.http1, id="http1"),
    pytest.param(
        tls.http2,
        id="http2",
        marks=pytest.mark.skipif(shutil.which("node") is None, reason="there is no node"),
    ),
]


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Papers:
    """Of one authority for all tests."""
    return tls.issued(tmp_path_factory.mktemp("papers"))


@contextlib.asynccontextmanager
async def signing_at(sim: Simulator, door: Door, folder: Path) -> AsyncIterator[ChromiumSigner]:
    """A signer for the site under its real name."""
    chosen = options(sim, folder, page_url=SITE + WORK_PAGE)
    signer = ChromiumSigner(chosen, SystemClock(), Told(), dial=door.dial())
    await signer.start()
    try:
        yield signer
    finally:
        await signer.close()
    assert processes(folder) == []
    assert profiles(folder) == []


async def send(signer: ChromiumSigner, session: str, submit_id: str) -> str:
    reply = await signer.send(who(session), submit_to(SITE, who(session), submit_id))
    return str(json.loads(reply)["ret"])


def port_of(sim: Simulator) -> int:
    port = urlsplit(sim.base_url).port
    assert port is not None
    return port


@needs_certutil
@pytest.mark.parametrize("made", DOORS)
def test_a_lost_reply_leaves_one_charge(
    sim: Simulator, folder: Path, papers: Papers, monkeypatch: pytest.MonkeyPatch, made: Making
) -> None:
    """Kept connections, broken ones, a renewed page, and sessions side by side, all over TLS."""
    monkeypatch.setenv("SSL_CERT_FILE", str(papers.authority))

    async def main() -> None:
        async with made(papers, port_of(sim)) as door, signing_at(sim, door, folder) as signer:
            for turn in range(2):
                assert await send(signer, "one", f"warm-{turn}") == "0"
            sim.fault("lost_reply", endpoint="generate", count=1)
            failure = await failure_of(signer.send(who("one"), submit_to(SITE, who("one"), "lost")))
            assert (failure.code, failure.acceptance) == ("signer_fetch_failed", Acceptance.UNKNOWN)
            assert sim.books("lost")["charged"] == {"lost": 1}
            assert len(sim.requests("generate")) == 3
            # The page is loaded anew and works; so do others at the same time.
            assert await send(signer, "one", "after") == "0"
            names = ("one", "two", "three", "four")
            replies = await asyncio.gather(
                *(send(signer, name, f"{name}-{turn}") for turn in range(2) for name in names)
            )
            assert replies == ["0"] * 8
        seen = sim.requests("generate")
        assert len(seen) == 12
        assert sim.books()["twice"] == []
        assert all(found.call.headers["host"] == tls.HOST for found in seen)
        assert all(found.remarks == () for found in seen)

    run(main())


@needs_certutil
def test_each_submit_has_a_connection_of_its_own(
    sim: Simulator, folder: Path, papers: Papers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(papers.authority))

    async def main() -> None:
        async with tls.http1(papers, port_of(sim)) as door, signing_at(sim, door, folder) as signer:
            await send(signer, "one", "first")
            for turn in range(3):
                before = len(door.connections)
                await send(signer, "one", f"v-{turn}")
                assert len(door.connections) == before + 1

    run(main())


def test_an_authority_that_nobody_named_is_not_trusted(sim: Simulator, folder: Path, papers: Papers) -> None:
    async def main() -> None:
        async with tls.http1(papers, port_of(sim)) as door, signing_at(sim, door, folder) as signer:
            failure = await failure_of(signer.send(who("one"), submit_to(SITE, who("one"), "v-1")))
            assert (failure.code, failure.acceptance) == ("signer_unavailable", Acceptance.NO)
            assert "ERR_CERT_AUTHORITY_INVALID" in failure.message
            assert "SSL_CERT_FILE" in failure.message

    run(main())
    assert sim.requests() == []


def test_without_certutil_the_task_is_told_how_to_get_it(
    sim: Simulator, folder: Path, tmp_path: Path, papers: Papers, monkeypatch: pytest.MonkeyPatch
) -> None:
    for program in (*Path("/usr/bin").iterdir(), *Path("/bin").iterdir()):
        link = tmp_path / program.name
        if program.name != "certutil" and not link.is_symlink():
            link.symlink_to(program)
    shown = folder / "bin"
    shutil.move(tmp_path, shown)
    shown.chmod(0o755)
    monkeypatch.setenv("PATH", str(shown))
    monkeypatch.setenv("SSL_CERT_FILE", str(papers.authority))

    async def main() -> None:
        async with tls.http1(papers, port_of(sim)) as door, signing_at(sim, door, folder) as signer:
            failure = await failure_of(signer.send(who("one"), submit_to(SITE, who("one"), "v-1")))
            assert (failure.code, failure.acceptance) == ("signer_unavailable", Acceptance.NO)
            assert "apt install libnss3-tools" in failure.message
            health = signer.health()
            assert health.available
            assert "apt install libnss3-tools" in health.note

    run(main())
    assert sim.requests() == []
