"""What the clients of older gateways send and read, field by field."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from jimeng_gateway.domain.task import Stage
from jimeng_gateway.http.legacy.pictures import Picture
from jimeng_gateway.http.schemas import Count, LooseSeconds, Prompt, Seed, Strength, Word
from jimeng_gateway.http.views import TaskBody


class VideoGeneration(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The video request of the gateway that this one replaces."""

    prompt: Prompt
    model: Word | None = None
    duration: LooseSeconds | None = None
    ratio: Word | None = None
    resolution: Word | None = None
    size: Word | None = None
    seed: Seed | None = None
    #: Without effect: a video is always handed over as a link.
    response_format: Any = None
    #: Without effect: it says how many seconds a client waits between two polls.
    poll_interval: Any = None
    user: Any = None


class ImageComposition(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Pictures out of pictures: needs at least one in `images` or another field for references."""

    prompt: Prompt
    model: Word | None = None
    n: Count | None = None
    ratio: Word | None = None
    resolution: Word | None = None
    size: Word | None = None
    negative_prompt: str | None = None
    sample_strength: Strength | None = None
    intelligent_ratio: bool | None = None
    multi_image: bool | None = None
    seed: Seed | None = None
    response_format: Literal["url", "b64_json"] | None = None
    #: Without effect: it names the caller's own user.
    user: Any = None


class Video(msgspec.Struct, kw_only=True):
    """A finished video."""

    task_id: str
    status: Stage
    url: str


class VideoReply(msgspec.Struct, kw_only=True):
    """The video was ready within the wait."""

    code: Literal[0] = 0
    message: str
    #: Seconds since the epoch.
    created: int
    data: list[Video]
    task: TaskBody


class CompositionReply(msgspec.Struct, kw_only=True):
    """The pictures that were made out of others."""

    #: Seconds since the epoch.
    created: int
    data: list[Picture]
    #: How many pictures went in.
    input_images: int
    composition_type: Literal["multi_image_synthesis"] = "multi_image_synthesis"
    task_id: str


class Entry(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A task in a poll's `data`: once for every finished file, and once without one until then."""

    task_id: str
    status: Stage
    url: str | None = None


class Polled(msgspec.Struct, kw_only=True):
    """How a task is doing."""

    code: Literal[0] = 0
    message: str
    #: Seconds since the epoch: when it ended, or when it was made.
    created: int
    data: list[Entry]
    task: TaskBody


class Job(msgspec.Struct, kw_only=True):
    """A video that was queued by the asynchronous route."""

    #: Seconds since the epoch.
    created: int
    task_id: str
    status: Literal["processing", "succeeded", "failed"]
    message: str


class JobVideo(msgspec.Struct, kw_only=True):
    """Where the video is."""

    url: str
    #: As it was sent: nobody revises it here.
    revised_prompt: str


class JobReply(msgspec.Struct, kw_only=True):
    """How a video of the asynchronous route is doing."""

    #: Seconds since the epoch.
    created: int
    task_id: str
    status: Literal["processing", "succeeded", "failed"]
    #: null until it has succeeded.
    data: list[JobVideo] | None
    #: null unless it has failed.
    error: str | None
