"""Videos from videos: a remix of one that was made here, and an edit of one that is brought along.

The finished video goes back to the site as a reference, by way of the spool like everything that a caller
gives. A model that takes no videos gets the request as it was, with the new prompt.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

from starlette.responses import Response

from jimeng_gateway.domain.catalogue import Model
from jimeng_gateway.domain.errors import Conflict, InvalidRequest
from jimeng_gateway.domain.intake import Wish
from jimeng_gateway.domain.order import Order
from jimeng_gateway.domain.reference import Media, Reference
from jimeng_gateway.domain.request import GenerationRequest, Kind
from jimeng_gateway.domain.task import Stage, Task
from jimeng_gateway.http.endpoint import Call
from jimeng_gateway.http.givens import Given
from jimeng_gateway.http.openai import DOOR
from jimeng_gateway.http.openai.shapes import VideoEdit, VideoRemix
from jimeng_gateway.http.openai.videos import (
    length_of,
    memo_of,
    refuse_length,
    show_video,
    video_of,
    video_wish,
)
from jimeng_gateway.http.relay.translate import unpack


async def order_remix(call: Call, body: VideoRemix) -> Order:
    """What POST /v1/videos/{video_id}/remix asks for."""
    task = await finished(call, call.id("video_id"))
    model = await call.gateway.model(call.caller, task.request.model, Kind.VIDEO)
    clip = await brought_back(call, task) if takes_videos(model) else None
    name = task.memo.get("model") if task.door == DOOR else None
    memo = memo_of(name if isinstance(name, str) else None, remixed_from=task.id)
    return Order(remix_wish(task.request, body.prompt, clip), door=DOOR, memo=memo)


async def remix_video(call: Call, body: VideoRemix, task: Task) -> Response:
    """POST /v1/videos/{video_id}/remix."""
    return await show_video(call, body, task)


def unpack_edit(values: dict[str, Any]) -> tuple[dict[str, Any], Sequence[Given]]:
    """A video that was made here, which JSON has as `{"video": {"id": …}}`, and what is in `metadata`."""
    video = values.get("video")
    if isinstance(video, dict) and set(video) == {"id"}:
        values = {("video[id]" if name == "video" else name): value for name, value in values.items()}
        values["video[id]"] = video["id"]
    return unpack(values)


async def order_edit(call: Call, body: VideoEdit) -> Order:
    """What POST /v1/videos/edits asks for."""
    references = call.references
    if body.video_id:
        references = (*references, await brought_back(call, await finished(call, body.video_id)))
    clip = next((entry for entry in references if entry.kind is Media.VIDEO), None)
    if clip is None:
        raise InvalidRequest("video: a video is needed", param="video", code="missing_field")
    model = await call.gateway.model(call.caller, body.model, Kind.VIDEO)
    refuse_length(length_of(body.seconds, None), model)
    wish = edit_wish(video_wish(body, references), clip, model)
    return Order(wish, door=DOOR, memo=memo_of(body.model))


async def edit_video(call: Call, body: VideoEdit, task: Task) -> Response:
    """POST /v1/videos/edits."""
    return await show_video(call, body, task)


def not_offered(why: str) -> Callable[[Call], Awaitable[Response]]:
    """A handler for what that API can do and the site cannot."""

    async def refuse(call: Call) -> Response:
        for name in call.request.path_params:
            call.id(name)
        raise InvalidRequest(why, code="not_supported")

    return refuse


def takes_videos(model: Model) -> bool:
    """Whether a video can be a reference for it."""
    return model.materials is not None and model.materials.video.most > 0


def remix_wish(request: GenerationRequest, prompt: str, clip: Reference | None) -> Wish:
    """The same video from another prompt, with `clip` in place of what it was made from, if there is one."""
    return Wish(
        kind=Kind.VIDEO,
        prompt=prompt,
        model=request.model,
        ratio=request.ratio,
        resolution=request.resolution,
        duration=request.duration_ms / 1000,
        references=request.references if clip is None else (clip,),
    )


def edit_wish(wish: Wish, clip: Reference, model: Model) -> Wish:
    """What is not said is as the clip has it, as far as the model can: length and size."""
    seconds = round(clip.duration_ms / 1000)
    if wish.duration is None and seconds in model.durations:
        wish = replace(wish, duration=seconds)
    if not (wish.size or wish.ratio or wish.resolution) and clip.width and clip.height:
        wish = replace(wish, size=f"{clip.width}x{clip.height}")
    return wish


async def finished(call: Call, video_id: str) -> Task:
    """The task of a video that is there; Conflict as long as it is not."""
    task = await video_of(call, video_id)
    if task.stage is not Stage.SUCCEEDED:
        raise Conflict(f"the video is {task.stage}; only a finished one can be used")
    return task


async def brought_back(call: Call, task: Task) -> Reference:
    """The finished video as a reference, its bytes in the spool; Gone if its file was removed."""
    file = call.gateway.content(task, 0)
    name, intake = f"{task.id}.mp4", call.service.intake
    opened = await call.gateway.open_content(file, 0, file.size)
    try:
        async with intake.receive(name) as incoming:
            async for chunk in opened.chunks():
                await incoming.write(chunk)
            return await intake.admit(await incoming.complete(), name)
    finally:
        await opened.close()
