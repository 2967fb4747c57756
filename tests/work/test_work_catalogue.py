"""The live catalogue: what the site lists becomes usable, what it dropped is refused, everywhere."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from support.aio import run
from support.upstream import html
from support.world import CATALOGUE_EVERY, World, opened

from jimeng_gateway.domain.builtin_models import builtin
from jimeng_gateway.domain.catalogue import Model, ModelStatus
from jimeng_gateway.domain.errors import InvalidRequest
from jimeng_gateway.domain.intake import Wish
from jimeng_gateway.domain.request import Kind
from jimeng_gateway.gateway import ADMIN, Gateway
from jimeng_gateway.store.sqlite import SqliteDatabase


def live(*added: Model) -> tuple[Model, ...]:
    """All pictures' models that the site still has, and some new ones."""
    images = builtin().of_kind(Kind.IMAGE)
    return (*(model for model in images if not model.withdrawn), *added)


def new_model() -> Model:
    """A model that no release knew."""
    known = builtin().default(Kind.IMAGE)
    return replace(known, name="seedream-9", key="high_aes_general_v90", title="Seedream 9", aliases=())


async def wish(gateway: Gateway, model: str) -> str:
    task = await gateway.submit(ADMIN, Wish(prompt="x", model=model, n=1))
    return task.request.model_key


async def read(world: World) -> None:
    process = await world.process()
    await process.worker.slow_round()


def test_a_model_that_no_release_knew_becomes_usable_on_every_node(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            await world.sessions(1)
            other = world.facade()
            for gateway in (world.gateway, other):
                with pytest.raises(InvalidRequest, match="unknown model"):
                    await wish(gateway, "seedream-9")
            world.site.live_models = {Kind.IMAGE: live(new_model())}
            await read(world)
            assert await wish(world.gateway, "seedream-9") == "high_aes_general_v90"
            assert await wish(other, "Seedream-9") == "high_aes_general_v90"
            assert await wish(world.facade(), "high_aes_general_v90") == "high_aes_general_v90"

    run(main())


def test_another_node_looks_again_after_a_minute_even_if_nobody_tells_it(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world, opened_again(world) as deaf:
            await world.sessions(1)
            other = world.facade(deaf)
            with pytest.raises(InvalidRequest):
                await wish(other, "seedream-9")
            world.site.live_models = {Kind.IMAGE: live(new_model())}
            await read(world)
            with pytest.raises(InvalidRequest):
                await wish(other, "seedream-9")
            world.clock.advance(60)
            assert await wish(other, "seedream-9") == "high_aes_general_v90"

    run(main())


def test_a_model_that_the_site_switched_off_is_refused_with_what_there_is(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            await world.sessions(1)
            gone = next(model for model in builtin().models if model.withdrawn)
            listed = tuple(m for m in builtin().of_kind(gone.kind) if not m.withdrawn)
            world.site.live_models = {gone.kind: listed}
            await read(world)
            with pytest.raises(InvalidRequest, match="switched off") as caught:
                await world.gateway.submit(ADMIN, Wish(prompt="x", model=gone.name))
            assert (caught.value.code, caught.value.param) == ("model_retired", "model")
            statuses = {model.name: model.status for model in await world.gateway.models()}
            assert statuses[gone.name] is ModelStatus.RETIRED
            assert statuses[listed[0].name] is ModelStatus.AVAILABLE
            assert statuses["jimeng-4.5"] is ModelStatus.BUILTIN, "of its kind nothing was read"

    run(main())


def test_it_is_read_once_per_interval_on_all_nodes_together(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            await world.sessions(1)
            world.site.live_models = {kind: live() for kind in Kind}
            one, two = await world.process(alone=False), await world.process(alone=False)
            for process in (one, two, one):
                await process.worker.slow_round()
            assert len(world.named("catalogue.read")) == 2, "pictures and videos, once each"
            world.clock.advance(CATALOGUE_EVERY / 1000)
            late = await world.process()
            await late.worker.slow_round()
            assert len(world.named("catalogue.read")) == 4

    run(main())


def test_a_reading_that_failed_is_made_good_soon_and_changes_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            await world.sessions(1)
            world.site.live_models = {kind: live(new_model()) for kind in Kind}
            world.site.model_faults.extend([html(), html()])
            await read(world)
            with pytest.raises(InvalidRequest):
                await wish(world.gateway, "seedream-9")
            await read(world)
            assert world.named("catalogue.read") == [], "not at once"
            world.clock.advance(300)
            await read(world)
            assert await wish(world.gateway, "seedream-9") == "high_aes_general_v90"

    run(main())


def test_one_sick_session_does_not_hide_the_catalogue(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            await world.sessions(2)
            world.site.live_models = {kind: live() for kind in Kind}
            world.site.model_faults.append(html())
            await read(world)
            assert len(world.named("catalogue.failed")) == 1
            assert len(world.named("catalogue.read")) == 2

    run(main())


@contextlib.asynccontextmanager
async def opened_again(world: World) -> AsyncIterator[SqliteDatabase]:
    """Another door to the same file, which hears none of the notifications."""
    db = SqliteDatabase(world.db_path)
    await db.open()
    try:
        yield db
    finally:
        await db.close()
