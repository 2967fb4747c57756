"""What OpenAI's words mean for the models here, and how a task reads in them: tables of values."""

from __future__ import annotations

import dataclasses

import pytest
from http_fake import NOW, a_failure, a_task, a_video

from jimeng_gateway.clock import id_time, new_id
from jimeng_gateway.domain.builtin_models import builtin
from jimeng_gateway.domain.errors import ErrorKind, InvalidRequest
from jimeng_gateway.domain.intake import Wish, plan
from jimeng_gateway.domain.reference import Media, Reference
from jimeng_gateway.domain.request import Kind
from jimeng_gateway.domain.task import Result, Stage, Task
from jimeng_gateway.domain.words import Language
from jimeng_gateway.http.links import Links
from jimeng_gateway.http.openai import chat_messages
from jimeng_gateway.http.openai.models import model_json
from jimeng_gateway.http.openai.pictures import picture_wish, quality_decides, tier_for
from jimeng_gateway.http.openai.remix import edit_wish, remix_wish, takes_videos
from jimeng_gateway.http.openai.shapes import ImageRequest, VideoRequest
from jimeng_gateway.http.openai.video_view import poll_after, video_json
from jimeng_gateway.http.openai.videos import length_of, place_of, refuse_length, video_wish

CATALOGUE = builtin()
LINKS = Links("https://gw.example", lambda task_id, index, end: f"{task_id}-{index}-{end}")
CLIP = Reference(Media.VIDEO, "0" * 64, "video/mp4", 9000, width=1280, height=720, duration_ms=6040)


@pytest.mark.parametrize(
    ("model", "quality", "tier"),
    [
        ("jimeng-4.6", "low", "1k"),
        ("jimeng-4.6", "high", "2k"),
        ("jimeng-4.6", "hd", "2k"),
        ("jimeng-4.6", "max", "4k"),
        ("jimeng-4.6", "XHigh", "4k"),
        ("jimeng-4.6", "standard", None),
        ("jimeng-4.6", "medium", None),
        ("jimeng-4.6", "auto", None),
        ("jimeng-4.6", None, None),
        ("jimeng-5.0-pro", "low", "1.5k"),
        ("jimeng-5.0-flash", "max", "2k"),
        ("jimeng-xl-pro", "max", "1k"),
    ],
)
def test_quality_is_the_nearest_resolution(model: str, quality: str | None, tier: str | None) -> None:
    assert tier_for(quality, CATALOGUE.find(model)) == tier


@pytest.mark.parametrize(
    ("sent", "decides"),
    [
        ({"quality": "low"}, True),
        ({"quality": "low", "size": "auto"}, True),
        ({"quality": "low", "size": "16:9"}, True),
        ({"quality": "low", "ratio": "16:9"}, True),
        ({"quality": "low", "size": "1024x1024"}, False),
        ({"quality": "low", "size": "4K"}, False),
        ({"quality": "low", "resolution": "2k"}, False),
        ({"quality": "standard"}, False),
        ({}, False),
    ],
)
def test_quality_decides_only_where_nothing_else_does(sent: dict[str, str], decides: bool) -> None:
    assert quality_decides(ImageRequest(prompt="x", **sent)) is decides


@pytest.mark.parametrize(
    ("sent", "param"),
    [
        ({"background": "transparent"}, "background"),
        ({"output_format": "svg"}, "output_format"),
        ({"output_format": "gif"}, "output_format"),
        ({"quality": "best"}, "quality"),
    ],
)
def test_what_no_model_makes_is_refused_by_name(sent: dict[str, str], param: str) -> None:
    with pytest.raises(InvalidRequest) as error:
        picture_wish(ImageRequest(prompt="x", **sent), "x", ())
    assert error.value.param == param


@pytest.mark.parametrize("word", ["png", "jpeg", "jpg", "webp", "PNG"])
def test_formats_of_pixels_are_taken(word: str) -> None:
    body = ImageRequest(prompt="x", output_format=word, background="opaque", quality="hd")
    assert picture_wish(body, "x", ()) == Wish("x", kind=Kind.IMAGE)


@pytest.mark.parametrize(
    ("model", "size", "made"),
    [
        ("seedance-2.0", "1280x720", ("16:9", "720p", 1280, 720)),
        ("seedance-2.0", "720x1280", ("9:16", "720p", 720, 1280)),
        ("seedance-2.0", "1024x1792", ("9:16", "720p", 720, 1280)),
        ("seedance-2.0-vip", "1792x1024", ("16:9", "1080p", 1920, 1080)),
        ("seedance-2.5", "640x480", ("4:3", "480p", 640, 480)),
        ("seedance-2.5", "720p", ("16:9", "720p", 1280, 720)),
        ("seedance-2.5", "9:16", ("9:16", "720p", 720, 1280)),
        ("seedance-2.5", "auto", ("16:9", "720p", 1280, 720)),
    ],
)
def test_sizes_of_videos(model: str, size: str, made: tuple[str, str, int, int]) -> None:
    request = plan(video_wish(VideoRequest(prompt="x", model=model, size=size), ()), CATALOGUE)
    assert (request.ratio, request.resolution, request.width, request.height) == made


@pytest.mark.parametrize(
    ("seconds", "duration", "length"),
    [
        ("4", None, 4),
        (4, None, 4),
        (4.0, None, 4),
        ("5s", None, 5),
        ("7.5", None, 7.5),
        (None, "10", 10),
        (None, 10, 10),
        ("8", 8, 8),
        ("", None, None),
        (None, None, None),
    ],
)
def test_lengths(seconds: float | str | None, duration: float | str | None, length: float | None) -> None:
    assert length_of(seconds, duration) == length


@pytest.mark.parametrize(
    ("seconds", "duration", "param"),
    [("four", None, "seconds"), ("-4", None, "seconds"), (None, "1e3", "duration"), ("4", 5, "duration")],
)
def test_lengths_that_are_none(seconds: str | None, duration: float | str | None, param: str) -> None:
    with pytest.raises(InvalidRequest) as error:
        length_of(seconds, duration)
    assert error.value.param == param


def test_a_length_that_the_model_does_not_make_is_refused_as_seconds() -> None:
    model = CATALOGUE.find("jimeng-video-3.0-pro")
    refuse_length(10, model)
    with pytest.raises(InvalidRequest) as error:
        refuse_length(8, model)
    assert error.value.param == "seconds"
    assert error.value.message == "seconds: jimeng-video-3.0-pro does not make 8 s; allowed: 5, 10"


def seen(task: Task, language: Language = Language.EN) -> dict[str, object]:
    view = video_json(task, NOW, LINKS, language)
    return {name: getattr(view, name) for name in view.__struct_fields__}


@pytest.mark.parametrize(
    ("stage", "status", "progress"),
    [
        (Stage.QUEUED, "queued", 0),
        (Stage.SUBMITTING, "in_progress", 2),
        (Stage.POLLING, "in_progress", 5),
        (Stage.DOWNLOADING, "in_progress", 95),
        (Stage.SUCCEEDED, "completed", 100),
        (Stage.FAILED, "failed", 0),
        (Stage.CANCELLED, "failed", 0),
    ],
)
def test_statuses(stage: Stage, status: str, progress: int) -> None:
    view = video_json(a_video(stage=stage), NOW, LINKS)
    assert (view.status, view.progress, view.metadata.stage) == (status, progress, stage)
    assert type(view.progress) is int


def test_a_video_on_its_way() -> None:
    view = seen(a_video(door="openai", memo={"model": "sora-2", "remixed_from": "task_0"}))
    facts = view.pop("metadata")
    assert view == {
        "id": "task_v",
        "object": "video",
        "model": "sora-2",
        "status": "queued",
        "progress": 0,
        "created_at": NOW // 1000,
        "completed_at": None,
        "expires_at": None,
        "error": None,
        "prompt": "a cat",
        "remixed_from_video_id": "task_0",
        "seconds": "5",
        "size": "1280x720",
        "url": view["video_url"],
        "video_url": view["url"],
    }
    assert facts is not None


def test_a_finished_video_has_its_link() -> None:
    result = Result(0, "video", "https://up.example/0", "item", file="v.mp4", media_type="video/mp4")
    task = a_video(stage=Stage.SUCCEEDED, results=(result,), finished_at=NOW + 9000)
    view = seen(task)
    link = "https://gw.example/api/v1/tasks/task_v/content?index=0&signature=task_v-0-0"
    assert (view["url"], view["video_url"], view["completed_at"]) == (link, link, NOW // 1000 + 9)


def test_the_memo_of_another_door_is_not_read() -> None:
    view = seen(a_video(door="ark", memo={"model": "doubao", "remixed_from": "x"}))
    assert (view["model"], view["remixed_from_video_id"]) == ("jimeng-video-3.0", None)


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (ErrorKind.CONTENT_REJECTED, "moderation_blocked"),
        (ErrorKind.QUOTA, "insufficient_quota"),
        (ErrorKind.RATE_LIMITED, "rate_limit_exceeded"),
        (ErrorKind.GENERATION_FAILED, "generation_failed"),
        (ErrorKind.TIMEOUT, "timeout"),
    ],
)
def test_why_a_video_failed(kind: ErrorKind, code: str) -> None:
    error = video_json(a_video(stage=Stage.FAILED, failure=a_failure(kind)), NOW, LINKS).error
    assert error is not None
    assert (error.code, error.message) == (code, "it went wrong")


def test_a_cancelled_video_has_failed() -> None:
    for language, message in ((Language.EN, "it was cancelled"), (Language.ZH, "已取消")):
        error = video_json(a_video(stage=Stage.CANCELLED), NOW, LINKS, language).error
        assert error is not None
        assert (error.code, error.message) == ("cancelled", message)


@pytest.mark.parametrize(
    ("task", "wait"),
    [
        (a_video(), 3000),
        (a_task(), 1000),
        (a_video(stage=Stage.POLLING, due_at=NOW + 4567), 4567),
        (a_video(stage=Stage.POLLING, due_at=NOW + 60_000), 10_000),
        (a_video(stage=Stage.POLLING, due_at=NOW - 5), 1000),
        (a_video(stage=Stage.POLLING, due_at=None), 3000),
        (a_video(stage=Stage.SUCCEEDED), 1000),
    ],
)
def test_when_to_ask_again(task: Task, wait: int) -> None:
    assert poll_after(task, NOW) == wait


def test_a_place_in_the_list_is_found_without_the_video() -> None:
    made = new_id("task", NOW)
    assert id_time(made) == NOW
    assert place_of(made) == (NOW, made)
    for wrong in ("task_1", "", f"{made}x", f"{made[:-1]}U"):
        with pytest.raises(InvalidRequest):
            place_of(wrong)


@pytest.mark.parametrize(
    ("name", "takes"),
    [("seedance-2.0", True), ("seedance-2.5", True), ("jimeng-video-3.0", False), ("wan-3.0", False)],
)
def test_models_that_take_videos(name: str, takes: bool) -> None:
    assert takes_videos(CATALOGUE.find(name)) is takes


def test_a_remix_is_the_same_video_from_another_prompt() -> None:
    picture = Reference(Media.IMAGE, "1" * 64, "image/png", 90, width=400, height=400)
    before = plan(
        Wish("x", "seedance-2.5", ratio="9:16", resolution="480p", duration=7, references=(picture,)),
        CATALOGUE,
    )
    for clip, references in ((CLIP, (CLIP,)), (None, (picture,))):
        after = plan(remix_wish(before, "y", clip), CATALOGUE)
        assert after == dataclasses.replace(before, prompt="y", references=references)


def test_an_edit_is_as_long_and_as_large_as_its_clip() -> None:
    model = CATALOGUE.find("seedance-2.5")
    wish = Wish("x", "seedance-2.5", references=(CLIP,))
    edited = edit_wish(wish, CLIP, model)
    assert (edited.duration, edited.size) == (6, "1280x720")
    chosen = dataclasses.replace(wish, duration=4, resolution="480p")
    assert edit_wish(chosen, CLIP, model) == chosen
    long = dataclasses.replace(CLIP, duration_ms=60_000)
    assert edit_wish(wish, long, model).duration is None


def test_a_model_says_what_it_takes() -> None:
    view = model_json(CATALOGUE.find("seedance-2.0"), "sora-2")
    assert (view.id, view.alias_of, view.kind) == ("sora-2", "seedance-2.0", Kind.VIDEO)
    assert view.modalities.input == ["text", "image", "video", "audio"]
    assert view.capabilities.seconds == list(range(4, 16))
    assert view.capabilities.references == {"image": 9, "video": 3, "audio": 3}
    frames = model_json(CATALOGUE.find("jimeng-video-3.0-fast"))
    assert (frames.alias_of, frames.modalities.input) == (None, ["text", "image"])
    assert (frames.capabilities.first_frame, frames.capabilities.last_frame) == (True, True)
    assert model_json(CATALOGUE.find("jimeng-4.6")).capabilities.resolutions == ["1k", "2k", "4k"]


def test_a_voice_for_the_answer_is_no_sound_for_the_picture() -> None:
    voice, sound = {"voice": "alloy", "format": "wav"}, {"url": "http://a/1.mp3"}
    assert chat_messages.unpack({"audio": voice, "messages": []}) == ({"messages": []}, ())
    assert chat_messages.unpack({"audio": sound}) == ({"audio": sound}, ())
