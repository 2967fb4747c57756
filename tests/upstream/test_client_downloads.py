"""Results: fetched without cookies, from the site's hosts or from the address that stands for them."""

from __future__ import annotations

import asyncio
import gzip

import pytest
from support.aio import run
from upstream.servers import Handler, Request, client, reply, serving

from jimeng_gateway.domain.errors import ErrorKind, Failure, UpstreamFailure
from jimeng_gateway.upstream.client import HttpUpstream
from jimeng_gateway.upstream.transport import Timeouts

PNG = b"\x89PNG" + bytes(range(256)) * 2000


def raw(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def sending(*answers: bytes) -> Handler:
    left = list(answers)

    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(left.pop(0))

    return handler


async def fetch(upstream: HttpUpstream, url: str) -> bytes:
    async with upstream.download(url) as opened:
        return b"".join([chunk async for chunk in opened.chunks])


async def failure_of(upstream: HttpUpstream, url: str) -> Failure:
    with pytest.raises(UpstreamFailure) as caught:
        await fetch(upstream, url)
    return caught.value.failure


def test_a_file_with_its_type_and_length() -> None:
    async def main() -> None:
        handler = sending(raw(PNG, "200 OK", "Content-Type: image/png"))
        async with serving(handler) as server, client(server.url) as upstream:
            url = "https://p3-dreamina-sign.byteimg.com/a~b:0:0.png?x-expires=1&x-signature=a%2Bb%3D"
            async with upstream.download(url) as opened:
                assert (opened.media_type, opened.length) == ("image/png", len(PNG))
                chunks = [chunk async for chunk in opened.chunks]
            assert b"".join(chunks) == PNG
            assert all(64 * 1024 <= len(chunk) <= 1024 * 1024 for chunk in chunks[:-1])
            (request,) = server.requests
            # The signature arrives as it was given.
            assert request.target == "/a~b:0:0.png?x-expires=1&x-signature=a%2Bb%3D"
            assert "cookie" not in request.headers
            assert request.headers["referer"] == "https://jimeng.jianying.com/"
            assert request.headers["accept-encoding"] == "identity"
            assert request.headers["host"] == f"127.0.0.1:{server.port}"

    run(main())


def test_an_encoding_that_nobody_asked_for_is_undone() -> None:
    async def main() -> None:
        handler = sending(raw(gzip.compress(PNG), "200 OK", "Content-Encoding: gzip"))
        async with (
            serving(handler) as server,
            client(server.url) as upstream,
            upstream.download(f"{server.url}/x") as opened,
        ):
            assert opened.length is None
            assert b"".join([chunk async for chunk in opened.chunks]) == PNG

    run(main())


def test_only_the_sites_own_hosts_are_replaced() -> None:
    async def main() -> None:
        async with (
            serving(sending(raw(b"file"), raw(b"file"))) as cdn,
            client("http://127.0.0.1:9") as upstream,
        ):
            assert await fetch(upstream, f"{cdn.url}/x") == b"file"
        async with client("http://127.0.0.1:9") as upstream:
            for host in ("v9-artist.vlabvod.com", "jimeng.jianying.com", "byteimg.com"):
                assert (await failure_of(upstream, f"https://{host}/x")).code == "connect_refused"

    run(main())


def test_a_few_redirects_are_followed() -> None:
    async def main() -> None:
        answers = (
            raw(b"", "302 Found", "Location: /second?a=%2F"),
            raw(b"", "307 Temporary Redirect", "Location: https://v3-artist.vlabvod.com/third"),
            raw(b"file"),
        )
        async with serving(sending(*answers)) as server, client(server.url) as upstream:
            assert await fetch(upstream, f"{server.url}/first") == b"file"
            assert [request.target for request in server.requests] == ["/first", "/second?a=%2F", "/third"]

    run(main())


def test_endless_redirects_end() -> None:
    async def main() -> None:
        answers = [raw(b"", "302 Found", "Location: /again")] * 5
        async with serving(sending(*answers)) as server, client(server.url) as upstream:
            assert (await failure_of(upstream, f"{server.url}/x")).code == "too_many_redirects"
            assert len(server.requests) == 4

    run(main())


@pytest.mark.parametrize("location", ["file:///etc/passwd", "ftp://x/", "http://[", ""])
def test_redirects_to_nowhere_are_refused(location: str) -> None:
    async def main() -> None:
        answers = [raw(b"", "302 Found", f"Location: {location}")] * 4
        async with serving(sending(*answers)) as server, client(server.url) as upstream:
            assert (await failure_of(upstream, f"{server.url}/x")).code in (
                "invalid_url",
                "too_many_redirects",
            )

    run(main())


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://x/y", "", "/path", "http://", "http://[", "https://a:b:c/"]
)
def test_only_web_addresses_are_fetched(url: str) -> None:
    async def main() -> None:
        async with client("http://127.0.0.1:9") as upstream:
            assert (await failure_of(upstream, url)).code == "invalid_url"

    run(main())


@pytest.mark.parametrize("status", ["403 Forbidden", "404 Not Found", "500 Oops", "206 Partial Content"])
def test_another_status_is_no_file(status: str) -> None:
    async def main() -> None:
        async with serving(sending(raw(b"no", status))) as server, client(server.url) as upstream:
            failure = await failure_of(upstream, f"{server.url}/x")
            assert (failure.kind, failure.code) == (ErrorKind.UPSTREAM_ERROR, f"http_{status[:3]}")

    run(main())


def test_a_file_that_breaks_off_is_an_error() -> None:
    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf")
        writer.close()

    async def main() -> None:
        async with serving(handler) as server, client(server.url) as upstream:
            failure = await failure_of(upstream, f"{server.url}/x")
            assert (failure.kind, failure.code) == (ErrorKind.NETWORK, "incomplete_body")

    run(main())


def test_a_file_that_stands_still_is_given_up() -> None:
    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf")

    async def main() -> None:
        async with serving(handler) as server, client(server.url, Timeouts(idle=0.2)) as upstream:
            failure = await failure_of(upstream, f"{server.url}/x")
            assert (failure.kind, failure.code) == (ErrorKind.TIMEOUT, "read_timeout")

    run(main())


def test_an_error_of_the_reader_stays_its_own() -> None:
    async def main() -> None:
        async with serving(sending(reply("file"))) as server, client(server.url) as upstream:
            with pytest.raises(OSError, match="disk full"):
                async with upstream.download(f"{server.url}/x"):
                    raise OSError("disk full")

    run(main())
