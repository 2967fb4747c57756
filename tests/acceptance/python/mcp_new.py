"""The MCP client of the protocol of 2026-07-28: no handshake, no session (clients.md 9.1)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx2
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp_steps import declare
from steps import is_, main


@dataclass(frozen=True)
class New:
    client: Client

    async def tools(self) -> dict[str, Any]:
        listed = (await self.client.list_tools()).tools
        return {
            tool.name: {
                "description": tool.description,
                "output_schema": tool.output_schema,
                "read_only": tool.annotations and tool.annotations.read_only_hint,
            }
            for tool in listed
        }

    async def call(self, name: str, arguments: dict[str, Any], progress: Any = None) -> Any:
        found = await self.client.call_tool(name, arguments, progress_callback=progress)
        return found.is_error, found.structured_content, found.content


@asynccontextmanager
async def connect(url: str, key: str) -> AsyncIterator[New]:
    headers = {"Authorization": f"Bearer {key}"}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=60) as http,
        Client(streamable_http_client(url, http_client=http)) as client,
    ):
        is_(client.protocol_version, "2026-07-28")
        yield New(client)


declare(connect)

if __name__ == "__main__":
    main()
