"""What Ark's clients send and read, field by field (ark.md 2 and 3).

A field that is null counts as absent: the Ark SDK sends one for everything that was not set. What has no
effect here is marked so; what cannot be honoured is refused by name in asks.py.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from jimeng_gateway.domain.deliveries import LONGEST_URL, Event
from jimeng_gateway.http.schemas import Prompt, Word

Page = Annotated[int, Meta(ge=1, le=500)]
Whole = Annotated[int, Meta(ge=-(2**53), le=2**53)]
Address = Annotated[str, Meta(max_length=LONGEST_URL)]


class ArkLink(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Where an input lies."""

    #: `https://…`, a `data:` URI, or the id of a file of this gateway.
    url: str


class ArkItem(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A part of the input (ark.md 2.3)."""

    type: Literal["text", "image_url", "video_url", "audio_url", "draft_task"]
    text: str | None = None
    image_url: ArkLink | str | None = None
    video_url: ArkLink | str | None = None
    audio_url: ArkLink | str | None = None
    draft_task: Any = None
    #: A single picture without one is the first frame.
    role: (
        Literal["first_frame", "last_frame", "reference_image", "reference_video", "reference_audio"] | None
    ) = None


class ArkVideoOrder(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A video to be made (ark.md 2.2)."""

    model: Annotated[str, Meta(min_length=1, max_length=128)]
    content: list[ArkItem]
    resolution: Word | None = None
    #: "16:9"; "adaptive": that of the first frame, else the model's default.
    ratio: Word | None = None
    #: Seconds; -1: the model's default.
    duration: Whole | None = None
    #: A whole number of seconds at 24 frames each, and perhaps one more; wins over `duration`.
    frames: Whole | None = None
    #: -1: drawn.
    seed: Whole | None = None
    #: Whether there is sound is the model's matter: taken where it says what the model does anyway.
    generate_audio: bool | None = None
    #: Seconds after which the task is given up.
    execution_expires_after: Annotated[int, Meta(ge=3600, le=259_200)] | None = None
    #: Told of every change of the status.
    callback_url: Address | None = None
    #: Taken without effect: tasks are served in the order in which they came.
    priority: Annotated[int, Meta(ge=0, le=9)] | None = None
    #: Taken without effect: the site knows the operator's accounts only.
    safety_identifier: Any = None
    #: The rest is taken where it asks for what is made anyway, and else refused.
    camera_fixed: bool | None = None
    #: Without effect: the site marks its works as it does. Common samples send true.
    watermark: bool | None = None
    return_last_frame: bool | None = None
    draft: bool | None = None
    service_tier: Word | None = None
    tools: list[Any] | None = None
    output_format: Word | None = None
    omni_reference_task_type: Word | None = None


class ArkCreated(msgspec.Struct, kw_only=True):
    """A new task."""

    id: str


class ArkFilter(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Which tasks to list."""

    page_num: Page = 1
    page_size: Page = 20
    status: Event | None = msgspec.field(default=None, name="filter.status")
    #: As it was ordered, or by the name of the model here.
    model: Word | None = msgspec.field(default=None, name="filter.model")
    service_tier: Word | None = msgspec.field(default=None, name="filter.service_tier")
    #: May be repeated.
    task_ids: list[Word] = msgspec.field(default_factory=list, name="filter.task_ids")


class ArkFailure(msgspec.Struct, kw_only=True):
    """Why there is no result."""

    code: str
    message: str


class ArkContent(msgspec.Struct, kw_only=True):
    """What a task has made."""

    video_url: str | None = None
    #: Always null: the site gives no picture of it.
    last_frame_url: None = None
    #: In place of a video: the first picture of a task that made pictures.
    file_url: str | UnsetType = UNSET


class ArkUsage(msgspec.Struct, kw_only=True):
    """Reckoned as Ark reckons its tokens; the site charges credits."""

    completion_tokens: int
    total_tokens: int


class ArkTask(msgspec.Struct, kw_only=True):
    """A task (ark.md 2.6)."""

    id: str
    model: str
    status: Event
    error: ArkFailure | None
    content: ArkContent | None
    usage: ArkUsage | None
    created_at: int
    updated_at: int
    #: -1: drawn at submit.
    seed: int
    resolution: str
    ratio: str
    #: As it was ordered: one or the other; neither for pictures.
    duration: int | UnsetType = UNSET
    frames: int | UnsetType = UNSET
    framespersecond: int
    generate_audio: bool
    service_tier: str = "default"
    #: Seconds after `created_at`.
    execution_expires_after: int
    draft: bool = False
    priority: int


class ArkTaskList(msgspec.Struct, kw_only=True):
    """A page of the tasks of the last seven days."""

    total: int
    items: list[ArkTask]


class ArkGone(msgspec.Struct, kw_only=True):
    """Done; an object without fields, since the SDK reads one."""


class ArkSequence(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """How a group of pictures is made."""

    max_images: Annotated[int, Meta(ge=1, le=15)] | None = None


class ArkOptimize(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """How Ark would rewrite the prompt; only the usual way is taken."""

    mode: Word | None = None
    thinking: Word | None = None


class ArkImageOrder(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Pictures to be made, from a text or from pictures (ark.md 3.1)."""

    model: Annotated[str, Meta(min_length=1, max_length=128)]
    prompt: Prompt
    #: "2K", or "2048x2048": the nearest size on offer is taken.
    size: Word | None = None
    #: -1: drawn.
    seed: Whole | None = None
    response_format: Literal["url", "b64_json"] | None = None
    stream: bool | None = None
    sequential_image_generation: Literal["auto", "disabled"] | None = None
    sequential_image_generation_options: ArkSequence | None = None
    #: Not of Ark; relays pass it on.
    n: Annotated[int, Meta(ge=1, le=15)] | None = None
    #: A preference: files stay as the site made them, and the reply tells their format.
    output_format: Literal["png", "jpeg"] | None = None
    #: Taken where it asks for what is done anyway, and else refused.
    #: Without effect: the site marks its works as it does. Common samples send true.
    watermark: bool | None = None
    guidance_scale: float | None = None
    optimize_prompt: bool | None = None
    optimize_prompt_options: ArkOptimize | None = None
    tools: list[Any] | None = None
    layer_decomposition: Any = None
    background: Word | None = None
    #: Taken without effect: they belong to OpenAI's route, from which relays translate.
    user: Any = None
    safety_identifier: Any = None
    quality: Any = None
    style: Any = None


class ArkPicture(msgspec.Struct, kw_only=True):
    """One picture in the form that was asked for, or why it is not there."""

    url: str | UnsetType = UNSET
    b64_json: str | UnsetType = UNSET
    #: "2048x2048"
    size: str | UnsetType = UNSET
    #: What the file really is.
    output_format: str | UnsetType = UNSET
    error: ArkFailure | UnsetType = UNSET


class ArkImageUsage(msgspec.Struct, kw_only=True):
    """Reckoned as Ark reckons its tokens; the site charges credits."""

    generated_images: int
    output_tokens: int
    total_tokens: int
    input_images: int | UnsetType = UNSET


class ArkPictures(msgspec.Struct, kw_only=True):
    """The pictures (ark.md 3.2)."""

    model: str
    #: Seconds since the epoch; the manual has this name, the SDK the other.
    created: int
    created_at: int
    data: list[ArkPicture]
    usage: ArkImageUsage


class ArkPictureEvent(msgspec.Struct, kw_only=True):
    """One picture of a stream (ark.md 3.4)."""

    type: Literal["image_generation.partial_succeeded"] = "image_generation.partial_succeeded"
    model: str
    created: int
    image_index: int
    url: str | UnsetType = UNSET
    b64_json: str | UnsetType = UNSET
    size: str | UnsetType = UNSET
    output_format: str | UnsetType = UNSET


class ArkMissing(msgspec.Struct, kw_only=True):
    """A picture that did not come."""

    image_index: int
    error: ArkFailure


class ArkCompletedEvent(msgspec.Struct, kw_only=True):
    """The end of a stream."""

    type: Literal["image_generation.completed"] = "image_generation.completed"
    model: str
    created: int
    usage: ArkImageUsage
    #: Told here because the SDK ends a stream at the first event that tells an error.
    failed: list[ArkMissing] | UnsetType = UNSET
