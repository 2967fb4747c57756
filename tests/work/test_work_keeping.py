"""Results stay within the operator's bounds, and every byte that goes is accounted for."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pytest
from support.aio import run
from support.doom import Doom, DoomedDatabase, Killed
from support.s3 import Fault, archived, storage
from support.upstream import PNG, WEBP
from support.world import Process, World, opened

from jimeng_gateway.domain.errors import Conflict, Gone, InvalidRequest, NotFound
from jimeng_gateway.domain.request import Kind
from jimeng_gateway.domain.task import Removal, Stage, Task
from jimeng_gateway.gateway import ADMIN
from jimeng_gateway.work.keeping import LEFT_MS, SEARCH_EVERY_MS, STRAY_MS, ResultKeeper, find_strays

HOUR = 3_600_000


async def made(world: World, process: Process, n: int = 1) -> Task:
    task = await world.submit(n=n)
    await world.settle(process)
    return await world.task(task)


def lying(world: World) -> set[str]:
    return {path.name for path in (world.path / "results").rglob("*") if path.is_file()}


def names(*tasks: Task) -> set[str]:
    return {Path(result.file or "").name for task in tasks for result in task.results}


def test_old_results_go_and_their_tasks_stay(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            world.site.previews = True
            await world.sessions(1)
            process, keeper = await world.process(), ResultKeeper(retention=HOUR)
            old = await made(world, process, n=2)
            await keeper.round(process.bench)
            assert len(lying(world)) == 4
            world.clock.advance(HOUR / 1000 - 30)
            young = await made(world, process)
            world.clock.advance(40)
            await keeper.round(process.bench)
            assert lying(world) == names(young) | {f"{young.id}-0-preview.webp"}

            seen = await world.task(old)
            assert seen.stage is Stage.SUCCEEDED
            assert [result.removed_why for result in seen.results] == [Removal.AGE] * 2
            with pytest.raises(Gone, match=r"removed at 2026-11-23T01:.*older than") as caught:
                world.gateway.content(seen, 0)
            assert (caught.value.code, caught.value.status) == ("content_removed", 410)
            assert (await world.events(old))[-2:] == ["result.removed"] * 2
            both = 2 * (len(PNG) + len(WEBP))
            assert world.named("results.removed") == [{"count": 2, "bytes": both}]
            assert (await world.gateway.stats())["results"] == {"files": 1, "bytes": both // 2}
            page = await world.gateway.removals()
            assert [(one.task_id, one.index, one.why) for one in page.items] == [
                (old.id, 1, Removal.AGE),
                (old.id, 0, Removal.AGE),
            ]

    run(main())


def test_it_looks_once_a_minute(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            await world.sessions(1)
            process, keeper = await world.process(), ResultKeeper(most=1)
            await keeper.round(process.bench)
            task = await made(world, process)
            await keeper.round(process.bench)
            assert lying(world) == names(task)
            world.clock.advance(60)
            await keeper.round(process.bench)
            assert lying(world) == set()

    run(main())


def test_the_oldest_make_room(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            await world.sessions(1)
            process, keeper = await world.process(), ResultKeeper(most=2 * len(PNG))
            tasks = [await made(world, process) for _ in range(4)]
            await keeper.round(process.bench)
            assert lying(world) == names(*tasks[2:])
            with pytest.raises(Gone, match="needed the room"):
                world.gateway.content(await world.task(tasks[0]), 0)

    run(main())


def test_a_crash_between_row_and_bytes_is_made_good(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            await world.sessions(1)
            tasks = [await made(world, await world.process()) for _ in range(2)]
            doom = Doom(0)
            process = await world.process(db=DoomedDatabase(world.db, doom))
            # One write and its commit; then it dies before the bytes are touched.
            doom.at, doom.moments = 3, 0
            with pytest.raises(Killed):
                await ResultKeeper(most=1).round(process.bench)
            assert lying(world) == names(*tasks)
            with pytest.raises(Gone):
                world.gateway.content(await world.task(tasks[0]), 0)

            process = await world.process()
            world.clock.advance(LEFT_MS / 1000)
            await ResultKeeper().round(process.bench)
            assert lying(world) == set()
            assert world.sql("SELECT count(*) FROM result WHERE file IS NOT NULL") == [(0,)]

    run(main())


def test_an_archive_that_is_away_is_asked_again_later(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world, storage() as s3, archived(s3, world.clock) as archive:
            await world.sessions(1)
            here = await made(world, await world.process())
            process = await world.process(files=world.shelf(archive))
            for _ in range(6):
                await made(world, process)
            asked = len(s3.asked)
            s3.faults.extend([Fault.REFUSE] * 20)
            keeper = ResultKeeper(most=1)
            await keeper.round(process.bench)
            assert (lying(world) & names(here), len(s3.objects)) == (set(), 6)
            assert len(s3.asked) == asked + 3, "it is not asked for every file"
            assert world.named("results.not_removed")[0]["count"] == 6
            s3.faults.clear()
            world.clock.advance(61)
            await keeper.round(process.bench)
            assert s3.objects == {}

    run(main())


def test_files_that_no_row_names_go_and_others_never(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            await world.sessions(1)
            process, keeper = await world.process(), ResultKeeper()
            done, waiting = await made(world, process), await world.submit()
            folder = world.file(done, 0).parent
            stray, young = folder / f"{done.id}-0.part", folder / f"{done.id}-9.png"
            foreign, working = folder / "task_unknown-0.png", folder / f"{waiting.id}-0.part"
            for path in (stray, young, foreign, working):
                path.write_bytes(b"x")
            old = (world.clock.now() - STRAY_MS - 1) / 1000
            for path in (stray, foreign, working, world.file(done, 0)):
                os.utime(path, (old, old))
            os.utime(young, (world.clock.now() / 1000, world.clock.now() / 1000))
            await keeper.round(process.bench)
            assert not stray.exists()
            assert all(path.exists() for path in (young, foreign, working, world.file(done, 0)))
            assert world.named("results.strays") == [{"count": 1}]

            world.clock.advance(SEARCH_EVERY_MS / 1000 - 1)
            stray.write_bytes(b"x")
            os.utime(stray, (old, old))
            await keeper.round(process.bench)
            assert stray.exists(), "it searches now and then"
            world.clock.advance(60)
            await keeper.round(process.bench)
            assert not stray.exists()
            assert await find_strays(process.bench) == 0

    run(main())


def test_a_caller_removes_what_is_finished(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            await world.sessions(1)
            process = await world.process()
            done, waiting = await made(world, process), await world.submit()
            with pytest.raises(Conflict, match="has not ended"):
                await world.gateway.remove_results(ADMIN, waiting.id)
            seen = await world.gateway.remove_results(ADMIN, done.id)
            assert (seen.results[0].removed_why, lying(world)) == (Removal.CALLER, set())
            with pytest.raises(Gone, match="its caller asked for it"):
                world.gateway.content(seen, 0)
            again = await world.gateway.remove_results(ADMIN, done.id)
            assert again.results == seen.results
            assert world.sql("SELECT count(*) FROM result WHERE file IS NOT NULL") == [(0,)]
            with pytest.raises(NotFound):
                await world.gateway.remove_results(ADMIN, "task_nobody")

    run(main())


def test_what_its_caller_deletes_leaves_no_files(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            world.site.previews = True
            await world.sessions(1)
            process = await world.process()
            done, other = await made(world, process, n=2), await made(world, process)
            await world.gateway.remove(ADMIN, done.id)
            with pytest.raises(NotFound):
                await world.task(done)
            assert lying(world) == names(other) | {f"{other.id}-0-preview.webp"}
            page = await world.gateway.removals()
            assert [(one.task_id, one.why) for one in page.items] == [(done.id, Removal.CALLER)] * 2
            assert [fields["count"] for fields in world.named("results.removed")] == [2]

    run(main())


def test_a_crash_in_a_deletion_is_made_good(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            await world.sessions(1)
            process = await world.process()
            for at in range(1, 7):
                done = await made(world, process)
                with contextlib.suppress(Killed):
                    await world.facade(DoomedDatabase(world.db, Doom(at))).remove(ADMIN, done.id)
                with contextlib.suppress(NotFound):
                    await world.gateway.remove(ADMIN, done.id)
                world.clock.advance(LEFT_MS / 1000 + 1)
                await ResultKeeper().round(process.bench)
                assert lying(world) == set()

    run(main())


def test_a_task_that_is_not_finished_is_cancelled_by_its_deletion(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            await world.sessions(1)
            process = await world.process()
            task = await world.submit()
            await world.settle(process, until=lambda: world.site.charges)
            await world.gateway.remove(ADMIN, task.id)
            assert world.sql("SELECT stage FROM task") == [("cancelled",)]
            assert world.sql("SELECT cancel_state FROM submission") == [("wanted",)]
            assert world.slots_taken() == 0

    run(main())


def test_the_operator_prunes(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            await world.sessions(1)
            process = await world.process()
            tasks = []
            for _ in range(3):
                tasks.append(await made(world, process))
                world.clock.advance(HOUR / 1000)
            prune = world.gateway.prune
            with pytest.raises(InvalidRequest):
                await prune()
            tried, _ = await prune(older_than=2 * HOUR, dry_run=True)
            assert (tried.files, tried.bytes, len(lying(world))) == (2, 2 * len(PNG), 3)
            done, more = await prune(older_than=2 * HOUR)
            assert (done, more, lying(world)) == (tried, False, names(tasks[2]))
            assert (await prune(most=len(PNG)))[0].files == 0
            assert (await prune(most=0))[0].files == 1
            first = await world.gateway.removals(limit=2)
            assert [one.task_id for one in first.items] == [tasks[2].id, tasks[1].id]
            rest = await world.gateway.removals(limit=2, cursor=first.next_cursor)
            assert ([one.task_id for one in rest.items], rest.next_cursor) == ([tasks[0].id], None)
            assert {one.why for one in (*first.items, *rest.items)} == {Removal.OPERATOR}
            for cursor in ("x", "1.x", "1.task_1.x", "1..2"):
                with pytest.raises(InvalidRequest, match="cursor"):
                    await world.gateway.removals(cursor=cursor)

    run(main())


def test_previews_are_kept_beside_their_results(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            world.site.previews = True
            await world.sessions(1)
            process = await world.process()
            video = await world.submit(Kind.VIDEO)
            await world.settle(process)
            done = await world.task(video)
            assert done.results[0].preview_url == "https://cdn.example/h1/0/cover?shown=1"
            poster = world.gateway.content(done, 0, preview=True)
            assert (poster.file, poster.media_type) == (
                f"{done.id[-2:]}/{done.id}-0-preview.webp",
                "image/webp",
            )
            assert await world.gateway.read_content(poster) == WEBP

    run(main())


LARGE = b"\x89PNG\r\n\x1a\n" + bytes(6 * 1024 * 1024)


@pytest.mark.parametrize(
    ("served", "code"),
    [
        (b"<html>no such file</html>" * 9, "not_media"),
        (LARGE, "result_too_large"),
        (TimeoutError(), "timeout"),
    ],
    ids=["a page", "too large", "nothing"],
)
def test_a_preview_that_cannot_be_had_is_nobodys_failure(
    tmp_path: Path, served: bytes | Exception, code: str
) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            world.site.previews = True
            world.site.preview_faults.append(served)
            await world.sessions(1)
            process = await world.process()
            video = await world.submit(Kind.VIDEO)
            await world.settle(process)
            done = await world.task(video)
            assert done.stage is Stage.SUCCEEDED
            assert "download.failed" not in await world.events(video)
            assert [fields["code"] for fields in world.named("preview.failed")] == [code]
            assert len(world.site.downloads) == 2, "it is tried once"
            with pytest.raises(NotFound, match="no preview of this video") as caught:
                world.gateway.content(done, 0, preview=True)
            assert caught.value.code == "no_preview"

    run(main())
