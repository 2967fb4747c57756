"""Stored results as rows: which are too old or too many, and their removal in two steps.

First a result is marked as removed, and from then on it is served no more; then its bytes go, and last the
row forgets their name. A crash in between leaves a marked row that names what is still to be removed, in the
data directory or in an archive.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from jimeng_gateway.domain.lifecycle import Change
from jimeng_gateway.domain.task import Removal, Result, Task
from jimeng_gateway.store import tasks
from jimeng_gateway.store.database import Row, Tx
from jimeng_gateway.store.files import StoredFile
from jimeng_gateway.store.leaving import Leaving


@dataclass(frozen=True, slots=True)
class Keep:
    """What may stay. Both None: everything."""

    #: Stored before this time (milliseconds) is too old.
    since: int | None = None
    #: Bytes of all results together; beyond, the oldest go.
    most: int | None = None


@dataclass(frozen=True, slots=True)
class Due:
    """A result that has to go."""

    task_id: str
    index: int
    why: Removal


@dataclass(frozen=True, slots=True)
class Removed:
    """A line of the report."""

    task_id: str
    index: int
    at: int
    why: Removal
    bytes: int


@dataclass(frozen=True, slots=True)
class Amount:
    """Results and their bytes."""

    files: int = 0
    bytes: int = 0

    def __add__(self, other: Amount) -> Amount:
        return Amount(self.files + other.files, self.bytes + other.bytes)


def due(tx: Tx, keep: Keep, *, limit: int) -> list[Due]:
    """The oldest results that have to go, at most so many."""
    excess = _excess(tx, keep)
    if keep.since is None and excess <= 0:
        return []
    found = []
    for row in tx.all("result_oldest", limit=limit):
        too_old = keep.since is not None and row["stored_at"] < keep.since
        if not too_old and excess <= 0:
            break
        excess -= row["bytes"]
        found.append(Due(row["task_id"], row["idx"], Removal.AGE if too_old else Removal.SIZE))
    return found


def amount_due(tx: Tx, keep: Keep) -> Amount:
    """How much would go; reads all rows."""
    row = tx.one("result_due_totals", before=keep.since or 0, excess=_excess(tx, keep))
    return Amount() if row is None else Amount(row["files"], int(row["bytes"]))


def _excess(tx: Tx, keep: Keep) -> int:
    if keep.most is None:
        return 0
    row = tx.one("result_totals")
    return int(row["bytes"]) - keep.most if row else 0


def remove(tx: Tx, task_id: str, whys: dict[int, Removal], *, now: int) -> Amount:
    """Marks results of a task as removed, by index; none of a task that is still being worked on."""
    removed: list[Result] = []

    def decide(task: Task) -> Change | None:
        if not task.terminal or task.owner is not None or task.work is not None:
            return None
        removed.extend(result for result in task.results if _mark(tx, task.id, result, whys, now))
        if not removed:
            return None
        return Change(task, tuple(("result.removed", _told(one, whys[one.index])) for one in removed))

    tasks.change(tx, task_id, decide, now=now)
    return Amount(len(removed), sum(_bytes(result) for result in removed))


def remove_all(tx: Tx, task_id: str, why: Removal, *, now: int) -> Amount:
    """Marks all results of a task as removed; none if it is still being worked on."""
    task = tasks.get(tx, task_id)
    return remove(tx, task_id, {result.index: why for result in task.results} if task else {}, now=now)


def remove_due(tx: Tx, found: Iterable[Due], *, now: int, why: Removal | None = None) -> Amount:
    """Marks what `due` found; with `why` for that reason."""
    by_task: dict[str, dict[int, Removal]] = {}
    for one in found:
        by_task.setdefault(one.task_id, {})[one.index] = why or one.why
    total = Amount()
    for task_id, whys in by_task.items():
        total += remove(tx, task_id, whys, now=now)
    return total


def _mark(tx: Tx, task_id: str, result: Result, whys: dict[int, Removal], now: int) -> bool:
    why = whys.get(result.index)
    if why is None:
        return False
    return tx.run("result_remove", task_id=task_id, idx=result.index, now=now, why=why) == 1


def _bytes(result: Result) -> int:
    return (result.size or 0) + (result.preview_size or 0)


def _told(result: Result, why: Removal) -> dict[str, object]:
    return {"index": result.index, "bytes": _bytes(result), "why": str(why)}


def leaving(tx: Tx, *, limit: int, before: int, beyond: tuple[int, str, int] = (0, "", 0)) -> list[Leaving]:
    """Results removed by that time whose bytes have yet to go, the longest waiting first.

    Only those that come after `beyond` (time, task, index).
    """
    at, task_id, index = beyond
    rows = tx.all("result_leaving", limit=limit, before=before, at=at, task_id=task_id, idx=index)
    return [_leaving(row) for row in rows]


def _leaving(row: Row) -> Leaving:
    names = (row["file"], row["preview_file"])
    files = tuple(StoredFile(name, "", 0, "", row["place"]) for name in names if name is not None)
    return Leaving(row["task_id"], row["idx"], row["removed_at"], row["place"], files)


def leaving_of(tx: Tx, task_id: str) -> list[Leaving]:
    """The same of one task."""
    return [_leaving(row) for row in tx.all("result_leaving_of", task_id=task_id)]


def left(tx: Tx, gone: Iterable[Leaving]) -> None:
    """Forgets the names of bytes that are gone."""
    for one in gone:
        tx.run("result_left", task_id=one.task_id, idx=one.index)


def removals(tx: Tx, *, limit: int, before: tuple[int, str, int] | None) -> list[Removed]:
    """What has been removed, the latest first, before that place (time, task, index)."""
    at, task_id, index = before or (2**63 - 1, "", 0)
    rows = tx.all("result_removals", at=at, task_id=task_id, idx=index, limit=limit)
    return [
        Removed(row["task_id"], row["idx"], row["removed_at"], Removal(row["removed_why"]), row["bytes"])
        for row in rows
    ]


def needed(tx: Tx, task_id: str, file: str) -> bool | None:
    """Whether a file of the results directory has to stay; None if there is no such task."""
    if tx.one("task_get", id=task_id) is None:
        return None
    return tx.one("result_needs", task_id=task_id, file=file) is not None
