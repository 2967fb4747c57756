"""Links to results: the same for a while, good for as long as the operator says, and not to be forged."""

from __future__ import annotations

from pathlib import Path

from support.aio import run
from support.world import opened


def test_links_without_an_end_are_always_the_same(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            gateway = world.gateway
            assert gateway.link_expires() == 0
            signature = gateway.link_signature("task_1", 0)
            world.clock.advance(10 * 365 * 86_400)
            assert signature == gateway.link_signature("task_1", 0, gateway.link_expires())
            assert gateway.link_valid("task_1", 0, signature)
            assert not gateway.link_ended(0)

    run(main())


def test_links_with_an_end_are_the_same_within_a_quarter_of_their_life(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            gateway = world.facade(link_ttl=3600)
            ends = []
            for _ in range(16):
                ends.append(gateway.link_expires())
                life = ends[-1] - world.clock.now() / 1000
                assert 3600 <= life <= 3600 + 900
                world.clock.advance(225)
            assert len(set(ends)) == 4

    run(main())


def test_an_end_is_part_of_what_is_signed(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            gateway = world.facade(link_ttl=3600)
            end = gateway.link_expires()
            signature = gateway.link_signature("task_1", 0, end)
            assert gateway.link_valid("task_1", 0, signature, end)
            assert not gateway.link_valid("task_1", 0, signature, end + 1)
            assert not gateway.link_valid("task_1", 0, signature)
            assert not gateway.link_valid("task_1", 1, signature, end)
            assert not gateway.link_ended(end)
            assert gateway.link_ended(0), "a link of before, when links had no end"
            world.clock.advance(end - world.clock.now() / 1000)
            assert gateway.link_ended(end)
            assert not world.gateway.link_ended(0), "without a life for links, the old ones are good"

    run(main())
