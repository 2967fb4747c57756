"""Removing results: a caller's own, and the operator's report of what went and why."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta
from starlette.responses import Response

from jimeng_gateway.domain.task import Removal
from jimeng_gateway.http.endpoint import Call
from jimeng_gateway.http.native import seen
from jimeng_gateway.http.replies import json_reply
from jimeng_gateway.http.views import instant


class RemovalFilter(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Which page of the report."""

    limit: Annotated[int, Meta(ge=1, le=100)] = 20
    cursor: Annotated[str, Meta(max_length=512)] | None = None


class RemovalBody(msgspec.Struct, kw_only=True):
    """A result whose files were removed."""

    task_id: str
    index: int
    removed_at: str
    why: Removal
    #: Of the file and its small picture.
    bytes: int


class RemovalList(msgspec.Struct, kw_only=True):
    """A page of removals, the latest first."""

    object: Literal["list"] = "list"
    data: list[RemovalBody]
    has_more: bool
    #: Give it as `cursor` for the next page; null at the end.
    next_cursor: str | None


class Prune(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What to remove now. At least one of the two bounds has to be given."""

    #: Results that were stored longer ago than so many seconds.
    older_than_s: Annotated[float, Meta(ge=0, le=10**10)] | None = None
    #: The oldest results, until all that are left have so many bytes together.
    max_bytes: Annotated[int, Meta(ge=0, le=2**53)] | None = None
    #: Only tell how much it would be.
    dry_run: bool = False


class Pruned(msgspec.Struct, kw_only=True):
    """What has been removed, or would be."""

    object: Literal["prune"] = "prune"
    files: int
    bytes: int
    dry_run: bool
    #: One call removes some hundred results; the same call again removes the next ones.
    has_more: bool


async def remove_results(call: Call) -> Response:
    """DELETE /api/v1/tasks/{task_id}/results."""
    return json_reply(seen(call, await call.gateway.remove_results(call.caller, call.id("task_id"))))


async def list_removals(call: Call, query: RemovalFilter) -> Response:
    """GET /api/v1/removals."""
    page = await call.gateway.removals(limit=query.limit, cursor=query.cursor)
    data = [
        RemovalBody(
            task_id=one.task_id, index=one.index, removed_at=instant(one.at), why=one.why, bytes=one.bytes
        )
        for one in page.items
    ]
    more = page.next_cursor
    return json_reply(RemovalList(data=data, has_more=more is not None, next_cursor=more))


async def prune(call: Call, body: Prune) -> Response:
    """POST /api/v1/removals."""
    older_than = None if body.older_than_s is None else int(body.older_than_s * 1000)
    amount, more = await call.gateway.prune(older_than=older_than, most=body.max_bytes, dry_run=body.dry_run)
    return json_reply(Pruned(files=amount.files, bytes=amount.bytes, dry_run=body.dry_run, has_more=more))
