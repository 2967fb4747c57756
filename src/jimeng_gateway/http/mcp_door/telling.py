"""What every tool does with a task: wait for it, and tell what came of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import msgspec

from jimeng_gateway.domain.errors import GatewayError
from jimeng_gateway.domain.request import Kind
from jimeng_gateway.domain.task import Task
from jimeng_gateway.http.endpoint import Call
from jimeng_gateway.http.mcp_door.jobs import Link, job_json, job_text, links_of, waiting_text
from jimeng_gateway.http.outcome import stored
from jimeng_gateway.http.sse import stop

#: Whoever waits hears something this often, in seconds.
HEARTBEAT_S = 2.0
#: Pictures beyond this do not go into a model's context, in bytes.
LARGEST_INLINE = 1 << 20

#: Told of progress: how far, of how much, and in words.
Report = Callable[[float, float, str], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture to be shown as it is."""

    data: bytes
    media_type: str


@dataclass(frozen=True, slots=True)
class Told:
    """What a tool answers."""

    #: For models; says all that matters.
    text: str
    #: The same for programs.
    body: msgspec.Struct
    links: tuple[Link, ...] = ()
    pictures: tuple[Picture, ...] = ()


async def told_job(call: Call, task: Task, *, inline: bool = False) -> Told:
    """The task as it is now; `inline` adds its pictures, if they are small."""
    job = job_json(task, call.now, call.links, call.language)
    pictures = await _pictures(call, task) if inline and task.request.kind is Kind.IMAGE else ()
    return Told(job_text(job), job, tuple(links_of(task, call.links)), pictures)


async def _pictures(call: Call, task: Task) -> tuple[Picture, ...]:
    """Small forms of the pictures; one that cannot be had is not shown, since its link is there anyway."""
    found = []
    for result in stored(task):
        try:
            file = call.gateway.content(task, result.index, preview=True)
            if file.size <= LARGEST_INLINE and file.media_type.startswith("image/"):
                found.append(Picture(await call.gateway.read_content(file), file.media_type))
        except GatewayError:
            continue
    return tuple(found)


async def waited(call: Call, task_id: str, seconds: float, report: Report) -> Task:
    """The task at its end, or as it is when time is up or the process is about to stop.

    Progress is of the waiting, because it must grow with every report and a job's own may not.
    """
    clock = call.service.clock
    task, start = await call.gateway.task(call.caller, task_id), clock.monotonic()
    while not task.terminal and not call.service.closing.is_set():
        spent = clock.monotonic() - start
        if spent >= seconds:
            break
        await report(round(spent, 3), seconds, waiting_text(task, call.now))
        task = await _news(call, task, min(HEARTBEAT_S, seconds - spent))
    return task


async def _news(call: Call, task: Task, seconds: float) -> Task:
    ended = asyncio.ensure_future(call.gateway.wait(call.caller, task.id, seconds=seconds))
    closing = asyncio.ensure_future(call.service.closing.wait())
    try:
        await asyncio.wait({ended, closing}, return_when=asyncio.FIRST_COMPLETED)
        return ended.result() if ended.done() else task
    finally:
        await stop(ended, closing)
