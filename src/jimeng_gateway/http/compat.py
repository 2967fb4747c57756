"""The routes of the gateway that this one replaces, as its clients and the OpenAI SDKs call them.

Pictures are waited for, videos are not, unless the caller says otherwise with `Prefer`. Whatever happens
after the task exists, the reply tells clients not to repeat the request: that would pay twice
(openai-media.md 2.3).
"""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path
from typing import Literal

import msgspec
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from jimeng_gateway.domain.catalogue import Model
from jimeng_gateway.domain.errors import ErrorKind, GatewayError, InvalidRequest, NotFound, Owner
from jimeng_gateway.domain.request import Kind
from jimeng_gateway.domain.task import Stage, Task
from jimeng_gateway.domain.words import Language
from jimeng_gateway.http.endpoint import Call
from jimeng_gateway.http.native import seen
from jimeng_gateway.http.prefer import Preference, preference
from jimeng_gateway.http.replies import json_reply
from jimeng_gateway.http.schemas import ImageGeneration, VideoGeneration
from jimeng_gateway.http.sse import stop
from jimeng_gateway.http.views import TaskBody
from jimeng_gateway.http.wishes import wish_of

#: The SDKs give up at 600 s; many proxies earlier.
IMAGE_WAIT = 300.0

_STATUS = {
    ErrorKind.QUOTA: 429,
    ErrorKind.RATE_LIMITED: 429,
    ErrorKind.TIMEOUT: 504,
}


class Ticket(msgspec.Struct, kw_only=True):
    """Names a task in the way of the older gateway."""

    task_id: str
    status: Stage


class Accepted(msgspec.Struct, kw_only=True):
    """The task goes on; ask `task.poll_url`."""

    code: Literal[0] = 0
    message: str
    data: list[Ticket]
    task: TaskBody


class Video(msgspec.Struct, kw_only=True):
    """A finished video."""

    task_id: str
    status: Stage
    url: str


class VideoReply(msgspec.Struct, kw_only=True):
    """The video was ready within the wait."""

    code: Literal[0] = 0
    message: str
    #: Seconds since the epoch.
    created: int
    data: list[Video]
    task: TaskBody


class Picture(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Exactly the one form that was asked for."""

    url: str | None = None
    b64_json: str | None = None


class ImageReply(msgspec.Struct, kw_only=True):
    """The pictures, as the OpenAI SDKs read them."""

    #: Seconds since the epoch.
    created: int
    data: list[Picture]
    task_id: str


class OpenAIModel(msgspec.Struct, kw_only=True):
    """A model, as the OpenAI SDKs read it."""

    id: str
    object: Literal["model"] = "model"
    #: The site tells no date.
    created: int = 0
    owned_by: str = "jimeng"
    kind: Kind


class OpenAIModelList(msgspec.Struct, kw_only=True):
    """All models."""

    object: Literal["list"] = "list"
    data: list[OpenAIModel]


class JobFailed(GatewayError):
    """The task that a request was waiting for did not succeed."""

    def __init__(self, task: Task) -> None:
        failure = task.failure
        if failure is None:
            super().__init__("the task was cancelled", code="task_cancelled")
            self.status, self.owner = 409, Owner.CALLER
            return
        super().__init__(
            f"{failure.message} (task {task.id})", code=str(failure.kind), retryable=failure.retryable
        )
        self.owner = failure.owner
        self.status = 400 if failure.owner is Owner.CALLER else _STATUS.get(failure.kind, 502)


async def generate_image(call: Call, body: ImageGeneration) -> Response:
    """POST /v1/images/generations."""
    if body.stream:
        raise InvalidRequest("pictures are not streamed in this version", param="stream")
    task = await call.gateway.submit(call.caller, wish_of(body, call.references))
    call.mark_accepted()
    asked = preference(call.request.headers.getlist("prefer"), default=IMAGE_WAIT)
    task = await settled(call, task, asked.seconds)
    if not task.terminal:
        return _accepted(call, task, asked)
    _require_success(task)
    as_base64 = (body.response_format or _default_format(body.model or "")) == "b64_json"
    data = await _embedded(call, task) if as_base64 else _linked(call, task)
    reply = ImageReply(created=(task.finished_at or call.now) // 1000, data=data, task_id=task.id)
    return json_reply(reply, 200, _applied(asked))


async def generate_video(call: Call, body: VideoGeneration) -> Response:
    """POST /v1/videos/generations."""
    task = await call.gateway.submit(call.caller, wish_of(body, call.references))
    call.mark_accepted()
    asked = preference(call.request.headers.getlist("prefer"), default=0.0)
    task = await settled(call, task, asked.seconds)
    if not task.terminal:
        return _accepted(call, task, asked)
    _require_success(task)
    urls = [picture.url or "" for picture in _linked(call, task)]
    reply = VideoReply(
        message=_said(call, "the video is ready", "视频已生成"),
        created=(task.finished_at or call.now) // 1000,
        data=[Video(task_id=task.id, status=task.stage, url=url) for url in urls],
        task=seen(call, task),
    )
    return json_reply(reply, 200, _applied(asked))


async def settled(call: Call, task: Task, seconds: float) -> Task:
    """The task at its end, or as it is when time is up or the process is about to stop.

    A client that hangs up cancels nothing; only the waiting ends, with ClientDisconnect.
    """
    if task.terminal or seconds <= 0:
        return task
    ended = asyncio.ensure_future(call.gateway.wait(call.caller, task.id, seconds=seconds))
    gone = asyncio.ensure_future(_hung_up(call))
    closing = asyncio.ensure_future(call.service.closing.wait())
    try:
        await asyncio.wait({ended, gone, closing}, return_when=asyncio.FIRST_COMPLETED)
        if ended.done():
            return ended.result()
        if gone.done():
            raise ClientDisconnect
    finally:
        await stop(ended, gone, closing)
    return await call.gateway.task(call.caller, task.id)


async def _hung_up(call: Call) -> None:
    while (await call.request.receive())["type"] != "http.disconnect":
        pass


def _accepted(call: Call, task: Task, asked: Preference) -> Response:
    view = seen(call, task)
    reply = Accepted(
        message=_said(call, "the task was accepted", "任务已接收"),
        data=[Ticket(task_id=task.id, status=task.stage)],
        task=view,
    )
    return json_reply(reply, 202, {"location": view.poll_url, **_applied(asked)})


def _said(call: Call, english: str, chinese: str) -> str:
    return chinese if call.language is Language.ZH else english


def _applied(asked: Preference) -> dict[str, str]:
    return {"preference-applied": asked.applied} if asked.applied else {}


def _require_success(task: Task) -> None:
    if task.stage is not Stage.SUCCEEDED:
        raise JobFailed(task)


def _default_format(model: str) -> str:
    """What OpenAI's own picture models give when nothing is said (openai-media.md 3.4)."""
    return "b64_json" if model.startswith(("gpt-image", "chatgpt-image")) else "url"


def _linked(call: Call, task: Task) -> list[Picture]:
    links = call.links
    return [
        Picture(url=links.content(task.id, result.index))
        for result in task.results
        if result.file is not None
    ]


async def _embedded(call: Call, task: Task) -> list[Picture]:
    paths = [call.gateway.content(task, result.index) for result in task.results if result.file is not None]
    return [Picture(b64_json=await asyncio.to_thread(_base64, path)) for path in paths]


def _base64(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()


async def list_openai_models(call: Call) -> Response:
    """GET /v1/models."""
    return json_reply(OpenAIModelList(data=[_openai(model) for model in await call.gateway.models()]))


async def get_openai_model(call: Call) -> Response:
    """GET /v1/models/{model_id}: by name or alias; ids with a slash are ids too."""
    wanted = str(call.request.path_params["model_id"]).casefold()
    for model in await call.gateway.models():
        if wanted in {name.casefold() for name in (model.name, *model.aliases)}:
            return json_reply(_openai(model))
    raise NotFound("no such model", code="model_not_found", param="model")


def _openai(model: Model) -> OpenAIModel:
    return OpenAIModel(id=model.name, kind=model.kind)
