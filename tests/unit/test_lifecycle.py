"""Single changes of a task: what each makes of it, what it records, and when it no longer applies."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from support.clock import START_MS
from support.factories import CADENCE, LIMITS, make_item, make_record, make_request, make_task

from jimeng_gateway.domain import lifecycle
from jimeng_gateway.domain.errors import ErrorKind, Failure
from jimeng_gateway.domain.lifecycle import Change
from jimeng_gateway.domain.policy import GiveUp, TryAgain
from jimeng_gateway.domain.record import Accepted, JobState, Record
from jimeng_gateway.domain.request import Kind
from jimeng_gateway.domain.task import Result, Stage, Task, Work

OWNER, NOW = "node_1", START_MS + 60_000
REFUSAL = Failure(ErrorKind.QUOTA, "1006", "credits short")
LOST = Failure(ErrorKind.NETWORK, "connection_reset", "the connection broke")
HOUR = 3_600_000


def submitting(**fields: Any) -> Task:
    task = make_task(stage=Stage.SUBMITTING, owner=OWNER, session_id="session_0", due_at=None)
    return replace(task, **fields)


def sent(**fields: Any) -> Task:
    return submitting(submit_id="s-1", attempts=1, submitted_at=NOW - 5000, **fields)


def uncertain(**fields: Any) -> Task:
    return sent(owner=None, uncertain_at=NOW - 1000, due_at=NOW, **fields)


def polling(kind: Kind = Kind.IMAGE, **fields: Any) -> Task:
    task = sent(
        request=make_request(kind),
        stage=Stage.POLLING,
        owner=None,
        accepted_at=NOW - 20_000,
        due_at=NOW,
        deadline_at=NOW + HOUR,
        history_id="h-1",
    )
    return replace(task, **fields)


def downloading(**fields: Any) -> Task:
    return polling(stage=Stage.DOWNLOADING, **fields)


def timed_out(**fields: Any) -> Task:
    failure = Failure(ErrorKind.TIMEOUT, "deadline", "too late")
    return polling(stage=Stage.FAILED, failure=failure, deadline_at=NOW - 1000, **fields)


def observe(task: Task, record: Record | None, now: int = NOW) -> Change | None:
    return lifecycle.observe(task, record, limits=LIMITS, cadence=CADENCE, now=now, chance=0.0)


def accept(task: Task, record: Record | None = None, now: int = NOW) -> Change | None:
    accepted = Accepted("h-1", record)
    return lifecycle.accept(task, accepted, limits=LIMITS, cadence=CADENCE, now=now, chance=0.0)


def done(change: Change | None) -> Task:
    assert change is not None
    return change.task


def names(change: Change | None) -> list[str]:
    return [] if change is None else [name for name, _ in change.facts]


# ── submitting ───────────────────────────────────────────────────────────────────────────────────────


def test_reserving_gives_session_and_owner_and_leaves_nothing_due() -> None:
    change = lifecycle.reserve(
        make_task(), owner=OWNER, session_id="session_0", slot=1, reason="idle", now=NOW
    )
    task = done(change)
    assert (task.stage, task.owner, task.session_id, task.work) == (
        Stage.SUBMITTING,
        OWNER,
        "session_0",
        None,
    )
    assert change is not None
    assert change.facts == (("task.reserved", {"session_id": "session_0", "slot": 1, "reason": "idle"}),)


def test_the_intent_is_written_once_and_by_the_owner_only() -> None:
    assert lifecycle.intend(submitting(), owner="node_2", submit_id="s-1", now=NOW) is None
    change = lifecycle.intend(submitting(), owner=OWNER, submit_id="s-1", now=NOW)
    task = done(change)
    assert (task.submit_id, task.attempts, task.submitted_at) == ("s-1", 1, NOW)
    assert names(change) == ["submit.sent"]
    assert lifecycle.intend(task, owner=OWNER, submit_id="s-2", now=NOW) is None


def test_acceptance_starts_the_deadline_anew() -> None:
    task = done(accept(sent(), make_record(forecast_generate_s=23, images_total=4)))
    assert (task.stage, task.owner, task.history_id) == (Stage.POLLING, None, "h-1")
    assert (task.accepted_at, task.deadline_at) == (NOW, NOW + HOUR)
    assert (task.due_at, task.queue_eta, task.images_total) == (NOW + 9500, 23, 4)


def test_acceptance_without_an_intent_or_twice_is_nothing() -> None:
    assert accept(submitting()) is None
    assert accept(polling()) is None


def test_an_acceptance_that_comes_after_the_doubt_still_counts() -> None:
    task = done(accept(uncertain()))
    assert (task.stage, task.uncertain_at) == (Stage.POLLING, None)


def test_a_refusal_sends_the_task_back_without_its_session() -> None:
    change = lifecycle.refuse(sent(), REFUSAL, TryAgain(500), now=NOW)
    task = done(change)
    assert (task.stage, task.session_id, task.submit_id, task.owner) == (Stage.QUEUED, None, None, None)
    assert (task.due_at, task.attempts) == (NOW + 500, 1)
    assert names(change) == ["submit.refused"]


def test_a_refusal_that_ends_it_fails_the_task_with_the_sites_words() -> None:
    change = lifecycle.refuse(sent(), REFUSAL, GiveUp(), now=NOW)
    task = done(change)
    assert (task.stage, task.failure, task.finished_at, task.work) == (Stage.FAILED, REFUSAL, NOW, None)
    assert names(change) == ["submit.refused", "task.failed"]


def test_doubt_needs_an_intent_and_counts_from_the_end_of_the_request() -> None:
    assert lifecycle.doubt(submitting(), LOST, now=NOW) is None
    task = done(lifecycle.doubt(sent(), LOST, now=NOW))
    assert (task.owner, task.uncertain_at, task.work, task.due_at) == (None, NOW, Work.POLL, NOW + 1000)
    again = done(lifecycle.doubt(replace(task, owner=OWNER), LOST, now=NOW + 20_000))
    assert again.uncertain_at == NOW + 20_000, "who sent it knows better than who took it over"


# ── taking over ──────────────────────────────────────────────────────────────────────────────────────


def test_nobodys_task_cannot_be_abandoned() -> None:
    assert lifecycle.abandon(make_task(), now=NOW, why="gone") is None


def test_before_the_intent_nothing_was_sent_so_the_task_goes_back() -> None:
    task = done(lifecycle.abandon(submitting(), now=NOW, why="gone"))
    assert (task.stage, task.work, task.due_at) == (Stage.QUEUED, Work.RESERVE, NOW)


def test_after_the_intent_the_site_must_be_asked() -> None:
    change = lifecycle.abandon(sent(), now=NOW, why="gone")
    task = done(change)
    assert (task.stage, task.submit_id, task.uncertain_at) == (Stage.SUBMITTING, "s-1", NOW)
    assert (task.work, names(change)) == (Work.POLL, ["submit.uncertain"])


def test_a_request_that_may_still_be_under_way_is_not_absent() -> None:
    task = done(lifecycle.abandon(sent(), now=NOW, why="gone", in_flight=60_000))
    assert task.due_at == NOW + 1000, "it is looked for at once all the same"
    task, end = replace(task, misses=9), NOW + 60_000 + LIMITS.reconcile
    assert done(observe(task, None, now=end - 1)).stage is Stage.SUBMITTING
    assert done(observe(task, None, now=end)).stage is Stage.QUEUED


def test_a_broken_off_download_is_taken_up_at_once() -> None:
    task = done(lifecycle.abandon(downloading(owner=OWNER, due_at=NOW - 9000), now=NOW, why="gone"))
    assert (task.stage, task.work, task.due_at) == (Stage.DOWNLOADING, Work.COLLECT, NOW)


# ── reconciling ──────────────────────────────────────────────────────────────────────────────────────


def test_an_uncertain_submit_that_is_found_is_adopted() -> None:
    change = observe(uncertain(), make_record())
    task = done(change)
    assert (task.stage, task.uncertain_at, task.accepted_at) == (Stage.POLLING, None, NOW)
    assert names(change) == ["submit.adopted"]


def test_one_that_is_found_finished_goes_on_to_its_files() -> None:
    change = observe(uncertain(), make_record(JobState.SUCCEEDED))
    assert (done(change).stage, len(done(change).results)) == (Stage.DOWNLOADING, 1)
    assert names(change) == ["submit.adopted", "generation.finished"]


def test_one_that_is_found_failed_fails_and_is_not_tried_again() -> None:
    change = observe(uncertain(), make_record(JobState.FAILED, failure=REFUSAL))
    assert (done(change).stage, done(change).failure) == (Stage.FAILED, REFUSAL)
    assert names(change) == ["submit.adopted", "task.failed"]


def test_absence_is_believed_after_the_span_and_a_second_look() -> None:
    task, looks = uncertain(), 0
    while task.stage is Stage.SUBMITTING:
        assert task.due_at is not None
        task, looks = done(observe(task, None, now=task.due_at)), looks + 1
    assert task.stage is Stage.QUEUED
    assert task.updated_at >= NOW - 1000 + LIMITS.reconcile
    assert looks == 8
    assert (task.submit_id, task.session_id, task.attempts) == (None, None, 1)


def test_a_late_first_look_is_not_enough() -> None:
    late = NOW + 10 * LIMITS.reconcile
    once = done(observe(uncertain(), None, now=late))
    assert (once.stage, once.misses) == (Stage.SUBMITTING, 1)
    change = observe(once, None, now=late + 1000)
    assert (done(change).stage, names(change)) == (Stage.QUEUED, ["submit.absent"])


# ── polling ──────────────────────────────────────────────────────────────────────────────────────────


def test_a_reply_without_the_job_fails_nothing() -> None:
    task = polling()
    for _ in range(50):
        task = done(observe(task, None))
    assert (task.stage, task.misses, task.polls) == (Stage.POLLING, 50, 50)
    assert task.due_at == NOW + 30_000


def test_what_the_site_says_is_taken_over() -> None:
    queued = make_record(JobState.QUEUED, queue_position=7, queue_total=90, forecast_queue_s=40)
    waiting = done(observe(polling(misses=3), queued))
    assert (waiting.queue_position, waiting.queue_total, waiting.queue_eta) == (7, 90, 40)
    assert (waiting.running, waiting.misses, waiting.polls) == (False, 0, 1)
    change = observe(waiting, make_record(images_done=1, images_total=4))
    assert (done(change).running, done(change).images_done) == (True, 1)
    assert names(change) == ["generation.started"]
    assert names(observe(done(change), make_record())) == []


def test_pictures_seen_once_are_not_unseen() -> None:
    assert done(observe(polling(images_done=3), make_record(images_done=1))).images_done == 3


def test_success_moves_on_to_the_files_at_once() -> None:
    items = (make_item(0), make_item(1))
    change = observe(polling(queue_position=1, queue_eta=9), make_record(JobState.SUCCEEDED, items=items))
    task = done(change)
    assert (task.stage, task.work, task.due_at) == (Stage.DOWNLOADING, Work.COLLECT, NOW)
    assert [(r.index, r.item_id, r.file) for r in task.results] == [(0, "item-0", None), (1, "item-1", None)]
    assert (task.queue_position, task.queue_eta) == (None, None)


def test_success_without_anything_to_fetch_is_no_success() -> None:
    assert done(observe(polling(), make_record(JobState.SUCCEEDED, items=()))).stage is Stage.POLLING
    late = done(observe(timed_out(), make_record(JobState.SUCCEEDED, items=())))
    assert (late.late, late.work) == (False, Work.POLL)


def test_a_failed_job_fails_its_task_once_and_for_all() -> None:
    task = done(observe(polling(), make_record(JobState.FAILED, failure=REFUSAL)))
    assert (task.stage, task.failure, task.work) == (Stage.FAILED, REFUSAL, None)
    silent = done(observe(polling(), make_record(JobState.FAILED)))
    assert silent.failure is not None
    assert (silent.failure.kind, silent.failure.code) == (ErrorKind.GENERATION_FAILED, "30")


@pytest.mark.parametrize(
    "task", [make_task(), submitting(), sent(), downloading(), polling(stage=Stage.CANCELLED, due_at=None)]
)
def test_a_record_means_nothing_to_a_task_that_is_not_watched(task: Task) -> None:
    assert observe(task, make_record(JobState.SUCCEEDED)) is None


def test_a_poll_that_failed_only_moves_the_next_one() -> None:
    before = polling()
    change = lifecycle.postpone(before, until=NOW + 9000, limits=LIMITS, now=NOW)
    assert done(change) == replace(before, due_at=NOW + 9000)
    assert names(change) == []


# ── files ────────────────────────────────────────────────────────────────────────────────────────────

FILES = (Result(0, "image", "https://cdn.example/0", "item-0", file="a.png", size=9),)


def test_only_whole_files_in_the_hands_of_the_owner_are_success() -> None:
    task = done(lifecycle.begin_collect(downloading(images_total=4), owner=OWNER))
    assert lifecycle.begin_collect(task, owner="node_2") is None
    assert lifecycle.collected(task, FILES, owner="node_2", now=NOW) is None
    change = lifecycle.collected(task, FILES, owner=OWNER, now=NOW)
    assert (done(change).stage, done(change).results, done(change).work) == (Stage.SUCCEEDED, FILES, None)
    assert change is not None
    assert change.facts[1] == ("task.succeeded", {"results": 1, "missing": 3})


def test_a_failed_download_is_tried_later_and_never_fails_a_task_in_time() -> None:
    task, pauses = downloading(owner=OWNER), []
    for _ in range(10):
        after = done(lifecycle.not_collected(task, LOST, owner=OWNER, limits=LIMITS, now=NOW, chance=0.0))
        assert (after.stage, after.owner, after.work) == (Stage.DOWNLOADING, None, Work.COLLECT)
        pauses.append(((after.due_at or 0) - NOW) // 1000)
        task = replace(after, owner=OWNER)
    assert pauses == [2, 4, 8, 16, 32, 64, 128, 256, 300, 300]


def test_a_download_is_given_up_when_nobody_waits_for_it_any_more() -> None:
    end = NOW - 1000 + LIMITS.late_window
    task = timed_out(owner=OWNER, late=True)
    soon = lifecycle.not_collected(task, LOST, owner=OWNER, limits=LIMITS, now=end - 1, chance=0.0)
    assert done(soon).work is Work.COLLECT
    over = lifecycle.not_collected(task, LOST, owner=OWNER, limits=LIMITS, now=end, chance=0.0)
    assert done(over).work is None


# ── cancelling and deadlines ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("task", [make_task(), submitting(), sent(), uncertain(), polling(), downloading()])
def test_cancelling_ends_every_stage_and_nothing_comes_after(task: Task) -> None:
    change = lifecycle.cancel(task, now=NOW)
    ended = done(change)
    assert (ended.stage, ended.owner, ended.work, ended.finished_at) == (Stage.CANCELLED, None, None, NOW)
    assert ended.submit_id == task.submit_id, "it is what is cancelled upstream"
    assert change is not None
    assert change.facts == (("task.cancelled", {"stage": str(task.stage)}),)
    assert accept(ended) is None
    assert observe(ended, make_record(JobState.SUCCEEDED)) is None
    assert lifecycle.collected(ended, FILES, owner=OWNER, now=NOW) is None
    assert lifecycle.refuse(ended, REFUSAL, TryAgain(1), now=NOW) is None
    assert lifecycle.doubt(ended, LOST, now=NOW) is None
    assert lifecycle.time_out(ended, limits=LIMITS, now=NOW + 99 * HOUR) is None
    assert lifecycle.cancel(ended, now=NOW) is None


@pytest.mark.parametrize("task", [make_task(), uncertain(), polling(), downloading()])
def test_a_deadline_fails_what_nobody_works_on(task: Task) -> None:
    due = task.deadline_at
    assert lifecycle.time_out(task, limits=LIMITS, now=due - 1) is None
    assert lifecycle.time_out(replace(task, owner=OWNER), limits=LIMITS, now=due) is None
    failed = done(lifecycle.time_out(task, limits=LIMITS, now=due))
    assert failed.failure is not None
    assert (failed.stage, failed.failure.kind, failed.finished_at) == (Stage.FAILED, ErrorKind.TIMEOUT, due)


@pytest.mark.parametrize(
    ("task", "work", "words"),
    [
        (make_task(), None, "waited for a free account within 3600 s"),
        (uncertain(), Work.POLL, "did not finish upstream"),
        (polling(), Work.POLL, "did not finish upstream"),
        (downloading(), Work.COLLECT, "did not finish upstream"),
    ],
)
def test_what_may_have_been_paid_for_is_watched_beyond_the_deadline(
    task: Task, work: Work | None, words: str
) -> None:
    failed = done(lifecycle.time_out(task, limits=LIMITS, now=task.deadline_at))
    assert failed.work is work
    assert failed.failure is not None
    assert words in failed.failure.message


def test_a_late_result_is_collected_and_the_task_stays_failed() -> None:
    change = observe(timed_out(), make_record(JobState.SUCCEEDED))
    found = done(change)
    assert (found.stage, found.late, found.work) == (Stage.FAILED, True, Work.COLLECT)
    assert names(change) == ["generation.finished_late"]
    taken = done(lifecycle.begin_collect(found, owner=OWNER))
    stored = lifecycle.collected(taken, FILES, owner=OWNER, now=NOW)
    assert (done(stored).stage, done(stored).results, done(stored).work) == (Stage.FAILED, FILES, None)
    assert names(stored) == ["results.stored", "task.collected_late"]


def test_the_watch_ends_with_the_sites_failure_or_after_the_window() -> None:
    failed = observe(timed_out(), make_record(JobState.FAILED, failure=REFUSAL))
    assert (done(failed).work, names(failed)) == (None, ["generation.failed_late"])
    assert done(failed).failure == timed_out().failure, "the deadline failed it"
    end = timed_out().deadline_at + LIMITS.late_window
    for change in (
        observe(timed_out(), None, now=end),
        observe(timed_out(), make_record(), now=end),
        lifecycle.postpone(timed_out(), until=end + 5, limits=LIMITS, now=end),
    ):
        assert (done(change).work, names(change)) == (None, ["watch.ended"])
    assert done(observe(timed_out(), None, now=end - 1)).work is Work.POLL


def test_only_a_deadline_leaves_something_to_watch() -> None:
    refused = done(lifecycle.refuse(sent(), REFUSAL, GiveUp(), now=NOW))
    assert lifecycle.stop_watching(refused, limits=LIMITS, now=NOW + 999 * HOUR) is None
    assert observe(refused, make_record(JobState.SUCCEEDED)) is None


def test_a_task_that_can_never_be_served_fails_at_once() -> None:
    failed = lifecycle.fail_now(make_task(), REFUSAL, now=NOW)
    assert (done(failed).stage, done(failed).failure) == (Stage.FAILED, REFUSAL)
    assert lifecycle.fail_now(done(failed), REFUSAL, now=NOW) is None
