"""What a failure does to the session that it happened with."""

from __future__ import annotations

import pytest

from jimeng_gateway.domain.errors import KINDS, ErrorKind, Failure, Owner
from jimeng_gateway.domain.session import MINUTE, Identity, SessionState, health_after

HARMLESS = {
    ErrorKind.CONTENT_REJECTED,
    ErrorKind.INVALID_REQUEST,
    ErrorKind.MODEL_UNAVAILABLE,
    ErrorKind.GENERATION_FAILED,
    ErrorKind.NETWORK,
    ErrorKind.TIMEOUT,
    ErrorKind.UPSTREAM_ERROR,
    ErrorKind.UNKNOWN,
}
RESTS = {ErrorKind.RISK: 15, ErrorKind.QUOTA: 60, ErrorKind.RATE_LIMITED: 1}
ENDS = {ErrorKind.AUTH: SessionState.EXPIRED, ErrorKind.ACCOUNT_BLOCKED: SessionState.BLOCKED}


def failure(kind: ErrorKind) -> Failure:
    """One that speaks of the whole account."""
    return Failure(kind, "121101", "the reason in words")


def test_the_table_is_complete() -> None:
    assert HARMLESS | RESTS.keys() | ENDS.keys() == set(ErrorKind)


@pytest.mark.parametrize("kind", sorted(HARMLESS))
def test_what_says_nothing_about_the_account_leaves_it_alone(kind: ErrorKind) -> None:
    assert health_after(failure(kind), 0) is None


@pytest.mark.parametrize("code", ["1006", "4003", ""])
def test_a_model_that_an_account_lacks_does_not_rest_it(code: str) -> None:
    assert health_after(Failure(ErrorKind.QUOTA, code, "no such benefit"), 0) is None


def test_nothing_that_is_the_callers_fault_touches_a_session() -> None:
    callers = [kind for kind, (owner, _) in KINDS.items() if owner is Owner.CALLER]
    assert callers
    assert all(health_after(failure(kind), 0) is None for kind in callers)


@pytest.mark.parametrize(("kind", "state"), ENDS.items())
def test_a_dead_login_or_account_is_taken_out_for_good(kind: ErrorKind, state: SessionState) -> None:
    health = health_after(failure(kind), 3)
    assert health is not None
    assert (health.state, health.rest_ms, health.reason, health.kind) == (
        state,
        0,
        "the reason in words",
        kind,
    )


@pytest.mark.parametrize(("kind", "minutes"), RESTS.items())
def test_rests_double_up_to_six_hours(kind: ErrorKind, minutes: int) -> None:
    lengths = []
    for rests in range(40):
        health = health_after(failure(kind), rests)
        assert health is not None
        assert health.state is SessionState.COOLING
        lengths.append(health.rest_ms / MINUTE)
    assert lengths[:2] == [minutes, 2 * minutes]
    assert lengths == sorted(lengths)
    assert lengths[-1] == 360


def test_an_identity_shows_no_secret() -> None:
    shown = repr(Identity("session_1", "cn", "sessionid=hush", "7" * 19))
    assert "hush" not in shown
    assert "777" not in shown
