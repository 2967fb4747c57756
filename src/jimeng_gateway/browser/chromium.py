"""One Chromium process, spoken to over its debugging pipe: started, listened to, and surely gone in the end.

The pipe is private to the two processes, so nobody else can drive the browser, and Chromium leaves when it
closes, so it cannot outlive the gateway. Which pages there are is the business of others.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import shutil
import signal
import tempfile
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from jimeng_gateway.browser import cdp
from jimeng_gateway.browser.options import SignerOptions

#: Also those of scripts/chromium.sh.
NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
_BUNDLES = (
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
)
INSTALL = "install it (Debian, Ubuntu: apt install chromium) or set JIMENG_CHROMIUM to its path"
UNCONFINED = "run the gateway as an ordinary user, or set JIMENG_CHROMIUM_SANDBOX=off"

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
    "--disable-features=MediaRouter,OptimizationHints,Translate",
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
exec 3<&0 4>&1 </dev/null >/dev/null
"$@" &
exec 3<&- 4>&-
wait $!
code=$?
socket=$(readlink "$profile/SingletonSocket")
case $socket in */*.Chrom*/SingletonSocket) rm -rf -- "${socket%/*}";; esac
rm -rf -- "$profile"
exit $code
"""

_READ = 1 << 16


class BrowserError(Exception):
    """The browser did not do what it was asked to; the message says why."""


class Unusable(BrowserError):
    """There is no browser that can be started here; says what to do about it."""


class Lost(BrowserError):
    """The browser is gone."""


class PageGone(BrowserError):
    """The page's process crashed, or the page was closed."""


class CommandRefused(BrowserError):
    """The browser understood a command and did not carry it out."""


def find(named: str) -> str:
    """The Chromium to start; Unusable if there is none."""
    if named:
        found = shutil.which(named)
        if found is None:
            raise Unusable(
                f"JIMENG_CHROMIUM names {named}, which is not a program here; correct it or unset it"
            )
        return found
    for name in (*NAMES, *_BUNDLES):
        found = shutil.which(name)
        if found is not None:
            return found
    raise Unusable(f"no Chromium was found; {INSTALL}")


def check(options: SignerOptions, user: int | None = None) -> str:
    """The Chromium to start, if it can be started by this user; Unusable says why not."""
    found = find(options.chromium)
    if options.sandbox and (os.geteuid() if user is None else user) == 0:
        raise Unusable(f"Chromium does not run as root with its sandbox; {UNCONFINED}")
    return found


def environment(profile: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """What Chromium gets to see: none of our secrets, and no place to leave anything but its profile."""
    kept = {name: value for name, value in environ.items() if not name.startswith("JIMENG_")}
    return kept | {"XDG_CONFIG_HOME": str(profile), "XDG_CACHE_HOME": str(profile)}


Handler = Callable[[cdp.Event], None]


class Chromium:
    """A running browser. Made by `start`; every call fails with Lost once it is gone."""

    def __init__(self, process: asyncio.subprocess.Process, profile: Path, stop_timeout: float) -> None:
        self._process = process
        self._stop_timeout = stop_timeout
        self._profile = profile
        self._number = 0
        self._waiting: dict[int, tuple[str, asyncio.Future[dict[str, Any]]]] = {}
        self._handlers: dict[str, Handler] = {}
        self._said: deque[str] = deque(maxlen=20)
        self._lost = ""
        # The loop itself keeps only weak references to tasks.
        self._tasks = (asyncio.create_task(self._read()), asyncio.create_task(self._drain()))
        #: "Chrome/156.0.8078.79"
        self.version = ""

    @classmethod
    async def start(cls, options: SignerOptions) -> Chromium:
        """Starts it and waits until it answers; Unusable if it does not."""
        program = check(options)
        try:
            profile, lock = await asyncio.to_thread(make_profile, options.folder)
        except OSError as error:
            raise Unusable(f"no browser profile can be made in {options.folder}: {error.strerror}") from error
        flags = FLAGS if options.sandbox else (*FLAGS, "--no-sandbox")
        command = (program, f"--user-data-dir={profile}", *flags)
        try:
            process = await asyncio.create_subprocess_exec(
                "/bin/sh",
                *("-c", _KEEPER, "jimeng-chromium", str(profile), *command),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=environment(profile, os.environ),
                pass_fds=(lock,),
                # A group of its own: ^C at the terminal is not for it, and all of it can be ended at once.
                start_new_session=True,
            )
        finally:
            os.close(lock)
        browser = cls(process, profile, options.stop_timeout)
        try:
            answer = await browser.call(cdp.version(), timeout=options.start_timeout)
        except (BrowserError, TimeoutError) as error:
            await browser.close()
            raise Unusable(browser._why_not(error)) from error
        except BaseException:
            await browser.close()
            raise
        browser.version = answer["product"]
        return browser

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
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            async with asyncio.timeout(self._stop_timeout):
                await self._process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            await self._process.wait()
        self._end("the browser was stopped")
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.to_thread(_remove, self._profile)

    def _write(self, command: cdp.Command) -> int:
        if self._lost:
            raise Lost(self._lost)
        assert self._process.stdin is not None
        self._number += 1
        try:
            self._process.stdin.write(cdp.encode(self._number, command))
        except (OSError, RuntimeError) as error:  # RuntimeError: uvloop's word for a closed pipe
            raise Lost("the browser is going away") from error
        return self._number

    async def _read(self) -> None:
        assert self._process.stdout is not None
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
        assert self._process.stderr is not None
        rest = b""
        while data := await self._process.stderr.read(_READ):
            *lines, rest = (rest + data).split(b"\n")
            self._said.extend(line.decode("utf-8", "replace")[:300] for line in lines)
            rest = rest[-1000:]

    def _why_not(self, error: Exception) -> str:
        said = " ".join(self._said)
        if "sandbox" in said:
            return (
                f"Chromium cannot set up its sandbox here; allow unprivileged user namespaces, {UNCONFINED}"
            )
        if isinstance(error, TimeoutError):
            return "Chromium was started but did not answer in time"
        last = next((line for line in reversed(self._said) if "dbus" not in line and line.strip()), "")
        return f"Chromium ended right after its start{': ' + last if last else ''}"


def make_profile(folder: Path) -> tuple[Path, int]:
    """A new profile directory and the open descriptor that marks it as used; clears away what was left.

    The mark is a lock that every process inherits that is given the descriptor, so it ends with the last.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _locked(folder):
        _sweep(folder)
        profile = Path(tempfile.mkdtemp(prefix="profile-", dir=folder)).resolve()
        lock = os.open(profile, os.O_RDONLY)
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    return profile, lock


def sweep(folder: Path) -> int:
    """Removes the profiles that no process uses any more; how many there were."""
    if not folder.is_dir():
        return 0
    with _locked(folder):
        return _sweep(folder)


@contextlib.contextmanager
def _locked(folder: Path) -> Any:
    """Two gateways may share a folder: neither may sweep while the other makes a profile."""
    held = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
    finally:
        os.close(held)


def _remove(profile: Path) -> None:
    """A profile, and the socket for which Chromium makes a directory of its own among the temporary files."""
    with contextlib.suppress(OSError):
        beside = (profile / "SingletonSocket").readlink()
        if beside.name == "SingletonSocket" and ".Chrom" in beside.parent.name:
            shutil.rmtree(beside.parent, ignore_errors=True)
    shutil.rmtree(profile, ignore_errors=True)


def _sweep(folder: Path) -> int:
    removed = 0
    for profile in folder.glob("profile-*"):
        try:
            lock = os.open(profile, os.O_RDONLY)
        except OSError:
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _remove(profile)
            removed += 1
        except BlockingIOError:
            continue
        finally:
            os.close(lock)
    return removed
