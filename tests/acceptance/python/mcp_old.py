"""An MCP client of the protocols before 2026: by handshake, at the same address (clients.md 9.1)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client
from mcp_steps import declare
from steps import is_, main


@dataclass(frozen=True)
class Old:
    session: ClientSession

    async def tools(self) -> dict[str, Any]:
        listed = (await self.session.list_tools()).tools
        return {
            tool.name: {
                "description": tool.description,
                "output_schema": tool.outputSchema,
                "read_only": tool.annotations and tool.annotations.readOnlyHint,
            }
            for tool in listed
        }

    async def call(self, name: str, arguments: dict[str, Any], progress: Any = None) -> Any:
        found = await self.session.call_tool(name, arguments, progress_callback=progress)
        return found.isError, found.structuredContent, found.content


@asynccontextmanager
async def connect(url: str, key: str) -> AsyncIterator[Old]:
    headers = {"Authorization": f"Bearer {key}"}
    async with (
        httpx.AsyncClient(headers=headers, timeout=60) as http,
        streamable_http_client(url, http_client=http) as (read, write, _),
        ClientSession(read, write) as session,
    ):
        is_((await session.initialize()).protocolVersion, "2025-11-25")
        yield Old(session)


declare(connect)

if __name__ == "__main__":
    main()
