"""Which session gets which task: one decision over values, taken inside the reserving transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Seat:
    """A session that can take tasks now."""

    session_id: str
    #: Slots it may still fill.
    free: int
    last_used_at: int


@dataclass(frozen=True, slots=True)
class Match:
    """A task and the session it goes to."""

    task_id: str
    session_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Assignment:
    """The outcome of one round."""

    matches: tuple[Match, ...]
    #: Tasks that every session of the pool has refused: they can never be served.
    hopeless: tuple[str, ...]
    #: Tasks that no session with a free slot may take, though another one might later.
    passed_over: tuple[str, ...]


def assign(
    task_ids: Sequence[str],
    seats: Sequence[Seat],
    excluded: Mapping[str, frozenset[str]],
    pool: frozenset[str],
) -> Assignment:
    """Gives each task, oldest first, the session that has been idle longest and may take it.

    A session that has just been given a task moves to the end, so that work spreads before it piles up.
    `excluded` names the sessions that refused a task before; `pool` is every session that is switched on.
    """
    waiting = sorted(seats, key=lambda seat: (seat.last_used_at, seat.session_id))
    line = [(seat.session_id, seat.free) for seat in waiting if seat.free > 0]
    matches: list[Match] = []
    hopeless: list[str] = []
    passed_over: list[str] = []
    for task_id in task_ids:
        barred = excluded.get(task_id, frozenset())
        if barred and not pool - barred:
            hopeless.append(task_id)
            continue
        place = next((i for i, (session_id, _) in enumerate(line) if session_id not in barred), None)
        if place is None:
            if line:
                passed_over.append(task_id)
            continue
        session_id, free = line.pop(place)
        matches.append(Match(task_id, session_id, "least recently used session with a free slot"))
        if free > 1:
            line.append((session_id, free - 1))
    return Assignment(tuple(matches), tuple(hopeless), tuple(passed_over))
