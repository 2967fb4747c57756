"""What a route declares and what its handler is given.

The table in routes.py is made of Endpoints; the router, the authentication, the reading of bodies and the
OpenAPI document all read the same entry, so that the document cannot say something else than the code does.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from jimeng_gateway.domain.errors import NotFound
from jimeng_gateway.domain.order import Order
from jimeng_gateway.domain.ports import Clock
from jimeng_gateway.domain.reference import Reference
from jimeng_gateway.domain.words import Language
from jimeng_gateway.gateway import Caller, Gateway
from jimeng_gateway.http.accept import preferred
from jimeng_gateway.http.connections import Connections
from jimeng_gateway.http.givens import Given
from jimeng_gateway.http.links import Links
from jimeng_gateway.http.room import Room
from jimeng_gateway.intake import Intake

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Auth(StrEnum):
    """Who may call a route."""

    PUBLIC = "public"
    KEY = "key"
    ADMIN = "admin"
    #: A key, or a link that carries a valid signature.
    LINK = "link"


@dataclass(frozen=True, slots=True)
class Limits:
    """What a client may make us hold or wait for."""

    json_bytes: int = 1 << 20
    #: Of a JSON body on a route that takes references, which may come as base64.
    reference_json_bytes: int = 64 << 20
    #: Of all bodies over `json_bytes` that are in memory at once; see room.py.
    large_bodies_bytes: int = 128 << 20
    #: A large body waits so long for others; in chunked ones this counts to `body_seconds`, so it is less.
    room_seconds: float = 20.0
    #: The text parts of a form together.
    form_bytes: int = 2 << 20
    #: The files of a form together, in sizes of the largest single one.
    files_per_request: int = 5
    #: A whole request body has to arrive within so many seconds; one with files may take longer, but not
    #: fall silent for so long.
    body_seconds: float = 30.0
    #: All references of a request have to be here within so many seconds.
    intake_seconds: float = 600.0
    #: Silence on an event stream after which a comment is sent.
    heartbeat_seconds: float = 15.0


@dataclass(frozen=True, slots=True)
class Service:
    """What all requests of one application share."""

    gateway: Gateway
    intake: Intake
    clock: Clock
    public_url: str
    limits: Limits
    room: Room
    connections: Connections = field(default_factory=Connections)
    #: Set when the process is about to stop: streams and waits end at once.
    closing: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(frozen=True, slots=True)
class Call:
    """One request on its way through a handler."""

    service: Service
    request: Request
    #: None on public routes, and where a signed link stands for the key.
    caller_or_none: Caller | None
    #: Brought in with the body, in the order of their numbers.
    references: tuple[Reference, ...] = ()

    @property
    def caller(self) -> Caller:
        """Who calls; only for routes that need a key."""
        assert self.caller_or_none is not None
        return self.caller_or_none

    @property
    def admin(self) -> bool:
        """Whether the caller may see what only the operator may."""
        return self.caller_or_none is not None and self.caller_or_none.admin

    @property
    def gateway(self) -> Gateway:
        """The facade."""
        return self.service.gateway

    @property
    def now(self) -> int:
        """Milliseconds since the epoch, UTC."""
        return self.service.clock.now()

    @property
    def request_id(self) -> str:
        """As in the header x-request-id."""
        return str(self.request.scope["state"]["request_id"])

    @property
    def language(self) -> Language:
        """In which messages for people are to be written."""
        return preferred(self.request.scope["headers"])

    @property
    def links(self) -> Links:
        """Makes the absolute addresses that replies carry."""
        gateway = self.gateway
        return Links.of(self.request, self.service.public_url, gateway.link_signature, gateway.link_expires())

    def id(self, name: str) -> str:
        """An id of the path; NotFound if no id can look like this, so that the store sees only sane ones."""
        value = str(self.request.path_params[name])
        if not _ID.fullmatch(value):
            raise NotFound(f"no such {name.removesuffix('_id')}", param=name)
        return value

    def mark_accepted(self) -> None:
        """From here on the request has made a task: an error reply must keep clients from repeating it."""
        self.request.scope["state"]["accepted"] = True


Handler = Callable[..., Awaitable[Response]]
#: What a request orders: called with the Call and, if the route has one, its body.
Ordering = Callable[..., Awaitable[Order]]
#: Takes references out of the places where a dialect has them in a JSON body or a form's fields: what is left
#: for `body`, and the references in order.
Unpacking = Callable[[dict[str, Any]], tuple[dict[str, Any], Sequence[Given]]]


@dataclass(frozen=True, slots=True)
class Reply:
    """One way in which a route answers when all is well."""

    status: int
    description: str
    #: A msgspec type; None for a reply without a JSON body.
    schema: Any = None
    media_type: str = "application/json"
    headers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One method of one path."""

    method: str
    path: str
    handler: Handler
    auth: Auth
    tag: str
    summary: str
    replies: tuple[Reply, ...]
    #: Passed to the handler as `body`, already decoded and checked.
    body: type[msgspec.Struct] | None = None
    #: Makes a task: the pipeline (spending.py) reads the request, knows one that is sent again by its
    #: Idempotency-Key or its content, answers `?dry_run=true`, and hands the task to the handler.
    order: Ordering | None = None
    #: Takes references beside the fields of `body`, in JSON or as multipart/form-data.
    references: bool = False
    #: For references in other places than the fields of givens.py.
    unpack: Unpacking | None = None
    #: Fields and files that this route knows and cannot honour, with what to tell whoever sends them.
    refused: Mapping[str, str] = field(default_factory=dict, hash=False)
    #: Reads its body itself: one file, raw or in a form.
    upload: bool = False
    #: Reads its body itself: one JSON message of another protocol.
    exchange: bool = False
    #: Takes "5" for 5 in a JSON body, as older clients send it.
    lenient: bool = False
    #: Passed to the handler as `query`.
    query: type[msgspec.Struct] | None = None
    #: Statuses of errors besides those that follow from the rest.
    errors: tuple[int, ...] = ()
