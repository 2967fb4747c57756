"""Marks in prompts: what they mean, what they do not, and what no prompt can break."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jimeng_gateway.domain.errors import InvalidRequest
from jimeng_gateway.domain.marks import Mention, Segment, Text, bind, mentioned
from jimeng_gateway.domain.reference import Media, Reference


def a_reference(kind: str = "image", name: str = "") -> Reference:
    return Reference(Media(kind), "0" * 64, f"{kind}/x", 1, name=name)


#: cat.png, clip.mp4, voice.mp3, 小猫, cat
ALL = (
    a_reference("image", "cat.png"),
    a_reference("video", "clip.mp4"),
    a_reference("audio", "voice.mp3"),
    a_reference("image", "小猫"),
    a_reference("video", "cat"),
)


def said(prompt: str, references: tuple[Reference, ...] = ALL) -> list[str | int]:
    """The segments from the first that the prompt itself holds, mentions by number from 1."""
    segments = bind(prompt, references)
    in_front = len(references) - len(set(mentioned(prompt, references)))
    return [one.text if isinstance(one, Text) else one.index + 1 for one in segments[in_front:]]


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("@1 walks", [1, " walks"]),
        ("see @图2 and @image3.", ["see ", 2, " and ", 3, "."]),
        ("@IMAGE4", [4]),
        ("＠１ runs", [1, " runs"]),
        ("@图片2与@视频2，@音频1", [4, "与", 5, "，", 3]),
        ("@picture2 @Video1 @audio1", [4, 2, 3]),
        ("@1@2@3", [1, 2, 3]),
        ("@1 @1", [1, 1]),
        ("角色A@图1，角色B@图片2", ["角色A", 1, "，角色B", 4]),
        ("@图1Tom", [1, "Tom"]),
        ("@cat.png and @cat", [1, " and ", 5]),
        ("@CAT.png!", [1, "!"]),
        ("@小猫跑步", [4, "跑步"]),
        ("@cats and @catalogue", ["@cats and @catalogue"]),
        ("@2D and @3rd", ["@2D and @3rd"]),
        ("mail bob@1.com or a.b+c@image1.example.org", ["mail bob@1.com or a.b+c@image1.example.org"]),
        ("me@example.com: @1", ["me@example.com: ", 1]),
        ("a @ b @nobody", ["a @ b @nobody"]),
        ("  @1  two  spaces ", [1, "  two  spaces "]),
        ("no mark at all", ["no mark at all"]),
    ],
)
def test_what_marks_mean(prompt: str, expected: list[str | int]) -> None:
    assert said(prompt) == expected


def test_references_that_are_not_mentioned_stand_in_front_in_order() -> None:
    assert bind(" meets @2", ALL[:3]) == (Mention(0), Mention(2), Text(" meets "), Mention(1))
    assert bind("only text", ALL[:2]) == (Mention(0), Mention(1), Text("only text"))
    assert bind("only text", ()) == (Text("only text"),)


@pytest.mark.parametrize(
    ("prompt", "shown"),
    [
        ("@6", "@6"),
        ("@0", "@0"),
        ("@图片3", "@图片3"),
        ("@audio2", "@audio2"),
        ("@99999999999999999999", "@99999999999999999999"),
        ("x @image" + "9" * 5000, "@image"),
    ],
)
def test_a_number_that_no_reference_has_is_refused(prompt: str, shown: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        bind(prompt, ALL)
    assert (caught.value.code, caught.value.param) == ("unknown_mark", "prompt")
    assert shown in caught.value.message
    assert "there are 5 references (2 images, 2 videos, 1 audio)" in caught.value.message
    assert len(caught.value.message) < 200


def test_a_mark_without_any_reference_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="the request has no references"):
        bind("@1 dances", ())


def test_a_mark_that_could_mean_two_is_refused() -> None:
    twins = (a_reference(name="cat.png"), a_reference(name="cat.png"))
    with pytest.raises(InvalidRequest) as caught:
        bind("@cat.png sits", twins)
    assert caught.value.code == "ambiguous_mark"
    assert "reference 1 and 2" in caught.value.message
    with pytest.raises(InvalidRequest, match="could mean"):
        bind("@image1", (a_reference(), a_reference(name="image1")))
    assert said("@2 then @image2", (a_reference(), a_reference(name="image2"))) == [2, " then ", 2]


def test_a_name_may_hold_an_at_sign_or_look_like_a_number() -> None:
    assert said("@a@1 b", (a_reference(name="a@1"),)) == [1, " b"]
    assert said("@7", (a_reference(name="7"),)) == [1]


PIECES = st.sampled_from(
    [
        "@",
        "＠",
        "1",
        "2",
        "9",
        "图",
        "图片",
        "视频",
        "音频",
        "image",
        "video",
        "cat",
        ".png",
        " ",
        "\n",
        "a.b@c.de",
    ]
)
PROMPTS = st.lists(PIECES | st.text(max_size=4), max_size=12).map("".join)
NAMES = st.sampled_from(["", "cat", "cat.png", "图", "1", "@", "a@1"]) | st.text(max_size=5)
REFERENCES = st.lists(
    st.builds(a_reference, st.sampled_from(["image", "video", "audio"]), NAMES), max_size=5
).map(tuple)


@given(PROMPTS, REFERENCES)
def test_every_reference_appears_and_the_text_is_kept_in_order(
    prompt: str, references: tuple[Reference, ...]
) -> None:
    try:
        segments = bind(prompt, references)
    except InvalidRequest:
        return
    assert {one.index for one in segments if isinstance(one, Mention)} == set(range(len(references)))
    place = 0
    for text in texts(segments):
        assert text.strip()
        place = prompt.index(text, place) + len(text)


def texts(segments: tuple[Segment, ...]) -> list[str]:
    return [one.text for one in segments if isinstance(one, Text)]


@given(PROMPTS, REFERENCES)
def test_what_is_left_out_is_marks_and_white_space(prompt: str, references: tuple[Reference, ...]) -> None:
    try:
        segments = bind(prompt, references)
        count = len(mentioned(prompt, references))
    except InvalidRequest:
        return
    if not count:
        assert texts(segments) == ([prompt] if prompt.strip() else [])
    mentions = sum(isinstance(one, Mention) for one in segments)
    assert mentions == count + len(references) - len(set(mentioned(prompt, references)))


@given(st.text(alphabet="@.a1", max_size=3000))
def test_long_prompts_cost_little(prompt: str) -> None:
    with contextlib.suppress(InvalidRequest):
        assert bind(prompt, ALL)
