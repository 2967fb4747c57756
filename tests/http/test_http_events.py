"""The live event stream: what it says, when it ends, and that it leaves nothing behind."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from pathlib import Path

from http_client import Client, Exchange, HandClock, make
from http_fake import NOW, FakeGateway, a_task
from support.aio import run

from jimeng_gateway.domain.errors import StoreError
from jimeng_gateway.domain.task import Stage, Task, TaskEvent

PATH = "/api/v1/tasks/task_1/events"
STREAM = {"accept": "text/event-stream"}


def event(seq: int, name: str) -> TaskEvent:
    return TaskEvent("task_1", seq, NOW + seq, name, {})


def world(tmp_path: Path) -> tuple[FakeGateway, Client, HandClock]:
    gateway, clock = FakeGateway(tmp_path), HandClock()
    gateway.all_tasks["task_1"] = a_task()
    gateway.recorded["task_1"] = [event(1, "queued"), event(2, "reserved")]
    return gateway, make(gateway, clock=clock), clock


async def opened(client: Client, **headers: str) -> Exchange:
    exchange = client.start("GET", PATH, headers={**STREAM, **headers})
    start = await asyncio.wait_for(exchange.sent.get(), 5)
    assert start["status"] == 200
    assert dict(start["headers"])[b"content-type"].startswith(b"text/event-stream")
    assert b"content-length" not in dict(start["headers"])
    assert await exchange.next_body() == b"retry: 2000\n: keep-alive\n\n"
    return exchange


def parsed(frame: bytes) -> tuple[str, str | None, object]:
    lines = dict(line.split(": ", 1) for line in frame.decode().removesuffix("\n\n").split("\n"))
    return lines["event"], lines.get("id"), json.loads(lines["data"])


async def ended(exchange: Exchange) -> None:
    assert exchange.task is not None
    await asyncio.wait_for(exchange.task, 5)


def finish(gateway: FakeGateway) -> Task:
    task = dataclasses.replace(gateway.all_tasks["task_1"], stage=Stage.SUCCEEDED)
    gateway.all_tasks["task_1"] = task
    return task


def test_past_events_then_live_ones_until_the_end(tmp_path: Path) -> None:
    async def main() -> None:
        gateway, client, _ = world(tmp_path)
        exchange = await opened(client)
        name, number, data = parsed(await exchange.next_body())
        assert (name, number) == ("queued", "1")
        assert data == {"seq": 1, "at": "2026-09-21T14:13:20.124Z", "name": "queued", "data": {}}
        assert parsed(await exchange.next_body())[:2] == ("reserved", "2")
        gateway.live.put_nowait(a_task(stage=Stage.POLLING, queue_position=4))
        name, number, data = parsed(await exchange.next_body())
        assert (name, number) == ("progress", None)
        assert isinstance(data, dict)
        assert (data["stage"], data["queue_position"]) == ("polling", 4)
        finish(gateway)
        gateway.live.put_nowait(event(3, "stored"))
        assert parsed(await exchange.next_body())[:2] == ("stored", "3")
        await ended(exchange)
        assert exchange.sent.get_nowait() == {"type": "http.response.body", "body": b"", "more_body": False}
        assert gateway.watching == 0

    run(main())


def test_a_stream_is_taken_up_where_it_broke_off(tmp_path: Path) -> None:
    async def main() -> None:
        gateway, client, _ = world(tmp_path)
        finish(gateway)
        exchange = await opened(client, **{"last-event-id": "1"})
        assert parsed(await exchange.next_body())[:2] == ("reserved", "2")
        await ended(exchange)

    run(main())


def test_silence_is_filled_with_comments(tmp_path: Path) -> None:
    async def main() -> None:
        gateway, client, clock = world(tmp_path)
        exchange = await opened(client, **{"last-event-id": "2"})
        for _ in range(3):
            await asyncio.wait_for(clock.asleep.wait(), 5)
            clock.advance(15)
            assert await exchange.next_body() == b": keep-alive\n\n"
        finish(gateway)
        gateway.live.put_nowait(event(3, "stored"))
        assert parsed(await exchange.next_body())[0] == "stored"
        await ended(exchange)

    run(main())


def test_a_client_that_leaves_ends_the_watch(tmp_path: Path) -> None:
    async def main() -> None:
        gateway, client, _ = world(tmp_path)
        exchange = await opened(client)
        await exchange.next_body()
        assert gateway.watching == 1
        exchange.hang_up()
        await ended(exchange)
        assert gateway.watching == 0

    run(main())


def test_a_process_that_stops_ends_its_streams(tmp_path: Path) -> None:
    async def main() -> None:
        gateway, client, _ = world(tmp_path)
        exchange = await opened(client, **{"last-event-id": "2"})
        client.app.state.service.closing.set()
        await ended(exchange)
        assert exchange.sent.get_nowait()["more_body"] is False
        assert gateway.watching == 0

    run(main())


def test_a_failure_in_the_middle_is_told_and_ends_the_stream(tmp_path: Path) -> None:
    async def main() -> None:
        gateway, client, _ = world(tmp_path)
        exchange = await opened(client, **{"last-event-id": "2"})
        gateway.live.put_nowait(StoreError("disk full at /secret"))
        name, number, data = parsed(await exchange.next_body())
        assert (name, number) == ("gateway_error", None)
        assert isinstance(data, dict)
        assert data["error"]["code"] == "store_error"
        assert "secret" not in json.dumps(data)
        await ended(exchange)

    run(main())


def test_an_unforeseen_failure_cuts_the_stream(tmp_path: Path) -> None:
    async def main() -> None:
        gateway, client, _ = world(tmp_path)
        exchange = await opened(client, **{"last-event-id": "2"})
        gateway.live.put_nowait(RuntimeError("bug"))
        assert exchange.task is not None
        (outcome,) = await asyncio.gather(exchange.task, return_exceptions=True)
        assert isinstance(outcome, RuntimeError)
        assert gateway.watching == 0

    run(main())


def test_a_task_that_does_not_exist_is_a_404_and_no_stream(tmp_path: Path) -> None:
    async def main() -> None:
        client = make(FakeGateway(tmp_path))
        assert (await client.get(PATH, headers=STREAM)).status == 404

    run(main())
