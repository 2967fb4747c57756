"""Figures, and the page they are written to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

PAGE = Path(__file__).parent.parent / "docs" / "performance.md"

INTRODUCTION = """\
# Performance

Written by `make bench ARGS=--write`; do not edit. Every figure comes from real processes over loopback: the
gateway on one core, simulator and load generator on another. Where a baseline is named, it was measured in
the same run, alternating with the gateway; **trust the ratios more than the numbers**, which belong to this
machine:

"""


@dataclass(frozen=True, slots=True)
class Figure:
    """One line: what, how much, a remark, and whether a target was met (None: there is none)."""

    what: str
    value: str
    remark: str = ""
    met: bool | None = None


@dataclass(frozen=True, slots=True)
class Section:
    """Figures of one measurement and how they were taken."""

    title: str
    how: str
    figures: tuple[Figure, ...]


def as_text(section: Section) -> str:
    """For the terminal."""
    width = max(len(figure.what) for figure in section.figures)
    lines = [f"\n{section.title}"]
    for figure in section.figures:
        mark = {True: "  ok", False: "  MISSED", None: ""}[figure.met]
        lines.append(f"  {figure.what:<{width}}  {figure.value:>12}  {figure.remark}{mark}")
    return "\n".join(lines)


def as_page(sections: list[Section], machine: str, runs: int) -> str:
    """The whole page."""
    today = datetime.now(UTC).date().isoformat()
    parts = [INTRODUCTION, f"{machine}. Medians of {runs} runs unless a line says otherwise; {today}.\n"]
    for section in sections:
        parts.append(f"\n## {section.title}\n\n{section.how}\n\n| | | |\n|---|---:|---|\n")
        for figure in section.figures:
            mark = {True: " ✓", False: " **missed**", None: ""}[figure.met]
            parts.append(f"| {figure.what} | {figure.value} | {figure.remark}{mark} |\n")
    return "".join(parts)
