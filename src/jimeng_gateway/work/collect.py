"""Brings finished results home: a task succeeds only when every file is in hand and whole.

The site's links are signed and die; when one is refused, the record is asked for again and its fresh link is
used. A result is paid for, so failure only means a later try. Small pictures beside the results are nice to
have: one that cannot be fetched is done without.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import replace

from jimeng_gateway.domain import lifecycle
from jimeng_gateway.domain.errors import ErrorKind, Failure, GatewayError, UpstreamFailure
from jimeng_gateway.domain.record import Item
from jimeng_gateway.domain.session import Identity
from jimeng_gateway.domain.task import Removal, Result, Stage, Task
from jimeng_gateway.store import results, tasks
from jimeng_gateway.store.database import Tx
from jimeng_gateway.store.files import StoredFile
from jimeng_gateway.work.bench import Bench

#: Replies to a download that mean that the link is dead, not the file.
DEAD_LINK = frozenset({"http_401", "http_403", "http_404", "http_410"})
#: Longest time that a preview may hold up its result, in seconds.
PREVIEW_S = 20.0


async def collect(bench: Bench, task: Task) -> None:
    """Fetches the files of a task that this process has claimed."""
    try:
        fetched = await _fetch_all(bench, task)
    except (GatewayError, OSError) as error:
        await _failed(bench, task, _failure(error))
        return
    now = bench.clock.now()

    def body(tx: Tx) -> Task | None:
        following = tasks.change(
            tx,
            task.id,
            lambda found: lifecycle.collected(found, fetched, owner=bench.lease.owner, now=now),
            now=now,
        )
        if following is not None and following.removed_at is not None:
            # Deleted while its late files were on their way: nobody can ask for them.
            results.remove_all(tx, task.id, Removal.CALLER, now=now)
        return following

    following = await bench.record(body)
    if following is None:
        await _discard(bench, task, fetched)
    else:
        bench.telemetry.emit(
            "task.advanced",
            task=task.id,
            stage=following.stage,
            was=task.stage,
            bytes=sum(result.size or 0 for result in fetched),
        )
        for result in fetched:
            await bench.files.settle(result.place, result.file, result.preview_file)


async def _discard(bench: Bench, task: Task, fetched: tuple[Result, ...]) -> None:
    """Takes files out of the archive again if the task was cancelled meanwhile.

    In any other case another process may have stored the same ones. What lies in the data directory is found
    by the search for files without a row (keeping.py).
    """
    found = await bench.db.read(lambda tx: tasks.get(tx, task.id))
    if found is None or found.stage is not Stage.CANCELLED:
        return
    for result in fetched:
        for name in (result.file, result.preview_file):
            if result.place and name is not None:
                with contextlib.suppress(GatewayError):
                    await bench.files.remove(StoredFile(name, "", 0, "", result.place))


async def _fetch_all(bench: Bench, task: Task) -> tuple[Result, ...]:
    identity = await _identity(bench, task)
    found = []
    for result in task.results:
        stored = await _kept(bench, task, result)
        if stored is None:
            best = await _best_url(bench, identity, result)
            stored = await _fetch(bench, task, identity, best)
        found.append(await _with_preview(bench, task, stored))
    return tuple(found)


async def _kept(bench: Bench, task: Task, result: Result) -> Result | None:
    """The result, if an earlier attempt has brought it home and only failed to archive it."""
    file = await bench.files.kept(task.id, result.index, result.kind)
    return None if file is None else _stored(result, file, bench.clock.now())


async def _fetch(bench: Bench, task: Task, identity: Identity | None, result: Result) -> Result:
    try:
        return _stored(result, await _download(bench, task, result), bench.clock.now())
    except UpstreamFailure as error:
        if error.failure.code not in DEAD_LINK or identity is None:
            raise
    fresh = await _refreshed(bench, task, identity, result)
    return _stored(fresh, await _download(bench, task, fresh), bench.clock.now())


async def _download(bench: Bench, task: Task, result: Result) -> StoredFile:
    async with bench.upstream.download(result.upstream_url) as download:
        return await bench.files.save(task.id, result.index, result.kind, download.chunks, download.length)


async def _with_preview(bench: Bench, task: Task, result: Result) -> Result:
    """The result with its small picture, if the site gives one; tried once, and its failure is nobody's."""
    if not result.preview_url:
        return result
    try:
        async with (
            asyncio.timeout(PREVIEW_S),
            bench.upstream.download(result.preview_url) as download,
        ):
            file = await bench.files.save_preview(task.id, result.index, download.chunks, download.length)
    except (GatewayError, OSError) as error:
        code = "timeout" if isinstance(error, TimeoutError) else _failure(error).code
        bench.telemetry.emit("preview.failed", task=task.id, index=result.index, code=code)
        return result
    return replace(result, preview_file=file.file, preview_type=file.media_type, preview_size=file.size)


async def _refreshed(bench: Bench, task: Task, identity: Identity, result: Result) -> Result:
    assert task.submit_id is not None
    records = await bench.upstream.records(identity, submit_ids=[task.submit_id])
    record = records.get(task.submit_id)
    if record is None and task.history_id is not None:
        # Its polls may have found it by this id alone.
        found = await bench.upstream.records(identity, history_ids=[task.history_id])
        record = found.get(task.history_id)
    item = _same_item(record.items if record else (), result)
    if item is None:
        raise UpstreamFailure(
            Failure(ErrorKind.UPSTREAM_ERROR, "link_lost", "the site no longer lists the finished result")
        )
    return replace(result, upstream_url=item.url, preview_url=item.preview_url or result.preview_url)


def _same_item(items: Sequence[Item], result: Result) -> Item | None:
    for item in items:
        if item.item_id and item.item_id == result.item_id:
            return item
    return items[result.index] if result.index < len(items) else None


async def _best_url(bench: Bench, identity: Identity | None, result: Result) -> Result:
    """The high-quality address of a video, if the site gives one; its own from the poll otherwise."""
    if result.kind != "video" or not result.item_id or identity is None:
        return result
    try:
        url = await bench.upstream.best_video_url(identity, result.item_id)
    except UpstreamFailure as error:
        bench.telemetry.emit("video.plain_quality", item=result.item_id, code=error.failure.code)
        return result
    return replace(result, upstream_url=url) if url else result


async def _identity(bench: Bench, task: Task) -> Identity | None:
    """None if the session is gone: links need no login as long as they live."""
    if task.session_id is None:
        return None
    try:
        return await bench.identities.open(task.session_id)
    except GatewayError:
        return None


async def _failed(bench: Bench, task: Task, failure: Failure) -> None:
    now, chance = bench.clock.now(), bench.chance.random()
    await bench.record(
        lambda tx: tasks.change(
            tx,
            task.id,
            lambda found: lifecycle.not_collected(
                found, failure, owner=bench.lease.owner, limits=bench.limits, now=now, chance=chance
            ),
            now=now,
        )
    )
    bench.telemetry.emit("download.failed", task=task.id, code=failure.code, message=failure.message)


def _stored(result: Result, file: StoredFile, now: int) -> Result:
    return replace(
        result,
        file=file.file,
        media_type=file.media_type,
        size=file.size,
        sha256=file.sha256,
        stored_at=now,
        place=file.place,
    )


def _failure(error: GatewayError | OSError) -> Failure:
    if isinstance(error, UpstreamFailure):
        return error.failure
    if isinstance(error, GatewayError):
        return Failure(ErrorKind.UNKNOWN, error.code, error.message)
    return Failure(ErrorKind.UNKNOWN, "disk", f"the file could not be written: {error.strerror}")
