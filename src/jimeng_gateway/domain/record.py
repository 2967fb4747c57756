"""What the site says about a job, translated once at the edge.

Nothing downstream of the parser sees a wire field: polling decides from these values alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from jimeng_gateway.domain.errors import Failure


class JobState(StrEnum):
    """Status of a history record, reduced to what we act on (jimeng-web.md 7.3)."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Item:
    """One picture or video of a record, with the best address the reply holds (7.4)."""

    kind: str
    item_id: str
    url: str
    width: int | None = None
    height: int | None = None
    duration_ms: int | None = None
    format: str = ""
    #: A small picture of it, some 720 pixels wide; empty if the reply has none.
    preview_url: str = ""


@dataclass(frozen=True, slots=True)
class Record:
    """A history record (jimeng-web.md 7.2)."""

    state: JobState
    #: The site's number, kept for the event log.
    status: int
    history_id: str = ""
    submit_id: str = ""
    items: tuple[Item, ...] = ()
    #: Set when state is FAILED.
    failure: Failure | None = None
    images_total: int | None = None
    images_done: int = 0
    queue_position: int | None = None
    queue_total: int | None = None
    #: Forecasts in seconds (7.6); None when absent or zero.
    forecast_queue_s: int | None = None
    forecast_generate_s: int | None = None
    #: `polling_config.interval_seconds`.
    poll_interval_s: int | None = None
    #: From its creation to its end by the site's clock, in seconds; None while it runs.
    took_s: float | None = None


@dataclass(frozen=True, slots=True)
class Accepted:
    """A submit that the site took."""

    #: Empty when the reply said success without an id; the submit_id then serves.
    history_id: str
    record: Record | None = None
