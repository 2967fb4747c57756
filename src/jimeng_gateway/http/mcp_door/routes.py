"""The one route of the MCP door.

There are no sessions to open, listen to or end, so only POST exists: every message stands for itself, and a
client finds the same tools after a restart and behind any of several processes. Clients of the protocol up to
2025-11-25 take the 405 for "no stream from the server" and "no session to end", as it is meant there.
"""

from __future__ import annotations

from typing import Any

from jimeng_gateway.http.endpoint import Auth, Endpoint, Reply
from jimeng_gateway.http.mcp_door.door import converse

_JSON_RPC_ERROR = "A JSON-RPC error, or one of the gateway."

ROUTES: tuple[Endpoint, ...] = (
    Endpoint(
        method="POST",
        path="/mcp",
        handler=converse,
        auth=Auth.KEY,
        tag="mcp",
        summary="Model Context Protocol, streamable HTTP: one JSON-RPC message",
        exchange=True,
        replies=(
            Reply(200, "The JSON-RPC reply.", dict[str, Any]),
            Reply(200, "Notifications, then the reply.", None, "text/event-stream"),
            Reply(202, "A notification was taken.", None, ""),
            Reply(400, _JSON_RPC_ERROR, dict[str, Any]),
            Reply(404, _JSON_RPC_ERROR, dict[str, Any]),
        ),
        errors=(403,),
    ),
)
