"""Puts the application together: the route table behind one guard, each path dispatching on its method."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from jimeng_gateway.domain.errors import NotFound
from jimeng_gateway.domain.ports import Clock
from jimeng_gateway.domain.reference import Reference
from jimeng_gateway.gateway import Caller, Gateway
from jimeng_gateway.http.auth import identify
from jimeng_gateway.http.body import build, media_type, parse_json, read_body, read_query
from jimeng_gateway.http.endpoint import Auth, Call, Endpoint, Limits, Service
from jimeng_gateway.http.errors import MethodNotAllowed
from jimeng_gateway.http.givens import FIELDS
from jimeng_gateway.http.middleware import Guard
from jimeng_gateway.http.references import read_json, read_multipart, within
from jimeng_gateway.http.room import Room
from jimeng_gateway.http.routes import ROUTES
from jimeng_gateway.intake import Intake

_JSON = "application/json"
_FORM = "multipart/form-data"


def create_app(
    gateway: Gateway,
    *,
    intake: Intake,
    public_url: str,
    clock: Clock,
    limits: Limits | None = None,
    endpoints: Iterable[Endpoint] = ROUTES,
) -> Starlette:
    """The ASGI application. Its `state.service.closing` ends streams and waits when set (see serve.py)."""
    limits = limits or Limits()
    room = Room(limits.large_bodies_bytes, seconds=limits.room_seconds)
    service = Service(gateway, intake, clock, public_url, limits, room)
    paths: dict[str, dict[str, Endpoint]] = {}
    for endpoint in endpoints:
        paths.setdefault(endpoint.path, {})[endpoint.method] = endpoint
    routes = [Route(path, PathApp(service, methods)) for path, methods in paths.items()]
    middleware = [Middleware(Guard, clock=clock)]
    app = Starlette(routes=routes, middleware=middleware)
    app.router.redirect_slashes = False
    app.router.default = _not_found
    app.state.service = service
    return app


async def _not_found(scope: Scope, _receive: Receive, _send: Send) -> None:
    if scope["type"] == "http":
        raise NotFound("there is no such route", code="route_not_found")


class PathApp:
    """Everything under one path: chooses the endpoint, finds out who calls, reads what was sent, answers."""

    def __init__(self, service: Service, endpoints: dict[str, Endpoint]) -> None:
        self._service = service
        self._endpoints = endpoints

    @property
    def endpoints(self) -> dict[str, Endpoint]:
        """By method."""
        return self._endpoints

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        endpoint = self._choose(scope["method"])
        request = Request(scope, receive)
        caller = await identify(endpoint.auth, request, self._service.gateway)
        arguments: dict[str, Any] = {}
        if endpoint.query is not None:
            strict = endpoint.auth is not Auth.LINK
            arguments["query"] = read_query(request, endpoint.query, strict=strict)
        references: tuple[Reference, ...] = ()
        if endpoint.body is not None:
            arguments["body"], references = await self._read(request, endpoint, endpoint.body, caller)
        call = Call(self._service, request, caller, references)
        response = await endpoint.handler(call, **arguments)
        await response(scope, receive, send)

    async def _read(
        self, request: Request, endpoint: Endpoint, struct: type[msgspec.Struct], caller: Caller | None
    ) -> tuple[msgspec.Struct, tuple[Reference, ...]]:
        kind = media_type(request, (_JSON, _FORM) if endpoint.references else (_JSON,))
        if not endpoint.references or caller is None:
            limits = self._service.limits
            raw = await read_body(request, limit=limits.json_bytes, seconds=limits.body_seconds)
            return build(parse_json(raw), struct, lenient=endpoint.lenient, what="field"), ()
        reading = (read_multipart if kind == _FORM else read_json)(request, self._service, caller)
        sent = await within(self._service.limits.intake_seconds, reading)
        lenient = endpoint.lenient or kind == _FORM
        body = build(sent.values, struct, lenient=lenient, what="field", also=FIELDS)
        return body, sent.references

    def _choose(self, method: str) -> Endpoint:
        found = self._endpoints.get("GET" if method == "HEAD" else method)
        if found is None:
            allowed = sorted({*self._endpoints, *(["HEAD"] if "GET" in self._endpoints else [])})
            raise MethodNotAllowed(method, allowed)
        return found
