"""Whatever happens in whatever order: the promises of the lifecycle, as a machine that tries to break them.

The machine plays two processes, a site and a caller. Beside the task it keeps what really happened to the
money: which submits left and what became of each, so that "never twice" is checked against the truth.
"""

from __future__ import annotations

from dataclasses import replace
from inspect import signature

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from support.clock import START_MS
from support.factories import CADENCE, LIMITS, make_record, make_request, make_task

from jimeng_gateway.domain import lifecycle
from jimeng_gateway.domain.errors import ErrorKind, Failure
from jimeng_gateway.domain.lifecycle import Change
from jimeng_gateway.domain.policy import GiveUp, TryAgain
from jimeng_gateway.domain.record import Accepted, JobState, Record
from jimeng_gateway.domain.request import Kind
from jimeng_gateway.domain.task import SLOTTED, TERMINAL, TRANSITIONS, Result, Stage, Task, Work

NODES = ("node_1", "node_2")
TROUBLE = Failure(ErrorKind.NETWORK, "connection_reset", "")
REFUSAL = Failure(ErrorKind.QUOTA, "1006", "")
FILES = (Result(0, "image", "u", "i", file="f.png", size=1),)

nodes = st.sampled_from(NODES)
chances = st.floats(0, 1, exclude_max=True)
records = st.none() | st.builds(
    make_record,
    state=st.sampled_from(JobState),
    images_done=st.integers(0, 4),
    queue_position=st.none() | st.integers(1, 9),
)


#: What may happen, the ordinary way on more often than the rest.
ACTIONS = [
    *["go_on"] * 14,
    *["wait", "poll", "crash", "lost", "refused"] * 3,
    *["reserve", "intend", "accepted", "poll_failed", "begin_collect", "collected", "not_collected"],
    *["cancel", "deadline", "stop_watching", "hopeless"],
]


class Life(RuleBasedStateMachine):
    """One task from its creation on."""

    task: Task

    def __init__(self) -> None:
        super().__init__()
        self.now = START_MS
        self.facts = 0
        self.submits = 0
        #: The submit that left and is neither refused nor believed absent.
        self.open: str | None = None
        self.ended_as: Stage | None = None

    @initialize(kind=st.sampled_from(Kind))
    def create(self, kind: Kind) -> None:
        self.task = make_task(request=make_request(kind), now=self.now)

    def _apply(self, change: Change | None) -> bool:
        if change is None:
            return False
        before, after = self.task, change.task
        assert after.stage is before.stage or after.stage in self._reachable(before.stage)
        assert after.attempts - before.attempts in (0, 1)
        assert after.updated_at >= before.updated_at
        assert after.id == before.id
        assert after.stage is before.stage or change.facts, "a stage never changes without an event"
        self.facts += len(change.facts)
        self.task = replace(after, revision=before.revision + len(change.facts))
        if self.ended_as is None and self.task.stage in TERMINAL:
            self.ended_as = self.task.stage
        return True

    def _reachable(self, stage: Stage) -> set[Stage]:
        """One move, or two where adoption finds the job ended already."""
        once = set(TRANSITIONS[stage].values())
        return once | {two for one in once & {Stage.POLLING} for two in TRANSITIONS[one].values()}

    # ── what processes do ──

    def reserve(self, node: str) -> None:
        queued = self.task.stage is Stage.QUEUED
        change = lifecycle.reserve(
            self.task, owner=node, session_id="session_0", slot=1, reason="r", now=self.now
        )
        assert self._apply(change) is queued

    def intend(self, node: str) -> None:
        wanted = f"s-{self.submits + 1}"
        if self._apply(lifecycle.intend(self.task, owner=node, submit_id=wanted, now=self.now)):
            assert self.open is None, "a submit left while an earlier one may still have been accepted"
            self.submits += 1
            self.open = wanted

    def accepted(self, number: int, record: Record | None, chance: float) -> None:
        """A reply to any submit that ever left, however late; the step compares the submit_id first."""
        if self.task.submit_id == f"s-{number}":
            accepted = Accepted("h-1", record)
            self._apply(
                lifecycle.accept(
                    self.task, accepted, limits=LIMITS, cadence=CADENCE, now=self.now, chance=chance
                )
            )

    def refused(self, number: int, again: bool) -> None:
        """The site is truthful: it does not refuse what it took, so only the open submit can be refused."""
        submit_id = f"s-{number}"
        if self.task.submit_id == submit_id == self.open:
            verdict = TryAgain(500) if again else GiveUp()
            if self._apply(lifecycle.refuse(self.task, REFUSAL, verdict, now=self.now)):
                self.open = None

    def lost(self, number: int) -> None:
        if self.task.submit_id == f"s-{number}":
            self._apply(lifecycle.doubt(self.task, TROUBLE, now=self.now))

    def crash(self) -> None:
        owned = self.task.owner is not None
        assert self._apply(lifecycle.abandon(self.task, now=self.now, why="gone")) is owned

    def poll(self, record: Record | None, chance: float) -> None:
        before = self.task
        change = lifecycle.observe(
            before, record, limits=LIMITS, cadence=CADENCE, now=self.now, chance=chance
        )
        if self._apply(change) and before.submit_id is not None and self.task.submit_id is None:
            assert before.uncertain_at is not None
            assert self.now - before.uncertain_at >= LIMITS.reconcile
            assert before.misses >= 1
            assert record is None
            self.open = None

    def poll_failed(self, ms: int) -> None:
        stage = self.task.stage
        self._apply(lifecycle.postpone(self.task, until=self.now + ms, limits=LIMITS, now=self.now))
        assert self.task.stage is stage

    def begin_collect(self, node: str) -> None:
        self._apply(lifecycle.begin_collect(self.task, owner=node))

    def collected(self, node: str) -> None:
        before = self.task
        if self._apply(lifecycle.collected(before, FILES, owner=node, now=self.now)):
            assert before.owner == node

    def not_collected(self, node: str, chance: float) -> None:
        before = self.task
        change = lifecycle.not_collected(
            before, TROUBLE, owner=node, limits=LIMITS, now=self.now, chance=chance
        )
        if self._apply(change):
            assert before.owner == node
            assert self.task.stage is before.stage

    # ── what callers and time do ──

    def cancel(self) -> None:
        open_still = self.task.stage not in TERMINAL
        assert self._apply(lifecycle.cancel(self.task, now=self.now)) is open_still

    def deadline(self) -> None:
        self.now = max(self.now, self.task.deadline_at)
        if self._apply(lifecycle.time_out(self.task, limits=LIMITS, now=self.now)):
            assert self.now >= self.task.deadline_at

    def stop_watching(self) -> None:
        self._apply(lifecycle.stop_watching(self.task, limits=LIMITS, now=self.now))

    def hopeless(self) -> None:
        if self.task.stage is Stage.QUEUED:
            assert self._apply(lifecycle.fail_now(self.task, REFUSAL, now=self.now))

    def wait(self, ms: int) -> None:
        self.now += ms

    def go_on(self, node: str, record: Record | None, chance: float) -> None:
        """What comes next if nothing goes wrong."""
        owner = self.task.owner
        if self.task.stage is Stage.QUEUED:
            self.reserve(node)
        elif owner is not None and self.task.collecting:
            self.collected(owner)
        elif owner is not None and self.task.submit_id is None:
            self.intend(owner)
        elif owner is not None:
            self.accepted(self.submits, record, chance)
        elif self.task.work is Work.POLL:
            self.poll(record, chance)
        else:
            self.begin_collect(node)

    @rule(data=st.data(), action=st.sampled_from(ACTIONS))
    def step(self, data: st.DataObject, action: str) -> None:
        """One of all these, at the right moment or not."""
        draws = {
            "node": nodes,
            "number": st.integers(1, 3),
            "record": records,
            "chance": chances,
            "again": st.booleans(),
            "ms": st.sampled_from([1, 500, 5000, 16_000, 31_000]),
        }
        method = getattr(self, action)
        wanted = signature(method).parameters
        method(**{name: data.draw(draws[name], label=name) for name in wanted})

    # ── what must hold at any moment ──

    @invariant()
    def an_end_is_never_left(self) -> None:
        assert self.ended_as in (None, self.task.stage)

    @invariant()
    def a_submit_is_counted_before_it_can_cost(self) -> None:
        assert self.task.attempts == self.submits
        if self.open is not None:
            assert self.task.submit_id == self.open, "a submit that may be running was forgotten"
        if self.task.submit_id is not None:
            assert self.task.attempts >= 1
            assert self.task.session_id is not None, "only its own session can be asked for it"

    @invariant()
    def nothing_is_to_be_done_by_others_while_somebody_works(self) -> None:
        if self.task.owner is not None:
            assert self.task.work is None
            assert self.task.stage in (Stage.SUBMITTING, Stage.DOWNLOADING) or self.task.late

    @invariant()
    def nothing_gets_stuck(self) -> None:
        if self.task.stage not in TERMINAL and self.task.owner is None:
            assert self.task.work is not None
            assert self.task.due_at is not None

    @invariant()
    def the_queue_holds_no_session(self) -> None:
        if self.task.stage is Stage.QUEUED:
            held = (self.task.session_id, self.task.submit_id, self.task.owner, self.task.uncertain_at)
            assert held == (None, None, None, None)
        if self.task.stage in SLOTTED:
            assert self.task.session_id is not None

    @invariant()
    def cancelled_is_cancelled(self) -> None:
        if self.task.stage is Stage.CANCELLED:
            assert (self.task.work, self.task.owner, self.task.failure) == (None, None, None)

    @invariant()
    def late_only_after_the_deadline_failed_it(self) -> None:
        if self.task.late:
            assert self.task.stage is Stage.FAILED
            assert self.task.failure is not None
            assert self.task.failure.kind is ErrorKind.TIMEOUT

    @invariant()
    def success_has_files(self) -> None:
        if self.task.stage is Stage.SUCCEEDED:
            assert self.task.results
            assert all(result.file for result in self.task.results)
            assert self.task.failure is None

    @invariant()
    def failure_has_a_reason(self) -> None:
        assert (self.task.stage is Stage.FAILED) is (self.task.failure is not None)
        assert (self.task.stage in TERMINAL) is (self.task.finished_at is not None)

    @invariant()
    def the_revision_counts_the_facts(self) -> None:
        assert self.task.revision == self.facts


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
