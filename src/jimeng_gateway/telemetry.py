"""What the gateway says about itself: named events with typed fields, and who listens.

Parts emit events and know nothing of logs or metrics; log lines are one subscriber. Values are plain data;
credentials never become fields, because the objects that hold them have no readable form.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import Any, Literal

import msgspec
import structlog

#: (name, fields)
Subscriber = Callable[[str, dict[str, object]], None]


class Telemetry:
    """A list of subscribers."""

    def __init__(self) -> None:
        self._subscribers: list[Subscriber] = []

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        """Calls it with every event from now on; returns the way to stop."""
        self._subscribers.append(subscriber)
        return lambda: self._subscribers.remove(subscriber)

    def emit(self, name: str, **fields: object) -> None:
        """Tells everybody."""
        for subscriber in self._subscribers:
            subscriber(name, fields)


#: Events that a person has to look at.
_LEVELS = {
    "session.cooling": "warning",
    "session.expired": "warning",
    "session.blocked": "warning",
    "submit.uncertain": "warning",
    "store.retry": "warning",
    "signer.failed": "warning",
    "slot.leaked": "error",
    "step.crashed": "error",
    "worker.failed": "error",
    "lease.lost": "error",
}


def log_subscriber() -> Subscriber:
    """Writes every event as a log line."""
    log = structlog.get_logger("jimeng_gateway")

    def write(name: str, fields: dict[str, object]) -> None:
        getattr(log, _LEVELS.get(name, "info"))(name, **fields)

    return write


def configure_logging(form: Literal["console", "json"], level: str) -> None:
    """Sends our log, and what libraries log, to stderr in one form."""
    number = logging.getLevelNamesMapping()[level.upper()]
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    renderer: Any
    if form == "json":
        renderer = structlog.processors.JSONRenderer(
            serializer=lambda value, **_: msgspec.json.encode(value, enc_hook=str).decode()
        )
    else:
        renderer = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processor=renderer, foreign_pre_chain=shared))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(number, logging.WARNING))
