"""What clients of the OpenAI API send for pictures and videos, field by field (openai-media.md 3, 5).

Every field of that API is here, so that no client is refused for one that it always sends. What has no effect
says so; what would change the result and cannot be honoured is refused by name, here or in pictures.py.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from jimeng_gateway.http.relay.shapes import Metadata
from jimeng_gateway.http.schemas import Count, LooseSeconds, Prompt, Seed, Strength, Word


class PictureFields(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What all requests for pictures have in common."""

    model: Word | None = None
    n: Count | None = None
    #: "auto" or "1024x1024": the nearest size that the model offers is taken. Also "16:9" and "2K".
    size: Word | None = None
    response_format: Literal["url", "b64_json"] | None = None
    #: Ours, and the older gateways': a ratio, a resolution … that the model offers.
    ratio: Word | None = None
    resolution: Word | None = None
    negative_prompt: str | None = None
    sample_strength: Strength | None = None
    intelligent_ratio: bool | None = None
    multi_image: bool | None = None
    seed: Seed | None = None
    #: low, high, xhigh … choose the resolution if nothing else does.
    quality: Word | None = None
    #: png, jpeg or webp; the pictures stay as the site makes them, and the reply says how that is.
    output_format: Word | None = None
    #: opaque or auto.
    background: Word | None = None
    #: Without effect from here on: who the user is, and what belongs to other models.
    user: Any = None
    safety_identifier: Any = None
    style: Any = None
    moderation: Any = None
    output_compression: Any = None
    complexity: Any = None
    frame_count: Any = None
    frame_duration_ms: Any = None
    #: How a drawing of lines would be made; asking for one (`output_format`) is refused.
    svg: Any = None
    svg_model: Any = msgspec.field(default=None, name="svg[model]")
    svg_effort: Any = msgspec.field(default=None, name="svg[reasoning][effort]")


class ImageRequest(PictureFields, kw_only=True, forbid_unknown_fields=True):
    """Pictures from a prompt, perhaps with references."""

    prompt: Prompt
    #: One event for each finished picture.
    stream: bool | None = None
    #: Without effect: the site shows no unfinished pictures, so there are only the finished ones.
    partial_images: Any = None


class ImageEdit(ImageRequest, kw_only=True, forbid_unknown_fields=True):
    """Pictures from a prompt and at least one picture."""

    #: Without effect: `sample_strength` is the measure that the site knows.
    input_fidelity: Any = None
    temperature: Any = None


class ImageVariation(PictureFields, kw_only=True, forbid_unknown_fields=True):
    """Pictures like one that is given, without a prompt."""


class VideoFields(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What all requests for videos have in common."""

    prompt: Prompt
    model: Word | None = None
    #: Seconds, as text or as a number.
    seconds: LooseSeconds | None = None
    #: The same, as other clients call it.
    duration: LooseSeconds | None = None
    #: "1280x720": the nearest size that the model offers is taken. Also "16:9" and "720p".
    size: Word | None = None
    ratio: Word | None = None
    resolution: Word | None = None
    seed: Seed | None = None
    n: Count | None = None
    #: What relays hand on from their clients: as at their own route (relay/shapes.py), the rest are labels.
    metadata: Metadata | None = None
    #: Without effect.
    user: Any = None
    safety_identifier: Any = None


class VideoRequest(VideoFields, kw_only=True, forbid_unknown_fields=True):
    """A video from a prompt, perhaps with references."""


class VideoEdit(VideoFields, kw_only=True, forbid_unknown_fields=True):
    """A video from a prompt and a video: a file, or one that was made here."""

    video_id: Annotated[str, Meta(max_length=64)] | None = msgspec.field(default=None, name="video[id]")


class VideoRemix(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Another prompt for a video that was made here."""

    prompt: Prompt


class VideoFilter(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Which videos to list."""

    #: Only those behind this one: `last_id` of the page before.
    after: Annotated[str, Meta(max_length=64)] | None = None
    limit: Annotated[int, Meta(ge=1, le=100)] = 20
    order: Literal["asc", "desc"] = "desc"


class VideoFile(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Which file of a video."""

    variant: Literal["video", "thumbnail", "spritesheet"] = "video"
