"""What holds for all tests: the two engines, a PostgreSQL server per process that runs tests, and the order.

`make test` runs them in several processes at once. Each takes the next test, or the next group of tests that
share something costly (`xdist_group`), as soon as it is free; so what takes longest has to begin first.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Helpers that assert are rewritten like tests, so that a failure says what it saw; before they are imported.
pytest.register_assert_rewrite("support", "ledger")

from support import postgres  # noqa: E402
from support.database import Engine, empty, migrate, postgres_engine, sqlite_engine  # noqa: E402

# How long an example takes depends on who else is working here, and says nothing about the code.
settings.register_profile("shared", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long ones first, then everything that starts real processes; otherwise as they stand."""
    for item in items:
        if item.get_closest_marker("long"):
            item.add_marker(pytest.mark.timeout(400))
    items.sort(key=lambda item: (not item.get_closest_marker("long"), not item.get_closest_marker("e2e")))


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[postgres.Server]:
    """Started by the first test that needs it, stopped after the last."""
    with postgres.server() as server:
        yield server


@pytest.fixture(scope="session")
def postgres_store(postgres_server: postgres.Server) -> Iterator[Engine]:
    """A migrated database that tests use one after the other."""
    with postgres_engine(postgres_server) as engine:
        migrate(engine)
        yield engine


@pytest.fixture
def sqlite(tmp_path: Path) -> Engine:
    """A store in a new SQLite file."""
    return sqlite_engine(tmp_path)


@pytest.fixture
def postgresql(postgres_store: Engine) -> Iterator[Engine]:
    """An empty store in a PostgreSQL database."""
    yield postgres_store
    empty(postgres_store)


@pytest.fixture(params=["sqlite", "postgres"])
def engine(request: pytest.FixtureRequest) -> Engine:
    """A store of its own for this test, on each engine in turn; open it with `engine.open()`."""
    name = "sqlite" if request.param == "sqlite" else "postgresql"
    engine: Engine = request.getfixturevalue(name)
    return engine


@pytest.fixture(params=["sqlite", "postgres"])
def empty_engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """As `engine`, before any migration has run."""
    if request.param == "sqlite":
        yield sqlite_engine(tmp_path)
        return
    with postgres_engine(request.getfixturevalue("postgres_server")) as engine:
        yield engine
