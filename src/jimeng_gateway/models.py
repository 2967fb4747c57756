"""The catalogue in force: the built-in table under whatever the site said last, shared by all nodes.

Upkeep writes the live catalogue into the store; every process reads it from there, so that an intake never
waits for the site.
"""

from __future__ import annotations

from jimeng_gateway.domain.builtin_models import builtin
from jimeng_gateway.domain.catalogue import Catalogue, Model, merge
from jimeng_gateway.domain.ports import Clock
from jimeng_gateway.domain.request import Kind
from jimeng_gateway.store import catalogue
from jimeng_gateway.store.database import Database, Tx

#: A process looks at the stored catalogue this often even if nobody told it of a new one, in milliseconds.
LOOK_EVERY_MS = 60_000


class CatalogueCache:
    """Reads and merges the catalogue, and remembers the outcome."""

    def __init__(self, db: Database, clock: Clock, base: Catalogue | None = None) -> None:
        self._db = db
        self._clock = clock
        self._base = base or builtin()
        self._merged = self._base
        self._stamp: tuple[int, int] | None = None
        self._looked_at = -LOOK_EVERY_MS
        db.subscribe(self._notice)

    async def current(self) -> Catalogue:
        """The catalogue in force."""
        now = self._clock.now()
        if now - self._looked_at >= LOOK_EVERY_MS:
            self._looked_at = now
            await self._load()
        return self._merged

    async def _load(self) -> None:
        def body(tx: Tx) -> tuple[tuple[int, int], tuple[Model, ...], tuple[Model, ...]] | None:
            stamp = (catalogue.read_at(tx, Kind.IMAGE), catalogue.read_at(tx, Kind.VIDEO))
            if stamp == self._stamp:
                return None
            return stamp, catalogue.models(tx, Kind.IMAGE), catalogue.models(tx, Kind.VIDEO)

        found = await self._db.read(body)
        if found is not None:
            self._stamp, images, videos = found
            self._merged = merge(self._base, images, videos)

    def _notice(self, topic: str) -> None:
        if topic == catalogue.TOPIC:
            self._looked_at = -LOOK_EVERY_MS
