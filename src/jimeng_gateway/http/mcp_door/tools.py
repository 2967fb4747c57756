"""The tools themselves, one entry each, and what they do. Nothing here knows the SDK.

A model that calls a tool once too often must not pay for it, and no call may outlast the patience of its
client: the tools that make something return at once, and waiting is a tool of its own that gives up first.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from jimeng_gateway.domain.request import Kind
from jimeng_gateway.http.endpoint import Call
from jimeng_gateway.http.mcp_door import jobs, offer, shapes
from jimeng_gateway.http.mcp_door.making import make_image, make_video
from jimeng_gateway.http.mcp_door.offer import Offer
from jimeng_gateway.http.mcp_door.telling import Report, Told, told_job, waited
from jimeng_gateway.http.views import maybe_instant


@dataclass(frozen=True, slots=True)
class Hints:
    """What a client may take into account before it lets a model call a tool."""

    read_only: bool = True
    destructive: bool = False
    #: Calling it again changes nothing more.
    idempotent: bool = True


@dataclass(frozen=True, slots=True)
class Tool:
    """One tool."""

    name: str
    title: str
    #: For the model, with what is on offer.
    describe: Callable[[Offer], str]
    arguments: type[msgspec.Struct]
    result: type[msgspec.Struct]
    #: Called with the Call, the arguments, and whom to tell how it is going.
    run: Callable[[Call, Any, Report], Awaitable[Told]]
    hints: Hints = Hints()
    #: Makes something of this kind; only there if a model does.
    makes: Kind | None = None


def offered(found: Offer) -> list[Tool]:
    """The tools for one caller."""
    return [tool for tool in TOOLS if tool.makes is None or found.models(tool.makes)]


async def offer_for(call: Call) -> Offer:
    """What there is for the caller."""
    return Offer(await call.gateway.catalogue(), call.admin)


async def _get_job(call: Call, arguments: shapes.GetJob, _report: Report) -> Told:
    task = await call.gateway.task(call.caller, arguments.id)
    return await told_job(call, task, inline=arguments.inline_images)


async def _wait_job(call: Call, arguments: shapes.WaitJob, report: Report) -> Told:
    task = await waited(call, arguments.id, arguments.timeout_s, report)
    return await told_job(call, task, inline=arguments.inline_images)


async def _cancel_job(call: Call, arguments: shapes.CancelJob, _report: Report) -> Told:
    return await told_job(call, await call.gateway.cancel(call.caller, arguments.id))


async def _list_jobs(call: Call, arguments: shapes.ListJobs, _report: Report) -> Told:
    page = await call.gateway.tasks(
        call.caller,
        stage=arguments.status,
        kind=arguments.kind,
        limit=arguments.limit,
        cursor=arguments.cursor,
    )
    now, links, language = call.now, call.links, call.language
    found = [jobs.job_json(task, now, links, language) for task in page.items]
    following = "Call get_job with an id for more about a job."
    if page.next_cursor is not None:
        following = f'There are more: call list_jobs with cursor "{page.next_cursor}". {following}'
    lines = [f"{job.id}: {job.kind}, {job.model}, {job.status}: {job.prompt[:80]!r}" for job in found]
    text = "\n".join([*(lines or ["There are no such jobs."]), following])
    return Told(text, shapes.JobsBody(jobs=found, next_cursor=page.next_cursor, next=following))


async def _list_models(call: Call, arguments: shapes.ListModels, _report: Report) -> Told:
    found = await offer_for(call)
    kinds = [kind for kind in Kind if arguments.kind in (None, kind)]
    models = [offer.brief(found.catalogue, one) for kind in kinds for one in found.models(kind)]
    following = "Give the id as `model` to generate_image or generate_video."
    lines = [f"{model.kind}: {offer.model_line(model)}" for model in models]
    return Told("\n".join([*lines, following]), shapes.ModelsBody(models=models, next=following))


async def _get_credits(call: Call, _arguments: shapes.GetCredits, _report: Report) -> Told:
    known = [_balance(one) for one in await call.gateway.sessions()] if call.admin else None
    found = [one.credits for one in known or () if one.credits is not None]
    prices = offer.prices(await offer_for(call))
    lines = [f"{one.label}: {_known(one.credits)} ({one.state})" for one in known or ()]
    lines += [f"{one.model}, {one.job}: about {one.credits} credits" for one in prices]
    following = "For any other job call the tool that makes it with dry_run=true."
    if known is None:
        following = f"The balance is the operator's to know. {following}"
    body = shapes.CreditsBody(
        balances=known, total=sum(found) if found else None, prices=prices, next=following
    )
    return Told("\n".join([*lines, following]), body)


def _balance(session: Any) -> shapes.Balance:
    return shapes.Balance(
        session=session.id,
        label=session.label,
        state=str(session.state) if session.enabled else "disabled",
        credits=session.credits,
        checked_at=maybe_instant(session.checked_at),
    )


def _known(credits_left: int | None) -> str:
    return "balance not known" if credits_left is None else f"{credits_left} credits"


def _plainly(text: str) -> Callable[[Offer], str]:
    return lambda _offer: text


_MAKES = Hints(read_only=False, idempotent=False)

TOOLS: tuple[Tool, ...] = (
    Tool(
        "generate_image",
        "Generate pictures",
        lambda found: f"Make pictures from text, or from other pictures. {offer.spends(found, Kind.IMAGE)}",
        shapes.GenerateImage,
        shapes.JobBody,
        make_image,
        _MAKES,
        makes=Kind.IMAGE,
    ),
    Tool(
        "generate_video",
        "Generate a video",
        lambda found: (
            "Make a video from text, from a first and last frame, or from pictures, clips and sounds. "
            f"It takes minutes, and hours when the site is busy. {offer.spends(found, Kind.VIDEO)}"
        ),
        shapes.GenerateVideo,
        shapes.JobBody,
        make_video,
        _MAKES,
        makes=Kind.VIDEO,
    ),
    Tool(
        "get_job",
        "Look at a job",
        _plainly("How a job is doing, and its files once it has succeeded. Free of charge."),
        shapes.GetJob,
        shapes.JobBody,
        _get_job,
    ),
    Tool(
        "wait_job",
        "Wait for a job",
        _plainly(
            f"Wait until a job has ended, at most timeout_s seconds ({shapes.LONGEST_WAIT} at most). When "
            "the time is up the job is returned as it is, which is no error: call wait_job again. Free."
        ),
        shapes.WaitJob,
        shapes.JobBody,
        _wait_job,
    ),
    Tool(
        "cancel_job",
        "Cancel a job",
        _plainly(
            "Cancel a job that has not ended. What it has cost already is not given back. "
            "A job that has ended stays as it is."
        ),
        shapes.CancelJob,
        shapes.JobBody,
        _cancel_job,
        Hints(read_only=False, destructive=True),
    ),
    Tool(
        "list_jobs",
        "List jobs",
        _plainly("The jobs of this key, newest first. Free of charge."),
        shapes.ListJobs,
        shapes.JobsBody,
        _list_jobs,
    ),
    Tool(
        "list_models",
        "List models",
        _plainly("The models with what each of them takes and is likely to cost. Free of charge."),
        shapes.ListModels,
        shapes.ModelsBody,
        _list_models,
    ),
    Tool(
        "get_credits",
        "Credits and prices",
        _plainly(
            "What jobs were seen to cost, and for admin keys the balance of each account as last known. "
            "Free of charge."
        ),
        shapes.GetCredits,
        shapes.CreditsBody,
        _get_credits,
    ),
)
