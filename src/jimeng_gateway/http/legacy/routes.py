"""The routes of older gateways."""

from __future__ import annotations

from jimeng_gateway.http.endpoint import Auth, Endpoint, Reply
from jimeng_gateway.http.legacy import handlers, shapes
from jimeng_gateway.http.legacy.accepted import Accepted

_ACCEPTED = Reply(202, "The task goes on.", Accepted, headers=("Location", "Preference-Applied"))

ROUTES: tuple[Endpoint, ...] = (
    Endpoint(
        method="POST",
        path="/v1/videos/generations",
        order=handlers.order_video,
        handler=handlers.generate_video,
        auth=Auth.KEY,
        tag="legacy",
        summary="Queue a video",
        body=shapes.VideoGeneration,
        references=True,
        lenient=True,
        replies=(
            _ACCEPTED,
            Reply(200, "Ready within the wait.", shapes.VideoReply, headers=("Preference-Applied",)),
        ),
        errors=(409, 429, 502, 504),
    ),
    Endpoint(
        method="POST",
        path="/v1/videos/generations/async",
        order=handlers.order_video,
        handler=handlers.start_video,
        auth=Auth.KEY,
        tag="legacy",
        summary="Queue a video and answer at once, whatever the key says",
        body=shapes.VideoGeneration,
        references=True,
        lenient=True,
        replies=(Reply(200, "The task goes on.", shapes.Job),),
    ),
    Endpoint(
        method="GET",
        path="/v1/videos/generations/async/{task_id}",
        handler=handlers.get_job,
        auth=Auth.KEY,
        tag="legacy",
        summary="How a video of the asynchronous route is doing",
        replies=(Reply(200, "The job.", shapes.JobReply, headers=("Preference-Applied",)),),
    ),
    Endpoint(
        method="GET",
        path="/v1/videos/generations/{task_id}",
        handler=handlers.get_generation,
        auth=Auth.KEY,
        tag="legacy",
        summary="How a video is doing",
        replies=(Reply(200, "The task.", shapes.Polled),),
    ),
    Endpoint(
        method="POST",
        path="/v1/images/compositions",
        order=handlers.order_composition,
        handler=handlers.compose_images,
        auth=Auth.KEY,
        tag="legacy",
        summary="Make pictures out of pictures and wait for them",
        body=shapes.ImageComposition,
        references=True,
        lenient=True,
        replies=(
            Reply(200, "The pictures.", shapes.CompositionReply, headers=("Preference-Applied",)),
            _ACCEPTED,
        ),
        errors=(409, 429, 502, 504),
    ),
    Endpoint(
        method="GET",
        path="/v1/images/generations/{task_id}",
        handler=handlers.get_generation,
        auth=Auth.KEY,
        tag="legacy",
        summary="How pictures are doing",
        replies=(Reply(200, "The task.", shapes.Polled),),
    ),
)
