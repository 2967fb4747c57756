"""Whether the process lives, and whether it can do its work."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from starlette.responses import PlainTextResponse, Response

from jimeng_gateway.http.endpoint import Call
from jimeng_gateway.http.replies import json_reply


class Alive(msgspec.Struct):
    """The process answers."""

    status: Literal["live"] = "live"


class Ready(msgspec.Struct, kw_only=True):
    """What the process needs, one check each."""

    status: Literal["ready", "not_ready"]
    checks: dict[str, dict[str, Any]]


async def ping(_call: Call) -> Response:
    """GET /ping."""
    return PlainTextResponse("pong")


async def live(_call: Call) -> Response:
    """GET /health/live: says nothing about anything but this process."""
    return json_reply(Alive())


async def ready(call: Call) -> Response:
    """GET /health/ready: 503 as long as a task could not be carried out."""
    health = await call.gateway.health()
    body = Ready(status="ready" if health.ready else "not_ready", checks=dict(health.checks))
    return json_reply(body, 200 if health.ready else 503)
