"""HTTP as the client needs it: one place that opens connections, reads bodies and names what went wrong.

Network errors are told apart by the type of the exception, never by words. For a submit they decide whether
the job may exist: a request that never left this machine can be repeated, any other must be asked for.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp
from yarl import URL

from jimeng_gateway.domain.errors import Acceptance, ErrorKind, Failure, UpstreamFailure

#: Bytes of a JSON reply that we are willing to hold; a full batch of finished records is far below.
LARGEST_REPLY = 16 * 1024 * 1024

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})

#: By type, the first that fits: kind, code, whether the request may have arrived.
_ERRORS: tuple[tuple[type[BaseException], ErrorKind, str, Acceptance], ...] = (
    (aiohttp.ClientConnectorDNSError, ErrorKind.NETWORK, "dns_error", Acceptance.NO),
    (aiohttp.ClientConnectorCertificateError, ErrorKind.NETWORK, "tls_error", Acceptance.NO),
    (aiohttp.ClientConnectorSSLError, ErrorKind.NETWORK, "tls_error", Acceptance.NO),
    (aiohttp.ClientProxyConnectionError, ErrorKind.NETWORK, "proxy_error", Acceptance.NO),
    (aiohttp.ClientHttpProxyError, ErrorKind.NETWORK, "proxy_error", Acceptance.NO),
    (aiohttp.ClientConnectorError, ErrorKind.NETWORK, "connect_error", Acceptance.NO),
    (aiohttp.ConnectionTimeoutError, ErrorKind.NETWORK, "connect_timeout", Acceptance.NO),
    (aiohttp.InvalidURL, ErrorKind.NETWORK, "invalid_url", Acceptance.NO),
    (TimeoutError, ErrorKind.TIMEOUT, "read_timeout", Acceptance.UNKNOWN),
    (aiohttp.ServerDisconnectedError, ErrorKind.NETWORK, "disconnected", Acceptance.UNKNOWN),
    (aiohttp.ClientOSError, ErrorKind.NETWORK, "connection_reset", Acceptance.UNKNOWN),
    (aiohttp.ClientPayloadError, ErrorKind.NETWORK, "incomplete_body", Acceptance.UNKNOWN),
    (aiohttp.ClientResponseError, ErrorKind.UPSTREAM_ERROR, "bad_http", Acceptance.UNKNOWN),
    (aiohttp.ClientError, ErrorKind.NETWORK, "network_error", Acceptance.UNKNOWN),
    (ValueError, ErrorKind.UPSTREAM_ERROR, "bad_http", Acceptance.UNKNOWN),
    (OSError, ErrorKind.NETWORK, "network_error", Acceptance.UNKNOWN),
)
_SAYS = {
    "dns_error": "the host name could not be resolved",
    "tls_error": "the TLS connection could not be made; is the certificate trusted here?",
    "proxy_error": "the proxy could not be reached or refused",
    "connect_refused": "the connection was refused",
    "connect_error": "the connection could not be made",
    "connect_timeout": "the connection was not made in time",
    "invalid_url": "the address is not valid",
    "read_timeout": "no answer in time",
    "disconnected": "the connection was closed before an answer came",
    "connection_reset": "the connection broke",
    "incomplete_body": "the answer broke off",
    "bad_http": "the answer is not valid HTTP",
    "network_error": "the network failed",
}


@dataclass(frozen=True, slots=True)
class Timeouts:
    """In seconds."""

    connect: float = 10.0
    #: A whole submit, a whole call of another kind.
    submit: float = 60.0
    call: float = 30.0
    #: A download that brings no bytes for so long is given up.
    idle: float = 60.0


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole reply."""

    status: int
    body: bytes
    date: str = ""


def network_failure(error: BaseException) -> UpstreamFailure:
    """Our name for an exception of the HTTP library."""
    kind, code, acceptance = next(
        ((kind, code, acceptance) for type_, kind, code, acceptance in _ERRORS if isinstance(error, type_)),
        (ErrorKind.NETWORK, "network_error", Acceptance.UNKNOWN),
    )
    if code == "connect_error" and isinstance(error, aiohttp.ClientConnectorError):
        if isinstance(error.os_error, ConnectionRefusedError):
            code = "connect_refused"
        elif isinstance(error.os_error, TimeoutError):
            code = "connect_timeout"
    return UpstreamFailure(Failure(kind, code, _SAYS[code], type(error).__name__, acceptance))


def proxy_for(url: URL, environment: Mapping[str, str] = os.environ) -> URL | None:
    """The proxy that HTTPS_PROXY, HTTP_PROXY or ALL_PROXY names for an address; never one for loopback."""
    host = url.host or ""
    if host in _LOOPBACK or host.startswith("127."):
        return None
    if _without_proxy(host, _either(environment, "no_proxy")):
        return None
    found = _either(environment, f"{url.scheme}_proxy") or _either(environment, "all_proxy")
    if not found:
        return None
    proxy = URL(found if "://" in found else f"http://{found}")
    if proxy.scheme not in ("http", "https") or not proxy.host:
        message = f"the proxy for {url.scheme} must be of the form http://host:port, not {proxy.scheme}"
        raise UpstreamFailure(Failure(ErrorKind.NETWORK, "proxy_error", message))
    return proxy


def _either(environment: Mapping[str, str], name: str) -> str:
    return environment.get(name) or environment.get(name.upper()) or ""


def _without_proxy(host: str, no_proxy: str) -> bool:
    names = [name.strip().lstrip(".").lower() for name in no_proxy.split(",")]
    return any(name and (name == "*" or host == name or host.endswith("." + name)) for name in names)


class Transport:
    """The connections of one client. Opens nothing before the first call; `close` closes everything."""

    def __init__(self, timeouts: Timeouts, context: ssl.SSLContext | None = None) -> None:
        self._timeouts = timeouts
        # The library's own context would be the same today; ours is explicit, so that SSL_CERT_FILE and the
        # system store count whatever the library ships one day.
        self._context = context or ssl.create_default_context()
        self._shared: aiohttp.ClientSession | None = None
        self._single: aiohttp.ClientSession | None = None

    async def post(self, url: str, headers: Mapping[str, str], body: bytes, *, once: bool) -> Answer:
        """One POST, never repeated by the library and never redirected.

        With `once` it gets a connection of its own: on a kept one that the server has just closed, a submit
        would break with nobody knowing whether it was read. Costs a handshake, saves a doubt.
        """
        session = self._session(once=once)
        limit = self._timeouts.submit if once else self._timeouts.call
        timeout = aiohttp.ClientTimeout(total=limit, connect=min(self._timeouts.connect, limit))
        proxy, login = _through(URL(url))
        try:
            async with session.post(
                url,
                headers={**headers, **(login if url.startswith("http:") else {})},
                data=body,
                timeout=timeout,
                allow_redirects=False,
                proxy=proxy,
                proxy_headers=login if proxy else None,
            ) as response:
                return Answer(response.status, await _limited(response), response.headers.get("Date", ""))
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise network_failure(error) from error

    async def fetch(self, url: str, headers: Mapping[str, str]) -> Answer:
        """One GET of a small reply, never redirected."""
        async with self.get(URL(url, encoded=True), headers) as response:
            try:
                async with asyncio.timeout(self._timeouts.call):
                    return Answer(response.status, await _limited(response))
            except (aiohttp.ClientError, OSError) as error:
                raise network_failure(error) from error

    async def stream(self, url: str, headers: Mapping[str, str], pieces: AsyncIterator[bytes]) -> Answer:
        """One POST whose body comes in pieces, as many bytes as its Content-Length says; never redirected.

        It may take as long as it likes, but not stand still.
        """
        loop, idle = asyncio.get_running_loop(), self._timeouts.idle
        proxy, login = _through(URL(url))
        timeout = aiohttp.ClientTimeout(total=None, connect=min(self._timeouts.connect, idle))
        try:
            async with asyncio.timeout(idle) as limit:

                async def watched() -> AsyncIterator[bytes]:
                    async for piece in pieces:
                        limit.reschedule(loop.time() + idle)
                        yield piece

                async with self._session(once=False).post(
                    URL(url, encoded=True),
                    headers={**headers, **(login if url.startswith("http:") else {})},
                    data=watched(),
                    timeout=timeout,
                    allow_redirects=False,
                    proxy=proxy,
                    proxy_headers=login if proxy else None,
                ) as response:
                    return Answer(response.status, await _limited(response))
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise network_failure(error) from error

    @asynccontextmanager
    async def get(self, url: URL, headers: Mapping[str, str]) -> AsyncIterator[aiohttp.ClientResponse]:
        """An open GET, not redirected; only errors of opening it are translated here."""
        idle = self._timeouts.idle
        timeout = aiohttp.ClientTimeout(total=None, connect=min(self._timeouts.connect, idle), sock_read=idle)
        proxy, login = _through(url)
        try:
            response = await self._session(once=False).get(
                url,
                headers={**headers, **(login if url.scheme == "http" else {})},
                timeout=timeout,
                allow_redirects=False,
                read_bufsize=256 * 1024,
                proxy=proxy,
                proxy_headers=login if proxy else None,
            )
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise network_failure(error) from error
        try:
            yield response
        finally:
            response.close()

    async def close(self) -> None:
        """Closes all connections."""
        for session in (self._shared, self._single):
            if session is not None:
                await session.close()
        self._shared = self._single = None

    def _session(self, *, once: bool) -> aiohttp.ClientSession:
        if once:
            self._single = self._single or self._open(force_close=True)
            return self._single
        self._shared = self._shared or self._open(force_close=False)
        return self._shared

    def _open(self, *, force_close: bool) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            ssl=self._context,
            limit=0,  # how much goes on at once is decided by the worker
            force_close=force_close,
            ttl_dns_cache=60,
        )
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
        )


async def _limited(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > LARGEST_REPLY:
            message = f"the reply is larger than {LARGEST_REPLY} bytes"
            raise UpstreamFailure(
                Failure(ErrorKind.UPSTREAM_ERROR, "too_large", message, acceptance=Acceptance.UNKNOWN)
            )
    return bytes(body)


def _through(url: URL) -> tuple[URL | None, dict[str, str]]:
    """The proxy for an address and the header that logs in to it.

    For https the library puts the header into its CONNECT; for http it has to be in the request itself.
    """
    proxy = proxy_for(url)
    if proxy is None or proxy.user is None:
        return proxy, {}
    login = aiohttp.encode_basic_auth(proxy.user, proxy.password or "")
    return proxy.with_user(None), {"Proxy-Authorization": login}
