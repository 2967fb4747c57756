"""One session's page: an isolated context with its cookies, the site's work page, and submits from inside it.

Every request of the page that could be a submit pauses in the browser until we let it go. So we know what
left: one request for each submit, and only with the signature of the site's script in its address.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.resources
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from jimeng_gateway.browser import cdp, rules
from jimeng_gateway.browser.chromium import Chromium
from jimeng_gateway.browser.errors import BrowserError, CommandRefused, Lost, PageGone
from jimeng_gateway.browser.options import SignerOptions
from jimeng_gateway.browser.relay import Lane, Relay
from jimeng_gateway.domain.errors import Acceptance, ErrorKind, Failure, UpstreamFailure
from jimeng_gateway.domain.ports import SignedRequest
from jimeng_gateway.domain.session import Identity

#: Seconds for a command that the browser answers by itself.
_SOON = 10.0
#: Seconds beyond the submit's own timeout, after which the page is taken for stuck.
_GRACE = 5.0


def _script(name: str) -> str:
    return importlib.resources.files(__package__).joinpath(name).read_text("utf-8").strip()


_READY, _SUBMIT = _script("ready.js"), _script("submit.js")


def unavailable(reason: str) -> UpstreamFailure:
    """The submit was not sent, because it could not have been signed."""
    message = f"the submit could not be signed: {reason}"
    return UpstreamFailure(Failure(ErrorKind.UPSTREAM_ERROR, "signer_unavailable", message))


def unclear(kind: ErrorKind, code: str, reason: str) -> UpstreamFailure:
    """The submit may have arrived: only asking for its submit id can tell."""
    message = f"the signed submit has no clear end: {reason}"
    return UpstreamFailure(Failure(kind, code, message, acceptance=Acceptance.UNKNOWN))


@dataclass(slots=True)
class _Attempt:
    """A submit under way, as the paused requests tell it."""

    still_ours: Callable[[], bool]
    #: Its request has been seen; there will be no other.
    seen: bool = False
    unsigned: bool = False
    #: Its task was another process's when it was about to leave.
    lost: bool = False
    #: What it left through; None as long as nothing was let go.
    lane: Lane | None = None


class Page:
    """Made by `open`. One submit at a time; after a failure it must be closed, not used again."""

    def __init__(
        self, browser: Chromium, options: SignerOptions, identity: Identity, relay: Relay, path: str
    ) -> None:
        self._browser = browser
        self._options = options
        self._relay = relay
        self._releasing: set[asyncio.Task[None]] = set()
        self._context = ""
        self._session = ""
        self._attempt: _Attempt | None = None
        self._origin = rules.origin_of(options.page_url)
        self.cookie = identity.cookie
        #: The path whose requests pause.
        self.path = path

    @classmethod
    async def open(
        cls, browser: Chromium, options: SignerOptions, identity: Identity, relay: Relay, path: str
    ) -> Page:
        """Opens the work page and waits until the site's script is in charge; signer_unavailable if not."""
        page = cls(browser, options, identity, relay, path)
        try:
            async with asyncio.timeout(options.ready_timeout):
                await page._create()
                await page._load()
        except BaseException as error:
            await page.close()
            if isinstance(error, TimeoutError):
                reason = f"the site's script did not take over fetch within {options.ready_timeout:g} s"
                raise unavailable(reason) from error
            if isinstance(error, BrowserError):
                raise unavailable(str(error)) from error
            raise
        return page

    @property
    def alive(self) -> bool:
        """Whether it can still be asked."""
        return self._browser.watched(self._session)

    def fits(self, identity: Identity, proxy: rules.Proxy, path: str) -> bool:
        """Whether it can carry a submit of this identity to this path."""
        same = proxy == self._relay.proxy and path == self.path
        return self.alive and same and rules.same_login(identity.cookie, self.cookie)

    async def submit(self, request: SignedRequest) -> bytes:
        """Sends it as the page's own fetch; the body of the reply.

        UpstreamFailure with acceptance NO as long as the page has not been asked, and when it answered and
        nothing left; any other end is UNKNOWN.
        """
        try:
            window = (await self._ask(cdp.window(self._session)))["result"]["objectId"]
        except (BrowserError, TimeoutError, KeyError) as error:
            raise unavailable(f"the page does not answer: {error}") from error
        self._attempt = attempt = _Attempt(request.still_ours)
        try:
            answer = await self._fetched(window, request)
        except CommandRefused as error:
            raise unclear(ErrorKind.NETWORK, "signer_page_gone", f"the page went away: {error}") from error
        except PageGone as error:
            raise unclear(ErrorKind.NETWORK, "signer_page_gone", str(error)) from error
        except Lost as error:
            raise unclear(ErrorKind.NETWORK, "signer_browser_gone", str(error)) from error
        except TimeoutError as error:
            raise unclear(ErrorKind.TIMEOUT, "signer_timeout", "the page is stuck") from error
        except ValueError as error:
            raise unclear(ErrorKind.UPSTREAM_ERROR, "signer_script", f"the page: {error}") from error
        finally:
            self._attempt = None
        reply = self._reply(answer, attempt)
        # After a failure the lane stays as it is until the page is closed: nothing may follow.
        self._relay.release()
        return reply

    async def close(self) -> None:
        """Closes the context with everything in it; never raises."""
        with contextlib.suppress(BrowserError, TimeoutError):
            if self._session and self.alive:
                # First take the document away: as long as we are attached, none of its requests can leave.
                await self._browser.call(cdp.navigate(self._session, "about:blank"), timeout=2)
        with contextlib.suppress(BrowserError, TimeoutError):
            if self._context:
                await self._browser.call(cdp.dispose_context(self._context), timeout=_SOON)
        self._browser.unwatch(self._session)
        await self._relay.close()

    async def _create(self) -> None:
        call, options = self._ask, self._options
        await self._relay.open()
        made = await call(cdp.create_context(self._relay.url))
        self._context = made["browserContextId"]
        jar = rules.cookies(self.cookie, options.page_url, options.cookie_domain)
        try:
            await call(cdp.set_cookies(self._context, jar))
        except CommandRefused as error:
            raise unavailable(f"the browser does not take the session's cookies: {error}") from error
        target = (await call(cdp.create_page(self._context)))["targetId"]
        self._session = (await call(cdp.attach(target)))["sessionId"]
        self._browser.watch(self._session, self._happened)
        for command in cdp.prepare(self._session, rules.patterns(self.path)):
            await call(command)

    async def _load(self) -> None:
        options = self._options
        begun = await self._ask(cdp.navigate(self._session, options.page_url), timeout=options.ready_timeout)
        if begun.get("errorText"):
            raise unavailable(f"the site's page cannot be loaded: {self._in_words(begun['errorText'])}")
        found = await self._ready()
        if found != self._origin:
            raise unavailable(f"the site's page led to {found}")

    def _in_words(self, error: str) -> str:
        if not error.startswith("net::ERR_CERT_"):
            return self._relay.trouble or error
        note = (
            self._browser.note or "its certificate authority must be in the system's store or SSL_CERT_FILE"
        )
        return f"its certificate is not trusted ({error}); {note}"

    async def _ready(self) -> object:
        """The origin of the page that is ready, which may be another one after redirects."""
        while True:
            asking = cdp.evaluate(self._session, _READY)
            try:
                return cdp.value_of(await self._ask(asking, timeout=self._options.ready_timeout))
            except CommandRefused:
                # The document was replaced while we waited: ask the next one.
                continue
            except ValueError as error:
                raise unavailable(f"the page: {error}") from error

    async def _ask(self, command: cdp.Command, *, timeout: float = _SOON) -> dict[str, Any]:
        return await self._browser.call(command, timeout=timeout)

    async def _fetched(self, window: str, request: SignedRequest) -> Mapping[str, Any]:
        limit = self._options.submit_timeout
        asking = cdp.call(
            self._session,
            window,
            _SUBMIT,
            self._origin,
            request.method,
            request.url,
            rules.page_headers(request.headers),
            request.body.decode("utf-8"),
            round(limit * 1000),
        )
        answer = cdp.value_of(await self._ask(asking, timeout=limit + _GRACE))
        if not isinstance(answer, dict):
            raise ValueError("no answer")  # noqa: TRY004 - what the page says is a value
        return answer

    def _reply(self, answer: Mapping[str, Any], attempt: _Attempt) -> bytes:
        if answer.get("unready"):
            raise unavailable("the site's script is no longer in charge of the page")
        if "text" in answer:
            return str(answer["text"]).encode("utf-8", "replace")
        if attempt.unsigned:
            raise unavailable("the site's script did not sign it")
        if attempt.lost:
            raise unavailable("the lease ran out before it could leave")
        if attempt.lane is None:
            raise unavailable(f"the site's script did not send it: {answer.get('error')}")
        if not attempt.lane.carried:
            raise unavailable(f"the site cannot be reached: {self._relay.trouble}")
        if answer.get("timeout"):
            limit = self._options.submit_timeout
            raise unclear(ErrorKind.TIMEOUT, "signer_timeout", f"no answer within {limit:g} s")
        raise unclear(ErrorKind.NETWORK, "signer_fetch_failed", str(answer.get("error")))

    def _happened(self, event: cdp.Event) -> None:
        if event.method == "Fetch.requestPaused":
            self._judge(event)
        elif event.method == "Page.javascriptDialogOpening":
            self._browser.send(cdp.close_dialog(event.session))

    def _judge(self, event: cdp.Event) -> None:
        url, kind = event.params["request"]["url"], event.params["resourceType"]
        go, stop = (make(event.session, event.params["requestId"]) for make in (cdp.let_go, cdp.block))
        if rules.path_of(url) != self.path:
            host = rules.host_of(self._options.page_url)
            allowed = rules.may_load(kind, url, host, self._options.script_hosts)
            self._browser.send(go if allowed else stop)
            return
        attempt = self._leaving(url)
        if attempt is None:
            self._browser.send(stop)
            return
        releasing = asyncio.create_task(self._release(attempt, url, go, stop))
        self._releasing.add(releasing)
        releasing.add_done_callback(self._releasing.discard)

    def _leaving(self, url: str) -> _Attempt | None:
        """The submit under way, if this is its one request, and signed."""
        attempt = self._attempt
        if attempt is None or attempt.seen:
            return None
        if not rules.is_signed(url, self._options.marks):
            attempt.unsigned = True
            return None
        attempt.seen = True
        return attempt

    async def _release(self, attempt: _Attempt, url: str, go: cdp.Command, stop: cdp.Command) -> None:
        """Lets a submit go, over a connection that nothing has used before."""
        lane = await self._relay.reserve(*rules.address_of(url))
        if attempt is not self._attempt:
            self._relay.release()
        elif attempt.still_ours():
            attempt.lane = lane
            self._browser.send(go)
        else:
            attempt.lost = True
            self._browser.send(stop)
