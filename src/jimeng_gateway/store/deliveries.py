"""What is to be told to whom: claimed by whoever sends it, settled by what came of it."""

from __future__ import annotations

from dataclasses import dataclass

from jimeng_gateway.domain.deliveries import Attempt, Delivery, DeliveryState, Event, after, event_of
from jimeng_gateway.domain.task import Stage, Task
from jimeng_gateway.store import tasks
from jimeng_gateway.store.database import Row, Tx

#: Later than every delivery, for a list that starts with the newest.
_END_OF_TIME = 2**63 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryQuery:
    """Which deliveries to list; what is None does not matter."""

    task_id: str | None = None
    state: DeliveryState | None = None
    #: Only those that come after this one (created_at, id) in the list, newest first.
    beyond: tuple[int, str] | None = None
    limit: int = 20


@dataclass(frozen=True, slots=True)
class Claimed:
    """Deliveries to be sent, with their tasks as they are."""

    parcels: tuple[tuple[Delivery, Task], ...]
    #: Whether another claim at once may find more.
    more: bool


def claim(tx: Tx, *, now: int, until: int, limit: int, most: int) -> Claimed:
    """Takes what is due, at most `most` for one place on all nodes; whoever has it has it until `until`.

    What its task has moved past is superseded instead.
    """
    due = tx.all("delivery_due", now=now, limit=limit, most=most)
    parcels: list[tuple[Delivery, Task]] = []
    for found in due:
        row = tx.one("delivery_lock", id=found["id"], now=now)
        if row is None:
            continue
        delivery, task = _from_row(row), tasks.get(tx, row["task_id"])
        if task is None or event_of(task) is not delivery.event:
            tx.run("delivery_outdate", id=delivery.id)
            continue
        tx.run("delivery_claim", id=delivery.id, until=until)
        parcels.append((delivery, task))
    return Claimed(tuple(parcels), len(due) == limit)


def settle(tx: Tx, delivery: Delivery, attempt: Attempt, *, now: int) -> DeliveryState:
    """Writes what came of sending it once; what it has become."""
    state, due_at = after(delivery, attempt, now=now)
    tx.run(
        "delivery_settle",
        id=delivery.id,
        state=state,
        due_at=due_at,
        status=attempt.status,
        error=attempt.error,
        delivered_at=now if state is DeliveryState.DELIVERED else None,
    )
    return state


def find(tx: Tx, query: DeliveryQuery, *, key_id: str | None) -> list[Delivery]:
    """Deliveries of this key (None: of all), newest first."""
    at, before = query.beyond or (_END_OF_TIME, "")
    rows = tx.all(
        "delivery_list",
        key_id=key_id,
        task_id=query.task_id,
        state=query.state,
        at=at,
        after=before,
        limit=query.limit,
    )
    return [_from_row(row) for row in rows]


def forget(tx: Tx, *, before: int) -> None:
    """Drops what was settled, and the addresses of tasks that ended, that long ago."""
    tx.run("delivery_forget", before=before)
    tx.run("subscription_forget", before=before)


def _from_row(row: Row) -> Delivery:
    return Delivery(
        id=row["id"],
        task_id=row["task_id"],
        key_id=row["key_id"],
        url=row["url"],
        place=row["place"],
        format=row["format"],
        base=row["base"],
        event=Event(row["event"]),
        stage=Stage(row["stage"]),
        state=DeliveryState(row["state"]),
        tries=row["tries"],
        created_at=row["created_at"],
        due_at=row["due_at"],
        delivered_at=row["delivered_at"],
        status=row["status"],
        error=row["error"],
    )
