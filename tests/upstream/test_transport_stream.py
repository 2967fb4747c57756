"""Bodies in pieces: sent as they are, never to another place, never waiting for ever."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from support.aio import run
from upstream.servers import Request, reply, serving

from jimeng_gateway.domain.errors import ErrorKind, UpstreamFailure
from jimeng_gateway.upstream.transport import Timeouts, Transport

LENGTH = {"Content-Length": "6", "Authorization": "SpaceKey/x"}


async def pieces() -> AsyncIterator[bytes]:
    for piece in (b"ab", b"", b"cdef"):
        yield piece


def test_the_length_is_announced_and_nothing_is_chunked() -> None:
    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(reply('{"code":2000}'))

    async def main() -> None:
        async with serving(handler) as server:
            transport = Transport(Timeouts())
            answer = await transport.stream(f"{server.url}/upload/v1/a%20b", LENGTH, pieces())
            await transport.close()
        assert (answer.status, answer.body) == (200, b'{"code":2000}')
        [seen] = server.requests
        assert (seen.body, seen.target) == (b"abcdef", "/upload/v1/a%20b")
        assert seen.headers["content-length"] == "6"
        assert "transfer-encoding" not in seen.headers
        assert "cookie" not in seen.headers

    run(main())


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "307 Temporary Redirect"])
def test_a_redirect_is_an_answer_and_not_followed(status: str) -> None:
    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(reply("", status, "Location: http://127.0.0.1:1/else"))

    async def main() -> None:
        async with serving(handler) as server:
            transport = Transport(Timeouts())
            streamed = await transport.stream(f"{server.url}/upload/v1/x", LENGTH, pieces())
            fetched = await transport.fetch(f"{server.url}/?Action=ApplyImageUpload", {})
            await transport.close()
        assert streamed.status == fetched.status == int(status[:3])
        assert len(server.requests) == 2

    run(main())


def test_a_store_that_goes_silent_is_given_up() -> None:
    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    async def main() -> None:
        async with serving(handler) as server:
            transport = Transport(Timeouts(idle=0.2))
            with pytest.raises(UpstreamFailure) as caught:
                await transport.stream(f"{server.url}/upload/v1/x", LENGTH, pieces())
            await transport.close()
        assert caught.value.failure.kind is ErrorKind.TIMEOUT

    run(main())


def test_a_store_that_hangs_up_is_named() -> None:
    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async def main() -> None:
        async with serving(handler) as server:
            transport = Transport(Timeouts())
            with pytest.raises(UpstreamFailure) as caught:
                await transport.stream(f"{server.url}/upload/v1/x", LENGTH, pieces())
            await transport.close()
        assert caught.value.failure.kind is ErrorKind.NETWORK

    run(main())
