"""A child process with three pipes, as another user where that is wanted, and ended with all that it started.

asyncio's own children would do, but uvloop cannot start one as another user.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TypedDict

from jimeng_gateway.browser.profile import Account

#: Seconds for the kernel to take away what was killed; only a process it cannot wake needs longer.
_KILLED = 5.0


class Process:
    """Made by `start`. Its output must be read, and `end` must be called.

    Whatever it starts has to share its standard error: the end of that is how we know that all are gone.
    Their parent may have died before them, so nobody else could tell us.
    """

    def __init__(self, popen: subprocess.Popen[bytes]) -> None:
        self._popen = popen
        self._input: asyncio.WriteTransport | None = None
        self._outputs: list[asyncio.BaseTransport] = []
        self.stdout = asyncio.StreamReader()
        self.stderr = asyncio.StreamReader()
        self._silent = asyncio.Event()

    @classmethod
    async def start(
        cls,
        command: Sequence[str],
        *,
        env: Mapping[str, str],
        folder: Path,
        keep: tuple[int, ...],
        account: Account | None,
    ) -> Process:
        """Starts it in `folder`, with the descriptors `keep`; OSError or ValueError if that fails."""
        process = cls(
            subprocess.Popen(  # noqa: S603, ASYNC220 - no text from outside; asyncio itself does it so, too
                command,
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=folder,
                env=dict(env),
                pass_fds=keep,
                # A group of its own: ^C at the terminal is not for it, and all of it can be ended at once.
                start_new_session=True,
                **become(account),
            )
        )
        try:
            await process._connect()
        except BaseException:
            await process.end(0)
            raise
        return process

    def write(self, data: bytes) -> None:
        """Sends bytes without waiting; OSError or RuntimeError once it takes none any more."""
        if self._input is None or self._input.is_closing():
            raise BrokenPipeError("its input is closed")
        self._input.write(data)

    async def end(self, timeout: float) -> None:
        """Closes its input and returns when it has ended with everything it started.

        What is left after `timeout` seconds, or when we are cancelled, is killed.
        """
        if self._input is not None:
            self._input.close()
        try:
            await self._ended(timeout)
        finally:
            # Nobody has waited for it yet, so even if it ended long ago its number is still its own.
            if not self._silent.is_set():
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self._popen.pid, signal.SIGKILL)
        await self._ended(_KILLED)
        await asyncio.to_thread(self._popen.wait)
        for output in self._outputs:
            output.close()

    async def _ended(self, timeout: float) -> None:
        """Returns when nobody is left who could speak, or after `timeout` seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._silent.wait()

    async def _connect(self) -> None:
        loop, popen = asyncio.get_running_loop(), self._popen
        self._input, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, popen.stdin)
        for pipe, protocol in (
            (popen.stdout, partial(asyncio.StreamReaderProtocol, self.stdout)),
            (popen.stderr, partial(_Last, self.stderr, self._silent)),
        ):
            output, _ = await loop.connect_read_pipe(protocol, pipe)
            self._outputs.append(output)


class _Last(asyncio.StreamReaderProtocol):
    """Tells when the last one that held the other end of a pipe is gone."""

    def __init__(self, reader: asyncio.StreamReader, gone: asyncio.Event) -> None:
        super().__init__(reader)
        self._gone = gone

    def eof_received(self) -> bool | None:
        """The one word that both loops say: uvloop keeps a pipe open after its end."""
        self._gone.set()
        return super().eof_received()


class Become(TypedDict, total=False):
    """Arguments of subprocess."""

    user: int
    group: int
    extra_groups: tuple[int, ...]


def become(account: Account | None) -> Become:
    """What makes a child another user, for subprocess."""
    if account is None:
        return {}
    return {"user": account.uid, "group": account.gid, "extra_groups": ()}
