"""Puts the application together: the route table behind one guard, each path dispatching on its method."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from jimeng_gateway.domain.errors import NotFound
from jimeng_gateway.domain.ports import Clock
from jimeng_gateway.gateway import Gateway
from jimeng_gateway.http.auth import identify
from jimeng_gateway.http.body import build, media_type, parse_json, read_body, read_query
from jimeng_gateway.http.endpoint import Auth, Call, Endpoint, Limits, Service
from jimeng_gateway.http.errors import MethodNotAllowed
from jimeng_gateway.http.middleware import Guard
from jimeng_gateway.http.room import Room
from jimeng_gateway.http.routes import ROUTES
from jimeng_gateway.http.spending import JSON, Spending
from jimeng_gateway.intake import Intake


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
        request = Request(scope, receive)
        endpoint = await self._choose(request)
        caller = await identify(endpoint.auth, request, self._service.gateway)
        if endpoint.order is not None:
            assert caller is not None
            now = self._service.clock.now()
            await Spending(self._service, endpoint, request, caller, now)(scope, receive, send)
            return
        call = Call(self._service, request, caller)
        response = await endpoint.handler(call, **await self._arguments(request, endpoint))
        await response(scope, receive, send)

    async def _arguments(self, request: Request, endpoint: Endpoint) -> dict[str, Any]:
        arguments: dict[str, Any] = {}
        if endpoint.query is not None:
            strict = endpoint.auth is not Auth.LINK
            arguments["query"] = read_query(request, endpoint.query, strict=strict)
        if endpoint.body is not None:
            media_type(request, (JSON,))
            limits = self._service.limits
            raw = await read_body(request, limit=limits.json_bytes, seconds=limits.body_seconds)
            arguments["body"] = build(parse_json(raw), endpoint.body, lenient=endpoint.lenient, what="field")
        return arguments

    async def _choose(self, request: Request) -> Endpoint:
        method = request.method
        found = self._endpoints.get("GET" if method == "HEAD" else method)
        if found is None:
            if all(endpoint.auth is not Auth.PUBLIC for endpoint in self._endpoints.values()):
                # One program tells good keys from bad ones by a 405 (clients.md 10.2).
                await identify(Auth.KEY, request, self._service.gateway)
            allowed = sorted({*self._endpoints, *(["HEAD"] if "GET" in self._endpoints else [])})
            raise MethodNotAllowed(method, allowed)
        return found
