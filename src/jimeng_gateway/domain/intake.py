"""From what a caller wishes to a complete GenerationRequest, or to a refusal that says what is allowed.

Nothing is changed in silence: a model, ratio, resolution, length or count that is not offered is refused. The
one thing that is fitted is a pixel size, which callers of other APIs send and no model offers freely: it
becomes the nearest size of the model, ratio first, by the site's own rule (jimeng-web.md 3.3).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from jimeng_gateway.domain.catalogue import OMNI_INPUT, Catalogue, Model, Size, Tier
from jimeng_gateway.domain.errors import InvalidRequest
from jimeng_gateway.domain.placement import first_frame, placed
from jimeng_gateway.domain.reference import Reference
from jimeng_gateway.domain.request import GenerationRequest, Kind

#: Characters; the site's own limit is not known (5.4).
LONGEST_PROMPT = 16_000
LARGEST_SEED = 2**32 - 1
LARGEST_SIDE = 16_384
#: Counts accepted where the site declares none; four is what its pages made before it declared any.
USUAL_COUNTS = (1, 2, 3, 4)
DEFAULT_STRENGTH = 0.5

_PIXELS = re.compile(r"([0-9]{1,6})\s*[x×*]\s*([0-9]{1,6})", re.IGNORECASE)
_RATIO = re.compile(r"[0-9]{1,3}:[0-9]{1,3}")
_TIER = re.compile(r"[0-9]{1,4}(?:\.[0-9])?[kp]", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Wish:
    """What a caller may ask for. None, or an empty text, stands for "not said"."""

    prompt: str
    #: Name, alias or key; not said: the default model of the kind.
    model: str | None = None
    #: What the caller expects to get; not said: what the model makes, or images.
    kind: Kind | None = None
    #: How many pictures.
    n: int | str | None = None
    ratio: str | None = None
    resolution: str | None = None
    #: "1024x768", "16:9", "2K" or "auto".
    size: str | None = None
    negative_prompt: str | None = None
    sample_strength: float | str | None = None
    #: The model chooses the ratio from the prompt.
    intelligent_ratio: bool | None = None
    seed: int | str | None = None
    #: Seconds: 5, "5" or "5s".
    duration: float | str | None = None
    #: A series of pictures that belong together (3.6). The site's page turns this on by itself when a prompt
    #: for a 4.x or 5.x model speaks of 连续, 绘本, 故事 or "N张"; here only the caller does.
    multi_image: bool | None = None
    #: In the order of their numbers, measured.
    references: tuple[Reference, ...] = ()


def plan(wish: Wish, catalogue: Catalogue) -> GenerationRequest:
    """The job that the wish describes, complete; InvalidRequest names the field and what is allowed."""
    model = _model(wish, catalogue)
    prompt = _text(wish.prompt, "prompt", LONGEST_PROMPT)
    if not prompt.strip():
        raise _refuse("prompt", "it must not be empty")
    wish = replace(wish, references=placed(wish.references, prompt, model))
    if model.kind is Kind.IMAGE:
        return _image(wish, model, prompt)
    return _video(wish, model, prompt)


def _model(wish: Wish, catalogue: Catalogue) -> Model:
    if not wish.model:
        return catalogue.default(wish.kind or Kind.IMAGE)
    model = catalogue.find(wish.model)
    if wish.kind is not None and model.kind is not wish.kind:
        allowed = ", ".join(m.name for m in catalogue.of_kind(wish.kind))
        raise InvalidRequest(
            f"model: {model.name} makes {model.kind}s; allowed for {wish.kind}s: {allowed}",
            param="model",
            code="model_not_found",
        )
    return model


def _image(wish: Wish, model: Model, prompt: str) -> GenerationRequest:
    if _said(wish.duration):
        raise _refuse("duration", f"{model.name} makes images, which have none")
    intelligent = bool(wish.intelligent_ratio)
    if intelligent and not model.intelligent_ratio:
        raise _refuse("intelligent_ratio", f"{model.name} does not choose the ratio itself")
    if wish.multi_image and not model.multi_image:
        raise _refuse("multi_image", f"{model.name} does not make series")
    negative = wish.negative_prompt if wish.negative_prompt and wish.negative_prompt.strip() else ""
    negative = _text(negative, "negative_prompt", LONGEST_PROMPT)
    if negative and not model.negative_prompt:
        raise _refuse("negative_prompt", f"{model.name} does not take one")
    tier, size = _shape(wish, model, intelligent=intelligent)
    return GenerationRequest(
        kind=Kind.IMAGE,
        model=model.name,
        model_key=model.key,
        prompt=prompt,
        ratio="" if intelligent else size.ratio,
        resolution=tier.name,
        width=size.width,
        height=size.height,
        ratio_code=size.ratio_code,
        count=_count(wish, model),
        negative_prompt=negative,
        sample_strength=_strength(wish),
        intelligent_ratio=intelligent,
        seed=_seed(wish),
        multi_image=bool(wish.multi_image),
        benefit_type=tier.benefit_type,
        references=wish.references,
    )


def _video(wish: Wish, model: Model, prompt: str) -> GenerationRequest:
    only_images = {
        "negative_prompt": _said(wish.negative_prompt),
        "sample_strength": _said(wish.sample_strength),
        "intelligent_ratio": bool(wish.intelligent_ratio),
        "multi_image": bool(wish.multi_image),
    }
    for param, said in only_images.items():
        if said:
            raise _refuse(param, f"{model.name} makes videos and does not take it")
    if _said(wish.n) and _whole(wish.n, "n") != 1:
        raise _refuse("n", f"one task of {model.name} makes one video; allowed: 1")
    tier, size = _video_shape(wish, model)
    return GenerationRequest(
        kind=Kind.VIDEO,
        model=model.name,
        model_key=model.key,
        prompt=prompt,
        ratio=size.ratio,
        resolution=tier.name,
        width=size.width,
        height=size.height,
        seed=_seed(wish),
        duration_ms=_duration(wish, model) * 1000,
        fps=model.fps,
        send_resolution=model.send_resolution,
        benefit_type=tier.benefit_type,
        references=wish.references,
        omni=OMNI_INPUT in model.inputs,
    )


def _video_shape(wish: Wish, model: Model) -> tuple[Tier, Size]:
    """With a first frame the video gets the frame's ratio, whatever is asked for (4.3): its default."""
    tier, size = _shape(wish, model, intelligent=False)
    frame = first_frame(wish.references)
    wanted = (wish.size or "").strip()
    if frame is None or _said(wish.ratio) or _RATIO.fullmatch(wanted) or _PIXELS.fullmatch(wanted):
        return tier, size
    if not (0 < frame.width <= LARGEST_SIDE and 0 < frame.height <= LARGEST_SIDE):
        return tier, size
    return _nearest(frame.width, frame.height, model, tier.name)


def _shape(wish: Wish, model: Model, *, intelligent: bool) -> tuple[Tier, Size]:
    """The tier and the size in it."""
    size = (wish.size or "").strip()
    ratio, resolution = (wish.ratio or "").strip(), (wish.resolution or "").strip()
    pixels = _PIXELS.fullmatch(size)
    if pixels:
        tier, found = _nearest(int(pixels[1]), int(pixels[2]), model, resolution)
    else:
        ratio, resolution = _with_size(size, ratio, resolution)
        tier = _tier(model, resolution)
        found = _in_tier(tier, ratio or _default_ratio(tier, model), model)
    if pixels and ratio and found.ratio != ratio:
        raise _refuse("ratio", f"{ratio!r} contradicts the size {size!r}, which is nearest to {found.ratio}")
    if intelligent and (ratio or pixels):
        raise _refuse("intelligent_ratio", "the model cannot choose the ratio when one is given")
    return tier, found


def _with_size(size: str, ratio: str, resolution: str) -> tuple[str, str]:
    """Ratio and resolution once `size` has been read as either of them."""
    if not size or size.casefold() == "auto":
        return ratio, resolution
    if _RATIO.fullmatch(size):
        if ratio and ratio != size:
            raise _refuse("ratio", f"{ratio!r} contradicts the size {size!r}")
        return size, resolution
    if _TIER.fullmatch(size):
        if resolution and resolution.casefold() != size.casefold():
            raise _refuse("resolution", f"{resolution!r} contradicts the size {size!r}")
        return ratio, size
    raise _refuse("size", f"{size[:50]!r} is not of the form 1024x768, 16:9, 2K or auto")


def _tier(model: Model, resolution: str) -> Tier:
    wanted = (resolution or model.default_tier).casefold()
    found = next((tier for tier in model.tiers if tier.name.casefold() == wanted), None)
    if found is None:
        allowed = ", ".join(tier.name for tier in model.tiers)
        raise _refuse("resolution", f"{model.name} does not offer {resolution[:50]!r}; allowed: {allowed}")
    return found


def _in_tier(tier: Tier, ratio: str, model: Model) -> Size:
    found = next((size for size in tier.sizes if size.ratio == ratio), None)
    if found is None:
        allowed = ", ".join(size.ratio for size in tier.sizes)
        raise _refuse(
            "ratio", f"{model.name} does not offer {ratio[:50]!r} at {tier.name}; allowed: {allowed}"
        )
    return found


def _default_ratio(tier: Tier, model: Model) -> str:
    offered = [size.ratio for size in tier.sizes]
    return model.default_ratio if model.default_ratio in offered else offered[0]


def _nearest(width: int, height: int, model: Model, resolution: str) -> tuple[Tier, Size]:
    """The nearest size on offer: nearest ratio by numeric distance, then nearest number of pixels."""
    if not (0 < width <= LARGEST_SIDE and 0 < height <= LARGEST_SIDE):
        raise _refuse("size", f"each side must be between 1 and {LARGEST_SIDE} pixels")
    tiers = [_tier(model, resolution)] if resolution else model.tiers
    offered = [(tier, size) for tier in tiers for size in tier.sizes]
    wanted = width / height

    def distance(entry: tuple[Tier, Size]) -> tuple[float, int]:
        wide, high = entry[1].ratio.split(":")
        pixels = entry[1].width * entry[1].height
        return abs(wanted - int(wide) / int(high)), abs(pixels - width * height)

    return min(offered, key=distance)


def _count(wish: Wish, model: Model) -> int:
    if not _said(wish.n):
        return model.default_count
    count, allowed = _whole(wish.n, "n"), model.counts or USUAL_COUNTS
    if count not in allowed:
        raise _refuse("n", f"{model.name} does not make {count}; allowed: {', '.join(map(str, allowed))}")
    return count


def _duration(wish: Wish, model: Model) -> int:
    if not _said(wish.duration):
        return model.default_duration
    given = wish.duration
    if isinstance(given, str):
        given = re.sub(r"\s*(s|sec|seconds|秒)$", "", given.strip(), flags=re.IGNORECASE)
    seconds = _number(given, "duration")
    if seconds not in model.durations:
        allowed = ", ".join(map(str, model.durations))
        raise _refuse("duration", f"{model.name} does not make {seconds:g} s; allowed: {allowed}")
    return int(seconds)


def _seed(wish: Wish) -> int | None:
    if not _said(wish.seed):
        return None
    seed = _whole(wish.seed, "seed")
    if not 0 <= seed <= LARGEST_SEED:
        raise _refuse("seed", f"it must be between 0 and {LARGEST_SEED}")
    return seed


def _strength(wish: Wish) -> float:
    if not _said(wish.sample_strength):
        return DEFAULT_STRENGTH
    strength = _number(wish.sample_strength, "sample_strength")
    if not 0 <= strength <= 1:
        raise _refuse("sample_strength", "it must be between 0 and 1")
    return strength


def _text(value: str, param: str, longest: int) -> str:
    if len(value) > longest:
        raise _refuse(param, f"it is longer than {longest} characters")
    if "\0" in value:
        raise _refuse(param, "it contains a NUL character")
    if any("\ud800" <= letter <= "\udfff" for letter in value):
        raise _refuse(param, "it contains half a surrogate pair, which is no character")
    return value


def _said(value: object) -> bool:
    return value is not None and (not isinstance(value, str) or bool(value.strip()))


def _whole(value: object, param: str) -> int:
    number = _number(value, param)
    if not number.is_integer():
        raise _refuse(param, f"{number:g} is not a whole number")
    return int(number)


def _number(value: object, param: str) -> float:
    if isinstance(value, str) and re.fullmatch(r"[+-]?[0-9]{1,15}(\.[0-9]{1,15})?", value.strip(), re.ASCII):
        value = float(value)
    # The comparison also keeps out NaN and the infinities.
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= 2**53:
        return float(value)
    shown = f"{value[:50]!r} is not a number" if isinstance(value, str) else "it is not a number in range"
    raise _refuse(param, shown)


def _refuse(param: str, why: str) -> InvalidRequest:
    return InvalidRequest(f"{param}: {why}", param=param)
