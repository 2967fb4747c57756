"""The site's state and everything that may happen to it. No clock, no sockets: calls are handed their `now`.

`now` is seconds since the epoch as a float. Whatever a caller may not do is a Refusal with the site's code.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import replace
from random import Random
from typing import Any

from jimeng_gateway.simulator import draft, job, materials
from jimeng_gateway.simulator.account import DAILY_GIFT, Account, Entry, day
from jimeng_gateway.simulator.catalogue import Catalogue
from jimeng_gateway.simulator.depot import Depot
from jimeng_gateway.simulator.faults import FaultBook
from jimeng_gateway.simulator.job import Job
from jimeng_gateway.simulator.options import SimulatorOptions
from jimeng_gateway.simulator.refusal import Refusal
from jimeng_gateway.simulator.regions import REGIONS, Region
from jimeng_gateway.simulator.triggers import Ending

_FIRST_HISTORY_ID = 34567000000001
_FIRST_ITEM_ID = 7600000000000000001
#: Room for the items of one job between the item ids of two jobs.
_ITEMS_PER_JOB = 64
_FIRST_UID = 1234567890123456


class World:
    """Accounts, jobs, credits and faults of one simulated site."""

    def __init__(self, options: SimulatorOptions) -> None:
        self.options = options
        self.region: Region = REGIONS[options.region]
        self.catalogue = Catalogue.of_site(withdrawn=options.withdrawn_listed)
        self.accounts: list[Account] = []
        self.jobs: list[Job] = []
        self.depot = Depot(options.seed)
        # Apart from each other, so that a fault rate does not shift what the jobs draw.
        self.rng = Random(options.seed)  # noqa: S311 - it plays a site, it keeps no secret
        self.faults = FaultBook(Random(options.seed + 1))  # noqa: S311 - the same
        self.faults.arm(options.faults)
        self._by_session: dict[str, Account] = {}
        self._by_uid: dict[str, Account] = {}
        self._by_submit_id: dict[str, list[int]] = {}

    # Accounts

    def account(self, session: str) -> Account:
        """The account of a session id; Refusal 1015 if it is unknown or dead."""
        found = self._by_session.get(session)
        if found is None:
            if not session or not self.options.open_door:
                raise Refusal("1015")
            found = self.declare(session)
        if found.dead:
            raise Refusal("1015")
        return found

    def declare(self, session: str, *, uid: str | None = None, **flags: Any) -> Account:
        """Makes an account for a session id, leads the session to the account `uid`, or changes its flags."""
        found = self._by_session.get(session) or (self._by_uid.get(uid) if uid else None)
        if found is None:
            found = self._new_account(session, uid)
        self._by_session[session] = found
        if "credits" in flags:
            found.gift, found.purchase, found.vip = 0, 0, int(flags.pop("credits"))
        for name, value in flags.items():
            setattr(found, name, frozenset(value) if name == "lacks" else value)
        return found

    def _new_account(self, session: str, uid: str | None) -> Account:
        number = len(self.accounts)
        account = Account(
            uid=uid or str(_FIRST_UID + number),
            name=f"用户{number + 1:06d}",
            session=session,
            vip=self.options.credits,
            slot_limit=self.options.slot_limit,
        )
        self.accounts.append(account)
        self._by_uid[account.uid] = account
        return account

    # Jobs

    def generate(self, session: str, body: bytes, now: float, *, signed: bool) -> Job:
        """Accepts a job and charges for it. `signed`: the risk values were in the query."""
        account = self.account(session)
        self.settle(account, now)
        found = draft.submission(body)
        if found.action == 2 and found.history_id:
            return self._continued(account, found.history_id)
        if account.punished:
            raise Refusal("1018")
        if account.risky:
            raise Refusal("4013")
        wanted = draft.ask(found, self.catalogue)
        if wanted.kind == self.options.require_signature and not signed:
            raise Refusal(str(self.options.risk_ret))
        if self.options.check_uploads:
            materials.check(
                materials.named(str(found.draft_content)), wanted, self.catalogue, self.depot, account.uid
            )
        self._check_limits(account, wanted, now)
        paid = None if account.penniless else account.take(wanted.price)
        if paid is None:
            raise Refusal("1006")
        return self._accept(account, session, wanted, paid, now)

    def _check_limits(self, account: Account, wanted: draft.Ask, now: float) -> None:
        if wanted.model_key in account.lacks:
            raise Refusal("1006", "Not enough credits left or no relevant benefits")
        if account.daily_limit and account.accepted_by_day[day(now)] >= account.daily_limit:
            raise Refusal("121101")
        if account.slot_limit and len(account.active) >= account.slot_limit:
            raise Refusal("1310")

    def _accept(
        self, account: Account, session: str, wanted: draft.Ask, paid: tuple[int, int, int], now: float
    ) -> Job:
        number = len(self.jobs)
        digest = hashlib.sha256(f"{self.options.seed}/{number}".encode()).hexdigest()
        made = Job(
            number=number,
            history_id=str(_FIRST_HISTORY_ID + number),
            uid=account.uid,
            session=session,
            ask=wanted,
            plan=job.plan(wanted, self.options, now, self.rng),
            paid=paid,
            generate_id=digest[:24].upper(),
            capflow_id=f"{digest[:8]}-{digest[8:12]}-4{digest[13:16]}-8{digest[17:20]}-{digest[20:32]}",
        )
        self.jobs.append(made)
        self._by_submit_id.setdefault(wanted.submit_id, []).append(number)
        account.jobs.append(number)
        account.accepted_by_day[day(now)] += 1
        account.begin(number, made.plan.ends_at)
        self._book(account, made, "charge", now)
        return made

    def _continued(self, account: Account, history_id: str) -> Job:
        """The "continue" of a multi-image job (3.6): it goes on by itself here, and costs nothing more."""
        found = self.find(account, history_id=history_id)
        if found is None:
            raise Refusal("1000")
        return found

    def find(self, account: Account, *, history_id: str = "", submit_id: str = "") -> Job | None:
        """A job of this account; of several with one submit id the latest."""
        if history_id:
            number = int(history_id) - _FIRST_HISTORY_ID if history_id.isdecimal() else -1
            found = self.jobs[number] if 0 <= number < len(self.jobs) else None
            return found if found and found.uid == account.uid else None
        own = [n for n in self._by_submit_id.get(submit_id, ()) if self.jobs[n].uid == account.uid]
        return self.jobs[own[-1]] if own else None

    def polled(self, account: Account, ids: Iterable[str], key: str, now: float) -> dict[str, Job]:
        """The jobs that a poll sees, by the id asked; `key` is "history_id" or "submit_id"."""
        seen = {}
        for asked in ids:
            found = self.find(account, **{key: asked})
            if found is None:
                continue
            found.polls += 1
            if now < found.plan.visible_at:
                continue
            if found.seen_ended_at is None and now >= found.ended_at():
                found.seen_ended_at = now
            seen[asked] = found
        return seen

    def items_of(self, account: Account, item_id: str, now: float) -> tuple[Job, int] | None:
        """The job and the place in it of a finished item of this account."""
        if not item_id.isdecimal() or int(item_id) < _FIRST_ITEM_ID:
            return None
        number, index = divmod(int(item_id) - _FIRST_ITEM_ID, _ITEMS_PER_JOB)
        if number >= len(self.jobs) or self.jobs[number].uid != account.uid:
            return None
        found = self.jobs[number]
        return (found, index) if index < job.view(found, now).made else None

    def cancel(self, account: Account, history_id: str, now: float) -> None:
        """Ends a queued or running job and pays it back; Refusal 1000 for any other."""
        found = self.find(account, history_id=history_id)
        if found is None or found.removed or now >= found.ended_at() or found.ask.triggers.no_cancel:
            raise Refusal("1000")
        found.cancelled_at = now
        account.schedule(found.number, now)
        self.settle(account, now)

    def remove(self, account: Account, history_ids: Iterable[str]) -> None:
        """Deletes records; unknown ids are passed over."""
        for history_id in history_ids:
            found = self.find(account, history_id=history_id)
            if found is not None:
                found.removed = True

    def finish(self, submit_id: str, now: float, ending: Ending | None = None) -> int:
        """Ends all running jobs of a submit id at once; how many there were."""
        running = [self.jobs[n] for n in self._by_submit_id.get(submit_id, ())]
        running = [found for found in running if now < found.ended_at()]
        for found in running:
            found.plan = replace(
                found.plan,
                visible_at=min(now, found.plan.visible_at),
                starts_at=min(now, found.plan.starts_at),
                ends_at=now,
                ending=ending or found.plan.ending,
            )
            account = self._by_uid[found.uid]
            account.schedule(found.number, now)
            self.settle(account, now)
        return len(running)

    # Credits

    def settle(self, account: Account, now: float) -> None:
        """Lets the account's ended jobs end: they no longer run, and what is due is paid back."""
        for number in account.due(now):
            ended = self.jobs[number]
            failure = ended.failure()
            if failure is not None and failure.refunded:
                account.give_back(ended.paid)
                self._book(account, ended, "refund", ended.ended_at())

    def receive_gift(self, account: Account, now: float) -> int:
        """The day's free credits; 0 if they were fetched already."""
        if account.gift_day == day(now):
            return 0
        account.gift_day = day(now)
        account.gift += DAILY_GIFT
        account.entries.append(
            Entry("", account.session, account.uid, DAILY_GIFT, now, "gift", "每日免费积分")
        )
        return DAILY_GIFT

    def _book(self, account: Account, of: Job, kind: Any, at: float) -> None:
        account.entries.append(
            Entry(of.ask.submit_id, of.session, of.uid, of.ask.price, at, kind, of.ask.title)
        )

    def books(self, now: float) -> list[Entry]:
        """Every line of every account's books, oldest first."""
        for account in self.accounts:
            self.settle(account, now)
        return sorted((entry for account in self.accounts for entry in account.entries), key=lambda e: e.at)


def item_id(of: Job, index: int) -> str:
    """The 19-digit id of one result."""
    return str(_FIRST_ITEM_ID + of.number * _ITEMS_PER_JOB + index)
