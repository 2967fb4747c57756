"""From bytes that a caller gives to a submit that the simulated site takes, through all the real parts."""

from __future__ import annotations

import contextlib
import wave
from collections.abc import AsyncIterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

from support.aio import run
from support.wire import counting_ids
from support.world import Process, World, opened

from jimeng_gateway.domain.addresses import AllowedHosts
from jimeng_gateway.domain.errors import ErrorKind
from jimeng_gateway.domain.intake import Wish
from jimeng_gateway.domain.reference import Reference, Role
from jimeng_gateway.domain.route import Route
from jimeng_gateway.domain.task import Stage
from jimeng_gateway.egress import Egress
from jimeng_gateway.gateway import ADMIN
from jimeng_gateway.intake import Intake
from jimeng_gateway.simulator import media
from jimeng_gateway.simulator.options import SimulatorOptions
from jimeng_gateway.simulator.server import Simulator
from jimeng_gateway.store import blobs
from jimeng_gateway.upstream.client import HttpUpstream
from jimeng_gateway.upstream.wire import protocol

PICTURE = media.picture(640, 480, "a reference", "one")
CLIP = media.clip("16:9", "one", "720p")


@contextlib.asynccontextmanager
async def on_the_wire(path: Path, **options: Any) -> AsyncIterator[tuple[World, Process, Simulator]]:
    """A world whose processes speak HTTP with a strict simulator on the world's clock."""
    async with opened(path) as world:
        choice = SimulatorOptions(**{"sign": "strict", **options})
        with Simulator(choice, clock=lambda: world.clock.now() / 1000) as simulator:
            upstream = HttpUpstream(
                protocol.builtin(),
                clock=world.clock,
                ids=counting_ids(),
                upstream_url=simulator.base_url,
                usual=Route.DIRECT,
            )
            try:
                yield world, await world.process(upstream=upstream), simulator
            finally:
                await upstream.close()
        assert not simulator.state()["remarks"]


async def given(world: World, name: str, data: bytes) -> Reference:
    """Bytes as a caller's reference."""

    async def register(reference: Reference) -> None:
        await world.db.write(lambda tx: blobs.keep(tx, reference, now=world.clock.now()))

    intake = Intake(world.spool, Egress(AllowedHosts(())), register, largest=64 * 1024 * 1024)
    async with intake.receive(name) as incoming:
        await incoming.write(data)
        return await intake.admit(await incoming.complete(), name)


def sound(seconds: float = 2.5) -> bytes:
    """A WAV file of silence."""
    out = BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes(int(seconds * 8000) * 2))
    return out.getvalue()


def test_seedance_from_a_picture_a_clip_and_a_sound(tmp_path: Path) -> None:
    async def main() -> None:
        async with on_the_wire(tmp_path) as (world, process, simulator):
            await world.sessions(1)
            references = (
                await given(world, "cat.png", PICTURE),
                await given(world, "street.mp4", CLIP),
                await given(world, "voice.wav", sound()),
            )
            wish = Wish("@1 in @视频1 with @音频1", model="seedance-2.0", duration=5, references=references)
            task = await world.gateway.submit(ADMIN, wish)
            await world.settle(process)
            assert (await world.task(task)).stage is Stage.SUCCEEDED
            assert simulator.state()["uploads"] == 3
            assert simulator.books()["twice"] == []
            [told] = world.named("references.uploaded")
            assert told["bytes"] == sum(reference.size for reference in references)

    run(main())


def test_frames_and_blends_share_uploads(tmp_path: Path) -> None:
    async def main() -> None:
        async with on_the_wire(tmp_path) as (world, process, simulator):
            await world.sessions(1)
            picture = await given(world, "cat.png", PICTURE)
            blend = Wish("in snow", model="jimeng-4.5", n=1, references=(picture,))
            first = replace(picture, role=Role.FIRST_FRAME)
            framed = Wish("it runs", model="jimeng-video-3.0-fast", references=(first,))
            tasks = [await world.gateway.submit(ADMIN, wish) for wish in (blend, framed, blend)]
            await world.settle(process)
            assert {(await world.task(task)).stage for task in tasks} == {Stage.SUCCEEDED}
            assert simulator.state()["uploads"] == 1
            assert simulator.state()["requests"]["algo_proxy"] == 1

    run(main())


def test_a_picture_that_the_site_rejects_costs_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        async with on_the_wire(tmp_path) as (world, process, simulator):
            await world.sessions(2)
            picture = await given(world, "cat.png", PICTURE + b"[sim:reject-image]")
            task = await world.gateway.submit(
                ADMIN, Wish("in snow", model="jimeng-4.5", references=(picture,))
            )
            await world.settle(process)
            ended = await world.task(task)
            assert ended.failure is not None
            assert (ended.stage, ended.failure.kind) == (Stage.FAILED, ErrorKind.CONTENT_REJECTED)
            assert "'cat.png'" in ended.failure.message
            assert simulator.books()["charges"] == []
            assert "generate" not in simulator.state()["requests"]

    run(main())


def test_bytes_that_were_removed_fail_the_task(tmp_path: Path) -> None:
    async def main() -> None:
        async with on_the_wire(tmp_path) as (world, process, simulator):
            await world.sessions(1)
            picture = await given(world, "cat.png", PICTURE)
            task = await world.gateway.submit(
                ADMIN, Wish("in snow", model="jimeng-4.5", references=(picture,))
            )
            world.spool.path(picture.sha256).unlink()
            await world.settle(process)
            ended = await world.task(task)
            assert ended.failure is not None
            assert (ended.stage, ended.failure.kind) == (Stage.FAILED, ErrorKind.INVALID_REQUEST)
            assert ended.failure.code == "reference_gone"
            assert "generate" not in simulator.state()["requests"]

    run(main())


def test_a_dead_login_found_while_uploading(tmp_path: Path) -> None:
    async def main() -> None:
        async with on_the_wire(tmp_path) as (world, process, simulator):
            await world.sessions(1)
            simulator.fault("ret", endpoint="upload_token", ret="1015", count=1)
            picture = await given(world, "cat.png", PICTURE)
            task = await world.gateway.submit(
                ADMIN, Wish("in snow", model="jimeng-4.5", references=(picture,))
            )
            await world.settle(process, seconds=60)
            assert (await world.task(task)).stage is Stage.FAILED
            [session] = await world.gateway.sessions()
            assert session.state == "expired"
            assert "generate" not in simulator.state()["requests"]

    run(main())
