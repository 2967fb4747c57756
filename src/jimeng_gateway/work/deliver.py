"""Tells callback addresses what became of tasks.

Every status is a row that is claimed, sent once and settled, so that a process that dies in between leaves
it to the next one: what was sent may come twice, what was not sent comes. All are sent side by side, a few
for each place, so that an address that does not answer delays nobody else. The body is written by the door
by which the task came in; this module knows no dialect.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from jimeng_gateway.domain.deliveries import Attempt, Delivery, DeliveryState
from jimeng_gateway.domain.task import Task
from jimeng_gateway.egress import AddressRefused, Egress, Unreachable
from jimeng_gateway.store import deliveries
from jimeng_gateway.store.deliveries import Claimed
from jimeng_gateway.work.bench import Bench

#: Seconds in which a receiver has to answer (ark.md 2.9).
ANSWER_S = 5.0
#: A claim lasts so many milliseconds: longer than an attempt and the note of it take.
CLAIM_MS = 20_000
#: Deliveries that are on their way to one place at once, from all processes together.
PER_PLACE = 4
#: What is settled is forgotten after seven days.
KEEP_MS = 7 * 86_400_000
_EVERY_MS = 3_600_000

#: Writes the body: of a task, with links that begin with an address, at a time.
Renderer = Callable[[Task, str, int], bytes]


@dataclass(slots=True)
class Courier:
    """Carries deliveries out; holds nothing but when it tidied up last."""

    egress: Egress
    #: By format.
    renderers: Mapping[str, Renderer] = field(default_factory=dict)
    _tidied_at: int = 0

    async def claim(self, bench: Bench, room: int) -> Claimed:
        """What is due, with the tasks as they are."""
        now = bench.clock.now()
        if await bench.db.read(lambda tx: tx.one("delivery_any_due", now=now)) is None:
            return Claimed((), more=False)
        return await bench.db.write(
            lambda tx: deliveries.claim(tx, now=now, until=now + CLAIM_MS, limit=room, most=PER_PLACE)
        )

    async def carry(self, bench: Bench, delivery: Delivery, task: Task) -> None:
        """Sends one and notes what came of it."""
        attempt = await self._attempt(bench, delivery, task)
        now = bench.clock.now()
        state = await bench.record(lambda tx: deliveries.settle(tx, delivery, attempt, now=now))
        told: dict[str, object] = {
            "task": task.id,
            "event": str(delivery.event),
            # Never the address: it may hold a token.
            "place": delivery.place,
            "status": attempt.status,
            "state": str(state),
        }
        if state is DeliveryState.DELIVERED:
            bench.telemetry.emit("delivery.sent", **told)
        else:
            bench.telemetry.emit("delivery.failed", **told, error=attempt.error)

    async def _attempt(self, bench: Bench, delivery: Delivery, task: Task) -> Attempt:
        try:
            body = self.renderers[delivery.format](task, delivery.base, bench.clock.now())
        except Exception as error:  # noqa: BLE001 - a bug in one dialect must not be tried again for ever
            return Attempt(None, f"the body could not be written: {type(error).__name__}", hopeless=True)
        headers = {"Content-Type": "application/json", "webhook-id": delivery.id}
        try:
            status = await self.egress.post(delivery.url, body, headers)
        except AddressRefused as error:
            return Attempt(None, error.message, hopeless=True)
        except Unreachable as error:
            return Attempt(None, error.message)
        return Attempt(status, "" if 200 <= status < 300 else f"the receiver answered {status}")

    async def round(self, bench: Bench) -> None:
        """Forgets what was settled long ago, at most once an hour."""
        now = bench.clock.now()
        if now - self._tidied_at >= _EVERY_MS:
            self._tidied_at = now
            await bench.record(lambda tx: deliveries.forget(tx, before=now - KEEP_MS))
