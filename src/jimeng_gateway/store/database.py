"""The seam between our statements and the two engines.

A transaction is a plain synchronous function over a `Tx`: it can read, decide and write, but it cannot wait
for the world, so no network call ever happens inside one. The same function runs unchanged on both engines;
an engine may run it again after a conflict, so it must have no effect but its statements.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from importlib import resources
from typing import Any, Protocol, TypeVar

from jimeng_gateway.domain.errors import StoreError

T = TypeVar("T")
Row = dict[str, Any]
Value = str | int | float | None


class ConstraintViolated(StoreError):
    """A row that the schema forbids; the caller of the statement knows what it means."""

    retryable = False


class StoreBusy(StoreError):
    """The database could not be reached or was locked for too long; the same write may succeed later."""


class Tx(Protocol):
    """An open transaction."""

    def run(self, name: str, /, **params: Value) -> int:
        """Runs a statement of queries.sql; the number of rows it changed."""
        ...

    def one(self, name: str, /, **params: Value) -> Row | None:
        """The first row of a statement, or None."""
        ...

    def all(self, name: str, /, **params: Value) -> list[Row]:
        """All rows of a statement."""
        ...

    def serialise(self, number: int) -> None:
        """Until the end of this transaction, no other holder of this number runs, on any node."""
        ...

    def notify(self, topic: str) -> None:
        """Tells subscribers on every node, once this transaction is committed."""
        ...


class Database(Protocol):
    """An engine."""

    async def write(self, body: Callable[[Tx], T]) -> T:
        """Runs the body in one transaction and returns when it is durable."""
        ...

    async def read(self, body: Callable[[Tx], T]) -> T:
        """Runs a body that only reads, on one snapshot or better."""
        ...

    def subscribe(self, listener: Callable[[str], None]) -> Callable[[], None]:
        """Calls the listener on the loop with every notified topic; returns the way to stop it.

        A notification is a hint: it may come late, twice or (with PostgreSQL away) not at all.
        """
        ...

    async def close(self) -> None:
        """Waits for running transactions and closes."""
        ...


_NAME = re.compile(r"^-- name: (\w+)\s*$")
_PARAM = re.compile(r"(?<![:\w]):([a-z_]\w*)")
_PG_ONLY = re.compile(r"/\*pg (.*?)\*/")


def load_statements(*, dialect: str) -> dict[str, str]:
    """The statements of queries.sql by name, in the placeholder style of the engine.

    `/*pg …*/` holds what only PostgreSQL needs; for SQLite it is a comment.
    """
    text = resources.files(__package__).joinpath("queries.sql").read_text("utf-8")
    statements: dict[str, list[str]] = {}
    name = ""
    for line in text.splitlines():
        match = _NAME.match(line)
        if match:
            name = match[1]
            if name in statements:
                raise ValueError(f"queries.sql: two statements are named {name}")
            statements[name] = []
        elif name and not line.startswith("--"):
            statements[name].append(line)
    joined = {key: "\n".join(lines).strip().rstrip(";") for key, lines in statements.items()}
    if dialect == "sqlite":
        return joined
    return {key: _PARAM.sub(r"%(\1)s", _PG_ONLY.sub(r"\1", sql)) for key, sql in joined.items()}


#: (version, SQL script), in order.
Migrations = Sequence[tuple[int, str]]


def migrations() -> Migrations:
    """Those of the files under schema/."""
    folder = resources.files(__package__).joinpath("schema")
    files = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".sql"))
    return [(int(name.split("_")[0]), folder.joinpath(name).read_text("utf-8")) for name in files]


def split_script(script: str) -> list[str]:
    """The statements of a script; each ends with a semicolon at the end of a line."""
    bare = "\n".join(line for line in script.splitlines() if not line.lstrip().startswith("--"))
    return [part.strip() for part in re.split(r";\s*$", bare, flags=re.MULTILINE) if part.strip()]


class Listeners:
    """Who wants to hear of committed topics."""

    def __init__(self) -> None:
        self._listeners: dict[int, Callable[[str], None]] = {}
        self._next = 0

    def add(self, listener: Callable[[str], None]) -> Callable[[], None]:
        """Registers a listener; the returned function takes it away again."""
        number, self._next = self._next, self._next + 1
        self._listeners[number] = listener
        return lambda: self._listeners.pop(number, None) and None

    def tell(self, topics: list[str]) -> None:
        """Calls everybody with every topic."""
        for topic in topics:
            for listener in list(self._listeners.values()):
                listener(topic)


#: Numbers for Tx.serialise.
LOCK_MIGRATE = 7_301
LOCK_RESERVE = 7_302
LOCK_UPKEEP = 7_303
