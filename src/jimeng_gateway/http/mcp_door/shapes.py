"""What the tools take and give. Models read these descriptions, so each says what to put there."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from jimeng_gateway.domain.request import Kind
from jimeng_gateway.domain.task import Stage
from jimeng_gateway.http.schemas import Word
from jimeng_gateway.http.spending import EstimateBody

#: For every model that has the tools at hand.
INSTRUCTIONS = (
    "Makes pictures and videos with the operator's own Jimeng accounts. generate_image and generate_video "
    "spend credits and return a job at once; call wait_job with its id until it has ended. Never call a "
    "generate tool again because a result takes long: the job goes on by itself."
)
#: Below the 60 s after which the TypeScript SDK gives up, whatever progress it hears of (clients.md 9.1).
LONGEST_WAIT = 45

_SOURCE = "an http(s) URL, a data: URI, or the id of an uploaded file (file_…)"
Reference = Annotated[str, Meta(min_length=1, description=_SOURCE[:1].upper() + _SOURCE[1:] + ".")]
Prompt = Annotated[str, Meta(min_length=1, description="What to make, in any language.")]
Model = Annotated[str, Meta(max_length=128, description="Left out: the default model.")]
Ratio = Annotated[str, Meta(max_length=128, description="Width to height, as 16:9.")]
Seed = Annotated[int, Meta(ge=0, le=2**32 - 1, description="Same seed and prompt: a similar result.")]
Token = Annotated[
    str,
    Meta(
        max_length=255,
        description="A random word of your choice for this one wish. A repeated call with the same word and "
        "the same arguments gives the same job instead of paying twice.",
    ),
]
DryRun = Annotated[
    bool, Meta(description="Only check the arguments and estimate the credits; nothing is made or spent.")
]
JobId = Annotated[str, Meta(min_length=1, max_length=64, description="The id of the job.")]
Inline = Annotated[
    bool, Meta(description="Also show finished pictures themselves, made small, not only their links.")
]


class GenerateImage(msgspec.Struct, kw_only=True):
    """Arguments of generate_image."""

    prompt: Prompt
    model: Model | None = None
    images: (
        Annotated[
            list[Reference],
            Meta(description=f"Pictures to work from, each {_SOURCE}. The prompt may call them @1, @2, …"),
        ]
        | None
    ) = None
    ratio: Ratio | None = None
    resolution: Annotated[str, Meta(max_length=128, description="As 1k, 2k or 4k.")] | None = None
    n: Annotated[int, Meta(ge=1, le=100, description="How many pictures; each costs credits.")] | None = None
    negative_prompt: Annotated[str, Meta(description="What should not be in the picture.")] | None = None
    seed: Seed | None = None
    idempotency_key: Token | None = None
    dry_run: DryRun = False


class GenerateVideo(msgspec.Struct, kw_only=True):
    """Arguments of generate_video."""

    prompt: Prompt
    model: Model | None = None
    duration: Annotated[float, Meta(gt=0, le=3600, description="Length in seconds.")] | None = None
    ratio: Ratio | None = None
    resolution: Annotated[str, Meta(max_length=128, description="As 720p or 1080p.")] | None = None
    first_frame: Annotated[str, Meta(description=f"The picture it begins with: {_SOURCE}.")] | None = None
    last_frame: Annotated[str, Meta(description=f"The picture it ends with: {_SOURCE}.")] | None = None
    references: (
        Annotated[
            list[Reference],
            Meta(
                description=f"Pictures, clips or sounds to work from, each {_SOURCE}. "
                "The prompt may call them @1, @2, … Not together with frames."
            ),
        ]
        | None
    ) = None
    seed: Seed | None = None
    idempotency_key: Token | None = None
    dry_run: DryRun = False


class GetJob(msgspec.Struct, kw_only=True):
    """Arguments of get_job."""

    id: JobId
    inline_images: Inline = False


class WaitJob(msgspec.Struct, kw_only=True):
    """Arguments of wait_job."""

    id: JobId
    timeout_s: Annotated[
        float, Meta(ge=0, le=LONGEST_WAIT, description="How long to wait at most, in seconds.")
    ] = float(LONGEST_WAIT)
    inline_images: Inline = False


class CancelJob(msgspec.Struct, kw_only=True):
    """Arguments of cancel_job."""

    id: JobId


class ListJobs(msgspec.Struct, kw_only=True):
    """Arguments of list_jobs."""

    status: Stage | None = None
    kind: Kind | None = None
    limit: Annotated[int, Meta(ge=1, le=100)] = 20
    cursor: Annotated[str, Meta(max_length=512, description="next_cursor of the page before.")] | None = None


class ListModels(msgspec.Struct, kw_only=True):
    """Arguments of list_models."""

    kind: Kind | None = None


class GetCredits(msgspec.Struct, kw_only=True):
    """get_credits takes no arguments."""


class JobError(msgspec.Struct, kw_only=True):
    """Why a job failed."""

    code: str
    message: str


class JobBody(msgspec.Struct, kw_only=True):
    """A job as a model sees it."""

    #: null for a dry run.
    id: str | None
    kind: Kind
    model: Word
    prompt: str
    #: null for a dry run.
    status: Stage | None
    #: 0 to 1; an estimate, 1 only when the files are here.
    progress: float
    #: Milliseconds after which asking again makes sense; null when nothing will change any more.
    poll_after_ms: int | None
    #: The files, once the job has succeeded; they open without a key.
    urls: list[str]
    error: JobError | None
    #: What such a job was seen to cost.
    estimate: EstimateBody
    #: RFC 3339; null for a dry run.
    created_at: str | None
    #: What to do now.
    next: str


class JobsBody(msgspec.Struct, kw_only=True):
    """A page of jobs, newest first."""

    jobs: list[JobBody]
    next_cursor: str | None
    next: str


class ModelBrief(msgspec.Struct, kw_only=True):
    """A model and what may be asked of it."""

    id: str
    kind: Kind
    title: str
    #: Serves a request that names no model.
    default: bool
    resolutions: list[str]
    ratios: list[str]
    #: Seconds; empty for pictures.
    durations: list[int]
    #: Pictures at once; empty if nothing is declared.
    counts: list[int]
    #: Most references; null if there is no limit, 0 if it takes none.
    references: int | None
    first_frame: bool
    last_frame: bool
    #: Of a job with the model's own defaults.
    estimate: EstimateBody


class ModelsBody(msgspec.Struct, kw_only=True):
    """The models on offer."""

    models: list[ModelBrief]
    next: str


class Balance(msgspec.Struct, kw_only=True):
    """What is known of one account."""

    session: str
    label: str
    state: str
    credits: int | None
    checked_at: str | None


class Price(msgspec.Struct, kw_only=True):
    """What a job with a model's own defaults was seen to cost."""

    model: str
    job: str
    credits: int


class CreditsBody(msgspec.Struct, kw_only=True):
    """Balances, for those who may know them, and prices."""

    #: null unless the key is an admin's.
    balances: list[Balance] | None
    #: Of all balances that are known.
    total: int | None
    prices: list[Price]
    next: str
