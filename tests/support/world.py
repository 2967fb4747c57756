"""A whole gateway without its loops: a real store in a file, a scripted site, and a clock that tests move.

A World outlives its processes: `process` builds a worker half over the same store, as often as a test lets
one die. Nothing sleeps; `settle` moves the clock from one due moment to the next.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import apsw

from jimeng_gateway.credentials import Credentials
from jimeng_gateway.domain.addresses import AllowedHosts
from jimeng_gateway.domain.intake import Wish
from jimeng_gateway.domain.policy import Cadence, Limits
from jimeng_gateway.domain.ports import Clock, Identities, Upstream
from jimeng_gateway.domain.request import Kind
from jimeng_gateway.domain.session import Session
from jimeng_gateway.domain.task import Stage, Task
from jimeng_gateway.gateway import ADMIN, Gateway, GatewayParts
from jimeng_gateway.models import CatalogueCache
from jimeng_gateway.secrets import Vault
from jimeng_gateway.store.archive import Archive
from jimeng_gateway.store.database import Database
from jimeng_gateway.store.files import ResultFiles
from jimeng_gateway.store.spool import Spool
from jimeng_gateway.store.sqlite import SqliteDatabase
from jimeng_gateway.telemetry import Telemetry
from jimeng_gateway.work.bench import Bench
from jimeng_gateway.work.lease import Lease
from jimeng_gateway.work.materials import Materials
from jimeng_gateway.work.worker import Hands, Worker
from support.clock import ManualClock
from support.upstream import ScriptedUpstream

LEASE_MS = 30_000
CATALOGUE_EVERY = 6 * 3_600_000
_DUE = """
SELECT min(at) FROM (
    SELECT due_at AS at FROM task WHERE work IN ('reserve', 'collect')
    UNION ALL
    SELECT max(t.due_at, s.poll_after) FROM task t JOIN session s ON s.id = t.session_id WHERE t.work = 'poll'
    UNION ALL
    SELECT cancel_due_at FROM submission WHERE cancel_state = 'wanted'
    UNION ALL
    SELECT deadline_at FROM task WHERE stage IN ('queued', 'submitting', 'polling', 'downloading'))
WHERE at > ?
"""


@dataclass(slots=True)
class Process:
    """The worker half of one process."""

    worker: Worker
    lease: Lease
    bench: Bench


@dataclass(slots=True)
class World:
    """See the module."""

    path: Path
    db: SqliteDatabase
    clock: ManualClock
    site: ScriptedUpstream
    limits: Limits = field(default_factory=Limits)
    cadence: Cadence = field(default_factory=Cadence)
    seen: list[tuple[str, dict[str, object]]] = field(default_factory=list)
    vault: Vault = field(default_factory=lambda: Vault(b"a key of this test only, 32 bytes or more"))
    _submit_ids: Any = field(default_factory=lambda: itertools.count(1))

    def __post_init__(self) -> None:
        self.telemetry = Telemetry()
        self.telemetry.subscribe(lambda name, fields: self.seen.append((name, fields)))
        self.files = self.shelf()
        self.spool = Spool(self.path / "spool")
        self.gateway = self.facade()

    telemetry: Telemetry = field(init=False)
    files: ResultFiles = field(init=False)
    spool: Spool = field(init=False)
    gateway: Gateway = field(init=False)

    def shelf(self, archive: Archive | None = None) -> ResultFiles:
        """The results directory, perhaps with an archive behind it."""
        return ResultFiles(self.path / "results", largest=4_000_000, archive=archive)

    def facade(self, db: Database | None = None, clock: Clock | None = None, **parts: Any) -> Gateway:
        """Another facade over the same store, as a second node has one."""
        db, clock = db or self.db, clock or self.clock
        return Gateway(
            GatewayParts(
                **{
                    "db": db,
                    "upstream": self.site,
                    "credentials": Credentials(db, self.vault, clock),
                    "vault": self.vault,
                    "files": self.files,
                    "catalogue": CatalogueCache(db, clock),
                    "clock": clock,
                    "telemetry": self.telemetry,
                    "limits": self.limits,
                    "session_slots": 2,
                    # Tests that call inside want to see who refuses it, and that is the one who dials.
                    "callback_hosts": AllowedHosts.parse("127.0.0.1,::1,169.254.169.254,localhost"),
                    **parts,
                }
            )
        )

    async def process(
        self,
        *,
        alone: bool = True,
        db: Database | None = None,
        upstream: Upstream | None = None,
        clock: Clock | None = None,
        files: ResultFiles | None = None,
        hands: Hands | None = None,
        limits: Limits | None = None,
        identities: Identities | None = None,
        lease: Lease | None = None,
    ) -> Process:
        """A new process that has entered its lease, or another worker of one that has."""
        db, clock = db or self.db, clock or self.clock
        entered = lease is not None
        lease = lease or Lease(db, clock, length=LEASE_MS, alone=alone)
        bench = Bench(
            db=db,
            upstream=upstream or self.site,
            identities=identities or Credentials(db, self.vault, clock),
            files=files or self.files,
            clock=clock,
            telemetry=self.telemetry,
            lease=lease,
            limits=limits or self.limits,
            cadence=self.cadence,
            chance=Random(7),
            new_submit_id=self.new_submit_id,
            materials=Materials(path=self.spool.path),
        )
        if not entered:
            await lease.enter()
        return Process(Worker(bench, hands or Hands(), catalogue_every=CATALOGUE_EVERY), lease, bench)

    def new_submit_id(self) -> str:
        """Submit ids that count from 1."""
        return f"00000000-0000-4000-8000-{next(self._submit_ids):012d}"

    async def sessions(self, count: int, slots: int = 2) -> list[Session]:
        """Adds sessions; a moment apart, so that their order is known."""
        made = []
        for number in range(count):
            self.clock.advance(0.001)
            known = len(await self.gateway.sessions())
            made.append(
                await self.gateway.add_session(
                    credential=f"{known:032x}", label=f"session {number}", slots=slots
                )
            )
        return made

    async def submit(self, kind: Kind = Kind.IMAGE, **wish: Any) -> Task:
        """Queues a task: one picture, or one video."""
        self.clock.advance(0.001)
        if kind is Kind.IMAGE:
            wish = {"n": 1, **wish}
        return await self.gateway.submit(ADMIN, Wish(prompt="a lighthouse", kind=kind, **wish))

    async def task(self, task: Task | str) -> Task:
        """The task as it is now."""
        return await self.gateway.task(ADMIN, task if isinstance(task, str) else task.id)

    def file(self, task: Task, index: int) -> Path:
        """Where a stored result lies in the data directory."""
        return self.files.path(self.gateway.content(task, index).file)

    async def events(self, task: Task) -> list[str]:
        """The names of its events."""
        return [event.name for event in await self.gateway.events(ADMIN, task.id)]

    async def settle(
        self, process: Process, *, seconds: float = 7200, until: Callable[[], Any] | None = None
    ) -> None:
        """Lets the process do all that comes due within that time, or until something holds."""
        end = self.clock.now() + int(seconds * 1000)
        while True:
            await process.lease.beat()
            await process.worker.drain()
            due = self.sql(_DUE, self.clock.now())[0][0]
            if due is None or (until is not None and until()):
                return
            self.clock.advance((min(due, end) - self.clock.now()) / 1000)
            if due > end:
                await process.lease.beat()
                return

    def sql(self, text: str, *values: Any) -> list[tuple[Any, ...]]:
        """What the database file says, to whoever opens it."""
        connection = apsw.Connection(str(self.db_path), flags=apsw.SQLITE_OPEN_READONLY)
        try:
            return list(connection.execute(text, values))
        finally:
            connection.close()

    @property
    def db_path(self) -> Path:
        """The database file."""
        return self.path / "gateway.db"

    async def assert_paid_once_and_done(self, task: Task) -> None:
        """It ended with its files, one submit of it was charged, once, and nothing is held any more."""
        done = await self.task(task)
        assert done.stage is Stage.SUCCEEDED, (done.stage, done.failure)
        rows = self.sql("SELECT submit_id FROM submission WHERE task_id = ?", task.id)
        assert [self.site.charges[row[0]] for row in rows if row[0] in self.site.charges] == [1]
        assert self.site.charges[done.submit_id or ""] == 1
        assert self.file(done, 0).stat().st_size > 100
        assert self.sql("SELECT count(*) FROM slot WHERE task_id = ?", task.id) == [(0,)]
        assert self.sql("SELECT count(*) FROM session WHERE poll_owner IS NOT NULL") == [(0,)]

    def slots_taken(self) -> int:
        """Slots that hold a task."""
        return int(self.sql("SELECT count(*) FROM slot WHERE task_id IS NOT NULL")[0][0])

    def named(self, name: str) -> list[dict[str, object]]:
        """The telemetry events of that name."""
        return [fields for seen, fields in self.seen if seen == name]


async def soon(holds: Callable[[], Any]) -> None:
    """Returns when it holds, which other tasks on this loop are about to bring about."""
    for _ in range(5000):
        if holds():
            return
        await asyncio.sleep(0.001)
    raise AssertionError("it never happened")


async def until(world: World, holds: Callable[[], Any]) -> None:
    """Lets running loops work, moving the clock a little whenever they are all waiting for it."""
    for _ in range(3000):
        if holds():
            return
        await asyncio.sleep(0.001)
        world.clock.advance(0.1)
    raise AssertionError("it never happened")


def leased(world: World) -> list[tuple[object, ...]]:
    """Everything that some process still holds."""
    return [
        *world.sql("SELECT 'task', id FROM task WHERE owner IS NOT NULL"),
        *world.sql("SELECT 'poll', id FROM session WHERE poll_owner IS NOT NULL"),
        *world.sql("SELECT 'node', id FROM node"),
    ]


@contextlib.asynccontextmanager
async def opened(path: Path, **options: Any) -> AsyncIterator[World]:
    """A World on an empty store."""
    clock = ManualClock()
    db = SqliteDatabase(path / "gateway.db")
    await db.open()
    try:
        yield World(path, db, clock, ScriptedUpstream(clock), **options)
    finally:
        await db.close()
