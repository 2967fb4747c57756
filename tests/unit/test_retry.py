"""How often a step is tried again."""

from __future__ import annotations

import pytest

from jimeng_gateway.domain.errors import ErrorKind, Failure
from jimeng_gateway.domain.retry import UPLOAD_SPELL, Retry, passing


def test_pauses_grow_to_a_bound_and_end() -> None:
    retry = Retry("test", tries=6, first=1.0, longest=5.0, within=100.0)
    assert [retry.pause(tried, 0.0) for tried in range(1, 7)] == [1.0, 2.0, 4.0, 5.0, 5.0, None]


def test_no_try_begins_after_the_time() -> None:
    retry = Retry("test", tries=100, first=2.0, longest=2.0, within=10.0)
    assert retry.pause(1, 8.0) == 2.0
    assert retry.pause(1, 8.1) is None


def test_a_spell_is_outlasted_for_150_seconds() -> None:
    elapsed, tried = 0.0, 1
    while (pause := UPLOAD_SPELL.pause(tried, elapsed)) is not None:
        assert pause == 5.0
        elapsed, tried = elapsed + pause, tried + 1
    assert elapsed == 150.0


@pytest.mark.parametrize("kind", list(ErrorKind))
def test_only_what_may_pass_is_tried_again(kind: ErrorKind) -> None:
    again = kind in (ErrorKind.NETWORK, ErrorKind.TIMEOUT, ErrorKind.UPSTREAM_ERROR)
    assert passing(Failure(kind, "x", "")) is again
    assert not passing(Failure(kind, "host_not_allowed", ""))
