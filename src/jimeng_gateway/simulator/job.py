"""A job's life as a function of time: the plan is fixed at acceptance, and `view` says what a poll sees.

Times are seconds since the epoch as floats. Nothing here remembers that it was asked.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random

from jimeng_gateway.simulator.draft import Ask
from jimeng_gateway.simulator.options import SimulatorOptions
from jimeng_gateway.simulator.triggers import Ending

#: forecast_generate_cost over the real time, as seen (7.6): 23 for 12 s of images, 156 for 60 s of video.
_FORECAST = {"image": 23 / 12, "video": 156 / 60}
#: Seconds of site time after which a refused text or face is known.
_QUICK_S = 2.0
#: Parts of the work after which pictures are in the making, and after which they appear one by one.
_THINKING, _SHOWING = 0.15, 0.6


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a job failed, in the fields of 2.8."""

    fail_code: str
    fail_msg: str
    starling_key: str
    message: str
    #: status of the `task` part.
    task_status: int
    refunded: bool


_REJECT_RESULT = {
    "image": Failure("2004", "OutputImageRisk", "", "生成的图片未通过审核", 40, True),
    "video": Failure("2042", "OutputVideoRisk", "", "视频未通过审核，本次不消耗积分", 40, True),
}
FAILURES = {
    Ending.REJECT_TEXT: Failure(
        "2038",
        "InputTextRisk",
        "web_text_violates_community_guidelines_toast",
        "你输入的文字不符合平台规则，请修改后重试",
        10,
        True,
    ),
    Ending.FACE: Failure(
        "4011",
        "RejectFace",
        "web_fail2generate_input_face",
        "识别到你上传的素材中包含人脸信息，请调整素材后再试试",
        10,
        True,
    ),
    Ending.FAIL: Failure("", "", "", "", 30, False),
}
CANCELLED = Failure("", "TaskCanceled", "", "你已取消生成，积分已返还", 30, True)


@dataclass(frozen=True, slots=True)
class Plan:
    """When what happens. `ends_at` is infinite for a job that never ends."""

    accepted_at: float
    visible_at: float
    starts_at: float
    ends_at: float
    ending: Ending
    #: Place in the queue and length of the queue at the beginning.
    queue_idx: int
    queue_length: int
    #: Seconds that the work was forecast to take; constant over the life, as on the site.
    forecast_s: int


@dataclass(slots=True)
class Job:
    """One accepted job."""

    number: int
    history_id: str
    uid: str
    #: The session id that submitted it.
    session: str
    ask: Ask
    plan: Plan
    #: What was taken from which purse, to give back.
    paid: tuple[int, int, int]
    generate_id: str
    capflow_id: str
    cancelled_at: float | None = None
    removed: bool = False
    settled: bool = False
    #: Polls that asked for it, and when one first saw it ended.
    polls: int = 0
    seen_ended_at: float | None = None
    #: Replies that showed links, by the kind of call.
    shown_by_poll: int = 0
    shown_by_items: int = 0
    downloads: int = 0

    def failure(self) -> Failure | None:
        """Why it fails in the end; None if it does not."""
        if self.cancelled_at is not None:
            return CANCELLED
        if self.plan.ending is Ending.REJECT_RESULT:
            return _REJECT_RESULT[self.ask.kind]
        return FAILURES.get(self.plan.ending)

    def ended_at(self) -> float:
        """When it ends, or ended; infinite for one that never does."""
        return self.plan.ends_at if self.cancelled_at is None else self.cancelled_at

    def delivered(self) -> int:
        """Results that it has in the end."""
        if self.failure() is not None:
            return 0
        limit = self.ask.triggers.partial
        if limit is None or self.ask.kind == "video":
            return self.ask.count
        return max(1, min(self.ask.count, self.ask.count - 1 if limit < 0 else limit))


@dataclass(frozen=True, slots=True)
class View:
    """What a poll sees at one moment."""

    status: int
    task_status: int
    queue_status: int
    queue_idx: int
    queue_length: int
    #: Results that are there.
    made: int
    over: bool
    failure: Failure | None
    #: Seconds left in the queue.
    forecast_queue_s: int


def plan(ask: Ask, options: SimulatorOptions, now: float, rng: Random) -> Plan:
    """What will become of it."""
    queue_s, work_s = _durations(ask, options)
    visible_at = now + options.absent_s / options.speed
    starts_at = now + queue_s / options.speed
    ends_at = max(visible_at, starts_at + work_s / options.speed)
    ending = ask.triggers.ending
    if ending in (Ending.REJECT_TEXT, Ending.FACE):
        starts_at, ends_at = now, max(visible_at, now + _QUICK_S / options.speed)
    elif ask.triggers.forever:
        ends_at = math.inf
    place = rng.randint(20, 400) if queue_s else 0
    return Plan(
        accepted_at=now,
        visible_at=visible_at,
        starts_at=starts_at,
        ends_at=ends_at,
        ending=ending,
        queue_idx=place,
        queue_length=place + rng.randint(5, 100) if place else 0,
        forecast_s=max(1, math.ceil(_forecast(ask, queue_s, work_s) / options.speed)),
    )


def _durations(ask: Ask, options: SimulatorOptions) -> tuple[float, float]:
    """Seconds of site time in the queue and at work."""
    if ask.kind == "image":
        queue_s, work_s = 0.0, options.image_s
    else:
        queue_s = options.video_s * options.queue_share
        work_s = options.video_s - queue_s
    if ask.triggers.queue is not None:
        queue_s = ask.triggers.queue
    if ask.triggers.slow is not None:
        work_s = ask.triggers.slow
    return queue_s, work_s


def _forecast(ask: Ask, queue_s: float, work_s: float) -> float:
    return _FORECAST[ask.kind] * (work_s if ask.kind == "image" else queue_s + work_s)


def view(job: Job, now: float) -> View:
    """What a poll sees; ask only when `now` is at or after the plan's visible_at."""
    if job.removed:
        return View(100, 100, 3, 0, 0, 0, True, None, 0)
    if now >= job.ended_at():
        return _ended(job)
    if now < job.plan.starts_at:
        return _queued(job.plan, now)
    return _working(job, now)


def _ended(job: Job) -> View:
    failure = job.failure()
    if failure is not None:
        return View(30, failure.task_status, 3, 0, 0, 0, True, failure, 0)
    return View(50, 50, 3, 0, 0, job.delivered(), True, None, 0)


def _queued(plan: Plan, now: float) -> View:
    left = (plan.starts_at - now) / (plan.starts_at - plan.accepted_at)
    idx = max(1, math.ceil(plan.queue_idx * left))
    length = max(idx, math.ceil(plan.queue_length * left))
    return View(20, 20, 1, idx, length, 0, False, None, math.ceil(plan.starts_at - now))


def _working(job: Job, now: float) -> View:
    status, made = 20, 0
    if job.ask.kind == "image":
        done = 0.0 if math.isinf(job.plan.ends_at) else _part(job.plan, now)
        if done >= _SHOWING:
            status = 45
            made = int((done - _SHOWING) / (1 - _SHOWING) * job.delivered())
        elif done >= _THINKING:
            status = 42
    return View(status, status, 2, 0, 0, made, False, None, 0)


def _part(plan: Plan, now: float) -> float:
    return (now - plan.starts_at) / (plan.ends_at - plan.starts_at)
