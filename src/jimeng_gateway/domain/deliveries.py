"""What is told to a callback address, when, and how often it is tried.

A task is told of by its status, in the coarse words that all dialects share: who is told wants to know that
it waits, that it is being made and how it ended, not what we do for it. The address may hold a token: it is
kept with the delivery and shown nowhere; logs and replies name its host alone.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import urlsplit

from jimeng_gateway.domain.addresses import AllowedHosts, Verdict, is_address
from jimeng_gateway.domain.errors import InvalidRequest
from jimeng_gateway.domain.task import Stage, Task

LONGEST_URL = 2048
#: Milliseconds after which an end that could not be told is told again; then it is given up (ark.md 2.9).
PAUSES = (10_000, 60_000)
#: Code of the failure of a task that took too long (domain/lifecycle.py: time_out).
PAST_DEADLINE = "deadline"


class Event(StrEnum):
    """The status of a task, as it is told."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


FINAL = frozenset({Event.SUCCEEDED, Event.FAILED, Event.EXPIRED, Event.CANCELLED})
#: What a dialect has no word for in a callback (ark.md 2.9).
_UNTOLD = {"ark": frozenset({Event.CANCELLED})}


class DeliveryState(StrEnum):
    """What became of a delivery."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"
    #: The task had moved on before it could be told.
    SUPERSEDED = "superseded"


@dataclass(frozen=True, slots=True)
class Delivery:
    """One status of one task, to be told to one address. Times are milliseconds since the epoch, UTC."""

    id: str
    task_id: str
    key_id: str
    url: str
    #: Host and port of the address.
    place: str
    #: In which dialect the body is written.
    format: str
    #: The address of the gateway, for the links in the body.
    base: str
    event: Event
    #: The task's stage that it tells.
    stage: Stage
    state: DeliveryState
    tries: int
    created_at: int
    #: When it is to be tried; None when it is settled.
    due_at: int | None = None
    delivered_at: int | None = None
    #: HTTP status of the last answer; None if there was none.
    status: int | None = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class Attempt:
    """What came of sending it once."""

    #: None if nobody answered.
    status: int | None
    error: str = ""
    #: Whether another try could not end otherwise.
    hopeless: bool = False

    @property
    def worked(self) -> bool:
        """Whether the receiver took it."""
        return self.status is not None and 200 <= self.status < 300


def event_of(task: Task) -> Event:
    """The status that is told of a task."""
    match task.stage:
        case Stage.QUEUED | Stage.SUBMITTING:
            return Event.QUEUED
        case Stage.POLLING:
            return Event.RUNNING if task.running else Event.QUEUED
        case Stage.DOWNLOADING:
            return Event.RUNNING
        case Stage.SUCCEEDED:
            return Event.SUCCEEDED
        case Stage.CANCELLED:
            return Event.CANCELLED
        case _:
            expired = task.failure is not None and task.failure.code == PAST_DEADLINE
            return Event.EXPIRED if expired else Event.FAILED


def told(form: str, task: Task) -> Event | None:
    """What a callback in this dialect says of the task now; None if it has no word for that."""
    event = event_of(task)
    return None if event in _UNTOLD.get(form, ()) else event


def after(delivery: Delivery, attempt: Attempt, *, now: int) -> tuple[DeliveryState, int | None]:
    """What becomes of a delivery by an attempt, and when the next one is due.

    Only ends are tried again: another status is soon followed by the next one.
    """
    if attempt.worked:
        return DeliveryState.DELIVERED, None
    again = delivery.event in FINAL and delivery.tries < len(PAUSES) and not attempt.hopeless
    if again:
        return DeliveryState.PENDING, now + PAUSES[delivery.tries]
    return DeliveryState.FAILED, None


def delivery_id(task_id: str, url: str, event: Event) -> str:
    """Always the same, so that a transaction that runs twice writes one delivery."""
    digest = hashlib.sha256(f"{task_id}\n{event}\n{url}".encode()).hexdigest()
    return f"dlv_{digest[:22]}"


def place_of(url: str) -> str:
    """Host and port of a checked address."""
    parts = urlsplit(url)
    host = (parts.hostname or "").casefold()
    return f"{host}:{parts.port or (443 if parts.scheme == 'https' else 80)}"


def checked_url(url: str, allowed: AllowedHosts) -> str:
    """The address, if it is one that may be told anything; InvalidRequest otherwise.

    Where a name leads is judged when it is dialled (egress.py): it can lead elsewhere by then.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise _refuse("it is not a URL") from None
    if len(url) > LONGEST_URL:
        raise _refuse(f"it is longer than {LONGEST_URL} characters")
    if parts.scheme not in ("http", "https") or not host or port == 0:
        raise _refuse("only http and https URLs can be called")
    if parts.username is not None or parts.password is not None:
        raise _refuse("a URL with a user name or password is not called; put a token into its query")
    if re.search(r"[\s\x00-\x1f\x7f]", url):
        raise _refuse("it holds characters that no URL may have")
    verdict = _verdict(host, port or (443 if parts.scheme == "https" else 80), allowed)
    if not verdict.allowed:
        raise _refuse(f"its host is one that callers may not have called ({verdict.reason})")
    return url


def _verdict(host: str, port: int, allowed: AllowedHosts) -> Verdict:
    """What is known before anything is paid for: all of an address, of a name whether it is listed."""
    if is_address(host):
        return allowed.judge(host, port, host)
    if allowed.entries and not allowed.names(host, port):
        return Verdict(False, "not among the allowed hosts")
    return Verdict(True, "a name")


def _refuse(why: str) -> InvalidRequest:
    return InvalidRequest(f"callback_url: {why}", param="callback_url")
