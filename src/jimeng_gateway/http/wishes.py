"""From what a caller sent to what the catalogue checks: one place that knows both vocabularies."""

from __future__ import annotations

from dataclasses import replace

from jimeng_gateway.domain.intake import Wish
from jimeng_gateway.domain.reference import Reference
from jimeng_gateway.domain.request import Kind
from jimeng_gateway.http.schemas import ImageGeneration, NewTask, VideoGeneration


def wish_of(
    body: NewTask | ImageGeneration | VideoGeneration, references: tuple[Reference, ...] = ()
) -> Wish:
    """The wish that a request body expresses; what it does not mention stays open."""
    return replace(_without_references(body), references=references)


def _without_references(body: NewTask | ImageGeneration | VideoGeneration) -> Wish:
    match body:
        case NewTask():
            return Wish(
                kind=body.kind,
                prompt=body.prompt,
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
                duration=body.duration,
            )
        case ImageGeneration():
            return Wish(
                kind=Kind.IMAGE,
                prompt=body.prompt,
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
            )
        case VideoGeneration():
            return Wish(
                kind=Kind.VIDEO,
                prompt=body.prompt,
                model=body.model,
                ratio=body.ratio,
                resolution=body.resolution,
                size=body.size,
                seed=body.seed,
                duration=body.duration,
            )
