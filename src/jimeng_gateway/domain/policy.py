"""When to ask again, when to try again, when to give up: pure functions of values.

Intervals are in milliseconds unless a name says seconds; randomness is a number in [0, 1) that is handed in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jimeng_gateway.domain.errors import ErrorKind, Failure, Owner
from jimeng_gateway.domain.record import JobState, Record
from jimeng_gateway.domain.request import Kind
from jimeng_gateway.domain.task import Stage, Task

#: A result beyond JIMENG_MAX_RESULT_MB: to fetch it again would not make it smaller.
RESULT_TOO_LARGE = "result_too_large"


@dataclass(frozen=True, slots=True)
class Cadence:
    """How often the site is asked. Seconds."""

    image_first: float = 9.5
    image_every: float = 2.0
    video_first: float = 32.0
    video_every: float = 5.0
    #: The longest pause while a job is alive: what the site itself uses (jimeng-web.md 7.6).
    longest: float = 30.0


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of the lifecycle. Milliseconds, but for the number of attempts."""

    image_deadline: int = 3_600_000
    video_deadline: int = 86_400_000
    #: How long after the deadline a result is still collected.
    late_window: int = 7 * 86_400_000
    #: How long an uncertain submit is asked for before its absence is believed.
    reconcile: int = 30_000
    #: How long a submit may be under way in a process that is not heard of any more: its own timeout.
    in_flight: int = 60_000
    #: Refusals by the site or the account, and likewise submits that vanished, before a task fails.
    max_attempts: int = 5

    def deadline(self, kind: Kind) -> int:
        """Longest time in the queue, and again from acceptance to the result."""
        return self.image_deadline if kind is Kind.IMAGE else self.video_deadline


#: Seconds below which a forecast is no more exact than the beat.
_NEAR = 1.0


def learned(before: float | None, took: float) -> float:
    """The usual duration of a model's jobs after one more of them; leans towards the short ones.

    To look a little too early costs one request more; to look too late costs the caller the wait.
    """
    if before is None:
        return took
    weight = 0.5 if took < before else 0.1
    return before + weight * (took - before)


def first_poll(
    kind: Kind, record: Record | None, cadence: Cadence, chance: float, usual: float | None = None
) -> int:
    """Pause between acceptance and the first poll.

    Goes by `usual`, the seconds that jobs of the model have really taken, if that is known.

    Forecasts run high (jimeng-web.md 3.8: 23 and 44 s for pictures that took 12), so a long one is taken at
    a fraction of its word and a short one, which only a fast site gives, at its full word.
    """
    first, share = (cadence.image_first, 0.22) if kind is Kind.IMAGE else (cadence.video_first, 0.2)
    forecast = _forecast_s(record)
    if usual is not None:
        first = min(max(0.5, 0.85 * usual), 120.0)
    elif forecast is not None:
        first = max(0.5, forecast) if forecast < first else max(first, min(forecast * share, 120.0))
    return _jittered(first, chance)


def next_poll(task: Task, record: Record, now: int, cadence: Cadence, chance: float) -> int:
    """Pause until a running job is asked for again.

    A job in the site's queue is asked for sparsely, by position and forecast; one that is being made, at the
    steady beat of its kind, which slows down with age. If the forecast says that it ends before the next
    beat, it is asked for at that moment.
    """
    age = max(0, now - (task.accepted_at or now)) / 1000
    every = cadence.image_every if task.request.kind is Kind.IMAGE else cadence.video_every
    longest = max(every, min(cadence.longest, float(record.poll_interval_s or cadence.longest)))
    if record.state is JobState.QUEUED and (record.queue_position or 0) > 0:
        pause = max(every, 1.5 * (record.queue_position or 0))
        if record.forecast_queue_s is not None:
            pause = max(every, record.forecast_queue_s / 4)
    elif 0 < record.images_done < (record.images_total or 0):
        # Pictures are arriving one by one: the rest is near.
        pause = min(every, 1.5)
    else:
        pause = max(every, age / 12)
        left = (_forecast_s(record) or 0.0) - age
        if _NEAR <= left < pause:
            pause = left
    return _jittered(min(pause, longest), chance)


@dataclass(frozen=True, slots=True)
class Batch:
    """Tasks of one session to be asked for in one request, and the session's rest afterwards."""

    asked: tuple[Task, ...]
    gap: int


def batch(tasks: Sequence[Task], now: int, cadence: Cadence, most: int = 50) -> Batch:
    """What the next poll of a session asks for.

    A session is asked once per interval however many tasks it has, so tasks fall in with its beat: what is
    due, and what would be due within a part of the interval. `tasks` are all that could be polled, in order
    of being due.
    """
    every = min((_beat(task, cadence) for task in tasks), default=cadence.video_every)
    gap = int(every * 1000)

    def eager(task: Task) -> int:
        waiting = task.stage is Stage.POLLING and not task.running and (task.queue_position or 0) > 0
        return int(cadence.longest * 500) if waiting else gap // 4

    asked = [task for task in tasks if task.due_at is not None and task.due_at <= now + eager(task)]
    return Batch(tuple(asked[:most]), gap)


def _beat(task: Task, cadence: Cadence) -> float:
    if task.stage is Stage.SUBMITTING:
        return 1.0
    return cadence.image_every if task.request.kind is Kind.IMAGE else cadence.video_every


def absent_poll(task: Task, chance: float) -> int:
    """Pause after a reply that did not hold the job: it may be too young to be listed."""
    return _jittered(min(30.0, 1.0 * 2 ** min(task.misses, 5)), chance)


def late_poll(now: int, deadline_at: int, chance: float) -> int:
    """Pause between looks for a result that missed its deadline: a minute at first, half an hour later."""
    return _jittered(min(1800.0, max(60.0, (now - deadline_at) / 1000 / 10)), chance)


def after_poll_error(errors: int, chance: float) -> int:
    """Pause of a session whose poll failed `errors` times in a row."""
    return _jittered(min(60.0, 1.5 * 2 ** min(errors - 1, 6)), chance)


def after_download_error(tries: int, chance: float) -> int:
    """Pause before the files of a task are fetched again."""
    return _jittered(min(300.0, 2.0 * 2 ** min(tries, 8)), chance)


@dataclass(frozen=True, slots=True)
class Refusal:
    """An earlier submission of the same task that surely was not accepted."""

    session_id: str
    kind: ErrorKind


@dataclass(frozen=True, slots=True)
class TryAgain:
    """Back to the queue, for that long."""

    pause: int


@dataclass(frozen=True, slots=True)
class GiveUp:
    """The task fails with this failure."""


#: Kinds that say nothing against the session or the task: waiting cures them, the deadline bounds them.
_PATIENT = frozenset({ErrorKind.NETWORK, ErrorKind.RATE_LIMITED})
#: Kinds that only say that this session cannot serve; each session says so once, which bounds them. Risk is
#: not among them: a task that one account after another refuses as risk must not be shown to all of them.
_UNUSABLE = frozenset({ErrorKind.AUTH, ErrorKind.QUOTA, ErrorKind.ACCOUNT_BLOCKED})
#: Kinds that a session may say to one task without being asked for it again.
_REPEATABLE = _PATIENT | {ErrorKind.TIMEOUT, ErrorKind.UPSTREAM_ERROR}


def excluded(refusals: Sequence[Refusal]) -> frozenset[str]:
    """Sessions that must not get this task again: what a site refused is not asked of it twice."""
    return frozenset(refusal.session_id for refusal in refusals if refusal.kind not in _REPEATABLE)


def after_refusal(
    failure: Failure, refusals: Sequence[Refusal], max_attempts: int, chance: float
) -> TryAgain | GiveUp:
    """What becomes of a task whose submit was surely not accepted; `refusals` include this one."""
    if failure.owner is Owner.CALLER:
        return GiveUp()
    if failure.kind in _PATIENT:
        same = sum(1 for refusal in refusals if refusal.kind is failure.kind)
        return TryAgain(_jittered(min(30.0, 1.0 * 2 ** min(same - 1, 5)), chance))
    counted = sum(1 for refusal in refusals if refusal.kind not in _PATIENT | _UNUSABLE)
    if counted >= max_attempts:
        return GiveUp()
    return TryAgain(_jittered(min(60.0, 0.5 * 2 ** max(0, counted - 1)), chance))


def reconciled_absent(task: Task, now: int, limits: Limits) -> bool:
    """Whether an uncertain submit may now be believed not to exist.

    Called after a well-formed reply without it; `misses` counts the earlier ones in a row. A young job may
    be unlisted for some seconds (jimeng-web.md 7.2), so both a span and a second look are needed.
    """
    assert task.stage is Stage.SUBMITTING
    assert task.uncertain_at is not None
    return now - task.uncertain_at >= limits.reconcile and task.misses >= 1


def _forecast_s(record: Record | None) -> float | None:
    if record is None or record.forecast_generate_s is None:
        return None
    return float(record.forecast_generate_s + (record.forecast_queue_s or 0))


def _jittered(seconds: float, chance: float) -> int:
    # Upwards only and by a tenth: enough to keep sessions apart, too little to miss an end by a beat.
    return max(1, int(seconds * 1000 * (1 + 0.1 * chance)))
