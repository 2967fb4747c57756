"""Estimates are what was seen charged, and no number where nothing was seen."""

from __future__ import annotations

import pytest

from jimeng_gateway.domain.builtin_models import builtin
from jimeng_gateway.domain.costs import Basis, Estimate, estimate
from jimeng_gateway.domain.intake import Wish, plan
from jimeng_gateway.domain.request import Kind


@pytest.mark.parametrize(
    ("wish", "credits_"),
    [
        # jimeng-web.md 3.8
        (Wish("x", model="jimeng-5.0-flash", n=1, resolution="2k"), 3),
        (Wish("x", model="jimeng-5.0-pro", n=2, resolution="2k"), 16),
        (Wish("x", model="mj-v8.2", n=4, resolution="2k"), 28),
        (Wish("x", model="mj-v8.2", n=4, resolution="1k"), 20),
        # 4.6
        (Wish("x", model="seedance-2.0-mini", duration=4, resolution="720p"), 24),
        (Wish("x", model="seedance-2.0-fast-vip", duration=5, resolution="720p"), 30),
        (Wish("x", model="seedance-2.0-vip", duration=5, resolution="720p"), 70),
        (Wish("x", model="seedance-2.5", duration=5, resolution="720p"), 60),
    ],
)
def test_what_was_seen_charged(wish: Wish, credits_: int) -> None:
    assert estimate(plan(wish, builtin())) == Estimate(credits_, Basis.OBSERVED)


def test_nothing_is_made_up() -> None:
    for wish in (
        Wish("x", kind=Kind.IMAGE, model="jimeng-4.6"),
        Wish("x", model="seedance-2.5", resolution="480p"),
    ):
        assert estimate(plan(wish, builtin())) == Estimate(None, Basis.UNKNOWN)
