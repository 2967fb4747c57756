"""docs/simulator.md names everything that can be asked of the simulator."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from jimeng_gateway.simulator.admin import AccountChange
from jimeng_gateway.simulator.calls import ENDPOINTS
from jimeng_gateway.simulator.faults import Fault, FaultKind
from jimeng_gateway.simulator.options import SimulatorOptions
from jimeng_gateway.simulator.triggers import WORDS

PAGE = (Path(__file__).parents[2] / "docs" / "simulator.md").read_text()

NAMES = [
    *(f"`{option.name}`" for option in fields(SimulatorOptions)),
    *(f"`{kind}`" for kind in FaultKind),
    *(f'"{limit.name}"' for limit in fields(Fault)),
    *(f"`{name}`" for name, _ in ENDPOINTS.values()),
    *(f"`{flag}`" for flag in AccountChange.__struct_fields__ if flag != "session"),
    *(f"[sim:{word}" for word in WORDS),
]


@pytest.mark.parametrize("name", NAMES)
def test_the_page_names(name: str) -> None:
    assert name in PAGE
