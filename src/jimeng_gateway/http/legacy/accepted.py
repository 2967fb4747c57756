"""The reply to a request whose task is not at its end yet, and what all replies of that family share.

It is no error: the task goes on, and the reply says where to ask for it.
"""

from __future__ import annotations

from typing import Literal

import msgspec
from starlette.responses import Response

from jimeng_gateway.domain.task import Stage, Task
from jimeng_gateway.domain.words import Language
from jimeng_gateway.http.endpoint import Call
from jimeng_gateway.http.native import seen
from jimeng_gateway.http.prefer import Preference
from jimeng_gateway.http.replies import json_reply
from jimeng_gateway.http.views import TaskBody


class Ticket(msgspec.Struct, kw_only=True):
    """Names a task in the way of the older gateway."""

    task_id: str
    status: Stage


class Accepted(msgspec.Struct, kw_only=True):
    """The task goes on; ask `task.poll_url`."""

    code: Literal[0] = 0
    message: str
    #: Seconds since the epoch.
    created: int
    data: list[Ticket]
    task: TaskBody


def accepted(call: Call, task: Task, asked: Preference) -> Response:
    """202 with the task as it is."""
    view = seen(call, task)
    reply = Accepted(
        message=said(call, "the task was accepted", "任务已接收"),
        created=task.created_at // 1000,
        data=[Ticket(task_id=task.id, status=task.stage)],
        task=view,
    )
    return json_reply(reply, 202, {"location": view.poll_url, **applied(asked)})


def said(call: Call, english: str, chinese: str) -> str:
    """Whichever the caller reads."""
    return chinese if call.language is Language.ZH else english


def applied(asked: Preference) -> dict[str, str]:
    """The header that says what was granted of `Prefer`."""
    return {"preference-applied": asked.applied} if asked.applied else {}
