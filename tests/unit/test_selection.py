"""Which session gets which task: the longest idle one that may take it, never beyond its free slots."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from jimeng_gateway.domain.selection import Seat, assign

NOBODY: dict[str, frozenset[str]] = {}


def pairs(seats: list[Seat], ids: list[str], excluded: dict[str, frozenset[str]] = NOBODY) -> dict[str, str]:
    plan = assign(ids, seats, excluded, frozenset(seat.session_id for seat in seats))
    return {match.task_id: match.session_id for match in plan.matches}


def test_the_longest_idle_session_goes_first_and_then_to_the_end() -> None:
    seats = [Seat("new", 2, 30), Seat("old", 2, 10), Seat("middle", 2, 20)]
    given_to = pairs(seats, ["t1", "t2", "t3", "t4", "t5", "t6", "t7"])
    assert list(given_to.values()) == ["old", "middle", "new", "old", "middle", "new"]
    assert "t7" not in given_to


def test_sessions_used_at_the_same_time_are_taken_in_the_order_of_their_ids() -> None:
    assert pairs([Seat("b", 1, 5), Seat("a", 1, 5)], ["t1", "t2"]) == {"t1": "a", "t2": "b"}


def test_a_task_does_not_return_to_a_session_that_refused_it() -> None:
    seats = [Seat("refused-it", 2, 1), Seat("other", 2, 9)]
    assert pairs(seats, ["t"], {"t": frozenset({"refused-it"})}) == {"t": "other"}


def test_a_refused_task_lets_the_next_one_pass() -> None:
    seats = [Seat("a", 1, 1)]
    plan = assign(["t1", "t2"], seats, {"t1": frozenset({"a"})}, frozenset({"a", "busy"}))
    assert [(m.task_id, m.session_id) for m in plan.matches] == [("t2", "a")]
    # `busy` may take it later.
    assert (plan.passed_over, plan.hopeless) == (("t1",), ())


def test_a_task_that_the_whole_pool_refused_is_hopeless_and_takes_no_seat() -> None:
    seats = [Seat("a", 1, 1)]
    excluded = {"t1": frozenset({"a", "b", "gone"})}
    plan = assign(["t1", "t2"], seats, excluded, frozenset({"a", "b"}))
    assert plan.hopeless == ("t1",)
    assert [m.task_id for m in plan.matches] == ["t2"]


def test_full_seats_pass_nobody_over() -> None:
    plan = assign(["t1", "t2"], [Seat("a", 0, 1)], NOBODY, frozenset({"a"}))
    assert (plan.matches, plan.passed_over, plan.hopeless) == ((), (), ())


ids = st.sampled_from("abcdef")


@given(
    count=st.integers(0, 20),
    free=st.dictionaries(ids, st.integers(0, 4), max_size=6),
    used=st.dictionaries(ids, st.integers(0, 5)),
    barred=st.dictionaries(st.integers(0, 19).map("t{}".format), st.frozensets(ids), max_size=8),
)
def test_no_seat_is_overbooked_and_nobody_waits_beside_a_seat_he_may_take(
    count: int, free: dict[str, int], used: dict[str, int], barred: dict[str, frozenset[str]]
) -> None:
    seats = [Seat(name, slots, used.get(name, 0)) for name, slots in free.items()]
    names = [f"t{n}" for n in range(count)]
    plan = assign(names, seats, barred, frozenset(free))
    taken = Counter(match.session_id for match in plan.matches)
    assert all(taken[name] <= slots for name, slots in free.items())
    assert all(match.session_id not in barred.get(match.task_id, ()) for match in plan.matches)
    outcome = [m.task_id for m in plan.matches] + [*plan.hopeless, *plan.passed_over]
    assert len(outcome) == len(set(outcome))
    left = {name for name, slots in free.items() if slots > taken[name]}
    for waiting in set(names) - {match.task_id for match in plan.matches}:
        # A seat left over in the end was free all the time, so only its refusal can keep a task from it.
        assert left <= barred.get(waiting, frozenset())
