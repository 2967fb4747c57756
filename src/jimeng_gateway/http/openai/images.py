"""Makes pictures and hands them over: at once, when they are ready, or one by one as they come in a stream.

A wait that runs out is no error: the task goes on and the reply names it, in a form that the SDKs can still
read. Whatever goes wrong after the task exists, the reply tells clients not to repeat the request.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import replace

import structlog
from msgspec import UNSET
from starlette.responses import Response

from jimeng_gateway.domain.errors import GatewayError, InvalidRequest, Unavailable
from jimeng_gateway.domain.order import Order
from jimeng_gateway.domain.reference import Media
from jimeng_gateway.domain.request import Kind
from jimeng_gateway.domain.task import Result, Task
from jimeng_gateway.http.endpoint import Call
from jimeng_gateway.http.errors import error_body
from jimeng_gateway.http.legacy.accepted import accepted, applied
from jimeng_gateway.http.legacy.pictures import pictures
from jimeng_gateway.http.openai import DOOR
from jimeng_gateway.http.openai.pictures import (
    VARIATION_PROMPT,
    picture_wish,
    quality_decides,
    quality_word,
    tier_for,
)
from jimeng_gateway.http.openai.replies import ImageCompleted, ImageReply
from jimeng_gateway.http.openai.shapes import ImageEdit, ImageRequest, ImageVariation, PictureFields
from jimeng_gateway.http.outcome import base64_of, patience, require_success, settled, stored
from jimeng_gateway.http.replies import json_reply
from jimeng_gateway.http.sse import EventStream, data_frame, frame

log = structlog.get_logger("jimeng_gateway.http")

#: The SDKs give up at 600 s; many proxies earlier.
IMAGE_WAIT = 300.0
GENERATED = "image_generation.completed"
EDITED = "image_edit.completed"


async def order_image(call: Call, body: ImageRequest) -> Order:
    """What POST /v1/images/generations asks for."""
    return await _order(call, body, body.prompt)


async def order_edit(call: Call, body: ImageEdit) -> Order:
    """What POST /v1/images/edits asks for."""
    _require_picture(call)
    return await _order(call, body, body.prompt)


async def order_variation(call: Call, body: ImageVariation) -> Order:
    """What POST /v1/images/variations asks for."""
    _require_picture(call)
    return await _order(call, body, VARIATION_PROMPT)


async def generate_image(call: Call, body: ImageRequest, task: Task) -> Response:
    """POST /v1/images/generations."""
    return _stream(call, body, task, GENERATED) if body.stream else await _reply(call, body, task)


async def edit_image(call: Call, body: ImageEdit, task: Task) -> Response:
    """POST /v1/images/edits."""
    return _stream(call, body, task, EDITED) if body.stream else await _reply(call, body, task)


async def vary_image(call: Call, body: ImageVariation, task: Task) -> Response:
    """POST /v1/images/variations."""
    return await _reply(call, body, task)


def _require_picture(call: Call) -> None:
    if not any(reference.kind is Media.IMAGE for reference in call.references):
        raise InvalidRequest("image: at least one picture is needed", param="image", code="missing_field")


async def _order(call: Call, body: PictureFields, prompt: str) -> Order:
    wish = picture_wish(body, prompt, call.references)
    if quality_decides(body):
        model = await call.gateway.model(call.caller, body.model, Kind.IMAGE)
        wish = replace(wish, resolution=tier_for(body.quality, model))
    return Order(wish, door=DOOR, memo={"model": body.model} if body.model else {})


async def _reply(call: Call, body: PictureFields, task: Task) -> Response:
    asked = patience(call, IMAGE_WAIT)
    task = await settled(call, task, asked.seconds)
    if not task.terminal:
        return accepted(call, task, asked)
    found, quality = _finished(call, task), quality_word(body.quality)
    reply = ImageReply(
        created=(task.finished_at or call.now) // 1000,
        data=await pictures(call, task, picture_form(call, body)),
        output_format=format_of(found[0]),
        quality=UNSET if quality == "auto" else quality,
        size=size_of(task, found[0]),
        task_id=task.id,
    )
    return json_reply(reply, 200, applied(asked))


def _finished(call: Call, task: Task) -> list[Result]:
    """What the task made, at least one; JobFailed if it failed, Gone if its files were removed."""
    require_success(task)
    found = stored(task)
    if not found:
        call.gateway.content(task, 0)
    return found


def picture_form(call: Call, body: PictureFields) -> str:
    """As asked; else as the key has it; else as OpenAI's own models answer (openai-media.md 3.4)."""
    name = (body.model or "").strip().casefold()
    usual = "b64_json" if name.startswith(("gpt-image", "chatgpt-image")) else "url"
    return body.response_format or call.caller.options.image_format or usual


def format_of(result: Result) -> str:
    """ "png" for image/png."""
    return (result.media_type or "image/png").partition("/")[2]


def size_of(task: Task, result: Result) -> str:
    """ "2048x2048": as it is, else as it was asked for."""
    return f"{result.width or task.request.width}x{result.height or task.request.height}"


def _stream(call: Call, body: ImageRequest, task: Task, event: str) -> Response:
    stopping = Unavailable(f"the gateway is stopping; task {task.id} goes on")
    return EventStream(_events(call, body, task, event), call.service, farewell=_failure(call, stopping))


async def _events(call: Call, body: ImageRequest, task: Task, event: str) -> AsyncGenerator[bytes, None]:
    """One event for each picture, or what went wrong; heartbeats come from the stream itself."""
    try:
        task = await call.gateway.wait(call.caller, task.id, seconds=float("inf"))
        for result in _finished(call, task):
            yield frame(
                event,
                ImageCompleted(
                    type=event,
                    b64_json=await base64_of(call, task, result),
                    created_at=(task.finished_at or call.now) // 1000,
                    size=size_of(task, result),
                    quality=quality_word(body.quality),
                    output_format=format_of(result),
                ),
            )
    except GatewayError as error:
        log.warning("picture stream failed", request_id=call.request_id, code=error.code, error=str(error))
        yield _failure(call, error)


def _failure(call: Call, error: GatewayError) -> bytes:
    """An event without a name: what both SDKs make an APIError of (openai-media.md 4)."""
    body = error_body(error, call.request_id, call.language, path=call.request.url.path)
    return data_frame(body)
