"""Bodies of submits: golden files for each model and feature, and rules that hold for all of them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from golden.check import matches, opened
from hypothesis import given
from hypothesis import strategies as st
from support.wire import NOW_MS, SUBMIT_ID, an_order, counting_ids

from jimeng_gateway.domain.builtin_models import builtin as models
from jimeng_gateway.domain.intake import Wish
from jimeng_gateway.domain.request import Kind
from jimeng_gateway.upstream.wire.payload import generate_body
from jimeng_gateway.upstream.wire.protocol import builtin, overridden

IMAGE_MODELS = [model.name for model in models().of_kind(Kind.IMAGE)]
VIDEO_MODELS = list(models().of_kind(Kind.VIDEO))


def body_of(wish: Wish) -> dict[str, Any]:
    return generate_body(an_order(wish), builtin(), NOW_MS, counting_ids())


def opened_body(wish: Wish) -> Any:
    return opened(body_of(wish))


def core(body: Any) -> Any:
    return body["draft_content"]["component_list"][0]["abilities"]["generate"]["core_param"]


@pytest.mark.parametrize("name", IMAGE_MODELS)
def test_every_image_model(name: str) -> None:
    matches(f"payload/image-{name}", opened_body(Wish("a lighthouse at dusk", model=name, ratio="16:9")))


CASES = {
    "image-4k-wide-negative": Wish(
        "cyberpunk city",
        model="jimeng-4.5",
        ratio="21:9",
        resolution="4k",
        negative_prompt="blurry",
        sample_strength=0.7,
        seed=42,
    ),
    "image-intelligent-ratio": Wish("a cat", model="jimeng-5.0", intelligent_ratio=True),
    "image-multi": Wish(
        "绘本故事，4张，小狐狸的一天", model="jimeng-4.5", n=4, ratio="4:3", multi_image=True
    ),
    "image-any-size": Wish("a cat", model="jimeng-4.0", size="1000x777"),
    "seedance-2.0-fast-text": Wish("a boat leaves", model="seedance-2.0-fast", duration=8, ratio="9:16"),
    "seedance-2.5-1080p": Wish(
        "a boat leaves", model="seedance-2.5", duration=30, resolution="1080p", seed=7
    ),
}


@pytest.mark.parametrize("name", list(CASES))
def test_features(name: str) -> None:
    matches(f"payload/{name}", opened_body(CASES[name]))


@pytest.mark.parametrize(
    ("name", "seconds"),
    [(model.name, seconds) for model in VIDEO_MODELS for seconds in model.durations if seconds in (5, 10)],
)
def test_every_video_model(name: str, seconds: int) -> None:
    wish = Wish("a boat leaves the harbour", model=name, duration=seconds)
    matches(f"payload/video-{name}-{seconds}s", opened_body(wish))


@pytest.mark.parametrize("count", range(1, 9))
def test_the_count_is_asked_for_beside_generate(count: int) -> None:
    body = opened_body(Wish("a cat", model="jimeng-4.5", n=count))
    abilities = body["draft_content"]["component_list"][0]["abilities"]
    assert abilities["gen_option"]["gen_count"] == count
    assert abilities["gen_option"]["generate_all"] is False
    assert "gen_option" not in abilities["generate"]
    assert body["metrics_extra"]["generateCount"] == count
    assert body["metrics_extra"]["sceneOptions"][0]["benefitCount"] == count


def test_nested_documents_are_strings() -> None:
    image = body_of(Wish("a cat"))
    assert isinstance(image["draft_content"], str)
    assert isinstance(json.loads(str(image["metrics_extra"]))["sceneOptions"], str)
    video = body_of(Wish("a cat", kind=Kind.VIDEO))
    part = json.loads(str(video["draft_content"]))["component_list"][0]
    assert part["abilities"]["gen_video"]["video_task_extra"] == video["metrics_extra"]


@pytest.mark.parametrize("name", IMAGE_MODELS)
def test_the_resolution_is_always_said(name: str) -> None:
    for tier in models().find(name).tiers:
        info = core(opened_body(Wish("a cat", model=name, resolution=tier.name)))["large_image_info"]
        assert info["resolution_type"] == tier.name


def test_an_intelligent_ratio_names_no_ratio() -> None:
    params = core(opened_body(Wish("a cat", intelligent_ratio=True)))
    assert "image_ratio" not in params
    assert params["intelligent_ratio"] is True


def test_ratio_codes_are_1_to_8_at_every_resolution() -> None:
    for tier in ("2k", "4k"):
        codes = [
            core(opened_body(Wish("a", model="jimeng-4.5", ratio=ratio, resolution=tier)))["image_ratio"]
            for ratio in ("1:1", "3:4", "16:9", "4:3", "9:16", "2:3", "3:2", "21:9")
        ]
        assert codes == [1, 2, 3, 4, 5, 6, 7, 8]


def test_a_series_has_its_own_scene_and_no_benefit_count() -> None:
    scene = opened_body(Wish("a", model="jimeng-4.5", multi_image=True))["metrics_extra"]["sceneOptions"][0]
    assert scene["scene"] == "ImageMultiGenerate"
    assert "benefitCount" not in scene


@pytest.mark.parametrize(
    ("model", "resolution"),
    [
        ("jimeng-video-3.0", "720p"),
        ("jimeng-video-3.0-fast", "720p"),
        ("jimeng-video-3.0-pro", None),
        ("jimeng-video-3.5-pro", None),
        ("seedance-2.0", "720p"),
    ],
)
def test_which_videos_say_their_resolution(model: str, resolution: str | None) -> None:
    part = opened_body(Wish("a", model=model))["draft_content"]["component_list"][0]
    given_input = part["abilities"]["gen_video"]["text_to_video_params"]["video_gen_inputs"][0]
    assert given_input.get("resolution") == resolution


def test_seedance_2_names_the_omni_mode_and_prepays_seconds() -> None:
    body = opened_body(Wish("a", model="seedance-2.0", duration=7))
    assert body["metrics_extra"]["functionMode"] == "omni_reference"
    assert body["extend"]["m_video_commerce_info"]["amount"] == 7
    ordinary = opened_body(Wish("a", model="jimeng-video-3.0-fast"))
    assert ordinary["metrics_extra"]["functionMode"] == "first_last_frames"
    assert "amount" not in ordinary["extend"]["m_video_commerce_info"]


def test_the_price_follows_the_resolution() -> None:
    for resolution, benefit in (
        ("720p", "basic_video_operation_vgfm_v_three"),
        ("1080p", "basic_video_operation_vgfm_v_three_1080"),
    ):
        body = body_of(Wish("a", model="jimeng-video-3.0-fast", resolution=resolution))
        assert body["extend"]["m_video_commerce_info"]["benefit_type"] == benefit


def test_the_draft_version_is_data() -> None:
    protocol = overridden('[versions]\ndraft_version = "9.9.9"')
    body = opened(generate_body(an_order(Wish("a")), protocol, NOW_MS, counting_ids()))
    assert body["draft_content"]["version"] == "9.9.9"


def is_prompt(text: str) -> bool:
    """Whether intake takes it: there is no reference for a mark to mean."""
    return bool(text.strip()) and not {"\0", "@", "＠"}.intersection(text)


@given(prompt=st.text(min_size=1, max_size=200).filter(is_prompt))
def test_any_prompt_arrives_unchanged(prompt: str) -> None:
    body = body_of(Wish(prompt))
    draft = json.loads(str(body["draft_content"]))
    params = draft["component_list"][0]["abilities"]["generate"]["core_param"]
    assert params["prompt"] == prompt
    assert body["submit_id"] == SUBMIT_ID
    ids = [rest[:36] for rest in str(body["draft_content"]).split('"id":"')[1:]]
    assert len(set(ids)) == len(ids) == 8
