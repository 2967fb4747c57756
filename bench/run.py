"""`make bench`: measures, prints, and with --write leaves the figures in docs/performance.md.

`--only NAME` takes one measurement.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass

import boot
import doors
import flight
import pace
import seats
import signing
import streams
import uploads
from report import PAGE, Figure, Section, as_page, as_text
from service import machine


@dataclass(frozen=True, slots=True)
class Measurement:
    """A module's `measure`, and what the page says about it."""

    title: str
    how: str
    measure: Callable[[int], list[Figure]]


MEASUREMENTS = {
    "boot": Measurement("Start and rest", "`jimeng-gateway serve` on SQLite with no sessions.", boot.measure),
    "doors": Measurement(
        "Requests",
        f"{doors.CONNECTIONS} keep-alive connections for {doors.SECONDS:g} s, a user key, default settings, "
        "log to a file. Queueing shares commits between callers that wait at the same time.",
        doors.measure,
    ),
    "pace": Measurement("Polls per finished task", pace.HOW, pace.measure),
    "flight": Measurement("Ten thousand in flight", flight.HOW, flight.measure),
    "seats": Measurement("Reservation", seats.HOW, seats.measure),
    "streams": Measurement("Event streams", streams.HOW, streams.measure),
    "signing": Measurement("Signed submits", signing.HOW, signing.measure),
    "uploads": Measurement("Uploads", uploads.HOW, uploads.measure),
}


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=MEASUREMENTS, action="append")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--write", action="store_true")
    chosen = parser.parse_args()
    sections = []
    for name in chosen.only or MEASUREMENTS:
        found = MEASUREMENTS[name]
        section = Section(found.title, found.how, tuple(found.measure(chosen.runs)))
        print(as_text(section), flush=True)
        sections.append(section)
    if chosen.write:
        PAGE.write_text(as_page(sections, machine(), chosen.runs), encoding="utf-8")
        print(f"\nwritten to {PAGE.name}")


if __name__ == "__main__":
    main()
