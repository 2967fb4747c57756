"""A context's only way out: a SOCKS relay on the loopback, so that a submit leaves over one fresh connection.

Chromium sends a request again by itself when a kept connection breaks before the reply begins, a POST too,
and nothing tells it not to. The site would then be asked twice, and charge twice. So while a submit is under
way there is exactly one connection to its host, opened after the submit was let go: what breaks stays broken,
and whoever waits for it is told. Bytes pass through as they are; TLS is between Chromium and the site.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address

from jimeng_gateway.browser.rules import Proxy

#: Seconds until a connection of ours has to stand.
_DIAL_S = 15.0
_CHUNK = 1 << 16
_DONE, _FAILED, _NOT_ALLOWED = b"\x00", b"\x04", b"\x02"

Target = tuple[str, int]
Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]
#: Makes a connection to an address, through a proxy if there is one; raises what `dial` does.
Dial = Callable[[Target, Proxy], Awaitable[Ends]]


@dataclass(slots=True, eq=False)
class Lane:
    """The one connection of a submit under way."""

    target: Target
    #: Somebody has begun to connect.
    taken: bool = False
    #: The connection stood, so the submit may have gone through it.
    carried: bool = False
    broken: bool = False
    over: asyncio.Event = field(default_factory=asyncio.Event)

    def end(self, *, broken: bool) -> None:
        """Lets those go on who wait for another connection: into a refusal if this one broke."""
        if not self.over.is_set():
            self.broken = broken
            self.over.set()


class Relay:
    """Takes connections at `url` between `open` and `close`, and makes them directly or through a proxy."""

    def __init__(self, proxy: Proxy, connect: Dial | None = None) -> None:
        self.proxy = proxy
        self._connect = connect or dial
        self._server: asyncio.Server | None = None
        self._tunnels: dict[asyncio.Task[None], Target | None] = {}
        self._lane: Lane | None = None
        #: Why the last connection could not be made; Chromium's own words for it say nothing.
        self.trouble = ""
        #: For Chromium.
        self.url = ""

    async def open(self) -> None:
        """Listens."""
        self._server = await asyncio.start_server(self._accepted, "127.0.0.1", 0)
        self.url = f"socks5://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def close(self) -> None:
        """Cuts everything."""
        if self._server is not None:
            self._server.close()
        await self._cut(list(self._tunnels))

    async def reserve(self, host: str, port: int) -> Lane:
        """From now until `release`, one connection to this address, and none that stood before."""
        lane = self._lane = Lane((host.strip("[]"), port))
        await self._cut([task for task, target in self._tunnels.items() if target == lane.target])
        return lane

    def release(self) -> None:
        """The submit has been answered: connections are free again."""
        lane, self._lane = self._lane, None
        if lane is not None:
            lane.end(broken=False)

    async def _cut(self, tunnels: list[asyncio.Task[None]]) -> None:
        for task in tunnels:
            task.cancel()
        await asyncio.gather(*tunnels, return_exceptions=True)

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tunnels[task] = None
        try:
            await self._serve((reader, writer), task)
        except (OSError, EOFError, ValueError):
            # The browser went away, or spoke something else: there is nobody to tell.
            pass
        except asyncio.CancelledError:
            # Cut by us, from outside this task; its end is what was asked for.
            pass
        finally:
            self._tunnels.pop(task, None)
            await _abort(writer)

    async def _serve(self, browser: Ends, task: asyncio.Task[None]) -> None:
        reader, writer = browser
        target = await _greeted(reader, writer)
        with self._in_lane(target) as lane:
            if lane is not None and not await _allowed(lane):
                writer.write(_reply(_NOT_ALLOWED))
                return
            self._tunnels[task] = target
            site = await self._dialled(target, writer)
            if site is None:
                return
            if lane is not None:
                lane.carried = True
            writer.write(_reply(_DONE))
            await _joined(browser, site)

    @contextlib.contextmanager
    def _in_lane(self, target: Target) -> Iterator[Lane | None]:
        """The lane of a connection, if its address is reserved; it ends with the one that took it."""
        lane = self._lane
        if lane is None or lane.target != target:
            yield None
            return
        first = not lane.taken
        try:
            yield lane
        finally:
            if first:
                lane.end(broken=True)

    async def _dialled(self, target: Target, writer: asyncio.StreamWriter) -> Ends | None:
        try:
            async with asyncio.timeout(_DIAL_S):
                return await self._connect(target, self.proxy)
        except (OSError, ValueError) as error:
            self.trouble = f"{target[0]}:{target[1]}: {str(error) or type(error).__name__}"
            writer.write(_reply(_FAILED))
            await writer.drain()
            writer.close()
            await writer.wait_closed()
            return None


async def dial(target: Target, proxy: Proxy) -> Ends:
    """A connection to an address; OSError if it cannot be made, ValueError if the proxy cannot be used."""
    if not proxy.host:
        return await _connected(*target)
    reader, writer = await _connected(proxy.host, proxy.port, tls=proxy.tls)
    try:
        writer.write(connect_request(target, proxy))
        head = await reader.readuntil(b"\r\n\r\n")
        status = head.split(maxsplit=2)[1:2]
        if status != [b"200"]:
            raise OSError(f"the proxy answered {b''.join(status).decode('latin-1') or 'nothing'}")
    except BaseException as error:
        await _abort(writer)
        if isinstance(error, asyncio.IncompleteReadError | asyncio.LimitOverrunError):
            raise OSError("the proxy speaks no HTTP") from error
        raise
    return reader, writer


async def _connected(host: str, port: int, *, tls: bool = False) -> Ends:
    """The first address of a host that answers; one that does not is left for the next after a while."""
    context = ssl.create_default_context() if tls else None
    name = host if tls else None
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    error: OSError = OSError("it has no address")
    for *_, address in dict.fromkeys(found):
        try:
            async with asyncio.timeout(_DIAL_S / 3):
                return await asyncio.open_connection(str(address[0]), port, ssl=context, server_hostname=name)
        except TimeoutError:
            error = TimeoutError("it does not answer")
        except OSError as failed:
            error = failed
    raise error


def connect_request(target: Target, proxy: Proxy) -> bytes:
    """What an HTTP proxy is asked."""
    host, port = target
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    lines = [f"CONNECT {address} HTTP/1.1", f"Host: {address}"]
    if proxy.user is not None:
        login = base64.b64encode(f"{proxy.user}:{proxy.password}".encode()).decode("ascii")
        lines.append(f"Proxy-Authorization: Basic {login}")
    return "\r\n".join((*lines, "", "")).encode("ascii")


async def _greeted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Target:
    """SOCKS 5 without a login, CONNECT only (RFC 1928); ValueError for anything else."""
    version, methods = await reader.readexactly(2)
    if version != 5 or 0 not in await reader.readexactly(methods):
        raise ValueError("no SOCKS 5")
    writer.write(b"\x05\x00")
    version, command, _, kind = await reader.readexactly(4)
    if (version, command) != (5, 1):
        raise ValueError("no CONNECT")
    if kind == 1:
        host = str(IPv4Address(await reader.readexactly(4)))
    elif kind == 4:
        host = str(IPv6Address(await reader.readexactly(16)))
    else:
        host = (await reader.readexactly((await reader.readexactly(1))[0])).decode("ascii")
    return host, int.from_bytes(await reader.readexactly(2), "big")


def _reply(code: bytes) -> bytes:
    return b"\x05" + code + b"\x00\x01" + bytes(6)


async def _allowed(lane: Lane) -> bool:
    """Whether a connection to a reserved address may be made: the first at once, others after the submit."""
    if not lane.taken:
        lane.taken = True
        return True
    await lane.over.wait()
    return not lane.broken


async def _joined(one: Ends, other: Ends) -> None:
    """Passes bytes both ways until one side ends; what that side had sent still arrives."""
    ways = [
        asyncio.create_task(_pumped(one[0], other[1])),
        asyncio.create_task(_pumped(other[0], one[1])),
    ]
    try:
        done, _ = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in done:
            if way.exception() is None:
                writer = other[1] if way is ways[0] else one[1]
                writer.close()
                await writer.wait_closed()
    finally:
        # First, because we may be cut while we wait for the rest.
        other[1].transport.abort()
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
        await _abort(other[1])


async def _pumped(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(_CHUNK):
        writer.write(data)
        await writer.drain()


async def _abort(writer: asyncio.StreamWriter) -> None:
    """Closes at once, and returns when it is closed."""
    writer.transport.abort()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
