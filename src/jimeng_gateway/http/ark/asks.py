"""From what an Ark client asks to a wish, or to a refusal by name of what the site cannot do.

What asks for the very thing that is made anyway is taken; what would change the result and cannot be honoured
is refused before anything is spent, with the reason (ark.md 2.2, 3.1; jimeng-web.md 3.6, 4.4).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from jimeng_gateway.domain.catalogue import OMNI_INPUT, Model
from jimeng_gateway.domain.errors import InvalidRequest
from jimeng_gateway.domain.intake import USUAL_COUNTS, Wish
from jimeng_gateway.domain.reference import Reference, Role
from jimeng_gateway.domain.request import Kind
from jimeng_gateway.http.ark.content import marked, prompt_of
from jimeng_gateway.http.ark.flags import Flags, without_flags
from jimeng_gateway.http.ark.shapes import ArkImageOrder, ArkOptimize, ArkVideoOrder

FPS = 24
#: What the site makes when a prompt for a series names no number (jimeng-web.md 3.6).
_USUAL_SERIES = 4
_MOST_IN_GROUP = 15
_NAMED = re.compile(r"([0-9]{1,3})\s*张")


def video_wish(body: ArkVideoOrder, references: Sequence[Reference] = ()) -> Wish:
    """What a create asks for."""
    prompt, flags = without_flags(prompt_of(body.content))
    _refuse_video(body, flags)
    ratio = body.ratio or flags.ratio or ""
    return Wish(
        kind=Kind.VIDEO,
        prompt=marked(prompt, references),
        model=body.model,
        resolution=body.resolution or flags.resolution,
        ratio=None if ratio.strip().casefold() == "adaptive" else ratio,
        duration=_seconds(body, flags),
        seed=_seed(body.seed if body.seed is not None else flags.seed),
        references=tuple(references),
    )


def video_memo(body: ArkVideoOrder) -> dict[str, object]:
    """What a get tells again as it was asked."""
    frames = body.frames
    if frames is None and body.duration is None:
        frames = without_flags(prompt_of(body.content))[1].frames
    said = {"frames": frames, "priority": body.priority}
    return {"model": body.model} | {name: value for name, value in said.items() if value is not None}


def refuse_sound(body: ArkVideoOrder, model: Model) -> None:
    """InvalidRequest for `generate_audio` other than what the model does: there is no switch for it.

    Seedance 2.x, which is what takes omni references, makes sound with every video (ark.md 2.2).
    """
    sound = OMNI_INPUT in model.inputs
    if body.generate_audio not in (None, sound):
        what = "always makes" if sound else "is not known to make"
        raise _refusal("generate_audio", f"{model.name} {what} sound, and the site has no switch for it")


def refuse_references(references: Sequence[Reference], model: Model) -> None:
    """InvalidRequest for references to a model that takes frames only.

    Elsewhere pictures without a role become frames there. Ark's clients say which they mean (ark.md 2.3), and
    a reference that becomes the first frame makes another video.
    """
    if model.materials is None and any(entry.role is Role.REFERENCE for entry in references):
        raise InvalidRequest(
            f"content: {model.name} takes no references; choose a model that does, or say first_frame",
            param="content",
            code="not_supported",
        )


def _seconds(body: ArkVideoOrder, flags: Flags) -> int | None:
    if body.frames is not None:
        return _of_frames(body.frames)
    if body.duration is None and flags.frames is not None:
        return _of_frames(flags.frames)
    seconds = body.duration if body.duration is not None else flags.duration
    return None if seconds == -1 else seconds


def _of_frames(frames: int) -> int:
    """Ark counts the first frame too: 121 are five seconds (ark.md 2.2, 2.6)."""
    seconds, rest = divmod(frames, FPS)
    if seconds < 1 or rest > 1:
        raise _refusal(
            "frames", f"the site counts whole seconds; of {FPS} frames each, and one more, {frames} are none"
        )
    return seconds


def _seed(seed: int | None) -> int | None:
    return None if seed == -1 else seed


def _refuse_video(body: ArkVideoOrder, flags: Flags) -> None:
    camera = body.camera_fixed if body.camera_fixed is not None else flags.camera_fixed
    _refuse(
        {
            "camera_fixed": (camera, "the site has no such setting; say it in the prompt"),
            "return_last_frame": (body.return_last_frame, "the site gives no picture of the last frame"),
            "draft": (body.draft, "drafts are not made here; choose 480p where the model has it"),
            "tools": (body.tools, "the site offers no tools"),
        }
    )
    _only("service_tier", body.service_tier, ("default",), "there is one tier")
    _only("output_format", body.output_format, ("mp4",), "the site makes mp4")
    _only(
        "omni_reference_task_type",
        body.omni_reference_task_type,
        ("auto", "reference"),
        "clips serve as references only",
    )


def image_wish(body: ArkImageOrder, references: Sequence[Reference] = ()) -> Wish:
    """What a picture request asks for, but for its number; see group_of."""
    _refuse_image(body)
    size = (body.size or "").strip()
    return Wish(
        kind=Kind.IMAGE,
        prompt=body.prompt,
        model=body.model,
        size=None if size.casefold() == "adaptive" else size,
        seed=_seed(body.seed),
        n=body.n,
        references=tuple(references),
    )


def is_group(body: ArkImageOrder) -> bool:
    """Whether it asks for several pictures in Ark's way."""
    return body.sequential_image_generation == "auto" and body.n is None and _most(body) > 1


def group_of(body: ArkImageOrder, model: Model) -> tuple[int | None, bool]:
    """How many pictures, and whether as a series that belongs together.

    A series of the site has as many as the prompt names (`6张`), else four (jimeng-web.md 3.6). Where that is
    more than `max_images`, or the model makes no series, so many single ones are made as both allow.
    """
    most = _most(body)
    named = _NAMED.search(body.prompt)
    if model.multi_image and (int(named[1]) if named else _USUAL_SERIES) <= most:
        return None, True
    fitting = [count for count in model.counts or USUAL_COUNTS if count <= most]
    if not fitting:
        raise _refusal("sequential_image_generation_options", f"{model.name} does not make so few")
    return max(fitting), False


def _most(body: ArkImageOrder) -> int:
    options = body.sequential_image_generation_options
    return (options.max_images if options else None) or _MOST_IN_GROUP


def _refuse_image(body: ArkImageOrder) -> None:
    optimize = body.optimize_prompt_options or ArkOptimize()
    _refuse(
        {
            "guidance_scale": (body.guidance_scale is not None, "the site has no such setting"),
            "optimize_prompt": (body.optimize_prompt, "prompts are sent as they are"),
            "tools": (body.tools, "the site offers no tools"),
            "layer_decomposition": (body.layer_decomposition, "the site makes no layers"),
        }
    )
    _only("background", body.background, ("auto", "opaque"), "the site makes no transparent pictures")
    for value, usual in ((optimize.mode, "standard"), (optimize.thinking, "auto")):
        _only("optimize_prompt_options", value, (usual,), "prompts are sent as they are")


def _refuse(asked: Mapping[str, tuple[object, str]]) -> None:
    for field, (value, why) in asked.items():
        if value:
            raise _refusal(field, why)


def _only(field: str, value: str | None, allowed: Sequence[str], why: str) -> None:
    if value is not None and value.casefold() not in allowed:
        raise _refusal(field, f"{why}; allowed: {', '.join(allowed)}")


def _refusal(field: str, why: str) -> InvalidRequest:
    return InvalidRequest(f"{field}: {why}", param=field, code="not_supported")
