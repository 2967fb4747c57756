"""Follows tasks to their end: by the event stream, and by asking again where the stream does not get through.

A gateway that restarts meanwhile is waited for; the stream is taken up where it broke off.
"""

from __future__ import annotations

import math
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from jimeng_gateway.cli.client import API, Client
from jimeng_gateway.cli.failures import ApiError, CommandError, UnreachableError
from jimeng_gateway.clock import SystemClock

TERMINAL = frozenset({"succeeded", "failed", "cancelled"})
#: Longer than the pause between two heartbeats of the stream.
SILENCE_S = 45.0
#: How long a gateway may be away while we wait for it.
PATIENCE_S = 60.0
_PAUSE_S = 1.0


class StillRunningError(CommandError):
    """The time given for waiting is over."""

    code = "still_running"


def follow(
    client: Client,
    task_id: str,
    *,
    pause: Callable[[float], object] = time.sleep,
    patience: float = PATIENCE_S,
) -> Iterator[dict[str, Any]]:
    """The task as JSON, again and again whenever it changed, at last in its terminal stage.

    Raises ApiError, and UnreachableError when the gateway stays away for longer than `patience`.
    """
    last_seen = ""
    away = 0.0
    while True:
        try:
            for message in client.stream(
                f"{API}/tasks/{task_id}/events", last_event_id=last_seen, timeout=SILENCE_S
            ):
                last_seen = message.id or last_seen
                if message.event == "progress" and message.data["stage"] not in TERMINAL:
                    yield message.data
        except CommandError as error:
            # Asking for the task tells whether only the stream is in the way.
            _raise_if_final(error)
        try:
            task = client.get(f"{API}/tasks/{task_id}")
        except CommandError as error:
            _raise_if_final(error)
            away += _PAUSE_S
            if away > patience:
                raise
        else:
            away = 0.0
            yield task
            if task["stage"] in TERMINAL:
                return
        pause(_PAUSE_S)


def _raise_if_final(error: CommandError) -> None:
    """Passes over what may be better in a moment: a gateway that is away, starting or stopping."""
    if not isinstance(error, UnreachableError) and not (isinstance(error, ApiError) and error.status >= 500):
        raise error


def follow_all(
    client: Client, task_ids: Sequence[str], *, seconds: float | None = None
) -> Iterator[dict[str, Any] | None]:
    """The same for several tasks at once; StillRunningError after so many seconds.

    None comes every second in which there was no news, so that estimates can be drawn anew.
    """
    updates: queue.Queue[dict[str, Any] | Exception | None] = queue.Queue()

    def watch(task_id: str) -> None:
        try:
            for task in follow(client, task_id):
                updates.put(task)
        except Exception as error:  # noqa: BLE001 - carried over to the thread that waits
            updates.put(error)
        else:
            updates.put(None)

    for task_id in task_ids:
        threading.Thread(target=watch, args=(task_id,), daemon=True).start()
    clock = SystemClock()
    until = math.inf if seconds is None else clock.monotonic() + seconds
    open_tasks = len(task_ids)
    while open_tasks:
        left = until - clock.monotonic()
        if left <= 0:
            raise StillRunningError(
                f"not finished after {seconds:g} s; the task goes on",
                f"{seconds:g} 秒内未完成；任务仍在进行",
            )
        try:
            update = updates.get(timeout=min(left, _PAUSE_S))
        except queue.Empty:
            yield None
            continue
        if isinstance(update, Exception):
            raise update
        if update is None:
            open_tasks -= 1
        else:
            yield update
