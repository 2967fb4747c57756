"""A task that its caller gives so many seconds ends by then, whatever its stage; no other does."""

from __future__ import annotations

from pathlib import Path

from support.aio import run
from support.world import opened

from jimeng_gateway.domain.intake import Wish
from jimeng_gateway.domain.order import Order
from jimeng_gateway.domain.request import Kind
from jimeng_gateway.domain.task import Stage
from jimeng_gateway.gateway import ADMIN
from jimeng_gateway.http.ark.render import status_of

HOUR_MS = 3_600_000
VIDEO = Wish(prompt="a lighthouse", kind=Kind.VIDEO, model="jimeng-video-3.0-fast")


def test_it_is_given_up_in_the_queue(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            short = (await world.gateway.place(ADMIN, Order(VIDEO, expires_after_s=3600))).task
            usual = (await world.gateway.place(ADMIN, Order(VIDEO))).task
            assert short.deadline_at == short.created_at + HOUR_MS
            await world.settle(await world.process(), seconds=2 * 3600)
            ended = await world.task(short)
            assert (ended.stage, status_of(ended)) == (Stage.FAILED, "expired")
            assert ended.failure is not None
            assert "within 3600 s" in ended.failure.message
            assert (await world.task(usual)).stage is Stage.QUEUED

    run(main())


def test_acceptance_gives_no_new_time(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            await world.sessions(1)
            short = (await world.gateway.place(ADMIN, Order(VIDEO, expires_after_s=3600))).task
            usual = (await world.gateway.place(ADMIN, Order(VIDEO))).task
            process = await world.process()
            world.clock.advance(600)
            await process.lease.beat()
            await process.worker.drain()
            accepted, other = await world.task(short), await world.task(usual)
            assert (accepted.stage, other.stage) == (Stage.POLLING, Stage.POLLING)
            assert accepted.deadline_at == short.created_at + HOUR_MS
            assert other.deadline_at > usual.deadline_at

    run(main())


def test_a_retry_has_the_same_time_again(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            first = (await world.gateway.place(ADMIN, Order(VIDEO, expires_after_s=3600))).task
            await world.gateway.cancel(ADMIN, first.id)
            world.clock.advance(60)
            again = await world.gateway.retry(ADMIN, first.id)
            assert again.deadline_at == first.deadline_at + 60_000

    run(main())
