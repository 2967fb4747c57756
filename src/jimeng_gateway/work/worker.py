"""Finds what is due and runs a step for it; holds no state that the database does not have.

Five rounds look for work (reserve, poll, collect, cancel, deliver) and upkeep keeps the rest in order. Each
round claims no more than it has hands for. A notification only makes a round come sooner; the sweep behind it
finds everything.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from jimeng_gateway.domain import lifecycle
from jimeng_gateway.domain.errors import StoreError
from jimeng_gateway.domain.task import Task
from jimeng_gateway.store import reservation, submissions, tasks
from jimeng_gateway.store.database import StoreBusy, Tx
from jimeng_gateway.store.subscriptions import DELIVER
from jimeng_gateway.work import cancel, collect, poll, submit, upkeep
from jimeng_gateway.work.bench import Bench
from jimeng_gateway.work.deliver import Courier
from jimeng_gateway.work.keeping import ResultKeeper
from jimeng_gateway.work.spooling import SpoolKeeper


@dataclass(frozen=True, slots=True)
class Hands:
    """How many steps of a kind run at once."""

    submit: int = 32
    poll: int = 64
    collect: int = 8
    cancel: int = 8
    deliver: int = 64


#: Longest pause between two rounds, in seconds: how long a lost notification may delay work.
SWEEP_S = 1.0
#: Polls and deadlines come due by time alone, so these rounds look more often.
POLL_SWEEP_S = 0.2
#: The topic of the round that may go on when a step of a kind has ended.
_WAKES = {"submit": tasks.QUEUE, "collect": tasks.COLLECT, "cancel": tasks.CANCEL, "deliver": DELIVER}
#: How long a claimed cancellation may take before another process tries it.
CANCEL_TIMEOUT_MS = 60_000


class Worker:
    """The work half of one process."""

    def __init__(
        self,
        bench: Bench,
        hands: Hands,
        *,
        catalogue_every: int,
        keeper: SpoolKeeper | None = None,
        results: ResultKeeper | None = None,
        courier: Courier | None = None,
    ) -> None:
        self._bench = bench
        self._hands = hands
        #: None where there is no spool to look after.
        self._keeper = keeper
        #: None where results stay for ever.
        self._results = results
        #: None where nobody is told of anything.
        self._courier = courier
        self._catalogue_every = catalogue_every
        self._steps: dict[str, dict[str, asyncio.Task[None]]] = {
            "submit": {},
            "poll": {},
            "collect": {},
            "cancel": {},
            "deliver": {},
        }
        self._wake = {name: asyncio.Event() for name in (tasks.QUEUE, tasks.COLLECT, tasks.CANCEL, DELIVER)}
        self._stopping = False
        self._suspects: set[tuple[str, str]] = set()

    # ── running ──────────────────────────────────────────────────────────────────────────────────

    async def run(self) -> None:
        """Works until `stop`; raises what makes work impossible (lease lost, broken database)."""
        bench = self._bench
        unsubscribe = bench.db.subscribe(self._notice)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(bench.lease.keep())
                group.create_task(self._every(self.reserve_round, SWEEP_S, self._wake[tasks.QUEUE]))
                group.create_task(self._every(self.poll_round, POLL_SWEEP_S))
                group.create_task(self._every(self.collect_round, SWEEP_S, self._wake[tasks.COLLECT]))
                group.create_task(self._every(self.cancel_round, SWEEP_S, self._wake[tasks.CANCEL]))
                group.create_task(self._every(self.deliver_round, SWEEP_S, self._wake[DELIVER]))
                group.create_task(self._every(self.upkeep_round, SWEEP_S))
                group.create_task(self._every(self.slow_round, 5.0))
        finally:
            unsubscribe()

    async def stop(self, running: asyncio.Task[None], seconds: float) -> None:
        """Claims nothing more, lets steps end for that long, gives back what is left."""
        self._stopping = True
        await self._end_steps(seconds)
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await running
        # A round that was under way may have begun another step meanwhile.
        await self._end_steps(0)
        await self.give_back()

    async def _end_steps(self, seconds: float) -> None:
        busy = self._running()
        if busy:
            await asyncio.wait(busy, timeout=seconds)
        for step in busy:
            step.cancel()
        await asyncio.gather(*busy, return_exceptions=True)

    async def give_back(self) -> None:
        """Leaves nothing leased."""
        owner = self._bench.lease.owner
        held = await self._bench.db.read(lambda tx: [row["id"] for row in tx.all("task_owned", owner=owner)])
        await upkeep.release_own(self._bench, held, "the gateway was stopped")
        await self._bench.lease.leave()
        await upkeep.take_over(self._bench, own=True)

    def busy(self) -> dict[str, int]:
        """Running steps by kind."""
        return {name: len(steps) for name, steps in self._steps.items()}

    # ── rounds: True when another one at once may find more ──────────────────────────────────────

    async def reserve_round(self) -> bool:
        """Gives waiting tasks to free slots and starts their submits."""
        room = self._hands.submit - len(self._steps["submit"])
        if room <= 0:
            return False
        bench = self._bench
        now = bench.clock.now()
        done = await bench.db.write(
            lambda tx: reservation.reserve(tx, owner=bench.lease.owner, now=now, limit=room)
        )
        for task in done.reserved:
            self._start("submit", task.id, submit.submit(bench, task))
        for task in done.failed:
            bench.telemetry.emit("task.advanced", task=task.id, stage=task.stage, was="queued")
        return done.more

    async def poll_round(self) -> bool:
        """Claims sessions with something due and starts their polls."""
        room = self._hands.poll - len(self._steps["poll"])
        if room <= 0:
            return False
        bench = self._bench
        now = bench.clock.now()
        due = await bench.db.read(lambda tx: tx.one("poll_due", now=now))
        if due is None:
            return False
        claimed = await bench.db.write(
            lambda tx: tx.all("poll_claim", owner=bench.lease.owner, now=now, limit=room)
        )
        for row in claimed:
            self._start("poll", row["id"], poll.poll_session(bench, row["id"], row["poll_errors"]))
        return len(claimed) == room

    async def collect_round(self) -> bool:
        """Claims finished tasks and starts to fetch their files."""
        room = self._hands.collect - len(self._steps["collect"])
        if room <= 0:
            return False
        bench = self._bench
        now = bench.clock.now()
        claimed = await bench.db.write(lambda tx: _claim_collect(tx, bench.lease.owner, now, room))
        for task in claimed:
            self._start("collect", task.id, collect.collect(bench, task))
        return len(claimed) == room

    async def cancel_round(self) -> bool:
        """Claims cancellations and takes them upstream."""
        room = self._hands.cancel - len(self._steps["cancel"])
        if room <= 0:
            return False
        bench = self._bench
        now = bench.clock.now()
        claimed = await bench.db.write(
            lambda tx: submissions.claim_cancels(tx, now=now, again_at=now + CANCEL_TIMEOUT_MS, limit=room)
        )
        for submission in claimed:
            self._start("cancel", submission.submit_id, cancel.cancel_upstream(bench, submission))
        return len(claimed) == room

    async def deliver_round(self) -> bool:
        """Claims what is to be told to callback addresses and starts to tell it."""
        room = self._hands.deliver - len(self._steps["deliver"])
        if room <= 0 or self._courier is None:
            return False
        claimed = await self._courier.claim(self._bench, room)
        for delivery, task in claimed.parcels:
            self._start("deliver", delivery.id, self._courier.carry(self._bench, delivery, task))
        return claimed.more

    async def upkeep_round(self) -> bool:
        """Deadlines, and the work of processes that died."""
        await upkeep.take_over(self._bench)
        await upkeep.enforce_deadlines(self._bench)
        return False

    async def slow_round(self) -> bool:
        """What may wait some seconds."""
        await self._find_lost_steps()
        await upkeep.mend_slots(self._bench)
        await upkeep.wake_rested(self._bench)
        await upkeep.refresh_catalogue(self._bench, self._catalogue_every)
        if self._keeper is not None:
            await self._keeper.round(self._bench)
        if self._results is not None:
            await self._results.round(self._bench)
        if self._courier is not None:
            await self._courier.round(self._bench)
        return False

    async def drain(self) -> None:
        """Runs all that is due, and what that makes due, to its end: for tests, without loop or waiting."""
        rounds = (
            self.upkeep_round,
            self.reserve_round,
            self.poll_round,
            self.collect_round,
            self.cancel_round,
            self.deliver_round,
        )
        worked = True
        while worked:
            worked = False
            for work in rounds:
                await work()
                running = self._running()
                worked = worked or bool(running)
                await asyncio.gather(*running)

    def _running(self) -> list[asyncio.Task[None]]:
        return [step for steps in self._steps.values() for step in steps.values()]

    # ── machinery ────────────────────────────────────────────────────────────────────────────────

    def _start(self, kind: str, name: str, step: Coroutine[Any, Any, None]) -> None:
        steps = self._steps[kind]
        if name in steps:
            # Given back and claimed again under a step that still runs: that one goes on alone.
            step.close()
            return
        running = asyncio.create_task(self._guarded(kind, name, step))
        steps[name] = running

        def ended(_: asyncio.Task[None]) -> None:
            steps.pop(name, None)
            wake = _WAKES.get(kind)
            if wake is not None:
                self._wake[wake].set()

        running.add_done_callback(ended)

    async def _guarded(self, kind: str, name: str, step: Coroutine[Any, Any, None]) -> None:
        try:
            await step
        except StoreError as error:
            # The outcome could not be recorded; whoever takes over asks the site.
            self._bench.telemetry.emit("step.crashed", step=kind, subject=name, error=error.message)
        except Exception as error:  # noqa: BLE001 - a bug in one step must not stop the others
            self._bench.telemetry.emit(
                "step.crashed", step=kind, subject=name, error=repr(error), exc_info=True
            )

    async def _every(
        self, work: Callable[[], Awaitable[bool]], seconds: float, wake: asyncio.Event | None = None
    ) -> None:
        """Runs a round again and again; at once while it finds more, else after a wake-up or the pause."""
        event = wake or asyncio.Event()
        away_since: float | None = None
        while not self._stopping:
            event.clear()
            try:
                more = await work()
                away_since = None
            except StoreBusy as error:
                self._bench.telemetry.emit("store.retry", error=error.message)
                now = self._bench.clock.monotonic()
                away_since = away_since if away_since is not None else now
                if now - away_since > self._bench.lease.length / 1000:
                    raise
                more = False
            if not more:
                await self._pause(event, seconds)

    async def _pause(self, event: asyncio.Event, seconds: float) -> None:
        sleeping = asyncio.ensure_future(self._bench.clock.sleep(seconds))
        waking = asyncio.ensure_future(event.wait())
        try:
            await asyncio.wait((sleeping, waking), return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleeping.cancel()
            waking.cancel()

    def _notice(self, topic: str) -> None:
        event = self._wake.get(topic)
        if event is not None:
            event.set()

    async def _find_lost_steps(self) -> None:
        """What this process holds but no step works on: seen twice in a row, it is given back."""
        idle = await self._idle()
        lost = idle & self._suspects
        self._suspects = idle
        if not lost:
            return
        self._bench.telemetry.emit("steps.lost", count=len(lost))
        held = sorted(name for what, name in lost if what == "task")
        await upkeep.release_own(self._bench, held, "the step that worked on it ended without a record")
        await upkeep.release_polls(self._bench, sorted(name for what, name in lost if what == "poll"))

    async def _idle(self) -> set[tuple[str, str]]:
        """Tasks and polls (by session) that are claimed without a step."""
        before = self._at_work()
        owner = self._bench.lease.owner

        def held(tx: Tx) -> set[tuple[str, str]]:
            own = {("task", row["id"]) for row in tx.all("task_owned", owner=owner)}
            return own | {("poll", row["id"]) for row in tx.all("poll_owned", owner=owner)}

        return await self._bench.db.read(held) - before - self._at_work()

    def _at_work(self) -> set[tuple[str, str]]:
        own = {("task", name) for name in (*self._steps["submit"], *self._steps["collect"])}
        return own | {("poll", name) for name in self._steps["poll"]}


def _claim_collect(tx: Tx, owner: str, now: int, limit: int) -> list[Task]:
    claimed = []
    for row in tx.all("task_collectable", now=now, limit=limit):
        task = tasks.with_results(tx, tasks.from_row(row))
        decision = lifecycle.begin_collect(task, owner=owner)
        if decision is not None:
            claimed.append(tasks.apply(tx, task, decision, now=now))
    return claimed
