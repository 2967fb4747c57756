"""Calls the application in process, and holds every single reply against its own OpenAPI document."""

from __future__ import annotations

import asyncio
import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jsonschema
from http_fake import ADMIN, FakeGateway
from starlette.applications import Starlette
from starlette.routing import Match, Route

from jimeng_gateway.domain.addresses import AllowedHosts
from jimeng_gateway.domain.reference import Reference
from jimeng_gateway.egress import Egress
from jimeng_gateway.http.endpoint import Limits
from jimeng_gateway.http.openapi import document
from jimeng_gateway.http.routes import ROUTES
from jimeng_gateway.http.server import create_app
from jimeng_gateway.intake import Intake
from jimeng_gateway.store.spool import Spool

NOW = 1_790_000_000_500


class HandClock:
    """A clock that moves only when it is told to."""

    def __init__(self, now: int = NOW) -> None:
        self._now = now
        self._tick = asyncio.Event()
        self.asleep = asyncio.Event()

    def now(self) -> int:
        return self._now

    def monotonic(self) -> float:
        return self._now / 1000

    async def sleep(self, seconds: float) -> None:
        wake_at = self._now + seconds * 1000
        while self._now < wake_at:
            self.asleep.set()
            tick = self._tick
            await tick.wait()

    def advance(self, seconds: float) -> None:
        """Lets time pass."""
        self._now += int(seconds * 1000)
        self.asleep = asyncio.Event()
        tick, self._tick = self._tick, asyncio.Event()
        tick.set()


@dataclass
class Answer:
    """A whole reply."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        return self.json["error"]

    def header(self, name: str) -> str | None:
        found = [value for key, value in self.headers if key == name]
        assert len(found) <= 1, f"{name} is there {len(found)} times"
        return found[0] if found else None


@dataclass
class Exchange:
    """A request on its way; for tests that look at a reply while it goes on."""

    sent: asyncio.Queue[dict[str, Any]] = field(default_factory=asyncio.Queue)
    to_app: asyncio.Queue[dict[str, Any]] = field(default_factory=asyncio.Queue)
    task: asyncio.Task[None] | None = None

    async def next_body(self) -> bytes:
        message = await asyncio.wait_for(self.sent.get(), 5)
        assert message["type"] == "http.response.body", message
        return bytes(message["body"])

    def hang_up(self) -> None:
        self.to_app.put_nowait({"type": "http.disconnect"})


class Client:
    """Speaks for one caller."""

    def __init__(self, app: Starlette, token: str | None) -> None:
        self.app = app
        self.token = token

    def start(
        self,
        method: str,
        target: str,
        *,
        headers: Mapping[str, str] | list[tuple[str, str]] = (),
        body: bytes = b"",
        parts: list[bytes] | None = None,
    ) -> Exchange:
        """Begins a request. `parts` None: the body is complete; else the caller feeds the rest."""
        path, _, query = target.partition("?")
        pairs = list(headers.items()) if isinstance(headers, Mapping) else list(headers)
        raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in pairs]
        if self.token is not None and not any(name == b"authorization" for name, _ in raw):
            raw.append((b"authorization", f"Bearer {self.token}".encode()))
        if not any(name == b"host" for name, _ in raw):
            raw.append((b"host", b"gw.example:5100"))
        if body and not any(name == b"content-length" for name, _ in raw):
            raw.append((b"content-length", str(len(body)).encode()))
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": quote(path).encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": raw,
            "server": ("127.0.0.1", 5100),
            "client": ("127.0.0.1", 1),
            "state": {},
        }
        exchange = Exchange()
        if parts is None:
            exchange.to_app.put_nowait({"type": "http.request", "body": body, "more_body": False})
        for part in parts or ():
            exchange.to_app.put_nowait({"type": "http.request", "body": part, "more_body": True})

        async def send(message: dict[str, Any]) -> None:
            exchange.sent.put_nowait(message)

        exchange.task = asyncio.create_task(self.app(scope, exchange.to_app.get, send))
        return exchange

    async def call(self, method: str, target: str, **how: Any) -> Answer:
        """One request and its whole reply, which must be as the document says."""
        payload = how.pop("json", None)
        if payload is not None:
            how["body"] = json.dumps(payload).encode()
            how["headers"] = {"content-type": "application/json", **dict(how.get("headers", {}))}
        exchange = self.start(method, target, **how)
        assert exchange.task is not None
        await exchange.task
        start = exchange.sent.get_nowait()
        chunks = []
        while not exchange.sent.empty():
            chunks.append(exchange.sent.get_nowait()["body"])
        headers = [(name.decode(), value.decode("latin-1")) for name, value in start["headers"]]
        answer = Answer(start["status"], headers, b"".join(chunks))
        assert_documented(self.app, method, target.partition("?")[0], answer)
        return answer

    async def get(self, target: str, **how: Any) -> Answer:
        return await self.call("GET", target, **how)

    async def post(self, target: str, payload: Any = None, **how: Any) -> Answer:
        return await self.call("POST", target, json=payload, **how)

    def speaking(self, token: str | None) -> Client:
        """The same application for another caller."""
        return Client(self.app, token)


def form(*parts: tuple[str, str, bytes]) -> dict[str, Any]:
    """How to send a form of parts: (name, file name or empty, content)."""
    body = b""
    for name, filename, content in parts:
        file = f'; filename="{filename}"' if filename else ""
        body += f'--X\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'.encode()
        body += content + b"\r\n"
    return {"headers": {"content-type": "multipart/form-data; boundary=X"}, "body": body + b"--X--\r\n"}


def an_intake(folder: Path, *, largest: int = 1 << 20) -> Intake:
    """Takes references into a spool there; URLs may lead to this machine."""

    async def register(_: Reference) -> None:
        """There is no store to tell."""

    egress = Egress(AllowedHosts(("127.0.0.1",)))
    return Intake(Spool(folder / "spool"), egress, register, largest=largest)


def make(
    gateway: FakeGateway, *, public_url: str = "", limits: Limits | None = None, clock: Any = None
) -> Client:
    """An application over this gateway, with the admin calling."""
    app = create_app(
        gateway,  # type: ignore[arg-type]
        intake=an_intake(gateway.root),
        public_url=public_url,
        clock=clock or HandClock(),
        limits=limits,
    )
    return Client(app, ADMIN)


def documented_path(app: Starlette, path: str) -> str | None:
    """The path of the document that a request falls under."""
    for route in app.routes:
        assert isinstance(route, Route)
        if route.matches({"type": "http", "path": path, "method": "GET"})[0] is not Match.NONE:
            return route.path.replace(":path}", "}")
    return None


def closed(schema: Any) -> Any:
    """The schema without its leniency: an object has the properties that it declares and no others.

    What has neither a default nor to be there is left out on purpose (msgspec's UNSET).
    """
    if isinstance(schema, list):
        return [closed(entry) for entry in schema]
    if not isinstance(schema, dict):
        return schema
    strict = {name: closed(entry) for name, entry in schema.items()}
    if "properties" in strict:
        strict.setdefault("additionalProperties", False)
        declared = strict.get("required", [])
        strict["required"] = [
            name
            for name, entry in strict["properties"].items()
            if name not in ("image_urls", "video_url", "raw", "url", "b64_json")
            and (name in declared or "default" in entry)
        ]
    return strict


SEEN: set[tuple[str, str, int]] = set()


def assert_documented(app: Starlette, method: str, path: str, answer: Answer) -> None:
    """The status, the type and the body are those that the OpenAPI document names."""
    assert answer.header("x-request-id"), "every reply has a request id"
    described = document(ROUTES)
    template = documented_path(app, path)
    operation = described["paths"].get(template, {}).get("get" if method == "HEAD" else method.lower())
    if operation is None:
        assert answer.status in (401, 404, 405)
        validate(described, {"$ref": "#/components/schemas/ErrorBody"}, answer.json)
        return
    SEEN.add((method, str(template), answer.status))
    responses = operation["responses"]
    assert str(answer.status) in responses, f"{method} {template} answered {answer.status}: not documented"
    response = responses[str(answer.status)]
    if "$ref" in response:
        response = described["components"]["responses"][response["$ref"].rpartition("/")[2]]
    for name, _ in answer.headers:
        if name in ("location", "retry-after", "www-authenticate", "x-should-retry", "preference-applied"):
            assert name in {known.lower() for known in response["headers"]}, f"{name} is not documented"
    content = response.get("content", {})
    kind = (answer.header("content-type") or "").partition(";")[0]
    if not kind:
        assert not answer.body
        return
    assert kind in content or "*/*" in content, f"{kind} is not documented for {method} {template}"
    if kind == "application/json" and method != "HEAD":
        validate(described, content[kind]["schema"], answer.json)


def validate(described: dict[str, Any], schema: dict[str, Any], value: Any) -> None:
    """Holds a value against a schema of the document, with nothing undeclared let through."""
    components = closed(copy.deepcopy(described["components"]))
    jsonschema.Draft202012Validator({**schema, "components": components}).validate(value)
