"""The real server on a real socket: what only uvicorn and the parser can get wrong."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from http_client import HandClock, an_intake
from http_fake import ADMIN, FakeGateway, a_result, a_task
from support.aio import run

from jimeng_gateway.domain.task import Stage
from jimeng_gateway.http.endpoint import Limits
from jimeng_gateway.http.serve import BoundedProtocol, Server, loop_factory
from jimeng_gateway.http.server import create_app

KEY = f"Authorization: Bearer {ADMIN}\r\n".encode()


class HastyProtocol(BoundedProtocol):
    """Small limits, so that tests reach them."""

    head_bytes = 4096
    head_seconds = 0.05


@asynccontextmanager
async def serving(
    gateway: FakeGateway, *, limits: Limits | None = None, protocol: type[BoundedProtocol] = BoundedProtocol
) -> AsyncIterator[Server]:
    app = create_app(gateway, intake=an_intake(gateway.root), public_url="", clock=HandClock(), limits=limits)  # type: ignore[arg-type]
    server = Server(app, host="127.0.0.1", port=0, grace_seconds=1, protocol=protocol)
    await server.start()
    try:
        yield server
    finally:
        await asyncio.wait_for(server.stop(), 10)


async def exchange(server: Server, raw: bytes) -> tuple[int, dict[str, str], bytes]:
    """Sends bytes, reads until the server closes or the announced length is there."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(raw)
    try:
        return await asyncio.wait_for(reply(reader), 10)
    finally:
        writer.close()


async def reply(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    line, *rest = head.strip().split("\r\n")
    headers = {name.lower(): value for name, value in (entry.split(": ", 1) for entry in rest)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return int(line.split(" ")[1]), headers, body


def test_a_free_port_is_taken_and_told(tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(FakeGateway(tmp_path)) as server:
            assert server.port > 0
            assert server.url == f"http://127.0.0.1:{server.port}"
            status, headers, body = await exchange(server, b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (status, body) == (200, b"pong")
            assert "server" not in headers
            assert headers["x-request-id"].startswith("req_")

    run(main())


def test_a_port_in_use_is_an_error_at_once(tmp_path: Path) -> None:
    async def main() -> None:
        gateway = FakeGateway(tmp_path)
        async with serving(gateway) as server:
            app = create_app(gateway, intake=an_intake(gateway.root), public_url="", clock=HandClock())  # type: ignore[arg-type]
            with pytest.raises(OSError, match="in use"):
                await Server(app, host="127.0.0.1", port=server.port).start()

    run(main())


@pytest.mark.parametrize(
    ("raw", "status", "code"),
    [
        (b"NOT HTTP AT ALL\r\n\r\n", 400, "malformed_request"),
        (b"GET /ping HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 5000 + b"\r\n\r\n", 431, "headers_too_large"),
        (b"GET /ping HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 5000, 431, "headers_too_large"),
        (b"GET /" + b"a" * 5000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 431, "headers_too_large"),
        (b"GET /ping HTTP/1.1\r\nHost: x\r\nX", 408, "request_timeout"),
    ],
)
def test_heads_that_are_too_large_slow_or_broken(tmp_path: Path, raw: bytes, status: int, code: str) -> None:
    async def main() -> None:
        async with serving(FakeGateway(tmp_path), protocol=HastyProtocol) as server:
            answered, headers, body = await exchange(server, raw)
            assert (answered, json.loads(body)["error"]["code"]) == (status, code)
            assert headers["connection"] == "close"
            assert headers.get("x-should-retry") == (None if status == 408 else "false")

    run(main())


def test_a_connection_that_says_nothing_is_closed(tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(FakeGateway(tmp_path), protocol=HastyProtocol) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            assert await asyncio.wait_for(reader.read(), 5) == b""
            writer.close()

    run(main())


def test_a_kept_connection_serves_many_requests(tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(FakeGateway(tmp_path), protocol=HastyProtocol) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            for _ in range(3):
                writer.write(b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n")
                assert (await reply(reader))[0] == 200
            writer.write(
                b"POST /api/v1/tasks HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n" + b"x" * 5000
            )
            assert (await reply(reader))[0] == 401
            writer.write(b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await reply(reader))[0] == 200
            writer.close()

    run(main())


def test_a_body_over_the_limit_is_refused_and_the_client_can_read_why(tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(FakeGateway(tmp_path)) as server:
            body = b"x" * (2 << 20)
            head = (
                b"POST /api/v1/keys HTTP/1.1\r\nHost: x\r\n" + KEY + b"Content-Length: %d\r\n\r\n" % len(body)
            )
            status, _, answer = await exchange(server, head + body)
            assert (status, json.loads(answer)["error"]["code"]) == (413, "payload_too_large")

    run(main())


def test_a_body_that_never_comes_is_given_up(tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(FakeGateway(tmp_path), limits=Limits(body_seconds=0.05)) as server:
            head = b"POST /api/v1/tasks HTTP/1.1\r\nHost: x\r\n" + KEY + b"Content-Length: 50\r\n\r\n{"
            status, headers, _ = await exchange(server, head)
            assert (status, headers["connection"]) == (408, "close")

    run(main())


def test_head_and_ranges_over_the_wire(tmp_path: Path) -> None:
    async def main() -> None:
        gateway = FakeGateway(tmp_path)
        data = bytes(range(256)) * 4000
        (tmp_path / "p.png").write_bytes(data)
        results = (a_result(0, tmp_path / "p.png"),)
        gateway.all_tasks["task_1"] = a_task(stage=Stage.SUCCEEDED, results=results)
        async with serving(gateway) as server:
            line = b" /api/v1/tasks/task_1/content HTTP/1.1\r\nHost: x\r\n" + KEY
            assert (await exchange(server, b"GET" + line + b"\r\n"))[2] == data
            status, _, part = await exchange(server, b"GET" + line + b"Range: bytes=-5\r\n\r\n")
            assert (status, part) == (206, data[-5:])
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(b"HEAD" + line + b"Connection: close\r\n\r\n")
            head = await asyncio.wait_for(reader.read(), 5)
            assert f"content-length: {len(data)}".encode() in head
            assert head.endswith(b"\r\n\r\n"), "no body follows"
            writer.close()

    run(main())


def test_stopping_does_not_wait_for_streams(tmp_path: Path) -> None:
    async def main() -> None:
        gateway = FakeGateway(tmp_path)
        gateway.all_tasks["task_1"] = a_task()
        async with serving(gateway) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(
                b"GET /api/v1/tasks/task_1/events HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n"
                + KEY
                + b"\r\n"
            )
            await reader.readuntil(b": keep-alive\n\n")
            await server.stop()
            assert (await reader.read()).endswith(b"0\r\n\r\n"), "it ended by itself and was not cut off"
            assert gateway.watching == 0
            writer.close()

    run(main())


def test_a_client_that_hangs_up_while_waiting(tmp_path: Path) -> None:
    async def main() -> None:
        gateway = FakeGateway(tmp_path)
        async with serving(gateway) as server:
            _, writer = await asyncio.open_connection("127.0.0.1", server.port)
            body = b'{"prompt":"cat"}'
            head = b"POST /v1/images/generations HTTP/1.1\r\nHost: x\r\n" + KEY
            writer.write(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
            await asyncio.wait_for(gateway.waiting.wait(), 5)
            writer.close()
            await writer.wait_closed()
        assert gateway.all_tasks["task_new"].stage is Stage.QUEUED

    run(main())


def test_it_serves_on_the_fast_loop(tmp_path: Path) -> None:
    async def main() -> None:
        assert type(asyncio.get_running_loop()).__module__.startswith("uvloop")
        async with serving(FakeGateway(tmp_path)) as server:
            assert (await exchange(server, b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n"))[0] == 200

    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(main())
