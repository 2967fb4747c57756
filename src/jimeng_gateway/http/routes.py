"""All routes, one entry each. Router, authentication and OpenAPI document are made from this table."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.responses import Response

from jimeng_gateway.http import (
    admin,
    admin_views,
    content,
    files,
    health,
    model_views,
    native,
    removals,
    schemas,
    views,
)
from jimeng_gateway.http.ark.routes import ROUTES as ARK_ROUTES
from jimeng_gateway.http.deliveries import DELIVERY_ROUTES
from jimeng_gateway.http.endpoint import Auth, Call, Endpoint, Reply
from jimeng_gateway.http.legacy.routes import ROUTES as LEGACY_ROUTES
from jimeng_gateway.http.mcp_door.routes import ROUTES as MCP_ROUTES
from jimeng_gateway.http.openai.chat import CHAT_ROUTES
from jimeng_gateway.http.openai.routes import ROUTES as OPENAI_ROUTES
from jimeng_gateway.http.openapi import document
from jimeng_gateway.http.relay.routes import ROUTES as RELAY_ROUTES

_TASK = (Reply(200, "The task.", views.TaskBody),)
_NEW_TASK = (Reply(201, "The new task.", views.TaskBody, headers=("Location",)),)


async def get_openapi(_call: Call) -> Response:
    """GET /openapi.json."""
    return Response(msgspec.json.encode(document(ROUTES)), media_type="application/json")


_TASKS: tuple[Endpoint, ...] = (
    Endpoint(
        method="GET",
        path="/api/v1/tasks/{task_id}",
        handler=native.get_task,
        auth=Auth.KEY,
        tag="tasks",
        summary="One task",
        replies=_TASK,
    ),
    Endpoint(
        method="DELETE",
        path="/api/v1/tasks/{task_id}",
        handler=native.cancel_task,
        auth=Auth.KEY,
        tag="tasks",
        summary="Cancel a task; 409 if it has already ended",
        replies=_TASK,
        errors=(409,),
    ),
    Endpoint(
        method="POST",
        path="/api/v1/tasks",
        order=native.order_task,
        handler=native.create_task,
        auth=Auth.KEY,
        tag="tasks",
        summary="Queue a picture or a video",
        body=schemas.NewTask,
        references=True,
        replies=_NEW_TASK,
    ),
    Endpoint(
        method="GET",
        path="/api/v1/tasks",
        handler=native.list_tasks,
        auth=Auth.KEY,
        tag="tasks",
        summary="List tasks, newest first",
        query=schemas.TaskFilter,
        replies=(Reply(200, "A page of tasks.", views.TaskList),),
    ),
    Endpoint(
        method="POST",
        path="/api/v1/tasks/{task_id}/cancel",
        handler=native.cancel_task,
        auth=Auth.KEY,
        tag="tasks",
        summary="Cancel a task; 409 if it has already ended",
        replies=_TASK,
        errors=(409,),
    ),
    Endpoint(
        method="POST",
        path="/api/v1/tasks/{task_id}/retry",
        order=native.order_again,
        handler=native.retry_task,
        auth=Auth.KEY,
        tag="tasks",
        summary="Make a new task of the same input; 409 unless the old one has ended",
        replies=_NEW_TASK,
        errors=(409,),
    ),
    Endpoint(
        method="GET",
        path="/api/v1/tasks/{task_id}/events",
        handler=native.get_events,
        auth=Auth.KEY,
        tag="tasks",
        summary="What happened to a task; live with `Accept: text/event-stream`",
        query=schemas.EventFilter,
        replies=(
            Reply(200, "The events so far.", views.EventList),
            Reply(200, "The events as they happen, until the last one.", None, "text/event-stream"),
        ),
    ),
    Endpoint(
        method="GET",
        path="/api/v1/tasks/{task_id}/content",
        handler=content.get_content,
        auth=Auth.LINK,
        tag="tasks",
        summary="The file of a result; Range and HEAD are understood",
        query=content.ContentQuery,
        replies=(
            Reply(200, "The file.", None, "*/*", ("ETag", "Accept-Ranges", "Content-Disposition")),
            Reply(206, "The part asked for.", None, "*/*", ("ETag", "Content-Range")),
            Reply(304, "Not modified.", None, "", ("ETag",)),
        ),
        errors=(403, 410, 416),
    ),
    Endpoint(
        method="DELETE",
        path="/api/v1/tasks/{task_id}/results",
        handler=removals.remove_results,
        auth=Auth.KEY,
        tag="tasks",
        summary="Remove the files of a task that has ended; 409 before",
        replies=_TASK,
        errors=(409,),
    ),
    Endpoint(
        method="GET",
        path="/api/v1/stats",
        handler=native.get_stats,
        auth=Auth.KEY,
        tag="tasks",
        summary="Counts of tasks, sessions and slots",
        replies=(Reply(200, "The statistics.", dict[str, Any]),),
    ),
    Endpoint(
        method="GET",
        path="/api/v1/models",
        handler=native.list_models,
        auth=Auth.KEY,
        tag="models",
        summary="All models with everything that may be chosen",
        replies=(Reply(200, "The models.", model_views.ModelList),),
    ),
)

_FILES: tuple[Endpoint, ...] = (
    Endpoint(
        method="POST",
        path="/api/v1/files",
        handler=files.create_file,
        auth=Auth.KEY,
        tag="files",
        summary="Upload a picture, clip or sound, to be used in any number of tasks",
        upload=True,
        replies=(Reply(201, "The file.", files.FileBody, headers=("Location",)),),
    ),
    Endpoint(
        method="GET",
        path="/api/v1/files",
        handler=files.list_files,
        auth=Auth.KEY,
        tag="files",
        summary="List files, newest first",
        query=files.FileFilter,
        replies=(Reply(200, "A page of files.", files.FileList),),
    ),
    Endpoint(
        method="GET",
        path="/api/v1/files/{file_id}",
        handler=files.get_file,
        auth=Auth.KEY,
        tag="files",
        summary="One file",
        replies=(Reply(200, "The file.", files.FileBody),),
    ),
    Endpoint(
        method="DELETE",
        path="/api/v1/files/{file_id}",
        handler=files.remove_file,
        auth=Auth.KEY,
        tag="files",
        summary="Forget a file; tasks that were made with it are not affected",
        replies=(Reply(200, "It is gone.", files.FileDeleted),),
    ),
)

_ADMIN: tuple[Endpoint, ...] = (
    Endpoint(
        method="GET",
        path="/api/v1/sessions",
        handler=admin.list_sessions,
        auth=Auth.ADMIN,
        tag="admin",
        summary="All sessions",
        replies=(Reply(200, "The sessions.", admin_views.SessionList),),
    ),
    Endpoint(
        method="POST",
        path="/api/v1/sessions",
        handler=admin.add_session,
        auth=Auth.ADMIN,
        tag="admin",
        summary="Add a session; its credential is never shown again",
        body=schemas.NewSession,
        replies=(Reply(201, "The session.", admin_views.SessionBody, headers=("Location",)),),
        errors=(409,),
    ),
    Endpoint(
        method="GET",
        path="/api/v1/sessions/{session_id}",
        handler=admin.get_session,
        auth=Auth.ADMIN,
        tag="admin",
        summary="One session",
        replies=(Reply(200, "The session.", admin_views.SessionBody),),
    ),
    Endpoint(
        method="PATCH",
        path="/api/v1/sessions/{session_id}",
        handler=admin.change_session,
        auth=Auth.ADMIN,
        tag="admin",
        summary="Change a session",
        body=schemas.SessionChange,
        replies=(Reply(200, "The session.", admin_views.SessionBody),),
        errors=(409,),
    ),
    Endpoint(
        method="DELETE",
        path="/api/v1/sessions/{session_id}",
        handler=admin.remove_session,
        auth=Auth.ADMIN,
        tag="admin",
        summary="Remove a session; 409 while tasks run on it",
        replies=(Reply(200, "It is gone.", admin_views.Deleted),),
        errors=(409,),
    ),
    Endpoint(
        method="POST",
        path="/api/v1/sessions/{session_id}/test",
        handler=admin.check_session,
        auth=Auth.ADMIN,
        tag="admin",
        summary="Ask the site whether the session is good",
        replies=(Reply(200, "What the site said.", admin_views.CheckBody),),
    ),
    Endpoint(
        method="GET",
        path="/api/v1/keys",
        handler=admin.list_keys,
        auth=Auth.ADMIN,
        tag="admin",
        summary="All keys",
        replies=(Reply(200, "The keys.", admin_views.KeyList),),
    ),
    Endpoint(
        method="POST",
        path="/api/v1/keys",
        handler=admin.create_key,
        auth=Auth.ADMIN,
        tag="admin",
        summary="Make a key; it is shown this once",
        body=schemas.NewKey,
        replies=(Reply(201, "The key with its secret.", admin_views.NewKeyBody),),
    ),
    Endpoint(
        method="PATCH",
        path="/api/v1/keys/{key_id}",
        handler=admin.change_key,
        auth=Auth.ADMIN,
        tag="admin",
        summary="Choose what callers of a key get unless they say otherwise",
        body=schemas.KeyChange,
        replies=(Reply(200, "The key.", admin_views.KeyBody),),
    ),
    Endpoint(
        method="DELETE",
        path="/api/v1/keys/{key_id}",
        handler=admin.revoke_key,
        auth=Auth.ADMIN,
        tag="admin",
        summary="Revoke a key",
        replies=(Reply(200, "The key, revoked.", admin_views.KeyBody),),
    ),
)

_REMOVALS: tuple[Endpoint, ...] = (
    Endpoint(
        method="GET",
        path="/api/v1/removals",
        handler=removals.list_removals,
        auth=Auth.ADMIN,
        tag="admin",
        summary="Results whose files were removed, and why; the latest first",
        query=removals.RemovalFilter,
        replies=(Reply(200, "A page of removals.", removals.RemovalList),),
    ),
    Endpoint(
        method="POST",
        path="/api/v1/removals",
        handler=removals.prune,
        auth=Auth.ADMIN,
        tag="admin",
        summary="Remove the oldest results now",
        body=removals.Prune,
        replies=(Reply(200, "What was removed.", removals.Pruned),),
    ),
)

_HEALTH: tuple[Endpoint, ...] = (
    Endpoint(
        method="GET",
        path="/ping",
        handler=health.ping,
        auth=Auth.PUBLIC,
        tag="health",
        summary="Answers `pong`",
        replies=(Reply(200, "pong", None, "text/plain"),),
    ),
    Endpoint(
        method="GET",
        path="/health/live",
        handler=health.live,
        auth=Auth.PUBLIC,
        tag="health",
        summary="The process answers",
        replies=(Reply(200, "It lives.", health.Alive),),
    ),
    Endpoint(
        method="GET",
        path="/health/ready",
        handler=health.ready,
        auth=Auth.KEY,
        tag="health",
        summary="Whether a task could be carried out now",
        replies=(
            Reply(200, "It could.", health.Ready),
            Reply(503, "It could not; the checks say why.", health.Ready),
        ),
    ),
    Endpoint(
        method="GET",
        path="/openapi.json",
        handler=get_openapi,
        auth=Auth.KEY,
        tag="health",
        summary="This document",
        replies=(Reply(200, "OpenAPI 3.1.", dict[str, Any]),),
    ),
)

#: In the order in which paths are tried: what is asked most comes first.
ROUTES: tuple[Endpoint, ...] = (
    *_TASKS,
    *_FILES,
    *DELIVERY_ROUTES,
    *LEGACY_ROUTES,
    *RELAY_ROUTES,
    *CHAT_ROUTES,
    *MCP_ROUTES,
    *OPENAI_ROUTES,
    *ARK_ROUTES,
    *_ADMIN,
    *_REMOVALS,
    *_HEALTH,
)
