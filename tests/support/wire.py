"""Fixed values for tests of the wire format: a clock, ids that count, an identity, short replies."""

from __future__ import annotations

import itertools
from collections.abc import Callable

from jimeng_gateway.domain.builtin_models import builtin
from jimeng_gateway.domain.intake import Wish, plan
from jimeng_gateway.domain.ports import Order
from jimeng_gateway.domain.session import Identity
from jimeng_gateway.upstream.wire.identity import Credential, identity

NOW_MS = 1_767_225_600_123
SUBMIT_ID = "11111111-1111-4111-8111-111111111111"
SESSION_ID = "0123456789abcdef0123456789abcdef"
WEB_ID = "7345678901234567890"


def counting_ids() -> Callable[[], str]:
    """Uuids that count from 1."""
    numbers = itertools.count(1)
    return lambda: f"00000000-0000-4000-8000-{next(numbers):012d}"


def an_identity() -> Identity:
    """A session known by its bare id."""
    return identity(Credential(SESSION_ID), WEB_ID, "session_1", NOW_MS)


def an_order(wish: Wish, seed: int = 2512345678) -> Order:
    """The submit of a wish, planned with the built-in models."""
    request = plan(wish, builtin())
    return Order(request, SUBMIT_ID, request.seed if request.seed is not None else seed)


class FixedClock:
    """A clock that moves only when told; sleeping moves it."""

    def __init__(self, now: int = NOW_MS) -> None:
        self._now = now

    def now(self) -> int:
        """Milliseconds since the epoch."""
        return self._now

    def monotonic(self) -> float:
        """Seconds."""
        return self._now / 1000

    async def sleep(self, seconds: float) -> None:
        """Returns at once; the time has passed."""
        self._now += round(seconds * 1000)
