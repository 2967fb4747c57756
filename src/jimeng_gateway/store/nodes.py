"""Running processes and their leases: whoever does not renew in time owns nothing any more."""

from __future__ import annotations

from dataclasses import dataclass

from jimeng_gateway.store.database import Tx


@dataclass(frozen=True, slots=True)
class Node:
    """A process."""

    id: str
    host: str
    pid: int
    started_at: int
    beat_at: int
    expires_at: int


def enter(tx: Tx, node_id: str, *, host: str, pid: int, now: int, lease: int, alone: bool) -> None:
    """Starts a lease; `alone` says that no other process can be alive, so that its work is free at once."""
    if alone:
        tx.run("node_clear")
    tx.run("node_enter", id=node_id, host=host, pid=pid, now=now, expires_at=now + lease)


def beat(tx: Tx, node_id: str, *, now: int, lease: int) -> bool:
    """Renews; False when the lease has passed already."""
    return tx.run("node_beat", id=node_id, now=now, expires_at=now + lease) == 1


def find_all(tx: Tx) -> list[Node]:
    """Every known process."""
    return [Node(**row) for row in tx.all("node_list")]
