"""Tasks: checked, written down, looked at, waited for, cancelled."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

from jimeng_gateway.clock import new_id
from jimeng_gateway.domain import aliases, lifecycle
from jimeng_gateway.domain.costs import Estimate, estimate
from jimeng_gateway.domain.deliveries import checked_url
from jimeng_gateway.domain.errors import Conflict, NotFound
from jimeng_gateway.domain.intake import Wish, plan
from jimeng_gateway.domain.order import Intent, Order
from jimeng_gateway.domain.request import GenerationRequest, Kind
from jimeng_gateway.domain.task import Stage, Task, TaskEvent
from jimeng_gateway.gateway.desk import Caller, Desk, Page, parse_cursor
from jimeng_gateway.store import blobs, intents, submissions, subscriptions, tasks
from jimeng_gateway.store.database import Tx
from jimeng_gateway.store.tasks import TaskQuery

#: Watchers look this often even if no notification came, in seconds.
LOOK_AGAIN_S = 2.0


@dataclass(frozen=True, slots=True)
class Placed:
    """The task of an order, and whether the same request had made it before."""

    task: Task
    repeated: bool


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What an order would come to."""

    request: GenerationRequest
    estimate: Estimate


class TaskDesk(Desk):
    """What is to be made, and how it is going."""

    async def submit(self, caller: Caller, wish: Wish) -> Task:
        """Checks a wish against the catalogue and queues it; durable when this returns."""
        return (await self.place(caller, Order(wish))).task

    async def place(self, caller: Caller, order: Order, intent: Intent | None = None) -> Placed:
        """Checks an order and queues it, or finds the task that the same request has made before.

        Durable when this returns. InvalidRequest names what cannot be honoured; TokenReused.
        """
        request = await self._request(caller, order)
        return await self._queue(caller, order, request, intent)

    async def rehearse(self, caller: Caller, order: Order) -> Rehearsal:
        """Checks an order as `place` does, and says what would be sent and what it is likely to cost."""
        request = await self._request(caller, order)
        return Rehearsal(request, estimate(request))

    async def recall(self, caller: Caller, intent: Intent) -> Task | None:
        """The task that the same request has made before: then nothing needs to be fetched for it."""
        if not intent.may_be_repeated:
            return None
        now = self._clock.now()
        task_id = await self._db.write(lambda tx: intents.find(tx, caller.key_id, intent, now=now))
        return None if task_id is None else await self.task(caller, task_id)

    async def answered(self, task: Task, intent: Intent, *, lost: bool) -> None:
        """Notes when a client that repeats without saying so got its reply, or `lost` its connection."""
        if intent.peer:
            now = self._clock.now()
            await self._db.write(lambda tx: intents.answered(tx, task.id, intent, now=now, lost=lost))

    async def again(self, caller: Caller, task_id: str) -> Order:
        """An order for the same input as a task that has ended; Conflict while it has not."""
        task = await self.task(caller, task_id)
        if not task.terminal:
            raise Conflict(f"the task is still {task.stage}; only a task that has ended can be retried")
        return Order(request=task.request, retry_of=task.id, door=task.door, memo=task.memo)

    async def retry(self, caller: Caller, task_id: str) -> Task:
        """A new attempt of the same input under a new task; Conflict unless the old one has ended."""
        return (await self.place(caller, await self.again(caller, task_id))).task

    async def _request(self, caller: Caller, order: Order) -> GenerationRequest:
        if order.callback_url:
            checked_url(order.callback_url, self._parts.callback_hosts)
        if order.request is not None:
            return order.request
        assert order.wish is not None
        wish, catalogue = order.wish, await self._parts.catalogue.current()
        if wish.model:
            chosen = (caller.options.aliases, self._parts.aliases)
            wish = replace(wish, model=aliases.resolve(wish.model, catalogue, *chosen))
        return plan(wish, catalogue)

    async def _queue(
        self, caller: Caller, order: Order, request: GenerationRequest, intent: Intent | None
    ) -> Placed:
        now = self._clock.now()
        if order.expires_after_s:
            request = replace(request, expires_after_ms=order.expires_after_s * 1000)
        task = Task(
            id=new_id("task", now),
            key_id=caller.key_id,
            request=request,
            stage=Stage.QUEUED,
            revision=0,
            created_at=now,
            updated_at=now,
            deadline_at=now + (request.expires_after_ms or self._parts.limits.deadline(request.kind)),
            due_at=now,
            retry_of=order.retry_of,
            door=order.door,
            memo=order.memo,
        )
        facts: dict[str, object] = {"model": request.model, "key": caller.name}
        if order.retry_of is not None:
            facts["retry_of"] = order.retry_of

        def body(tx: Tx) -> Task:
            known = None if intent is None else intents.find(tx, caller.key_id, intent, now=now)
            found = None if known is None else tasks.get(tx, known)
            if found is not None:
                return found
            written = tasks.insert(tx, task, facts)
            blobs.bind(tx, task.id, request.references, now=now)
            if order.callback_url:
                subscriptions.subscribe(tx, task, order, now=now)
            if intent is not None:
                intents.remember(tx, caller.key_id, task.id, intent, now=now)
            return written

        written = await self._db.write(body)
        if written.id == task.id:
            self._parts.telemetry.emit("task.queued", task=task.id, kind=request.kind, model=request.model)
        return Placed(written, repeated=written.id != task.id)

    async def task(self, caller: Caller, task_id: str) -> Task:
        """One task; NotFound also for a task of another key."""
        task = await self._db.read(lambda tx: tasks.get(tx, task_id))
        hidden = task is None or task.removed_at is not None
        if task is None or hidden or not (caller.admin or task.key_id == caller.key_id):
            raise NotFound(f"there is no task {task_id[:80]}")
        return task

    async def tasks(
        self,
        caller: Caller,
        *,
        stage: Stage | None = None,
        kind: Kind | None = None,
        model: str | None = None,
        limit: int = 20,
        cursor: str | None = None,
    ) -> Page[Task]:
        """Tasks that match, newest first."""
        query = TaskQuery(
            stages=(stage,) if stage else (),
            kind=kind,
            model=model,
            beyond=parse_cursor(cursor) if cursor else None,
            limit=limit + 1,
        )
        found = await self.find(caller, query)
        shown = tuple(found[:limit])
        more = f"{shown[-1].created_at}.{shown[-1].id}" if len(found) > limit else None
        return Page(shown, more)

    async def find(self, caller: Caller, query: TaskQuery) -> list[Task]:
        """The caller's tasks that match; an admin's are everybody's."""
        key_id = None if caller.admin else caller.key_id
        return await self._db.read(lambda tx: tasks.find(tx, query, key_id=key_id))

    async def count(self, caller: Caller, query: TaskQuery) -> int:
        """How many there are, on all pages together."""
        key_id = None if caller.admin else caller.key_id
        return await self._db.read(lambda tx: tasks.count(tx, query, key_id=key_id))

    async def cancel(self, caller: Caller, task_id: str) -> Task:
        """Cancels in any stage but the last; what may exist upstream is cancelled there too."""
        task = await self.task(caller, task_id)
        now = self._clock.now()
        following = (
            await self._db.write(lambda tx: cancelled(tx, task_id, now=now) or tasks.get(tx, task_id)) or task
        )
        if following.stage is not Stage.CANCELLED:
            raise Conflict(f"the task has already {following.stage}; it can no longer be cancelled")
        self._parts.telemetry.emit("task.cancelled", task=task_id, was=task.stage)
        return following

    async def events(self, caller: Caller, task_id: str, *, after: int = 0) -> list[TaskEvent]:
        """What happened to a task, oldest first."""
        await self.task(caller, task_id)
        return await self._db.read(lambda tx: tasks.events(tx, task_id, after))

    async def wait(self, caller: Caller, task_id: str, *, seconds: float) -> Task:
        """The task at its end, or as it is when the time is up."""
        with self._hub.listen(tasks.topic_of(task_id)) as news:
            deadline = self._clock.monotonic() + seconds
            while True:
                news.clear()
                task = await self.task(caller, task_id)
                left = deadline - self._clock.monotonic()
                if task.terminal or left <= 0:
                    return task
                await self._news(news, min(left, LOOK_AGAIN_S))

    async def watch(self, caller: Caller, task_id: str, *, after: int = 0) -> AsyncIterator[Task | TaskEvent]:
        """Events from `after` on as they happen, and the task whenever its progress changed; to its end."""
        told: tuple[object, ...] | None = None
        with self._hub.listen(tasks.topic_of(task_id)) as news:
            while True:
                news.clear()
                task = await self.task(caller, task_id)
                for event in await self.events(caller, task_id, after=after):
                    after = event.seq
                    yield event
                if task.progress_key != told:
                    told = task.progress_key
                    yield task
                if task.terminal:
                    return
                await self._news(news, LOOK_AGAIN_S)

    async def _news(self, event: asyncio.Event, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(event.wait(), seconds)


def cancelled(tx: Tx, task_id: str, *, now: int) -> Task | None:
    """Cancels a task here, and asks for it upstream; None if it has ended already."""
    following = tasks.change(tx, task_id, lambda found: lifecycle.cancel(found, now=now), now=now)
    if following is not None and following.submit_id is not None:
        submissions.want_cancel(tx, following.submit_id, now=now)
    return following
