"""Chat completions as a door to pictures and videos, for front ends that know nothing else.

The answer waits for the task. Streamed, it tells how it goes in `reasoning_content`, which front ends show
beside the answer; in one piece, a wait that runs out answers with a text that says where the result will be,
because an error would make the person ask, and pay, again (openai-media.md 7).
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Iterator

import structlog
from starlette.responses import Response

from jimeng_gateway.domain.errors import GatewayError, InvalidRequest
from jimeng_gateway.domain.intake import Wish
from jimeng_gateway.domain.order import Order
from jimeng_gateway.domain.task import Task
from jimeng_gateway.http.endpoint import Auth, Call, Endpoint, Reply
from jimeng_gateway.http.errors import error_body
from jimeng_gateway.http.openai.chat_messages import prompt_of, unpack
from jimeng_gateway.http.openai.chat_replies import (
    answer,
    chunk,
    progress_line,
    unfinished,
    usage_chunk,
    whole,
)
from jimeng_gateway.http.openai.chat_shapes import ChatCompletion, ChatReply, Delta
from jimeng_gateway.http.outcome import patience, require_success, settled
from jimeng_gateway.http.replies import json_reply
from jimeng_gateway.http.sse import EventStream, data_frame

log = structlog.get_logger("jimeng_gateway.http")

DOOR = "chat"
#: The SDKs give up at 600 s; many proxies earlier.
CHAT_WAIT = 300.0
_DONE = b"data: [DONE]\n\n"


async def order_answer(call: Call, body: ChatCompletion) -> Order:
    """What POST /v1/chat/completions asks for."""
    refuse_impossible(body)
    wish = Wish(
        prompt=prompt_of(body.messages),
        model=body.model,
        n=body.n,
        ratio=body.ratio,
        size=body.size,
        resolution=body.resolution,
        duration=body.duration,
        seed=body.seed,
        negative_prompt=body.negative_prompt,
        sample_strength=body.sample_strength,
        intelligent_ratio=body.intelligent_ratio,
        multi_image=body.multi_image,
        references=call.references,
    )
    return Order(wish, door=DOOR, memo={"model": body.model} if body.model else {})


def refuse_impossible(body: ChatCompletion) -> None:
    """InvalidRequest if a program depends on what this answer cannot be.

    Tools on offer are passed over, as a model that calls none would do; one that must be called is refused.
    """
    choice = body.tool_choice
    if choice is not None and choice not in ("auto", "none"):
        raise _impossible("tool_choice", "no tool is ever called here; send auto or none")
    form = body.response_format
    if isinstance(form, dict) and form.get("type", "text") != "text":
        raise _impossible("response_format", "the answer is Markdown with links and cannot be JSON")
    if isinstance(body.modalities, list) and "audio" in body.modalities:
        raise _impossible("modalities", "there is no spoken answer")


def _impossible(param: str, why: str) -> InvalidRequest:
    return InvalidRequest(f"{param}: {why}", param=param, code="not_supported")


async def give_answer(call: Call, body: ChatCompletion, task: Task) -> Response:
    """POST /v1/chat/completions."""
    model = body.model or task.request.model
    if body.stream:
        stopping = b"".join(_ending(body, task, model, unfinished(task, call.links, call.language)))
        return EventStream(_frames(call, body, task, model), call.service, farewell=stopping)
    asked = patience(call, CHAT_WAIT)
    task = await settled(call, task, asked.seconds)
    if task.terminal:
        require_success(task)
        content = answer(task, call.links, call.language)
    else:
        content = unfinished(task, call.links, call.language)
    headers = {"preference-applied": asked.applied} if asked.applied else {}
    return json_reply(whole(task, model, content), 200, headers)


async def _frames(call: Call, body: ChatCompletion, task: Task, model: str) -> AsyncGenerator[bytes, None]:
    """The answer in pieces; a failure as the event that the SDKs raise (openai-media.md 4)."""
    yield data_frame(chunk(task, model, Delta(role="assistant", content="")))
    try:
        async with contextlib.aclosing(_progress(call, task)) as lines:
            async for line in lines:
                yield data_frame(chunk(task, model, Delta(reasoning_content=f"{line}\n")))
        ended = await call.gateway.task(call.caller, task.id)
        require_success(ended)
        content = answer(ended, call.links, call.language)
    except GatewayError as error:
        log.warning("chat stream failed", request_id=call.request_id, code=error.code, error=str(error))
        yield data_frame(error_body(error, call.request_id, call.language, path=call.request.url.path))
        return
    for frame in _ending(body, task, model, content):
        yield frame


def _ending(body: ChatCompletion, task: Task, model: str, content: str) -> Iterator[bytes]:
    """The answer itself and everything after it."""
    yield data_frame(chunk(task, model, Delta(content=content)))
    yield data_frame(chunk(task, model, Delta(), last=True))
    if body.stream_options is not None and body.stream_options.include_usage:
        yield data_frame(usage_chunk(task, model))
    yield _DONE


async def _progress(call: Call, task: Task) -> AsyncGenerator[str, None]:
    """A line whenever there is another one, until the task's end."""
    told = ""
    facts = call.gateway.watch(call.caller, task.id)
    try:
        async for fact in facts:
            line = progress_line(fact, call.now, call.language) if isinstance(fact, Task) else ""
            if line and line != told:
                told = line
                yield line
    finally:
        if isinstance(facts, AsyncGenerator):
            await facts.aclose()


CHAT_ROUTES: tuple[Endpoint, ...] = (
    Endpoint(
        method="POST",
        path="/v1/chat/completions",
        order=order_answer,
        handler=give_answer,
        auth=Auth.KEY,
        tag="openai",
        summary="Make pictures or a video in a conversation (OpenAI)",
        body=ChatCompletion,
        lenient=True,
        unpack=unpack,
        replies=(
            Reply(200, "The answer.", ChatReply, headers=("Preference-Applied",)),
            Reply(200, "The answer as it comes, with `stream`.", None, "text/event-stream"),
        ),
        errors=(404, 409, 429, 502, 504),
    ),
)
