"""The spool stays small by itself."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.aio import run
from support.clock import START_MS, ManualClock
from support.upstream import ScriptedUpstream
from support.world import World

from jimeng_gateway.domain.intake import Wish
from jimeng_gateway.domain.reference import Media, Reference
from jimeng_gateway.gateway import ADMIN
from jimeng_gateway.store import blobs
from jimeng_gateway.store.blobs import ReferencesGone
from jimeng_gateway.store.spool import Spool
from jimeng_gateway.store.sqlite import SqliteDatabase
from jimeng_gateway.work.spooling import GRACE_MS, STRAY_MS, SpoolKeeper

DAY = 24 * 3_600_000


async def stored(world: World, spool: Spool, data: bytes) -> Reference:
    """Bytes in spool and store, written when the world's clock says."""
    async with spool.receive("x", largest=1000) as incoming:
        await incoming.write(data)
        file = await incoming.complete()
        path = await spool.keep(file)
    os.utime(path, (world.clock.now() / 1000, world.clock.now() / 1000))
    reference = Reference(Media.IMAGE, file.sha256, "image/png", len(data), name="x.png", width=4, height=3)
    await world.db.write(lambda tx: blobs.keep(tx, reference, now=world.clock.now()))
    return reference


def test_references_go_when_no_task_can_want_them(tmp_path: Path) -> None:
    async def main() -> None:
        db = SqliteDatabase(tmp_path / "gateway.db")
        await db.open()
        try:
            clock = ManualClock()
            world = World(tmp_path, db, clock, ScriptedUpstream(clock))
            spool = Spool(tmp_path / "spool")
            keeper = SpoolKeeper(spool, retention=DAY)
            process = await world.process()
            idle, used = await stored(world, spool, b"idle"), await stored(world, spool, b"used")
            wish = Wish("x", "jimeng-4.5", references=(used,))
            task = await world.gateway.submit(ADMIN, wish)
            stray = spool.path("f" * 64)
            stray.parent.mkdir()
            stray.write_bytes(b"a crash left this")
            os.utime(stray, (START_MS / 1000, START_MS / 1000))

            assert await keeper.round(process.bench) == 0
            world.clock.advance(GRACE_MS / 1000 + 1)
            assert await keeper.round(process.bench) == 1
            assert not spool.path(idle.sha256).exists()
            assert spool.path(used.sha256).read_bytes() == b"used"
            assert await keeper.round(process.bench) == 0, "it looks once a minute"

            world.clock.advance(STRAY_MS / 1000)
            assert await keeper.round(process.bench) == 1
            assert not stray.exists()

            await world.gateway.cancel(ADMIN, task.id)
            again = await world.gateway.retry(ADMIN, task.id)
            assert again.request.references == (used,)
            await world.gateway.cancel(ADMIN, again.id)
            world.clock.advance(DAY / 1000 + 61)
            assert await keeper.round(process.bench) == 1
            assert not spool.path(used.sha256).exists()
            with pytest.raises(ReferencesGone, match=r"x\.png is no longer stored here"):
                await world.gateway.retry(ADMIN, task.id)
            assert {name for name, _ in world.seen} >= {"references.removed"}
        finally:
            await db.close()

    run(main())
