"""The transition table, what is to be done next, and the estimate of progress."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.clock import START_MS
from support.factories import make_task

from jimeng_gateway.domain.task import (
    SLOTTED,
    TERMINAL,
    TRANSITIONS,
    IllegalMove,
    Move,
    Stage,
    Task,
    Work,
    after,
    progress,
)


def test_exactly_the_ends_have_no_moves() -> None:
    assert {Stage.SUCCEEDED, Stage.FAILED, Stage.CANCELLED} == TERMINAL
    assert not TERMINAL & SLOTTED
    assert set(TRANSITIONS) == set(Stage)


def test_every_stage_is_reached_from_the_queue_and_reaches_every_end() -> None:
    def reachable(start: Stage) -> set[Stage]:
        seen = {start}
        while more := {following for stage in seen for following in TRANSITIONS[stage].values()} - seen:
            seen |= more
        return seen

    assert reachable(Stage.QUEUED) == set(Stage)
    for stage in set(Stage) - TERMINAL:
        assert reachable(stage) >= TERMINAL


@pytest.mark.parametrize("stage", sorted(set(Stage) - TERMINAL))
def test_every_stage_that_is_no_end_can_be_cancelled_and_can_fail(stage: Stage) -> None:
    assert after(stage, Move.CANCEL) is Stage.CANCELLED
    assert after(stage, Move.FAIL) is Stage.FAILED


@pytest.mark.parametrize("move", list(Move))
@pytest.mark.parametrize("stage", sorted(TERMINAL))
def test_an_end_knows_no_move(stage: Stage, move: Move) -> None:
    with pytest.raises(IllegalMove, match=str(stage)):
        after(stage, move)


def test_only_an_accepted_task_can_finish() -> None:
    assert [stage for stage in Stage if Move.FINISH in TRANSITIONS[stage]] == [Stage.POLLING]
    assert [stage for stage in Stage if Move.STORE in TRANSITIONS[stage]] == [Stage.DOWNLOADING]


WORK = [
    (make_task(), Work.RESERVE),
    (make_task(stage=Stage.SUBMITTING, due_at=None), None),
    (make_task(stage=Stage.SUBMITTING, due_at=1), None),
    (make_task(stage=Stage.SUBMITTING, due_at=1, uncertain_at=1), Work.POLL),
    (make_task(stage=Stage.POLLING, due_at=1), Work.POLL),
    (make_task(stage=Stage.DOWNLOADING, due_at=1), Work.COLLECT),
    (make_task(stage=Stage.DOWNLOADING, due_at=1, owner="node_1"), None),
    (make_task(stage=Stage.FAILED, due_at=None), None),
    (make_task(stage=Stage.FAILED, due_at=1), Work.POLL),
    (make_task(stage=Stage.FAILED, due_at=1, late=True), Work.COLLECT),
    (make_task(stage=Stage.FAILED, due_at=None, late=True), None),
    (make_task(stage=Stage.SUCCEEDED, due_at=None), None),
    (make_task(stage=Stage.CANCELLED, due_at=1), None),
]


@pytest.mark.parametrize(("task", "work"), WORK, ids=[f"{n}-{t.stage}" for n, (t, _) in enumerate(WORK)])
def test_what_is_to_be_done_next(task: Task, work: Work | None) -> None:
    assert task.work is work


times = st.integers(START_MS - 10_000, START_MS + 10**9)
tasks = st.builds(
    make_task,
    stage=st.sampled_from(Stage),
    updated_at=times,
    accepted_at=st.none() | times,
    queue_eta=st.none() | st.integers(0, 10**6),
    images_total=st.none() | st.integers(1, 30),
    images_done=st.integers(0, 40),
)


@given(task=tasks, now=times)
def test_progress_is_a_share_and_certain_only_at_the_end(task: Task, now: int) -> None:
    share = progress(task, now)
    assert 0.0 <= share <= 1.0
    assert (share == 1.0) is (task.stage is Stage.SUCCEEDED)
    assert share <= 0.95 or task.stage is Stage.SUCCEEDED


def test_progress_follows_the_forecast_and_the_pictures() -> None:
    begun = make_task(stage=Stage.POLLING, accepted_at=START_MS, updated_at=START_MS, queue_eta=20)
    assert [round(progress(begun, START_MS + s * 1000), 2) for s in (0, 5, 10, 100)] == [0.05, 0.25, 0.5, 0.9]
    arriving = make_task(stage=Stage.POLLING, images_total=4, images_done=2)
    assert progress(arriving, START_MS) == 0.5
