"""PostgreSQL for several nodes: a few threads with a connection each, LISTEN/NOTIFY as a hint.

Bodies are synchronous, so they run in threads, whose number bounds the connections. A pool would back off
exponentially while the server is away and let the lease run out after it is back; a thread that finds its
connection broken just opens the next one. Serialisation failures,
deadlocks and lost connections run the body again by one named policy; bodies have no effect but statements,
and every write is guarded, so a second run after a lost COMMIT changes nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, LiteralString, TypeVar, cast

import psycopg
from psycopg.rows import dict_row

from jimeng_gateway.domain.errors import StoreError
from jimeng_gateway.store.database import (
    LOCK_MIGRATE,
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

#: Threads, and so connections besides the ear.
THREADS = 10
CHANNEL = "jimeng_gateway"
#: Runs of one body before a conflict or a lost connection is given up, and the pause between them.
TRIES = 5
PAUSE_S = 0.2
#: All tries together stay below the usual lease even if connecting hangs.
CONNECT_TIMEOUT_S = 5
#: How long the ear listens before it looks whether it should close; psycopg itself wakes as often.
LISTEN_S = 0.1

_SNAPSHOT = psycopg.IsolationLevel.REPEATABLE_READ
_AGAIN = (
    psycopg.errors.SerializationFailure,
    psycopg.errors.DeadlockDetected,
    psycopg.OperationalError,
    psycopg.InterfaceError,
)


def _trusted(sql: str) -> LiteralString:
    # Statements come from queries.sql and schema/, never from a caller; values travel as parameters.
    return cast("LiteralString", sql)  # type: ignore[redundant-cast]


def _storable(value: Value) -> Value:
    # PostgreSQL text holds no NUL; an odd message of the site must not cost the fact that came with it.
    return value.replace("\x00", "\ufffd") if isinstance(value, str) and "\x00" in value else value


def translate(error: Exception) -> StoreError:
    """Our error for one of psycopg's."""
    if isinstance(error, psycopg.IntegrityError):
        return ConstraintViolated(f"constraint violated: {error}")
    if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        return StoreBusy(f"PostgreSQL could not be reached or was busy: {error}")
    return StoreError(f"PostgreSQL failed: {type(error).__name__}: {error}")


class PostgresTx:
    """A transaction on one connection."""

    def __init__(self, cursor: psycopg.Cursor[Row], statements: dict[str, str]) -> None:
        self._cursor = cursor
        self._statements = statements

    def run(self, name: str, /, **params: Value) -> int:
        """See Tx."""
        return self._execute(name, params).rowcount

    def one(self, name: str, /, **params: Value) -> Row | None:
        """See Tx."""
        return self._execute(name, params).fetchone()

    def all(self, name: str, /, **params: Value) -> list[Row]:
        """See Tx."""
        return self._execute(name, params).fetchall()

    def _execute(self, name: str, params: dict[str, Value]) -> psycopg.Cursor[Row]:
        storable = {key: _storable(value) for key, value in params.items()}
        return self._cursor.execute(_trusted(self._statements[name]), storable)

    def serialise(self, number: int) -> None:
        """See Tx."""
        self._cursor.execute("SELECT pg_advisory_xact_lock(%s)", (number,))

    def notify(self, topic: str) -> None:
        """See Tx."""
        self._cursor.execute("SELECT pg_notify(%s, %s)", (CHANNEL, topic))


class PostgresDatabase:
    """The Database over a server."""

    def __init__(self, url: str, known: Migrations | None = None) -> None:
        self._url = url
        self._known = migrations() if known is None else known
        self._statements = load_statements(dialect="postgres")
        self._listeners = Listeners()
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="postgres")
        #: By thread.
        self._connections: dict[int, psycopg.Connection[Row]] = {}
        self._closing = threading.Event()
        self._ear: threading.Thread | None = None
        self._ear_ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self.applied: list[int] = []

    async def open(self) -> None:
        """Connects, migrates and starts to listen."""
        self._loop = asyncio.get_running_loop()
        await self._in_thread(self._prepare)
        self._ear = threading.Thread(target=self._listen, name="postgres-listen", daemon=True)
        self._ear.start()
        await self._in_thread(lambda: self._ear_ready.wait(5))

    def _prepare(self) -> None:
        try:
            with psycopg.connect(self._url, connect_timeout=CONNECT_TIMEOUT_S) as connection:
                self.applied = _migrate(connection, self._known)
        except psycopg.Error as error:
            raise translate(error) from error

    async def write(self, body: Callable[[Tx], T]) -> T:
        """See Database."""
        return await self._in_thread(lambda: self._transact(body, read_only=False))

    async def read(self, body: Callable[[Tx], T]) -> T:
        """See Database."""
        return await self._in_thread(lambda: self._transact(body, read_only=True))

    def subscribe(self, listener: Callable[[str], None]) -> Callable[[], None]:
        """See Database."""
        return self._listeners.add(listener)

    async def close(self) -> None:
        """See Database."""
        self._closing.set()
        if self._ear is not None:
            await asyncio.to_thread(self._ear.join)
        await asyncio.to_thread(self._threads.shutdown)
        for connection in self._connections.values():
            connection.close()
        self._connections.clear()

    async def _in_thread(self, call: Callable[[], T]) -> T:
        if self._loop is None or self._closing.is_set():
            raise StoreError("the database is closed")
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)

    def _transact(self, body: Callable[[Tx], T], *, read_only: bool) -> T:
        for attempt in range(1, TRIES + 1):
            try:
                connection = self._connection()
                # Both travel with the BEGIN. A read sees one snapshot; a write, what is committed by now.
                connection.isolation_level = _SNAPSHOT if read_only else None
                connection.read_only = read_only
                with connection.transaction(), connection.cursor() as cursor:
                    return body(PostgresTx(cursor, self._statements))
            except _AGAIN as error:
                if attempt == TRIES:
                    raise translate(error) from error
                self._closing.wait(PAUSE_S * attempt)
            except psycopg.Error as error:
                raise translate(error) from error
        raise AssertionError("unreachable")

    def _connection(self) -> psycopg.Connection[Row]:
        """This thread's own, opened when it is first needed and whenever it has broken."""
        found = self._connections.get(threading.get_ident())
        if found is None or found.closed:
            found = psycopg.connect(self._url, row_factory=dict_row, connect_timeout=CONNECT_TIMEOUT_S)
            self._connections[threading.get_ident()] = found
        return found

    def _listen(self) -> None:
        while not self._closing.is_set():
            try:
                with psycopg.connect(
                    self._url, autocommit=True, connect_timeout=CONNECT_TIMEOUT_S
                ) as connection:
                    connection.execute(_trusted(f"LISTEN {CHANNEL}"))
                    self._ear_ready.set()
                    while not self._closing.is_set():
                        for notice in connection.notifies(timeout=LISTEN_S):
                            self._tell(notice.payload)
            # A hint that is lost costs a second: the sweeps behind it find the work.
            except psycopg.Error:
                self._closing.wait(1.0)

    def _tell(self, topic: str) -> None:
        assert self._loop is not None
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._listeners.tell, [topic])


def _migrate(connection: psycopg.Connection[Any], known: Migrations) -> list[int]:
    """Applies what is missing, in one transaction, one node at a time."""
    applied = []
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK_MIGRATE,))
        connection.execute("CREATE TABLE IF NOT EXISTS schema_version (version INTEGER PRIMARY KEY)")
        done: set[int] = {
            row[0] for row in connection.execute("SELECT version FROM schema_version").fetchall()
        }
        unknown = done - {version for version, _ in known}
        if unknown:
            raise StoreError(
                f"the database was made by a newer version (schema {max(unknown)}); upgrade the gateway"
            )
        for version, script in known:
            if version in done:
                continue
            for statement in split_script(script):
                connection.execute(_trusted(statement))
            connection.execute("INSERT INTO schema_version VALUES (%s)", (version,))
            applied.append(version)
    return applied
