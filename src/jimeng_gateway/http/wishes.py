"""From what a caller of our own API sent to what the catalogue checks."""

from __future__ import annotations

from jimeng_gateway.domain.intake import Wish
from jimeng_gateway.domain.reference import Reference
from jimeng_gateway.http.schemas import NewTask


def wish_of(body: NewTask, references: tuple[Reference, ...] = ()) -> Wish:
    """The wish that a request body expresses; what it does not mention stays open."""
    return Wish(
        kind=body.kind,
        prompt=body.prompt,
        model=body.model,
        n=body.n,
        ratio=body.ratio,
        resolution=body.resolution,
        size=body.size,
        negative_prompt=body.negative_prompt,
        sample_strength=body.sample_strength,
        intelligent_ratio=body.intelligent_ratio,
        multi_image=body.multi_image,
        seed=body.seed,
        duration=body.duration,
        references=references,
    )
