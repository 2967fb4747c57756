"""Who is told of a task, and the note that something is to be told.

The note is written in the very transaction that changes the task, so that neither can be without the other;
sending it is another matter (store/deliveries.py, work/deliver.py).
"""

from __future__ import annotations

from jimeng_gateway.domain.deliveries import delivery_id, place_of, told
from jimeng_gateway.domain.order import Order
from jimeng_gateway.domain.task import Task
from jimeng_gateway.store.database import Row, Tx

#: Topic of Tx.notify.
DELIVER = "deliver"


def subscribe(tx: Tx, task: Task, order: Order, *, now: int) -> None:
    """Has the order's address told of the task from now on, in the dialect of its door."""
    row: Row = {
        "task_id": task.id,
        "url": order.callback_url,
        "place": place_of(order.callback_url),
        "format": order.door,
        "base": order.base_url,
    }
    tx.run("subscription_add", **row)
    _note(tx, task, row, now=now)


def tell(tx: Tx, task: Task, *, now: int) -> None:
    """Notes the task's new status for all who are told."""
    for row in tx.all("subscription_of_task", task_id=task.id):
        _note(tx, task, row, now=now)


def _note(tx: Tx, task: Task, row: Row, *, now: int) -> None:
    """A status is told once, and what was to be told before it is out of date."""
    event = told(row["format"], task)
    if event is None:
        return
    made = delivery_id(task.id, row["url"], event)
    if tx.run("delivery_insert", **row, id=made, key_id=task.key_id, event=event, stage=task.stage, now=now):
        tx.run("delivery_supersede", task_id=task.id, url=row["url"], id=made, now=now)
        tx.notify(DELIVER)
