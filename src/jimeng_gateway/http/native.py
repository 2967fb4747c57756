"""The gateway's own API: tasks, their events, models and statistics."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import msgspec
import structlog
from starlette.responses import Response

from jimeng_gateway.domain.errors import GatewayError, InvalidRequest
from jimeng_gateway.domain.order import Order
from jimeng_gateway.domain.task import Task, TaskEvent
from jimeng_gateway.http.endpoint import Call
from jimeng_gateway.http.errors import error_body
from jimeng_gateway.http.model_views import ModelList, model_json
from jimeng_gateway.http.replies import json_reply
from jimeng_gateway.http.schemas import EventFilter, NewTask, TaskFilter
from jimeng_gateway.http.sse import RECONNECT, EventStream, frame
from jimeng_gateway.http.views import EventList, TaskBody, TaskList, event_json, task_json
from jimeng_gateway.http.wishes import wish_of

log = structlog.get_logger("jimeng_gateway.http")


def seen(call: Call, task: Task) -> TaskBody:
    """The task as this caller sees it now."""
    return task_json(task, call.now, call.links, call.language, admin=call.admin)


async def order_task(call: Call, body: NewTask) -> Order:
    """What POST /api/v1/tasks asks for."""
    return Order(wish_of(body, call.references))


async def create_task(call: Call, body: NewTask, task: Task) -> Response:  # noqa: ARG001 - as for all that order
    """POST /api/v1/tasks."""
    view = seen(call, task)
    return json_reply(view, 201, {"location": view.poll_url})


async def list_tasks(call: Call, query: TaskFilter) -> Response:
    """GET /api/v1/tasks."""
    page = await call.gateway.tasks(
        call.caller,
        stage=query.stage,
        kind=query.kind,
        model=query.model,
        limit=query.limit,
        cursor=query.cursor,
    )
    now, links, language = call.now, call.links, call.language
    return json_reply(
        TaskList(
            data=[task_json(task, now, links, language, admin=call.admin) for task in page.items],
            has_more=page.next_cursor is not None,
            next_cursor=page.next_cursor,
        )
    )


async def get_task(call: Call) -> Response:
    """GET /api/v1/tasks/{task_id}."""
    return json_reply(seen(call, await call.gateway.task(call.caller, call.id("task_id"))))


async def cancel_task(call: Call) -> Response:
    """POST …/cancel and DELETE: a task that has ended stays as it is."""
    return json_reply(seen(call, await call.gateway.cancel(call.caller, call.id("task_id"))))


async def order_again(call: Call) -> Order:
    """What POST …/retry asks for: the same input as before."""
    return await call.gateway.again(call.caller, call.id("task_id"))


async def retry_task(call: Call, task: Task) -> Response:
    """POST …/retry: a new task of the same input."""
    view = seen(call, task)
    return json_reply(view, 201, {"location": view.poll_url})


async def get_events(call: Call, query: EventFilter) -> Response:
    """GET …/events, as a list or as a stream."""
    task_id = call.id("task_id")
    after = _last_event_id(call, query.after)
    if call.request.method == "GET" and "text/event-stream" in call.request.headers.get("accept", "").lower():
        # Asked first, so that a task that does not exist is a 404 and not a broken stream.
        await call.gateway.task(call.caller, task_id)
        return EventStream(_frames(call, task_id, after), call.service, opening=RECONNECT)
    events = await call.gateway.events(call.caller, task_id, after=after)
    language = call.language
    return json_reply(EventList(data=[event_json(event, language) for event in events]))


def _last_event_id(call: Call, after: int) -> int:
    header = call.request.headers.get("last-event-id", "").strip()
    if not header:
        return after
    if not (header.isascii() and header.isdigit() and len(header) <= 9):
        raise InvalidRequest("Last-Event-ID must be the id of an event", param="Last-Event-ID")
    return int(header)


async def _frames(call: Call, task_id: str, after: int) -> AsyncGenerator[bytes, None]:
    """Events under their own names and numbers; in between the task itself, as `progress` and unnumbered."""
    language = call.language
    facts = call.gateway.watch(call.caller, task_id, after=after)
    try:
        async for fact in facts:
            if isinstance(fact, TaskEvent):
                yield frame(fact.name, event_json(fact, language), number=fact.seq)
            else:
                yield frame("progress", seen(call, fact))
    except GatewayError as error:
        log.warning("event stream failed", request_id=call.request_id, code=error.code, error=str(error))
        yield frame("gateway_error", error_body(error, call.request_id, call.language))
    finally:
        if isinstance(facts, AsyncGenerator):
            await facts.aclose()


async def get_stats(call: Call) -> Response:
    """GET /api/v1/stats."""
    return Response(msgspec.json.encode(await call.gateway.stats()), media_type="application/json")


async def list_models(call: Call) -> Response:
    """GET /api/v1/models."""
    return json_reply(ModelList(data=[model_json(model) for model in await call.gateway.models()]))
