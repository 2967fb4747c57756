"""Results: their files, links that open them without a key, and their removal."""

from __future__ import annotations

from datetime import UTC, datetime

from jimeng_gateway.domain.errors import Conflict, Gone, InvalidRequest, NotFound
from jimeng_gateway.domain.task import Removal, Result, Task, Work
from jimeng_gateway.gateway.desk import LOCAL, Caller, Page, parse_cursor
from jimeng_gateway.gateway.tasks import TaskDesk, cancelled
from jimeng_gateway.store import results
from jimeng_gateway.store.database import Tx
from jimeng_gateway.store.files import Opened, StoredFile
from jimeng_gateway.store.leaving import Leaving, take_away
from jimeng_gateway.store.results import Amount, Keep, Removed
from jimeng_gateway.store.tasks import get

#: Results that one call of `prune` removes at most, so that it ends in time.
PRUNED_AT_ONCE = 500

_WHY = {
    Removal.AGE: "it was older than this gateway keeps results",
    Removal.SIZE: "this gateway needed the room",
    Removal.CALLER: "its caller asked for it",
    Removal.OPERATOR: "the operator removed it",
}


class ResultDesk(TaskDesk):
    """What has been made."""

    # ── files ────────────────────────────────────────────────────────────────────────────────────

    def content(self, task: Task, index: int, *, preview: bool = False) -> StoredFile:
        """The file of a result, or the small picture that stands for it.

        NotFound as long as there is none, Gone if it was removed. A picture without a preview is its own.
        """
        result = next((result for result in task.results if result.index == index), None)
        if result is not None and result.removed_at is not None:
            raise Gone(_removed(result), code="content_removed")
        if result is None or result.file is None:
            if not task.terminal:
                raise NotFound(f"the task is still {task.stage}; it has no results yet", retryable=True)
            raise NotFound(f"the task has no result {index}", param="index")
        if preview and result.preview_file is not None:
            kind, size = result.preview_type or "image/webp", result.preview_size or 0
            return StoredFile(result.preview_file, kind, size, f"{result.sha256}-preview", result.place)
        if preview and result.kind == "video":
            raise NotFound("no preview of this video could be had", code="no_preview", param="variant")
        return StoredFile(
            result.file, result.media_type or "", result.size or 0, result.sha256 or "", result.place
        )

    async def check_content(self, file: StoredFile) -> None:
        """Gone if the file has vanished or changed from under us."""
        await self._parts.files.check(file)

    async def open_content(self, file: StoredFile, start: int, end: int) -> Opened:
        """The bytes start … end - 1, to be closed; Gone as above, Unavailable if the archive is away."""
        return await self._parts.files.open(file, start, end)

    async def read_content(self, file: StoredFile) -> bytes:
        """All of a file, for replies that carry it inside."""
        return await self._parts.files.read(file)

    # ── links ────────────────────────────────────────────────────────────────────────────────────

    def link_expires(self) -> int:
        """When a link that is made now ends, in seconds since the epoch; 0 for never.

        Links that are made within a quarter of their life are the same, so that caches recognise them; a link
        lives at least as long as the operator says, and at most that quarter longer.
        """
        life = self._parts.link_ttl
        if not life:
            return 0
        window = max(1, life // 4)
        return (self._clock.now() // 1000 // window + 1) * window + life

    def link_signature(self, task_id: str, index: int, expires: int = 0) -> str:
        """Lets one result be opened without a key until then."""
        return self._parts.vault.sign(_link(task_id, index, expires))

    def link_valid(self, task_id: str, index: int, signature: str, expires: int = 0) -> bool:
        """Whether the signature belongs to this result and end."""
        return self._parts.vault.signed(_link(task_id, index, expires), signature)

    def link_ended(self, expires: int) -> bool:
        """Whether a link with this end opens nothing any more; one without an end does if none may be so."""
        return self._clock.now() >= expires * 1000 if expires else self._parts.link_ttl > 0

    async def task_for_link(self, task_id: str) -> Task:
        """The task of a link whose signature was found valid."""
        return await self.task(LOCAL, task_id)

    # ── removal ──────────────────────────────────────────────────────────────────────────────────

    async def remove(self, caller: Caller, task_id: str) -> None:
        """Deletes a task and its files for its caller, cancelling what has not ended; then it is NotFound."""
        task = await self.task(caller, task_id)
        now = self._clock.now()

        def body(tx: Tx) -> tuple[bool, Amount, list[Leaving]]:
            ended = cancelled(tx, task_id, now=now) is None
            tx.run("task_remove", id=task_id, now=now)
            removed = results.remove_all(tx, task_id, Removal.CALLER, now=now)
            return ended, removed, results.leaving_of(tx, task_id)

        ended, removed, waiting = await self._db.write(body)
        if not ended:
            self._parts.telemetry.emit("task.cancelled", task=task_id, was=task.stage)
        self._parts.telemetry.emit("task.removed", task=task_id)
        await self._take_away(waiting)
        self._tell_removed(removed)

    async def remove_results(self, caller: Caller, task_id: str) -> Task:
        """Removes the files of a task that has ended, now; Conflict before."""
        await self.task(caller, task_id)
        now = self._clock.now()

        def body(tx: Tx) -> tuple[Task | None, Amount, list[Leaving]]:
            removed = results.remove_all(tx, task_id, Removal.CALLER, now=now)
            return get(tx, task_id), removed, results.leaving_of(tx, task_id)

        following, removed, waiting = await self._db.write(body)
        if following is None or not following.terminal or following.owner is not None:
            raise Conflict("the task has not ended yet; cancel it, or wait for it")
        if following.work is Work.COLLECT:
            raise Conflict("its files are about to be fetched, although it has failed; come again later")
        await self._take_away(waiting)
        self._tell_removed(removed)
        return following

    async def removals(self, *, limit: int = 20, cursor: str | None = None) -> Page[Removed]:
        """What has been removed and why, the latest first."""
        before = _place(cursor) if cursor else None
        found = await self._db.read(lambda tx: results.removals(tx, limit=limit + 1, before=before))
        shown = tuple(found[:limit])
        more = f"{shown[-1].at}.{shown[-1].task_id}.{shown[-1].index}" if len(found) > limit else None
        return Page(shown, more)

    async def prune(
        self, *, older_than: int | None = None, most: int | None = None, dry_run: bool = False
    ) -> tuple[Amount, bool]:
        """Removes results older than so many milliseconds, and the oldest beyond so many bytes altogether.

        How much was removed, and whether there is more to remove; with `dry_run` how much it would be.
        """
        if older_than is None and most is None:
            raise InvalidRequest("say how old or how large results may be: older_than_s or max_bytes")
        now = self._clock.now()
        keep = Keep(since=None if older_than is None else now - older_than, most=most)
        if dry_run:
            return await self._db.write(lambda tx: results.amount_due(tx, keep)), False

        def body(tx: Tx) -> tuple[Amount, bool, list[Leaving]]:
            found = results.due(tx, keep, limit=PRUNED_AT_ONCE)
            removed = results.remove_due(tx, found, now=now, why=Removal.OPERATOR)
            waiting = [
                one for task_id in {each.task_id for each in found} for one in results.leaving_of(tx, task_id)
            ]
            return removed, len(found) == PRUNED_AT_ONCE and removed.files > 0, waiting

        removed, more, waiting = await self._db.write(body)
        await self._take_away(waiting)
        self._tell_removed(removed)
        return removed, more

    def _tell_removed(self, removed: Amount) -> None:
        if removed.files:
            self._parts.telemetry.emit("results.removed", count=removed.files, bytes=removed.bytes)

    async def _take_away(self, waiting: list[Leaving]) -> None:
        """Removes the bytes of marked results; what cannot be removed now is the worker's to do."""
        gone = await take_away(self._parts.files, waiting)
        if gone:
            await self._db.write(lambda tx: results.left(tx, gone))


def _link(task_id: str, index: int, expires: int) -> str:
    return f"content {task_id} {index} {expires}" if expires else f"content {task_id} {index}"


def _removed(result: Result) -> str:
    at = datetime.fromtimestamp((result.removed_at or 0) // 1000, UTC)
    why = _WHY[result.removed_why or Removal.OPERATOR]
    return f"the file was removed at {at:%Y-%m-%dT%H:%M:%SZ}: {why}"


def _place(cursor: str) -> tuple[int, str, int]:
    at, rest = parse_cursor(cursor)
    task_id, _, index = rest.rpartition(".")
    if not task_id or not index.isascii() or not index.isdigit() or len(index) > 6:
        raise InvalidRequest("cursor: not a cursor of this list; take it from next_cursor", param="cursor")
    return at, task_id, int(index)
