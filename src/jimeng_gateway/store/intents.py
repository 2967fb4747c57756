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
    TokenReused,
)
from jimeng_gateway.store.database import Row, Tx

#: Above the numbers of the other locks.
_LOCKS = 1 << 40


def recall(tx: Tx, key_id: str, intent: Intent, *, now: int) -> str | None:
    """The id of the task that this request has made; TokenReused if its key stands for another request."""
    if intent.token:
        row = tx.one("intent_by_token", key_id=key_id, token=intent.token, since=now - KEEP_TOKEN_MS)
        if row is not None and row["fingerprint"] != intent.fingerprint:
            raise TokenReused(
                "this Idempotency-Key was used for another request within the last 24 hours; "
                "take a new one, or send the same request",
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
    known = recall(tx, key_id, intent, now=now)
    if known is not None:
        tx.run("intent_tried", task_id=known, attempt=intent.attempt or 0)
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


def _unmarked(tx: Tx, key_id: str, intent: Intent) -> Row | None:
    for shortest, longest in intent.pauses:
        found = tx.one(
            "intent_unmarked",
            key_id=key_id,
            fingerprint=intent.fingerprint,
            peer=intent.peer,
            earliest=intent.arrived_at - longest,
            latest=intent.arrived_at - shortest,
            lost_since=intent.arrived_at - BACK_AFTER_LOSS_MS,
        )
        if found is not None:
            return found
    return None


def _task_id(row: Row | None) -> str | None:
    return None if row is None else str(row["task_id"])
