"""The Signer port over one Chromium: a page for each session, started on first need, closed when unused.

Sessions work at the same time; the submits of one session follow each other in the order in which they came.
Which contexts have to go is decided in `rules`; here it is done.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from jimeng_gateway.browser import chromium, profile, rules
from jimeng_gateway.browser.chromium import Chromium
from jimeng_gateway.browser.errors import Unusable
from jimeng_gateway.browser.options import SignerHealth, SignerOptions
from jimeng_gateway.browser.page import Page, unavailable
from jimeng_gateway.browser.relay import Dial, Relay, dial
from jimeng_gateway.domain.errors import UpstreamFailure
from jimeng_gateway.domain.ports import Clock, Emitter, SignedRequest
from jimeng_gateway.domain.session import Identity

#: Pages that load at the same time: more of them would only make each other slow, until all are too slow.
OPENINGS = 4
#: Seconds between two looks at what is unused.
TIDY_EVERY = 15.0


@dataclass(slots=True)
class _Seat:
    """A session's place: its queue, and its page while it has one."""

    queue: asyncio.Lock = field(default_factory=asyncio.Lock)
    #: Submits in the queue or under way.
    wanted: int = 0
    page: Page | None = None
    #: Holds a place among the open contexts, with a page or about to get one.
    placed: bool = False
    busy: bool = False
    opened_at: float = 0.0
    used_at: float = 0.0


class ChromiumSigner:
    """Takes submits between `start` and `close`.

    `proxies` gives the HTTP proxy of a session as a URL, with its login if it has one; "" for none. `dial`
    makes the connections to the site.
    """

    def __init__(
        self,
        options: SignerOptions,
        clock: Clock,
        telemetry: Emitter,
        *,
        proxies: Callable[[Identity], str] = lambda _: "",
        dial: Dial = dial,
    ) -> None:
        self._options = options
        self._clock = clock
        self._telemetry = telemetry
        self._proxies = proxies
        self._dial = dial
        self._browser: Chromium | None = None
        self._starting = asyncio.Lock()
        self._openings = asyncio.Semaphore(OPENINGS)
        self._seats: dict[str, _Seat] = {}
        #: Notified whenever a place may have become free.
        self._changed = asyncio.Condition()
        self._unused_since = 0.0
        self._version = ""
        #: Why the last start failed; empty after one that worked.
        self._trouble = ""
        #: What the last one that started lacks.
        self._note = ""
        self._closed = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._keeper: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Removes what crashed processes left and begins to look after idle contexts; starts no browser."""
        removed = await asyncio.to_thread(profile.sweep, self._options)
        if removed:
            self._telemetry.emit("signer.profiles_removed", count=removed)
        self._keeper = asyncio.create_task(self._keep())

    async def close(self) -> None:
        """Stops the browser. Submits under way end unclear, waiting ones are refused."""
        self._closed = True
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        async with self._starting:
            await self._stop("closed")
        async with self._changed:
            for session, seat in list(self._seats.items()):
                self._discard(session, seat, "closed")
            self._changed.notify_all()
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def send(self, identity: Identity, request: SignedRequest) -> bytes:
        """See ports.Signer."""
        seat = self._seats.setdefault(identity.session_id, _Seat())
        seat.wanted += 1
        try:
            async with seat.queue, self._at_work(identity.session_id, seat):
                page = await self._page(seat, identity, request)
                return await page.submit(request)
        except UpstreamFailure as failed:
            failure = failed.failure
            self._telemetry.emit(
                "signer.failed",
                session=identity.session_id,
                code=failure.code,
                acceptance=str(failure.acceptance),
                reason=failure.message,
            )
            raise
        finally:
            seat.wanted -= 1
            self._forget(identity.session_id, seat)

    def health(self) -> SignerHealth:
        """What is known without trying."""
        reason = self._trouble
        try:
            chromium.check(self._options)
        except Unusable as unusable:
            reason = str(unusable)
        return SignerHealth(
            available=not reason,
            version=self._version,
            reason=reason,
            running=self._browser is not None and self._browser.alive,
            contexts=sum(1 for seat in self._seats.values() if seat.placed),
            note=self._note,
        )

    async def probe(self) -> SignerHealth:
        """The same after a trial: the browser is started, and stops by itself when nothing needs it."""
        with contextlib.suppress(UpstreamFailure):
            await self._running()
        return self.health()

    async def tidy(self) -> None:
        """Closes what is gone or idle for too long, and a browser that nothing has needed for a while."""
        async with self._changed:
            for session, seat in list(self._seats.items()):
                if seat.page is not None and not seat.busy and not seat.page.alive:
                    self._discard(session, seat, "gone")
            for session in self._to_close(self._options.max_contexts):
                self._discard(session, self._seats[session], "idle")
            self._changed.notify_all()
        async with self._starting:
            if self._browser is None or any(seat.placed for seat in self._seats.values()):
                return
            if not self._browser.alive:
                await self._stop("lost")
            elif self._now() - self._unused_since >= self._options.browser_idle:
                await self._stop("unused")

    async def _keep(self) -> None:
        while True:
            await self._clock.sleep(TIDY_EVERY)
            await self.tidy()

    def _now(self) -> float:
        return self._clock.monotonic()

    @contextlib.asynccontextmanager
    async def _at_work(self, session: str, seat: _Seat) -> AsyncIterator[None]:
        """Has a place for the length of a submit; whatever goes wrong, the page is not used again."""
        await self._place(seat)
        try:
            yield
        except BaseException:
            self._discard(session, seat, "failed")
            raise
        finally:
            seat.busy = False
            seat.used_at = self._now()
            async with self._changed:
                self._changed.notify_all()

    async def _place(self, seat: _Seat) -> None:
        """Waits for a place among the contexts; the longest unused one makes room, a busy one never."""
        async with self._changed:
            while not seat.placed and not self._closed:
                for victim in self._to_close(self._options.max_contexts - 1):
                    self._discard(victim, self._seats[victim], "room")
                if sum(1 for each in self._seats.values() if each.placed) < self._options.max_contexts:
                    break
                await self._changed.wait()
            if self._closed:
                raise unavailable("the gateway is stopping")
            seat.placed = seat.busy = True

    def _to_close(self, most: int) -> tuple[str, ...]:
        views = [
            rules.ContextView(session, seat.busy, seat.used_at)
            for session, seat in self._seats.items()
            if seat.placed
        ]
        return rules.to_close(views, self._now(), most=most, idle=self._options.idle_close)

    async def _page(self, seat: _Seat, identity: Identity, request: SignedRequest) -> Page:
        """The session's page, opened anew if it is old, gone, or was made for another login."""
        try:
            proxy, path = rules.proxy(self._proxies(identity)), rules.path_of(request.url)
        except ValueError as error:
            raise unavailable(str(error)) from error
        old = self._now() - seat.opened_at >= self._options.page_age
        if seat.page is not None and (old or not seat.page.fits(identity, proxy, path)):
            gone, seat.page = seat.page, None
            await gone.close()
        if seat.page is None:
            browser = await self._running()
            async with self._openings:
                began = self._now()
                seat.page = await Page.open(browser, self._options, identity, Relay(proxy, self._dial), path)
                seat.opened_at = self._now()
            self._telemetry.emit(
                "signer.page_opened", session=identity.session_id, seconds=seat.opened_at - began
            )
        return seat.page

    def _discard(self, session: str, seat: _Seat, reason: str) -> None:
        """Gives the place up at once; the page is closed behind our back."""
        page, seat.page, seat.placed = seat.page, None, False
        self._unused_since = self._now()
        self._forget(session, seat)
        if page is not None:
            self._telemetry.emit("signer.page_closed", session=session, reason=reason)
            closing = asyncio.create_task(page.close())
            self._tasks.add(closing)
            closing.add_done_callback(self._tasks.discard)

    def _forget(self, session: str, seat: _Seat) -> None:
        """A session that neither waits nor has a page needs no seat."""
        if not seat.wanted and not seat.placed and self._seats.get(session) is seat:
            del self._seats[session]

    async def _running(self) -> Chromium:
        """The browser, started if there is none or the last one died; signer_unavailable if it cannot be."""
        async with self._starting:
            if self._browser is not None and self._browser.alive:
                return self._browser
            if self._closed:
                raise unavailable("the gateway is stopping")
            if self._browser is not None:
                await self._stop("lost")
            began = self._now()
            try:
                self._browser = await Chromium.start(self._options)
            except Unusable as unusable:
                self._trouble = str(unusable)
                raise unavailable(self._trouble) from unusable
            self._trouble, self._version, self._note = "", self._browser.version, self._browser.note
            self._unused_since = self._now()
            self._telemetry.emit(
                "signer.browser_started", version=self._version, seconds=self._unused_since - began
            )
            if self._note:
                self._telemetry.emit("signer.authorities_missing", reason=self._note)
            return self._browser

    async def _stop(self, reason: str) -> None:
        """Ends the browser, with `_starting` held."""
        browser, self._browser = self._browser, None
        if browser is not None:
            await browser.close()
            self._telemetry.emit("signer.browser_stopped", reason=reason)
