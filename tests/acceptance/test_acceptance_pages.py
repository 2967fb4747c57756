"""docs/clients has a page for each program that is tried here, and its index knows every page."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest
from harness.programs import ROOT
from replays.program import REPLAYS
from test_acceptance_replays import PROGRAMS

from jimeng_gateway.settings import SPECS

PAGES = ROOT / "docs" / "clients"
HERE = Path(__file__).parent

#: The page of each script, by the beginning of its name, and of each replayed program.
PAGE_OF: Mapping[str, str] = {
    "node/openai": "openai-node",
    "node/ai_sdk": "vercel-ai-sdk",
    "node/mcp": "mcp",
    "python/openai": "openai-python",
    "python/ark": "ark-sdk",
    "python/litellm": "litellm",
    "python/langchain": "langchain",
    "python/mcp": "mcp",
    "replays/comfyui": "comfyui",
    "replays/dify": "dify",
    "replays/n8n": "n8n",
    "replays/new_api": "new-api",
    "replays/old_gateways": "old-gateways",
    "replays/open_webui": "open-webui",
}
#: What the scripts share, and what is no client of these pages.
NO_CLIENTS = {"node/check", "python/steps", "python/webhooks", "replays/__init__", "replays/program"}


def _pages() -> list[Path]:
    return sorted(path for path in PAGES.glob("*.md") if path.name != "README.md")


def _tried() -> set[str]:
    scripts = [*HERE.glob("node/*.mjs"), *HERE.glob("python/*.py"), *HERE.glob("replays/*.py")]
    return {f"{path.parent.name}/{path.stem}" for path in scripts} - NO_CLIENTS


def test_the_index_knows_every_page() -> None:
    index = (PAGES / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| \[([\w-]+)\]\(([\w-]+\.md)\) \|", index, re.MULTILINE)
    assert sorted(target for _, target in rows) == [path.name for path in _pages()]
    assert all(f"{name}.md" == target for name, target in rows)


def test_every_program_that_is_tried_has_a_page() -> None:
    found = {
        script: [page for start, page in PAGE_OF.items() if script.startswith(start)] for script in _tried()
    }
    assert {script for script, pages in found.items() if len(pages) != 1} == set()
    assert {page for pages in found.values() for page in pages} == set(PAGE_OF.values())
    assert set(PAGE_OF.values()) <= {path.stem for path in _pages()}


@pytest.mark.parametrize("page", _pages(), ids=lambda path: path.stem)
def test_a_page_says_how_to_connect_what_works_and_what_does_not(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert "**Works**" in text
    assert "**Cannot**" in text
    named = set(re.findall(r"JIMENG_[A-Z_]+", text))
    assert named <= {spec.variable for spec in SPECS}
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text):
        assert target.startswith("http") or (PAGES / target).resolve().exists(), target


def test_every_replayed_program_is_played() -> None:
    assert {replay.play.__module__ for replay in REPLAYS} == {program.__name__ for program in PROGRAMS}
