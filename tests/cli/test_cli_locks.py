"""The locked packages are those that pyproject.toml asks for, with hashes and without any machine's index."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def locked(name: str) -> dict[str, str]:
    """Package to version."""
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    return dict(re.findall(r"^([a-z0-9._-]+)==(\S+)", text, re.MULTILINE))


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("runtime", PROJECT["project"]["dependencies"]),
        ("dev", PROJECT["project"]["dependencies"] + PROJECT["dependency-groups"]["dev"]),
        ("dev", PROJECT["build-system"]["requires"]),
        ("build", PROJECT["build-system"]["requires"]),
    ],
)
def test_the_lock_holds_what_is_asked_for(name: str, wanted: list[str]) -> None:
    versions = locked(name)
    for requirement in map(Requirement, wanted):
        assert requirement.specifier.contains(versions[requirement.name]), f"run `make lock`: {requirement}"


def test_one_environment_can_hold_all_locks() -> None:
    everything = locked("dev")
    for name in ("runtime", "build"):
        assert locked(name).items() <= everything.items()


@pytest.mark.parametrize("name", ["runtime", "dev", "build"])
def test_every_package_is_hashed_and_none_names_an_index(name: str) -> None:
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    for block in re.split(r"^(?=[a-z0-9._-]+==)", text, flags=re.MULTILINE)[1:]:
        assert "--hash=sha256:" in block
    assert "://" not in text
    assert "--index" not in text
