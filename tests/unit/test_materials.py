"""Limits of references per model, and what references are for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from jimeng_gateway.domain.builtin_models import builtin
from jimeng_gateway.domain.errors import InvalidRequest
from jimeng_gateway.domain.intake import Wish, plan
from jimeng_gateway.domain.materials import MB, KindLimits, MaterialLimits, completed, pictures
from jimeng_gateway.domain.reference import Media, Reference, Role
from jimeng_gateway.domain.request import GenerationRequest, Kind


def image(name: str = "photo.png", **facts: object) -> Reference:
    return replace(
        Reference(Media.IMAGE, "a" * 64, "image/png", 1000, name=name, width=1024, height=768), **facts
    )


def video(name: str = "clip.mp4", seconds: float = 5, **facts: object) -> Reference:
    made = Reference(Media.VIDEO, "b" * 64, "video/mp4", 1000, name=name, width=1280, height=720)
    return replace(made, duration_ms=round(seconds * 1000), **facts)


def audio(name: str = "voice.mp3", seconds: float = 5, **facts: object) -> Reference:
    made = Reference(Media.AUDIO, "c" * 64, "audio/mpeg", 1000, name=name)
    return replace(made, duration_ms=round(seconds * 1000), **facts)


def planned(model: str, *references: Reference, prompt: str = "x", **wish: object) -> GenerationRequest:
    return plan(Wish(prompt, model, references=references, **wish), builtin())  # type: ignore[arg-type]


def first(**facts: object) -> Reference:
    return image("first.png", role=Role.FIRST_FRAME, **facts)


def last(**facts: object) -> Reference:
    return image("last.png", role=Role.LAST_FRAME, **facts)


def test_references_reach_the_request_in_order() -> None:
    given = (audio(), image(), video(), image("b.png"))
    made = planned("seedance-2.0", *given, prompt="@2 with @音频1")
    assert made.references == given
    assert made.omni
    assert planned("jimeng-4.5", image(), image("b.png")).references == (image(), image("b.png"))


@pytest.mark.parametrize(
    ("model", "references", "message"),
    [
        ("seedance-2.0", [image(size=round(31.2 * MB))], "photo.png: 31.2 MB; at most 30 MB are allowed"),
        ("seedance-2.0", [image(size=30 * MB + 1)], "photo.png: 30.1 MB; at most 30 MB are allowed"),
        ("seedance-2.0", [image("", size=31 * MB)], "reference 1: 31 MB; at most 30 MB are allowed"),
        ("seedance-2.0", [video(size=51 * MB)], "clip.mp4: 51 MB; at most 50 MB are allowed"),
        ("seedance-2.0", [image(), audio(size=16 * MB)], "voice.mp3: 16 MB; at most 15 MB are allowed"),
        ("seedance-2.0", [video(seconds=1.9)], "clip.mp4: 1.9 s long; at least 2 s are needed"),
        ("seedance-2.0", [video(seconds=15.5)], "clip.mp4: 15.5 s long; at most 15.4 s are allowed"),
        ("seedance-2.0", [video(width=2161)], "clip.mp4: 2161x720 pixels; each side may have at most 2160"),
        (
            "seedance-2.0",
            [video(seconds=8), video(seconds=8)],
            "the video references last 16 s together; at most 15.4 s are allowed for seedance-2.0",
        ),
        (
            "seedance-2.0",
            [image(), audio(seconds=8), audio(seconds=8)],
            "the audio references last 16 s together; at most 15 s are allowed for seedance-2.0",
        ),
        (
            "seedance-2.0",
            [image(f"{n}.png") for n in range(10)],
            "seedance-2.0 takes at most 9 image references, not 10; 9.png is too much",
        ),
        (
            "seedance-2.0",
            [*[image()] * 9, *[video(seconds=3)] * 3, audio()],
            "seedance-2.0 takes at most 12 references together, not 13",
        ),
        (
            "seedance-2.0",
            [audio()],
            "seedance-2.0 needs at least one image or one video among the references",
        ),
        (
            "seedance-2.5",
            [image(width=299, height=299)],
            "photo.png: 299x299 pixels; each side needs at least 300",
        ),
        (
            "seedance-2.5",
            [image(width=6001, height=4000)],
            "photo.png: 6001x4000 pixels; each side may have at most 6000",
        ),
        (
            "seedance-2.5",
            [image(width=400, height=1001)],
            "photo.png: 400x1001 pixels; its width must be at least 0.4 of its height",
        ),
        (
            "seedance-2.5",
            [image(width=1001, height=400)],
            "photo.png: 1001x400 pixels; its width may be at most 2.5 times its height",
        ),
        (
            "jimeng-4.5",
            [video()],
            "clip.mp4: jimeng-4.5 takes no video references; it takes at most 10 image",
        ),
        (
            "jimeng-4.5",
            [image()] * 11,
            "jimeng-4.5 takes at most 10 image references, not 11; photo.png is too much",
        ),
        ("jimeng-4.5", [first()], "first.png: jimeng-4.5 takes no first frame"),
        ("jimeng-3.0", [image()], "jimeng-3.0 takes no references; photo.png cannot be used"),
        ("wan-3.0", [image()], "wan-3.0 takes no references; photo.png cannot be used"),
        ("jimeng-video-3.0-pro", [first(), last()], "last.png: jimeng-video-3.0-pro takes no last frame"),
        ("jimeng-video-3.0-fast", [last()], "a last frame needs a first frame beside it"),
        ("jimeng-video-3.0-fast", [first(), first()], "first.png: there can be only one first frame"),
        (
            "jimeng-video-3.0-fast",
            [image()] * 3,
            (
                "jimeng-video-3.0-fast takes a first and a last frame, not 3 references; "
                "choose a model that takes references"
            ),
        ),
        ("jimeng-video-3.0-fast", [video()], "clip.mp4: a first frame must be a picture, not video"),
        (
            "seedance-2.0",
            [first(), image()],
            "frames and references cannot be given together; give each of them the same use",
        ),
        ("seedance-2.0", [first(size=31 * MB)], "first.png: 31 MB; at most 30 MB are allowed"),
        ("seedance-2.0-lite", [first()], "first.png: seedance-2.0-lite takes no first frame"),
    ],
)
def test_refusals_name_the_file_and_the_limit(model: str, references: list[Reference], message: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        planned(model, *references)
    assert (caught.value.message, caught.value.param) == (message, "references")
    assert caught.value.code == "reference_refused"


def test_the_largest_that_fits() -> None:
    full = [
        *[image(size=30 * MB)] * 6,
        *[video(seconds=5, size=50 * MB, width=2160)] * 3,
        *[audio(seconds=5)] * 3,
    ]
    assert len(planned("seedance-2.0", *full).references) == 12
    assert len(planned("seedance-2.5", *[image(width=300, height=750)] * 30).references) == 30


def test_models_that_know_only_frames_take_plain_pictures_as_such() -> None:
    made = planned("jimeng-video-3.0-fast", image("a.png"), image("b.png"))
    assert [one.role for one in made.references] == [Role.FIRST_FRAME, Role.LAST_FRAME]
    assert [one.name for one in made.references] == ["a.png", "b.png"]
    assert planned("seedance-2.0", image()).references[0].role is Role.REFERENCE


def test_frames_of_a_model_that_takes_references_too() -> None:
    made = planned("seedance-2.0", last(), first())
    assert [one.role for one in made.references] == [Role.LAST_FRAME, Role.FIRST_FRAME]


def test_marks_mean_nothing_with_frames() -> None:
    for prompt in ("@1 moves", "@first.png moves"):
        with pytest.raises(InvalidRequest, match="marks like @1 mean nothing"):
            planned("seedance-2.0", first(), prompt=prompt)
    assert planned("seedance-2.0", first(), prompt="mail a@1.com").references


@pytest.mark.parametrize("model", ["seedance-2.0", "jimeng-4.5", "jimeng-video-3.0-fast"])
def test_a_mark_without_a_reference_is_a_mistake_with_every_model(model: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        planned(model, prompt="@1 moves")
    assert caught.value.code == "unknown_mark"


def test_the_ratio_follows_the_first_frame_unless_said() -> None:
    upright = first(width=1080, height=1900)
    assert planned("seedance-2.0", upright).ratio == "9:16"
    assert planned("seedance-2.0", upright, resolution="720p").width == 720
    assert planned("seedance-2.0", upright, size="720p").ratio == "9:16"
    assert planned("seedance-2.0", upright, ratio="16:9").ratio == "16:9"
    assert planned("seedance-2.0", upright, size="1280x720").ratio == "16:9"
    assert planned("seedance-2.0", first(width=90_000, height=1)).ratio == "16:9"
    assert planned("seedance-2.0", image(width=1080, height=1900)).ratio == "16:9"


def test_live_limits_replace_what_they_declare() -> None:
    known = MaterialLimits(
        image=KindLimits(most=9, largest=30), video=KindLimits(most=3, largest=50, longest_ms=15), most=12
    )
    live = MaterialLimits(image=KindLimits(most=5), audio=KindLimits(most=1), any_of=(Media.IMAGE,))
    merged = completed(live, known)
    assert merged == MaterialLimits(
        image=KindLimits(most=5, largest=30), audio=KindLimits(most=1), most=12, any_of=(Media.IMAGE,)
    )
    assert completed(None, known) is known
    assert completed(known, None) is known
    assert completed(None, None) is None


def test_every_model_says_what_it_takes() -> None:
    taking = {model.name: model.materials for model in builtin().models if model.materials}
    assert taking["jimeng-4.5"] == pictures(10)
    assert taking["mj-v8.2"] == pictures(20)
    assert {name for name in taking if name.startswith("seedance-2")} == {
        model.name for model in builtin().models if "unified_edit" in model.inputs
    }
    assert pictures(0) is None
    assert all(model.kind is Kind.IMAGE or model.inputs for model in builtin().models)
