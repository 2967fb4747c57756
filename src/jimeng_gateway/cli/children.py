"""Child processes that never outlive the command that started them.

They get a process group of their own, so that Ctrl-C reaches only us and we end them in the right order.
Should we be killed, the kernel asks them to end, where util-linux is there to arrange for it.
"""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from jimeng_gateway.cli.failures import CommandError
from jimeng_gateway.cli.language import named
from jimeng_gateway.clock import SystemClock

_STEP_S = 0.05
_LAST_LINES = 15


class ChildError(CommandError):
    """A child process ended or did not come up; the message holds the end of its log."""


class Child:
    """One of our own commands, running with its output in a log file."""

    def __init__(self, name: str, arguments: Sequence[str], environ: Mapping[str, str], log: Path) -> None:
        self.name = name
        self.log = log
        with log.open("wb") as output:
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                [*_until_we_die(), sys.executable, "-m", "jimeng_gateway", *arguments],
                env=dict(environ),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                process_group=0,
            )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def check(self) -> None:
        """ChildError if it has ended."""
        code = self._process.poll()
        if code is not None:
            raise ChildError(
                f"the {self.name} ended with code {code}:\n{self.last_lines()}",
                f"{named(self.name)}已退出，退出码 {code}：\n{self.last_lines()}",
            )

    def wait_until(self, ready: Callable[[], bool], *, seconds: float) -> None:
        """Returns when `ready` says so; ChildError when it ends before or takes longer."""
        clock = SystemClock()
        until = clock.monotonic() + seconds
        while not ready():
            self.check()
            if clock.monotonic() > until:
                raise ChildError(
                    f"the {self.name} did not come up within {seconds:g} s:\n{self.last_lines()}",
                    f"{named(self.name)}未能在 {seconds:g} 秒内启动：\n{self.last_lines()}",
                )
            self.pause(_STEP_S)

    def pause(self, seconds: float) -> None:
        """Returns after so many seconds, or as soon as it ends."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return

    def stop(self, *, seconds: float) -> None:
        """Asks it to end, and ends it if it does not within so many seconds."""
        self._process.terminate()
        try:
            self.pause(seconds)
        finally:
            # Also when a second Ctrl-C cuts the waiting short.
            if self._process.poll() is None:
                self._process.kill()
                self._process.wait()

    def last_lines(self) -> str:
        """The end of its log."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(f"    {line}" for line in lines[-_LAST_LINES:])


def _until_we_die() -> list[str]:
    """What goes before a command so that it gets SIGTERM when this thread ends, however that happens."""
    program = shutil.which("setpriv") if sys.platform == "linux" else None
    return [program, "--pdeathsig", "TERM"] if program else []


@contextmanager
def running(
    name: str, arguments: Sequence[str], environ: Mapping[str, str], log: Path, *, grace: float
) -> Iterator[Child]:
    """A child for the time of the block."""
    child = Child(name, arguments, environ, log)
    try:
        yield child
    finally:
        child.stop(seconds=grace)


@contextmanager
def signals_end_us() -> Iterator[None]:
    """Within the block, SIGTERM and a closed terminal unwind the stack as Ctrl-C does: children are ended."""

    def leave(number: int, _: FrameType | None) -> None:
        raise SystemExit(128 + number)

    wanted = [signal.SIGTERM, *([signal.SIGHUP] if sys.platform != "win32" else [])]
    before = {number: signal.signal(number, leave) for number in wanted}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def free_port() -> int:
    """A port of the loopback interface that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
