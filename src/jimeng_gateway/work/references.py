"""Brings a task's references to its session before anything is submitted, so that a failure costs nothing.

Each is taken from an earlier upload of the session or uploaded now, and pictures pass the site's safety
check. While it lasts, the task is watched: one that was cancelled, or that another process has taken over,
needs no upload any more.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, replace

from jimeng_gateway.domain import lifecycle, policy
from jimeng_gateway.domain.errors import ErrorKind, Failure, UpstreamFailure
from jimeng_gateway.domain.lifecycle import Change
from jimeng_gateway.domain.reference import Media, Reference, Uploaded
from jimeng_gateway.domain.session import Identity, Session
from jimeng_gateway.domain.task import Stage, Task
from jimeng_gateway.store import reservation, sessions, submissions, tasks, uploads
from jimeng_gateway.store.database import StoreBusy, Tx
from jimeng_gateway.store.uploads import KnownUpload
from jimeng_gateway.work.bench import Bench

#: References of one task that are brought at the same time.
AT_ONCE = 3
#: Seconds between two looks at a task whose references are on their way; a notification comes sooner.
LOOK_S = 5.0
#: Failures of the safety check that say nothing about the picture: generate checks again in any case (6.6).
_CHECK_SAYS_NOTHING = frozenset(
    {
        ErrorKind.NETWORK,
        ErrorKind.TIMEOUT,
        ErrorKind.UPSTREAM_ERROR,
        ErrorKind.INVALID_REQUEST,
        ErrorKind.UNKNOWN,
    }
)


@dataclass(frozen=True, slots=True)
class _Brought:
    """A reference as the session knows it, and whether it was there before."""

    uploaded: Uploaded
    reused: bool


async def prepare(bench: Bench, task: Task, identity: Identity) -> tuple[Uploaded, ...] | None:
    """What the session made of the task's references, in their order; None if the task is not ours any more.

    UpstreamFailure if one of them cannot be brought.
    """
    references = task.request.references
    if not references:
        return ()
    bringing = asyncio.ensure_future(_bring_all(bench, identity, references))
    watching = asyncio.ensure_future(_unwanted(bench, task))
    try:
        await asyncio.wait((bringing, watching), return_when=asyncio.FIRST_COMPLETED)
        if not bringing.done():
            watching.result()
            return None
        brought = bringing.result()
    finally:
        for doing in (bringing, watching):
            doing.cancel()
        await asyncio.gather(bringing, watching, return_exceptions=True)
    return tuple(found.uploaded for found in brought) if await _told(bench, task, brought) else None


async def failed(bench: Bench, task: Task, failure: Failure) -> None:
    """The references could not be brought: nothing was submitted, so nothing was charged."""
    now, chance = bench.clock.now(), bench.chance.random()

    def body(tx: Tx) -> Session | None:
        if not _held(bench, task, tasks.get(tx, task.id)):
            return None
        submissions.set_back(tx, task, failure, now=now)
        earlier = submissions.refusals(tx, task.id)
        verdict = policy.after_refusal(failure, earlier, bench.limits.max_attempts, chance)
        if not reservation.servable(tx, earlier):
            verdict = policy.GiveUp()
        tasks.change(
            tx,
            task.id,
            lambda found: lifecycle.refuse(found, failure, verdict, now=now, what="references.failed"),
            now=now,
        )
        assert task.session_id is not None
        return sessions.suffer(tx, task.session_id, failure, now=now)

    session = await bench.record(body)
    bench.telemetry.emit(
        "references.failed", task=task.id, session=task.session_id, kind=failure.kind, code=failure.code
    )
    if session is not None:
        bench.telemetry.emit(f"session.{session.state}", session=session.id, reason=session.reason)


async def _bring_all(bench: Bench, identity: Identity, references: tuple[Reference, ...]) -> list[_Brought]:
    room = asyncio.Semaphore(AT_ONCE)

    async def one(reference: Reference) -> _Brought:
        async with room:
            return await _bring(bench, identity, reference)

    try:
        async with asyncio.TaskGroup() as group:
            doing = [group.create_task(one(reference)) for reference in references]
    except BaseExceptionGroup as failures:
        # The others were stopped by the first one; they have nothing to add.
        raise failures.exceptions[0] from None
    return [done.result() for done in doing]


async def _bring(bench: Bench, identity: Identity, reference: Reference) -> _Brought:
    brought, first = await bench.materials.flights.join(
        (identity.session_id, identity.login, reference.sha256),
        lambda: _fetch_or_upload(bench, identity, reference),
    )
    assert isinstance(brought, _Brought)
    return brought if first else replace(brought, reused=True)


async def _fetch_or_upload(bench: Bench, identity: Identity, reference: Reference) -> _Brought:
    session_id, now = identity.session_id, bench.clock.now()
    known = await bench.db.read(lambda tx: uploads.find(tx, session_id, reference, now=now))
    reused = known is not None
    if known is None:
        known = KnownUpload(await _upload(bench, identity, reference), None)
    if reference.kind is Media.IMAGE and not known.passed:
        await _check(bench, identity, reference, known)
    return _Brought(known.uploaded, reused)


async def _upload(bench: Bench, identity: Identity, reference: Reference) -> Uploaded:
    materials = bench.materials
    async with materials.hands:
        uploaded = await bench.upstream.upload(identity, reference, materials.path(reference.sha256))
    session_id, now = identity.session_id, bench.clock.now()

    def body(tx: Tx) -> None:
        # A login that replaced ours meanwhile may be another account, which could not use this.
        if sessions.has_login(tx, session_id, identity.login):
            uploads.keep(tx, session_id, reference.sha256, uploaded, now=now, valid=materials.valid)

    await bench.record(body)
    return uploaded


async def _check(bench: Bench, identity: Identity, reference: Reference, known: KnownUpload) -> None:
    """The site's safety check, asked once for an upload; its refusal is final."""
    if known.passed is False:
        raise _rejected(reference, Failure(ErrorKind.CONTENT_REJECTED, "2003", "", ""))
    session_id, uploaded = identity.session_id, known.uploaded
    try:
        await bench.upstream.precheck(identity, uploaded)
    except UpstreamFailure as error:
        if error.failure.kind in _CHECK_SAYS_NOTHING:
            bench.telemetry.emit("precheck.skipped", session=session_id, code=error.failure.code)
            return
        if error.failure.kind is not ErrorKind.CONTENT_REJECTED:
            raise
        await bench.record(lambda tx: uploads.judge(tx, session_id, reference.sha256, uploaded, passed=False))
        raise _rejected(reference, error.failure) from error
    await bench.record(lambda tx: uploads.judge(tx, session_id, reference.sha256, uploaded, passed=True))


def _rejected(reference: Reference, failure: Failure) -> UpstreamFailure:
    name = f" {reference.name!r}" if reference.name else ""
    message = f"the picture{name} did not pass the site's safety check"
    return UpstreamFailure(replace(failure, message=message))


async def _unwanted(bench: Bench, task: Task) -> None:
    """Returns once the task is not ours any more; UpstreamFailure when its time is up."""
    changed = asyncio.Event()
    topic = tasks.topic_of(task.id)
    unsubscribe = bench.db.subscribe(lambda told: changed.set() if told == topic else None)
    try:
        while bench.lease.valid():
            await _either(changed, bench, LOOK_S)
            changed.clear()
            if bench.clock.now() >= task.deadline_at:
                message = "the references could not be brought to the site in time"
                raise UpstreamFailure(Failure(ErrorKind.TIMEOUT, "deadline", message))
            with contextlib.suppress(StoreBusy):
                found = await bench.db.read(lambda tx: tasks.get(tx, task.id))
                if not _held(bench, task, found):
                    return
    finally:
        unsubscribe()


async def _either(event: asyncio.Event, bench: Bench, seconds: float) -> None:
    waiting = [asyncio.ensure_future(event.wait()), asyncio.ensure_future(bench.clock.sleep(seconds))]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for one in waiting:
            one.cancel()


def _held(bench: Bench, task: Task, found: Task | None) -> bool:
    """Whether this process still prepares the task for the same session."""
    return (
        found is not None
        and found.stage is Stage.SUBMITTING
        and found.owner == bench.lease.owner
        and found.session_id == task.session_id
        and found.submit_id is None
    )


async def _told(bench: Bench, task: Task, brought: list[_Brought]) -> bool:
    """Records that all is there; whether the task is still ours."""
    sent = {
        reference.sha256: reference.size
        for reference, found in zip(task.request.references, brought, strict=True)
        if not found.reused
    }
    data: dict[str, object] = {
        "count": len(brought),
        "bytes": sum(sent.values()),
        "reused": sum(found.reused for found in brought),
    }
    now = bench.clock.now()

    def body(tx: Tx) -> Task | None:
        return tasks.change(
            tx,
            task.id,
            lambda found: (
                Change(found, (("references.uploaded", data),)) if _held(bench, task, found) else None
            ),
            now=now,
        )

    if await bench.record(body) is None:
        return False
    bench.telemetry.emit("references.uploaded", task=task.id, session=task.session_id, **data)
    return True
