"""Tasks, their results and their events: rows to values and back.

`change` is the one way a task changes: it locks the row, asks a pure function of domain/lifecycle.py, and
writes the answer, its events and the release of the slot in the same transaction.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import msgspec

from jimeng_gateway.domain.deliveries import event_of
from jimeng_gateway.domain.errors import ErrorKind, Failure
from jimeng_gateway.domain.lifecycle import Change
from jimeng_gateway.domain.request import GenerationRequest, Kind
from jimeng_gateway.domain.task import SLOTTED, Removal, Result, Stage, Task, TaskEvent
from jimeng_gateway.store import subscriptions
from jimeng_gateway.store.database import Row, Tx, Value

#: Topics of Tx.notify.
QUEUE = "queue"
POLL = "poll"
COLLECT = "collect"
CANCEL = "cancel"
_NO_MEMO: dict[str, object] = {}
#: Later than every task, for a list that starts with the newest.
_END_OF_TIME = 2**63 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskQuery:
    """Which tasks to list; what is None or empty does not matter."""

    stages: tuple[Stage, ...] = ()
    kind: Kind | None = None
    model: str | None = None
    #: Created at that time or later.
    since: int = 0
    oldest_first: bool = False
    #: Only those that come after this one (created_at, id) in the list.
    beyond: tuple[int, str] | None = None
    #: So many of those are left out.
    skip: int = 0
    limit: int = 20


def topic_of(task_id: str) -> str:
    """The topic under which changes of one task are announced."""
    return f"task:{task_id}"


def insert(tx: Tx, task: Task, facts: dict[str, object]) -> Task:
    """Writes a new queued task with its first event; a second run after a lost COMMIT finds what it wrote."""
    written = tx.run(
        "task_insert",
        id=task.id,
        key_id=task.key_id,
        kind=task.request.kind,
        model=task.request.model,
        request=msgspec.json.encode(task.request).decode(),
        stage=task.stage,
        work=task.work,
        due_at=task.due_at,
        now=task.created_at,
        deadline_at=task.deadline_at,
        retry_of=task.retry_of,
        door=task.door,
        memo=msgspec.json.encode(task.memo).decode(),
    )
    if not written:
        return get(tx, task.id) or task
    tx.notify(QUEUE)
    return _write(tx, task, Change(task, (("task.created", facts),)), now=task.created_at)


def get(tx: Tx, task_id: str) -> Task | None:
    """A task with its results."""
    row = tx.one("task_get", id=task_id)
    return None if row is None else with_results(tx, from_row(row))


def change(tx: Tx, task_id: str, decide: Callable[[Task], Change | None], *, now: int) -> Task | None:
    """Applies a change to the task as it is now; None if the change no longer applies."""
    row = tx.one("task_lock", id=task_id)
    if row is None:
        return None
    task = with_results(tx, from_row(row))
    decision = decide(task)
    return None if decision is None else apply(tx, task, decision, now=now)


def apply(tx: Tx, task: Task, decision: Change, *, now: int) -> Task:
    """Writes a decided change of a task that this transaction holds locked."""
    following = decision.task
    if task.stage in SLOTTED and following.stage not in SLOTTED:
        tx.run("slot_free", task_id=task.id)
        tx.notify(QUEUE)
    if following.collecting and following.due_at is not None and following.owner is None:
        tx.notify(COLLECT)
    if following.results != task.results:
        for result in following.results:
            _put_result(tx, task.id, result)
    saved = _write(tx, task, decision, now=now)
    if decision.facts or following.progress_key != task.progress_key:
        tx.notify(topic_of(task.id))
    return saved


def events(tx: Tx, task_id: str, after: int = 0) -> list[TaskEvent]:
    """The recorded facts with a number above `after`, in order."""
    return [
        TaskEvent(
            task_id=row["task_id"],
            seq=row["seq"],
            at=row["at"],
            name=row["name"],
            data=msgspec.json.decode(row["data"]),
        )
        for row in tx.all("event_list", task_id=task_id, after=after)
    ]


def record(tx: Tx, task_id: str, name: str, data: dict[str, object], *, now: int) -> None:
    """Adds an event to a task, whatever its stage."""
    change(tx, task_id, lambda task: Change(task, ((name, data),)), now=now)


def with_results(tx: Tx, task: Task) -> Task:
    """The task with its results, which only exist once the site has finished."""
    if not task.collecting and task.stage is not Stage.SUCCEEDED:
        return task
    results = tuple(_result(row) for row in tx.all("result_of_task", task_id=task.id))
    return replace(task, results=results)


def from_row(row: Row) -> Task:
    """A row of `task` as a value, without its results."""
    failure = None
    if row["error_kind"] is not None:
        failure = Failure(
            ErrorKind(row["error_kind"]), row["error_code"], row["error_message"], row["error_raw"] or ""
        )
    return Task(
        id=row["id"],
        key_id=row["key_id"],
        request=msgspec.json.decode(row["request"], type=GenerationRequest),
        stage=Stage(row["stage"]),
        revision=row["revision"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        deadline_at=row["deadline_at"],
        due_at=row["due_at"],
        owner=row["owner"],
        session_id=row["session_id"],
        submit_id=row["submit_id"],
        history_id=row["history_id"],
        attempts=row["attempts"],
        uncertain_at=row["uncertain_at"],
        submitted_at=row["submitted_at"],
        accepted_at=row["accepted_at"],
        finished_at=row["finished_at"],
        polls=row["polls"],
        misses=row["misses"],
        queue_position=row["queue_position"],
        queue_total=row["queue_total"],
        queue_eta=row["queue_eta"],
        images_done=row["images_done"],
        images_total=row["images_total"],
        running=bool(row["running"]),
        failure=failure,
        late=bool(row["late"]),
        retry_of=row["retry_of"],
        door=row["door"],
        memo=_NO_MEMO if row["memo"] == "{}" else msgspec.json.decode(row["memo"]),
        removed_at=row["removed_at"],
    )


def find(tx: Tx, query: TaskQuery, *, key_id: str | None) -> list[Task]:
    """Tasks of this key (None: of all) that match, in the order of the query."""
    at, after = query.beyond or ((0, "") if query.oldest_first else (_END_OF_TIME, ""))
    filters = _filters(query) | {"key_id": key_id, "at": at, "after": after}
    name = "task_list_oldest" if query.oldest_first else "task_list_of_key"
    if name == "task_list_of_key" and key_id is None:
        name = "task_list"
        del filters["key_id"]
    rows = tx.all(name, **filters, limit=query.limit, skip=query.skip)
    return [with_results(tx, from_row(row)) for row in rows]


def count(tx: Tx, query: TaskQuery, *, key_id: str | None) -> int:
    """How many tasks match, whatever page is asked for."""
    row = tx.one("task_list_count", **_filters(query), key_id=key_id)
    return 0 if row is None else int(row["n"])


def _filters(query: TaskQuery) -> dict[str, Value]:
    stages = f",{','.join(query.stages)}," if query.stages else None
    return {"stages": stages, "kind": query.kind, "model": query.model, "since": query.since}


def _write(tx: Tx, task: Task, decision: Change, *, now: int) -> Task:
    after = decision.task
    revision = task.revision + len(decision.facts)
    failure = after.failure
    changed = tx.run(
        "task_save",
        id=task.id,
        was=task.revision,
        revision=revision,
        stage=after.stage,
        work=after.work,
        due_at=after.due_at,
        updated_at=after.updated_at,
        deadline_at=after.deadline_at,
        owner=after.owner,
        session_id=after.session_id,
        submit_id=after.submit_id,
        history_id=after.history_id,
        attempts=after.attempts,
        uncertain_at=after.uncertain_at,
        submitted_at=after.submitted_at,
        accepted_at=after.accepted_at,
        finished_at=after.finished_at,
        polls=after.polls,
        misses=after.misses,
        queue_position=after.queue_position,
        queue_total=after.queue_total,
        queue_eta=after.queue_eta,
        images_done=after.images_done,
        images_total=after.images_total,
        running=int(after.running),
        error_kind=failure.kind if failure else None,
        error_code=failure.code if failure else None,
        error_message=failure.message if failure else None,
        error_raw=failure.raw if failure else None,
        late=int(after.late),
    )
    if changed != 1:
        raise AssertionError(f"task {task.id} changed while it was locked")
    for number, (name, data) in enumerate(decision.facts, start=task.revision + 1):
        encoded = msgspec.json.encode(data).decode()
        tx.run("event_insert", task_id=task.id, seq=number, now=now, name=name, data=encoded)
    if event_of(after) is not event_of(task):
        subscriptions.tell(tx, after, now=now)
    return replace(after, revision=revision)


def _put_result(tx: Tx, task_id: str, result: Result) -> None:
    tx.run(
        "result_put",
        task_id=task_id,
        idx=result.index,
        kind=result.kind,
        upstream_url=result.upstream_url,
        item_id=result.item_id,
        width=result.width,
        height=result.height,
        duration_ms=result.duration_ms,
        file=result.file,
        media_type=result.media_type,
        size=result.size,
        sha256=result.sha256,
        stored_at=result.stored_at,
        place=result.place,
        preview_url=result.preview_url,
        preview_file=result.preview_file,
        preview_type=result.preview_type,
        preview_size=result.preview_size,
        bytes=(result.size or 0) + (result.preview_size or 0),
    )


def _result(row: Row) -> Result:
    removed = row["removed_at"] is not None
    return Result(
        index=row["idx"],
        kind=row["kind"],
        upstream_url=row["upstream_url"],
        item_id=row["item_id"],
        width=row["width"],
        height=row["height"],
        duration_ms=row["duration_ms"],
        preview_url=row["preview_url"],
        # A file that is being removed is already gone for everybody; store/results.py alone still names it.
        file=None if removed else row["file"],
        media_type=row["media_type"],
        size=row["size"],
        sha256=row["sha256"],
        stored_at=row["stored_at"],
        place=row["place"],
        preview_file=None if removed else row["preview_file"],
        preview_type=row["preview_type"],
        preview_size=row["preview_size"],
        removed_at=row["removed_at"],
        removed_why=Removal(row["removed_why"]) if row["removed_why"] is not None else None,
    )
