"""Runs commands in this process, against a scripted gateway or none at all."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest
from cli.stub import Stub
from typer.testing import CliRunner, Result

from jimeng_gateway.cli.main import app

Invoke = Callable[..., Result]


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of whoever runs the tests has no say."""
    for name in os.environ:
        if name.upper().startswith("JIMENG_") or name in ("LC_ALL", "LC_MESSAGES", "LANG"):
            monkeypatch.delenv(name)


@pytest.fixture
def invoke() -> Invoke:
    """Runs a command; the keyword `stdin` is its input, other keywords are settings."""

    def run(*arguments: str, stdin: str | None = None, **settings: str) -> Result:
        environ = {f"JIMENG_{name.upper()}": value for name, value in settings.items()}
        return CliRunner().invoke(app, list(arguments), input=stdin, env=environ)

    return run


@pytest.fixture
def stub() -> Iterator[Stub]:
    """A scripted gateway."""
    with Stub() as server:
        yield server
