"""The MCP door on a socket, over the real gateway, and clients of both generations of the protocol."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from jimeng_gateway.app import Parts, open_parts, worker_of
from jimeng_gateway.http.endpoint import Limits, Service
from jimeng_gateway.http.serve import Server
from jimeng_gateway.http.server import create_app
from jimeng_gateway.settings import Settings
from jimeng_gateway.simulator import Simulator, SimulatorOptions
from jimeng_gateway.work.lease import Lease

ADMIN = "gw_" + "a" * 32
#: A bare session id as the site makes them.
LOGIN = "0123456789abcdef0123456789abcdef"
#: Of the protocol: without sessions, and with the handshake.
GENERATIONS = ("2026-07-28", "legacy")


@dataclass(frozen=True, slots=True)
class Desk:
    """A gateway that answers at `url`."""

    url: str
    parts: Parts
    service: Service

    async def key(self, name: str = "somebody") -> str:
        """A new key that is no admin's."""
        return (await self.parts.gateway.create_key(name))[1]

    @asynccontextmanager
    async def client(self, key: str = ADMIN, mode: str = GENERATIONS[0]) -> AsyncIterator[Client]:
        """A client of the SDK with this key."""
        async with (
            httpx2.AsyncClient(headers={"Authorization": f"Bearer {key}"}, timeout=30) as http,
            Client(streamable_http_client(f"{self.url}/mcp", http_client=http), mode=mode) as client,
        ):
            yield client


@asynccontextmanager
async def served(
    folder: Path,
    upstream_url: str = "http://127.0.0.1:9",
    *,
    port: int = 0,
    limits: Limits | None = None,
    **changes: Any,
) -> AsyncIterator[Desk]:
    """A gateway without a worker: its jobs stay queued."""
    settings = Settings(
        data_dir=folder,
        admin_token=ADMIN,
        upstream_url=upstream_url,
        submit_route="direct",
        poll_image_first=0.2,
        poll_image_every=0.1,
        **changes,
    )
    async with open_parts(settings) as parts:
        app = create_app(
            parts.gateway,
            intake=parts.intake,
            public_url=settings.public_url,
            clock=parts.clock,
            limits=limits,
        )
        server = Server(app, host="127.0.0.1", port=port, grace_seconds=2)
        await server.start()
        try:
            yield Desk(server.url, parts, app.state.service)
        finally:
            await server.stop()


@asynccontextmanager
async def working(folder: Path, speed: float = 60) -> AsyncIterator[Desk]:
    """The same with a worker, a session and a site."""
    with Simulator(SimulatorOptions(speed=speed)) as site:
        async with served(folder, site.base_url) as desk:
            await desk.parts.gateway.add_session(credential=LOGIN, label="mine")
            lease = Lease(desk.parts.db, desk.parts.clock, length=30_000, alone=True)
            await lease.enter()
            worker = worker_of(desk.parts, lease)
            task = asyncio.create_task(worker.run())
            try:
                yield desk
            finally:
                await worker.stop(task, 2)


def message(method: str, params: dict[str, Any] | None = None) -> tuple[dict[str, Any], dict[str, str]]:
    """A request of the 2026-07-28 protocol as bare JSON, and the headers that go with it."""
    version = "2026-07-28"
    meta = {
        "io.modelcontextprotocol/protocolVersion": version,
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    params = {**(params or {}), "_meta": meta}
    headers = {
        "mcp-protocol-version": version,
        "mcp-method": method,
        "accept": "application/json, text/event-stream",
    }
    if "name" in params:
        headers["mcp-name"] = params["name"]
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}, headers
