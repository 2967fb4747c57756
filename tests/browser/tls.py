"""The site under its real name and over TLS: an authority of our own, and doors before the simulator."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from jimeng_gateway.browser.relay import Dial, Ends, Target, dial
from jimeng_gateway.browser.rules import Proxy

HOST = "jimeng.jianying.com"
SITE = f"https://{HOST}"
H2 = Path(__file__).with_name("h2.mjs")


@dataclass(frozen=True, slots=True)
class Papers:
    """Files: an authority's certificate, and the certificate with key that it gave to the site."""

    authority: Path
    certificate: Path
    key: Path

    def context(self) -> ssl.SSLContext:
        """For a server."""
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.load_cert_chain(self.certificate, self.key)
        made.set_alpn_protocols(["http/1.1"])
        return made


def issued(folder: Path) -> Papers:
    """Fresh papers in this folder."""
    ca_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    authority = _signed("Test authority", ca_key, "Test authority", ca_key, ca=True)
    leaf = _signed(HOST, key, "Test authority", ca_key, ca=False)
    papers = Papers(*(folder / name for name in ("ca.crt", "site.crt", "site.key")))
    papers.authority.write_bytes(authority)
    papers.certificate.write_bytes(leaf)
    papers.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return papers


def _signed(
    name: str, key: ec.EllipticCurvePrivateKey, by: str, by_key: ec.EllipticCurvePrivateKey, *, ca: bool
) -> bytes:
    now = datetime.now(UTC)
    building = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, by)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    )
    if not ca:
        building = building.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    return building.sign(by_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


@dataclass(slots=True)
class Door:
    """Where the site is reached over TLS, and how often somebody came."""

    port: int
    #: Connections whose handshake succeeded; not counted by the door for HTTP/2.
    connections: list[Ends] = field(default_factory=list)

    def dial(self) -> Dial:
        """For a relay that shall find the site's host here, and no other host anywhere."""

        async def found(target: Target, proxy: Proxy) -> Ends:
            if target != (HOST, 443):
                raise OSError("it has no address")
            return await dial(("127.0.0.1", self.port), proxy)

        return found


@contextlib.asynccontextmanager
async def http1(papers: Papers, site_port: int) -> AsyncIterator[Door]:
    """HTTP/1.1: ends TLS and passes the bytes on; what breaks behind it breaks before it."""
    serving: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        serving.add(task)
        door.connections.append((reader, writer))
        site = await asyncio.open_connection("127.0.0.1", site_port)
        ways = [asyncio.create_task(_passed(*ends)) for ends in ((reader, site[1]), (site[0], writer))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            # The door is being closed, and the server would complain of it.
            pass
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            for end in (writer, site[1]):
                end.transport.abort()
                with contextlib.suppress(OSError):
                    await end.wait_closed()
            serving.discard(task)

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=papers.context())
    door = Door(server.sockets[0].getsockname()[1])
    try:
        yield door
    finally:
        server.close()
        left = list(serving)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)


async def _passed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()


@contextlib.asynccontextmanager
async def http2(papers: Papers, site_port: int) -> AsyncIterator[Door]:
    """HTTP/2 and nothing else, by node's own server; a reply that breaks off takes the connection with it."""
    process = await asyncio.create_subprocess_exec(
        *("node", str(H2), str(papers.key), str(papers.certificate), str(site_port)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield Door(int(await process.stdout.readline()))
    finally:
        process.stdin.close()
        await process.wait()


__all__ = ["HOST", "SITE", "Door", "Papers", "http1", "http2", "issued"]
