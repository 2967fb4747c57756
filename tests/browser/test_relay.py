"""The relay by itself: what it passes, what it refuses, and the one connection of a submit."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from urllib.parse import urlsplit

import pytest
from support.aio import run

from jimeng_gateway.browser.relay import Ends, Relay, connect_request
from jimeng_gateway.browser.rules import Proxy

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def serving(serve: Serve) -> AsyncIterator[int]:
    """A server on a port of its own."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, EOFError):
            await serve(reader, writer)
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Sends lines back; "bye" ends it."""
    while (line := await reader.readline()) and line != b"bye\n":
        writer.write(line)


@contextlib.asynccontextmanager
async def relaying(proxy: Proxy | None = None) -> AsyncIterator[Relay]:
    """An open relay."""
    relay = Relay(proxy or Proxy())
    await relay.open()
    try:
        yield relay
    finally:
        await relay.close()


@contextlib.asynccontextmanager
async def through(relay: Relay, host: str, port: int) -> AsyncIterator[tuple[int, Ends]]:
    """The relay's reply code to a connection, and the connection."""
    own = urlsplit(relay.url)
    reader, writer = await asyncio.open_connection(own.hostname, own.port)
    try:
        writer.write(b"\x05\x01\x00")
        assert await reader.readexactly(2) == b"\x05\x00"
        name = host.encode()
        writer.write(b"\x05\x01\x00\x03" + bytes([len(name)]) + name + port.to_bytes(2, "big"))
        yield (await reader.readexactly(10))[1], (reader, writer)
    finally:
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def said(ends: Ends, line: bytes) -> bytes:
    ends[1].write(line)
    return await ends[0].readline()


def test_bytes_pass_both_ways() -> None:
    async def main() -> None:
        async with (
            serving(echo) as port,
            relaying() as relay,
            through(relay, "localhost", port) as (code, ends),
        ):
            assert code == 0
            assert await said(ends, b"hello\n") == b"hello\n"
            assert await said(ends, b"bye\n") == b""

    run(main())


def test_an_address_where_nobody_listens() -> None:
    async def main() -> None:
        async with serving(echo) as port:
            pass
        async with relaying() as relay, through(relay, "127.0.0.1", port) as (code, _):
            assert code == 4
            assert f"127.0.0.1:{port}" in relay.trouble

    run(main())


@pytest.mark.parametrize(
    "sent", [b"GET / HTTP/1.1\r\n\r\n", b"\x04\x01", b"\x05\x01\x02", b"\x05\x01\x00\x05\x02\x00\x01"]
)
def test_anything_but_a_connection_is_dropped(sent: bytes) -> None:
    async def main() -> None:
        async with relaying() as relay:
            own = urlsplit(relay.url)
            reader, writer = await asyncio.open_connection(own.hostname, own.port)
            writer.write(sent)
            with contextlib.suppress(ConnectionError):
                assert await reader.read() in (b"", b"\x05\x00")
            writer.transport.abort()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    run(main())


def test_reserving_cuts_what_stood_and_lets_one_through() -> None:
    async def main() -> None:
        async with contextlib.AsyncExitStack() as stack:
            port = await stack.enter_async_context(serving(echo))
            relay = await stack.enter_async_context(relaying())
            _, old = await stack.enter_async_context(through(relay, "127.0.0.1", port))
            lane = await relay.reserve("127.0.0.1", port)
            with contextlib.suppress(ConnectionError):
                assert await old[0].read() == b""
            assert not lane.carried
            code, fresh = await stack.enter_async_context(through(relay, "127.0.0.1", port))
            assert code == 0
            assert lane.carried
            assert await said(fresh, b"paid\n") == b"paid\n"
            waiting = asyncio.create_task(stack.enter_async_context(through(relay, "127.0.0.1", port)))
            # It has connected and asked, and gets no answer before the submit ends.
            done, _ = await asyncio.wait({waiting}, timeout=0.05)
            assert not done
            relay.release()
            code, after = await waiting
            assert code == 0
            assert await said(after, b"next\n") == b"next\n"

    run(main())


def test_a_broken_connection_is_not_replaced_during_a_submit() -> None:
    async def main() -> None:
        async with contextlib.AsyncExitStack() as stack:
            port = await stack.enter_async_context(serving(echo))
            relay = await stack.enter_async_context(relaying())
            lane = await relay.reserve("127.0.0.1", port)
            _, fresh = await stack.enter_async_context(through(relay, "127.0.0.1", port))
            waiting = asyncio.create_task(stack.enter_async_context(through(relay, "127.0.0.1", port)))
            done, _ = await asyncio.wait({waiting}, timeout=0.05)
            assert not done
            assert await said(fresh, b"bye\n") == b""
            code, _ = await waiting
            assert code == 2
            assert lane.broken
            # Nor later, as long as nobody has said that the submit was answered.
            code, _ = await stack.enter_async_context(through(relay, "127.0.0.1", port))
            assert code == 2
            relay.release()
            code, _ = await stack.enter_async_context(through(relay, "127.0.0.1", port))
            assert code == 0

    run(main())


def test_other_addresses_are_free_during_a_submit() -> None:
    async def main() -> None:
        async with serving(echo) as port, serving(echo) as other, relaying() as relay:
            lane = await relay.reserve("127.0.0.1", port)
            async with through(relay, "127.0.0.1", other) as (code, ends):
                assert code == 0
                assert await said(ends, b"x\n") == b"x\n"
            assert not lane.taken

    run(main())


def test_a_proxy_is_asked_with_its_login() -> None:
    asked: list[bytes] = []

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await echo(reader, writer)

    async def main() -> None:
        async with serving(proxy) as port:
            way = Proxy("127.0.0.1", port, user="me", password="pä:ss")
            async with relaying(way) as relay, through(relay, "site.example", 443) as (code, ends):
                assert code == 0
                assert await said(ends, b"tls\n") == b"tls\n"
        login = base64.b64encode("me:pä:ss".encode()).decode()
        assert asked == [
            f"CONNECT site.example:443 HTTP/1.1\r\nHost: site.example:443\r\n"
            f"Proxy-Authorization: Basic {login}\r\n\r\n".encode()
        ]

    run(main())


@pytest.mark.parametrize(
    ("answer", "trouble"),
    [(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "answered 407"), (b"", "speaks no HTTP")],
)
def test_a_proxy_that_refuses(answer: bytes, trouble: str) -> None:
    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)

    async def main() -> None:
        async with serving(proxy) as port, relaying(Proxy("127.0.0.1", port)) as relay:
            async with through(relay, "site.example", 443) as (code, _):
                assert code == 4
            assert trouble in relay.trouble

    run(main())


def test_an_ipv6_address_goes_in_brackets() -> None:
    assert connect_request(("::1", 443), Proxy("p", 1)).startswith(b"CONNECT [::1]:443 HTTP/1.1\r\n")
