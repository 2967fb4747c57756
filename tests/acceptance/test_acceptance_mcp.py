"""MCP clients of the new protocol and of the one with a handshake, at one address (clients.md 9.4)."""

from __future__ import annotations

from pathlib import Path

import pytest
from harness.programs import Expected, assert_as_expected, run_python
from harness.stage import stage

pytestmark = pytest.mark.acceptance

# Every message of this protocol is a POST, so tries tell nothing here.
ONCE = Expected(submits=1)
NOTHING = Expected()

STEPS = {
    "list-tools": NOTHING,
    "image": ONCE,
    "video-with-progress": ONCE,
    "wait-runs-out": ONCE,
    "image-from-a-picture": ONCE,
    "said-twice": ONCE,
    "failed": ONCE,
    "cancel": ONCE,
    "look-around": NOTHING,
    "unknown-job": NOTHING,
    "unknown-model": NOTHING,
    "wrong-key": NOTHING,
    "no-key": NOTHING,
}


@pytest.mark.parametrize(("script", "environment"), [("mcp_new", "current"), ("mcp_old", "pinned")])
def test_mcp(tmp_path: Path, script: str, environment: str) -> None:
    with stage(tmp_path) as on:
        assert_as_expected(on, run_python(on, environment, script), STEPS)
