"""From a request for pictures to a wish: what OpenAI's words mean for the models of the site.

A pixel size becomes the nearest one on offer (domain/intake.py). `quality` chooses the resolution, but only
where no size and no resolution does. What would change the picture and cannot be had is refused by name.
"""

from __future__ import annotations

from math import sqrt

from jimeng_gateway.domain.catalogue import Model, Tier
from jimeng_gateway.domain.errors import InvalidRequest
from jimeng_gateway.domain.intake import Wish
from jimeng_gateway.domain.reference import Reference
from jimeng_gateway.domain.request import Kind
from jimeng_gateway.http.openai.shapes import PictureFields

#: The prompt of a variation: that route has none, and the site makes nothing without one.
VARIATION_PROMPT = "A variation of this picture: the same subject and style, with small differences in detail"

#: Thousands of pixels on the side of a square; None leaves it to the model.
_QUALITIES: dict[str, float | None] = {
    "low": 1.0,
    "standard": None,
    "medium": None,
    "auto": None,
    "high": 2.0,
    "hd": 2.0,
    "xhigh": 4.0,
    "max": 4.0,
}
_FORMATS = ("png", "jpeg", "jpg", "webp")
_BACKGROUNDS = ("opaque", "auto")


def picture_wish(body: PictureFields, prompt: str, references: tuple[Reference, ...]) -> Wish:
    """The wish that a request expresses; InvalidRequest for what no model of the site makes."""
    _refuse_unless_known(body)
    return Wish(
        kind=Kind.IMAGE,
        prompt=prompt,
        model=body.model,
        n=body.n,
        ratio=body.ratio,
        resolution=body.resolution,
        size=body.size,
        negative_prompt=body.negative_prompt,
        sample_strength=body.sample_strength,
        intelligent_ratio=body.intelligent_ratio,
        multi_image=body.multi_image,
        seed=body.seed,
        references=references,
    )


def quality_decides(body: PictureFields) -> bool:
    """Whether `quality` chooses the resolution: it asks for one, and nothing else does."""
    size = (body.size or "").strip().casefold()
    return _side(body.quality) is not None and not body.resolution and (size in ("", "auto") or ":" in size)


def tier_for(quality: str | None, model: Model) -> str | None:
    """The resolution of the model nearest to what a quality stands for; None for its default."""
    wanted = _side(quality)
    if wanted is None or not model.tiers:
        return None
    return min(model.tiers, key=lambda tier: (abs(_side_of(tier) - wanted), _side_of(tier))).name


def quality_word(quality: str | None) -> str:
    """The word that replies may have for it (openai-media.md 4)."""
    word = (quality or "").strip().casefold()
    return word if word in ("low", "medium", "high") else "auto"


def _side(quality: str | None) -> float | None:
    return _QUALITIES.get((quality or "auto").strip().casefold())


def _side_of(tier: Tier) -> float:
    return max((sqrt(size.width * size.height) / 1024 for size in tier.sizes), default=0.0)


def _refuse_unless_known(body: PictureFields) -> None:
    word = (body.quality or "auto").strip().casefold()
    if word not in _QUALITIES:
        allowed = ", ".join(_QUALITIES)
        raise InvalidRequest(f"quality: {word[:50]!r} is not known; allowed: {allowed}", param="quality")
    if (body.output_format or "png").strip().casefold() not in _FORMATS:
        raise _not_supported(
            "output_format", "the site makes still pictures of pixels; allowed: png, jpeg, webp"
        )
    if (body.background or "auto").strip().casefold() not in _BACKGROUNDS:
        raise _not_supported(
            "background", "no model of the site makes transparent pictures; allowed: opaque, auto"
        )


def _not_supported(param: str, why: str) -> InvalidRequest:
    return InvalidRequest(f"{param}: {why}", param=param, code="not_supported")
