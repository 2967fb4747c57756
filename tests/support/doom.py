"""A process that dies at a chosen moment: between any two of its effects, and never in an orderly way.

Every effect (a transaction, a call of the site) is a moment before it and a moment after it. At the chosen
one `Killed` is raised, and from then on at each of them: a dead process does nothing more. What was committed
or had arrived at the site by then stays so.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from jimeng_gateway.domain.catalogue import Model
from jimeng_gateway.domain.ports import Download, Order, Upstream
from jimeng_gateway.domain.record import Accepted, Record
from jimeng_gateway.domain.reference import Reference, Uploaded
from jimeng_gateway.domain.request import Kind
from jimeng_gateway.domain.session import Account, Identity
from jimeng_gateway.store.database import Database, Tx

T = TypeVar("T")


class Killed(BaseException):
    """Not an Exception: nothing in the product may catch it."""


@dataclass(slots=True)
class Doom:
    """Kills at the moment with this number, counted from 1; 0 for never."""

    at: int
    moments: int = 0

    @property
    def dead(self) -> bool:
        """Whether it has struck."""
        return 0 < self.at <= self.moments

    def moment(self) -> None:
        """Raises Killed from the chosen moment on."""
        self.moments += 1
        if self.dead:
            raise Killed

    async def around(self, effect: Callable[[], Awaitable[T]]) -> T:
        """The effect between its two moments."""
        self.moment()
        value = await effect()
        self.moment()
        return value


@dataclass(frozen=True, slots=True)
class DoomedDatabase:
    """The database of a doomed process."""

    db: Database
    doom: Doom

    async def write(self, body: Callable[[Tx], T]) -> T:
        """See Database."""
        return await self.doom.around(lambda: self.db.write(body))

    async def read(self, body: Callable[[Tx], T]) -> T:
        """See Database."""
        return await self.doom.around(lambda: self.db.read(body))

    def subscribe(self, listener: Callable[[str], None]) -> Callable[[], None]:
        """See Database."""
        return self.db.subscribe(listener)

    async def close(self) -> None:
        """The store outlives its processes."""


@dataclass(frozen=True, slots=True)
class DoomedUpstream:
    """The calls of a doomed process."""

    site: Upstream
    doom: Doom

    async def submit(self, identity: Identity, order: Order) -> Accepted:
        """See Upstream."""
        return await self.doom.around(lambda: self.site.submit(identity, order))

    async def upload(self, identity: Identity, reference: Reference, path: Path) -> Uploaded:
        """See Upstream."""
        return await self.doom.around(lambda: self.site.upload(identity, reference, path))

    async def precheck(self, identity: Identity, uploaded: Uploaded) -> None:
        """See Upstream."""
        await self.doom.around(lambda: self.site.precheck(identity, uploaded))

    async def records(
        self, identity: Identity, *, submit_ids: Sequence[str] = (), history_ids: Sequence[str] = ()
    ) -> dict[str, Record]:
        """See Upstream."""
        return await self.doom.around(
            lambda: self.site.records(identity, submit_ids=submit_ids, history_ids=history_ids)
        )

    async def best_video_url(self, identity: Identity, item_id: str) -> str | None:
        """See Upstream."""
        return await self.doom.around(lambda: self.site.best_video_url(identity, item_id))

    async def cancel(self, identity: Identity, history_id: str) -> None:
        """See Upstream."""
        await self.doom.around(lambda: self.site.cancel(identity, history_id))

    async def account(self, identity: Identity) -> Account:
        """See Upstream."""
        return await self.doom.around(lambda: self.site.account(identity))

    async def models(self, identity: Identity, kind: Kind) -> tuple[Model, ...]:
        """See Upstream."""
        return await self.doom.around(lambda: self.site.models(identity, kind))

    @asynccontextmanager
    async def download(self, url: str) -> AsyncIterator[Download]:
        """See Upstream."""
        self.doom.moment()
        async with self.site.download(url) as download:
            self.doom.moment()
            yield download

    async def clock_skew(self) -> float:
        """See Upstream."""
        return await self.doom.around(self.site.clock_skew)


async def bury() -> None:
    """Ends whatever a killed process still had running on this loop."""
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    with contextlib.suppress(Killed):
        await asyncio.gather(*left, return_exceptions=True)
