"""The two engines as tests see them: a store made for one test, to be opened once or several times."""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import apsw

from jimeng_gateway.store.database import Migrations, migrations
from jimeng_gateway.store.postgres import PostgresDatabase
from jimeng_gateway.store.sqlite import SqliteDatabase
from support.aio import run
from support.postgres import Server

AnyDatabase: TypeAlias = SqliteDatabase | PostgresDatabase


@dataclass(frozen=True, slots=True)
class Engine:
    """A store of its own for one test; every `database()` is another door to the same one."""

    #: "sqlite" or "postgres".
    name: str
    #: What JIMENG_DATABASE_URL would say.
    url: str
    #: The file; None with PostgreSQL.
    path: Path | None = None
    #: The server and the name of the database in it; None with SQLite.
    server: Server | None = None
    database_name: str = ""

    def database(self, known: Migrations | None = None) -> AnyDatabase:
        """A Database that has not been opened yet; with other migrations than ours, if `known` names them."""
        if self.path is not None:
            return SqliteDatabase(self.path, known)
        return PostgresDatabase(self.url, known)

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Runs one statement on a connection of its own, committed at once: what anybody else would see."""
        if self.server is not None:
            return self.server.command(sql, self.database_name)
        with contextlib.closing(apsw.Connection(str(self.path))) as connection:
            connection.set_busy_timeout(10_000)
            return connection.execute(sql).fetchall()

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[AnyDatabase]:
        """An open Database, closed at the end."""
        db = self.database()
        try:
            await db.open()
            yield db
        finally:
            await db.close()


def sqlite_engine(folder: Path) -> Engine:
    """A store in a file that does not exist yet."""
    path = folder / "gateway.db"
    return Engine("sqlite", f"sqlite:///{path}", path=path)


@contextlib.contextmanager
def postgres_engine(server: Server) -> Iterator[Engine]:
    """A store in a database of its own, empty and without a schema, dropped at the end."""
    name = server.create()
    try:
        yield Engine("postgres", server.url(name), server=server, database_name=name)
    finally:
        server.drop(name)


def migrate(engine: Engine) -> None:
    """Gives a new store its tables."""

    async def main() -> None:
        async with engine.open():
            pass

    run(main())


def tables() -> list[str]:
    """Every table, those that refer to others first."""
    script = "\n".join(text for _, text in migrations())
    return re.findall(r"^CREATE TABLE (\w+)", script, re.MULTILINE)[::-1]


def empty(engine: Engine) -> None:
    """Takes away every row and whoever is still connected: ten times faster than another database."""
    others = "datname = current_database() AND pid <> pg_backend_pid()"
    farewell = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}"
    engine.query(";".join([farewell, *(f"DELETE FROM {table}" for table in tables())]))
