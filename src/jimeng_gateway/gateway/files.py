"""Files that callers upload, to be used in any number of tasks."""

from __future__ import annotations

from jimeng_gateway.clock import new_id
from jimeng_gateway.domain.reference import Reference
from jimeng_gateway.gateway.desk import Caller, Desk, Page, parse_cursor
from jimeng_gateway.store import blobs
from jimeng_gateway.store.blobs import CallerFile


class FileDesk(Desk):
    """Callers' own files."""

    async def add_file(self, caller: Caller, reference: Reference) -> CallerFile:
        """A file that this caller can use in any number of tasks until it expires."""
        now = self._clock.now()
        file = CallerFile(
            id=new_id("file", now),
            key_id=caller.key_id,
            reference=reference,
            created_at=now,
            expires_at=now + self._parts.file_retention,
        )
        await self._db.write(lambda tx: blobs.add_file(tx, file))
        return file

    async def file(self, caller: Caller, file_id: str) -> CallerFile:
        """One file; NotFound also for a file of another key, and for one that has expired."""
        key_id, now = None if caller.admin else caller.key_id, self._clock.now()
        return await self._db.read(lambda tx: blobs.file(tx, file_id, key_id=key_id, now=now))

    async def files(self, caller: Caller, *, limit: int = 20, cursor: str | None = None) -> Page[CallerFile]:
        """Files, newest first."""
        before = parse_cursor(cursor) if cursor else None
        key_id, now = None if caller.admin else caller.key_id, self._clock.now()
        found = await self._db.read(
            lambda tx: blobs.files(tx, key_id=key_id, limit=limit + 1, before=before, now=now)
        )
        shown = tuple(found[:limit])
        more = f"{shown[-1].created_at}.{shown[-1].id}" if len(found) > limit else None
        return Page(shown, more)

    async def remove_file(self, caller: Caller, file_id: str) -> None:
        """Forgets a file; what was made with it keeps its bytes."""
        await self.file(caller, file_id)
        await self._db.write(lambda tx: blobs.remove_file(tx, file_id))
