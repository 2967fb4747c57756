"""The routes of the OpenAI door but chat.

`characters`, `edits` and `extensions` stand where the id of a video would, so they come first.
"""

from __future__ import annotations

from jimeng_gateway.http.endpoint import Auth, Endpoint, Reply
from jimeng_gateway.http.legacy.accepted import Accepted
from jimeng_gateway.http.openai import images, models, remix, replies, shapes, videos
from jimeng_gateway.http.openai.video_view import POLL_AFTER
from jimeng_gateway.http.relay.translate import unpack

_TAG = "openai"
_EVENTS = "text/event-stream"
_PICTURES = Reply(200, "The pictures.", replies.ImageReply, headers=("Preference-Applied",))
_WAIT_OVER = Reply(202, "The wait ran out.", Accepted, headers=("Location", "Preference-Applied"))
_STREAM = Reply(200, "With `stream`: one event for each picture.", None, _EVENTS)
_VIDEO = (Reply(200, "The video.", replies.VideoJob, headers=(POLL_AFTER,)),)
#: Of the task that was waited for, besides what every route that makes a task answers with.
_OF_TASK = (409, 410, 429, 502, 504)

#: Fields of files that change only a part of a picture.
_NO_MASKS = {
    "mask": "no model of the site can change only a part of a picture; say in the prompt what is to change",
    "markup": "no model of the site reads marks on a picture; say in the prompt what is to change",
}

_IMAGES: tuple[Endpoint, ...] = (
    Endpoint(
        method="POST",
        path="/v1/images/generations",
        order=images.order_image,
        handler=images.generate_image,
        auth=Auth.KEY,
        tag=_TAG,
        summary="Make pictures and wait for them",
        body=shapes.ImageRequest,
        references=True,
        lenient=True,
        replies=(_PICTURES, _STREAM, _WAIT_OVER),
        errors=_OF_TASK,
    ),
    Endpoint(
        method="POST",
        path="/v1/images/edits",
        order=images.order_edit,
        handler=images.edit_image,
        auth=Auth.KEY,
        tag=_TAG,
        summary="Make pictures from pictures and wait for them",
        body=shapes.ImageEdit,
        references=True,
        lenient=True,
        refused=_NO_MASKS,
        replies=(_PICTURES, _STREAM, _WAIT_OVER),
        errors=_OF_TASK,
    ),
    Endpoint(
        method="POST",
        path="/v1/images/variations",
        order=images.order_variation,
        handler=images.vary_image,
        auth=Auth.KEY,
        tag=_TAG,
        summary="Make pictures like one, without a prompt",
        body=shapes.ImageVariation,
        references=True,
        lenient=True,
        refused=_NO_MASKS,
        replies=(_PICTURES, _WAIT_OVER),
        errors=_OF_TASK,
    ),
)

_NOT_OFFERED: tuple[Endpoint, ...] = tuple(
    Endpoint(
        method=method,
        path=path,
        handler=remix.not_offered(why),
        auth=Auth.KEY,
        tag=_TAG,
        summary=f"Not offered: {why}",
        replies=(),
        errors=(400,),
    )
    for method, path, why in (
        (
            "POST",
            "/v1/videos/extensions",
            "the site extends no videos; POST /v1/videos/edits makes a new one from a video",
        ),
        (
            "POST",
            "/v1/videos/characters",
            "the site keeps no characters; give their pictures as references with every video",
        ),
        (
            "GET",
            "/v1/videos/characters/{character_id}",
            "the site keeps no characters; give their pictures as references with every video",
        ),
    )
)

_VIDEOS: tuple[Endpoint, ...] = (
    Endpoint(
        method="POST",
        path="/v1/videos/edits",
        order=remix.order_edit,
        handler=remix.edit_video,
        auth=Auth.KEY,
        tag=_TAG,
        summary="Queue a video made from a video",
        body=shapes.VideoEdit,
        references=True,
        lenient=True,
        unpack=remix.unpack_edit,
        replies=_VIDEO,
        errors=(410,),
    ),
    *_NOT_OFFERED,
    Endpoint(
        method="POST",
        path="/v1/videos",
        order=videos.order_video,
        handler=videos.create_video,
        auth=Auth.KEY,
        tag=_TAG,
        summary="Queue a video",
        body=shapes.VideoRequest,
        references=True,
        lenient=True,
        unpack=unpack,
        replies=_VIDEO,
    ),
    Endpoint(
        method="GET",
        path="/v1/videos",
        handler=videos.list_videos,
        auth=Auth.KEY,
        tag=_TAG,
        summary="List videos, newest first",
        query=shapes.VideoFilter,
        replies=(Reply(200, "A page of videos.", replies.VideoList),),
    ),
    Endpoint(
        method="GET",
        path="/v1/videos/{video_id}",
        handler=videos.get_video,
        auth=Auth.KEY,
        tag=_TAG,
        summary="One video",
        replies=_VIDEO,
    ),
    Endpoint(
        method="DELETE",
        path="/v1/videos/{video_id}",
        handler=videos.delete_video,
        auth=Auth.KEY,
        tag=_TAG,
        summary="Delete a video; one that is not finished is cancelled",
        replies=(Reply(200, "It is gone.", replies.VideoDeleted),),
    ),
    Endpoint(
        method="GET",
        path="/v1/videos/{video_id}/content",
        handler=videos.get_video_file,
        auth=Auth.KEY,
        tag=_TAG,
        summary="The file of a video, or its small picture; Range and HEAD are understood",
        query=shapes.VideoFile,
        replies=(
            Reply(200, "The file.", None, "*/*", ("ETag", "Accept-Ranges", "Content-Disposition")),
            Reply(206, "The part asked for.", None, "*/*", ("ETag", "Content-Range")),
            Reply(304, "Not modified.", None, "", ("ETag",)),
        ),
        errors=(410, 416),
    ),
    Endpoint(
        method="POST",
        path="/v1/videos/{video_id}/remix",
        order=remix.order_remix,
        handler=remix.remix_video,
        auth=Auth.KEY,
        tag=_TAG,
        summary="Queue another version of a finished video",
        body=shapes.VideoRemix,
        lenient=True,
        replies=_VIDEO,
        errors=(409, 410),
    ),
)

_MODELS: tuple[Endpoint, ...] = (
    Endpoint(
        method="GET",
        path="/v1/models",
        handler=models.list_models,
        auth=Auth.KEY,
        tag=_TAG,
        summary="All models, and the other names under which they can be had",
        replies=(Reply(200, "The models.", replies.OpenAIModelList),),
    ),
    Endpoint(
        method="GET",
        path="/v1/models/{model_id:path}",
        handler=models.get_model,
        auth=Auth.KEY,
        tag=_TAG,
        summary="One model, by any name that a request may use",
        replies=(Reply(200, "The model.", replies.OpenAIModel),),
    ),
)

ROUTES: tuple[Endpoint, ...] = (*_IMAGES, *_VIDEOS, *_MODELS)
