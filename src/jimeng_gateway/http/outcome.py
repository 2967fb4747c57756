"""What every door does with a task that its request has made: wait for it, and hand over what came of it.

A client that hangs up cancels nothing, and a wait that runs out is no error: the task goes on. Whatever goes
wrong after the task exists, the reply tells clients not to repeat the request: that would pay twice
(openai-media.md 2.3).
"""

from __future__ import annotations

import asyncio
import base64

from starlette.requests import ClientDisconnect

from jimeng_gateway.domain.errors import ErrorKind, GatewayError, Owner
from jimeng_gateway.domain.task import Result, Stage, Task
from jimeng_gateway.http.endpoint import Call
from jimeng_gateway.http.prefer import Preference, preference
from jimeng_gateway.http.sse import stop

_STATUS = {
    ErrorKind.QUOTA: 429,
    ErrorKind.RATE_LIMITED: 429,
    ErrorKind.TIMEOUT: 504,
}


class JobFailed(GatewayError):
    """The task that a request was waiting for did not succeed."""

    def __init__(self, task: Task) -> None:
        failure = task.failure
        if failure is None:
            super().__init__("the task was cancelled", code="task_cancelled")
            self.status, self.owner = 409, Owner.CALLER
            return
        super().__init__(
            f"{failure.message} (task {task.id})", code=str(failure.kind), retryable=failure.retryable
        )
        self.owner = failure.owner
        self.status = 400 if failure.owner is Owner.CALLER else _STATUS.get(failure.kind, 502)


def patience(call: Call, default: float) -> Preference:
    """How long this request waits: as it asks, else as its key has it, else `default` seconds."""
    chosen = call.caller.options.wait
    return preference(call.request.headers.getlist("prefer"), default=default if chosen is None else chosen)


async def settled(call: Call, task: Task, seconds: float) -> Task:
    """The task at its end, or as it is when time is up or the process is about to stop.

    A client that hangs up cancels nothing; only the waiting ends, with ClientDisconnect.
    """
    if task.terminal or seconds <= 0:
        return task
    ended = asyncio.ensure_future(call.gateway.wait(call.caller, task.id, seconds=seconds))
    gone = asyncio.ensure_future(_hung_up(call))
    closing = asyncio.ensure_future(call.service.closing.wait())
    try:
        await asyncio.wait({ended, gone, closing}, return_when=asyncio.FIRST_COMPLETED)
        if ended.done():
            return ended.result()
        if gone.done():
            raise ClientDisconnect
    finally:
        await stop(ended, gone, closing)
    return await call.gateway.task(call.caller, task.id)


async def _hung_up(call: Call) -> None:
    while (await call.request.receive())["type"] != "http.disconnect":
        pass


def require_success(task: Task) -> None:
    """JobFailed unless the task has succeeded."""
    if task.stage is not Stage.SUCCEEDED:
        raise JobFailed(task)


def stored(task: Task) -> list[Result]:
    """The results whose files are here."""
    return [result for result in task.results if result.file is not None]


async def base64_of(call: Call, task: Task, result: Result) -> str:
    """A result's file as base64 text."""
    data = await call.gateway.read_content(call.gateway.content(task, result.index))
    return (await asyncio.to_thread(base64.b64encode, data)).decode()
