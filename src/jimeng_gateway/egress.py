"""The one way out for addresses that callers give.

Whatever is dialled was judged as the address that it is: names are resolved once, here, and the connection
goes to exactly the addresses that were judged (domain/addresses.py), so that a name server which answers
differently the next time gains nothing. Every redirect is judged again. Proxies of the environment are not
used: behind one, the address that is really dialled would be chosen elsewhere.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from jimeng_gateway.domain.addresses import AllowedHosts, is_address
from jimeng_gateway.domain.errors import InvalidRequest

USER_AGENT = "jimeng-gateway"
MOST_REDIRECTS = 3
LONGEST_URL = 8192
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_CHUNK = 256 * 1024


@dataclass(frozen=True, slots=True)
class Patience:
    """How long the other side may take, in seconds."""

    connect: float = 10.0
    #: Without a byte.
    idle: float = 30.0
    total: float = 120.0


class Unreachable(InvalidRequest):
    """What a caller's URL leads to cannot be had."""

    code = "reference_unreachable"


class AddressRefused(InvalidRequest):
    """A caller's URL leads to where no caller may send us."""

    code = "address_refused"


#: The addresses of a host; OSError if there are none.
Resolve = Callable[[str, int], Awaitable[list[str]]]


async def system_resolve(host: str, port: int) -> list[str]:
    """As the machine resolves names."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError:
        # An empty or overlong label fails before anybody is asked.
        raise OSError("it is no name that can be looked up") from None
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class Egress:
    """Opens callers' URLs for reading, and posts to them."""

    def __init__(
        self,
        allowed: AllowedHosts | None = None,
        *,
        patience: Patience | None = None,
        resolve: Resolve = system_resolve,
    ) -> None:
        self._allowed = allowed or AllowedHosts()
        self._patience = patience or Patience()
        self._resolve = resolve

    @contextlib.asynccontextmanager
    async def open(self, url: str) -> AsyncIterator[AsyncIterator[bytes]]:
        """The bytes behind a URL; Unreachable or AddressRefused, also while they are read."""
        first = _checked(url)
        try:
            async with asyncio.timeout(self._patience.total), self._session() as session:
                with _explained(first):
                    response = await self._follow(session, first)
                with contextlib.closing(response):
                    yield _chunks(response, first)
        except TimeoutError:
            raise _late(first) from None

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> int:
        """Sends a body there; the status of the answer, whatever it is. Redirects are not followed.

        Unreachable if nobody answers in time, AddressRefused.
        """
        target = _checked(url)
        self._judge_literal(target)
        try:
            async with asyncio.timeout(self._patience.total), self._session() as session:
                response = await session.post(target, data=body, headers=headers, allow_redirects=False)
                with contextlib.closing(response):
                    return response.status
        except TimeoutError:
            raise Unreachable(
                f"{target.host} did not answer within {self._patience.total:g} seconds", retryable=True
            ) from None
        except (aiohttp.ClientError, OSError) as error:
            raise Unreachable(
                f"{target.host} could not be reached: {type(error).__name__}", retryable=True
            ) from error

    def _session(self) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            resolver=_JudgingResolver(self._allowed, self._resolve), use_dns_cache=False, force_close=True
        )
        timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=self._patience.connect, sock_read=self._patience.idle
        )
        return aiohttp.ClientSession(
            connector=connector,
            timeout=timeout,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,
            headers={"User-Agent": USER_AGENT, "Accept": "*/*", "Accept-Encoding": "identity"},
        )

    async def _follow(self, session: aiohttp.ClientSession, url: URL) -> aiohttp.ClientResponse:
        for _ in range(MOST_REDIRECTS + 1):
            self._judge_literal(url)
            response = await session.get(url, allow_redirects=False)
            if response.status not in _REDIRECTS:
                if response.status != 200:
                    raise Unreachable(f"{url.host} answered {response.status}", param="references")
                return response
            response.close()
            url = _checked(_joined(url, response.headers.get("Location", "")))
        raise Unreachable(f"{url.host} redirects more than {MOST_REDIRECTS} times", param="references")

    def _judge_literal(self, url: URL) -> None:
        """An address in the URL itself never reaches the resolver."""
        host = url.raw_host or ""
        if ":" in host or is_address(host):
            _require(self._allowed, host, url.port or 0, host)


class _JudgingResolver(AbstractResolver):
    """Resolves a name once and gives the connector what it may dial; one bad address refuses them all."""

    def __init__(self, allowed: AllowedHosts, resolve: Resolve) -> None:
        self._allowed = allowed
        self._resolve = resolve

    async def resolve(
        self,
        host: str,
        port: int = 0,
        family: socket.AddressFamily = socket.AF_UNSPEC,  # noqa: ARG002 - both families are judged alike
    ) -> list[ResolveResult]:
        addresses = await self._resolve(host, port)
        for address in addresses:
            _require(self._allowed, host, port, address)
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for address in addresses
        ]

    async def close(self) -> None:
        """Holds nothing."""


async def _chunks(response: aiohttp.ClientResponse, url: URL) -> AsyncIterator[bytes]:
    with _explained(url):
        async for chunk in response.content.iter_chunked(_CHUNK):
            yield chunk


@contextlib.contextmanager
def _explained(url: URL) -> Iterator[None]:
    """Turns what the network did into what the caller may know."""
    try:
        yield
    except TimeoutError:
        raise _late(url) from None
    except (aiohttp.ClientError, OSError) as error:
        raise Unreachable(
            f"{url.host} did not deliver the file: {type(error).__name__}", param="references", retryable=True
        ) from error


def _late(url: URL) -> Unreachable:
    return Unreachable(f"{url.host} did not deliver the file in time", param="references", retryable=True)


def _require(allowed: AllowedHosts, host: str, port: int, address: str) -> None:
    verdict = allowed.judge(host, port, address)
    if not verdict.allowed:
        raise AddressRefused(f"{host} may not be fetched from: {verdict.reason}", param="references")


def _checked(text: str) -> URL:
    """The URL, if it is one that may be asked for at all."""
    try:
        url = URL(text)
        # Both are worked out only when they are read, and may turn out to be impossible.
        host, port = url.host, url.port
    except ValueError:
        raise AddressRefused("a reference is not a URL", param="references") from None
    if len(text) > LONGEST_URL or url.scheme not in ("http", "https") or not host or not port:
        raise AddressRefused("only http and https URLs can be fetched", param="references")
    if url.user is not None or url.password is not None:
        raise AddressRefused(
            "a URL with a user name or password is not fetched; send the file itself", param="references"
        )
    return url


def _joined(url: URL, location: str) -> str:
    try:
        return str(url.join(URL(location)))
    except ValueError:
        raise Unreachable(f"{url.host} redirects to what is no URL", param="references") from None
