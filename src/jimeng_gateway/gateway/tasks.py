"""Tasks: checked, written down, looked at, waited for, cancelled."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from jimeng_gateway.clock import new_id
from jimeng_gateway.domain import lifecycle
from jimeng_gateway.domain.errors import Conflict, NotFound
from jimeng_gateway.domain.intake import Wish, plan
from jimeng_gateway.domain.request import GenerationRequest, Kind
from jimeng_gateway.domain.task import Stage, Task, TaskEvent
from jimeng_gateway.gateway.desk import Caller, Desk, Page, parse_cursor
from jimeng_gateway.store import blobs, submissions, tasks
from jimeng_gateway.store.database import Tx

#: Watchers look this often even if no notification came, in seconds.
LOOK_AGAIN_S = 2.0


class TaskDesk(Desk):
    """What is to be made, and how it is going."""

    async def submit(self, caller: Caller, wish: Wish) -> Task:
        """Checks a wish against the catalogue and queues it; durable when this returns."""
        request = plan(wish, await self._parts.catalogue.current())
        return await self._queue(caller, request, retry_of=None)

    async def retry(self, caller: Caller, task_id: str) -> Task:
        """A new attempt of the same input under a new task; Conflict unless the old one has ended."""
        task = await self.task(caller, task_id)
        if not task.terminal:
            raise Conflict(f"the task is still {task.stage}; only a task that has ended can be retried")
        return await self._queue(caller, task.request, retry_of=task.id)

    async def _queue(self, caller: Caller, request: GenerationRequest, retry_of: str | None) -> Task:
        now = self._clock.now()
        task = Task(
            id=new_id("task", now),
            key_id=caller.key_id,
            request=request,
            stage=Stage.QUEUED,
            revision=0,
            created_at=now,
            updated_at=now,
            deadline_at=now + self._parts.limits.deadline(request.kind),
            due_at=now,
            retry_of=retry_of,
        )
        facts: dict[str, object] = {"model": request.model, "key": caller.name}
        if retry_of is not None:
            facts["retry_of"] = retry_of

        def body(tx: Tx) -> Task:
            written = tasks.insert(tx, task, facts)
            blobs.bind(tx, task.id, request.references, now=now)
            return written

        task = await self._db.write(body)
        self._parts.telemetry.emit("task.queued", task=task.id, kind=request.kind, model=request.model)
        return task

    async def task(self, caller: Caller, task_id: str) -> Task:
        """One task; NotFound also for a task of another key."""
        task = await self._db.read(lambda tx: tasks.get(tx, task_id))
        if task is None or not (caller.admin or task.key_id == caller.key_id):
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
        before = parse_cursor(cursor) if cursor else None
        key_id = None if caller.admin else caller.key_id
        found = await self._db.read(
            lambda tx: tasks.find(
                tx, key_id=key_id, stage=stage, kind=kind, model=model, limit=limit + 1, before=before
            )
        )
        shown = tuple(found[:limit])
        more = f"{shown[-1].created_at}.{shown[-1].id}" if len(found) > limit else None
        return Page(shown, more)

    async def cancel(self, caller: Caller, task_id: str) -> Task:
        """Cancels in any stage but the last; what may exist upstream is cancelled there too."""
        task = await self.task(caller, task_id)
        now = self._clock.now()

        def body(tx: Tx) -> Task | None:
            following = tasks.change(tx, task_id, lambda found: lifecycle.cancel(found, now=now), now=now)
            if following is not None and following.submit_id is not None:
                submissions.want_cancel(tx, following.submit_id, now=now)
            return following or tasks.get(tx, task_id)

        following = await self._db.write(body) or task
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
