"""The routes of the Ark door, under `/api/v3`."""

from __future__ import annotations

from jimeng_gateway.http.ark import images, shapes, videos
from jimeng_gateway.http.ark.content import unpack
from jimeng_gateway.http.endpoint import Auth, Endpoint, Reply

TASKS = "/api/v3/contents/generations/tasks"

ROUTES: tuple[Endpoint, ...] = (
    Endpoint(
        method="GET",
        path=f"{TASKS}/{{task_id}}",
        handler=videos.get_task,
        auth=Auth.KEY,
        tag="ark",
        summary="One task (Ark)",
        replies=(Reply(200, "The task.", shapes.ArkTask),),
    ),
    Endpoint(
        method="DELETE",
        path=f"{TASKS}/{{task_id}}",
        handler=videos.remove_task,
        auth=Auth.KEY,
        tag="ark",
        summary="Cancel a task that is queued, delete one that has ended; 409 else (Ark)",
        replies=(Reply(200, "Done.", shapes.ArkGone),),
        errors=(409,),
    ),
    Endpoint(
        method="POST",
        path=TASKS,
        order=videos.order_task,
        handler=videos.create_task,
        auth=Auth.KEY,
        tag="ark",
        summary="Queue a video (Ark)",
        body=shapes.ArkVideoOrder,
        references=True,
        unpack=unpack,
        replies=(Reply(200, "Its id.", shapes.ArkCreated),),
    ),
    Endpoint(
        method="GET",
        path=TASKS,
        handler=videos.list_tasks,
        auth=Auth.KEY,
        tag="ark",
        summary="The videos of the last seven days (Ark)",
        query=shapes.ArkFilter,
        replies=(Reply(200, "A page of tasks.", shapes.ArkTaskList),),
    ),
    Endpoint(
        method="POST",
        path="/api/v3/images/generations",
        order=images.order_images,
        handler=images.create_images,
        auth=Auth.KEY,
        tag="ark",
        summary="Make pictures and wait for them (Ark)",
        body=shapes.ArkImageOrder,
        references=True,
        replies=(
            Reply(200, "The pictures.", shapes.ArkPictures, headers=("Preference-Applied",)),
            Reply(200, "With `stream`: each picture as an event, then the end.", None, "text/event-stream"),
            Reply(202, "The wait ran out.", shapes.ArkTask, headers=("Location", "Preference-Applied")),
        ),
        errors=(409, 429, 502, 504),
    ),
)
