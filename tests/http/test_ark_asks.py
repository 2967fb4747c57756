"""From an Ark body to a wish and its references, or to a refusal by name: tables of values."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from jimeng_gateway.domain import builtin_models
from jimeng_gateway.domain.errors import InvalidRequest
from jimeng_gateway.domain.intake import plan
from jimeng_gateway.domain.reference import Media, Reference, Role
from jimeng_gateway.http.ark import asks
from jimeng_gateway.http.ark.content import marked, unpack, without_nulls
from jimeng_gateway.http.ark.shapes import ArkImageOrder, ArkVideoOrder
from jimeng_gateway.http.body import build

URL = "https://a.example/1"
TEXT = {"type": "text", "text": "a cat"}
CATALOGUE = builtin_models.builtin()


def link(kind: str, role: str | None = None, url: str = URL) -> dict[str, Any]:
    """An item as the SDK sends it: what was not set is null."""
    return {"type": f"{kind}_url", f"{kind}_url": {"url": url}, "role": role, "text": None}


def video(content: list[dict[str, Any]] | None = None, **fields: Any) -> ArkVideoOrder:
    """The body of a create, once it was unpacked."""
    sent = {"model": "seedance-2.0", "content": content or [TEXT], **fields}
    values, _ = unpack({name: value for name, value in sent.items() if value is not None})
    return build(values, ArkVideoOrder, lenient=False, what="field")


def image(**fields: Any) -> ArkImageOrder:
    return build(
        {"model": "jimeng-4.5", "prompt": "a cat", **fields}, ArkImageOrder, lenient=False, what="field"
    )


def uses(*items: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Kind, role and place of the references, in order."""
    _, givens = unpack({"content": list(items)})
    return [(str(one.kind), str(one.role), one.url or one.data or one.file_id) for one in givens]


@pytest.mark.parametrize(
    ("items", "found"),
    [
        ([TEXT], []),
        ([TEXT, link("image")], [("image", "first_frame", URL)]),
        ([link("image", "first_frame"), TEXT], [("image", "first_frame", URL)]),
        (
            [link("image"), link("image", "last_frame", URL + "2")],
            [("image", "first_frame", URL), ("image", "last_frame", URL + "2")],
        ),
        (
            [link("audio", "reference_audio"), link("image", "reference_image"), link("video")],
            [("audio", "reference", URL), ("image", "reference", URL), ("video", "reference", URL)],
        ),
        (
            [link("image", url="data:image/png;base64,AAAA")],
            [("image", "first_frame", "data:image/png;base64,AAAA")],
        ),
        ([link("image", url="file_" + "0" * 22)], [("image", "first_frame", "file_" + "0" * 22)]),
        ([{"type": "image_url", "image_url": URL}], [("image", "first_frame", URL)]),
    ],
)
def test_references_keep_their_order_and_use(items: list[Any], found: list[tuple[str, str, str]]) -> None:
    assert uses(*items) == found


@pytest.mark.parametrize(
    ("items", "code", "says"),
    [
        ([link("image", url="asset://asset-1")], "not_supported", "assets lie at Ark"),
        ([TEXT, {"type": "draft_task", "draft_task": {"id": "cgt-1"}}], "not_supported", "content[1]"),
        ([link("image"), link("image")], "invalid_request", "content[1]: a picture without a role"),
        (
            [link("image"), link("image", "reference_image")],
            "invalid_request",
            "content[0]: frames and references",
        ),
        (
            [link("video"), link("image", "last_frame")],
            "invalid_request",
            "content[1]: frames and references",
        ),
        ([link("video", "first_frame")], "invalid_request", "allowed: reference_video"),
        ([link("audio", "reference_image")], "invalid_request", "allowed: reference_audio"),
        ([link("image", "reference_video")], "invalid_request", "first_frame, last_frame, reference_image"),
        ([{"type": "text"}], "missing_field", "`text` is missing"),
        ([{"type": "image_url", "image_url": None}], "missing_field", "`image_url` is missing"),
        ([link("image", url="")], "missing_field", "`image_url` is missing"),
        ([{"type": "file_url", "file_url": {"url": URL}}], "invalid_request", "field `content`"),
        ("a cat", "invalid_request", "field `content`"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_its_place(items: Any, code: str, says: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        unpack({"content": items})
    assert (refused.value.code, refused.value.param) == (code, "content")
    assert says in refused.value.message


def test_content_is_bounded_before_it_is_worked_on() -> None:
    text = {"type": "text", "text": "x" * 20_000}
    with pytest.raises(InvalidRequest, match="texts are longer than 32000 characters"):
        unpack({"content": [text, text]})
    picture = link("image", "reference_image")
    assert len(unpack({"content": [picture] * 100})[1]) == 100
    with pytest.raises(InvalidRequest, match="content: 101 references are more than the 100"):
        unpack({"content": [picture] * 101})


def test_nulls_are_absent_at_every_depth() -> None:
    assert without_nulls({"a": None, "b": [{"c": None, "d": 0}], "e": {"f": None}}) == {
        "b": [{"d": 0}],
        "e": {},
    }
    assert unpack({"model": "x", "content": None}) == ({"model": "x"}, ())


def test_several_texts_are_lines_of_one_prompt() -> None:
    wish = asks.video_wish(video([TEXT, link("image"), {"type": "text", "text": "at night --dur 5"}]))
    assert (wish.prompt, wish.duration) == ("a cat\nat night", 5)


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({}, {"resolution": None, "ratio": "", "duration": None, "seed": None}),
        ({"resolution": "720p", "ratio": "9:16"}, {"resolution": "720p", "ratio": "9:16"}),
        ({"ratio": "adaptive"}, {"ratio": None}),
        ({"duration": 5}, {"duration": 5}),
        ({"duration": -1}, {"duration": None}),
        ({"seed": -1}, {"seed": None}),
        ({"seed": 0}, {"seed": 0}),
        ({"frames": 121}, {"duration": 5}),
        ({"frames": 240}, {"duration": 10}),
        ({"frames": 121, "duration": 10}, {"duration": 5}),
        (
            {"content": [{"type": "text", "text": "a cat --dur 8 --rt 1:1 --seed 4"}]},
            {"duration": 8, "seed": 4},
        ),
        ({"content": [{"type": "text", "text": "a cat --dur 8 --frames 121"}]}, {"duration": 5}),
        ({"content": [{"type": "text", "text": "a cat --frames 121"}], "duration": 8}, {"duration": 8}),
        (
            {"content": [{"type": "text", "text": "a cat --dur 8 --rt 1:1"}], "duration": -1},
            {"duration": None},
        ),
        (
            {"content": [{"type": "text", "text": "a cat --cf true"}], "camera_fixed": False},
            {"prompt": "a cat"},
        ),
    ],
)
def test_parameters(fields: dict[str, Any], found: dict[str, Any]) -> None:
    wish = asks.video_wish(video(**fields))
    assert {name: getattr(wish, name) for name in found} == found


@pytest.mark.parametrize(
    "fields",
    [
        {"watermark": True, "camera_fixed": False, "draft": False, "return_last_frame": False, "tools": []},
        {"service_tier": "default", "output_format": "MP4", "omni_reference_task_type": "auto"},
        {"omni_reference_task_type": "reference", "priority": 9, "safety_identifier": "x" * 64},
        {"execution_expires_after": 3600, "callback_url": "https://a.example/cb?token=1"},
    ],
)
def test_what_asks_for_what_is_made_anyway_is_taken(fields: dict[str, Any]) -> None:
    assert asks.video_wish(video(**fields)).prompt == "a cat"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"camera_fixed": True}, "camera_fixed"),
        ({"return_last_frame": True}, "return_last_frame"),
        ({"draft": True}, "draft"),
        ({"tools": [{"type": "web_search"}]}, "tools"),
        ({"service_tier": "flex"}, "service_tier"),
        ({"output_format": "mov"}, "output_format"),
        ({"omni_reference_task_type": "edit"}, "omni_reference_task_type"),
        ({"frames": 29}, "frames"),
        ({"frames": 0}, "frames"),
        ({"frames": -24}, "frames"),
    ],
)
def test_what_the_site_cannot_do_is_refused_by_name(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        asks.video_wish(video(**fields))
    assert (refused.value.code, refused.value.param) == ("not_supported", param)
    assert refused.value.message.startswith(f"{param}: ")


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"execution_expires_after": 3599}, "execution_expires_after"),
        ({"execution_expires_after": 259_201}, "execution_expires_after"),
        ({"priority": 10}, "priority"),
        ({"duration": "5"}, "duration"),
        ({"guidance": 1}, "guidance"),
    ],
)
def test_fields_are_looked_at_strictly(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        asks.video_wish(video(**fields))
    assert refused.value.param == param


@pytest.mark.parametrize(
    ("model", "asked", "taken"),
    [
        ("seedance-2.0", None, True),
        ("seedance-2.0", True, True),
        ("seedance-2.0", False, False),
        ("jimeng-video-3.0-fast", False, True),
        ("jimeng-video-3.0-fast", True, False),
    ],
)
def test_sound_is_as_the_model_makes_it(model: str, asked: bool | None, taken: bool) -> None:
    body = video(model=model, generate_audio=asked)
    if taken:
        asks.refuse_sound(body, CATALOGUE.find(model))
        return
    with pytest.raises(InvalidRequest, match="generate_audio") as refused:
        asks.refuse_sound(body, CATALOGUE.find(model))
    assert refused.value.code == "not_supported"


def test_the_memo_holds_what_a_get_repeats() -> None:
    assert asks.video_memo(video(model="doubao-x", frames=121, priority=3)) == {
        "model": "doubao-x",
        "frames": 121,
        "priority": 3,
    }
    flags = [{"type": "text", "text": "a cat --frames 97"}]
    assert asks.video_memo(video(flags)) == {"model": "seedance-2.0", "frames": 97}
    assert asks.video_memo(video(flags, duration=5)) == {"model": "seedance-2.0"}


PICTURE = Reference(Media.IMAGE, "a" * 64, "image/png", 9, width=640, height=480)
CLIP = Reference(Media.VIDEO, "b" * 64, "video/mp4", 9, width=640, height=480, duration_ms=5000)


def test_a_reference_does_not_become_a_frame_in_silence() -> None:
    frames_only, omni = CATALOGUE.find("jimeng-video-3.0-pro"), CATALOGUE.find("seedance-2.0")
    with pytest.raises(InvalidRequest, match="takes no references") as refused:
        asks.refuse_references([PICTURE], frames_only)
    assert (refused.value.code, refused.value.param) == ("not_supported", "content")
    asks.refuse_references([PICTURE, CLIP], omni)
    asks.refuse_references([replace(PICTURE, role=Role.FIRST_FRAME)], frames_only)
    asks.refuse_references([], frames_only)


@pytest.mark.parametrize(
    ("prompt", "references", "found"),
    [
        ("@图1 runs to @image2", (PICTURE, PICTURE), "@图1 runs to @image2"),
        ("@图1 runs like 视频1", (CLIP, PICTURE), "@图片1 runs like 视频1"),
        ("@Image１ runs like @video1", (CLIP, PICTURE), "@picture１ runs like @video1"),
        ("图1 and image 1", (CLIP, PICTURE), "图1 and image 1"),
        ("write to bob@image1.com", (CLIP, PICTURE), "write to bob@image1.com"),
    ],
)
def test_marks_count_pictures_among_pictures(
    prompt: str, references: tuple[Reference, ...], found: str
) -> None:
    assert marked(prompt, references) == found


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({}, {"size": "", "n": None, "seed": None}),
        ({"size": "2K"}, {"size": "2K"}),
        ({"size": "adaptive"}, {"size": None}),
        ({"seed": -1}, {"seed": None}),
        ({"n": 3}, {"n": 3}),
        (
            {"watermark": True, "optimize_prompt": False, "tools": [], "background": "auto"},
            {"prompt": "a cat"},
        ),
        ({"optimize_prompt_options": {"thinking": None, "mode": "standard"}}, {"prompt": "a cat"}),
        ({"output_format": "jpeg", "user": "u", "quality": "hd", "style": "vivid"}, {"prompt": "a cat"}),
    ],
)
def test_pictures(fields: dict[str, Any], found: dict[str, Any]) -> None:
    wish = asks.image_wish(image(**fields))
    assert {name: getattr(wish, name) for name in found} == found


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"guidance_scale": 0}, "guidance_scale"),
        ({"optimize_prompt": True}, "optimize_prompt"),
        ({"optimize_prompt_options": {"mode": "fast"}}, "optimize_prompt_options"),
        ({"optimize_prompt_options": {"thinking": "enabled"}}, "optimize_prompt_options"),
        ({"tools": [{"type": "web_search"}]}, "tools"),
        ({"layer_decomposition": {"count": 3}}, "layer_decomposition"),
        ({"background": "transparent"}, "background"),
    ],
)
def test_what_no_picture_can_have_is_refused_by_name(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        asks.image_wish(image(**fields))
    assert (refused.value.code, refused.value.param) == ("not_supported", param)


@pytest.mark.parametrize(
    ("size", "found"),
    [
        # Below the least of Ark's 4.5 (ark.md 3.3): the tier with the same ratio.
        ("1024x1024", (2048, 2048)),
        ("1280x720", (2560, 1440)),
        ("2848x1600", (2560, 1440)),
        ("4096x4096", (4096, 4096)),
        ("4K", (4096, 4096)),
        (None, (2048, 2048)),
    ],
)
def test_sizes_become_the_nearest_on_offer(size: str | None, found: tuple[int, int]) -> None:
    request = plan(asks.image_wish(image(**({"size": size} if size else {}))), CATALOGUE)
    assert (request.width, request.height) == found


@pytest.mark.parametrize(
    ("model", "prompt", "most", "found"),
    [
        ("jimeng-4.5", "a story", None, (None, True)),
        ("jimeng-4.5", "a story", 4, (None, True)),
        ("jimeng-4.5", "画6张", 8, (None, True)),
        ("jimeng-4.5", "画6张", 4, (4, False)),
        ("jimeng-4.5", "a story", 3, (3, False)),
        ("jimeng-5.0-pro", "画12张", 11, (4, False)),
        ("jimeng-3.0", "a story", 9, (4, False)),
    ],
)
def test_a_group_never_has_more_than_was_allowed(
    model: str, prompt: str, most: int | None, found: tuple[int | None, bool]
) -> None:
    options = {"sequential_image_generation_options": {"max_images": most}} if most else {}
    body = image(model=model, prompt=prompt, sequential_image_generation="auto", **options)
    assert asks.is_group(body)
    assert asks.group_of(body, CATALOGUE.find(model)) == found


def test_a_model_that_makes_no_fewer_refuses_a_smaller_group() -> None:
    body = image(
        sequential_image_generation="auto",
        sequential_image_generation_options=msgspec.to_builtins({"max_images": 2}),
    )
    with pytest.raises(InvalidRequest, match="sequential_image_generation_options"):
        asks.group_of(body, CATALOGUE.find("mj-v8.2"))


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"sequential_image_generation": "disabled", "sequential_image_generation_options": {"max_images": 9}},
        {"sequential_image_generation": "auto", "sequential_image_generation_options": {"max_images": 1}},
        {"sequential_image_generation": "auto", "n": 2},
    ],
)
def test_what_is_no_group(fields: dict[str, Any]) -> None:
    assert not asks.is_group(image(**fields))


def test_a_first_frame_is_no_reference_of_the_prompt() -> None:
    _, (given,) = unpack({"content": [link("image")]})
    assert (given.role, given.kind) == (Role.FIRST_FRAME, Media.IMAGE)
