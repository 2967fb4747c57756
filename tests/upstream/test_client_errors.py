"""Networks that fail: by the type of the failure we know whether a submit may have been read.

Real sockets, no pretended exceptions: what the HTTP library raises is the very thing under test.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from multidict import CIMultiDict, CIMultiDictProxy
from support.aio import run
from support.wire import an_identity, an_order
from upstream.servers import Request, answering, client, reply, serving
from yarl import URL

from jimeng_gateway.domain.errors import Acceptance, ErrorKind, Failure, UpstreamFailure
from jimeng_gateway.domain.intake import Wish
from jimeng_gateway.upstream.client import HttpUpstream
from jimeng_gateway.upstream.transport import Timeouts, network_failure, proxy_for

ME = an_identity()
ORDER = an_order(Wish("a"))
OK = '{"ret":"0","data":{}}'


async def submit_failure(upstream: HttpUpstream) -> Failure:
    with pytest.raises(UpstreamFailure) as caught:
        await upstream.submit(ME, ORDER)
    return caught.value.failure


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def test_a_refused_connection_was_never_sent() -> None:
    async def main() -> None:
        async with client(f"http://127.0.0.1:{closed_port()}") as upstream:
            failure = await submit_failure(upstream)
            assert (failure.kind, failure.code, failure.acceptance) == (
                ErrorKind.NETWORK,
                "connect_refused",
                Acceptance.NO,
            )

    run(main())


def test_an_unknown_host_was_never_asked() -> None:
    async def main() -> None:
        async with client("http://no-such-host.invalid", Timeouts(connect=10)) as upstream:
            failure = await submit_failure(upstream)
            assert (failure.code, failure.acceptance) == ("dns_error", Acceptance.NO)

    run(main())


def test_a_connection_that_is_not_made_in_time_was_never_used() -> None:
    # A listener whose backlog is full leaves further connections unanswered.
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        fillers = []
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
            fillers.append(filler)

        async def main() -> None:
            async with client(f"http://127.0.0.1:{port}", Timeouts(connect=0.3, submit=5)) as upstream:
                failure = await submit_failure(upstream)
                assert (failure.code, failure.acceptance) == ("connect_timeout", Acceptance.NO)

        try:
            run(main())
        finally:
            for filler in fillers:
                filler.close()


def test_tls_that_fails_was_never_used() -> None:
    async def no_tls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async def main() -> None:
        listener = await asyncio.start_server(no_tls, "127.0.0.1", 0)
        port = listener.sockets[0].getsockname()[1]
        async with listener, client(f"https://127.0.0.1:{port}") as upstream:
            failure = await submit_failure(upstream)
            assert (failure.code, failure.acceptance) == ("tls_error", Acceptance.NO)

    run(main())


def test_a_connection_closed_without_an_answer_leaves_the_submit_open() -> None:
    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async def main() -> None:
        async with serving(handler) as server, client(server.url) as upstream:
            failure = await submit_failure(upstream)
            assert (failure.kind, failure.code, failure.acceptance) == (
                ErrorKind.NETWORK,
                "disconnected",
                Acceptance.UNKNOWN,
            )
            assert len(server.requests) == 1

    run(main())


def test_a_reset_leaves_the_submit_open() -> None:
    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    async def main() -> None:
        async with serving(handler) as server, client(server.url) as upstream:
            failure = await submit_failure(upstream)
            assert failure.kind is ErrorKind.NETWORK
            assert failure.code in ("connection_reset", "disconnected")
            assert failure.acceptance is Acceptance.UNKNOWN
            assert len(server.requests) == 1

    run(main())


def test_an_answer_that_breaks_off_leaves_the_submit_open() -> None:
    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"ret":"0"')
        writer.close()

    async def main() -> None:
        async with serving(handler) as server, client(server.url) as upstream:
            failure = await submit_failure(upstream)
            assert (failure.code, failure.acceptance) == ("incomplete_body", Acceptance.UNKNOWN)

    run(main())


def test_a_submit_is_never_repeated_and_never_uses_a_kept_connection() -> None:
    """The server closes the connection of a submit unanswered, as a dying keep-alive does."""

    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        if "get_history" in request.target or len(seen) > 1:
            writer.write(reply(OK))
        seen.append(request.target)
        if "generate" in request.target:
            writer.close()

    seen: list[str] = []

    async def main() -> None:
        async with serving(handler) as server, client(server.url) as upstream:
            await upstream.records(ME, submit_ids=["a"])
            assert server.connections == 1
            failure = await submit_failure(upstream)
            assert (failure.code, failure.acceptance) == ("disconnected", Acceptance.UNKNOWN)
            assert server.connections == 2
            submits = [target for target in seen if "aigc_draft/generate" in target]
            assert len(submits) == 1
            # The next one opens a connection of its own again.
            await upstream.submit(ME, ORDER)
            assert server.connections == 3

    run(main())


def test_a_poll_survives_a_kept_connection_that_the_server_closed() -> None:
    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        count.append(1)
        if len(count) == 2:
            writer.close()  # the kept connection dies under the second request
        else:
            writer.write(reply(OK))

    count: list[int] = []

    async def main() -> None:
        async with serving(handler) as server, client(server.url) as upstream:
            assert await upstream.records(ME, submit_ids=["a"]) == {}
            assert await upstream.records(ME, submit_ids=["a"]) == {}
            assert (len(server.requests), server.connections) == (3, 2)

    run(main())


def test_a_poll_does_not_try_for_ever() -> None:
    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async def main() -> None:
        async with serving(handler) as server, client(server.url) as upstream:
            with pytest.raises(UpstreamFailure) as caught:
                await upstream.records(ME, submit_ids=["a"])
            assert caught.value.failure.code == "disconnected"
            assert len(server.requests) == 2

    run(main())


def test_redirects_of_calls_are_not_followed() -> None:
    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(reply("", "302 Found", "Location: /elsewhere"))

    async def main() -> None:
        async with serving(handler) as server, client(server.url) as upstream:
            failure = await submit_failure(upstream)
            assert failure.code == "http_302"
            assert len(server.requests) == 1

    run(main())


def test_every_error_of_the_library_has_a_name() -> None:
    request = aiohttp.RequestInfo(URL("http://x"), "POST", CIMultiDictProxy(CIMultiDict()), URL("http://x"))
    errors: list[tuple[BaseException, str]] = [
        (aiohttp.ServerDisconnectedError(), "disconnected"),
        (aiohttp.ClientPayloadError(), "incomplete_body"),
        (aiohttp.ConnectionTimeoutError(), "connect_timeout"),
        (aiohttp.SocketTimeoutError(), "read_timeout"),
        (TimeoutError(), "read_timeout"),
        (aiohttp.ClientOSError(), "connection_reset"),
        (ConnectionResetError(), "network_error"),
        (aiohttp.InvalidURL("x"), "invalid_url"),
        (aiohttp.ClientResponseError(request, ()), "bad_http"),
        (aiohttp.ClientHttpProxyError(request, ()), "proxy_error"),
        (aiohttp.ClientError(), "network_error"),
        (ValueError(), "bad_http"),
        (RuntimeError(), "network_error"),
    ]
    assert [network_failure(error).failure.code for error, _ in errors] == [code for _, code in errors]


PROXIES = {
    "HTTPS_PROXY": "http://proxy:3128",
    "http_proxy": "proxy2:8080",
    "NO_PROXY": ".internal, direct.example",
}


@pytest.mark.parametrize(
    ("url", "environment", "proxy"),
    [
        ("https://jimeng.jianying.com/x", PROXIES, "http://proxy:3128"),
        ("http://jimeng.jianying.com/x", PROXIES, "http://proxy2:8080"),
        ("https://direct.example/x", PROXIES, None),
        ("https://a.direct.example/x", PROXIES, None),
        ("https://host.internal/x", PROXIES, None),
        ("https://notdirect.example.org/x", PROXIES, "http://proxy:3128"),
        ("https://x/", {"all_proxy": "http://p:1"}, "http://p:1"),
        ("https://x/", {"HTTPS_PROXY": "http://p:1", "no_proxy": "*"}, None),
        ("https://x/", {"HTTPS_PROXY": "http://upper:1", "https_proxy": "http://lower:1"}, "http://lower:1"),
        ("http://127.0.0.1:80/", {"http_proxy": "http://p:1"}, None),
        ("http://127.9.9.9/", {"http_proxy": "http://p:1"}, None),
        ("http://localhost/", {"http_proxy": "http://p:1"}, None),
        ("http://[::1]/", {"http_proxy": "http://p:1"}, None),
        ("https://x/", {}, None),
    ],
)
def test_proxies(url: str, environment: dict[str, str], proxy: str | None) -> None:
    assert proxy_for(URL(url), environment) == (URL(proxy) if proxy else None)


def test_a_proxy_that_cannot_be_used_is_named() -> None:
    with pytest.raises(UpstreamFailure) as caught:
        proxy_for(URL("https://x/"), {"ALL_PROXY": "socks5://p:1"})
    assert caught.value.failure.code == "proxy_error"
    assert caught.value.failure.acceptance is Acceptance.NO


def test_requests_go_through_the_proxy_with_its_login(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with serving(answering(OK)) as proxy:
            monkeypatch.setenv("http_proxy", f"http://user:pass@127.0.0.1:{proxy.port}")
            monkeypatch.delenv("no_proxy", raising=False)
            monkeypatch.delenv("NO_PROXY", raising=False)
            async with client("http://jimeng.example") as upstream:
                await upstream.submit(ME, ORDER)
            (request,) = proxy.requests
            assert request.target.startswith("http://jimeng.example/mweb/v1/aigc_draft/generate?")
            assert request.headers["proxy-authorization"] == "Basic dXNlcjpwYXNz"

    run(main())


def test_a_proxy_that_is_gone_was_never_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{closed_port()}")
    monkeypatch.setenv("no_proxy", "")

    async def main() -> None:
        async with client("http://jimeng.example") as upstream:
            failure = await submit_failure(upstream)
            assert (failure.code, failure.acceptance) == ("proxy_error", Acceptance.NO)

    run(main())


def self_signed(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    start = datetime(2020, 1, 1, tzinfo=UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=36500))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate, key_file = folder / "cert.pem", folder / "key.pem"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return certificate, key_file


def test_ssl_cert_file_is_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate, key = self_signed(tmp_path)
    server_side = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server_side.load_cert_chain(certificate, key)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(reply(OK, "200 OK", "Connection: close"))
        await writer.drain()
        writer.close()

    async def main() -> None:
        listener = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=server_side)
        port = listener.sockets[0].getsockname()[1]
        async with listener:
            async with client(f"https://127.0.0.1:{port}") as upstream:
                failure = await submit_failure(upstream)
                assert (failure.code, failure.acceptance) == ("tls_error", Acceptance.NO)
            monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
            async with client(f"https://127.0.0.1:{port}") as trusting:
                await trusting.submit(ME, ORDER)

    run(main())


@pytest.mark.parametrize(
    "raw",
    [
        reply(b"this is no gzip", "200 OK", "Content-Encoding: gzip"),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nnonsense\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcdefghi\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n{}",
        b"HTTP/1.1 999999 Odd\r\n\r\n",
        b"HTTP/9.9 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X-Long: " + b"a" * 100_000 + b"\r\n\r\n",
        b"\x00\x01\x02\r\n\r\n",
    ],
)
def test_broken_http_raises_nothing_but_our_error(raw: bytes) -> None:
    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(raw)
        writer.close()

    async def main() -> None:
        async with serving(handler) as server, client(server.url) as upstream:
            failure = await submit_failure(upstream)
            assert failure.acceptance is Acceptance.UNKNOWN
            with suppress(UpstreamFailure):
                async with upstream.download(f"{server.url}/x") as opened:
                    assert [chunk async for chunk in opened.chunks] == []

    run(main())
