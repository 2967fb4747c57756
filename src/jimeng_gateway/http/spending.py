"""The way of every request that makes a task, whatever its dialect.

Read it; know it again if it was sent before; bring its references in; let the door say what it orders; then
either tell what that would come to (`?dry_run=true`) or queue it, once, and let the door answer. From the
moment the task exists, no reply invites the client to repeat the request.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import Any

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from jimeng_gateway.domain.costs import Basis
from jimeng_gateway.domain.errors import InvalidRequest
from jimeng_gateway.domain.order import BACK_AFTER_MS, Intent, Order
from jimeng_gateway.domain.reference import Reference
from jimeng_gateway.domain.request import Kind
from jimeng_gateway.domain.task import Task
from jimeng_gateway.gateway import Caller, Placed, Rehearsal
from jimeng_gateway.http.body import build, media_type, read_query
from jimeng_gateway.http.connections import closes_anyway, connection_of
from jimeng_gateway.http.endpoint import Call, Endpoint, Service
from jimeng_gateway.http.givens import FIELDS, Given
from jimeng_gateway.http.references import Sent, Source, brought_in, reading, within
from jimeng_gateway.http.replies import json_reply
from jimeng_gateway.http.views import ReferenceBody, RequestBody, reference_json, request_json

JSON = "application/json"
FORM = "multipart/form-data"
REPLAYED = "idempotent-replayed"

_TOKEN = re.compile(r"[!-~]{1,255}")
_ATTEMPT = re.compile(r"[0-9]{1,3}")


class DryRun(msgspec.Struct, kw_only=True):
    """Query of every route that makes a task."""

    #: Only say what would be sent and what it is likely to cost.
    dry_run: bool = False


class EstimateBody(msgspec.Struct, kw_only=True):
    """What a job is likely to cost."""

    #: null if nothing is known.
    credits: int | None
    basis: Basis


class DryRunBody(msgspec.Struct, kw_only=True):
    """What a request would come to; nothing was queued and nothing will be."""

    object: str = "dry_run"
    kind: Kind
    model: str
    #: The site's own name for it.
    model_key: str
    prompt: str
    request: RequestBody
    references: list[ReferenceBody]
    estimate: EstimateBody


@dataclass(frozen=True, slots=True)
class Taken:
    """A request that was read."""

    call: Call
    #: For the door's functions.
    arguments: dict[str, Any]
    intent: Intent
    #: The task that it has made before.
    known: Task | None


@dataclass(frozen=True, slots=True)
class Spending:
    """One request that makes a task, on its way."""

    service: Service
    endpoint: Endpoint
    request: Request
    caller: Caller
    #: When its head came in.
    arrived_at: int

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The whole way."""
        dry = read_query(self.request, DryRun, strict=False).dry_run
        taken = await within(self.service.limits.intake_seconds, self._take_in(dry=dry))
        if dry:
            response = json_reply(rehearsal_json(await self._rehearsed(taken)))
            await response(scope, receive, send)
            return
        placed = await self._placed(taken)
        lost = False
        try:
            response = await self._replied(taken, placed)
            await response(scope, receive, send)
        except ClientDisconnect:
            lost = True
            raise
        finally:
            await self.service.gateway.answered(placed.task, taken.intent, lost=lost)

    async def _rehearsed(self, taken: Taken) -> Rehearsal:
        return await self.service.gateway.rehearse(self.caller, await self._ordered(taken))

    async def _placed(self, taken: Taken) -> Placed:
        if taken.known is not None:
            return Placed(taken.known, repeated=True)
        return await self.service.gateway.place(self.caller, await self._ordered(taken), taken.intent)

    async def _ordered(self, taken: Taken) -> Order:
        assert self.endpoint.order is not None
        order = await self.endpoint.order(taken.call, **taken.arguments)
        return replace(order, base_url=taken.call.links.base) if order.callback_url else order

    async def _take_in(self, *, dry: bool) -> Taken:
        """Reads the request and brings its references in, unless it is known already."""
        async with AsyncExitStack() as stack:
            sent = await self._sent(stack)
            arguments, intent = self._arguments(sent), self._intent(sent)
            known = None if dry else await self.service.gateway.recall(self.caller, intent)
            references: tuple[Reference, ...] = ()
            if known is None and sent.givens:
                references = await brought_in(sent.givens, self.service, self.caller)
            call = Call(self.service, self.request, self.caller, references)
            return Taken(call, arguments, intent, known)

    async def _sent(self, stack: AsyncExitStack) -> Sent:
        if self.endpoint.body is None:
            return Sent({}, ())
        kind = media_type(self.request, (JSON, FORM) if self.endpoint.references else (JSON,))
        source = Source(self.request, self.service, self.endpoint.unpack, self.endpoint.refused)
        return await stack.enter_async_context(reading(source, form=kind == FORM))

    async def _replied(self, taken: Taken, placed: Placed) -> Response:
        taken.call.mark_accepted()
        response = await self.endpoint.handler(taken.call, **taken.arguments, task=placed.task)
        if placed.repeated:
            response.headers[REPLAYED] = "true"
        return response

    def _arguments(self, sent: Sent) -> dict[str, Any]:
        endpoint = self.endpoint
        if endpoint.body is None:
            return {}
        form = self.request.headers.get("content-type", "").lower().startswith(FORM)
        lenient = endpoint.lenient or form
        also = FIELDS if endpoint.references else ()
        return {"body": build(sent.values, endpoint.body, lenient=lenient, what="field", also=also)}

    def _intent(self, sent: Sent) -> Intent:
        intent = Intent(
            fingerprint=fingerprint(self.request.method, self.request.url.path, sent),
            arrived_at=self.arrived_at,
            token=_token(self.request),
            attempt=_attempt(self.request),
            request_id=str(self.request.scope["state"]["request_id"]),
        )
        pauses, connection = _pauses(self.request), connection_of(self.request.scope)
        if not pauses or connection is None:
            return intent
        connections = self.service.connections
        connections.note(connection)
        return replace(
            intent,
            peer=connection.id,
            pauses=() if closes_anyway(self.request) else pauses,
            open_peers=connections.open_ids(),
        )


def fingerprint(method: str, path: str, sent: Sent) -> str:
    """The same for the same request, however its form was cut into parts (openai-media.md 2.3)."""
    encode: Callable[[object], bytes] = msgspec.json.Encoder(order="sorted").encode
    digest = hashlib.sha256(encode([method, path, sent.values]))
    for given in sent.givens:
        digest.update(encode(_known_by(given)))
    return digest.hexdigest()


def _known_by(given: Given | Reference) -> list[str]:
    if isinstance(given, Reference):
        return ["file", given.sha256, given.role, given.name]
    data = hashlib.sha256(given.data.encode()).hexdigest() if given.data else ""
    return ["given", given.url, data, given.file_id, given.role, given.name]


def _token(request: Request) -> str:
    tokens = request.headers.getlist("idempotency-key")
    if not tokens:
        return ""
    if len(tokens) > 1 or not _TOKEN.fullmatch(tokens[0]):
        raise InvalidRequest(
            "Idempotency-Key: one header of 1 to 255 printable ASCII characters is allowed",
            param="Idempotency-Key",
        )
    return tokens[0]


def _attempt(request: Request) -> int | None:
    count = request.headers.get("x-stainless-retry-count", "")
    return int(count) if _ATTEMPT.fullmatch(count) else None


def _pauses(request: Request) -> tuple[tuple[int, int], ...]:
    agent = request.headers.get("user-agent", "").lower()
    return next((pauses for name, pauses in BACK_AFTER_MS.items() if agent.startswith(name)), ())


def rehearsal_json(rehearsal: Rehearsal) -> DryRunBody:
    """What would be sent, and what it is likely to cost."""
    request, estimate = rehearsal.request, rehearsal.estimate
    return DryRunBody(
        kind=request.kind,
        model=request.model,
        model_key=request.model_key,
        prompt=request.prompt,
        request=request_json(request),
        references=[reference_json(entry, number) for number, entry in enumerate(request.references, 1)],
        estimate=EstimateBody(credits=estimate.credits, basis=estimate.basis),
    )
