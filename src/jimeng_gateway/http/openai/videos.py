"""Makes, lists, shows, hands over and deletes videos as the OpenAI SDKs ask for them (openai-media.md 5)."""

from __future__ import annotations

import re

from starlette.responses import Response

from jimeng_gateway.clock import id_time
from jimeng_gateway.domain.catalogue import Model
from jimeng_gateway.domain.errors import InvalidRequest, NotFound
from jimeng_gateway.domain.intake import Wish
from jimeng_gateway.domain.order import Order
from jimeng_gateway.domain.reference import Reference
from jimeng_gateway.domain.request import Kind
from jimeng_gateway.domain.task import Task
from jimeng_gateway.http.content import file_reply
from jimeng_gateway.http.endpoint import Call
from jimeng_gateway.http.openai import DOOR
from jimeng_gateway.http.openai.replies import VideoDeleted, VideoJob, VideoList
from jimeng_gateway.http.openai.shapes import VideoFields, VideoFile, VideoFilter, VideoRequest
from jimeng_gateway.http.openai.video_view import POLL_AFTER, poll_after, video_json
from jimeng_gateway.http.relay.translate import with_options
from jimeng_gateway.http.replies import json_reply
from jimeng_gateway.store.tasks import TaskQuery

_UNIT = re.compile(r"\s*(s|sec|seconds|秒)$", re.IGNORECASE)


async def order_video(call: Call, body: VideoRequest) -> Order:
    """What POST /v1/videos asks for."""
    wish = video_wish(body, call.references)
    if body.seconds is not None:
        length = length_of(body.seconds, None)
        refuse_length(length, await call.gateway.model(call.caller, body.model, Kind.VIDEO))
    return Order(wish, door=DOOR, memo=memo_of(body.model))


def refuse_length(seconds: float | None, model: Model) -> None:
    """InvalidRequest if the model does not make this length: under the name that its caller knows."""
    if model.durations and seconds is not None and seconds not in model.durations:
        allowed = ", ".join(map(str, model.durations))
        raise InvalidRequest(
            f"seconds: {model.name} does not make {seconds:g} s; allowed: {allowed}", param="seconds"
        )


def video_wish(body: VideoFields, references: tuple[Reference, ...]) -> Wish:
    """The wish that a request expresses."""
    wish = Wish(
        kind=Kind.VIDEO,
        prompt=body.prompt,
        model=body.model,
        n=body.n,
        ratio=body.ratio,
        resolution=body.resolution,
        size=body.size,
        duration=length_of(body.seconds, body.duration),
        seed=body.seed,
        references=references,
    )
    return with_options(wish, body.metadata)


def length_of(seconds: float | str | None, duration: float | str | None) -> float | None:
    """The length under its two names; InvalidRequest if they differ, or if `seconds` is no number."""
    first, second = _number(seconds, "seconds"), _number(duration, "duration")
    if first is not None and second is not None and first != second:
        raise InvalidRequest(f"duration: {second:g} contradicts `seconds`, {first:g}", param="duration")
    return second if first is None else first


def _number(value: float | str | None, param: str) -> float | None:
    if isinstance(value, str):
        text = _UNIT.sub("", value.strip())
        if text and not re.fullmatch(r"[0-9]{1,4}(\.[0-9]{1,6})?", text):
            raise InvalidRequest(f"{param}: {value[:16]!r} is no number of seconds", param=param)
        return float(text) if text else None
    return value


def memo_of(model: str | None, **more: str) -> dict[str, object]:
    """What this door wants to know again: the model as the caller called it, and the like."""
    return {**({"model": model} if model else {}), **more}


async def show_video(call: Call, body: object, task: Task) -> Response:  # noqa: ARG001 - as for all that order
    """What every request for a video answers with, and GET /v1/videos/{video_id}."""
    return json_reply(seen(call, task), 200, {POLL_AFTER: str(poll_after(task, call.now))})


def seen(call: Call, task: Task) -> VideoJob:
    """The video as this caller sees it now."""
    return video_json(task, call.now, call.links, call.language)


async def create_video(call: Call, body: VideoRequest, task: Task) -> Response:
    """POST /v1/videos."""
    return await show_video(call, body, task)


async def get_video(call: Call) -> Response:
    """GET /v1/videos/{video_id}."""
    return await show_video(call, None, await video_of(call, call.id("video_id")))


async def video_of(call: Call, video_id: str) -> Task:
    """The task of a video; NotFound also for a task that makes pictures."""
    task = await call.gateway.task(call.caller, video_id)
    if task.request.kind is not Kind.VIDEO:
        raise NotFound("this task makes pictures, not a video", param="video_id")
    return task


async def list_videos(call: Call, query: VideoFilter) -> Response:
    """GET /v1/videos."""
    wanted = TaskQuery(
        kind=Kind.VIDEO,
        oldest_first=query.order == "asc",
        beyond=place_of(query.after) if query.after else None,
        limit=query.limit + 1,
    )
    found = await call.gateway.find(call.caller, wanted)
    videos = [seen(call, task) for task in found[: query.limit]]
    return json_reply(
        VideoList(
            data=videos,
            first_id=videos[0].id if videos else None,
            last_id=videos[-1].id if videos else None,
            has_more=len(found) > query.limit,
        )
    )


def place_of(video_id: str) -> tuple[int, str]:
    """Where in the list a video stands, or stood: a program may delete what it has just been shown."""
    at = id_time(video_id)
    if at is None:
        raise InvalidRequest("after: it is no id of a video", param="after")
    return at, video_id


async def delete_video(call: Call) -> Response:
    """DELETE /v1/videos/{video_id}: one that is not finished is cancelled."""
    task = await video_of(call, call.id("video_id"))
    await call.gateway.remove(call.caller, task.id)
    return json_reply(VideoDeleted(id=task.id))


async def get_video_file(call: Call, query: VideoFile) -> Response:
    """GET and HEAD /v1/videos/{video_id}/content."""
    task = await video_of(call, call.id("video_id"))
    if query.variant == "spritesheet":
        raise InvalidRequest(
            "variant: there are no sprite sheets here; allowed: video, thumbnail",
            param="variant",
            code="not_supported",
        )
    if not task.terminal:
        # Not "retryable": that word is for requests, and SDKs would send this one again at once.
        raise NotFound(f"the video is not ready; it is {task.stage}")
    return await file_reply(call, task, preview=query.variant == "thumbnail")
