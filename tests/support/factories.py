"""Values and rows with every field filled in, so that a test names only what it is about."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

from jimeng_gateway.domain import lifecycle
from jimeng_gateway.domain.policy import Cadence, Limits
from jimeng_gateway.domain.record import Accepted, Item, JobState, Record
from jimeng_gateway.domain.request import GenerationRequest, Kind
from jimeng_gateway.domain.task import Stage, Task
from jimeng_gateway.store import nodes, reservation, sessions, submissions, tasks
from jimeng_gateway.store.database import Database, Tx
from jimeng_gateway.store.reservation import Round
from jimeng_gateway.store.sessions import StoredCredential
from jimeng_gateway.store.submissions import SubmissionState
from support.clock import START_MS

LIMITS = Limits()
CADENCE = Cadence()
KEY = "key_test"
_numbers = itertools.count(1)


def make_request(kind: Kind = Kind.IMAGE, **fields: Any) -> GenerationRequest:
    """A request as intake leaves it: four pictures, or one video."""
    image = GenerationRequest(
        kind=Kind.IMAGE,
        model="jimeng-4.5",
        model_key="high_aes_general_v40l",
        prompt="a lighthouse in the fog",
        ratio="1:1",
        resolution="2k",
        width=2048,
        height=2048,
        ratio_code=1,
        count=4,
    )
    video = GenerationRequest(
        kind=Kind.VIDEO,
        model="jimeng-video-3.0",
        model_key="dreamina_ic_generate_video_model_vgfm_3.0",
        prompt="a lighthouse in the fog",
        ratio="16:9",
        resolution="720p",
        width=1280,
        height=720,
        duration_ms=5000,
    )
    return replace(image if kind is Kind.IMAGE else video, **fields)


def make_task(task_id: str | None = None, *, now: int = START_MS, **fields: Any) -> Task:
    """A task that waits in the queue since `now`."""
    request = fields.pop("request", None) or make_request()
    task = Task(
        id=task_id or f"task_{next(_numbers):09d}",
        key_id=KEY,
        request=request,
        stage=Stage.QUEUED,
        revision=0,
        created_at=now,
        updated_at=now,
        deadline_at=now + LIMITS.deadline(request.kind),
        due_at=now,
    )
    return replace(task, **fields)


def make_record(state: JobState = JobState.RUNNING, **fields: Any) -> Record:
    """A job as the site reports it; a finished one has one picture."""
    status = {JobState.QUEUED: 20, JobState.RUNNING: 42, JobState.SUCCEEDED: 50, JobState.FAILED: 30}[state]
    items = (make_item(0),) if state is JobState.SUCCEEDED else ()
    return replace(Record(state=state, status=status, history_id="h-1", items=items), **fields)


def make_item(index: int, kind: Kind = Kind.IMAGE) -> Item:
    """A finished picture or video."""
    return Item(kind, f"item-{index}", f"https://cdn.example/{index}", 2048, 2048)


def credential(name: str) -> StoredCredential:
    """A sealed credential that nobody could open."""
    return StoredCredential(f"sealed-{name}", fingerprint=f"print-{name}", web_id="7" * 19, expires_at=None)


def add_session(tx: Tx, session_id: str, slots: int = 2, *, now: int = START_MS) -> str:
    """Writes a ready session; its id."""
    sessions.insert(
        tx,
        session_id=session_id,
        label=session_id,
        region="cn",
        slots=slots,
        credential=credential(session_id),
        now=now,
    )
    return session_id


async def seed_sessions(db: Database, n: int, slots: int = 2, *, now: int = START_MS) -> list[str]:
    """Writes n ready sessions `session_0`, `session_1` …; their ids."""
    return await db.write(lambda tx: [add_session(tx, f"session_{i}", slots, now=now) for i in range(n)])


async def queue_tasks(db: Database, n: int, *, now: int = START_MS, **fields: Any) -> list[Task]:
    """Writes n queued tasks, each due a millisecond after the one before, the last one at `now`."""
    made = [make_task(now=now - n + 1 + i, **fields) for i in range(n)]
    return await db.write(lambda tx: [tasks.insert(tx, task, {}) for task in made])


async def add_node(db: Database, node_id: str, *, now: int = START_MS, lease: int = 30_000) -> str:
    """Writes a living node; its id."""
    await db.write(lambda tx: nodes.enter(tx, node_id, host="here", pid=1, now=now, lease=lease, alone=False))
    return node_id


async def reserve(db: Database, owner: str = "node_a", *, now: int = START_MS, limit: int = 32) -> Round:
    """One reserving round."""
    return await db.write(lambda tx: reservation.reserve(tx, owner=owner, now=now, limit=limit))


def intend(tx: Tx, task: Task, submit_id: str | None = None, *, now: int = START_MS) -> Task:
    """A reserved task whose request is about to leave."""
    assert task.owner is not None
    owner, chosen = task.owner, submit_id or f"submit-{task.id}-{task.attempts + 1}"
    following = tasks.change(
        tx, task.id, lambda found: lifecycle.intend(found, owner=owner, submit_id=chosen, now=now), now=now
    )
    assert following is not None
    submissions.intend(tx, following, seed=7, now=now)
    return following


def accept(tx: Tx, task: Task, *, now: int = START_MS) -> Task:
    """A submitted task that the site has taken; its first poll is due some seconds later."""
    assert task.submit_id is not None
    accepted = Accepted(f"history-{task.id}")
    following = tasks.change(
        tx,
        task.id,
        lambda found: lifecycle.accept(found, accepted, limits=LIMITS, cadence=CADENCE, now=now, chance=0.0),
        now=now,
    )
    assert following is not None
    submissions.settle(tx, task.submit_id, SubmissionState.ACCEPTED, now=now, history_id=accepted.history_id)
    return following


def finish(tx: Tx, task: Task, *, now: int = START_MS, pictures: int = 1) -> Task:
    """A polled task whose pictures are ready to be fetched."""
    items = tuple(make_item(index) for index in range(pictures))
    record = make_record(JobState.SUCCEEDED, items=items)
    following = tasks.change(
        tx,
        task.id,
        lambda found: lifecycle.observe(found, record, limits=LIMITS, cadence=CADENCE, now=now, chance=0.0),
        now=now,
    )
    assert following is not None
    return following


async def in_flight(db: Database, n: int, owner: str = "node_a", *, now: int = START_MS) -> list[Task]:
    """Queues n tasks and takes them to `polling`; there must be slots for all of them."""
    await queue_tasks(db, n, now=now)
    taken = await reserve(db, owner, now=now, limit=n)
    assert len(taken.reserved) == n
    return await db.write(
        lambda tx: [accept(tx, intend(tx, task, now=now), now=now) for task in taken.reserved]
    )
