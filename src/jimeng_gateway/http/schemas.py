"""What callers may send, field by field; the OpenAPI document shows these types.

Only the form is checked here. Whether a model takes a value is for the catalogue (domain/intake.py) to say.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from jimeng_gateway.domain.options import ArkStatus
from jimeng_gateway.domain.request import Kind
from jimeng_gateway.domain.route import Route
from jimeng_gateway.domain.task import Stage

Number = Annotated[int, Meta(ge=0, le=2**31 - 1)]
Seed = Annotated[
    int, Meta(ge=0, le=2**32 - 1, description="Same seed, same model, same prompt: a similar picture.")
]
Count = Annotated[int, Meta(ge=1, le=100, description="How many pictures; the model may take fewer.")]
Strength = Annotated[float, Meta(ge=0, le=1)]
Prompt = Annotated[str, Meta(min_length=1)]
Word = Annotated[str, Meta(max_length=128)]
Label = Annotated[str, Meta(max_length=200)]
Slots = Annotated[int, Meta(ge=1, le=64, description="Most tasks at once.")]
Seconds = Annotated[float, Meta(gt=0, le=3600, description="Length of the video in seconds.")]
#: Older clients write the length as "5s".
LooseSeconds = Seconds | Annotated[str, Meta(max_length=16)]


class NewTask(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A picture or a video to be made."""

    prompt: Prompt
    model: Word | None = None
    #: Needed only when no model is named.
    kind: Kind | None = None
    n: Count | None = None
    #: "16:9"
    ratio: Word | None = None
    #: "2k", "720p"
    resolution: Word | None = None
    #: "2048x2048": the nearest size that the model offers is taken.
    size: Word | None = None
    negative_prompt: str | None = None
    sample_strength: Strength | None = None
    intelligent_ratio: bool | None = None
    multi_image: bool | None = None
    seed: Seed | None = None
    duration: Seconds | None = None


class TaskFilter(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Which tasks to list."""

    stage: Stage | None = None
    kind: Kind | None = None
    model: Word | None = None
    limit: Annotated[int, Meta(ge=1, le=100)] = 20
    cursor: Annotated[str, Meta(max_length=512)] | None = None


class EventFilter(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """From where on to tell."""

    #: Only events with a higher number. The header Last-Event-ID wins over it.
    after: Number = 0


class NewSession(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A login to add. The credential is written, never shown again."""

    #: The bare session id, the whole Cookie header, or a browser's export of cookies (JSON, Netscape).
    credential: Annotated[str, Meta(min_length=1, max_length=262_144)]
    label: Label | None = None
    region: Word | None = None
    slots: Slots | None = None


class SessionChange(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What to change; what is absent stays."""

    label: Label | None = None
    enabled: bool | None = None
    slots: Slots | None = None
    credential: Annotated[str, Meta(min_length=1, max_length=262_144)] | None = None
    #: By which door its submits leave: the site's page in a browser, plain HTTP, or as it suits the job.
    route: Route | None = None


class NewKey(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A key to make."""

    name: Annotated[str, Meta(min_length=1, max_length=200)]
    admin: bool = False


class KeyChange(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What callers of the key get unless they say otherwise; what is absent stays."""

    #: Other names for models: `{"sora-2": "seedance-2.0-fast"}`. A name may end in `*`.
    aliases: (
        Annotated[dict[Annotated[str, Meta(min_length=1, max_length=128)], Word], Meta(max_length=200)] | None
    ) = None
    #: In what form pictures are handed over; "auto": as the dialect itself does.
    image_format: Literal["auto", "url", "b64_json"] | None = None
    #: Seconds that a request waits for its task, at most 600; "auto": as the route itself does.
    wait: Annotated[float, Meta(ge=0, le=600)] | Literal["auto"] | None = None
    #: Whether the Ark door tells `cancelled` and `expired`, or `failed` in their place.
    ark_status: ArkStatus | None = None
