"""What a caller wants made, after it has been checked against the catalogue.

A GenerationRequest is complete: every default is filled in, every size is one that the model offers, so the
payload builder has nothing left to guess. It is what the store keeps and what a retry submits again.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from jimeng_gateway.domain.reference import Reference


class Kind(StrEnum):
    """What comes out."""

    IMAGE = "image"
    VIDEO = "video"


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """One image or video job."""

    kind: Kind
    #: Name by which the caller chose the model, after aliases ("jimeng-4.5").
    model: str
    #: The site's own key ("high_aes_general_v40l").
    model_key: str
    prompt: str
    #: "16:9"; empty when the model chooses it itself (intelligent ratio).
    ratio: str
    #: "2k", "720p": a tier of the model.
    resolution: str
    #: Pixel size that goes on the wire. For videos the table of jimeng-web.md 4.3.
    width: int
    height: int
    #: The site's number for the ratio (jimeng-web.md 3.3); 0 for videos, whose ratio travels as text.
    ratio_code: int = 0
    #: How many pictures (gen_count); always 1 for a video.
    count: int = 1
    negative_prompt: str = ""
    #: 0.0 to 1.0
    sample_strength: float = 0.5
    intelligent_ratio: bool = False
    #: None: one is drawn at submit.
    seed: int | None = None
    #: Continuous multi-image generation (jimeng-web.md 3.6).
    multi_image: bool = False
    #: Video length.
    duration_ms: int = 0
    fps: int = 24
    #: Whether the wire carries `resolution` (jimeng-web.md 4.4).
    send_resolution: bool = True
    benefit_type: str = ""
    #: In the order of their numbers.
    references: tuple[Reference, ...] = ()
    #: The model takes omni references; without any, its submit still names that mode (jimeng-web.md 5.2).
    omni: bool = False
    #: Milliseconds from the creation of its task to its end, whatever its stage; 0: as the gateway has it.
    expires_after_ms: int = 0
