"""The client programs of Node.js as they are, in locked versions, against a gateway of its own for each.

What each step may spend is said here and counted at the simulated site; see harness/programs.py.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from harness.given import references
from harness.programs import ROOT, Expected, Said, assert_as_expected, run
from harness.stage import Stage, stage
from support.media import a_png, an_mp3, an_mp4

from jimeng_gateway.simulator.options import SimulatorOptions

pytestmark = [pytest.mark.acceptance, pytest.mark.e2e]

HOME = ROOT / ".acceptance" / "node"
#: The longest that the TypeScript MCP SDK waits for a reply, in seconds (clients.md 9.1).
MCP_PATIENCE = 60

#: Tries of the OpenAI SDK under each fault.
FAULTS = {"refuse": 3, "refuse-after": 3, "half": 2, "hangup": 2, "lost": 2}

OPENAI: Mapping[str, Expected] = {
    "images.url": Expected(1),
    "images.b64": Expected(1),
    "images.gpt_name": Expected(1),
    "images.stream": Expected(1),
    "images.stream_refused": Expected(1, tries=1),
    "images.edit_file": Expected(1),
    "images.edit_list": Expected(1),
    "images.edit_mask": Expected(0, tries=1),
    # It has no prompt by which its submit could be known.
    "images.variation": Expected(0, tries=1),
    "images.refused": Expected(1, tries=1),
    "images.impatient": Expected(1),
    "videos.text": Expected(1),
    "videos.sora_name": Expected(1),
    "videos.file": Expected(1),
    "videos.image_url": Expected(1),
    "videos.failed": Expected(1, tries=1),
    "videos.cancelled": Expected(1),
    "videos.list": Expected(5, tries=5),
    "videos.remix": Expected(2),
    "videos.edit_id": Expected(2),
    "videos.edit_file": Expected(1),
    "videos.not_offered": Expected(0, tries=2),
    "models": Expected(0, tries=0),
    "chat.image": Expected(1),
    "chat.stream": Expected(1),
    "dry_run": Expected(0, tries=1),
    "unauthorized": Expected(0, tries=1),
    **{
        f"{fault}.{what}": Expected(1, tries=tries if what != "with_key" else None)
        for fault, tries in FAULTS.items()
        for what in ("image", "edit", "video", "chat", "with_key")
    },
}

AI_SDK: Mapping[str, Expected] = {
    "bytedance.image": Expected(1),
    "bytedance.image_n": Expected(3, tries=3),
    "bytedance.image_group": Expected(1),
    "bytedance.image_edit": Expected(1),
    "bytedance.image_refused": Expected(1, tries=1),
    "bytedance.video": Expected(1),
    "bytedance.video_first": Expected(1),
    "bytedance.video_first_last": Expected(1),
    "bytedance.video_references": Expected(1),
    "bytedance.video_refused": Expected(1, tries=1),
    "bytedance.video_cancelled": Expected(1, tries=1),
    "bytedance.poll_503": Expected(1, tries=2),
    "bytedance.refuse": Expected(1, tries=3),
    "bytedance.lost": Expected(1, tries=2),
    # Its page says so: nothing tells its second try from a second wish.
    "bytedance.lost_without_key": Expected(1, tries=2),
    "bytedance.lost_image": Expected(1, tries=2),
    "openai.image": Expected(1),
    "openai.image_other_name": Expected(1),
    "openai.edit": Expected(1),
    "openai.chat": Expected(1),
    "compatible.image": Expected(1),
    "compatible.edit": Expected(1),
    "compatible.chat_stream": Expected(1),
}

#: Files that the site is given, in steps that give any.
OPENAI_FILES = {
    "images.edit_file": 1,
    "images.edit_list": 2,
    "videos.file": 1,
    "videos.image_url": 1,
    # The video that is to be made anew.
    "videos.remix": 1,
    "videos.edit_id": 1,
    "videos.edit_file": 1,
    "chat.stream": 1,
    **{f"{fault}.{what}": 1 for fault in FAULTS for what in ("edit", "video")},
}
AI_SDK_FILES = {
    "bytedance.image_edit": 2,
    "bytedance.video_first": 1,
    "bytedance.video_first_last": 2,
    "bytedance.video_references": 4,
    "openai.edit": 2,
    "compatible.edit": 1,
}

MCP: Mapping[str, Expected] = {
    "tools": Expected(0),
    "image": Expected(1),
    "video": Expected(1),
    "repeated": Expected(1),
    "cancelled": Expected(1),
    "refused": Expected(1),
}
MCP_HTTP: Mapping[str, Expected] = {
    **MCP,
    "unauthorized": Expected(0),
    "reference": Expected(1),
    "lost": Expected(1),
    "next": Expected(1),
}


def node(where: Stage, script: str, *arguments: str) -> Said:
    """Runs a script of tests/acceptance/node."""
    program = HOME / "bin" / "node"
    assert (HOME / "state").exists(), "there is no .acceptance/node: `make acceptance-env` makes it"
    # Imports are looked for beside the link, where the packages are, and not where it leads.
    flags = ("--preserve-symlinks", "--preserve-symlinks-main")
    command = [str(program), *flags, str(HOME / "scripts" / f"{script}.mjs"), *arguments]
    server = [sys.executable, "-m", "jimeng_gateway", "mcp"]
    return run(
        where,
        command,
        {
            "MATERIALS": str(_materials(where.folder)),
            "GATEWAY_DIRECT": where.gateway.url,
            "MCP_COMMAND": json.dumps(server),
        },
    )


def _materials(folder: Path) -> Path:
    """What the scripts refer to: pictures, a clip and a tone."""
    made = folder / "materials"
    made.mkdir()
    for name in ("a", "b", "c"):
        (made / f"{name}.png").write_bytes(a_png(640, 480, name.encode()))
    (made / "clip.mp4").write_bytes(an_mp4(duration_ms=4000))
    (made / "tone.mp3").write_bytes(an_mp3(160))
    return made


def _named(prefix: str, expected: Mapping[str, Expected]) -> dict[str, Expected]:
    return {f"{prefix}.{name}": wanted for name, wanted in expected.items()}


def _given(where: Stage, prefix: str) -> dict[str, int]:
    return {
        step.removeprefix(f"{prefix}."): count
        for step, count in references(where).items()
        if count and step.startswith(prefix)
    }


@pytest.mark.long
def test_mcp_waits_for_a_video_that_takes_90_seconds(tmp_path: Path) -> None:
    site = SimulatorOptions(speed=1, video_s=90)
    with stage(tmp_path, site) as where:
        said = node(where, "mcp", "long")
        assert_as_expected(where, said, {"mcp-long.video": Expected(1)})
        went = said.ok["mcp-long.video"]
        assert went["seconds"] > MCP_PATIENCE, went
        assert went["waits"] >= 2, went
        assert went["longest"] < MCP_PATIENCE, went


@pytest.mark.parametrize("package", ["openai", "openai-6"])
def test_openai_node(tmp_path: Path, package: str) -> None:
    with stage(tmp_path) as where:
        assert_as_expected(where, node(where, "openai", package), _named(package, OPENAI), unnamed=1)
        assert _given(where, package) == OPENAI_FILES
        # It gave up, and the picture that it got in the end is the one of its first try.
        assert where.proxy.tries()[f"{package}.images.impatient"] > 1


@pytest.mark.parametrize("major", ["6", "7"])
def test_vercel_ai_sdk(tmp_path: Path, major: str) -> None:
    with stage(tmp_path) as where:
        assert_as_expected(where, node(where, "ai_sdk", major), _named(f"ai{major}", AI_SDK))
        assert _given(where, f"ai{major}") == AI_SDK_FILES


@pytest.mark.parametrize(("way", "expected"), [("http", MCP_HTTP), ("stdio", MCP)])
def test_mcp_typescript_sdk(tmp_path: Path, way: str, expected: Mapping[str, Expected]) -> None:
    with stage(tmp_path) as where:
        assert_as_expected(where, node(where, "mcp", way), _named(f"mcp-{way}", expected))


def test_the_lock_file_names_no_registry() -> None:
    lock = json.loads((ROOT / "tests" / "acceptance" / "node" / "package-lock.json").read_text())
    packages = [found for path, found in lock["packages"].items() if path]
    assert packages
    assert all(found["integrity"].startswith("sha512-") for found in packages)
    assert not [found for found in packages if "resolved" in found]
