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


def _base32(value: int, digits: int) -> str:
    out = []
    for _ in range(digits):
        value, rest = divmod(value, 32)
        out.append(_ALPHABET[rest])
    return "".join(reversed(out))


def new_id(prefix: str, now: int) -> str:
    """`task_01k9…`: 10 digits of time, 12 of chance, so that ids sort by age and cannot be guessed."""
    return f"{prefix}_{_base32(now, 10)}{_base32(secrets.randbits(60), 12)}"
