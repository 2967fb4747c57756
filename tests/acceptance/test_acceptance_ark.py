"""volcenginesdkarkruntime: video tasks and pictures (ark.md)."""

from __future__ import annotations

from pathlib import Path

import pytest
from harness.programs import Expected, assert_as_expected, run_python
from harness.stage import SESSIONS, credential, stage

pytestmark = pytest.mark.acceptance

ONCE = Expected(submits=1, tries=1)
REFUSED = Expected(tries=1)
SECOND = Expected(submits=1, tries=2)
THIRD = Expected(submits=1, tries=3)

TASKS = {
    "create-and-get": ONCE,
    "create-by-async": ONCE,
    "create-with-text-flags": ONCE,
    "create-from-first-frame": ONCE,
    "create-from-first-and-last-frame": ONCE,
    "create-from-references": ONCE,
    "create-from-frames-and-references": REFUSED,
    "create-twice-on-purpose": Expected(submits=3),
    "create-with-idempotency-key": SECOND,
    "failed-in-the-end": ONCE,
    "list": Expected(submits=3, tries=3),
    "delete-ended": ONCE,
    "delete-running": ONCE,
    "get-unknown": Expected(),
    "wrong-key": REFUSED,
    "unknown-model": REFUSED,
    "wrong-duration": REFUSED,
    "unreachable-picture": REFUSED,
    "create-refuse": THIRD,
    "create-cut": SECOND,
    "create-half": SECOND,
    "create-unheard-refuse-after": THIRD,
    "create-unheard-hangup": SECOND,
    "create-unheard-lost": SECOND,
    "create-with-key-refuse-after": THIRD,
    "create-with-key-hangup": SECOND,
    "create-with-key-lost": SECOND,
    "create-without-retries": ONCE,
}

IMAGES = {
    "plain": ONCE,
    "plain-b64": ONCE,
    "pixels": ONCE,
    "from-pictures": ONCE,
    "from-one-picture": ONCE,
    "group": ONCE,
    "streamed": ONCE,
    "streamed-group": ONCE,
    "refused": ONCE,
    "refused-in-the-stream": ONCE,
    "no-prompt-for-a-stream": REFUSED,
    "get-is-not-allowed": Expected(),
    "plain-refuse": THIRD,
    "plain-cut": SECOND,
    "plain-half": SECOND,
    "plain-unheard-refuse-after": THIRD,
    "plain-unheard-hangup": SECOND,
    "plain-unheard-lost": SECOND,
    "plain-with-key-refuse-after": THIRD,
    "plain-with-key-hangup": SECOND,
    "plain-with-key-lost": SECOND,
}


def test_video_tasks(tmp_path: Path) -> None:
    with stage(tmp_path) as on:
        assert_as_expected(on, run_python(on, "current", "ark_tasks"), TASKS)
        deletes = [request.method for request in on.proxy.log("delete-running") if request.method == "DELETE"]
        assert deletes == ["DELETE"]


def test_what_waits_can_be_cancelled(tmp_path: Path) -> None:
    with stage(tmp_path, sessions=0) as on:
        assert_as_expected(on, run_python(on, "current", "ark_queued"), {"delete-queued": REFUSED})


def test_without_credits_it_asks_once(tmp_path: Path) -> None:
    with stage(tmp_path) as on:
        for number in range(SESSIONS):
            on.simulator.account(credential(number), penniless=True)
        said = run_python(on, "current", "ark_penniless")
        assert_as_expected(on, said, dict.fromkeys(("picture", "video"), REFUSED))


def test_pictures(tmp_path: Path) -> None:
    with stage(tmp_path) as on:
        assert_as_expected(on, run_python(on, "current", "ark_images"), IMAGES)
