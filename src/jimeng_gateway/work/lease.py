"""This process's lease on everything it works on: one row, renewed by one heartbeat.

A process that could not renew in time must assume that others have taken over, so it stops at once; its own
clock tells it, without asking the database that it may not reach.
"""

from __future__ import annotations

import os
import socket

from jimeng_gateway.clock import new_id
from jimeng_gateway.domain.errors import Unavailable
from jimeng_gateway.domain.ports import Clock
from jimeng_gateway.store import nodes
from jimeng_gateway.store.database import Database, StoreBusy


class LeaseLost(Unavailable):
    """The lease ran out; this process owns nothing any more and must stop."""

    code = "lease_lost"


class Lease:
    """One process's row in `node`."""

    def __init__(self, db: Database, clock: Clock, *, length: int, alone: bool) -> None:
        self.owner = new_id("node", clock.now())
        #: Milliseconds.
        self.length = length
        self._db = db
        self._clock = clock
        #: Whether no other process can exist beside this one.
        self.alone = alone
        self._until = float("-inf")
        self._expires_at = 0

    def valid(self) -> bool:
        """Whether nobody else can have taken over, by both of this machine's clocks.

        The one that never goes back stands still while the machine sleeps; the other one may be set back.
        """
        return self._clock.monotonic() < self._until and self._clock.now() < self._expires_at

    async def enter(self) -> None:
        """Starts the lease."""
        asked = self._clock.monotonic()
        now = self._clock.now()
        await self._db.write(
            lambda tx: nodes.enter(
                tx,
                self.owner,
                host=socket.gethostname(),
                pid=os.getpid(),
                now=now,
                lease=self.length,
                alone=self.alone,
            )
        )
        self._extend(asked, now)

    def _extend(self, asked: float, now: int) -> None:
        self._until = asked + self.length / 1000
        self._expires_at = now + self.length

    async def keep(self) -> None:
        """Renews for ever; LeaseLost when that came too late."""
        while True:
            await self._clock.sleep(self.length / 4000)
            await self.beat()

    async def beat(self) -> None:
        """Renews once. Measured from before the write, so that we never believe in more than is stored."""
        asked, now = self._clock.monotonic(), self._clock.now()
        try:
            renewed = await self._db.write(lambda tx: nodes.beat(tx, self.owner, now=now, lease=self.length))
        except StoreBusy:
            if self.valid():
                return
            raise
        if not renewed and self.alone:
            # The machine slept. Nobody else can have taken over, so the lease starts again.
            await self.enter()
            return
        if not renewed:
            raise LeaseLost("the lease of this process ran out; another one may own its tasks")
        self._extend(asked, now)

    async def leave(self) -> None:
        """Ends the lease."""
        self._until = float("-inf")
        await self._db.write(lambda tx: tx.run("node_leave", id=self.owner))
