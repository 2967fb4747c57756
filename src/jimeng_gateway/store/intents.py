"""Which task an earlier try of the same request has made.

Found and written in the transaction that writes the task, one request of the same content at a time:
whichever try comes first makes the task, all others get it.
"""

from __future__ import annotations

import zlib

from jimeng_gateway.domain.order import (
    BACK_AFTER_LOSS_MS,
    KEEP_TOKEN_MS,
    KEEP_TRIES_MS,
    Intent,
    TaskRemoved,
    TokenReused,
)
from jimeng_gateway.store.database import Row, Tx

#: Above the numbers of the other locks.
_LOCKS = 1 << 40


def recall(tx: Tx, key_id: str, intent: Intent, *, now: int) -> str | None:
    """The id of the task that this request has made.

    TokenReused if its key stands for another request, TaskRemoved if for a task that was deleted.
    """
    if intent.token:
        row = tx.one("intent_by_token", key_id=key_id, token=intent.token, since=now - KEEP_TOKEN_MS)
        if row is not None and row["fingerprint"] != intent.fingerprint:
            raise TokenReused(
                "this Idempotency-Key was used for another request within the last 24 hours; "
                "take a new one, or send the same request",
                param="Idempotency-Key",
            )
        if row is not None and row["removed_at"] is not None:
            raise TaskRemoved(
                f"this request made the task {row['task_id']}, which was deleted since; "
                "to make another one, take a new Idempotency-Key",
                param="Idempotency-Key",
            )
        return _task_id(row)
    if intent.peer:
        return _task_id(_unmarked(tx, key_id, intent))
    if intent.attempt is None:
        return None
    earlier = _task_id(
        tx.one(
            "intent_before",
            key_id=key_id,
            fingerprint=intent.fingerprint,
            attempt=intent.attempt,
            since=now - KEEP_TRIES_MS,
        )
    )
    return earlier or _task_id(
        tx.one(
            "intent_after",
            key_id=key_id,
            fingerprint=intent.fingerprint,
            attempt=intent.attempt,
            arrived_at=intent.arrived_at,
        )
    )


def find(tx: Tx, key_id: str, intent: Intent, *, now: int) -> str | None:
    """The same for a transaction that goes on to make the task if there is none.

    Until its end nobody else looks for the same request; what it finds is noted as seen again.
    """
    if not intent.remembered:
        return None
    tx.serialise(_LOCKS + zlib.crc32(f"{key_id} {intent.token or intent.fingerprint}".encode()))
    known = _seen(tx, key_id, intent) or recall(tx, key_id, intent, now=now)
    if known is not None:
        tx.run("intent_tried", task_id=known, attempt=intent.attempt or 0, request_id=intent.request_id)
        tx.run("intent_again", task_id=known, peer=intent.peer)
    return known


def remember(tx: Tx, key_id: str, task_id: str, intent: Intent, *, now: int) -> None:
    """Notes which task the request has made."""
    if not intent.remembered:
        return
    if intent.token:
        tx.run("intent_forget_token", key_id=key_id, token=intent.token, before=now - KEEP_TOKEN_MS)
    tx.run(
        "intent_insert",
        task_id=task_id,
        key_id=key_id,
        token=intent.token or None,
        fingerprint=intent.fingerprint,
        attempt=intent.attempt or 0,
        request_id=intent.request_id,
        peer=intent.peer or None,
        now=now,
    )


def answered(tx: Tx, task_id: str, intent: Intent, *, now: int, lost: bool) -> None:
    """Notes that the reply is out, or that the client went away before it."""
    at, gone = (None, now) if lost else (now, None)
    tx.run("intent_answered", task_id=task_id, peer=intent.peer, answered_at=at, lost_at=gone)


def forget(tx: Tx, *, now: int) -> None:
    """Drops what no request can mean any more."""
    tx.run("intent_forget", before=now - max(KEEP_TOKEN_MS, KEEP_TRIES_MS))


def _seen(tx: Tx, key_id: str, intent: Intent) -> str | None:
    """What an earlier run of this transaction has found or made: noted as seen, nothing else finds it."""
    if intent.token or not intent.request_id:
        return None
    return _task_id(
        tx.one(
            "intent_by_request",
            key_id=key_id,
            fingerprint=intent.fingerprint,
            request_id=intent.request_id,
        )
    )


def _unmarked(tx: Tx, key_id: str, intent: Intent) -> Row | None:
    rows = tx.all(
        "intent_unmarked",
        key_id=key_id,
        fingerprint=intent.fingerprint,
        peer=intent.peer,
        answered_since=intent.arrived_at - max((longest for _, longest in intent.pauses), default=0),
        lost_since=intent.arrived_at - BACK_AFTER_LOSS_MS,
    )
    return next((row for row in rows if _came_to_nothing(row, intent)), None)


def _came_to_nothing(row: Row, intent: Intent) -> bool:
    """Whether the reply may have been lost, by what its connection did and when the client is back."""
    if row["answered_at"] is None:
        return True
    away = intent.arrived_at - row["answered_at"]
    return row["peer"] not in intent.open_peers and any(low <= away <= high for low, high in intent.pauses)


def _task_id(row: Row | None) -> str | None:
    return None if row is None else str(row["task_id"])
