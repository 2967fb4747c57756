"""What every step needs at hand, and the one way to record an outcome.

A step talks to the world between transactions. What it learns there must not be lost because the database
was away for a moment, so `record` tries again as long as this process may still own the task; after that
another process takes over and asks the site for the submit_id.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from jimeng_gateway.domain.policy import Cadence, Limits
from jimeng_gateway.domain.ports import Clock, Emitter, Identities, Upstream
from jimeng_gateway.store.database import Database, StoreBusy, Tx
from jimeng_gateway.store.files import ResultFiles
from jimeng_gateway.work.lease import Lease
from jimeng_gateway.work.materials import Materials
from jimeng_gateway.work.pace import Pace

T = TypeVar("T")

#: Seconds between two tries to write while the database is away.
STORE_PAUSE_S = 0.5


@dataclass(frozen=True, slots=True)
class Bench:
    """The ports and settings of the worker."""

    db: Database
    upstream: Upstream
    identities: Identities
    files: ResultFiles
    clock: Clock
    telemetry: Emitter
    lease: Lease
    limits: Limits
    cadence: Cadence
    chance: random.Random
    #: A new submit_id (uuid4).
    new_submit_id: Callable[[], str]
    materials: Materials = field(default_factory=Materials)
    pace: Pace = field(default_factory=Pace)

    async def record(self, body: Callable[[Tx], T]) -> T:
        """Writes an outcome; outlasts an absence of the database as long as the lease does."""
        while True:
            try:
                return await self.db.write(body)
            except StoreBusy as error:
                self.telemetry.emit("store.retry", error=error.message)
                if not self.lease.valid():
                    raise
                await self.clock.sleep(STORE_PAUSE_S)
