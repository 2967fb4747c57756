"""A real Chromium against the simulator's page: signers, identities and submits for these tests."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from support.clock import ManualClock
from support.wire import an_order, counting_ids

from jimeng_gateway.browser.options import WORK_PAGE, SignerOptions
from jimeng_gateway.browser.profile import PREFIX
from jimeng_gateway.browser.signer import ChromiumSigner
from jimeng_gateway.clock import SystemClock
from jimeng_gateway.domain.errors import Failure, UpstreamFailure
from jimeng_gateway.domain.intake import Wish
from jimeng_gateway.domain.ports import Clock, SignedRequest
from jimeng_gateway.domain.request import Kind
from jimeng_gateway.domain.session import Identity
from jimeng_gateway.simulator import Simulator
from jimeng_gateway.upstream.wire import protocol
from jimeng_gateway.upstream.wire.identity import Credential, identity
from jimeng_gateway.upstream.wire.payload import generate_body
from jimeng_gateway.upstream.wire.request import build

#: What the keeper of a browser is called, in its arguments.
KEEPER = "jimeng-chromium"

GENERATE = "/mweb/v1/aigc_draft/generate"


class Told:
    """An Emitter that remembers."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, object]]] = []

    def emit(self, name: str, **fields: object) -> None:
        """Notes it."""
        self.events.append((name, fields))

    def names(self) -> list[str]:
        """The events' names, oldest first."""
        return [name for name, _ in self.events]

    def of(self, name: str, key: str) -> list[object]:
        """One field of all events of that name."""
        return [fields[key] for found, fields in self.events if found == name]


@functools.cache
def confined() -> bool:
    """Whether the user who runs Chromium may set its sandbox up; many containers forbid it."""
    if os.environ.get("JIMENG_CHROMIUM_SANDBOX") == "off":
        return False
    trial = ["unshare", "--user", "--map-root-user", "true"]
    user = {"user": "nobody"} if os.geteuid() == 0 else {}
    try:
        return subprocess.run(trial, capture_output=True, **user).returncode == 0
    except OSError:
        return True


def options(sim: Simulator, folder: Path, **changes: Any) -> SignerOptions:
    """Those of a signer whose site is the simulator; confined wherever the machine allows it."""
    base = SignerOptions(
        folder=folder,
        chromium=os.environ.get("JIMENG_CHROMIUM", ""),
        sandbox=confined(),
        shared_folder=folder,
        page_url=sim.base_url + WORK_PAGE,
    )
    return replace(base, **changes)


@contextlib.asynccontextmanager
async def signing(
    sim: Simulator, folder: Path, clock: Clock | None = None, told: Told | None = None, **changes: Any
) -> AsyncIterator[ChromiumSigner]:
    """A signer between start and close; nothing of its browser may be left afterwards."""
    signer = ChromiumSigner(options(sim, folder, **changes), clock or SystemClock(), told or Told())
    await signer.start()
    try:
        yield signer
    finally:
        await signer.close()
    assert processes(folder) == []
    assert profiles(folder) == []


def who(name: str) -> Identity:
    """A session known by its bare id; the row is called as the id is."""
    web_id = str(7 * 10**18 + sum(ord(letter) * 1000**place for place, letter in enumerate(name[:5])))
    return identity(Credential(name), web_id, name, SystemClock().now())


def submit(
    sim: Simulator, session: Identity, submit_id: str = "v-1", prompt: str = "a boat"
) -> SignedRequest:
    """A text-to-video submit as the upstream client builds it."""
    return submit_to(sim.base_url, session, submit_id, prompt)


def submit_to(site: str, session: Identity, submit_id: str, prompt: str = "a boat") -> SignedRequest:
    """The same to any address."""
    known = protocol.builtin()
    order = replace(an_order(Wish(prompt=prompt, kind=Kind.VIDEO)), submit_id=submit_id)
    clock = SystemClock()
    body = generate_body(order, known, clock.now(), counting_ids(), session.region)
    made = build(known, session, "generate", body, clock.now() // 1000, upstream_url=site, page=Kind.VIDEO)
    return SignedRequest(made.method, made.url, made.headers, made.body)


async def failure_of(sending: Any) -> Failure:
    """How it failed; AssertionError if it did not."""
    try:
        reply = await sending
    except UpstreamFailure as failed:
        return failed.failure
    raise AssertionError(f"it was answered {reply!r}")


async def until(ready: Callable[[], Any], what: str, seconds: float = 30) -> Any:
    """The first true value of `ready`, looked at every 10 ms; for what another process or thread does."""
    deadline = time.monotonic() + seconds
    while not (found := ready()):
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        await asyncio.sleep(0.01)
    return found


def processes(folder: Path) -> list[int]:
    """Processes that live on a profile in this folder; the dead that nobody has buried do not count."""
    return list(_said_to(folder))


def helpers(folder: Path, kind: str = "") -> list[int]:
    """Those that the browser's own process has started for a part of its work, or those of one kind."""
    return [pid for pid, said in _said_to(folder).items() if f"--type={kind}" in said]


def renderers(folder: Path) -> list[int]:
    """The processes of its pages."""
    return helpers(folder, "renderer")


def main_process(folder: Path) -> int:
    """The browser's own process, the one that has all others as descendants but its keeper."""
    (only,) = (
        pid
        for pid, said in _said_to(folder).items()
        if f"--user-data-dir={folder}/{PREFIX}" in said and "--type=" not in said and KEEPER not in said
    )
    return only


def _said_to(folder: Path) -> dict[int, str]:
    """The arguments of each, seen in one look: a process that ends meanwhile is in it or not."""
    listed = subprocess.run(
        ["ps", "-eo", "pid=,stat=,args=", "-ww"], check=True, capture_output=True, text=True
    ).stdout.splitlines()
    found = [line.split(maxsplit=2) for line in listed if f"{folder}/{PREFIX}" in line]
    return {int(pid): said for pid, state, said in found if not state.startswith("Z")}


def profiles(folder: Path) -> list[str]:
    """Browser profiles on the disk."""
    return [found.name for found in folder.glob(f"{PREFIX}*")]


__all__ = [
    "GENERATE",
    "ManualClock",
    "Told",
    "confined",
    "failure_of",
    "helpers",
    "main_process",
    "options",
    "processes",
    "profiles",
    "renderers",
    "signing",
    "submit",
    "submit_to",
    "until",
    "who",
]
