"""A PostgreSQL that can be taken away and brought back while gateways are at it.

Made of the parts of support/postgres.py; what it adds is that stopping keeps the files.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from support.postgres import SETTINGS, _binaries, _initialise, _unprivileged
from support.process import until


class Cluster:
    """A server over one directory."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._identity = _unprivileged(folder)
        self._binaries = _binaries(folder, self._identity)
        _initialise(self._binaries, folder, self._identity)
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"postgresql://postgres@/postgres?host={folder}"
        self.socket = folder / ".s.PGSQL.5432"

    def start(self) -> None:
        """Returns when it takes connections."""
        settings = [part for name, value in SETTINGS.items() for part in ("-c", f"{name}={value}")]
        self._process = subprocess.Popen(
            [self._binaries / "postgres", "-D", self._folder / "data", "-k", self._folder, *settings],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self._folder,
            **self._identity,
        )
        until(self._answers, seconds=30, what="PostgreSQL takes connections")

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url, connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def stop(self) -> None:
        """Ends every connection and the server."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(20)
            self._process = None


@contextmanager
def cluster() -> Iterator[Cluster]:
    """A running server; its files go with the block."""
    folder = Path(tempfile.mkdtemp(prefix="jimeng-pg-"))
    try:
        made = Cluster(folder)
        try:
            made.start()
            yield made
        finally:
            made.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
