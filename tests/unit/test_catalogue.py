"""The table of models, what the live catalogue makes of it, and finding one by name."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest
from golden.check import load

from jimeng_gateway.domain.builtin_models import builtin
from jimeng_gateway.domain.catalogue import (
    RATIO_CODES,
    Catalogue,
    Model,
    ModelStatus,
    Tier,
    merge,
    name_from_title,
    short_side,
    video_size,
    video_tier,
)
from jimeng_gateway.domain.errors import InvalidRequest
from jimeng_gateway.domain.request import Kind
from jimeng_gateway.upstream.wire import live, protocol

IMAGE_KEYS = {
    "jimeng-5.0-pro": "high_aes_general_v50p_large",
    "jimeng-5.0-flash": "high_aes_general_v50_flash",
    "jimeng-5.0": "high_aes_general_v50",
    "jimeng-5.0-lite": "high_aes_general_v50",
    "jimeng-4.7": "high_aes_general_v43",
    "jimeng-4.6": "high_aes_general_v42",
    "jimeng-4.5": "high_aes_general_v40l",
    "jimeng-4.1": "high_aes_general_v41",
    "jimeng-4.0": "high_aes_general_v40",
    "jimeng-3.1": "high_aes_general_v30l_art_fangzhou:general_v3.0_18b",
    "jimeng-3.0": "high_aes_general_v30l:general_v3.0_18b",
    "jimeng-2.1": "high_aes_general_v21_L:general_v2.1_L",
    "jimeng-2.0-pro": "high_aes_general_v20_L:general_v2.0_L",
    "jimeng-2.0": "high_aes_general_v20:general_v2.0",
    "jimeng-1.4": "high_aes_general_v14:general_v1.4",
    "jimeng-xl-pro": "text2img_xl_sft",
    "mj-v8.2": "jm_image_model_yc_mj82",
}
BENEFITS = {
    "jimeng-video-3.0-pro": "basic_video_operation_vgfm_v_three_pro",
    "seedance-1.0-pro": "basic_video_operation_vgfm_v_three_pro",
    "jimeng-video-3.0": "basic_video_operation_vgfm_v_three",
    "seedance-2.0": "dreamina_video_seedance_20_pro",
    "seedance-2.0-fast": "dreamina_seedance_20_fast",
    "seedance-2.0-mini": "seedance_20_mini_720p_output",
    "wan-3.0": "wan_30_1080p_output",
}


def live_images() -> tuple[Model, ...]:
    return live.image_models(load("replies/image-catalogue"), protocol.builtin())


def live_videos() -> tuple[Model, ...]:
    return live.video_models(load("replies/video-catalogue"), protocol.builtin())


@pytest.mark.parametrize(("name", "key"), IMAGE_KEYS.items())
def test_image_models_by_name_and_by_key(name: str, key: str) -> None:
    assert builtin().find(name).key == key
    assert builtin().find(key.upper()).key == key


@pytest.mark.parametrize(("name", "benefit"), BENEFITS.items())
def test_benefits(name: str, benefit: str) -> None:
    model = builtin().find(name)
    assert next(t for t in model.tiers if t.name == model.default_tier).benefit_type == benefit


def test_names_are_unambiguous() -> None:
    names = [n.casefold() for m in builtin().models for n in (m.name, m.key, *m.aliases)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("model", builtin().models, ids=lambda model: model.name)
def test_every_model_offers_its_own_defaults(model: Model) -> None:
    tier = next(t for t in model.tiers if t.name == model.default_tier)
    assert model.default_ratio in {size.ratio for size in tier.sizes}
    assert not model.counts or model.default_count in model.counts
    assert model.kind is Kind.IMAGE or model.default_duration in model.durations
    for size in (size for t in model.tiers for size in t.sizes):
        wide, high = (int(part) for part in size.ratio.split(":"))
        assert abs(size.width / size.height - wide / high) < 0.06
        assert size.ratio_code == (RATIO_CODES[size.ratio] if model.kind is Kind.IMAGE else 0)


def test_sizes_of_2k_and_4k() -> None:
    sizes = {
        (t.name, s.ratio): (s.width, s.height) for t in builtin().find("jimeng-4.5").tiers for s in t.sizes
    }
    assert sizes["2k", "16:9"] == (2560, 1440)
    assert sizes["4k", "3:4"] == (3520, 4693)
    assert sizes["4k", "21:9"] == (6197, 2656)
    assert len(sizes) == 16


def test_one_k_is_not_swapped() -> None:
    (tier,) = builtin().find("jimeng-2.1").tiers
    assert [(s.width, s.height) for s in tier.sizes if s.ratio == "3:4"] == [(768, 1024)]


@pytest.mark.parametrize(
    ("resolution", "ratio", "size"),
    [
        ("480p", "1:1", (480, 480)),
        ("480p", "4:3", (640, 480)),
        ("480p", "16:9", (854, 480)),
        ("480p", "9:16", (480, 854)),
        ("720p", "3:4", (720, 960)),
        ("720p", "16:9", (1280, 720)),
        ("1080p", "4:3", (1440, 1080)),
        ("1080p", "9:16", (1080, 1920)),
        ("4k", "16:9", (3840, 2160)),
    ],
)
def test_video_sizes(resolution: str, ratio: str, size: tuple[int, int]) -> None:
    short = short_side(resolution)
    assert short is not None
    assert video_size(short, ratio) == size


@pytest.mark.parametrize("name", ["", "p", "0p", "hd", "99999p", "720"])
def test_what_is_no_resolution(name: str) -> None:
    assert short_side(name) is None
    assert video_tier(name, ["16:9"], "") is None


def test_an_unknown_model_lists_what_there_is() -> None:
    with pytest.raises(
        InvalidRequest, match=r"unknown model 'dall-e-3'; allowed: jimeng-5.0-pro, "
    ) as caught:
        builtin().find("dall-e-3")
    assert (caught.value.code, caught.value.param, caught.value.status) == ("model_not_found", "model", 400)


def test_before_a_live_catalogue_nothing_is_retired() -> None:
    assert merge(builtin(), None, ()) == builtin()
    assert builtin().find("jimeng-video-3.0").status is ModelStatus.BUILTIN


def test_a_live_catalogue_of_images_leaves_videos_alone() -> None:
    merged = merge(builtin(), live_images())
    assert merged.find("jimeng-video-3.0").status is ModelStatus.BUILTIN
    assert merged.find("jimeng-5.0").status is ModelStatus.AVAILABLE
    assert merged.find("jimeng-4.5").status is ModelStatus.UNLISTED


def test_a_live_entry_replaces_what_it_declares() -> None:
    model = merge(builtin(), live_images()).find("jimeng-5.0")
    assert model.title == "图片5.0 Lite"
    assert [(tier.name, len(tier.sizes), tier.benefit_type) for tier in model.tiers] == [
        ("2k", 2, "image_basic_v5_2k"),
        ("4k", 1, "image_basic_v5_2k"),
    ]
    assert (model.default_tier, model.default_count, model.intelligent_ratio) == ("2k", 1, True)


def test_a_live_entry_keeps_what_it_does_not_declare() -> None:
    bare = Model(name="x", key="high_aes_general_v40l", kind=Kind.IMAGE, title="", default_ratio="")
    model = merge(builtin(), [bare]).find("jimeng-4.5")
    assert replace(model, status=ModelStatus.BUILTIN) == builtin().find("jimeng-4.5")


def test_a_model_learned_live_is_usable_without_a_release() -> None:
    merged = merge(builtin(), live_images(), live_videos())
    image = merged.find("seedream-6.0")
    assert image.key == "high_aes_general_v60"
    assert merged.find("HIGH_aes_general_v60") == image
    assert (image.default_tier, image.default_ratio, image.default_count) == ("3k", "1:1", 2)
    video = merged.find("seedance-3.0")
    assert (video.key, video.durations, video.default_ratio, video.send_resolution) == (
        "dreamina_new_video",
        (5,),
        "16:9",
        True,
    )


def test_a_live_video_sets_lengths_prices_and_defaults() -> None:
    model = merge(builtin(), None, live_videos()).find("seedance-2.0")
    assert (model.durations, model.default_duration, model.default_tier) == ((4, 5, 6), 5, "1080p")
    assert [tier.benefit_type for tier in model.tiers] == [
        "seedance_20_pro_720p",
        "dreamina_video_seedance_20_pro",
    ]
    assert [size.ratio for size in model.tiers[0].sizes] == ["21:9", "16:9", "1:1"]
    assert (model.cancellable, model.fps) == (True, 24)


def test_what_was_switched_off_and_is_not_listed_is_retired() -> None:
    merged = merge(builtin(), None, live_videos())
    with pytest.raises(InvalidRequest, match=r"switched off jimeng-video-3\.0; allowed: ") as caught:
        merged.find("jimeng-video-3.0")
    assert caught.value.code == "model_retired"
    assert "jimeng-video-3.0," not in caught.value.message
    assert "jimeng-video-3.0" not in [m.name for m in merged.of_kind(Kind.VIDEO)]
    assert merged.find("jimeng-video-3.0-pro").status is ModelStatus.UNLISTED


def test_what_was_switched_off_but_is_listed_is_available() -> None:
    withdrawn = builtin().find("jimeng-video-3.0")
    merged = merge(builtin(), None, [replace(withdrawn, status=ModelStatus.AVAILABLE)])
    assert merged.find("jimeng-video-3.0").status is ModelStatus.AVAILABLE


def test_two_new_models_of_one_title_get_two_names() -> None:
    tier = video_tier("720p", [], "b")
    assert tier is not None
    new = [Model(name="twin", key=f"key_{n}", kind=Kind.VIDEO, title="Twin", tiers=(tier,)) for n in (1, 2)]
    merged = merge(builtin(), None, new)
    assert (merged.find("twin").key, merged.find("key_2").name) == ("key_1", "key_2")


def test_a_new_model_without_sizes_cannot_be_offered() -> None:
    merged = merge(builtin(), [Model(name="sizeless", key="k", kind=Kind.IMAGE, title="")])
    with pytest.raises(InvalidRequest):
        merged.find("sizeless")


def test_the_default_model_is_one_that_is_listed() -> None:
    assert builtin().default(Kind.IMAGE).name == "jimeng-5.0"
    assert builtin().default(Kind.VIDEO).name == "seedance-2.0-fast"
    # The live list of the test holds seedance-2.0 but not the fast one.
    assert merge(builtin(), None, live_videos()).default(Kind.VIDEO).name == "seedance-2.0"
    with pytest.raises(InvalidRequest, match="no model for videos"):
        Catalogue(()).default(Kind.VIDEO)


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("Seedream 5.0 Lite", "seedream-5.0-lite"),
        ("即梦 Seedance 2.0", "seedance-2.0"),
        ("图片5.0 Lite", ""),
        ("", ""),
        ("!!", ""),
    ],
)
def test_names_from_titles(title: str, name: str) -> None:
    assert name_from_title(title) == name


def test_models_survive_storage() -> None:
    models = builtin().models
    stored = msgspec.json.encode(models)
    assert msgspec.json.decode(stored, type=tuple[Model, ...]) == models


def test_a_tier_without_benefit_takes_the_known_one() -> None:
    tiers = tuple(Tier(t.name, t.sizes) for t in builtin().find("jimeng-video-3.0-fast").tiers)
    bare = replace(builtin().find("jimeng-video-3.0-fast"), tiers=tiers)
    merged = merge(builtin(), None, [bare]).find("jimeng-video-3.0-fast")
    assert [t.benefit_type for t in merged.tiers] == [
        "basic_video_operation_vgfm_v_three",
        "basic_video_operation_vgfm_v_three_1080",
    ]
