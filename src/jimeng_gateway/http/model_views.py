"""The JSON of models: everything that a caller may choose."""

from __future__ import annotations

from typing import Literal

import msgspec

from jimeng_gateway.domain.catalogue import Model, ModelStatus
from jimeng_gateway.domain.materials import MEDIA_TYPES, MaterialLimits
from jimeng_gateway.domain.reference import Media
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


class MaterialBody(msgspec.Struct, kw_only=True):
    """Limits of one kind of reference; null where nothing is declared."""

    most: int
    media_types: list[str]
    largest_bytes: int | None
    shortest_ms: int | None
    longest_ms: int | None
    total_ms: int | None
    least_side: int | None
    most_side: int | None
    least_ratio: float | None
    most_ratio: float | None


class MaterialsBody(msgspec.Struct, kw_only=True):
    """The references that a model takes; null for a kind that it does not take."""

    most: int | None
    #: At least one must be of one of these kinds.
    any_of: list[Media]
    image: MaterialBody | None
    video: MaterialBody | None
    audio: MaterialBody | None


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
    #: Ways of use: "first_frame" and "end_frame" are pictures, "unified_edit" are references.
    inputs: list[str]
    #: Null if the model takes no references.
    references: MaterialsBody | None


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
        references=_materials(model.materials) if model.materials else None,
    )


def _materials(limits: MaterialLimits) -> MaterialsBody:
    return MaterialsBody(
        most=limits.most or None,
        any_of=list(limits.any_of),
        image=_material(limits, Media.IMAGE),
        video=_material(limits, Media.VIDEO),
        audio=_material(limits, Media.AUDIO),
    )


def _material(limits: MaterialLimits, kind: Media) -> MaterialBody | None:
    own = limits.of(kind)
    if not own.most:
        return None
    return MaterialBody(
        most=own.most,
        media_types=list(MEDIA_TYPES[kind]),
        largest_bytes=own.largest or None,
        shortest_ms=own.shortest_ms or None,
        longest_ms=own.longest_ms or None,
        total_ms=own.total_ms or None,
        least_side=own.least_side or None,
        most_side=own.most_side or None,
        least_ratio=own.least_ratio or None,
        most_ratio=own.most_ratio or None,
    )
