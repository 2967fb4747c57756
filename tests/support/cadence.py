"""A session and its site in one table of times: how often a cadence asks, and how soon it notices an end.

The decisions are the product's own (lifecycle, policy); what is modelled is only what stands around them: the
worker's sweep, the session's rest between requests, the time a request takes, and jobs whose records change
with time. Seconds throughout, from 0; the product's milliseconds only at its borders.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from random import Random

from jimeng_gateway.domain import lifecycle, policy
from jimeng_gateway.domain.policy import Cadence, Limits
from jimeng_gateway.domain.record import Accepted, Item, JobState, Record
from jimeng_gateway.domain.request import Kind
from jimeng_gateway.domain.task import Stage, Task
from support.factories import make_request, make_task

#: The worker looks for due polls this often; a request takes about this long there and back.
SWEEP, REQUEST = 0.2, 0.2


@dataclass(frozen=True, slots=True)
class JobModel:
    """How long a job takes and what its records forecast, as in jimeng-web.md 3.8, 7.3 and 7.6."""

    kind: Kind
    #: Seconds in the queue, and at work after it.
    queue: float
    work: float
    #: `forecast_generate_cost`, constant over the life; None if the site gives none.
    forecast: int | None
    #: Seconds for which a young job is not listed.
    absent: float = 1.0
    #: Whether the record tells the seconds left in the queue.
    tells_queue: bool = True
    count: int = 1

    @property
    def whole(self) -> float:
        """Seconds from acceptance to the end."""
        return self.queue + self.work

    def at(self, age: float) -> Record | None:
        """The record at that age; None while it is not listed."""
        if age < self.absent:
            return None
        return self._ended() if age >= self.whole else self.young(age)

    def young(self, age: float) -> Record:
        """The record while it is not over, as the reply to the submit holds it too."""
        common = Record(
            JobState.RUNNING,
            20,
            forecast_generate_s=self.forecast,
            poll_interval_s=30,
            images_total=self.count if self.kind is Kind.IMAGE else None,
        )
        if age < self.queue:
            left = self.queue - age
            place = max(1, round(200 * left / self.queue))
            forecast = max(1, round(left)) if self.tells_queue else None
            return replace(
                common,
                state=JobState.QUEUED,
                queue_position=place,
                queue_total=220,
                forecast_queue_s=forecast,
            )
        done = (age - self.queue) / self.work
        made = int(max(0.0, done - 0.6) / 0.4 * self.count) if self.kind is Kind.IMAGE else 0
        return replace(common, status=45 if made else 20, images_done=made)

    def _ended(self) -> Record:
        items = tuple(Item(self.kind, f"i{n}", "https://cdn.example/1") for n in range(self.count))
        return Record(JobState.SUCCEEDED, 50, items=items, images_done=self.count)


@dataclass(slots=True)
class Outcome:
    """What the simulation saw."""

    #: Times of the requests of each session.
    requests: list[list[float]] = field(default_factory=list)
    #: Of every finished task: the requests that named it, and the seconds from its end to knowing it.
    polls: list[int] = field(default_factory=list)
    delays: list[float] = field(default_factory=list)


@dataclass(slots=True)
class _Slot:
    accepted: float
    task: Task


class SessionModel:
    """One session with its slots, each of which gets a new task some time after the last one ended."""

    def __init__(
        self, job: JobModel, rng: Random, cadence: Cadence | None = None, slots: int = 2, pause: float = 15.0
    ) -> None:
        self._job = job
        self._rng = rng
        self._cadence = cadence or Cadence()
        self._limits = Limits()
        self._pause = pause
        self._poll_after = 0.0
        self._slots = [self._accepted(rng.random() * pause) for _ in range(slots)]
        self.requests: list[float] = []
        self.outcome = Outcome(requests=[self.requests])

    def run(self, seconds: float) -> Outcome:
        """Sweeps until then."""
        now = self._rng.random() * SWEEP
        while now < seconds:
            now = max(now + SWEEP, self._next_sweep(now))
            self._sweep(now)
        return self.outcome

    def _next_sweep(self, now: float) -> float:
        """The first sweep that can find something, so that idle hours cost nothing."""
        due = max(self._poll_after, min((slot.task.due_at or 0) / 1000 for slot in self._slots))
        return now + max(0.0, (due - now) // SWEEP) * SWEEP

    def _sweep(self, now: float) -> None:
        tasks = sorted((slot.task for slot in self._slots), key=lambda task: (task.due_at or 0, task.id))
        if now < self._poll_after or (tasks[0].due_at or 0) > now * 1000:
            return
        batch = policy.batch(tasks, int(now * 1000), self._cadence)
        self.requests.append(now)
        seen, known = now + REQUEST / 2, now + REQUEST
        self._poll_after = known + batch.gap / 1000
        asked = {task.id for task in batch.asked}
        for slot in self._slots:
            if slot.task.id in asked:
                self._observe(slot, seen, known)

    def _observe(self, slot: _Slot, seen: float, known: float) -> None:
        record = self._job.at(seen - slot.accepted)
        change = lifecycle.observe(
            slot.task,
            record,
            limits=self._limits,
            cadence=self._cadence,
            now=int(known * 1000),
            chance=self._rng.random(),
        )
        assert change is not None
        slot.task = change.task
        if slot.task.stage is Stage.DOWNLOADING:
            self.outcome.polls.append(slot.task.polls)
            self.outcome.delays.append(known - slot.accepted - self._job.whole)
            fresh = self._accepted(known + self._rng.random() * self._pause)
            slot.accepted, slot.task = fresh.accepted, fresh.task

    def _accepted(self, at: float) -> _Slot:
        held = make_task(
            request=make_request(self._job.kind),
            now=0,
            stage=Stage.SUBMITTING,
            submit_id="s",
            session_id="session_0",
        )
        change = lifecycle.accept(
            held,
            Accepted("h", self._job.young(0.0)),
            limits=self._limits,
            cadence=self._cadence,
            now=int(at * 1000),
            chance=self._rng.random(),
        )
        assert change is not None
        return _Slot(at, change.task)


def simulate(job: JobModel, seeds: Sequence[int], seconds: float, **options: object) -> Outcome:
    """Many sessions of the same kind of job, one seed each."""
    made: Callable[..., SessionModel] = SessionModel
    whole = Outcome()
    for seed in seeds:
        part = made(job, Random(seed), **options).run(seconds)
        whole.requests += part.requests
        whole.polls += part.polls
        whole.delays += part.delays
    return whole
