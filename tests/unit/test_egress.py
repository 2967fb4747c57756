"""The guarded way out: a table of hostile addresses, and servers that must never hear from us."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.aio import run

from jimeng_gateway.domain.addresses import AllowedHosts, Verdict, classify
from jimeng_gateway.domain.errors import InvalidRequest
from jimeng_gateway.egress import LONGEST_URL, AddressRefused, Egress, Patience, Unreachable

HOSTILE = {
    "127.0.0.1": "loopback",
    "127.255.255.254": "loopback",
    "0.0.0.0": "unspecified",
    "0.1.2.3": "this network",
    "10.0.0.1": "private",
    "172.16.0.1": "private",
    "172.31.255.255": "private",
    "192.168.1.1": "private",
    "100.64.0.1": "carrier-grade NAT",
    "100.127.255.255": "carrier-grade NAT",
    "100.100.100.200": "metadata",
    "169.254.0.1": "link-local",
    "169.254.169.254": "metadata",
    "169.254.170.2": "metadata",
    "168.63.129.16": "metadata",
    "192.0.0.1": "reserved",
    "192.0.0.192": "metadata",
    "192.0.2.1": "documentation",
    "198.18.0.1": "benchmark",
    "198.19.255.255": "benchmark",
    "198.51.100.1": "documentation",
    "203.0.113.1": "documentation",
    "192.88.99.1": "6to4 relay",
    "224.0.0.1": "multicast",
    "239.255.255.255": "multicast",
    "240.0.0.1": "reserved",
    "255.255.255.255": "broadcast",
    "::": "unspecified",
    "::1": "loopback",
    "::2": "IPv4-compatible",
    "::7f00:1": "IPv4-compatible",
    "::ffff:127.0.0.1": "IPv4-mapped",
    "::ffff:8.8.8.8": "IPv4-mapped",
    "::ffff:0:127.0.0.1": "IPv4-translated",
    "64:ff9b::127.0.0.1": "NAT64",
    "64:ff9b::a9fe:a9fe": "NAT64",
    "64:ff9b:1::1": "NAT64",
    "100::1": "discard",
    "2001::1": "Teredo",
    "2001:0:7f00:1::": "Teredo",
    "2001:10::1": "reserved",
    "2001:db8::1": "documentation",
    "2002:7f00:1::": "6to4",
    "2002:a9fe:a9fe::1": "6to4",
    "3fff::1": "documentation",
    "5f00::1": "reserved",
    "fc00::1": "private",
    "fd00:ec2::254": "metadata",
    "fd12:3456::1": "private",
    "fe80::1": "link-local",
    "fec0::1": "site-local",
    "ff02::1": "multicast",
    "4000::1": "reserved",
    "2a00:1450:4001::5efe:7f00:1": "ISATAP",
    "fe80::1%eth0": "malformed",
    "2a00:1450::1%lo": "malformed",
    "127.1": "malformed",
    "0x7f000001": "malformed",
    "2130706433": "malformed",
    "example.com": "malformed",
    "": "malformed",
}
PUBLIC = ("8.8.8.8", "1.1.1.1", "172.15.0.1", "172.32.0.1", "100.63.0.1", "100.128.0.1", "169.253.0.1",
          "198.17.0.1", "223.255.255.255", "2a00:1450:4001:81b::200e", "2606:4700::1111")  # fmt: skip


@pytest.mark.parametrize(("address", "reason"), HOSTILE.items())
def test_hostile_addresses(address: str, reason: str) -> None:
    assert classify(address) == Verdict(False, reason)
    assert AllowedHosts().judge("example.com", 80, address) == Verdict(False, reason)


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses(address: str) -> None:
    assert classify(address) == Verdict(True, "public")


@given(st.ip_addresses(v=4))
def test_nothing_that_is_allowed_is_private_by_the_library(address: object) -> None:
    assert not (classify(str(address)).allowed and not address.is_global)  # type: ignore[attr-defined]


@given(st.ip_addresses(v=6))
def test_the_same_for_the_new_protocol(address: object) -> None:
    assert not (classify(str(address)).allowed and not address.is_global)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("entries", "host", "port", "address", "allowed"),
    [
        ("cdn.example.com", "cdn.example.com", 443, "8.8.8.8", True),
        ("cdn.example.com", "CDN.example.com.", 443, "8.8.8.8", True),
        ("cdn.example.com", "cdn.example.com", 443, "10.0.0.1", True),
        ("cdn.example.com", "cdn.example.com", 443, "127.0.0.1", True),
        ("cdn.example.com", "cdn.example.com", 443, "169.254.169.254", False),
        ("cdn.example.com", "cdn.example.com", 443, "169.254.0.1", False),
        ("cdn.example.com", "cdn.example.com", 443, "::ffff:10.0.0.1", False),
        ("cdn.example.com", "evil.com", 443, "8.8.8.8", False),
        ("cdn.example.com", "cdn.example.com.evil.com", 443, "8.8.8.8", False),
        ("cdn.example.com:443", "cdn.example.com", 80, "8.8.8.8", False),
        (".example.com", "a.b.example.com", 80, "8.8.8.8", True),
        ("*.example.com", "a.example.com", 80, "8.8.8.8", True),
        (".example.com", "badexample.com", 80, "8.8.8.8", False),
        ("127.0.0.1:5200", "127.0.0.1", 5200, "127.0.0.1", True),
        ("127.0.0.1:5200", "127.0.0.1", 5201, "127.0.0.1", False),
        ("127.0.0.1:5200", "rebound.example", 5200, "127.0.0.1", True),
        ("10.1.0.0/16", "store.internal", 80, "10.1.2.3", True),
        ("10.1.0.0/16", "store.internal", 80, "10.2.2.3", False),
        ("169.254.169.254", "169.254.169.254", 80, "169.254.169.254", True),
        ("[::1]:5200", "::1", 5200, "::1", True),
        ("[::1]:5200", "::1", 80, "::1", False),
        ("fd00::/8", "x", 80, "fd00::9", True),
        ("a.com,b.com", "b.com", 80, "8.8.8.8", True),
    ],
)
def test_listed_hosts(entries: str, host: str, port: int, address: str, allowed: bool) -> None:
    assert AllowedHosts.parse(entries).judge(host, port, address).allowed is allowed


@dataclass(slots=True)
class Server:
    """A web server on this machine that remembers who came."""

    replies: dict[str, bytes]
    requests: list[bytes] = field(default_factory=list)
    port: int = 0

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.requests.append(await reader.readuntil(b"\r\n\r\n"))
        path = self.requests[-1].split(b" ")[1].decode()
        writer.write(self.replies.get(path, b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"))
        await writer.drain()
        writer.close()


def ok(body: bytes, more: bytes = b"") -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n%s\r\n%s" % (len(body), more, body)


def redirect(to: str, status: int = 302) -> bytes:
    return b"HTTP/1.1 %d Go\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n" % (status, to.encode())


@asynccontextmanager
async def serving(replies: dict[str, bytes]) -> AsyncIterator[Server]:
    server = Server(replies)
    listener = await asyncio.start_server(server.answer, "127.0.0.1", 0)
    server.port = listener.sockets[0].getsockname()[1]
    async with listener:
        yield server


class Names:
    """A name server that gives its answers one after the other, the last one for ever."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def resolve(self, host: str, _: int) -> list[str]:
        self.asked.append(host)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


async def read(egress: Egress, url: str) -> bytes:
    async with egress.open(url) as chunks:
        return b"".join([chunk async for chunk in chunks])


LISTED = AllowedHosts(("127.0.0.1",))


def test_a_file_is_fetched_plainly() -> None:
    async def main() -> None:
        async with serving({"/a?b=1": ok(b"x" * 700_000, b"Set-Cookie: a=b\r\n")}) as server:
            url = f"http://127.0.0.1:{server.port}/a?b=1"
            egress = Egress(LISTED)
            assert await read(egress, url) == b"x" * 700_000
            assert await read(egress, url) == b"x" * 700_000
        head = server.requests[1].decode().lower()
        assert "user-agent: jimeng-gateway\r\n" in head
        assert "accept-encoding: identity\r\n" in head
        assert "cookie" not in head
        assert "authorization" not in head

    run(main())


def test_a_name_that_points_home_is_never_dialled() -> None:
    async def main() -> None:
        async with serving({"/": ok(b"secret")}) as server:
            url = f"http://innocent.example:{server.port}/"
            for addresses in (["127.0.0.1"], ["8.8.8.8", "127.0.0.1"], ["::1"], ["::ffff:127.0.0.1"]):
                with pytest.raises(AddressRefused, match=r"innocent\.example may not be fetched from"):
                    await read(Egress(resolve=Names(addresses).resolve), url)
        assert server.requests == []

    run(main())


def test_a_name_server_that_changes_its_mind_gains_nothing() -> None:
    """Public when it is judged, this machine when it is dialled: there is no second question."""

    async def main() -> None:
        async with serving({"/": ok(b"secret")}) as server:
            names = Names(["192.88.99.254"], ["127.0.0.1"])
            with pytest.raises(AddressRefused):
                await read(Egress(resolve=names.resolve), f"http://rebind.example:{server.port}/")
            # An address that passes is the one that is dialled: nobody is there, and nothing else is tried.
            names = Names(["127.0.0.2"], ["127.0.0.1"])
            egress = Egress(AllowedHosts(("127.0.0.2",)), resolve=names.resolve)
            with pytest.raises(Unreachable):
                await read(egress, f"http://rebind.example:{server.port}/")
            assert names.asked == ["rebind.example"]
        assert server.requests == []

    run(main())


def test_every_redirect_is_judged_again() -> None:
    async def main() -> None:
        async with serving({"/": ok(b"secret")}) as inner, serving({}) as outer:
            outer.replies |= {
                "/home": redirect(f"http://127.0.0.1:{inner.port}/"),
                "/name": redirect(f"http://home.example:{inner.port}/", 307),
                "/meta": redirect("http://169.254.169.254/latest", 301),
                "/file": redirect("file:///etc/passwd"),
                "/user": redirect(f"http://a:b@127.0.0.1:{outer.port}/"),
                "/nowhere": redirect("http://[/"),
                "/loop": redirect("/loop", 308),
                "/there": redirect("/here", 303),
                "/here": ok(b"fine"),
            }
            egress = Egress(AllowedHosts((f"127.0.0.1:{outer.port}",)), resolve=Names(["127.0.0.1"]).resolve)
            base = f"http://127.0.0.1:{outer.port}"
            assert await read(egress, f"{base}/there") == b"fine"
            for path in ("/home", "/name", "/meta", "/file", "/user"):
                with pytest.raises(AddressRefused):
                    await read(egress, base + path)
            for path in ("/loop", "/nowhere"):
                with pytest.raises(Unreachable):
                    await read(egress, base + path)
            assert sum(b"/loop" in request for request in outer.requests) == 4
        assert inner.requests == []

    run(main())


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.com/a",
        "file:///etc/passwd",
        "gopher://127.0.0.1/",
        "//example.com",
        "example.com/a.png",
        "http://",
        "http://:80/",
        "http://user@8.8.8.8/",
        "http://user:pass@8.8.8.8/",
        "http://8.8.8.8:99999/",
        "http://8.8.8.8:0/",
        "http://127.0.0.1/",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[fe80::1%25eth0]/",
        "http://169.254.169.254/latest/meta-data",
        "http://100.64.0.1/",
        "http://127。0。0。1/",
        "http://8.8.8.8/" + "a" * LONGEST_URL,
        "http://[::1",
        "http://xn--/",
    ],
)
def test_urls_that_are_never_followed(url: str) -> None:
    with pytest.raises(AddressRefused):
        run(read(Egress(resolve=Names(["127.0.0.1"]).resolve), url))


@pytest.mark.parametrize(
    "host", ["127.1", "2130706433", "0x7f000001", "017700000001", "localhost", "127.0.0.1."]
)
def test_other_spellings_of_this_machine(host: str) -> None:
    async def main() -> None:
        async with serving({"/": ok(b"secret")}) as server:
            with pytest.raises(InvalidRequest):
                await read(Egress(), f"http://{host}:{server.port}/")
        assert server.requests == []

    run(main())


def silent(_: asyncio.StreamWriter) -> None:
    """Says nothing."""


def begins(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")


def breaks_off(writer: asyncio.StreamWriter) -> None:
    begins(writer)
    writer.close()


@pytest.mark.parametrize("behaviour", [silent, begins])
@pytest.mark.parametrize("patience", [Patience(idle=0.05), Patience(total=0.05)])
def test_servers_that_stall(behaviour: Callable[[asyncio.StreamWriter], None], patience: Patience) -> None:
    with pytest.raises(Unreachable, match=r"127\.0\.0\.1 did not deliver the file in time"):
        run(fetched_from(behaviour, patience))


def test_a_server_that_breaks_off() -> None:
    with pytest.raises(Unreachable, match=r"did not deliver the file: ClientPayloadError"):
        run(fetched_from(breaks_off, Patience()))


async def fetched_from(behaviour: Callable[[asyncio.StreamWriter], None], patience: Patience) -> bytes:
    writers: list[asyncio.StreamWriter] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writers.append(writer)
        behaviour(writer)

    listener = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with listener:
        url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/"
        try:
            return await read(Egress(LISTED, patience=patience), url)
        finally:
            for writer in writers:
                writer.close()


def test_a_server_that_is_not_there_or_has_nothing() -> None:
    async def main() -> None:
        async with serving({}) as server:
            with pytest.raises(Unreachable, match="answered 404"):
                await read(Egress(LISTED), f"http://127.0.0.1:{server.port}/none")
            port = server.port
        with pytest.raises(Unreachable) as caught:
            await read(Egress(LISTED), f"http://127.0.0.1:{port}/")
        assert caught.value.retryable

    run(main())


@pytest.mark.parametrize("host", ["a..b", "...", "a" * 64 + ".example"])
def test_names_that_cannot_even_be_looked_up(host: str) -> None:
    with pytest.raises(Unreachable):
        run(read(Egress(), f"http://{host}/"))


def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with serving({}) as proxy, serving({"/": ok(b"direct")}) as server:
            for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
                monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
            assert await read(Egress(LISTED), f"http://127.0.0.1:{server.port}/") == b"direct"
        assert proxy.requests == []

    run(main())
