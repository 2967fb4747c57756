"""What a generate call asks for (3.4, 3.5, 3.6, 4.4, 5.3), read from its nested JSON.

What makes no sense is a Refusal. Only the fields that decide anything are looked at: the real
site ignores telemetry, and so does this.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
from msgspec import Struct, field

from jimeng_gateway.simulator.catalogue import (
    VIDEO_RATIOS,
    Catalogue,
    ImageModel,
    VideoModel,
    nearest_code,
    picture_size,
    video_size,
)
from jimeng_gateway.simulator.refusal import Refusal
from jimeng_gateway.simulator.triggers import Triggers, read

_COUNT_IN_PROMPT = re.compile(r"(\d+)张")
#: Code of an unpayable benefit, as a client's report shows it; the text is the one of 2.7.
UNPAYABLE = "5001"


class LargeImageInfo(Struct):
    """The wished size."""

    width: int = 0
    height: int = 0
    resolution_type: str = ""


class CoreParam(Struct):
    """Main parameters of a picture."""

    model: str
    prompt: str = ""
    negative_prompt: str = ""
    seed: int | None = None
    sample_strength: float = 0.5
    image_ratio: int | None = None
    large_image_info: LargeImageInfo = field(default_factory=LargeImageInfo)
    intelligent_ratio: bool = False


class GenOption(Struct):
    """How many."""

    gen_count: int | None = None


class Picture(Struct):
    """Ability generate or blend."""

    core_param: CoreParam
    gen_option: GenOption | None = None


class VideoInput(Struct):
    """One input of a video."""

    prompt: str = ""
    fps: int = 24
    duration_ms: int = 5000
    resolution: str | None = None
    first_frame_image: Any = None
    end_frame_image: Any = None
    unified_edit_input: Any = None


class VideoParams(Struct):
    """Main parameters of a video."""

    video_gen_inputs: list[VideoInput]
    model_req_key: str
    video_aspect_ratio: str = ""
    seed: int | None = None


class GenVideo(Struct):
    """Ability gen_video."""

    text_to_video_params: VideoParams


class Abilities(Struct):
    """What a component asks for."""

    generate: Picture | None = None
    blend: Picture | None = None
    gen_video: GenVideo | None = None
    gen_option: GenOption | None = None


class Component(Struct):
    """One step of a draft."""

    abilities: Abilities
    id: str = ""


class Draft(Struct):
    """draft_content, decoded."""

    component_list: list[Component]
    main_component_id: str = ""


class Commerce(Struct):
    """What is to be paid for."""

    benefit_type: str = ""


class Extend(Struct):
    """The outer extras."""

    root_model: str = ""
    m_video_commerce_info: Commerce | None = None


class Submission(Struct):
    """The body of a generate call."""

    submit_id: str = ""
    draft_content: Any = None
    metrics_extra: str = ""
    extend: Extend = field(default_factory=Extend)
    action: int = 1
    history_id: str = ""


@dataclass(frozen=True, slots=True)
class Ask:
    """A job as the site understands it."""

    kind: Literal["image", "video"]
    submit_id: str
    model_key: str
    model_title: str
    prompt: str
    triggers: Triggers
    #: 1 text to image, 12 blend, 10 video.
    generate_type: int
    #: Pixels of the result.
    width: int
    height: int
    #: Pictures that will be made; 1 for a video.
    count: int
    #: Credits for all of it.
    price: int
    #: How the spending is named in the credit history (8.3).
    title: str
    seed: int
    negative_prompt: str = ""
    resolution: str = ""
    aspect: str = ""
    duration_ms: int = 0
    fps: int = 24


def submission(body: bytes) -> Submission:
    """The body of a generate call; Refusal 1002 or 1000 for one that is none."""
    try:
        found = msgspec.json.decode(body, type=Submission)
    except msgspec.ValidationError as error:
        raise Refusal("1000", f"invalid parameter: {error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refusal("1002") from error
    if not isinstance(found.draft_content, str):
        raise Refusal("1002")
    if not found.submit_id:
        raise Refusal("1000", "invalid parameter: submit_id")
    return found


def ask(found: Submission, catalogue: Catalogue) -> Ask:
    """What it asks for; Refusal 1002, 1000, 2061, 5001 or what a prompt trigger says."""
    component = _main_component(found.draft_content)
    wanted = component.abilities
    if wanted.gen_video is not None:
        return _video(found, wanted.gen_video.text_to_video_params, catalogue)
    picture = wanted.generate or wanted.blend
    if picture is None:
        raise Refusal("1000", "invalid parameter: abilities")
    option = wanted.gen_option or picture.gen_option
    blend = wanted.generate is None
    return _image(found, picture.core_param, option, catalogue, blend=blend)


def _main_component(draft_content: str) -> Component:
    try:
        draft = msgspec.json.decode(draft_content, type=Draft)
    except msgspec.ValidationError as error:
        raise Refusal("1000", f"invalid parameter: {error}") from error
    except (msgspec.DecodeError, UnicodeEncodeError) as error:
        raise Refusal("1002") from error
    if not draft.component_list:
        raise Refusal("1000", "invalid parameter: component_list")
    for component in draft.component_list:
        if component.id == draft.main_component_id:
            return component
    return draft.component_list[-1]


def _image(
    found: Submission, core: CoreParam, option: GenOption | None, catalogue: Catalogue, *, blend: bool
) -> Ask:
    model = catalogue.images.get(core.model)
    if model is None:
        raise Refusal("2061")
    triggers = read(core.prompt)
    tier = core.large_image_info.resolution_type
    if tier not in model.tiers:
        raise Refusal("1000", "invalid parameter: resolution_type")
    if not 0 <= core.sample_strength <= 1:
        raise Refusal("1000", "invalid parameter: sample_strength")
    width, height = picture_size(model, tier, _ratio_code(core))
    count = _count(found, core.prompt, option, model)
    return Ask(
        kind="image",
        submit_id=found.submit_id,
        model_key=model.key,
        model_title=model.title,
        prompt=core.prompt,
        triggers=triggers,
        generate_type=12 if blend else 1,
        width=width,
        height=height,
        count=count,
        price=model.price * count,
        title=f"图片生成{tier.upper()} {count}张",
        seed=_seed(core.seed),
        negative_prompt=core.negative_prompt,
        resolution=tier,
    )


def _ratio_code(core: CoreParam) -> int:
    size = core.large_image_info
    if size.width < 0 or size.height < 0 or (size.width == 0) != (size.height == 0):
        raise Refusal("1000", "invalid parameter: large_image_info")
    if core.image_ratio is not None:
        # 101 to 108 are what older clients send for 4k (3.3).
        code = core.image_ratio - 100 if core.image_ratio > 100 else core.image_ratio
        if not 1 <= code <= 8:
            raise Refusal("1000", "invalid parameter: image_ratio")
        return code
    if not core.intelligent_ratio:
        raise Refusal("1000", "invalid parameter: image_ratio")
    return nearest_code(size.width, size.height) if size.width else 1


def _count(found: Submission, prompt: str, option: GenOption | None, model: ImageModel) -> int:
    asked = option.gen_count if option else None
    if _scene(found.metrics_extra) == "ImageMultiGenerate":
        named = _COUNT_IN_PROMPT.search(prompt)
        return max(1, min(15, int(named[1]))) if named else 4
    if asked is None:
        return model.default_count
    if asked not in model.allowed_counts():
        raise Refusal("1000", "invalid parameter: gen_count")
    return asked


def _scene(metrics_extra: str) -> str:
    """The scene of a picture's metrics; telemetry that cannot be read says nothing."""
    try:
        options = msgspec.json.decode(metrics_extra)["sceneOptions"]
        scenes = msgspec.json.decode(options) if isinstance(options, str) else options
        return str(scenes[0]["scene"])
    except (msgspec.DecodeError, LookupError, TypeError, UnicodeEncodeError):
        return ""


def _video(found: Submission, params: VideoParams, catalogue: Catalogue) -> Ask:
    model = catalogue.videos.get(params.model_req_key)
    if model is None:
        raise Refusal("2061")
    if len(params.video_gen_inputs) != 1:
        raise Refusal("1000", "invalid parameter: video_gen_inputs")
    wish = params.video_gen_inputs[0]
    prompt = _video_prompt(wish)
    resolution = wish.resolution or next(iter(model.benefits))
    _check_video(params, wish, model, resolution)
    _check_benefit(found, model)
    aspect = params.video_aspect_ratio or "16:9"
    width, height = video_size(resolution, aspect)
    seconds = wish.duration_ms // 1000
    return Ask(
        kind="video",
        submit_id=found.submit_id,
        model_key=model.key,
        model_title=model.title,
        prompt=prompt,
        triggers=read(prompt),
        generate_type=10,
        width=width,
        height=height,
        count=1,
        price=model.price * seconds,
        title=f"视频生成{resolution.upper()} {seconds}秒",
        seed=_seed(params.seed),
        resolution=resolution,
        aspect=aspect,
        duration_ms=wish.duration_ms,
        fps=wish.fps,
    )


def _check_video(params: VideoParams, wish: VideoInput, model: VideoModel, resolution: str) -> None:
    # With a frame the result follows the picture, so that the ratio may be left out (4.3).
    framed = wish.first_frame_image is not None or wish.end_frame_image is not None
    if params.video_aspect_ratio not in VIDEO_RATIOS and not (framed and not params.video_aspect_ratio):
        raise Refusal("1000", "invalid parameter: video_aspect_ratio")
    if wish.duration_ms not in [1000 * seconds for seconds in model.durations]:
        raise Refusal("1000", "invalid parameter: duration_ms")
    if resolution not in model.benefits:
        raise Refusal("1000", "invalid parameter: resolution")
    if not 12 <= wish.fps <= 30:
        raise Refusal("1000", "invalid parameter: fps")


def _check_benefit(found: Submission, model: VideoModel) -> None:
    paid = found.extend.m_video_commerce_info
    if paid is None or paid.benefit_type not in {*model.benefits.values(), *model.also}:
        raise Refusal(UNPAYABLE, "credit prededuct failed")


def _video_prompt(wish: VideoInput) -> str:
    """Its text, which an omni reference spreads over its meta list (5.3)."""
    if not isinstance(wish.unified_edit_input, dict):
        return wish.prompt
    parts = wish.unified_edit_input.get("meta_list")
    texts = [part.get("text") for part in parts if isinstance(part, dict)] if isinstance(parts, list) else []
    return wish.prompt + "".join(text for text in texts if isinstance(text, str))


def _seed(seed: int | None) -> int:
    if seed is None:
        return 0
    if not 0 <= seed < 2**32:
        raise Refusal("1000", "invalid parameter: seed")
    return seed
