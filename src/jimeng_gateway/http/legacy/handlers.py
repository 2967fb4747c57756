"""Answers the clients of older gateways.

Pictures are waited for, videos are not, unless the caller says otherwise with `Prefer` or the operator has
chosen for its key. Whatever happens after the task exists, the reply tells clients not to repeat the request:
that would pay twice (openai-media.md 2.3).
"""

from __future__ import annotations

from typing import Literal

from starlette.responses import Response

from jimeng_gateway.domain.errors import InvalidRequest
from jimeng_gateway.domain.intake import Wish
from jimeng_gateway.domain.order import Order
from jimeng_gateway.domain.request import Kind
from jimeng_gateway.domain.task import Stage, Task
from jimeng_gateway.domain.words import failure_message
from jimeng_gateway.http.endpoint import Call
from jimeng_gateway.http.legacy.accepted import accepted, applied, said
from jimeng_gateway.http.legacy.pictures import pictures
from jimeng_gateway.http.legacy.shapes import (
    CompositionReply,
    Entry,
    ImageComposition,
    Job,
    JobReply,
    JobVideo,
    Polled,
    Video,
    VideoGeneration,
    VideoReply,
)
from jimeng_gateway.http.native import seen
from jimeng_gateway.http.outcome import patience, require_success, settled, stored
from jimeng_gateway.http.prefer import preference
from jimeng_gateway.http.replies import json_reply

DOOR = "legacy"
#: The SDKs give up at 600 s; many proxies earlier.
IMAGE_WAIT = 300.0


async def order_video(call: Call, body: VideoGeneration) -> Order:
    """What POST /v1/videos/generations asks for."""
    wish = Wish(
        kind=Kind.VIDEO,
        prompt=body.prompt,
        model=body.model,
        ratio=body.ratio,
        resolution=body.resolution,
        size=body.size,
        seed=body.seed,
        duration=body.duration,
        references=call.references,
    )
    return Order(wish, door=DOOR)


async def generate_video(call: Call, body: VideoGeneration, task: Task) -> Response:  # noqa: ARG001 - as for all
    """POST /v1/videos/generations."""
    asked = patience(call, 0.0)
    task = await settled(call, task, asked.seconds)
    if not task.terminal:
        return accepted(call, task, asked)
    require_success(task)
    urls = [call.links.content(task.id, result.index) for result in stored(task)]
    reply = VideoReply(
        message=said(call, "the video is ready", "视频已生成"),
        created=_created(task),
        data=[Video(task_id=task.id, status=task.stage, url=url) for url in urls],
        task=seen(call, task),
    )
    return json_reply(reply, 200, applied(asked))


async def order_composition(call: Call, body: ImageComposition) -> Order:
    """What POST /v1/images/compositions asks for."""
    if not call.references:
        raise InvalidRequest("images: at least one picture is needed", param="images", code="missing_field")
    wish = Wish(
        kind=Kind.IMAGE,
        prompt=body.prompt,
        model=body.model,
        n=body.n,
        ratio=body.ratio,
        resolution=body.resolution,
        size=body.size,
        negative_prompt=body.negative_prompt,
        sample_strength=body.sample_strength,
        intelligent_ratio=body.intelligent_ratio,
        multi_image=body.multi_image,
        seed=body.seed,
        references=call.references,
    )
    return Order(wish, door=DOOR)


async def compose_images(call: Call, body: ImageComposition, task: Task) -> Response:
    """POST /v1/images/compositions."""
    asked = patience(call, IMAGE_WAIT)
    task = await settled(call, task, asked.seconds)
    if not task.terminal:
        return accepted(call, task, asked)
    require_success(task)
    form = body.response_format or call.caller.options.image_format or "url"
    reply = CompositionReply(
        created=_created(task),
        data=await pictures(call, task, form),
        input_images=len(task.request.references),
        task_id=task.id,
    )
    return json_reply(reply, 200, applied(asked))


async def get_generation(call: Call) -> Response:
    """GET /v1/videos/generations/{task_id} and /v1/images/generations/{task_id}: how it is going, at once."""
    task = await call.gateway.task(call.caller, call.id("task_id"))
    urls = [call.links.content(task.id, result.index) for result in stored(task)]
    entries = [Entry(task_id=task.id, status=task.stage, url=url) for url in urls]
    return json_reply(
        Polled(
            message=_story(call, task),
            created=_created(task),
            data=entries or [Entry(task_id=task.id, status=task.stage)],
            task=seen(call, task),
        )
    )


async def start_video(call: Call, body: VideoGeneration, task: Task) -> Response:  # noqa: ARG001 - as for all
    """POST /v1/videos/generations/async."""
    where = f"{call.links.base}/v1/videos/generations/async/{task.id}"
    job = Job(
        created=task.created_at // 1000,
        task_id=task.id,
        status=_job_status(task),
        message=said(call, f"the task was accepted; ask {where}", f"任务已提交，请查询 {where}"),
    )
    return json_reply(job)


async def get_job(call: Call) -> Response:
    """GET /v1/videos/generations/async/{task_id}: waits only if `Prefer` says so."""
    task = await call.gateway.task(call.caller, call.id("task_id"))
    asked = preference(call.request.headers.getlist("prefer"), default=0.0)
    task = await settled(call, task, asked.seconds)
    links = [call.links.content(task.id, result.index) for result in stored(task)]
    videos = [JobVideo(url=url, revised_prompt=task.request.prompt) for url in links]
    status = _job_status(task)
    reply = JobReply(
        created=_created(task),
        task_id=task.id,
        status=status,
        data=videos if status == "succeeded" else None,
        error=_story(call, task) if status == "failed" else None,
    )
    return json_reply(reply, 200, applied(asked))


def _created(task: Task) -> int:
    return (task.finished_at or task.created_at) // 1000


def _job_status(task: Task) -> Literal["processing", "succeeded", "failed"]:
    if not task.terminal:
        return "processing"
    return "succeeded" if task.stage is Stage.SUCCEEDED else "failed"


def _story(call: Call, task: Task) -> str:
    """One sentence about where the task is."""
    if task.failure is not None:
        return failure_message(task.failure.kind, task.failure.message, call.language)
    match task.stage:
        case Stage.SUCCEEDED:
            return said(call, "the result is ready", "结果已生成")
        case Stage.CANCELLED:
            return said(call, "the task was cancelled", "任务已取消")
        case _:
            return said(call, "the task goes on", "任务进行中")
