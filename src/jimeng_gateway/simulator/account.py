"""Accounts with their purses and their flags, and the books in which every credit is written."""

from __future__ import annotations

import heapq
from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

#: A day of the site begins at midnight in Shanghai.
_SHANGHAI_S = 8 * 3600
DAY_S = 86400
#: Credits that the site gives for a day's first visit.
DAILY_GIFT = 66


def day(now: float) -> int:
    """The number of the site's day."""
    return int((now + _SHANGHAI_S) // DAY_S)


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the books."""

    submit_id: str
    session: str
    uid: str
    amount: int
    #: Seconds since the epoch.
    at: float
    kind: Literal["charge", "refund", "gift"]
    title: str


@dataclass(slots=True)
class Account:
    """One account of the site; several session ids may lead to it."""

    uid: str
    name: str
    #: The first session id that leads here.
    session: str
    gift: int = 0
    purchase: int = 0
    vip: int = 0
    #: Its sessions are answered "login error".
    dead: bool = False
    #: Every generate is answered 1006.
    penniless: bool = False
    #: Every generate is answered 1018.
    punished: bool = False
    #: Every generate is answered 4013.
    risky: bool = False
    #: Running jobs at which generate is answered 1310; 0 for no limit.
    slot_limit: int = 0
    #: Jobs a day at which generate is answered 121101; 0 for no limit.
    daily_limit: int = 0
    #: Model keys that it may not use (1006).
    lacks: frozenset[str] = frozenset()
    #: Job numbers in the order of acceptance.
    jobs: list[int] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    #: Job numbers that run now; right after `World` has settled the account.
    active: set[int] = field(default_factory=set)
    #: Ends of running jobs, soonest first; cancelled ones leave a stale line behind.
    ends: list[tuple[float, int]] = field(default_factory=list)
    running_max: int = 0
    accepted_by_day: Counter[int] = field(default_factory=Counter)
    gift_day: int = -1
    settings: dict[str, object] = field(default_factory=dict)

    def balance(self) -> int:
        """Credits left."""
        return self.gift + self.purchase + self.vip

    def take(self, amount: int) -> tuple[int, int, int] | None:
        """Takes credits, gifts first; what came from where, or None if there are too few."""
        if amount > self.balance():
            return None
        gift = min(self.gift, amount)
        vip = min(self.vip, amount - gift)
        purchase = amount - gift - vip
        self.gift -= gift
        self.vip -= vip
        self.purchase -= purchase
        return gift, vip, purchase

    def give_back(self, paid: tuple[int, int, int]) -> None:
        """Returns what `take` took."""
        gift, vip, purchase = paid
        self.gift += gift
        self.vip += vip
        self.purchase += purchase

    def begin(self, number: int, ends_at: float) -> None:
        """A job runs."""
        self.active.add(number)
        self.schedule(number, ends_at)
        self.running_max = max(self.running_max, len(self.active))

    def schedule(self, number: int, ends_at: float) -> None:
        """Notes when a running job ends."""
        heapq.heappush(self.ends, (ends_at, number))

    def due(self, now: float) -> list[int]:
        """Takes out the jobs that have ended by now."""
        ended = []
        while self.ends and self.ends[0][0] <= now:
            _, number = heapq.heappop(self.ends)
            if number in self.active:
                self.active.discard(number)
                ended.append(number)
        return ended
