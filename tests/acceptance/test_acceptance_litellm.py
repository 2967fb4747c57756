"""litellm and langchain-openai: what they make of the OpenAI door (clients.md 5 and 7)."""

from __future__ import annotations

from pathlib import Path

import pytest
from harness.programs import Expected, assert_as_expected, run_python
from harness.stage import stage

pytestmark = pytest.mark.acceptance

ONCE = Expected(submits=1, tries=1)
SECOND = Expected(submits=1, tries=2)
THIRD = Expected(submits=1, tries=3)

LITELLM = {
    "image-generation": ONCE,
    "image-generation-b64": ONCE,
    "image-generation-by-async": ONCE,
    "image-edit": ONCE,
    "image-edit-list": ONCE,
    "video-generation": ONCE,
    "video-from-bytes": ONCE,
    "video-from-url": ONCE,
    "video-list": ONCE,
    "video-remix": Expected(submits=2, tries=2),
    "video-failed": ONCE,
    "completion": ONCE,
    "completion-streamed": ONCE,
    "refused": ONCE,
    "video-refused": Expected(tries=1),
    "image-generation-refuse": THIRD,
    "image-generation-refuse-after": THIRD,
    "image-generation-cut": SECOND,
    "image-generation-hangup": SECOND,
    "image-generation-lost": SECOND,
    "image-edit-refuse": THIRD,
    "image-edit-refuse-after": THIRD,
    "image-edit-half": SECOND,
    "image-edit-hangup": SECOND,
    "image-edit-lost": SECOND,
    "video-refuse": THIRD,
    "video-refuse-after": THIRD,
    "video-half": SECOND,
    "video-hangup": SECOND,
    "video-lost": SECOND,
}

LANGCHAIN = {
    "invoke": ONCE,
    "ainvoke": ONCE,
    "stream": ONCE,
    "invoke-with-a-picture": ONCE,
    "invoke-refuse": THIRD,
    "invoke-refuse-after": THIRD,
    "invoke-cut": SECOND,
    "invoke-half": SECOND,
    "invoke-hangup": SECOND,
    "invoke-lost": SECOND,
    "stream-refuse": THIRD,
    "stream-lost": SECOND,
}


def test_litellm(tmp_path: Path) -> None:
    with stage(tmp_path) as on:
        said = run_python(on, "pinned", "litellm_media")
        assert_as_expected(on, said, {**LITELLM, "image-variation": Expected(tries=1)}, unnamed=1)


def test_langchain(tmp_path: Path) -> None:
    with stage(tmp_path) as on:
        assert_as_expected(on, run_python(on, "current", "langchain_chat"), LANGCHAIN)
