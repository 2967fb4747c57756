"""History records: what the site says about a job, reduced to a `Record` (jimeng-web.md 7.2, 7.3).

`status` of the record says whether it is over, `task.status` why. Only an end that the site itself declares
fails a job; a number that nobody knows means that it is still running.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from enum import IntEnum

from jimeng_gateway.domain.errors import ErrorKind, Failure
from jimeng_gateway.domain.record import Item, JobState, Record
from jimeng_gateway.upstream.wire.codes import classify, reasons
from jimeng_gateway.upstream.wire.items import items_of
from jimeng_gateway.upstream.wire.protocol import Meaning, Protocol
from jimeng_gateway.upstream.wire.read import integer, mapping, number, positive, sequence, text


class Status(IntEnum):
    """The site's numbers that we act on (7.3)."""

    INIT = 0
    PRE_CHECK_REJECT = 10
    SUBMITTED = 20
    GENERATE_FAILED = 30
    POST_CHECK_REJECT = 40
    PARTIAL_SUCCESS = 45
    SUCCESS = 50
    DELETED = 100


#: Forecasts beyond this are nonsense: a week.
_LONGEST_FORECAST = 604_800
_QUEUED, _RUNNING = 1, 2

_PRE = Meaning(ErrorKind.CONTENT_REJECTED, "the site's review refused the input", "pre_check_reject")
_POST = Meaning(ErrorKind.CONTENT_REJECTED, "the site's review refused the result", "post_check_reject")
_GONE = Meaning(ErrorKind.GENERATION_FAILED, "the record was deleted at the site", "deleted_upstream")
_EMPTY = Meaning(ErrorKind.GENERATION_FAILED, "the site reports success without any result", "no_result")
_FAILED = Meaning(ErrorKind.GENERATION_FAILED, "the generation failed")


def record(raw: Mapping[str, object], protocol: Protocol) -> Record:
    """One history record, whatever it looks like."""
    task = mapping(raw.get("task"))
    status = integer(raw.get("status"))
    if status is None:
        status = integer(task.get("status"))
    items = items_of(raw, protocol)
    code = -1 if status is None else status
    state = _state(code, raw, items)
    queue = mapping(raw.get("queue_info"))
    found = Record(
        state=state,
        status=code,
        history_id=_first(raw.get("history_record_id"), task.get("history_id"), task.get("task_id")),
        submit_id=_first(raw.get("submit_id"), task.get("submit_id")),
        items=items if state is not JobState.FAILED else (),
        failure=_failure(code, raw, protocol) if state is JobState.FAILED else None,
        images_total=positive(raw.get("total_image_count")),
        images_done=positive(raw.get("finished_image_count")) or len(items),
        forecast_queue_s=_forecast(raw.get("forecast_queue_cost")),
        forecast_generate_s=_forecast(raw.get("forecast_generate_cost")),
        took_s=_took(raw) if state is JobState.SUCCEEDED else None,
        poll_interval_s=_forecast(mapping(queue.get("polling_config")).get("interval_seconds")),
    )
    return _queued(found, queue)


def _state(status: int, raw: Mapping[str, object], items: tuple[Item, ...]) -> JobState:
    if status == Status.SUCCESS:
        return _success_state(raw, items)
    if status in (Status.PRE_CHECK_REJECT, Status.GENERATE_FAILED):
        return JobState.SUCCEEDED if items else JobState.FAILED
    if status in (Status.POST_CHECK_REJECT, Status.DELETED):
        return JobState.FAILED
    if status == Status.PARTIAL_SUCCESS and _complete(raw, items):
        return JobState.SUCCEEDED
    return JobState.RUNNING


def _success_state(raw: Mapping[str, object], items: tuple[Item, ...]) -> JobState:
    if items:
        return JobState.SUCCEEDED
    # A record that says so itself has not finished: its items follow with a later poll.
    pending = integer(raw.get("finish_time")) == 0 and not sequence(raw.get("item_list"))
    return JobState.RUNNING if pending else JobState.FAILED


def _took(raw: Mapping[str, object]) -> float | None:
    """Seconds from creation to end, if both are told and make sense."""
    began, ended = number(raw.get("created_time")), number(raw.get("finish_time"))
    if began is None or ended is None or not 0 < ended - began < _LONGEST_FORECAST:
        return None
    return float(ended - began)


def _complete(raw: Mapping[str, object], items: tuple[Item, ...]) -> bool:
    """Some jobs end at 45 and never reach 50; then every item is there and a finish time too."""
    total = positive(raw.get("total_image_count"))
    return total is not None and len(items) >= total and positive(raw.get("finish_time")) is not None


def _failure(status: int, raw: Mapping[str, object], protocol: Protocol) -> Failure:
    why = integer(mapping(raw.get("task")).get("status"))
    if status == Status.DELETED:
        default = _GONE
    elif status == Status.SUCCESS:
        default = _EMPTY
    elif Status.POST_CHECK_REJECT in (status, why):
        default = _POST
    elif Status.PRE_CHECK_REJECT in (status, why):
        default = _PRE
    else:
        return _plain_failure(raw, protocol)
    found = classify(raw, protocol, default=default)
    if reasons(raw, protocol) is None and default is not _PRE and default is not _POST:
        return replace(found, code=default.code)
    return found


def _plain_failure(raw: Mapping[str, object], protocol: Protocol) -> Failure:
    found = classify(raw, protocol)
    if found.kind is ErrorKind.UNKNOWN and not found.code:
        return replace(found, kind=_FAILED.kind, code="generate_failed", message=_with(_FAILED.says, found))
    return found


def _with(says: str, found: Failure) -> str:
    _, separator, people = found.message.partition(": ")
    return f"{says}{separator}{people}"


def _queued(found: Record, queue: Mapping[str, object]) -> Record:
    if found.state is not JobState.RUNNING or found.status not in (-1, Status.INIT, Status.SUBMITTED):
        return found
    position, state = positive(queue.get("queue_idx")), integer(queue.get("queue_status"))
    waiting = state == _QUEUED or (state != _RUNNING and position is not None)
    if not waiting and found.status != Status.INIT:
        return found
    return replace(
        found,
        state=JobState.QUEUED,
        queue_position=position,
        queue_total=positive(queue.get("queue_length")),
    )


def _forecast(value: object) -> int | None:
    found = positive(value)
    return found if found is not None and found <= _LONGEST_FORECAST else None


def _first(*values: object) -> str:
    return next((found for value in values if (found := text(value))), "")[:100]
