"""The JSON of the OpenAI door. Keys beyond that API's are kept by its SDKs, so some of ours are there too."""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from jimeng_gateway.domain.catalogue import ModelStatus
from jimeng_gateway.domain.request import Kind
from jimeng_gateway.domain.task import Stage
from jimeng_gateway.http.legacy.pictures import Picture


class TokenDetails(msgspec.Struct, kw_only=True):
    """The site counts no tokens."""

    image_tokens: int = 0
    text_tokens: int = 0


class ImageUsage(msgspec.Struct, kw_only=True):
    """There for clients that read it; the site counts no tokens."""

    input_tokens: int = 0
    output_tokens: int = 0
    total_tokens: int = 0
    input_tokens_details: TokenDetails = msgspec.field(default_factory=TokenDetails)


class ImageReply(msgspec.Struct, kw_only=True):
    """The pictures."""

    #: Seconds since the epoch.
    created: int
    data: list[Picture]
    background: str = "opaque"
    #: As the site made them, whatever was asked for.
    output_format: str
    #: low, medium or high; SDKs that validate know no "auto" here, other than in a stream.
    quality: str | UnsetType = UNSET
    size: str
    usage: ImageUsage = msgspec.field(default_factory=ImageUsage)
    task_id: str


class ImageCompleted(msgspec.Struct, kw_only=True):
    """One finished picture in a stream; its type is the name of the event (openai-media.md 4)."""

    type: str
    b64_json: str
    #: Seconds since the epoch.
    created_at: int
    size: str
    quality: str
    background: str = "opaque"
    output_format: str
    usage: ImageUsage = msgspec.field(default_factory=ImageUsage)


class VideoError(msgspec.Struct, kw_only=True):
    """Why a video failed."""

    code: str
    message: str


class VideoFacts(msgspec.Struct, kw_only=True):
    """What that API has no words for."""

    stage: Stage
    queue_position: int | None
    queue_total: int | None


class VideoJob(msgspec.Struct, kw_only=True):
    """A video, finished or not (openai-media.md 5.2). Times are seconds since the epoch."""

    id: str
    object: Literal["video"] = "video"
    #: As the caller called it.
    model: str
    status: Literal["queued", "in_progress", "completed", "failed"]
    #: 0 to 100.
    progress: int
    created_at: int
    completed_at: int | None
    #: Always null: how long files are kept is the operator's choice.
    expires_at: int | None = None
    #: null unless it failed.
    error: VideoError | None
    prompt: str
    remixed_from_video_id: str | None
    #: That API has it as text.
    seconds: str
    size: str
    #: The file, openable without a key; once it is there.
    url: str | UnsetType = UNSET
    video_url: str | UnsetType = UNSET
    metadata: VideoFacts


class VideoList(msgspec.Struct, kw_only=True):
    """A page of videos."""

    object: Literal["list"] = "list"
    data: list[VideoJob]
    first_id: str | None
    last_id: str | None
    #: Always there: SDKs take a missing one for "go on".
    has_more: bool


class VideoDeleted(msgspec.Struct, kw_only=True):
    """It is gone."""

    id: str
    object: Literal["video.deleted"] = "video.deleted"
    deleted: bool = True


class Modalities(msgspec.Struct, kw_only=True):
    """What goes in and what comes out."""

    input: list[str]
    output: list[str]


class Capabilities(msgspec.Struct, kw_only=True):
    """What may be chosen; `GET /api/v1/models` says it in full."""

    resolutions: list[str]
    ratios: list[str]
    #: Pictures at once; empty when the site declares none.
    counts: list[int]
    #: Lengths of a video in seconds.
    seconds: list[int]
    first_frame: bool
    last_frame: bool
    #: The most references of each kind.
    references: dict[str, int]


class OpenAIModel(msgspec.Struct, kw_only=True):
    """A model, or another name for one."""

    id: str
    object: Literal["model"] = "model"
    #: The site tells no date.
    created: int = 0
    owned_by: str = "jimeng"
    kind: Kind
    title: str
    status: ModelStatus
    #: The model that this name stands for; null for a model's own.
    alias_of: str | None
    modalities: Modalities
    capabilities: Capabilities


class OpenAIModelList(msgspec.Struct, kw_only=True):
    """All models, and the other names under which they can be had."""

    object: Literal["list"] = "list"
    data: list[OpenAIModel]
