"""Runs coroutines from plain test functions; a test that leaves tasks behind fails."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def run(main: Coroutine[Any, Any, T]) -> T:
    """Runs it to its end on a fresh loop."""
    return asyncio.run(main)
