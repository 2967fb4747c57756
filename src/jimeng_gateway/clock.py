"""The one place that asks the machine for time and randomness; everything else is handed a Clock."""

from __future__ import annotations

import asyncio
import secrets
import time


class SystemClock:
    """The machine's clock."""

    def now(self) -> int:
        """Milliseconds since the epoch, UTC."""
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        """Seconds on a clock that never goes back."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Returns after that many seconds."""
        await asyncio.sleep(seconds)


_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
#: Two digits at a time: every request makes an id.
_PAIRS = [first + second for first in _ALPHABET for second in _ALPHABET]


def _base32(value: int, pairs: int) -> str:
    return "".join([_PAIRS[value >> 10 * place & 1023] for place in range(pairs - 1, -1, -1)])


def new_id(prefix: str, now: int) -> str:
    """`task_01k9…`: 10 digits of time, 12 of chance, so that ids sort by age and cannot be guessed."""
    return f"{prefix}_{_base32(now, 5)}{_base32(secrets.randbits(60), 6)}"


def id_time(made: str) -> int | None:
    """When an id was made, in milliseconds since the epoch; None if `new_id` made nothing of that form."""
    digits = made.rpartition("_")[2]
    if len(digits) != 22 or not set(digits) <= set(_ALPHABET):
        return None
    at = 0
    for digit in digits[:10]:
        at = at * 32 + _ALPHABET.index(digit)
    return at
