"""Callbacks: every status once and in order, whatever the receivers and the processes do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from support.aio import run
from support.receiver import Receiver, receiving
from support.upstream import Refuse
from support.world import CATALOGUE_EVERY, Process, World, opened, soon

from jimeng_gateway.domain.addresses import AllowedHosts
from jimeng_gateway.domain.errors import ErrorKind, InvalidRequest
from jimeng_gateway.domain.intake import Wish
from jimeng_gateway.domain.order import Order
from jimeng_gateway.domain.request import Kind
from jimeng_gateway.domain.task import Stage, Task
from jimeng_gateway.egress import Egress, Patience
from jimeng_gateway.gateway import ADMIN
from jimeng_gateway.http.callbacks import renderers
from jimeng_gateway.work.deliver import CLAIM_MS, KEEP_MS, PER_PLACE, Courier
from jimeng_gateway.work.worker import Hands, Worker

BASE = "https://gw.example"
QUICK = Patience(connect=0.3, idle=0.3, total=0.3)


@asynccontextmanager
async def telling(folder: Path) -> AsyncIterator[tuple[World, Receiver]]:
    async with opened(folder) as world, receiving() as receiver:
        await world.sessions(1, slots=2)
        # Long enough to be seen at work.
        world.site.takes = 100_000
        yield world, receiver


async def process(world: World, *, allowed: str = "127.0.0.1", patience: Patience = QUICK) -> Process:
    """A worker half that tells callback addresses."""
    made = await world.process()
    courier = Courier(Egress(AllowedHosts.parse(allowed), patience=patience), renderers(world.gateway))
    made.worker = Worker(made.bench, Hands(), catalogue_every=CATALOGUE_EVERY, courier=courier)
    return made


async def order(world: World, url: str, **more: Any) -> Task:
    world.clock.advance(0.001)
    wish = Wish("a lighthouse", kind=Kind.VIDEO)
    placed = await world.gateway.place(
        ADMIN, Order(wish, door="ark", callback_url=url, base_url=BASE, **more)
    )
    return placed.task


def by_event(world: World, column: str) -> dict[str, Any]:
    """A column of the deliveries of the one task that is told of."""
    return {row[0]: row[1] for row in world.sql(f"SELECT event, {column} FROM delivery")}


def states(world: World) -> dict[str, str]:
    return by_event(world, "state")


def test_every_status_is_told_once_in_order_and_as_a_get_would_tell_it(tmp_path: Path) -> None:
    async def main() -> None:
        async with telling(tmp_path) as (world, receiver):
            task = await order(world, receiver.url("/200/hook?token=secret"))
            await world.settle(await process(world))
            assert (await world.task(task)).stage is Stage.SUCCEEDED
            assert receiver.told() == ["queued", "running", "succeeded"]
            assert states(world) == dict.fromkeys(("queued", "running", "succeeded"), "delivered")
            last = receiver.requests[-1]
            assert (last.path, last.headers["content-type"]) == ("/200/hook?token=secret", "application/json")
            assert last.json["id"] == task.id
            assert last.json["content"]["video_url"].startswith(f"{BASE}/api/v1/tasks/{task.id}/content?")
            assert len({one.headers["webhook-id"] for one in receiver.requests}) == 3
            assert [fields["state"] for fields in world.named("delivery.sent")] == ["delivered"] * 3

    run(main())


@pytest.mark.parametrize(
    ("kind", "told"),
    [(ErrorKind.CONTENT_REJECTED, ["queued", "failed"]), (ErrorKind.INVALID_REQUEST, ["queued", "failed"])],
)
def test_a_failure_is_told(tmp_path: Path, kind: ErrorKind, told: list[str]) -> None:
    async def main() -> None:
        async with telling(tmp_path) as (world, receiver):
            world.site.submit_faults.append(Refuse(kind))
            one = await process(world)
            await order(world, receiver.url("/200"))
            await one.worker.deliver_round()
            await soon(lambda: receiver.requests)
            await world.settle(one)
            assert receiver.told() == told
            assert receiver.requests[-1].json["error"]["code"]

    run(main())


def test_what_expires_is_told_and_what_is_cancelled_has_no_word_at_the_ark_door(tmp_path: Path) -> None:
    async def main() -> None:
        async with telling(tmp_path) as (world, receiver):
            world.site.takes = 10 * 86_400_000
            one = await process(world)
            cancelled, late = (
                await order(world, receiver.url("/200/a")),
                await order(world, receiver.url("/200/b")),
            )
            await one.worker.drain()
            await world.gateway.cancel(ADMIN, cancelled.id)
            world.clock.advance(world.limits.video_deadline / 1000 + 1)
            await one.lease.beat()
            await one.worker.drain()
            assert (await world.task(late)).stage is Stage.FAILED
            assert "cancelled" not in receiver.told("/200/a")
            assert receiver.told("/200/b")[-1] == "expired"

    run(main())


def test_without_an_address_nothing_is_noted(tmp_path: Path) -> None:
    async def main() -> None:
        async with telling(tmp_path) as (world, receiver):
            task = await world.submit()
            await world.settle(await process(world))
            assert (await world.task(task)).stage is Stage.SUCCEEDED
            assert (states(world), receiver.requests) == ({}, [])

    run(main())


def test_ends_are_tried_three_times_with_growing_pauses(tmp_path: Path) -> None:
    async def main() -> None:
        async with telling(tmp_path) as (world, receiver):
            one = await process(world)
            task = await order(world, receiver.url("/500"))
            await world.settle(one, until=lambda: states(world).get("succeeded"))
            await one.worker.drain()
            assert receiver.told().count("succeeded") == 1
            assert (states(world)["queued"], states(world)["succeeded"]) == ("failed", "pending")
            for pause, count in ((9, 1), (2, 2), (50, 2), (11, 3), (600, 3)):
                world.clock.advance(pause)
                await one.lease.beat()
                await one.worker.drain()
                assert receiver.told().count("succeeded") == count
            found = world.sql("SELECT state, tries, status, error FROM delivery WHERE event = 'succeeded'")
            assert found == [("failed", 3, 500, "the receiver answered 500")]
            assert receiver.told().count("queued") == 1
            assert len({one.headers["webhook-id"] for one in receiver.requests if task.id in str(one.body)
                        and one.json["status"] == "succeeded"}) == 1  # fmt: skip

    run(main())


def test_an_end_that_arrives_at_last(tmp_path: Path) -> None:
    async def main() -> None:
        async with telling(tmp_path) as (world, receiver):
            one = await process(world)
            await order(world, receiver.url("/200"))
            receiver.answers = [200, 200, 503]
            await world.settle(one, until=lambda: states(world).get("succeeded"))
            world.clock.advance(11)
            await one.lease.beat()
            await one.worker.drain()
            assert receiver.told() == ["queued", "running", "succeeded", "succeeded"]
            assert states(world)["succeeded"] == "delivered"

    run(main())


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("/302", "the receiver answered 302"),
        ("/307", "the receiver answered 307"),
        ("/cut", "127.0.0.1 could not be reached: ServerDisconnectedError"),
        ("/stall", "127.0.0.1 did not answer within 0.3 seconds"),
    ],
)
def test_receivers_that_redirect_hang_up_or_stall(tmp_path: Path, path: str, error: str) -> None:
    async def main() -> None:
        async with telling(tmp_path) as (world, receiver):
            await order(world, receiver.url(path))
            one = await process(world)
            await one.worker.deliver_round()
            await soon(lambda: states(world) == {"queued": "failed"})
            assert by_event(world, "error") == {"queued": error}
            assert [request.path for request in receiver.requests] == [path]

    run(main())


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("http://127.0.0.1:{port}/x", "127.0.0.1 may not be fetched from: loopback"),
        ("http://[::1]:{port}/x", "::1 may not be fetched from: loopback"),
        ("http://169.254.169.254/latest", "169.254.169.254 may not be fetched from: metadata"),
        ("http://localhost:{port}/x", "localhost may not be fetched from: loopback"),
    ],
)
def test_nobody_is_sent_inside_and_it_is_not_tried_again(tmp_path: Path, url: str, error: str) -> None:
    async def main() -> None:
        async with telling(tmp_path) as (world, receiver):
            await order(world, url.format(port=receiver.port))
            one = await process(world, allowed="")
            await world.settle(one)
            assert receiver.requests == []
            assert by_event(world, "error")["succeeded"] == error
            assert (by_event(world, "tries")["succeeded"], states(world)["succeeded"]) == (1, "failed")

    run(main())


def test_one_bad_receiver_delays_no_other(tmp_path: Path) -> None:
    async def main() -> None:
        async with telling(tmp_path) as (world, receiver), receiving() as good:
            one = await process(world, patience=Patience(30, 30, 30))
            for number in range(3 * PER_PLACE):
                await order(world, receiver.url(f"/stall/{number}"))
            await one.worker.deliver_round()
            await soon(lambda: receiver.stalled == PER_PLACE)
            tasks = [await order(world, good.url(f"/200/{number}")) for number in range(PER_PLACE)]
            await one.worker.deliver_round()
            await soon(lambda: len(good.requests) == PER_PLACE)
            assert {request.json["id"] for request in good.requests} == {task.id for task in tasks}
            assert (receiver.most_stalled, len(receiver.requests)) == (PER_PLACE, PER_PLACE)
            running = asyncio.create_task(asyncio.sleep(0))
            await one.worker.stop(running, 0)

    run(main())


def test_what_the_task_has_moved_past_is_not_sent(tmp_path: Path) -> None:
    async def main() -> None:
        async with telling(tmp_path) as (world, receiver):
            await order(world, receiver.url("/200"))
            silent = await world.process()
            await world.settle(silent)
            assert states(world) == {"queued": "superseded", "running": "superseded", "succeeded": "pending"}
            await (await process(world)).worker.drain()
            assert receiver.told() == ["succeeded"]

    run(main())


def test_a_process_that_dies_while_it_sends_leaves_it_to_the_next_one(tmp_path: Path) -> None:
    async def main() -> None:
        async with telling(tmp_path) as (world, receiver):
            task = await order(world, receiver.url("/200"))
            silent = await world.process()
            await world.settle(silent)
            dead = await process(world)
            courier = Courier(Egress(AllowedHosts.parse("127.0.0.1")), renderers(world.gateway))
            claimed = await courier.claim(dead.bench, 8)
            assert [delivery.task_id for delivery, _ in claimed.parcels] == [task.id]
            # It is gone now, perhaps after the receiver has heard of it: nobody knows.
            following = await process(world)
            await following.worker.drain()
            assert receiver.told() == []
            world.clock.advance(CLAIM_MS / 1000)
            await following.lease.beat()
            await following.worker.drain()
            assert receiver.told() == ["succeeded"]
            assert states(world)["succeeded"] == "delivered"

    run(main())


def test_a_status_is_not_sent_while_an_earlier_one_is_on_its_way(tmp_path: Path) -> None:
    async def main() -> None:
        async with telling(tmp_path) as (world, receiver):
            one = await process(world, patience=Patience(30, 30, 30))
            await order(world, receiver.url("/stall"))
            await one.worker.deliver_round()
            await soon(lambda: receiver.stalled == 1)
            silent = await world.process()
            await world.settle(silent, seconds=CLAIM_MS / 1000 - 10)
            await one.worker.deliver_round()
            assert [request.json["status"] for request in receiver.requests] == ["queued"]
            running = asyncio.create_task(asyncio.sleep(0))
            await one.worker.stop(running, 0)

    run(main())


def test_a_body_that_cannot_be_written_is_given_up(tmp_path: Path) -> None:
    async def main() -> None:
        async with telling(tmp_path) as (world, receiver):
            one = await process(world)
            wish = Wish("a lighthouse", kind=Kind.VIDEO)
            url = receiver.url("/200")
            await world.gateway.place(ADMIN, Order(wish, door="nobody", callback_url=url, base_url=BASE))
            await world.settle(one)
            assert receiver.requests == []
            assert by_event(world, "error")["succeeded"] == "the body could not be written: KeyError"

    run(main())


def test_addresses_are_in_no_event_and_no_log(tmp_path: Path) -> None:
    async def main() -> None:
        async with telling(tmp_path) as (world, receiver):
            task = await order(world, receiver.url("/500/hook?token=hush"))
            await order(world, "http://127.0.0.1:1/hook?token=hush")
            await world.settle(await process(world))
            recorded = [event.data for event in await world.gateway.events(ADMIN, task.id)]
            told = world.named("delivery.failed")
            assert {fields["place"] for fields in told} == {f"127.0.0.1:{receiver.port}", "127.0.0.1:1"}
            assert "hush" not in str([recorded, world.seen, world.sql("SELECT error FROM delivery")])

    run(main())


def test_bad_addresses_are_refused_before_anything_is_queued(tmp_path: Path) -> None:
    async def main() -> None:
        async with telling(tmp_path) as (world, _):
            for url in ("ftp://a/", "http://me:you@a/", "x" * 2049):
                with pytest.raises(InvalidRequest):
                    await order(world, url)
                bad = Order(Wish("a lighthouse", kind=Kind.VIDEO), door="ark", callback_url=url)
                with pytest.raises(InvalidRequest):
                    await world.gateway.rehearse(ADMIN, bad)
            assert world.sql("SELECT count(*) FROM task") == [(0,)]

    run(main())


def test_what_was_settled_long_ago_is_forgotten(tmp_path: Path) -> None:
    async def main() -> None:
        async with telling(tmp_path) as (world, receiver):
            one = await process(world)
            task = await order(world, receiver.url("/200"))
            await world.settle(one)
            page = await world.gateway.deliveries(ADMIN, task_id=task.id, limit=2)
            assert [str(one.event) for one in page.items] == ["succeeded", "running"]
            rest = await world.gateway.deliveries(ADMIN, task_id=task.id, limit=2, cursor=page.next_cursor)
            assert ([str(one.event) for one in rest.items], rest.next_cursor) == (["queued"], None)
            courier = Courier(Egress(), {})
            world.clock.advance(KEEP_MS / 1000 - 3600)
            await courier.round(one.bench)
            assert len(states(world)) == 3
            world.clock.advance(3601)
            await courier.round(one.bench)
            assert states(world) == {}
            assert world.sql("SELECT count(*) FROM subscription") == [(0,)]

    run(main())
