"""Pictures: made and waited for, or streamed (ark.md 3)."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import replace

import structlog
from msgspec import UNSET
from starlette.responses import Response

from jimeng_gateway.domain.errors import ErrorKind, GatewayError
from jimeng_gateway.domain.order import Order
from jimeng_gateway.domain.task import Result, Stage, Task
from jimeng_gateway.http.ark import asks, render
from jimeng_gateway.http.ark.shapes import (
    ArkCompletedEvent,
    ArkFailure,
    ArkImageOrder,
    ArkImageUsage,
    ArkMissing,
    ArkPicture,
    ArkPictureEvent,
    ArkPictures,
)
from jimeng_gateway.http.dialects import ark_code
from jimeng_gateway.http.endpoint import Call
from jimeng_gateway.http.errors import error_body
from jimeng_gateway.http.outcome import JobFailed, base64_of, patience, require_success, settled, stored
from jimeng_gateway.http.prefer import Preference
from jimeng_gateway.http.replies import json_reply
from jimeng_gateway.http.sse import HEARTBEAT, EventStream, frame

log = structlog.get_logger("jimeng_gateway.http")

#: The SDK gives up at 600 s; many proxies earlier.
IMAGE_WAIT = 300.0
DONE = b"data: [DONE]\n\n"


async def order_images(call: Call, body: ArkImageOrder) -> Order:
    """What POST /api/v3/images/generations asks for."""
    wish = asks.image_wish(body, call.references)
    if asks.is_group(body):
        count, series = asks.group_of(body, await call.gateway.model(call.caller, body.model))
        wish = replace(wish, n=count, multi_image=series)
    elif body.sequential_image_generation == "auto" and wish.n is None:
        wish = replace(wish, n=1)
    return Order(wish, door=render.DOOR, memo={"model": body.model})


async def create_images(call: Call, body: ArkImageOrder, task: Task) -> Response:
    """POST /api/v3/images/generations."""
    if body.stream:
        return EventStream(_frames(call, body, task), call.service, opening=HEARTBEAT)
    asked = patience(call, IMAGE_WAIT)
    task = await settled(call, task, asked.seconds)
    if not task.terminal:
        return _going_on(call, task, asked)
    require_success(task)
    form, created = _format(call, body), (task.finished_at or call.now) // 1000
    data = [await _picture(call, task, result, form) for result in stored(task)]
    if form == "url":
        # Those who ask for base64 demand it of every entry (clients.md 6).
        data += [ArkPicture(error=entry.error) for entry in _missing(task)]
    reply = ArkPictures(
        model=render.model_of(task), created=created, created_at=created, data=data, usage=_usage(task)
    )
    return json_reply(reply, 200, _applied(asked))


def _going_on(call: Call, task: Task, asked: Preference) -> Response:
    """The wait ran out: no error, the task goes on and can be asked for."""
    path = f"{call.links.base}/api/v3/contents/generations/tasks/{task.id}"
    view = render.task_json(task, call.links, language=call.language)
    return json_reply(view, 202, {"location": path, **_applied(asked)})


def _applied(asked: Preference) -> dict[str, str]:
    return {"preference-applied": asked.applied} if asked.applied else {}


def _format(call: Call, body: ArkImageOrder) -> str:
    return body.response_format or call.caller.options.image_format or "url"


async def _picture(call: Call, task: Task, result: Result, form: str) -> ArkPicture:
    width, height = render.pixels(result, task)
    return ArkPicture(
        url=call.links.content(task.id, result.index) if form == "url" else UNSET,
        b64_json=await base64_of(call, task, result) if form == "b64_json" else UNSET,
        size=f"{width}x{height}",
        output_format=(result.media_type or "image/png").partition("/")[2],
    )


def _missing(task: Task) -> list[ArkMissing]:
    """Pictures that were ordered and did not come; of a series nobody knows how many it was to have."""
    here = len(task.results)
    wanted = here if task.request.multi_image else task.request.count
    error = ArkFailure(
        code=ark_code(ErrorKind.GENERATION_FAILED, 500),
        message=f"the site gave {here} of {wanted} pictures; what became of the others it does not say",
    )
    return [ArkMissing(image_index=index, error=error) for index in range(here, wanted)]


def _usage(task: Task) -> ArkImageUsage:
    tokens = sum(render.picture_tokens(result, task) for result in task.results)
    return ArkImageUsage(
        generated_images=len(task.results),
        output_tokens=tokens,
        total_tokens=tokens,
        input_images=len(task.request.references) or UNSET,
    )


async def _frames(call: Call, body: ArkImageOrder, task: Task) -> AsyncGenerator[bytes, None]:
    """Every picture under its own event, then the end; or why there is none (ark.md 3.4)."""
    try:
        task = await _ended(call, task)
        require_success(task)
        async for chunk in _pictures(call, body, task):
            yield chunk
    except GatewayError as error:
        if not isinstance(error, JobFailed):
            log.warning("picture stream failed", request_id=call.request_id, code=error.code)
        path = call.request.url.path
        yield frame("error", error_body(error, call.request_id, call.language, path=path))
    yield DONE


async def _ended(call: Call, task: Task) -> Task:
    """The task at its end; however long it takes, the client may hang up."""
    if task.terminal:
        return task
    facts = call.gateway.watch(call.caller, task.id, after=task.revision)
    try:
        async for fact in facts:
            if isinstance(fact, Task):
                task = fact
    finally:
        if isinstance(facts, AsyncGenerator):
            await facts.aclose()
    return task if task.terminal else await call.gateway.task(call.caller, task.id)


async def _pictures(call: Call, body: ArkImageOrder, task: Task) -> AsyncGenerator[bytes, None]:
    assert task.stage is Stage.SUCCEEDED
    form, created = _format(call, body), (task.finished_at or call.now) // 1000
    model = render.model_of(task)
    for result in stored(task):
        picture = await _picture(call, task, result, form)
        event = ArkPictureEvent(
            model=model,
            created=created,
            image_index=result.index,
            url=picture.url,
            b64_json=picture.b64_json,
            size=picture.size,
            output_format=picture.output_format,
        )
        yield frame(event.type, event)
    end = ArkCompletedEvent(model=model, created=created, usage=_usage(task), failed=_missing(task) or UNSET)
    yield frame(end.type, end)
