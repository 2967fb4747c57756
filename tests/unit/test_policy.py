"""Pauses, batches and verdicts: bounded, monotonic, and never in the past."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.clock import START_MS
from support.factories import make_record, make_request, make_task

from jimeng_gateway.domain import policy
from jimeng_gateway.domain.errors import KINDS, Acceptance, ErrorKind, Failure, Owner
from jimeng_gateway.domain.policy import Cadence, GiveUp, Limits, Refusal, TryAgain
from jimeng_gateway.domain.record import JobState, Record
from jimeng_gateway.domain.request import Kind
from jimeng_gateway.domain.task import Stage, Task

CADENCE = Cadence()
chances = st.floats(0, 1, exclude_max=True)
kinds = st.sampled_from(Kind)
seconds = st.none() | st.integers(1, 100_000)
records = st.builds(
    make_record,
    state=st.sampled_from([JobState.QUEUED, JobState.RUNNING]),
    queue_position=st.none() | st.integers(1, 10_000),
    forecast_queue_s=seconds,
    forecast_generate_s=seconds,
    poll_interval_s=seconds,
    images_total=st.none() | st.integers(1, 8),
    images_done=st.integers(0, 8),
)


def polling(kind: Kind = Kind.IMAGE, age: float = 10.0, **fields: object) -> Task:
    task = make_task(
        request=make_request(kind),
        stage=Stage.POLLING,
        submit_id="s",
        session_id="session_0",
        accepted_at=START_MS - int(age * 1000),
        due_at=START_MS,
    )
    return replace(task, **fields)  # type: ignore[arg-type]


def next_poll(task: Task, record: Record, chance: float = 0.0) -> float:
    return policy.next_poll(task, record, START_MS, CADENCE, chance) / 1000


# ── the cadence ──────────────────────────────────────────────────────────────────────────────────────


@given(kind=kinds, record=st.none() | records, chance=chances)
def test_the_first_poll_comes_within_two_minutes(kind: Kind, record: Record | None, chance: float) -> None:
    assert 500 <= policy.first_poll(kind, record, CADENCE, chance) <= 120_000 * 1.1


@given(kind=kinds, age=st.floats(0, 10**6), record=records, chance=chances)
def test_a_living_job_is_asked_for_at_least_twice_a_minute(
    kind: Kind, age: float, record: Record, chance: float
) -> None:
    pause = next_poll(polling(kind, age), record, chance)
    assert 1.0 <= pause <= CADENCE.longest * 1.1


@given(kind=kinds, record=st.none() | records, task_record=records, age=st.floats(0, 10_000), chance=chances)
def test_jitter_goes_up_and_by_a_tenth_at_most(
    kind: Kind, record: Record | None, task_record: Record, age: float, chance: float
) -> None:
    for plain, jittered in [
        (
            policy.first_poll(kind, record, CADENCE, 0.0),
            policy.first_poll(kind, record, CADENCE, chance),
        ),
        (
            policy.next_poll(polling(kind, age), task_record, START_MS, CADENCE, 0.0),
            policy.next_poll(polling(kind, age), task_record, START_MS, CADENCE, chance),
        ),
    ]:
        assert plain <= jittered <= plain * 1.1 + 1


@given(kind=kinds, ages=st.lists(st.floats(0, 100_000), min_size=2, max_size=2))
def test_the_beat_slows_down_with_age(kind: Kind, ages: list[float]) -> None:
    young, old = (next_poll(polling(kind, age), make_record()) for age in sorted(ages))
    assert young <= old


@given(kind=kinds, places=st.lists(st.integers(1, 10_000), min_size=2, max_size=2))
def test_the_further_back_in_the_queue_the_longer_the_pause(kind: Kind, places: list[int]) -> None:
    near, far = (
        next_poll(polling(kind), make_record(JobState.QUEUED, queue_position=place))
        for place in sorted(places)
    )
    assert near <= far


def test_a_short_forecast_is_taken_at_its_word_and_a_long_one_is_not() -> None:
    firsts = [
        policy.first_poll(Kind.IMAGE, make_record(forecast_generate_s=forecast), CADENCE, 0.0)
        for forecast in (1, 5, 12, 23, 44, 100, 10_000)
    ]
    assert firsts == [1000, 5000, 9500, 9500, 9680, 22_000, 120_000]
    assert policy.first_poll(Kind.IMAGE, None, CADENCE, 0.0) == 9500
    assert policy.first_poll(Kind.VIDEO, None, CADENCE, 0.0) == 32_000


@pytest.mark.parametrize(
    ("kind", "age", "forecast", "pause"),
    [
        (Kind.VIDEO, 57, 60, 3),
        (Kind.VIDEO, 59.5, 60, 5),
        (Kind.VIDEO, 58.9, 60, 1.1),
        (Kind.VIDEO, 54, 60, 5),
        (Kind.VIDEO, 70, 60, 70 / 12),
        (Kind.VIDEO, 200, 210, 10),
        (Kind.IMAGE, 10.5, 12, 1.5),
        (Kind.IMAGE, 9.5, 12, 2),
    ],
)
def test_an_end_that_is_forecast_before_the_next_beat_is_asked_for_then(
    kind: Kind, age: float, forecast: int, pause: float
) -> None:
    record = make_record(forecast_generate_s=forecast)
    assert next_poll(polling(kind, age), record) == pytest.approx(pause, abs=0.002)


def test_a_forecast_of_the_queue_counts_towards_the_end() -> None:
    record = make_record(forecast_generate_s=40, forecast_queue_s=20)
    assert next_poll(polling(Kind.VIDEO, 57), record) == 3


def test_pictures_that_arrive_one_by_one_are_asked_for_more_often() -> None:
    record = make_record(images_total=4, images_done=1)
    assert next_poll(polling(Kind.IMAGE, 60), record) == 1.5
    assert next_poll(polling(Kind.IMAGE, 60), replace(record, images_done=0)) == 5


def test_the_sites_own_interval_bounds_the_pause() -> None:
    queued = make_record(JobState.QUEUED, queue_position=900)
    assert next_poll(polling(Kind.VIDEO), queued) == 30
    assert next_poll(polling(Kind.VIDEO), replace(queued, poll_interval_s=12)) == 12
    assert next_poll(polling(Kind.VIDEO), replace(queued, poll_interval_s=1)) == 5
    assert next_poll(polling(Kind.VIDEO), replace(queued, poll_interval_s=3600)) == 30


def test_the_end_of_the_queue_is_asked_for_at_a_quarter_of_its_forecast() -> None:
    queued = make_record(JobState.QUEUED, queue_position=900, forecast_queue_s=60)
    assert next_poll(polling(Kind.VIDEO), queued) == 15


# ── other pauses ─────────────────────────────────────────────────────────────────────────────────────


@given(count=st.integers(1, 10_000), chance=chances)
def test_pauses_after_failures_are_bounded(count: int, chance: float) -> None:
    assert 1500 <= policy.after_poll_error(count, chance) <= 66_000
    assert 2000 <= policy.after_download_error(count, chance) <= 330_000
    assert 1000 <= policy.absent_poll(polling(misses=count), chance) <= 33_000


@given(count=st.integers(1, 100))
def test_pauses_after_failures_grow(count: int) -> None:
    assert policy.after_poll_error(count, 0.5) <= policy.after_poll_error(count + 1, 0.5)
    assert policy.after_download_error(count, 0.5) <= policy.after_download_error(count + 1, 0.5)
    assert policy.absent_poll(polling(misses=count), 0.5) <= policy.absent_poll(
        polling(misses=count + 1), 0.5
    )


@given(late=st.integers(0, 30 * 86_400), chance=chances)
def test_a_late_result_is_looked_for_every_minute_and_later_every_half_hour(late: int, chance: float) -> None:
    pause = policy.late_poll(START_MS + late * 1000, START_MS, chance)
    assert 60_000 <= pause <= 1_980_000


# ── batches ──────────────────────────────────────────────────────────────────────────────────────────

waiting_tasks = st.lists(
    st.builds(
        polling,
        kind=kinds,
        stage=st.sampled_from([Stage.POLLING, Stage.SUBMITTING, Stage.FAILED]),
        due_at=st.integers(START_MS - 60_000, START_MS + 120_000),
        running=st.booleans(),
        queue_position=st.none() | st.integers(1, 500),
        uncertain_at=st.just(START_MS),
    ),
    max_size=80,
)


@given(tasks=waiting_tasks)
def test_everything_due_is_asked_and_at_most_fifty(tasks: list[Task]) -> None:
    tasks.sort(key=lambda task: task.due_at or 0)
    batch = policy.batch(tasks, START_MS, CADENCE)
    due = [task for task in tasks if (task.due_at or 0) <= START_MS]
    assert len(batch.asked) <= 50
    assert all(task in batch.asked for task in due[:50])
    assert all((task.due_at or 0) <= START_MS + CADENCE.longest * 500 for task in batch.asked)
    assert 1000 <= batch.gap <= CADENCE.video_every * 1000


def test_the_session_rests_as_long_as_its_quickest_task_wants() -> None:
    image, video = polling(Kind.IMAGE), polling(Kind.VIDEO)
    uncertain = polling(Kind.VIDEO, stage=Stage.SUBMITTING, uncertain_at=START_MS)
    assert policy.batch([video], START_MS, CADENCE).gap == 5000
    assert policy.batch([video, image], START_MS, CADENCE).gap == 2000
    assert policy.batch([video, image, uncertain], START_MS, CADENCE).gap == 1000


def test_a_task_joins_a_request_that_comes_a_little_before_its_time() -> None:
    due = polling(Kind.VIDEO)
    soon, later = polling(Kind.VIDEO, due_at=START_MS + 1250), polling(Kind.VIDEO, due_at=START_MS + 1251)
    queued = polling(Kind.VIDEO, due_at=START_MS + 15_000, queue_position=80)
    assert policy.batch([due, soon, later, queued], START_MS, CADENCE).asked == (due, soon, queued)


# ── refusals ─────────────────────────────────────────────────────────────────────────────────────────

UNUSABLE = frozenset({ErrorKind.AUTH, ErrorKind.QUOTA, ErrorKind.ACCOUNT_BLOCKED})
PATIENT = {ErrorKind.NETWORK, ErrorKind.RATE_LIMITED}
OWN_FAULT = {kind for kind, (owner, _) in KINDS.items() if owner is Owner.CALLER}


def verdict(*earlier: ErrorKind, chance: float = 0.0) -> TryAgain | GiveUp:
    refusals = [Refusal(f"session_{n}", kind) for n, kind in enumerate(earlier)]
    return policy.after_refusal(Failure(earlier[-1], "1", ""), refusals, 5, chance)


@pytest.mark.parametrize("kind", sorted(OWN_FAULT))
def test_what_the_caller_must_change_is_given_up_at_once(kind: ErrorKind) -> None:
    assert verdict(kind) == GiveUp()


@pytest.mark.parametrize("kind", sorted(UNUSABLE))
def test_a_session_that_cannot_serve_counts_for_nothing(kind: ErrorKind) -> None:
    """Each session says it once at most, so a long row of empty accounts must not hide the one that can."""
    assert [verdict(*[kind] * n) for n in (1, 5, 60)] == [TryAgain(500)] * 3
    assert verdict(*[kind] * 20, ErrorKind.RISK) == TryAgain(500)


@pytest.mark.parametrize("kind", sorted(set(ErrorKind) - OWN_FAULT - PATIENT - UNUSABLE))
def test_other_refusals_are_tried_again_four_times(kind: ErrorKind) -> None:
    assert [verdict(*[kind] * n) for n in range(1, 6)] == [
        TryAgain(500),
        TryAgain(1000),
        TryAgain(2000),
        TryAgain(4000),
        GiveUp(),
    ]


@pytest.mark.parametrize("kind", sorted(PATIENT))
def test_what_waiting_cures_is_tried_for_ever_and_counts_for_nothing(kind: ErrorKind) -> None:
    pauses = [verdict(*[kind] * n) for n in range(1, 60)]
    assert pauses[:6] == [TryAgain(p) for p in (1000, 2000, 4000, 8000, 16_000, 30_000)]
    assert set(pauses[6:]) == {TryAgain(30_000)}
    assert verdict(*[kind] * 50, ErrorKind.RISK) == TryAgain(500)


@pytest.mark.parametrize("kind", list(ErrorKind))
def test_only_a_refusal_that_says_nothing_of_the_pair_may_be_repeated_on_a_session(kind: ErrorKind) -> None:
    repeatable = kind in PATIENT | {ErrorKind.TIMEOUT, ErrorKind.UPSTREAM_ERROR}
    assert policy.excluded([Refusal("session_0", kind)]) == (frozenset() if repeatable else {"session_0"})


@given(earlier=st.lists(st.sampled_from(ErrorKind), min_size=1, max_size=30), chance=chances)
def test_a_verdict_is_bounded(earlier: list[ErrorKind], chance: float) -> None:
    found = verdict(*earlier, chance=chance)
    assert isinstance(found, GiveUp) or 1 <= found.pause <= 66_000


def test_acceptance_is_no_unless_somebody_says_otherwise() -> None:
    assert Failure(ErrorKind.UNKNOWN, "", "").acceptance is Acceptance.NO


# ── believing in absence ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("waited", "misses", "absent"),
    [(29_999, 5, False), (30_000, 0, False), (30_000, 1, True), (10**9, 0, False), (0, 9, False)],
)
def test_absence_needs_a_span_and_a_second_look(waited: int, misses: int, absent: bool) -> None:
    task = make_task(stage=Stage.SUBMITTING, uncertain_at=START_MS, submit_id="s", misses=misses)
    assert policy.reconciled_absent(task, START_MS + waited, Limits()) is absent


def test_deadlines_are_by_kind() -> None:
    assert Limits().deadline(Kind.IMAGE) == 3_600_000
    assert Limits().deadline(Kind.VIDEO) == 86_400_000
