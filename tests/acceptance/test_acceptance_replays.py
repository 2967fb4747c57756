"""Programs that cannot be installed here, played by what their sources say; see replays/."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from harness.stage import Stage, stage
from replays import comfyui, dify, n8n, new_api, old_gateways, open_webui
from replays.program import REPLAYS, Program, Replay

# One gateway for all of them, in one process: most of their time is waiting for it.
pytestmark = [pytest.mark.acceptance, pytest.mark.e2e, pytest.mark.xdist_group("replays")]

#: Their replays were declared when they were imported.
PROGRAMS = (comfyui, dify, n8n, new_api, old_gateways, open_webui)


@pytest.fixture(scope="module")
def where(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """They are told apart by step."""
    with stage(tmp_path_factory.mktemp("replays")) as made:
        yield made


@pytest.mark.parametrize("played", REPLAYS, ids=lambda played: played.name)
def test_replay(where: Stage, played: Replay) -> None:
    before = where.submits().total()
    played.play(Program(where, played.name, played.user_agent))
    assert where.submits()[played.name] == played.submits
    assert where.submits().total() == before + played.submits
