"""openai-python, the current release and the one that litellm pins (openai-media.md 9)."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from harness.programs import Expected, assert_as_expected, run_python
from harness.stage import SESSIONS, credential, stage
from support.process import until

pytestmark = pytest.mark.acceptance

BOTH = pytest.mark.parametrize("environment", ["current", "pinned"])

ONCE = Expected(submits=1, tries=1)
#: Refused for good: asked once, and nothing spent.
REFUSED = Expected(tries=1)
#: Answered 503 twice by what lies between.
THIRD = Expected(submits=1, tries=3)
#: Cut once by what lies between.
SECOND = Expected(submits=1, tries=2)
#: The harness's faults and how often a client tries that repeats by itself.
FAULTS: Mapping[str, Expected] = {
    "refuse": THIRD,
    "refuse-after": THIRD,
    "cut": SECOND,
    "half": SECOND,
    "hangup": SECOND,
    "lost": SECOND,
    "torn": SECOND,
}


def under(name: str, *faults: str) -> dict[str, Expected]:
    """One intent under faults: tried again, and submitted once."""
    return {f"{name}-{fault}": FAULTS[fault] for fault in faults}


IMAGES = {
    "generate-url": ONCE,
    "generate-b64": ONCE,
    "generate-several": ONCE,
    "generate-as-gpt-image": ONCE,
    "generate-extra": ONCE,
    "generate-by-async": ONCE,
    "generate-twice-on-purpose": Expected(submits=2, tries=2),
    "generate-with-idempotency-key": Expected(submits=1, tries=3),
    "generate-has-request-id": ONCE,
    "generate-until-timeout": Expected(submits=1),
    "generate-stream": ONCE,
    "generate-stream-several": ONCE,
    "generate-stream-by-async": ONCE,
    "generate-stream-refused-later": ONCE,
    "edit-stream": ONCE,
    "edit-one-file": ONCE,
    "edit-list": ONCE,
    "edit-bytes": ONCE,
    "edit-with-urls": ONCE,
    "edit-json": ONCE,
    "edit-by-async": ONCE,
    "edit-mask": REFUSED,
    "edit-no-picture": REFUSED,
    "refused-by-moderation": ONCE,
    "refused-later-by-moderation": ONCE,
    "refused-by-the-site": ONCE,
    "wrong-key": REFUSED,
    "unknown-model": REFUSED,
    "no-prompt": REFUSED,
    "too-many": REFUSED,
    "unknown-route": REFUSED,
    **under("generate", *FAULTS),
    **under("edit", *FAULTS),
    **under("stream", "refuse", "refuse-after", "hangup", "lost"),
    **under("async-edit", "refuse-after", "lost"),
    # A stream that has begun is not taken up again by the SDK: the program is told.
    "stream-torn": ONCE,
}
#: A variation has no prompt that could name its step, so these are counted together.
VARIATIONS = {"variation": 1, "variation-refuse-after": 3, "variation-lost": 2}

VIDEOS = {
    "create-and-poll": ONCE,
    "create-as-sora": ONCE,
    "create-with-bytes": ONCE,
    "create-with-file": ONCE,
    "create-with-url-in-json": ONCE,
    "create-with-extra-body": ONCE,
    "create-by-async": ONCE,
    "create-is-strictly-typed": ONCE,
    "create-with-idempotency-key": SECOND,
    "poll-interval-header": ONCE,
    "failed-in-the-end": ONCE,
    "failed-at-once": ONCE,
    "list-pages": Expected(submits=5, tries=5),
    "content": ONCE,
    "content-to-file": ONCE,
    "content-spritesheet": ONCE,
    "content-too-early": ONCE,
    "link-opens": ONCE,
    "delete": ONCE,
    "delete-running": ONCE,
    "remix": Expected(submits=2, tries=2),
    "edit": ONCE,
    "not-offered": Expected(tries=2),
    "retrieve-unknown": Expected(),
    "unknown-model": REFUSED,
    "reference-that-cannot-be-honoured": REFUSED,
    "models": Expected(),
    "models-with-a-slash": Expected(),
    **under("create", *FAULTS),
    **under("create-with-bytes", "refuse-after", "half", "lost"),
    **under("async-create", "refuse-after", "lost"),
    # The video that is remixed, made under the same fault, and its remix.
    "remix-refuse-after": Expected(submits=2, tries=6),
    "remix-lost": Expected(submits=2, tries=4),
}

CHAT = {
    "plain": ONCE,
    "streamed": ONCE,
    "streamed-with-usage": ONCE,
    "streamed-by-async": ONCE,
    "video": ONCE,
    "video-streamed": ONCE,
    "with-pictures": ONCE,
    "refused": ONCE,
    "refused-in-the-stream": ONCE,
    "nothing-said": REFUSED,
    **under("plain", *FAULTS),
    **under("streamed", "refuse", "refuse-after", "hangup", "lost"),
}


@BOTH
def test_pictures(tmp_path: Path, environment: str) -> None:
    with stage(tmp_path) as on:
        said = run_python(on, environment, "openai_images")
        unnamed = {step: Expected(tries=tries) for step, tries in VARIATIONS.items()}
        assert_as_expected(on, said, {**IMAGES, **unnamed}, unnamed=len(VARIATIONS))


@BOTH
def test_videos(tmp_path: Path, environment: str) -> None:
    with stage(tmp_path, JIMENG_MODEL_ALIASES="jimeng/seedance 2.0=seedance-2.0") as on:
        assert_as_expected(on, run_python(on, environment, "openai_videos"), VIDEOS)


@BOTH
def test_chat(tmp_path: Path, environment: str) -> None:
    with stage(tmp_path) as on:
        assert_as_expected(on, run_python(on, environment, "openai_chat"), CHAT)


@BOTH
def test_without_credits_nobody_asks_twice(tmp_path: Path, environment: str) -> None:
    with stage(tmp_path) as on:
        for number in range(SESSIONS):
            on.simulator.account(credential(number), penniless=True)
        said = run_python(on, environment, "openai_penniless")
        assert_as_expected(on, said, dict.fromkeys(("generate", "edit", "chat", "video"), REFUSED))


def test_a_gateway_that_is_killed_and_comes_back(tmp_path: Path) -> None:
    with stage(tmp_path) as on, ThreadPoolExecutor(1) as pool:
        running = pool.submit(run_python, on, "current", "openai_interrupted")
        until(lambda: len(on.simulator.jobs()) == 2, seconds=20, what="the site has both jobs")
        on.gateway.kill()
        on.gateway.start()
        assert_as_expected(on, running.result(), {"waited-for": SECOND, "polled": ONCE})
