"""Shows tasks on their way: moving bars on a terminal, plain lines everywhere else.

The site publishes no percentage. A bar shows the gateway's estimate and, between two reports, moves on by the
forecast; it is never full before the files are there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TextIO

from jimeng_gateway.cli.follow import TERMINAL
from jimeng_gateway.cli.language import named, padded, say
from jimeng_gateway.cli.output import STAGE_COLOURS, printable
from jimeng_gateway.clock import SystemClock

if TYPE_CHECKING:
    from rich.table import Table

_NEARLY = 0.95
#: On a log, the same stage is told again after so much progress.
_STEP = 0.1


@dataclass(slots=True)
class View:
    """What is shown of one task."""

    label: str
    task: dict[str, Any]
    #: When `task` was received, on the clock of the board.
    at: float

    def share(self, now: float) -> float:
        """How far it is, 0.0 to 1.0: as reported, moved on by the forecast."""
        reported = float(self.task["progress"])
        left: int | None = self.task["queue_eta"]
        if self.task["stage"] != "polling" or not left:
            return reported
        return max(reported, reported + (_NEARLY - reported) * min(1.0, (now - self.at) / left))

    def percent(self, now: float) -> str:
        """The share in words; empty for a task that will not get any further."""
        return "" if self.task["stage"] in ("failed", "cancelled") else f"{self.share(now):.0%}"

    def words(self, now: float) -> str:
        """Queue position and estimate, or how it ended."""
        task = self.task
        if task["stage"] in TERMINAL:
            return printable(task["error_message"] or (say("late", "超时后完成") if task["late"] else ""))
        parts = []
        if task["queue_position"] is not None:
            place, total = task["queue_position"], task["queue_total"]
            parts.append(
                say(
                    f"queue {place} of {total}" if total else f"queue {place}",
                    f"排第 {place} 位，共 {total} 位" if total else f"排第 {place} 位",
                )
            )
        if task["queue_eta"] and task["stage"] == "polling":
            left = max(0, round(task["queue_eta"] - (now - self.at)))
            parts.append(say(f"about {left} s", f"约 {left} 秒"))
        return say(", ", "，").join(parts)


@dataclass(slots=True)
class Board:
    """The tasks that are being followed, in the order in which they were announced."""

    views: dict[str, View]
    clock: SystemClock
    #: Where plain lines go; None when bars are drawn instead.
    log: TextIO | None
    _told: dict[str, tuple[str, object, int]] = field(default_factory=dict)

    def update(self, task: dict[str, Any] | None) -> None:
        """Takes a newer report of a task, or notices with None that time went by."""
        now = self.clock.monotonic()
        if task is not None:
            view = self.views[task["id"]]
            view.task, view.at = task, now
        if self.log is not None:
            for view in self.views.values():
                self._tell(view, now, self.log)

    def _tell(self, view: View, now: float, log: TextIO) -> None:
        share = view.share(now)
        news = (view.task["stage"], view.task["queue_position"], int(share / _STEP))
        if self._told.get(view.label) == news:
            return
        self._told[view.label] = news
        label, stage = padded(named(view.label), 7), padded(named(view.task["stage"]), 12)
        line = f"{label} {stage} {view.percent(now):>4}  {view.words(now)}"
        log.write(line.rstrip() + "\n")
        log.flush()

    def __rich__(self) -> Table:
        """Drawn anew several times a second by rich."""
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        now = self.clock.monotonic()
        table = Table.grid(padding=(0, 2))
        for view in self.views.values():
            stage = view.task["stage"]
            share = view.share(now)
            style = STAGE_COLOURS.get(stage, "cyan")
            table.add_row(
                Text(named(view.label), style="bold"),
                Text(padded(named(stage), 11), style=style),
                ProgressBar(total=1.0, completed=share, width=30, complete_style=style, finished_style=style),
                Text(f"{view.percent(now):>4}"),
                Text(view.words(now), style="dim"),
            )
        return table


@contextmanager
def board(tasks: Sequence[tuple[str, dict[str, Any]]], stream: TextIO) -> Iterator[Board]:
    """A board on the stream for tasks with their labels; bars if it is a terminal."""
    clock = SystemClock()
    now = clock.monotonic()
    views = {task["id"]: View(label, task, now) for label, task in tasks}
    if not stream.isatty():
        yield Board(views, clock, stream)
        return
    from rich.console import Console
    from rich.live import Live

    bars = Board(views, clock, None)
    with Live(bars, console=Console(file=stream), refresh_per_second=8):
        yield bars
