"""What clients of a relay send and read, field by field (clients.md 10.1).

A relay's documents describe the task at the top of the reply; what is deployed wraps it in `data`, in other
words. Clients of both kinds exist, so that a reply says it in both ways.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from jimeng_gateway.http.schemas import Number, Prompt, Seed, Word

#: What else `metadata` may hold besides references; the rest is meant for other services and has no effect.
OPTIONS = ("ratio", "aspect_ratio", "resolution", "size", "negative_prompt")
#: Fields that count as the request's own when only `metadata` has them: without them it is another video.
LIFTED = ("duration", "seconds", "seed", "n", "width", "height")

Metadata = Annotated[dict[str, Any], Meta(max_length=64)]

#: "5s" too, as older clients write it.
Length = Annotated[float, Meta(ge=0, le=3600)] | Annotated[str, Meta(max_length=16)]
RelayStatus = Literal["queued", "in_progress", "completed", "failed"]


class RelayVideo(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A video to be made. Zeros count as not said, as programs in Go send them."""

    prompt: Prompt
    model: Word | None = None
    #: Seconds.
    duration: Length | None = None
    #: The same, as other relays call it.
    seconds: Length | None = None
    #: Both or none: the nearest size that the model offers is taken.
    width: Number | None = None
    height: Number | None = None
    size: Word | None = None
    ratio: Word | None = None
    resolution: Word | None = None
    #: Without effect: a model makes what it makes, and the result says how many.
    fps: Number | None = None
    seed: Seed | None = None
    #: Only 1.
    n: Number | None = None
    response_format: Literal["url"] | None = None
    #: Length, ratio, resolution, references …, for clients that have no other place for them.
    metadata: Metadata | None = None
    #: Without effect: it names the caller's own user.
    user: Any = None


class RelayTicket(msgspec.Struct, kw_only=True):
    """The video was queued."""

    id: str
    task_id: str
    object: Literal["video"] = "video"
    status: RelayStatus


class RelayError(msgspec.Struct, kw_only=True):
    """Why there is no video."""

    #: An HTTP status: the field is a number.
    code: int
    message: str


class RelayMetadata(msgspec.Struct, kw_only=True):
    """What was made."""

    #: Seconds.
    duration: float
    fps: int
    width: int
    height: int
    seed: int


class RelayRecord(msgspec.Struct, kw_only=True):
    """The same task as the deployed relays tell it."""

    task_id: str
    action: Literal["generate"] = "generate"
    status: Literal["QUEUED", "IN_PROGRESS", "SUCCESS", "FAILURE"]
    #: Empty unless it failed.
    fail_reason: str
    #: Empty until there is one.
    result_url: str
    #: Seconds since the epoch; 0 for what has not happened.
    submit_time: int
    start_time: int
    finish_time: int
    #: "30%"
    progress: str


class RelayTask(msgspec.Struct, kw_only=True):
    """How a video is doing."""

    task_id: str
    status: RelayStatus
    #: Empty until there is one.
    url: str
    #: "mp4"; empty until there is a file.
    format: str
    metadata: RelayMetadata | None
    #: null while all is well.
    error: RelayError | None
    code: Literal["success"] = "success"
    message: str = ""
    data: RelayRecord
