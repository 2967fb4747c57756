"""Properties of what the store keeps: any task comes back equal, and slots follow stages on every way."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from support.aio import run
from support.clock import START_MS
from support.database import AnyDatabase, Engine
from support.factories import CADENCE, LIMITS, add_session, make_record, make_task, seed_sessions

from jimeng_gateway.domain import lifecycle, policy
from jimeng_gateway.domain.errors import ErrorKind, Failure
from jimeng_gateway.domain.lifecycle import Change
from jimeng_gateway.domain.record import Accepted, JobState
from jimeng_gateway.domain.request import GenerationRequest, Kind
from jimeng_gateway.domain.task import SLOTTED, Result, Stage, Task
from jimeng_gateway.store import reservation, tasks
from jimeng_gateway.store.database import Tx

#: An example is a batch over one open store, so there are few, and shrinking would take longer than reading.
few = settings(
    max_examples=6,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
_ids = itertools.count(1)

# ── any task ─────────────────────────────────────────────────────────────────────────────────────────

words = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=30)
maybe_words = st.none() | words
big = st.integers(-(2**63), 2**63 - 1)
counts = st.integers(0, 2**31 - 1)
moments = st.integers(0, 2**53)
requests = st.builds(
    GenerationRequest,
    kind=st.sampled_from(Kind),
    model=words,
    model_key=words,
    prompt=words,
    ratio=words,
    resolution=words,
    width=counts,
    height=counts,
    negative_prompt=words,
    sample_strength=st.floats(0, 1),
    intelligent_ratio=st.booleans(),
    seed=st.none() | st.integers(0, 2**63 - 1),
)
# `acceptance` lives for the length of a call; the store keeps what it led to.
failures = st.builds(Failure, kind=st.sampled_from(ErrorKind), code=words, message=words, raw=words)
results = st.builds(
    Result,
    index=st.just(0),
    kind=st.sampled_from(["image", "video"]),
    upstream_url=words,
    item_id=words,
    width=st.none() | big,
    height=st.none() | big,
    duration_ms=st.none() | big,
    file=maybe_words,
    media_type=maybe_words,
    size=st.none() | big,
    sha256=maybe_words,
    stored_at=st.none() | moments,
)


@st.composite
def any_task(draw: st.DrawFn) -> Task:
    """A task in any stage, with any values that the schema's CHECKs allow in it."""
    stage = draw(st.sampled_from(Stage))
    queued, slotted = stage is Stage.QUEUED, stage in SLOTTED
    late = draw(st.booleans())
    held = stage in (Stage.SUCCEEDED, Stage.DOWNLOADING) or (stage is Stage.FAILED and late)
    return Task(
        id=f"task_{next(_ids):06d}",
        key_id=draw(words),
        request=draw(requests),
        stage=stage,
        revision=0,
        created_at=draw(moments),
        updated_at=draw(moments),
        deadline_at=draw(moments),
        due_at=draw(st.none() | moments),
        owner=None if queued else draw(maybe_words),
        session_id=None if queued else "session_0" if slotted else draw(st.sampled_from([None, "session_0"])),
        submit_id=None if queued else draw(maybe_words),
        history_id=draw(maybe_words),
        attempts=draw(counts),
        uncertain_at=draw(st.none() | moments),
        submitted_at=draw(st.none() | moments),
        accepted_at=draw(st.none() | moments),
        finished_at=draw(st.none() | moments),
        polls=draw(counts),
        misses=draw(counts),
        queue_position=draw(st.none() | big),
        queue_total=draw(st.none() | big),
        queue_eta=draw(st.none() | big),
        images_done=draw(big),
        images_total=draw(st.none() | big),
        running=draw(st.booleans()),
        failure=draw(st.none() | failures),
        late=late,
        retry_of=draw(maybe_words),
        results=tuple(
            replace(result, index=index)
            for index, result in enumerate(draw(st.lists(results, max_size=3)) if held else [])
        ),
    )


def keep(tx: Tx, task: Task) -> Task:
    """Writes a task as it stands, whatever its stage."""
    fresh = make_task(
        task.id, now=task.created_at, key_id=task.key_id, request=task.request, retry_of=task.retry_of
    )
    return tasks.apply(tx, tasks.insert(tx, fresh, {}), Change(task, (("made.up", {"n": 1}),)), now=1)


@few
@given(made=st.lists(any_task(), min_size=20, max_size=20))
def test_any_task_comes_back_equal(engine: Engine, made: list[Task]) -> None:
    async def main() -> None:
        async with engine.open() as db:
            if not await db.read(lambda tx: tx.all("session_list")):
                await seed_sessions(db, 1)
            for task in made:
                saved = await db.write(lambda tx, task=task: keep(tx, task))
                assert saved == replace(task, revision=2)
                assert await db.read(lambda tx, task=task: tasks.get(tx, task.id)) == saved

    run(main())


# ── slots follow stages ──────────────────────────────────────────────────────────────────────────────

FAILURE = Failure(ErrorKind.UPSTREAM_ERROR, "x", "no")
OWNER = "node_a"
Decide = Callable[[Task, int], Change | None]

MOVES: dict[str, Decide] = {
    "intend": lambda t, now: lifecycle.intend(t, owner=OWNER, submit_id=f"{t.id}-{t.attempts}", now=now),
    "accept": lambda t, now: lifecycle.accept(
        t, Accepted("h"), limits=LIMITS, cadence=CADENCE, now=now, chance=0.5
    ),
    "try again": lambda t, now: lifecycle.refuse(t, FAILURE, policy.TryAgain(1000), now=now),
    "give up": lambda t, now: lifecycle.refuse(t, FAILURE, policy.GiveUp(), now=now),
    "doubt": lambda t, now: lifecycle.doubt(t, FAILURE, now=now),
    "absent": lambda t, now: observe(replace(t, misses=5), None, now),
    "running": lambda t, now: observe(t, JobState.RUNNING, now),
    "finished": lambda t, now: observe(t, JobState.SUCCEEDED, now),
    "failed upstream": lambda t, now: observe(t, JobState.FAILED, now),
    "begin collect": lambda t, now: lifecycle.begin_collect(t, owner=OWNER),
    "collected": lambda t, now: lifecycle.collected(t, t.results, owner=OWNER, now=now),
    "not collected": lambda t, now: lifecycle.not_collected(
        t, FAILURE, owner=OWNER, limits=LIMITS, now=now, chance=0.5
    ),
    "cancel": lambda t, now: lifecycle.cancel(t, now=now),
    "time out": lambda t, now: lifecycle.time_out(replace(t, deadline_at=now), limits=LIMITS, now=now),
    "fail": lambda t, now: lifecycle.fail_now(t, FAILURE, now=now),
    "abandon": lambda t, now: lifecycle.abandon(t, now=now, why="gone"),
}


def observe(task: Task, state: JobState | None, now: int) -> Change | None:
    record = None if state is None else make_record(state)
    return lifecycle.observe(task, record, limits=LIMITS, cadence=CADENCE, now=now, chance=0.5)


def step(tx: Tx, prefix: str, move: str, number: int, now: int) -> None:
    """One move of one task, or a round of reservations; then slots and stages must agree."""
    if move == "reserve":
        reservation.reserve(tx, owner=OWNER, now=now, limit=number + 1)
    else:
        tasks.change(tx, f"{prefix}_{number}", lambda task: MOVES[move](task, now), now=now)
    assert tx.all("slot_leaks") == []
    everything = tasks.find(tx, tasks.TaskQuery(limit=1000), key_id=None)
    held = Counter(task.session_id for task in everything if task.stage in SLOTTED)
    for session in tx.all("session_list"):
        assert session["taken"] == held[session["id"]] <= session["slots"], (move, number)


@few
@given(
    script=st.lists(
        st.tuples(st.sampled_from(["reserve", *MOVES]), st.integers(0, 5)), min_size=60, max_size=120
    )
)
def test_a_slot_is_held_exactly_in_the_slotted_stages(engine: Engine, script: list[tuple[str, int]]) -> None:
    prefix = f"walk{next(_ids)}"

    async def seed(db: AnyDatabase) -> None:
        def body(tx: Tx) -> None:
            add_session(tx, f"{prefix}_one", 1)
            add_session(tx, f"{prefix}_two", 2)
            for n in range(6):
                tasks.insert(tx, make_task(f"{prefix}_{n}"), {})

        await db.write(body)

    async def main() -> None:
        async with engine.open() as db:
            await seed(db)
            for number, (move, which) in enumerate(script):
                now = START_MS + number * 100_000
                await db.write(lambda tx, move=move, which=which, now=now: step(tx, prefix, move, which, now))
            held = set(engine.query("SELECT session_id, task_id FROM slot WHERE task_id IS NOT NULL"))
            slotted = ", ".join(f"'{stage}'" for stage in SLOTTED)
            assert held == set(engine.query(f"SELECT session_id, id FROM task WHERE stage IN ({slotted})"))

    run(main())
