"""The tools that make something: the same way as spending.py, with arguments in place of a request.

What was asked for is recognised when it is asked again (by its idempotency_key), references are brought in,
and only then is the task queued, once. A client that goes away before that has spent nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from jimeng_gateway.domain.errors import InvalidRequest
from jimeng_gateway.domain.intake import Wish
from jimeng_gateway.domain.order import Intent, Order
from jimeng_gateway.domain.reference import Reference
from jimeng_gateway.domain.request import Kind
from jimeng_gateway.http.endpoint import Call
from jimeng_gateway.http.givens import Given, from_json
from jimeng_gateway.http.mcp_door.jobs import job_text, rehearsed_json
from jimeng_gateway.http.mcp_door.shapes import GenerateImage, GenerateVideo
from jimeng_gateway.http.mcp_door.telling import Report, Told, told_job
from jimeng_gateway.http.references import Sent, brought_in, within
from jimeng_gateway.http.spending import fingerprint

DOOR = "mcp"
_TOKEN = re.compile(r"[!-~]{1,255}")
#: What says how a call is meant, not what is asked for.
_ABOUT_THE_CALL = ("idempotency_key", "dry_run")


@dataclass(frozen=True, slots=True)
class _Making:
    """A call of one of these tools."""

    tool: str
    wish: Wish
    arguments: GenerateImage | GenerateVideo
    #: The arguments that hold references, in the order of their numbers.
    references: Mapping[str, Any]


async def make_image(call: Call, arguments: GenerateImage, _report: Report) -> Told:
    """generate_image."""
    wish = Wish(
        kind=Kind.IMAGE,
        prompt=arguments.prompt,
        model=arguments.model,
        n=arguments.n,
        ratio=arguments.ratio,
        resolution=arguments.resolution,
        negative_prompt=arguments.negative_prompt,
        seed=arguments.seed,
    )
    return await _make(call, _Making("generate_image", wish, arguments, {"images": arguments.images}))


async def make_video(call: Call, arguments: GenerateVideo, _report: Report) -> Told:
    """generate_video."""
    wish = Wish(
        kind=Kind.VIDEO,
        prompt=arguments.prompt,
        model=arguments.model,
        ratio=arguments.ratio,
        resolution=arguments.resolution,
        duration=arguments.duration,
        seed=arguments.seed,
    )
    references = {
        "first_frame": arguments.first_frame,
        "last_frame": arguments.last_frame,
        "references": arguments.references,
    }
    return await _make(call, _Making("generate_video", wish, arguments, references))


async def _make(call: Call, making: _Making) -> Told:
    gateway, dry = call.gateway, making.arguments.dry_run
    givens = tuple(from_json({name: given for name, given in making.references.items() if given}))
    intent = _intent(call, making, givens)
    known = None if dry else await gateway.recall(call.caller, intent)
    if known is not None:
        return await told_job(call, known)
    order = Order(replace(making.wish, references=await _references(call, givens)), door=DOOR)
    if dry:
        body = rehearsed_json(await gateway.rehearse(call.caller, order))
        return Told(job_text(body), body)
    return await told_job(call, (await gateway.place(call.caller, order, intent)).task)


async def _references(call: Call, givens: Sequence[Given]) -> tuple[Reference, ...]:
    if not givens:
        return ()
    return await within(call.service.limits.intake_seconds, brought_in(givens, call.service, call.caller))


def _intent(call: Call, making: _Making, givens: tuple[Given, ...]) -> Intent:
    token = making.arguments.idempotency_key or ""
    if token and not _TOKEN.fullmatch(token):
        raise InvalidRequest(
            "idempotency_key: 1 to 255 printable ASCII characters without spaces are allowed",
            param="idempotency_key",
        )
    values = msgspec.to_builtins(making.arguments)
    asked = {
        name: value
        for name, value in values.items()
        if name not in _ABOUT_THE_CALL and name not in making.references
    }
    return Intent(
        fingerprint=fingerprint("MCP", making.tool, Sent(asked, givens)), arrived_at=call.now, token=token
    )
