"""The life of a task, as data.

Everything that decides which stage follows which lives here; the store's CHECK constraint, the diagram in
docs/architecture.md and the property tests read these tables. Who works on a task at the moment (its owner)
is not part of the stage: a crash changes no stage.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from jimeng_gateway.domain.errors import Failure
from jimeng_gateway.domain.request import GenerationRequest


class Stage(StrEnum):
    """Where a task is."""

    QUEUED = "queued"
    SUBMITTING = "submitting"
    POLLING = "polling"
    DOWNLOADING = "downloading"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Move(StrEnum):
    """What can happen to a task."""

    RESERVE = "reserve"
    REQUEUE = "requeue"
    ACCEPT = "accept"
    FINISH = "finish"
    STORE = "store"
    FAIL = "fail"
    CANCEL = "cancel"


TRANSITIONS: dict[Stage, dict[Move, Stage]] = {
    Stage.QUEUED: {Move.RESERVE: Stage.SUBMITTING, Move.FAIL: Stage.FAILED, Move.CANCEL: Stage.CANCELLED},
    Stage.SUBMITTING: {
        Move.ACCEPT: Stage.POLLING,
        Move.REQUEUE: Stage.QUEUED,
        Move.FAIL: Stage.FAILED,
        Move.CANCEL: Stage.CANCELLED,
    },
    Stage.POLLING: {
        Move.FINISH: Stage.DOWNLOADING,
        Move.FAIL: Stage.FAILED,
        Move.CANCEL: Stage.CANCELLED,
    },
    Stage.DOWNLOADING: {
        Move.STORE: Stage.SUCCEEDED,
        Move.FAIL: Stage.FAILED,
        Move.CANCEL: Stage.CANCELLED,
    },
    Stage.SUCCEEDED: {},
    Stage.FAILED: {},
    Stage.CANCELLED: {},
}

TERMINAL: frozenset[Stage] = frozenset(stage for stage, moves in TRANSITIONS.items() if not moves)

#: Stages in which a task occupies a slot of its session.
SLOTTED: frozenset[Stage] = frozenset({Stage.SUBMITTING, Stage.POLLING, Stage.DOWNLOADING})


class Work(StrEnum):
    """What has to be done next for a task, by whichever node comes first."""

    #: Find a session with a free slot and submit.
    RESERVE = "reserve"
    #: Ask the site: how far, finished, or whether an uncertain submit exists at all.
    POLL = "poll"
    #: Fetch the files.
    COLLECT = "collect"


class IllegalMove(ValueError):
    """A move that the present stage does not know; the stage stays as it was."""


def after(stage: Stage, move: Move) -> Stage:
    """The stage that follows, or IllegalMove."""
    try:
        return TRANSITIONS[stage][move]
    except KeyError:
        raise IllegalMove(f"a task in stage {stage} cannot {move}") from None


class Removal(StrEnum):
    """Why the files of a result were removed."""

    AGE = "age"
    SIZE = "size"
    CALLER = "caller"
    OPERATOR = "operator"


@dataclass(frozen=True, slots=True)
class Result:
    """One finished picture or video of a task."""

    index: int
    kind: str
    #: Where the site serves it, for as long as its signature lasts.
    upstream_url: str
    item_id: str
    width: int | None = None
    height: int | None = None
    duration_ms: int | None = None
    #: Where the site serves a small picture of it; empty if it gave none.
    preview_url: str = ""
    #: The rest is known once the bytes are stored; None again as soon as the file was removed.
    file: str | None = None
    media_type: str | None = None
    size: int | None = None
    sha256: str | None = None
    stored_at: int | None = None
    #: The address of the archive that has the files (domain/archive.py); empty: the data directory.
    place: str = ""
    #: The small picture, if it could be had.
    preview_file: str | None = None
    preview_type: str | None = None
    preview_size: int | None = None
    #: When its files were removed on purpose, and why.
    removed_at: int | None = None
    removed_why: Removal | None = None


@dataclass(frozen=True, slots=True)
class Task:
    """A task as the store knows it. All times are integer milliseconds since the epoch, UTC."""

    id: str
    key_id: str
    request: GenerationRequest
    stage: Stage
    #: Number of the last event; grows by one with every recorded fact.
    revision: int
    created_at: int
    updated_at: int
    deadline_at: int
    #: When the next step is due; None when nothing is to be done.
    due_at: int | None = None
    #: Process that is working on it right now.
    owner: str | None = None
    session_id: str | None = None
    #: The current submission; None before the first intent and back in the queue.
    submit_id: str | None = None
    history_id: str | None = None
    #: Submissions whose request left this machine.
    attempts: int = 0
    #: Since when we do not know whether the current submission was accepted.
    uncertain_at: int | None = None
    submitted_at: int | None = None
    accepted_at: int | None = None
    finished_at: int | None = None
    #: Polls that named this task, and those of them in a row that found no record.
    polls: int = 0
    misses: int = 0
    queue_position: int | None = None
    queue_total: int | None = None
    #: Seconds until the result is expected, as the site forecast it at the last poll.
    queue_eta: int | None = None
    #: Pictures the site has finished so far, and how many it intends to make.
    images_done: int = 0
    images_total: int | None = None
    #: Whether the site was seen making it, as opposed to keeping it in its queue.
    running: bool = False
    failure: Failure | None = None
    #: True when the result came after the deadline had failed the task.
    late: bool = False
    retry_of: str | None = None
    #: By which door it came in, and what that door wants to know again; nobody else reads the memo.
    door: str = "native"
    memo: Mapping[str, object] = field(default_factory=dict)
    #: When its caller deleted it.
    removed_at: int | None = None
    results: tuple[Result, ...] = ()

    @property
    def terminal(self) -> bool:
        """Whether the task has reached its end."""
        return self.stage in TERMINAL

    @property
    def collecting(self) -> bool:
        """Whether its files are to be fetched: finished upstream, in time or late."""
        return self.stage is Stage.DOWNLOADING or (self.stage is Stage.FAILED and self.late)

    @property
    def progress_key(self) -> tuple[object, ...]:
        """What a watcher is told about; polls that change none of it are not announced."""
        return (self.stage, self.queue_position, self.queue_total, self.queue_eta, self.images_done)

    @property
    def work(self) -> Work | None:
        """What is to be done at `due_at`; None while a step is running or nothing is left to do."""
        if self.due_at is None or self.owner is not None:
            return None
        match self.stage:
            case Stage.QUEUED:
                return Work.RESERVE
            case Stage.POLLING:
                return Work.POLL
            case Stage.SUBMITTING:
                return Work.POLL if self.uncertain_at is not None else None
            case Stage.DOWNLOADING:
                return Work.COLLECT
            case Stage.FAILED:
                # Failed by the deadline: the site may still finish it, and it was paid for.
                return Work.COLLECT if self.late else Work.POLL
            case _:
                return None


@dataclass(frozen=True, slots=True)
class TaskEvent:
    """One recorded fact in the life of a task; never changed afterwards."""

    task_id: str
    seq: int
    at: int
    name: str
    data: dict[str, object]


def progress(task: Task, now: int) -> float:
    """How far the task is, 0.0 to 1.0: an estimate from stage, forecast and finished pictures.

    The site publishes no percentage (jimeng-web.md 7.6), so this never claims more than 0.95 before the
    files are in hand.
    """
    match task.stage:
        case Stage.SUCCEEDED:
            return 1.0
        case Stage.QUEUED:
            return 0.0
        case Stage.SUBMITTING:
            return 0.02
        case Stage.DOWNLOADING:
            return 0.95
        case Stage.POLLING:
            share = 0.05
            if task.accepted_at is not None and task.queue_eta:
                spent = max(0, now - task.updated_at) / 1000
                whole = (task.updated_at - task.accepted_at) / 1000 + task.queue_eta
                done = (task.updated_at - task.accepted_at) / 1000 + spent
                share = max(share, min(0.9, done / max(whole, 1.0)))
            if task.images_total:
                share = max(share, min(0.9, task.images_done / task.images_total))
            return share
        case _:
            return 0.0
