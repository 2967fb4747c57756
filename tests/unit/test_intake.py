"""Wishes: what becomes of them, and how each wrong one is refused by the name of its field."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jimeng_gateway.domain.builtin_models import builtin
from jimeng_gateway.domain.catalogue import Catalogue
from jimeng_gateway.domain.errors import InvalidRequest
from jimeng_gateway.domain.intake import LARGEST_SEED, LONGEST_PROMPT, Wish, plan
from jimeng_gateway.domain.request import GenerationRequest, Kind

MODELS = builtin()


def made(prompt: str = "a cat", **fields: Any) -> GenerationRequest:
    return plan(Wish(prompt, **fields), MODELS)


def test_defaults_of_an_image() -> None:
    assert made() == GenerationRequest(
        kind=Kind.IMAGE,
        model="jimeng-5.0",
        model_key="high_aes_general_v50",
        prompt="a cat",
        ratio="1:1",
        resolution="2k",
        width=2048,
        height=2048,
        ratio_code=1,
        count=1,
    )


def test_defaults_of_a_video() -> None:
    assert made(kind=Kind.VIDEO) == GenerationRequest(
        kind=Kind.VIDEO,
        model="seedance-2.0-fast",
        model_key="dreamina_seedance_40",
        prompt="a cat",
        ratio="16:9",
        resolution="720p",
        width=1280,
        height=720,
        duration_ms=5000,
        benefit_type="dreamina_seedance_20_fast",
        omni=True,
    )


def test_everything_that_an_image_takes() -> None:
    request = made(
        model="SEEDREAM-4.5",
        n="3",
        ratio="9:16",
        resolution="4K",
        negative_prompt="blurry",
        sample_strength="0.7",
        seed="42",
        multi_image=True,
    )
    assert (request.model, request.count, request.width, request.height) == ("jimeng-4.5", 3, 3040, 5404)
    assert (request.resolution, request.ratio_code, request.negative_prompt) == ("4k", 5, "blurry")
    assert (request.sample_strength, request.seed, request.multi_image) == (0.7, 42, True)


@pytest.mark.parametrize("duration", [10, 10.0, "10", "10s", " 10 s ", "10秒", "10 seconds"])
def test_durations_as_callers_write_them(duration: Any) -> None:
    assert made(model="jimeng-video-3.0-fast", duration=duration).duration_ms == 10_000


@pytest.mark.parametrize("empty", [None, "", "  "])
def test_an_empty_text_is_nothing_said(empty: Any) -> None:
    fields = dict.fromkeys(("ratio", "resolution", "size", "negative_prompt", "n", "seed", "duration"), empty)
    assert made(**fields) == made()
    assert made(kind=Kind.VIDEO, **fields) == made(kind=Kind.VIDEO)


@pytest.mark.parametrize(
    ("model", "size", "expected"),
    [
        ("jimeng-4.5", "1024x768", ("4:3", "2k", 2304, 1728)),
        ("jimeng-4.5", "2048×2048", ("1:1", "2k", 2048, 2048)),
        ("jimeng-4.5", "4096*4096", ("1:1", "4k", 4096, 4096)),
        ("jimeng-4.5", "1024X1792", ("9:16", "2k", 1440, 2560)),
        ("jimeng-4.6", "1024x1024", ("1:1", "1k", 1024, 1024)),
        ("jimeng-4.5", "16:9", ("16:9", "2k", 2560, 1440)),
        ("jimeng-4.5", "4K", ("1:1", "4k", 4096, 4096)),
        ("jimeng-4.5", "auto", ("1:1", "2k", 2048, 2048)),
        ("seedance-2.5", "1920x1080", ("16:9", "1080p", 1920, 1080)),
        ("seedance-2.5", "720x1280", ("9:16", "720p", 720, 1280)),
        ("seedance-2.5", "480p", ("16:9", "480p", 854, 480)),
    ],
)
def test_sizes(model: str, size: str, expected: tuple[str, str, int, int]) -> None:
    request = made(model=model, size=size)
    assert (request.ratio, request.resolution, request.width, request.height) == expected


def test_a_pixel_size_stays_in_the_resolution_that_was_asked_for() -> None:
    assert made(model="jimeng-4.5", size="4096x4096", resolution="2k").width == 2048


def test_a_size_may_repeat_what_ratio_and_resolution_say() -> None:
    assert made(size="16:9", ratio="16:9") == made(ratio="16:9")
    assert made(size="2K", resolution="2k") == made(resolution="2k")
    assert made(size="2560x1440", ratio="16:9") == made(ratio="16:9")


def test_an_intelligent_ratio_leaves_the_ratio_open() -> None:
    request = made(model="jimeng-4.0", intelligent_ratio=True)
    assert (request.intelligent_ratio, request.ratio, request.width) == (True, "", 2048)


def test_a_model_that_makes_four_makes_four() -> None:
    assert made(model="mj-v8.2").count == 4
    assert made(model="mj-v8.2", n=4).count == 4


@pytest.mark.parametrize(
    ("fields", "param", "says"),
    [
        ({"model": "nope"}, "model", "unknown model 'nope'; allowed: "),
        (
            {"model": "seedance-2.0", "kind": Kind.IMAGE},
            "model",
            "makes videos; allowed for images: jimeng-5.0-pro",
        ),
        ({"n": 0}, "n", "allowed: 1, 2, 3, 4, 5, 6, 7, 8"),
        ({"n": 9}, "n", "does not make 9"),
        ({"n": 1.5}, "n", "1.5 is not a whole number"),
        ({"n": "many"}, "n", "'many' is not a number"),
        ({"n": True}, "n", "not a number"),
        ({"n": 10**400}, "n", "not a number in range"),
        ({"model": "mj-v8.2", "n": 1}, "n", "allowed: 4"),
        ({"model": "jimeng-3.0", "n": 5}, "n", "allowed: 1, 2, 3, 4"),
        ({"kind": Kind.VIDEO, "n": 2}, "n", "makes one video; allowed: 1"),
        ({"ratio": "5:4"}, "ratio", "does not offer '5:4' at 2k; allowed: 1:1, 3:4, 16:9"),
        ({"resolution": "8k"}, "resolution", "does not offer '8k'; allowed: 2k, 4k"),
        ({"resolution": "1k"}, "resolution", "does not offer '1k'"),
        ({"kind": Kind.VIDEO, "resolution": "1080p"}, "resolution", "allowed: 720p"),
        ({"kind": Kind.VIDEO, "ratio": "3:2"}, "ratio", "does not offer '3:2'"),
        ({"size": "big"}, "size", "is not of the form"),
        ({"size": "0x5"}, "size", "between 1 and"),
        ({"size": "99999x5"}, "size", "between 1 and"),
        ({"size": "5:4"}, "ratio", "does not offer '5:4'"),
        ({"size": "1024x768", "ratio": "16:9"}, "ratio", "contradicts the size"),
        ({"size": "1:1", "ratio": "16:9"}, "ratio", "contradicts the size"),
        ({"size": "4K", "resolution": "2k"}, "resolution", "contradicts the size"),
        ({"size": "1024x768", "resolution": "9k"}, "resolution", "does not offer"),
        ({"duration": 5}, "duration", "makes images"),
        ({"kind": Kind.VIDEO, "duration": 3}, "duration", "does not make 3 s; allowed: 4, 5, 6"),
        ({"kind": Kind.VIDEO, "duration": 5.5}, "duration", "does not make 5.5 s"),
        ({"kind": Kind.VIDEO, "duration": "soon"}, "duration", "'soon' is not a number"),
        ({"kind": Kind.VIDEO, "duration": math.nan}, "duration", "not a number"),
        ({"kind": Kind.VIDEO, "negative_prompt": "x"}, "negative_prompt", "makes videos"),
        ({"kind": Kind.VIDEO, "sample_strength": 0.5}, "sample_strength", "makes videos"),
        ({"kind": Kind.VIDEO, "intelligent_ratio": True}, "intelligent_ratio", "makes videos"),
        ({"kind": Kind.VIDEO, "multi_image": True}, "multi_image", "makes videos"),
        ({"model": "jimeng-3.0", "intelligent_ratio": True}, "intelligent_ratio", "does not choose"),
        ({"intelligent_ratio": True, "ratio": "1:1"}, "intelligent_ratio", "when one is given"),
        ({"intelligent_ratio": True, "size": "64x64"}, "intelligent_ratio", "when one is given"),
        ({"model": "jimeng-3.0", "multi_image": True}, "multi_image", "does not make series"),
        ({"seed": -1}, "seed", "between 0 and 4294967295"),
        ({"seed": 2**32}, "seed", "between 0 and"),
        ({"sample_strength": 1.01}, "sample_strength", "between 0 and 1"),
        ({"sample_strength": math.inf}, "sample_strength", "not a number"),
        ({"prompt": ""}, "prompt", "must not be empty"),
        ({"prompt": " \n"}, "prompt", "must not be empty"),
        ({"prompt": "a\0"}, "prompt", "NUL"),
        ({"prompt": "a\ud800"}, "prompt", "surrogate"),
        ({"prompt": "a" * (LONGEST_PROMPT + 1)}, "prompt", "longer than 16000"),
        ({"negative_prompt": "a\0"}, "negative_prompt", "NUL"),
    ],
)
def test_refusals(fields: dict[str, Any], param: str, says: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        made(**fields)
    assert caught.value.param == param
    assert says in caught.value.message
    assert caught.value.status == 400


def test_a_model_without_negative_prompt_refuses_one() -> None:
    deaf = replace(MODELS.find("jimeng-4.5"), negative_prompt=False)
    with pytest.raises(InvalidRequest, match=r"negative_prompt: jimeng-4\.5 does not take one"):
        plan(Wish("a", model="jimeng-4.5", negative_prompt="b"), Catalogue((deaf,)))


def test_the_limits_themselves_are_allowed() -> None:
    assert made(seed=0).seed == 0
    assert made(seed=LARGEST_SEED).seed == LARGEST_SEED
    assert made(sample_strength=0).sample_strength == 0
    assert len(made("a" * LONGEST_PROMPT).prompt) == LONGEST_PROMPT
    assert made("😀 好").prompt == "😀 好"


@given(
    width=st.integers(1, 16384),
    height=st.integers(1, 16384),
    name=st.sampled_from([m.name for m in MODELS.models]),
)
def test_any_pixel_size_becomes_the_nearest_that_the_model_offers(width: int, height: int, name: str) -> None:
    model = MODELS.find(name)
    request = made(model=name, size=f"{width}x{height}")
    offered = [(tier, size) for tier in model.tiers for size in tier.sizes]
    assert (request.resolution, request.width, request.height) in [
        (t.name, s.width, s.height) for t, s in offered
    ]

    def gap(ratio: str) -> float:
        wide, high = ratio.split(":")
        return abs(width / height - int(wide) / int(high))

    assert gap(request.ratio) == min(gap(size.ratio) for _, size in offered)
    pixels = abs(request.width * request.height - width * height)
    assert all(
        pixels <= abs(s.width * s.height - width * height) for _, s in offered if s.ratio == request.ratio
    )


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)


@given(
    prompt=st.text(max_size=20),
    kind=st.sampled_from([None, Kind.IMAGE, Kind.VIDEO]),
    model=st.sampled_from([None, "", "x", *(m.name for m in MODELS.models)]),
    texts=st.fixed_dictionaries(
        {},
        optional={
            "ratio": st.sampled_from(["1:1", "16:9", "21:9", "x"]),
            "resolution": st.sampled_from(["1k", "2k", "720p", "x"]),
            "size": st.sampled_from(["1x1", "2k", "16:9", "auto", "x"]) | st.text(max_size=8),
            "negative_prompt": st.text(max_size=8),
        },
    ),
    numbers=st.fixed_dictionaries(
        {}, optional=dict.fromkeys(("n", "seed", "duration", "sample_strength"), SCALARS)
    ),
    switches=st.fixed_dictionaries(
        {}, optional=dict.fromkeys(("intelligent_ratio", "multi_image"), st.booleans())
    ),
)
def test_any_wish_is_planned_completely_or_refused_by_name(
    prompt: str, kind: Kind | None, model: str | None, texts: Any, numbers: Any, switches: Any
) -> None:
    wish = Wish(prompt, model=model, kind=kind, **texts, **numbers, **switches)
    try:
        request = plan(wish, MODELS)
    except InvalidRequest as error:
        refused: InvalidRequest | None = error
    else:
        refused = None
    if refused is not None:
        assert refused.param in Wish.__dataclass_fields__
        return
    offered = MODELS.find(request.model)
    assert request.model_key == offered.key
    assert kind in (None, request.kind)
    assert (request.width, request.height) in [(s.width, s.height) for t in offered.tiers for s in t.sizes]
    assert request.resolution in [tier.name for tier in offered.tiers]
    if request.kind is Kind.VIDEO:
        assert request.duration_ms // 1000 in offered.durations
        assert request.benefit_type
