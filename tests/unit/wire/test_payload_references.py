"""Submits with references: golden files, differences from an existing client's, and rules for all of them."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from golden.check import load, matches, opened
from golden.compare import NOTHING, differences
from hypothesis import given
from hypothesis import strategies as st
from support.materials import AUDIO, IMAGE, VIDEO, a_reference, frames, with_references
from support.wire import NOW_MS, counting_ids

from jimeng_gateway.domain.errors import InvalidRequest
from jimeng_gateway.domain.intake import Wish
from jimeng_gateway.domain.ports import Order
from jimeng_gateway.domain.reference import Media, Role
from jimeng_gateway.upstream.wire.payload import generate_body
from jimeng_gateway.upstream.wire.protocol import builtin, overridden

FIRST, LAST = Role.FIRST_FRAME, Role.LAST_FRAME
SEEDANCE = Wish("@1 walks through @视频1 and speaks like @音频1", model="seedance-2.0-fast", duration=5)
THREE = (
    a_reference(IMAGE, 1),
    a_reference(VIDEO, 2, name="street.mp4"),
    a_reference(AUDIO, 3, name="voice.mp3"),
)


def body_of(order: Order) -> Any:
    return opened(generate_body(order, builtin(), NOW_MS, counting_ids()))


def with_draft(order: Order) -> Any:
    """The body with its draft opened, but not what looks like JSON in the prompt."""
    body = generate_body(order, builtin(), NOW_MS, counting_ids())
    return {**body, "draft_content": json.loads(str(body["draft_content"]))}


def part_of(body: Any) -> Any:
    return body["draft_content"]["component_list"][0]["abilities"]


def input_of(body: Any) -> Any:
    return part_of(body)["gen_video"]["text_to_video_params"]["video_gen_inputs"][0]


CASES: dict[str, Order] = {
    "omni-three-kinds": with_references(SEEDANCE, *THREE),
    "omni-unmentioned": with_references(
        Wish("海边日落", model="seedance-2.0", duration=4), a_reference(IMAGE, 1), a_reference(IMAGE, 2)
    ),
    "omni-twice": with_references(
        Wish("@图片1 meets @图片2, then @图片1 again", model="seedance-2.5", duration=10, resolution="1080p"),
        a_reference(IMAGE, 1),
        a_reference(IMAGE, 2),
    ),
    "omni-odd-length": with_references(
        Wish("like @1", model="seedance-2.0", duration=5),
        a_reference(VIDEO, 1, duration_ms=10_350, fps=29.97),
    ),
    "omni-first-frame": with_references(Wish("a boat", model="seedance-2.0", duration=5), *frames(FIRST)),
    "omni-both-frames": with_references(Wish("a boat", model="seedance-2.5"), *frames(FIRST, LAST)),
    "frame-first": with_references(Wish("a boat", model="jimeng-video-3.0-pro"), *frames(FIRST)),
    "frame-both": with_references(Wish("a boat", model="jimeng-video-3.0-fast"), *frames(FIRST, LAST)),
    "blend-one": with_references(Wish("a cat in snow", model="jimeng-4.5", n=1), a_reference(IMAGE, 1)),
    "blend-two": with_references(
        Wish("hand painted", model="jimeng-4.0", n=4, sample_strength=0.8, ratio="16:9"),
        a_reference(IMAGE, 1),
        a_reference(IMAGE, 2, media_type="image/jpeg", width=640, height=480),
    ),
    "blend-intelligent": with_references(
        Wish("hand painted", model="jimeng-5.0", intelligent_ratio=True), a_reference(IMAGE, 1)
    ),
}


@pytest.mark.parametrize("name", list(CASES))
def test_bodies(name: str) -> None:
    matches(f"payload/{name}", body_of(CASES[name]))


BLEND = "draft_content.component_list.0.abilities.blend"
GEN_VIDEO = "draft_content.component_list.0.abilities.gen_video"
OMNI = f"{GEN_VIDEO}.text_to_video_params.video_gen_inputs.0"
EDIT = f"{OMNI}.unified_edit_input"

Differences = dict[str, tuple[object, object]]


def telemetry(key: str, seconds: float, *, materials: Differences | None = None) -> Differences:
    """Metrics of an omni submit, which stand in two places."""
    changed: Differences = {
        "sceneOptions.0.resolution": (NOTHING, "720p"),
        "sceneOptions.0.inputVideoDuration": (NOTHING, seconds),
        "sceneOptions.0.reportParams.extraVipFunctionKey": (key, f"{key}-720p"),
        "promptSource": (NOTHING, "custom"),
        **(materials or {}),
    }
    return {
        f"{place}.{name}": values
        for place in ("metrics_extra", f"{GEN_VIDEO}.video_task_extra")
        for name, values in changed.items()
    }


def omni(key: str, amount: float, input_s: float = 0, **options: Any) -> Differences:
    """What differs in every omni submit: the version, fields of a current capture, what is prepaid."""
    return {
        **telemetry(key, input_s, **options),
        "extend.workspace_id": (NOTHING, 0),
        "extend.m_video_commerce_info.amount": (NOTHING, amount),
        "extend.m_video_commerce_info_list.0.amount": (NOTHING, amount),
        "draft_content.version": ("3.3.9", "3.3.28"),
        f"{OMNI}.resolution": (NOTHING, "720p"),
    }


def metas(*kinds: str) -> Differences:
    """Entries of the meta list are objects with ids in captures of the site, bare ones in the recording."""
    found: Differences = {}
    for index, kind in enumerate(kinds):
        entry = f"{EDIT}.meta_list.{index}"
        found |= {f"{entry}.type": (NOTHING, ""), f"{entry}.id": (NOTHING, "<id>")}
        if kind != "text":
            found |= {
                f"{entry}.material_ref.type": (NOTHING, ""),
                f"{entry}.material_ref.id": (NOTHING, "<id>"),
            }
    return found


def real_size(index: int, width: int, height: int, theirs: tuple[int, int]) -> Differences:
    """The picture's own size; the recorded client sends the size of the video."""
    info = f"{EDIT}.material_list.{index}.image_info"
    return {f"{info}.width": (theirs[0], width), f"{info}.height": (theirs[1], height)}


INTENDED: dict[str, Differences] = {
    "image-blend-1": {
        "extend.workspace_id": (NOTHING, 0),
        "metrics_extra.position": (NOTHING, "page_bottom_box"),
        "metrics_extra.isBoxSelect": (NOTHING, False),
        "metrics_extra.isCutout": (NOTHING, False),
        "metrics_extra.sceneOptions.0.benefitCount": (NOTHING, 1),
        "metrics_extra.sceneOptions.0.modelReqKey": ("jimeng-4.5", "high_aes_general_v40l"),
        "metrics_extra.sceneOptions.0.reportParams.extraVipFunctionKey": (
            "jimeng-4.5-2k",
            "high_aes_general_v40l-2k",
        ),
        "draft_content.version": ("3.2.9", "3.3.28"),
        # The number of pictures (3.4): without it four are made and paid.
        "draft_content.component_list.0.abilities.gen_option": (NOTHING, {...}),
        f"{BLEND}.ability_list.0.image_list.0.format": ("", "png"),
        f"{BLEND}.ability_list.0.image_list.0.width": (0, 1024),
        f"{BLEND}.ability_list.0.image_list.0.height": (0, 768),
    },
    "seedance-2.0-image": {
        **omni("dreamina_seedance_40_pro", 6),
        **metas("text", "image", "text"),
        **real_size(0, 1024, 768, (1280, 720)),
    },
    "seedance-2.0-fast-default-refs": {
        **omni(
            "dreamina_seedance_40",
            4,
            # One for each material.
            materials={"sceneOptions.0.materialTypes": ([...], [...])},
        ),
        # The recorded client leaves materials that no mark names out of the list (5.4 rule 4).
        f"{EDIT}.meta_list": ([...], [...]),
        **real_size(0, 1024, 768, (960, 720)),
        **real_size(1, 1024, 768, (960, 720)),
    },
    "seedance-2.0-mixed": {
        **omni("dreamina_seedance_40_pro", 14.5, 4.5),
        **metas("image", "text", "video", "text", "audio", "text"),
        **real_size(0, 1024, 768, (720, 1280)),
    },
    "video-3.0-first-frame": {
        "extend.workspace_id": (NOTHING, 0),
        **{
            f"{place}.{name}": value
            for place in ("metrics_extra", f"{GEN_VIDEO}.video_task_extra")
            for name, value in {
                "position": (NOTHING, "page_bottom_box"),
                "functionMode": (NOTHING, "first_last_frames"),
                "sceneOptions": (NOTHING, [...]),
            }.items()
        },
        f"{OMNI}.idip_meta_list": (NOTHING, []),
        f"{OMNI}.first_frame_image.width": (1280, 1024),
        f"{OMNI}.first_frame_image.height": (720, 768),
        "draft_content.component_list.0.process_type": (NOTHING, 1),
        "draft_content.min_features": (NOTHING, []),
        "draft_content.version": ("3.2.8", "3.3.28"),
    },
}
#: Files of the recorded requests, as the stand-in server measured them.
RECORDED = {
    "image": a_reference(IMAGE),
    "video": a_reference(VIDEO, 2, name="b.mp4", duration_ms=4500, fps=30.0),
    "audio": a_reference(AUDIO, 3, name="c.mp3", duration_ms=4500),
}


@pytest.mark.parametrize("name", list(INTENDED))
def test_every_difference_from_the_recorded_client_is_meant(name: str) -> None:
    vector = load(f"vectors/{name}")
    references = [RECORDED[kind] for kind in vector["references"]]
    if name.startswith("video"):
        references = [replace(found, role=FIRST) for found in references]
    found = dict(differences(vector["body"], body_of(with_references(Wish(**vector["input"]), *references))))
    assert {place: _without_ids(place, values) for place, values in found.items()} == INTENDED[name]


def _without_ids(place: str, values: tuple[object, object]) -> tuple[object, object]:
    return (values[0], "<id>") if place.endswith(".id") else values


def test_the_list_of_meanings_reads_as_the_prompt() -> None:
    given_input = input_of(body_of(CASES["omni-three-kinds"]))
    assert given_input["prompt"] == ""
    metas = given_input["unified_edit_input"]["meta_list"]
    shown = [
        meta["text"] or f"<{meta['meta_type']} {meta['material_ref']['material_idx']}>" for meta in metas
    ]
    assert shown == ["<image 0>", " walks through ", "<video 1>", " and speaks like ", "<audio 2>"]


def test_input_video_is_prepaid_by_its_seconds_and_its_own_benefit() -> None:
    info = body_of(CASES["omni-odd-length"])["extend"]["m_video_commerce_info"]
    assert info["amount"] == 15.35
    assert info["benefit_type"] == "dreamina_video_seedance_20_pro_with_video"
    without = body_of(CASES["omni-unmentioned"])["extend"]["m_video_commerce_info"]
    assert (without["amount"], without["benefit_type"]) == (4, "dreamina_video_seedance_20_pro")


def test_a_benefit_without_an_entry_stays_as_the_catalogue_has_it() -> None:
    order = CASES["omni-odd-length"]
    live = replace(order, request=replace(order.request, benefit_type="seedance_20_pro_720p_output"))
    assert body_of(live)["extend"]["m_video_commerce_info"]["benefit_type"] == "seedance_20_pro_720p_output"
    protocol = overridden('[with_input_video]\nseedance_20_pro_720p_output = "another"')
    changed = opened(generate_body(live, protocol, NOW_MS, counting_ids()))
    assert changed["extend"]["m_video_commerce_info"]["benefit_type"] == "another"


def test_frames_on_an_omni_model_are_an_ordinary_draft() -> None:
    body = body_of(CASES["omni-both-frames"])
    assert body["metrics_extra"]["functionMode"] == "first_last_frames"
    draft = body["draft_content"]
    assert (draft["min_version"], draft["min_features"]) == ("3.0.5", [])
    given_input = input_of(body)
    assert given_input["prompt"] == "a boat"
    assert "unified_edit_input" not in given_input
    assert given_input["first_frame_image"]["uri"] != given_input["end_frame_image"]["uri"]


def test_frame_rates_are_whole_numbers() -> None:
    [material] = input_of(body_of(CASES["omni-odd-length"]))["unified_edit_input"]["material_list"]
    assert material["video_info"]["fps"] == 30
    assert material["video_info"]["duration"] == 10_350


@pytest.mark.parametrize("name", ["blend-one", "omni-three-kinds", "frame-both"])
def test_no_body_leaves_a_reference_out(name: str) -> None:
    order = CASES[name]
    with pytest.raises(InvalidRequest, match="not been uploaded"):
        generate_body(replace(order, uploads=order.uploads[:-1]), builtin(), NOW_MS, counting_ids())


def test_references_of_a_model_that_takes_none_are_refused() -> None:
    order = with_references(Wish("a boat", model="jimeng-video-3.0-fast"), a_reference(IMAGE))
    with pytest.raises(InvalidRequest, match="cannot take"):
        generate_body(order, builtin(), NOW_MS, counting_ids())
    mixed = with_references(
        Wish("a boat", model="seedance-2.0"), a_reference(IMAGE), a_reference(IMAGE, 2, role=LAST)
    )
    with pytest.raises(InvalidRequest, match="together"):
        generate_body(mixed, builtin(), NOW_MS, counting_ids())


@given(kinds=st.lists(st.sampled_from(list(Media)), min_size=1, max_size=12))
def test_materials_keep_the_order_of_the_references(kinds: list[Media]) -> None:
    references = [a_reference(kind, number) for number, kind in enumerate(kinds, start=1)]
    order = with_references(Wish("see", model="seedance-2.5"), *references)
    body = body_of(order)
    listed = input_of(body)["unified_edit_input"]["material_list"]
    handles = [
        next(info.get("image_uri") or info.get("vid") for key, info in entry.items() if key.endswith("_info"))
        for entry in listed
    ]
    assert handles == [uploaded.handle for uploaded in order.uploads]
    assert [entry["material_type"] for entry in listed] == kinds
    scene = body["metrics_extra"]["sceneOptions"][0]
    assert scene["materialTypes"] == [{"image": 1, "video": 2, "audio": 3}[kind] for kind in kinds]
    seconds = sum(found.duration_ms for found in references if found.kind is VIDEO) / 1000
    assert body["extend"]["m_video_commerce_info"]["amount"] == 5 + seconds


@given(
    prompt=st.text(min_size=1, max_size=80).filter(lambda text: text.strip() and not set("@＠\0") & set(text))
)
def test_a_prompt_without_marks_arrives_whole(prompt: str) -> None:
    blend = with_references(Wish(prompt, model="jimeng-4.5"), a_reference(IMAGE, 1), a_reference(IMAGE, 2))
    assert part_of(with_draft(blend))["blend"]["core_param"]["prompt"] == "####" + prompt
    seen = input_of(with_draft(with_references(Wish(prompt, model="seedance-2.0"), a_reference(IMAGE))))
    texts = [meta["text"] for meta in seen["unified_edit_input"]["meta_list"] if meta["meta_type"] == "text"]
    assert texts == [prompt]
