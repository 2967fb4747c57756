"""References in the store: bytes known by their hash, callers' files, and which bytes a task needs.

A blob's row lives while a file or a task names it, and for a while after it was last used, so that no bytes
are removed under a request that is just being made. The bytes themselves lie in the spool (store/spool.py).
"""

from __future__ import annotations

from dataclasses import dataclass

from jimeng_gateway.domain.errors import Conflict, NotFound
from jimeng_gateway.domain.reference import Media, Reference
from jimeng_gateway.store.database import Row, Tx


@dataclass(frozen=True, slots=True)
class CallerFile:
    """An upload by a caller, to be used in requests by its id."""

    id: str
    key_id: str
    reference: Reference
    created_at: int
    expires_at: int


class ReferencesGone(Conflict):
    """A task's references have been removed since; it cannot be made again from what is here."""

    code = "references_gone"


def keep(tx: Tx, reference: Reference, *, now: int) -> None:
    """Writes a blob's row, or says that it is in use."""
    tx.run(
        "blob_keep",
        sha256=reference.sha256,
        kind=reference.kind,
        media_type=reference.media_type,
        size=reference.size,
        width=reference.width,
        height=reference.height,
        duration_ms=reference.duration_ms,
        fps=reference.fps,
        now=now,
    )


def bind(tx: Tx, task_id: str, references: tuple[Reference, ...], *, now: int) -> None:
    """Notes which bytes a new task needs; ReferencesGone if some are no longer here."""
    for number, reference in enumerate(references, start=1):
        if not tx.run("blob_touch", sha256=reference.sha256, now=now):
            name = reference.name or f"reference {number}"
            raise ReferencesGone(f"{name} is no longer stored here; send the request with its files again")
        tx.run("task_blob_insert", task_id=task_id, sha256=reference.sha256)


def add_file(tx: Tx, file: CallerFile) -> None:
    """Writes a caller's file; its bytes must have been kept."""
    if not tx.run("blob_touch", sha256=file.reference.sha256, now=file.created_at):
        raise ReferencesGone(f"{file.reference.name} is no longer stored here; send it again")
    tx.run(
        "file_insert",
        id=file.id,
        key_id=file.key_id,
        sha256=file.reference.sha256,
        name=file.reference.name,
        now=file.created_at,
        expires_at=file.expires_at,
    )


def file(tx: Tx, file_id: str, *, key_id: str | None, now: int) -> CallerFile:
    """A file of this key (None: of any); NotFound as soon as it has expired."""
    row = tx.one("file_get", id=file_id, key_id=key_id, now=now)
    if row is None:
        raise NotFound(f"there is no file {file_id[:80]}", param="file_id")
    return _file(row)


def files(
    tx: Tx, *, key_id: str | None, limit: int, before: tuple[int, str] | None, now: int
) -> list[CallerFile]:
    """Files of this key (None: of all), newest first, older than `before` (created_at, id)."""
    at, after = before or (None, None)
    return [
        _file(row) for row in tx.all("file_list", key_id=key_id, at=at, after=after, limit=limit, now=now)
    ]


def remove_file(tx: Tx, file_id: str) -> None:
    """Forgets a file; tasks that were made with it keep its bytes."""
    tx.run("file_remove", id=file_id)


def unneeded(tx: Tx, *, now: int, retention: int, grace: int, limit: int) -> list[str]:
    """Forgets what nothing names any more; the hashes whose bytes can go.

    A task keeps its bytes for `retention` ms after its end, so that it can be made again; a blob that was
    used within the last `grace` ms stays. What a request takes up in the meantime is not forgotten: it
    touches the row, and the guard of the deletion sees it.
    """
    tx.run("file_expire", now=now)
    tx.run("task_blob_forget", before=now - retention)
    idle = tx.all("blob_idle", before=now - grace, limit=limit)
    return [row["sha256"] for row in idle if _removed(tx, row["sha256"], before=now - grace)]


def _removed(tx: Tx, sha256: str, *, before: int) -> bool:
    tx.one("blob_lock", sha256=sha256)
    return tx.run("blob_remove", sha256=sha256, before=before) == 1


def known(tx: Tx, sha256: str) -> bool:
    """Whether there is a row for these bytes."""
    return tx.one("blob_get", sha256=sha256) is not None


def _file(row: Row) -> CallerFile:
    return CallerFile(
        id=row["id"],
        key_id=row["key_id"],
        reference=Reference(
            kind=Media(row["kind"]),
            sha256=row["sha256"],
            media_type=row["media_type"],
            size=row["size"],
            name=row["name"],
            width=row["width"],
            height=row["height"],
            duration_ms=row["duration_ms"],
            fps=row["fps"],
        ),
        created_at=row["created_at"],
        expires_at=row["expires_at"],
    )
