"""A database that is away for a while, or for good."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from jimeng_gateway.domain.errors import StoreError
from jimeng_gateway.store.database import Database, StoreBusy, Tx

T = TypeVar("T")


@dataclass(slots=True)
class FlakyDatabase:
    """Passes everything on unless told otherwise."""

    db: Database
    #: Writes that still find the database locked; -1 for all.
    busy: int = 0
    #: Raised by every write.
    broken: StoreError | None = None
    #: Writes that found it so.
    refused: int = 0

    async def write(self, body: Callable[[Tx], T]) -> T:
        """See Database."""
        if self.broken is not None:
            raise self.broken
        if self.busy:
            self.busy -= 1
            self.refused += 1
            raise StoreBusy("the database is locked by another process")
        return await self.db.write(body)

    async def read(self, body: Callable[[Tx], T]) -> T:
        """See Database."""
        return await self.db.read(body)

    def subscribe(self, listener: Callable[[str], None]) -> Callable[[], None]:
        """See Database."""
        return self.db.subscribe(listener)

    async def close(self) -> None:
        """The test closes what it opened."""
