"""SQLite for one process: a single writer thread with group commit, reads on the loop.

All writes go through one thread that commits everything waiting in one transaction, each body in its own
savepoint; callers hear only after the COMMIT, so `synchronous=FULL` costs one flush for many of them.
A second *process* writing to the same file would starve (dependencies.md 2), so `serve` holds a lock file.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import apsw

from jimeng_gateway.domain.errors import StoreError
from jimeng_gateway.store.database import (
    ConstraintViolated,
    Listeners,
    Migrations,
    Row,
    StoreBusy,
    Tx,
    Value,
    load_statements,
    migrations,
    split_script,
)

T = TypeVar("T")

#: A body and whoever waits for it.
Job = tuple[Callable[[Tx], Any], "asyncio.Future[Any]"]

#: Bodies that share one commit at most.
GROUP = 128
BUSY_TIMEOUT_MS = 10_000
#: Below this, two connections writing at once could corrupt the file (the WAL-reset bug).
OLDEST_SQLITE = (3, 51, 3)


def translate(error: apsw.Error) -> StoreError:
    """Our error for one of apsw's."""
    if isinstance(error, apsw.ConstraintError):
        return ConstraintViolated(f"constraint violated: {error}")
    if isinstance(error, apsw.BusyError | apsw.LockedError):
        return StoreBusy(f"the database is locked by another process: {error}")
    return StoreError(f"SQLite failed: {type(error).__name__}: {error}")


class SqliteTx:
    """A transaction on one connection."""

    def __init__(self, connection: apsw.Connection, statements: dict[str, str]) -> None:
        self._connection = connection
        self._statements = statements
        self.topics: list[str] = []

    def run(self, name: str, /, **params: Value) -> int:
        """See Tx."""
        self._connection.execute(self._statements[name], params).fetchall()
        return self._connection.changes()

    def one(self, name: str, /, **params: Value) -> Row | None:
        """See Tx."""
        rows = self.all(name, **params)
        return rows[0] if rows else None

    def all(self, name: str, /, **params: Value) -> list[Row]:
        """See Tx."""
        cursor = self._connection.execute(self._statements[name], params)
        try:
            names = [column[0] for column in cursor.get_description()]
        except apsw.ExecutionCompleteError:
            return []
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def serialise(self, number: int) -> None:
        """Nothing to do: SQLite has one writer."""

    def notify(self, topic: str) -> None:
        """See Tx."""
        self.topics.append(topic)


def _open(path: str, *, readonly: bool = False) -> apsw.Connection:
    connection = apsw.Connection(path)
    connection.set_busy_timeout(BUSY_TIMEOUT_MS)
    for pragma in ("foreign_keys=ON", "synchronous=FULL", "temp_store=MEMORY"):
        connection.execute(f"PRAGMA {pragma}").fetchall()
    if readonly:
        connection.execute("PRAGMA query_only=ON").fetchall()
    return connection


def _enter_wal(connection: apsw.Connection) -> None:
    # Switching a new file to WAL ignores the busy timeout, so two processes starting at once would fail.
    for attempt in range(100):
        try:
            connection.execute("PRAGMA journal_mode=WAL").fetchall()
        except apsw.BusyError:
            if attempt == 99:
                raise
            threading.Event().wait(0.05)
        else:
            return


def _migrate(connection: apsw.Connection, known: Migrations) -> list[int]:
    connection.execute("BEGIN IMMEDIATE").fetchall()
    try:
        connection.execute(
            "CREATE TABLE IF NOT EXISTS schema_version (version INTEGER PRIMARY KEY)"
        ).fetchall()
        rows = connection.execute("SELECT version FROM schema_version").fetchall()
        done = {cast("int", row[0]) for row in rows}
        unknown = done - {version for version, _ in known}
        if unknown:
            raise StoreError(
                f"the database was made by a newer version (schema {max(unknown)}); upgrade the gateway"
            )
        applied = []
        for version, script in known:
            if version in done:
                continue
            for statement in split_script(script):
                connection.execute(statement).fetchall()
            connection.execute("INSERT INTO schema_version VALUES (?)", (version,)).fetchall()
            applied.append(version)
        connection.execute("COMMIT").fetchall()
    except BaseException:
        connection.execute("ROLLBACK").fetchall()
        raise
    return applied


class SqliteDatabase:
    """The Database over one file."""

    def __init__(self, path: Path, known: Migrations | None = None) -> None:
        self._path = str(path)
        self._known = migrations() if known is None else known
        self._statements = load_statements(dialect="sqlite")
        self._jobs: queue.SimpleQueue[tuple[Callable[[Tx], Any], asyncio.Future[Any]] | None] = (
            queue.SimpleQueue()
        )
        self._listeners = Listeners()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._reader: apsw.Connection | None = None
        self._thread: threading.Thread | None = None
        self.applied: list[int] = []

    async def open(self) -> None:
        """Opens the file, migrates it and starts the writer."""
        if tuple(int(part) for part in apsw.sqlite_lib_version().split(".")) < OLDEST_SQLITE:
            raise StoreError(f"SQLite {apsw.sqlite_lib_version()} is too old; 3.51.3 or newer is needed")
        self._loop = asyncio.get_running_loop()
        try:
            writer = await asyncio.to_thread(self._prepare)
            self._reader = _open(self._path, readonly=True)
        except apsw.Error as error:
            raise translate(error) from error
        self._thread = threading.Thread(target=self._work, args=(writer,), name="sqlite-writer", daemon=True)
        self._thread.start()

    def _prepare(self) -> apsw.Connection:
        connection = _open(self._path)
        _enter_wal(connection)
        self.applied = _migrate(connection, self._known)
        return connection

    async def write(self, body: Callable[[Tx], T]) -> T:
        """See Database. The body runs in the writer thread."""
        if self._thread is None:
            raise StoreError("the database is closed")
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._jobs.put((body, future))
        return await future

    async def read(self, body: Callable[[Tx], T]) -> T:
        """See Database. Runs on the loop: a point read costs some microseconds."""
        if self._reader is None:
            raise StoreError("the database is closed")
        try:
            self._reader.execute("BEGIN").fetchall()
            try:
                return body(SqliteTx(self._reader, self._statements))
            finally:
                self._reader.execute("COMMIT").fetchall()
        except apsw.Error as error:
            raise translate(error) from error

    def subscribe(self, listener: Callable[[str], None]) -> Callable[[], None]:
        """See Database."""
        return self._listeners.add(listener)

    async def close(self) -> None:
        """See Database."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._jobs.put(None)
            await asyncio.to_thread(thread.join)
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _work(self, connection: apsw.Connection) -> None:
        open_for_work = True
        while open_for_work:
            batch = [self._jobs.get()]
            while len(batch) < GROUP:
                try:
                    batch.append(self._jobs.get_nowait())
                except queue.Empty:
                    break
            jobs = [job for job in batch if job is not None]
            open_for_work = len(jobs) == len(batch)
            if jobs:
                self._commit_group(connection, jobs)
        connection.close()

    def _commit_group(self, connection: apsw.Connection, jobs: list[Job]) -> None:
        outcomes: list[tuple[asyncio.Future[Any], Any, BaseException | None]] = []
        topics: list[str] = []
        try:
            connection.execute("BEGIN IMMEDIATE").fetchall()
            for body, future in jobs:
                tx = SqliteTx(connection, self._statements)
                try:
                    with connection:
                        value = body(cast("Tx", tx))
                # A body may raise anything; it belongs to the caller that waits for it.
                except Exception as error:
                    if not connection.in_transaction:
                        raise
                    wrapped = translate(error) if isinstance(error, apsw.Error) else error
                    if wrapped is not error:
                        wrapped.__cause__ = error
                    outcomes.append((future, None, wrapped))
                else:
                    topics += tx.topics
                    outcomes.append((future, value, None))
            connection.execute("COMMIT").fetchall()
        except Exception as error:  # noqa: BLE001 - the whole group failed, so every caller must hear it
            with contextlib.suppress(apsw.Error):
                if connection.in_transaction:
                    connection.execute("ROLLBACK").fetchall()
            reason = translate(error) if isinstance(error, apsw.Error) else error
            outcomes = [(future, None, reason) for _, future in jobs]
            topics = []
        self._deliver(outcomes, topics)

    def _deliver(
        self, outcomes: list[tuple[asyncio.Future[Any], Any, BaseException | None]], topics: list[str]
    ) -> None:
        def tell() -> None:
            for future, value, error in outcomes:
                if future.cancelled():
                    continue
                if error is None:
                    future.set_result(value)
                else:
                    future.set_exception(error)
            self._listeners.tell(topics)

        assert self._loop is not None
        # A closed loop means that nobody waits any more; what was committed stays committed.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(tell)
