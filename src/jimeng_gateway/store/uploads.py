"""What sessions have made of references: uploaded once, used again while the site keeps it."""

from __future__ import annotations

from dataclasses import dataclass

from jimeng_gateway.domain.reference import Reference, Uploaded
from jimeng_gateway.store.database import Tx


@dataclass(frozen=True, slots=True)
class KnownUpload:
    """An upload that can still be used."""

    uploaded: Uploaded
    #: Whether the site's safety check let it pass; None: not asked, or it could not tell.
    passed: bool | None


def find(tx: Tx, session_id: str, reference: Reference, *, now: int) -> KnownUpload | None:
    """The session's upload of these bytes, unless it is too old."""
    row = tx.one("upload_find", session_id=session_id, sha256=reference.sha256, now=now)
    if row is None:
        return None
    uploaded = Uploaded(
        kind=reference.kind,
        handle=row["handle"],
        width=row["width"],
        height=row["height"],
        duration_ms=row["duration_ms"],
        fps=row["fps"],
        format=row["format"],
    )
    return KnownUpload(uploaded, None if row["passed"] is None else bool(row["passed"]))


def keep(tx: Tx, session_id: str, sha256: str, uploaded: Uploaded, *, now: int, valid: int) -> None:
    """Writes an upload, good for so many milliseconds, and forgets those that have become too old."""
    tx.run("upload_expire", now=now)
    tx.run(
        "upload_keep",
        session_id=session_id,
        sha256=sha256,
        handle=uploaded.handle,
        width=uploaded.width,
        height=uploaded.height,
        duration_ms=uploaded.duration_ms,
        fps=uploaded.fps,
        format=uploaded.format,
        now=now,
        expires_at=now + valid,
    )


def judge(tx: Tx, session_id: str, sha256: str, uploaded: Uploaded, *, passed: bool) -> None:
    """Writes what the safety check said of this very upload."""
    tx.run("upload_judge", session_id=session_id, sha256=sha256, handle=uploaded.handle, passed=int(passed))


def forget(tx: Tx, session_id: str, references: tuple[Reference, ...]) -> None:
    """The site could not use them: they are uploaded anew the next time."""
    for reference in references:
        tx.run("upload_forget", session_id=session_id, sha256=reference.sha256)
