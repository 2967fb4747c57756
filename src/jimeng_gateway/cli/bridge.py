"""MCP on stdin and stdout: every request is passed on to the `/mcp` of a running gateway.

So the tools exist once, and this process needs neither the database nor an account. Both ends negotiate their
own version of the protocol. The gateway keeps nothing between messages, so each of them is asked by a client
of its own: one that finds no gateway fails alone, and the next may find it again.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx2
import msgspec
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel.server import Server
from mcp.server.stdio import stdio_server
from mcp.shared.dispatcher import ProgressFnT
from mcp_types import (
    CONNECTION_CLOSED,
    INTERNAL_ERROR,
    CallToolRequest,
    CallToolRequestParams,
    CallToolResult,
    ClientRequest,
    ListToolsRequest,
    ListToolsResult,
    PaginatedRequestParams,
    Result,
    TextContent,
)
from mcp_types.version import LATEST_MODERN_VERSION

from jimeng_gateway import __version__
from jimeng_gateway.cli.client import is_loopback
from jimeng_gateway.http.mcp_door.shapes import INSTRUCTIONS

R = TypeVar("R", bound=Result)

#: Silence after which a call has failed; the gateway may be as long about fetching references.
_SILENCE_S = 660.0
_CONNECT_S = 30.0
#: A call whose answer was lost may have spent credits.
_UNSURE = "What was asked for may be done all the same: look with list_jobs before you ask for it again."


class _Words(msgspec.Struct):
    code: str
    message: str


class _Refusal(msgspec.Struct):
    """What the gateway says of a message that it does not let in; errors of the protocol have numbers."""

    error: _Words


class _Refused(httpx2.HTTPError):
    """A message was not let in, and so nothing came of it."""


async def serve(base: str, key: str, language: str) -> None:
    """Passes messages on until stdin ends; `language` is a tag for Accept-Language."""
    headers = {"Authorization": f"Bearer {key}", "Accept-Language": language}
    async with _http(base, headers) as http, stdio_server() as (incoming, outgoing):
        server = _server(_Gateway(base, http))
        await server.run(incoming, outgoing, server.create_initialization_options())


def _http(base: str, headers: dict[str, str]) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(
        headers=headers,
        timeout=httpx2.Timeout(_CONNECT_S, read=_SILENCE_S),
        # As the other commands have it: the system's store or SSL_CERT_FILE, and no proxy to this machine.
        verify=ssl.create_default_context(),
        trust_env=not is_loopback(urlsplit(base).hostname or ""),
        event_hooks={"response": [_explain]},
    )


async def _explain(reply: httpx2.Response) -> None:
    """Says why a message was refused, where the SDK would say only that it was."""
    if reply.status_code < 400:
        return
    try:
        refusal = msgspec.json.decode(await reply.aread(), type=_Refusal)
    except msgspec.DecodeError:
        return
    raise _Refused(refusal.error.message)


@dataclass(frozen=True, slots=True)
class _Gateway:
    """Where messages are passed on to."""

    base: str
    http: httpx2.AsyncClient

    async def ask(self, request: ClientRequest, kind: type[R], report: ProgressFnT | None = None) -> R:
        """The result of a request; MCPError if there is none."""
        transport = streamable_http_client(f"{self.base}/mcp", http_client=self.http)
        failure = MCPError(CONNECTION_CLOSED, "the connection was lost")
        try:
            async with Client(transport, mode=LATEST_MODERN_VERSION, cache=None) as client:
                try:
                    return await client.session.send_request(request, kind, progress_callback=report)
                except MCPError as error:
                    failure = error
        except* httpx2.HTTPError as errors:
            failure = self._failure(_first(errors))
        raise failure

    def _failure(self, error: BaseException) -> MCPError:
        why = str(error) or type(error).__name__
        if isinstance(error, _Refused):
            return MCPError(INTERNAL_ERROR, why)
        if isinstance(error, (httpx2.ConnectError, httpx2.ConnectTimeout)):
            return MCPError(INTERNAL_ERROR, f"{self.base} cannot be reached: {why}")
        return MCPError(CONNECTION_CLOSED, f"the connection to {self.base} was lost: {why}")


def _first(errors: BaseExceptionGroup[Any]) -> BaseException:
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _server(gateway: _Gateway) -> Server[Any]:
    async def list_tools(
        _context: ServerRequestContext[Any], params: PaginatedRequestParams | None
    ) -> ListToolsResult:
        cursor = params.cursor if params else None
        return await gateway.ask(
            ListToolsRequest(params=PaginatedRequestParams(cursor=cursor)), ListToolsResult
        )

    async def call_tool(context: ServerRequestContext[Any], params: CallToolRequestParams) -> CallToolResult:
        request = CallToolRequest(params=CallToolRequestParams(name=params.name, arguments=params.arguments))
        try:
            return await gateway.ask(request, CallToolResult, context.session.report_progress)
        except MCPError as error:
            # Where the model can read it: it may have to tell its user to start the gateway.
            told = f"The gateway: {error}"
            if error.code == CONNECTION_CLOSED:
                told = f"{told}\n{_UNSURE}"
            return CallToolResult(content=[TextContent(text=told)], is_error=True)

    return Server(
        "jimeng-gateway",
        version=__version__,
        instructions=INSTRUCTIONS,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )
