"""Where the door meets the MCP SDK: one message in, its answer out. Imported by the first message only.

Each message gets a server of its own that knows its caller and ends with it. So no state of one caller is
ever near another's, a hang-up ends what was done for it, and nothing is left to be stopped with the process.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import msgspec
import structlog
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel.server import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INVALID_PARAMS,
    CallToolRequestParams,
    CallToolResult,
    ContentBlock,
    ImageContent,
    ListToolsResult,
    PaginatedRequestParams,
    ResourceLink,
    TextContent,
    ToolAnnotations,
)
from mcp_types import (
    Tool as ToolForm,
)
from starlette.types import Message, Receive, Scope, Send

from jimeng_gateway import __version__
from jimeng_gateway.domain.errors import GatewayError, Owner
from jimeng_gateway.http.body import build, shown, tidy
from jimeng_gateway.http.endpoint import Call
from jimeng_gateway.http.errors import error_body
from jimeng_gateway.http.mcp_door.offer import Offer
from jimeng_gateway.http.mcp_door.schemas import input_schema, output_schema
from jimeng_gateway.http.mcp_door.shapes import INSTRUCTIONS
from jimeng_gateway.http.mcp_door.telling import Told
from jimeng_gateway.http.mcp_door.tools import Tool, offer_for, offered

log = structlog.get_logger("jimeng_gateway.http")

#: The SDK is told what was checked already, and never the key.
_REPLACED = frozenset({b"accept", b"content-type", b"content-length", b"authorization"})
_STREAM = "text/event-stream"


async def answer(call: Call, message: bytes, scope: Scope, send: Send) -> None:
    """Answers one message. A client that does not take event streams gets JSON, and hears of no progress."""
    manager = StreamableHTTPSessionManager(
        app=server_for(call),
        json_response=_STREAM not in call.request.headers.get("accept", "").lower(),
        stateless=True,
        max_request_body_size=max(1, len(message)),
    )
    headers = [(name, value) for name, value in scope["headers"] if name not in _REPLACED]
    headers += [(b"accept", f"application/json, {_STREAM}".encode()), (b"content-type", b"application/json")]
    async with manager.run():
        await manager.handle_request(
            {**scope, "headers": headers}, _again(message, call.request.receive), _honest(send)
        )


def _again(message: bytes, receive: Receive) -> Receive:
    """Hands out a body that was read already, then whatever else comes."""
    read = False

    async def following() -> Message:
        nonlocal read
        if read:
            return await receive()
        read = True
        return {"type": "http.request", "body": message, "more_body": False}

    return following


def _honest(send: Send) -> Send:
    """Sends a 202, which has no body, without the type of one: some clients would parse it."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] == 202:
            headers = [pair for pair in message["headers"] if pair[0].lower() != b"content-type"]
            message = {**message, "headers": headers}
        await send(message)

    return sending


def server_for(call: Call) -> Server[Any]:
    """The tools of one caller."""

    async def list_tools(
        _context: ServerRequestContext[Any], _params: PaginatedRequestParams | None
    ) -> ListToolsResult:
        found = await offer_for(call)
        return ListToolsResult(tools=[_form(tool, found) for tool in offered(found)])

    async def call_tool(context: ServerRequestContext[Any], params: CallToolRequestParams) -> CallToolResult:
        return await _called(call, context, params)

    return Server(
        "jimeng-gateway",
        version=__version__,
        instructions=INSTRUCTIONS,
        # No tool takes arguments from headers.
        get_tool_input_schema=lambda _name: None,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )


def _form(tool: Tool, found: Offer) -> ToolForm:
    models = [one.name for one in found.models(tool.makes)] if tool.makes is not None else []
    return ToolForm(
        name=tool.name,
        title=tool.title,
        description=tool.describe(found),
        input_schema=input_schema(tool.arguments, models),
        output_schema=output_schema(tool.result),
        annotations=ToolAnnotations(
            title=tool.title,
            read_only_hint=tool.hints.read_only,
            destructive_hint=tool.hints.destructive,
            idempotent_hint=tool.hints.idempotent,
            open_world_hint=tool.makes is not None,
        ),
    )


async def _called(
    call: Call, context: ServerRequestContext[Any], params: CallToolRequestParams
) -> CallToolResult:
    """Runs a tool. What goes wrong is told as its result, where the model can read it."""
    try:
        found = offered(await offer_for(call))
        tool = next((tool for tool in found if tool.name == params.name), None)
        if tool is None:
            raise MCPError(INVALID_PARAMS, f"there is no tool {shown(params.name)}")
        arguments = _arguments(tool, params.arguments or {})
        return _result(await tool.run(call, arguments, context.session.report_progress))
    except MCPError:
        raise
    except GatewayError as error:
        if error.owner is Owner.GATEWAY:
            log.warning("tool not served", request_id=call.request_id, tool=params.name, error=str(error))
        return _refusal(call, error)
    except Exception:
        log.exception("tool failed", request_id=call.request_id, tool=params.name)
        return _refusal(call, GatewayError("the gateway failed to answer; its log has the details"))


def _arguments(tool: Tool, given: Mapping[str, Any]) -> msgspec.Struct:
    values = {name: tidy(value, name) for name, value in given.items() if value is not None}
    return build(values, tool.arguments, lenient=True, what="argument")


def _result(told: Told) -> CallToolResult:
    content: list[ContentBlock] = [TextContent(text=told.text)]
    content += [
        ResourceLink(uri=link.url, name=link.name, mime_type=link.media_type, size=link.size)
        for link in told.links
    ]
    content += [
        ImageContent(data=base64.b64encode(picture.data).decode(), mime_type=picture.media_type)
        for picture in told.pictures
    ]
    return CallToolResult(content=content, structured_content=msgspec.to_builtins(told.body))


def _refusal(call: Call, error: GatewayError) -> CallToolResult:
    """An error in words; what looks like a result of the tool would be held against its schema."""
    told = error_body(error, call.request_id, call.language).error
    advice = (
        "The same call may succeed later." if error.retryable else "Change the call before you repeat it."
    )
    return CallToolResult(
        content=[TextContent(text=f"{told.code}: {told.message}\n{advice}")],
        is_error=True,
    )
