"""The pair of routes, and how they answer."""

from __future__ import annotations

from starlette.responses import Response

from jimeng_gateway.domain.order import Order
from jimeng_gateway.domain.task import Task
from jimeng_gateway.http.endpoint import Auth, Call, Endpoint, Reply
from jimeng_gateway.http.relay.shapes import RelayTask, RelayTicket, RelayVideo
from jimeng_gateway.http.relay.translate import relay_task, status_of, unpack, wish_of
from jimeng_gateway.http.replies import json_reply

DOOR = "relay"


async def order_video(call: Call, body: RelayVideo) -> Order:
    """What POST /v1/video/generations asks for."""
    return Order(wish_of(body, call.references), door=DOOR)


async def create_video(call: Call, body: RelayVideo, task: Task) -> Response:  # noqa: ARG001 - as for all
    """POST /v1/video/generations."""
    return json_reply(RelayTicket(id=task.id, task_id=task.id, status=status_of(task)))


async def get_video(call: Call) -> Response:
    """GET /v1/video/generations/{task_id}."""
    task = await call.gateway.task(call.caller, call.id("task_id"))
    return json_reply(relay_task(task, call.now, call.links, call.language))


ROUTES: tuple[Endpoint, ...] = (
    Endpoint(
        method="POST",
        path="/v1/video/generations",
        order=order_video,
        handler=create_video,
        auth=Auth.KEY,
        tag="relay",
        summary="Queue a video (new-api)",
        body=RelayVideo,
        references=True,
        lenient=True,
        unpack=unpack,
        replies=(Reply(200, "The video was queued.", RelayTicket),),
    ),
    Endpoint(
        method="GET",
        path="/v1/video/generations/{task_id}",
        handler=get_video,
        auth=Auth.KEY,
        tag="relay",
        summary="How a video is doing (new-api)",
        replies=(Reply(200, "The task.", RelayTask),),
    ),
)
