"""Other names for models: which table comes first, patterns, and what is shown."""

from __future__ import annotations

import pytest

from jimeng_gateway.domain import aliases
from jimeng_gateway.domain.builtin_models import builtin
from jimeng_gateway.domain.request import Kind

CATALOGUE = builtin()
IMAGE, VIDEO = CATALOGUE.default(Kind.IMAGE).name, CATALOGUE.default(Kind.VIDEO).name


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("gpt-image-1", IMAGE),
        ("GPT-Image-2-2026-04-21", IMAGE),
        ("dall-e-3", IMAGE),
        ("sora-2", "seedance-2.0"),
        ("sora-2-2026-01-01", "seedance-2.0"),
        ("doubao-seedance-2-0-260128", "seedance-2.0"),
        ("doubao-seedance-2-0-fast-991231", "seedance-2.0-fast"),
        ("doubao-seedance-1-0-pro-fast-991231", "jimeng-video-3.0-fast"),
        ("doubao-seedance-1-0-pro-991231", "jimeng-video-3.0-pro"),
        ("doubao-seedance-1-0-lite-991231", "jimeng-video-3.0"),
        ("dola-seedream-5-0-pro-260628", "jimeng-5.0-pro"),
        ("jimeng-4.5", "jimeng-4.5"),
        ("Seedream-4.5", "Seedream-4.5"),
        ("no such model", "no such model"),
    ],
)
def test_what_programs_have_built_in(name: str, model: str) -> None:
    assert aliases.resolve(name, CATALOGUE) == model


def test_every_builtin_name_leads_to_a_model() -> None:
    assert aliases.unknown(aliases.builtin(), CATALOGUE) is None


def test_the_key_comes_before_the_operator_before_the_models() -> None:
    key, operator = {"mine": "jimeng-4.0"}, {"mine": "jimeng-3.1", "jimeng-4.5": "jimeng-4.6"}
    assert aliases.resolve("mine", CATALOGUE, key, operator) == "jimeng-4.0"
    assert aliases.resolve("mine", CATALOGUE, {}, operator) == "jimeng-3.1"
    assert aliases.resolve("jimeng-4.5", CATALOGUE, key, operator) == "jimeng-4.6"


def test_the_longest_pattern_counts_and_an_exact_name_before_it() -> None:
    table = {"x*": "jimeng-4.0", "x-fast*": "jimeng-4.1", "x-fast-2": "jimeng-4.5"}
    found = [aliases.resolve(name, CATALOGUE, table) for name in ("x-1", "X-fast-1", "x-fast-2")]
    assert found == ["jimeng-4.0", "jimeng-4.1", "jimeng-4.5"]


def test_a_chain_is_not_followed() -> None:
    assert aliases.resolve("a", CATALOGUE, {"a": "b", "b": "jimeng-4.5"}) == "b"


def test_the_default_of_a_kind() -> None:
    assert aliases.resolve("film", CATALOGUE, {"film": "default-video"}) == VIDEO


def test_the_list_has_names_that_lead_somewhere_and_no_patterns() -> None:
    found = {
        alias.name: alias.model for alias in aliases.listed(CATALOGUE, {"mine": "jimeng-4.0", "old": "x"})
    }
    assert found["mine"] == "jimeng-4.0"
    assert found["sora-2"] == "seedance-2.0"
    assert not {"old", "sora-*"} & found.keys()


def test_the_list_shows_what_a_request_would_get() -> None:
    key = {"SORA-2": "seedance-2.0-fast", "jimeng-4.5": "jimeng-4.6"}
    found = {alias.name: alias.model for alias in aliases.listed(CATALOGUE, key)}
    assert found["SORA-2"] == "seedance-2.0-fast"
    assert "sora-2" not in found
    assert found["jimeng-4.5"] == "jimeng-4.6"
    for name, model in found.items():
        assert CATALOGUE.find(aliases.resolve(name, CATALOGUE, key)).name == model


def test_a_name_that_leads_nowhere_is_told_with_what_there_is() -> None:
    wrong = aliases.unknown({"mine": "nothing"}, CATALOGUE)
    assert wrong is not None
    assert wrong.param == "aliases"
    assert "'mine' leads to 'nothing'" in wrong.message
    assert "jimeng-4.5" in wrong.message
