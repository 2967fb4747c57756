"""What was told to callback addresses, for whoever wonders why nothing arrived."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta
from starlette.responses import Response

from jimeng_gateway.domain.deliveries import Delivery, DeliveryState, Event
from jimeng_gateway.http.endpoint import Auth, Call, Endpoint, Reply
from jimeng_gateway.http.replies import json_reply
from jimeng_gateway.http.views import instant, maybe_instant


class DeliveryFilter(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Which deliveries to list."""

    task_id: Annotated[str, Meta(max_length=64)] | None = None
    state: DeliveryState | None = None
    limit: Annotated[int, Meta(ge=1, le=100)] = 20
    cursor: Annotated[str, Meta(max_length=512)] | None = None


class DeliveryBody(msgspec.Struct, kw_only=True):
    """One status of one task that was or is to be told to one address. Times are RFC 3339 in UTC."""

    #: As in the header webhook-id.
    id: str
    object: Literal["delivery"] = "delivery"
    task_id: str
    event: Event
    state: DeliveryState
    #: The dialect of the body.
    format: str
    #: Host and port of the address; the rest may hold a token and is not shown.
    host: str
    tries: int
    #: Of the last answer; null if there was none.
    status: int | None
    #: Empty unless the last try failed.
    error: str
    created_at: str
    #: When it is tried next; null once it is settled.
    due_at: str | None
    delivered_at: str | None


class DeliveryList(msgspec.Struct, kw_only=True):
    """A page of deliveries, newest first."""

    object: Literal["list"] = "list"
    data: list[DeliveryBody]
    has_more: bool
    #: Give it as `cursor` for the next page; null at the end.
    next_cursor: str | None


def delivery_json(delivery: Delivery) -> DeliveryBody:
    """A delivery as its caller sees it."""
    return DeliveryBody(
        id=delivery.id,
        task_id=delivery.task_id,
        event=delivery.event,
        state=delivery.state,
        format=delivery.format,
        host=delivery.place,
        tries=delivery.tries,
        status=delivery.status,
        error=delivery.error,
        created_at=instant(delivery.created_at),
        due_at=maybe_instant(delivery.due_at),
        delivered_at=maybe_instant(delivery.delivered_at),
    )


async def list_deliveries(call: Call, query: DeliveryFilter) -> Response:
    """GET /api/v1/deliveries."""
    page = await call.gateway.deliveries(
        call.caller, task_id=query.task_id, state=query.state, limit=query.limit, cursor=query.cursor
    )
    return json_reply(
        DeliveryList(
            data=[delivery_json(delivery) for delivery in page.items],
            has_more=page.next_cursor is not None,
            next_cursor=page.next_cursor,
        )
    )


DELIVERY_ROUTES: tuple[Endpoint, ...] = (
    Endpoint(
        method="GET",
        path="/api/v1/deliveries",
        handler=list_deliveries,
        auth=Auth.KEY,
        tag="tasks",
        summary="What was told to callback addresses, newest first",
        query=DeliveryFilter,
        replies=(Reply(200, "A page of deliveries.", DeliveryList),),
    ),
)
