"""One Chromium process, spoken to over its debugging pipe: started, listened to, and surely gone in the end.

The pipe is private to the two processes, so nobody else can drive the browser, and Chromium leaves when it
closes, so it cannot outlive the gateway. Which pages there are is the business of others.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jimeng_gateway.browser import cdp, profile, trust
from jimeng_gateway.browser.errors import BrowserError, CommandRefused, Lost, PageGone, Unusable
from jimeng_gateway.browser.options import SignerOptions
from jimeng_gateway.browser.process import Process

__all__ = ["INSTALL", "NAMES", "Chromium", "Unusable", "check", "find", "lack"]

#: Also those of scripts/chromium.sh.
NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
_BUNDLES = (
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
)
INSTALL = "install it (Debian, Ubuntu: apt install chromium) or set JIMENG_CHROMIUM to its path"

#: Of the last two, every context would load a copy that nobody sees: half of its memory and of its start.
_USELESS = ("MediaRouter", "OptimizationHints", "Translate", "WebUIOmniboxPopup", "WebUIOmniboxAimPopup")

FLAGS = (
    "--headless=new",
    "--remote-debugging-pipe",
    "--no-startup-window",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-gpu",
    # Containers often have next to none, and pages crash when it is full.
    "--disable-dev-shm-usage",
    # Both doors of the gateway to the site shall speak alike, and proxies carry no UDP.
    "--disable-quic",
    # Nothing goes out but what the site's page asks for.
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-domain-reliability",
    "--disable-extensions",
    "--disable-features=" + ",".join(_USELESS),
    "--disable-sync",
    "--no-pings",
    # A page that nobody looks at works at full speed.
    "--disable-background-timer-throttling",
    "--disable-backgrounding-occluded-windows",
    "--disable-renderer-backgrounding",
    "--mute-audio",
    # No key ring of the desktop: the profile holds nothing worth a password and is thrown away.
    "--password-store=basic",
    "--use-mock-keychain",
)

#: Gives Chromium its two pipes (3 in, 4 out) and, however it ends, removes the profile and the socket that
#: belongs to it: this shell outlives a gateway that was killed. asyncio can hand over descriptors, but not
#: choose their numbers.
_KEEPER = """
profile=$1; shift
cd -- "$profile" || exit 1
exec 3<&0 4>&1 </dev/null >/dev/null
"$@" &
exec 3<&- 4>&-
wait $!
code=$?
socket=$(readlink "$profile/SingletonSocket")
case $socket in */*.Chrom*/SingletonSocket) rm -rf -- "${socket%/*}";; esac
cd / && rm -rf -- "$profile"
exit $code
"""

_READ = 1 << 16


def find(named: str) -> str:
    """The Chromium to start; Unusable if there is none."""
    if named:
        found = shutil.which(named)
        if found is None:
            raise Unusable(
                f"JIMENG_CHROMIUM names {named}, which is not a program here; correct it or unset it"
            )
        return str(Path(found).absolute())
    for name in (*NAMES, *_BUNDLES):
        found = shutil.which(name)
        if found is not None:
            return str(Path(found).absolute())
    raise Unusable(f"no Chromium was found; {INSTALL}")


def check(options: SignerOptions, user: int | None = None) -> str:
    """The Chromium to start, if it can be started by this user; Unusable says why not."""
    found = find(options.chromium)
    profile.account(options, os.geteuid() if user is None else user)
    return found


def lack() -> str:
    """What must be installed for Chromium to trust what this machine trusts; empty if nothing."""
    return trust.lack(os.environ, trust.extras(os.environ, trust.System()))


@dataclass(frozen=True, slots=True)
class _Run:
    """What was started, and where."""

    program: str
    home: profile.Home
    folder: Path


Handler = Callable[[cdp.Event], None]


class Chromium:
    """A running browser. Made by `start`; every call fails with Lost once it is gone."""

    def __init__(self, process: Process, run: _Run, note: str, stop_timeout: float) -> None:
        self._process = process
        self._run = run
        self._stop_timeout = stop_timeout
        self._number = 0
        self._waiting: dict[int, tuple[str, asyncio.Future[dict[str, Any]]]] = {}
        self._handlers: dict[str, Handler] = {}
        self._said: deque[str] = deque(maxlen=20)
        self._lost = ""
        # The loop itself keeps only weak references to tasks.
        self._tasks = (asyncio.create_task(self._read()), asyncio.create_task(self._drain()))
        #: "Chrome/156.0.8078.79"
        self.version = ""
        #: Why TLS may fail, and what to do about it; empty if all is well.
        self.note = note

    @classmethod
    async def start(cls, options: SignerOptions) -> Chromium:
        """Starts it and waits until it answers; Unusable if it does not."""
        program, home = check(options), profile.home(options)
        try:
            folder, lock = await asyncio.to_thread(profile.make, options, home)
        except OSError as error:
            raise Unusable(f"no browser profile can be made in {home.folder}: {error.strerror}") from error
        run = _Run(program, home, folder)
        try:
            browser = await cls._launched(options, run, lock)
        except BaseException:
            await asyncio.to_thread(profile.remove, folder, ours=home.account is None)
            raise
        finally:
            os.close(lock)
        await browser.greet(options.start_timeout)
        return browser

    @classmethod
    async def _launched(cls, options: SignerOptions, run: _Run, lock: int) -> Chromium:
        account = run.home.account
        env = profile.environment(run.folder, os.environ, account)
        flags = FLAGS if options.sandbox else (*FLAGS, "--no-sandbox")
        command = (run.program, f"--user-data-dir={run.folder}", *flags)
        keeper = ("/bin/sh", "-c", _KEEPER, "jimeng-chromium", str(run.folder), *command)
        try:
            authorities = await asyncio.to_thread(trust.extras, os.environ, trust.System())
            note = await asyncio.to_thread(trust.tell, run.folder, env, account, authorities)
            process = await Process.start(keeper, env=env, folder=run.folder, keep=(lock,), account=account)
        except (OSError, ValueError) as error:
            who = f" as the user {account.name}" if account else ""
            reason = f"Chromium cannot be started{who}: {error}"
            raise Unusable(f"{reason}; {profile.UNCONFINED}" if account else reason) from error
        return cls(process, run, note, options.stop_timeout)

    async def greet(self, timeout: float) -> None:
        """Waits until it answers; closes it and raises Unusable if it does not within `timeout` seconds."""
        try:
            self.version = (await self.call(cdp.version(), timeout=timeout))["product"]
        except (BrowserError, TimeoutError) as error:
            await self.close()
            raise Unusable(self._why_not(error)) from error
        except BaseException:
            await self.close()
            raise

    @property
    def alive(self) -> bool:
        """Whether it can be asked."""
        return not self._lost

    def watch(self, session: str, handler: Handler) -> None:
        """Tells `handler` the events of a page, until `unwatch` or the page's end."""
        self._handlers[session] = handler

    def unwatch(self, session: str) -> None:
        """Tells no more."""
        self._handlers.pop(session, None)

    def watched(self, session: str) -> bool:
        """Whether a page that was watched is still there."""
        return session in self._handlers and self.alive

    async def call(self, command: cdp.Command, *, timeout: float) -> dict[str, Any]:
        """Carries a command out. Raises Lost, PageGone, CommandRefused, or TimeoutError after `timeout` s."""
        if command.session and not self.watched(command.session):
            raise PageGone("the page is gone")
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        number = self._write(command)
        self._waiting[number] = (command.session, answer)
        try:
            async with asyncio.timeout(timeout):
                return await answer
        finally:
            self._waiting.pop(number, None)

    def send(self, command: cdp.Command) -> None:
        """Has a command carried out without waiting for its answer; does nothing if the browser is gone."""
        with contextlib.suppress(Lost):
            self._write(command)

    async def close(self) -> None:
        """Ends it and everything it started, and waits until all of it is gone, profile included."""
        await self._process.end(self._stop_timeout)
        self._end("the browser was stopped")
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.to_thread(profile.remove, self._run.folder, ours=self._run.home.account is None)

    def _write(self, command: cdp.Command) -> int:
        if self._lost:
            raise Lost(self._lost)
        self._number += 1
        try:
            self._process.write(cdp.encode(self._number, command))
        except (OSError, RuntimeError) as error:  # RuntimeError: uvloop's word for a closed pipe
            raise Lost("the browser is going away") from error
        return self._number

    async def _read(self) -> None:
        framer = cdp.Framer()
        try:
            while data := await self._process.stdout.read(_READ):
                for text in framer.feed(data):
                    self._take(cdp.decode(text))
        finally:
            self._end("the browser ended unexpectedly")

    def _take(self, message: cdp.Message) -> None:
        if isinstance(message, cdp.Event):
            self._happened(message)
            return
        _, answer = self._waiting.get(message.number, ("", None))
        if answer is None or answer.done():
            return
        if isinstance(message, cdp.Refused):
            answer.set_exception(CommandRefused(message.message))
        else:
            answer.set_result(message.value)

    def _happened(self, event: cdp.Event) -> None:
        if event.method == "Inspector.targetCrashed":
            self._page_gone(event.session, "the page's process crashed")
        elif event.method == "Target.detachedFromTarget":
            self._page_gone(event.params.get("sessionId", ""), "the page was closed")
        elif event.session in self._handlers:
            self._handlers[event.session](event)

    def _page_gone(self, session: str, reason: str) -> None:
        """Calls into a page that is gone would wait for ever."""
        self.unwatch(session)
        for of, answer in self._waiting.values():
            if of == session and not answer.done():
                answer.set_exception(PageGone(reason))

    def _end(self, reason: str) -> None:
        self._lost = self._lost or reason
        self._handlers.clear()
        for _, answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(Lost(self._lost))

    async def _drain(self) -> None:
        """Reads what it says, so that it never waits for us; the end of it explains a failed start."""
        rest = b""
        while data := await self._process.stderr.read(_READ):
            *lines, rest = (rest + data).split(b"\n")
            self._said.extend(line.decode("utf-8", "replace")[:300] for line in lines)
            rest = rest[-1000:]

    def _why_not(self, error: Exception) -> str:
        said, account = " ".join(self._said), self._run.home.account
        if "sandbox" in said:
            return (
                "Chromium cannot set up its sandbox here; allow unprivileged user namespaces, or "
                + profile.UNCONFINED
            )
        if account is not None and ("Permission denied" in said or "can't cd" in said):
            return (
                f"the user {account.name}, as whom Chromium is run for root, may not use {self._run.program}"
                f" or {self._run.home.folder}; let everybody reach them, or {profile.UNCONFINED}"
            )
        if isinstance(error, TimeoutError):
            return "Chromium was started but did not answer in time"
        last = next((line for line in reversed(self._said) if "dbus" not in line and line.strip()), "")
        return f"Chromium ended right after its start{': ' + last if last else ''}"
