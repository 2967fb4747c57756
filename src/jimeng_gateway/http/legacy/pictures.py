"""Finished pictures in the form in which they were asked for, and in no other.

Clients of the same route validate `b64_json` as text when it is there, so the other form is left out and
never null (clients.md 11).
"""

from __future__ import annotations

import msgspec

from jimeng_gateway.domain.task import Result, Task
from jimeng_gateway.http.endpoint import Call
from jimeng_gateway.http.outcome import base64_of, stored


class Picture(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Exactly the one form that was asked for."""

    url: str | None = None
    b64_json: str | None = None


async def pictures(call: Call, task: Task, form: str) -> list[Picture]:
    """All that the task made, as `form` ("url" or "b64_json") has it."""
    return [await _picture(call, task, result, form) for result in stored(task)]


async def _picture(call: Call, task: Task, result: Result, form: str) -> Picture:
    if form == "b64_json":
        return Picture(b64_json=await base64_of(call, task, result))
    return Picture(url=call.links.content(task.id, result.index))
