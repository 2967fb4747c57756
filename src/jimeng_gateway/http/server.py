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

from jimeng_gateway.domain.errors import InvalidRequest, NotFound
from jimeng_gateway.domain.ports import Clock
from jimeng_gateway.gateway import Gateway
from jimeng_gateway.http.auth import identify
from jimeng_gateway.http.body import build, media_type, parse_json, read_body, read_query, shown
from jimeng_gateway.http.endpoint import Auth, Call, Endpoint, Limits, Service
from jimeng_gateway.http.errors import MethodNotAllowed
from jimeng_gateway.http.middleware import Guard
from jimeng_gateway.http.multipart import parse_form
from jimeng_gateway.http.routes import ROUTES

_JSON = "application/json"
_FORM = "multipart/form-data"

#: Names under which clients send reference media; they deserve a better answer than "unknown field".
_REFERENCES = frozenset(
    {
        "image",
        "images",
        "image_url",
        "image_urls",
        "file_paths",
        "filePaths",
        "input_reference",
        "reference_images",
    }
)


def create_app(
    gateway: Gateway,
    *,
    public_url: str,
    clock: Clock,
    limits: Limits | None = None,
    endpoints: Iterable[Endpoint] = ROUTES,
) -> Starlette:
    """The ASGI application. Its `state.service.closing` ends streams and waits when set (see serve.py)."""
    service = Service(gateway, clock, public_url, limits or Limits())
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
        if endpoint.body is not None:
            arguments["body"] = await _read(request, endpoint, endpoint.body, self._service.limits)
        response = await endpoint.handler(Call(self._service, request, caller), **arguments)
        await response(scope, receive, send)

    def _choose(self, method: str) -> Endpoint:
        found = self._endpoints.get("GET" if method == "HEAD" else method)
        if found is None:
            allowed = sorted({*self._endpoints, *(["HEAD"] if "GET" in self._endpoints else [])})
            raise MethodNotAllowed(method, allowed)
        return found


async def _read(
    request: Request, endpoint: Endpoint, struct: type[msgspec.Struct], limits: Limits
) -> msgspec.Struct:
    kind = media_type(request, (_JSON, _FORM) if endpoint.form else (_JSON,))
    limit = limits.form_bytes if kind == _FORM else limits.json_bytes
    raw = await read_body(request, limit=limit, seconds=limits.body_seconds)
    if kind == _FORM:
        values: dict[str, Any] = dict(parse_form(raw, request.headers["content-type"]))
    else:
        values = parse_json(raw)
    given = next((name for name in values if name.removesuffix("[]") in _REFERENCES), None)
    if given is not None:
        raise InvalidRequest(
            f"`{shown(given)}`: reference media are not supported in this version",
            param=shown(given),
            code="references_unsupported",
        )
    return build(values, struct, lenient=endpoint.lenient or kind == _FORM, what="field")
