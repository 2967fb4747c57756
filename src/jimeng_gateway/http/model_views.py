"""The JSON of models: everything that a caller may choose."""

from __future__ import annotations

from typing import Literal

import msgspec

from jimeng_gateway.domain.catalogue import Model, ModelStatus
from jimeng_gateway.domain.request import Kind


class SizeBody(msgspec.Struct, kw_only=True):
    """One size that a model offers."""

    ratio: str
    width: int
    height: int


class ResolutionBody(msgspec.Struct, kw_only=True):
    """A resolution with its sizes."""

    name: str
    sizes: list[SizeBody]


class ModelBody(msgspec.Struct, kw_only=True):
    """A model and what it takes."""

    id: str
    object: Literal["model"] = "model"
    kind: Kind
    title: str
    aliases: list[str]
    #: Whether the site's live catalogue lists it.
    status: ModelStatus
    resolutions: list[ResolutionBody]
    default_resolution: str
    default_ratio: str
    #: Pictures at once that may be asked for; empty when the site declares none.
    counts: list[int]
    default_count: int
    #: Lengths in seconds; empty for pictures.
    durations: list[int]
    default_duration: int | None
    negative_prompt: bool
    intelligent_ratio: bool
    multi_image: bool
    inputs: list[str]


class ModelList(msgspec.Struct, kw_only=True):
    """All models."""

    object: Literal["list"] = "list"
    data: list[ModelBody]


def model_json(model: Model) -> ModelBody:
    """A model with everything that a caller may choose."""
    video = model.kind is Kind.VIDEO
    return ModelBody(
        id=model.name,
        kind=model.kind,
        title=model.title,
        aliases=list(model.aliases),
        status=model.status,
        resolutions=[
            ResolutionBody(
                name=tier.name,
                sizes=[
                    SizeBody(ratio=size.ratio, width=size.width, height=size.height) for size in tier.sizes
                ],
            )
            for tier in model.tiers
        ],
        default_resolution=model.default_tier,
        default_ratio=model.default_ratio,
        counts=list(model.counts),
        default_count=model.default_count,
        durations=list(model.durations),
        default_duration=model.default_duration if video else None,
        negative_prompt=model.negative_prompt,
        intelligent_ratio=model.intelligent_ratio,
        multi_image=model.multi_image,
        inputs=list(model.inputs),
    )
