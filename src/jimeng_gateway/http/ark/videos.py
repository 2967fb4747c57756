"""Video tasks: create, get, list, cancel or delete (ark.md 2)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

from starlette.responses import Response

from jimeng_gateway.domain.deliveries import Event
from jimeng_gateway.domain.errors import Conflict, NotFound
from jimeng_gateway.domain.order import Order
from jimeng_gateway.domain.request import Kind
from jimeng_gateway.domain.task import Stage, Task
from jimeng_gateway.http.ark import asks, render
from jimeng_gateway.http.ark.shapes import ArkCreated, ArkFilter, ArkGone, ArkTask, ArkTaskList, ArkVideoOrder
from jimeng_gateway.http.endpoint import Call
from jimeng_gateway.http.replies import json_reply
from jimeng_gateway.store.tasks import TaskQuery

#: Ark keeps a task for so long; older ones are in no list.
KEPT_MS = 7 * 86_400_000
#: Tasks read at once while a list is filtered, so that others come to their turn.
_BATCH = 100

#: The stages whose tasks can have a status.
_STAGES: dict[Event, tuple[Stage, ...]] = {
    Event.QUEUED: (Stage.QUEUED, Stage.SUBMITTING, Stage.POLLING),
    Event.RUNNING: (Stage.POLLING, Stage.DOWNLOADING),
    Event.SUCCEEDED: (Stage.SUCCEEDED,),
    Event.FAILED: (Stage.FAILED, Stage.CANCELLED),
    Event.CANCELLED: (Stage.CANCELLED,),
    Event.EXPIRED: (Stage.FAILED,),
}


async def order_task(call: Call, body: ArkVideoOrder) -> Order:
    """What POST …/tasks asks for."""
    wish = asks.video_wish(body, call.references)
    model = await call.gateway.model(call.caller, body.model)
    asks.refuse_sound(body, model)
    asks.refuse_references(call.references, model)
    return Order(
        wish,
        door=render.DOOR,
        memo=asks.video_memo(body),
        callback_url=body.callback_url or "",
        expires_after_s=body.execution_expires_after or 0,
    )


async def create_task(call: Call, body: ArkVideoOrder, task: Task) -> Response:  # noqa: ARG001 - as for all that order
    """POST …/tasks: the id and nothing else."""
    return json_reply(ArkCreated(id=task.id))


async def get_task(call: Call) -> Response:
    """GET …/tasks/{task_id}."""
    return json_reply(_seen(call, await call.gateway.task(call.caller, call.id("task_id"))))


async def remove_task(call: Call) -> Response:
    """DELETE …/tasks/{task_id}: cancels what is queued and deletes what has ended (ark.md 2.8)."""
    task = await call.gateway.task(call.caller, call.id("task_id"))
    status = render.status_of(task)
    if status is Event.QUEUED:
        await call.gateway.cancel(call.caller, task.id)
    elif status is Event.RUNNING:
        raise Conflict("the task is running; it can no longer be cancelled")
    elif status is Event.CANCELLED:
        raise Conflict("the task was cancelled already")
    else:
        await call.gateway.remove(call.caller, task.id)
    return json_reply(ArkGone())


async def list_tasks(call: Call, query: ArkFilter) -> Response:
    """GET …/tasks: the videos of the last seven days, newest first."""
    skip = (query.page_num - 1) * query.page_size
    since = call.now - KEPT_MS
    everything = TaskQuery(kind=Kind.VIDEO, since=since, skip=skip, limit=query.page_size)
    if query == ArkFilter(page_num=query.page_num, page_size=query.page_size):
        total = await call.gateway.count(call.caller, everything)
        page = await call.gateway.find(call.caller, everything)
    else:
        total, page = 0, []
        async for task in _candidates(call, query, since):
            if _matches(call, query, task):
                total += 1
                if skip < total <= skip + query.page_size:
                    page.append(task)
    return json_reply(ArkTaskList(total=total, items=[_seen(call, task) for task in page]))


async def _candidates(call: Call, query: ArkFilter, since: int) -> AsyncIterator[Task]:
    """Whatever may match; the statuses are not the stages, and models have many names."""
    if query.task_ids:
        for task_id in dict.fromkeys(query.task_ids):
            try:
                task = await call.gateway.task(call.caller, task_id)
            except NotFound:
                continue
            if task.request.kind is Kind.VIDEO and task.created_at >= since:
                yield task
        return
    stages = _STAGES[query.status] if query.status else ()
    part = TaskQuery(kind=Kind.VIDEO, since=since, stages=stages, limit=_BATCH)
    while True:
        found = await call.gateway.find(call.caller, part)
        for task in found:
            yield task
        if len(found) < _BATCH:
            return
        # Reading does not wait for anything, so others are let in here.
        await call.service.clock.sleep(0)
        part = replace(part, beyond=(found[-1].created_at, found[-1].id))


def _matches(call: Call, query: ArkFilter, task: Task) -> bool:
    names = {name.casefold() for name in (render.model_of(task), task.request.model)}
    return (
        query.status in (None, render.status_of(task, lenient=_lenient(call)))
        and (query.model is None or query.model.casefold() in names)
        and query.service_tier in (None, "default")
    )


def _seen(call: Call, task: Task) -> ArkTask:
    return render.task_json(task, call.links, lenient=_lenient(call), language=call.language)


def _lenient(call: Call) -> bool:
    return render.is_lenient(call.caller.options.ark_status, call.request.headers.get("user-agent", ""))
