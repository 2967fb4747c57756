"""What a job is likely to cost, from what has been seen charged.

The site publishes no price for a single job and charges by membership, so these are observations
(jimeng-web.md 3.8, 4.6), told with where they come from; where nothing was seen there is no number.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from jimeng_gateway.domain.request import GenerationRequest, Kind


class Basis(StrEnum):
    """Where an estimate comes from."""

    #: Charges seen for this model and resolution, not on the operator's own accounts.
    OBSERVED = "observed"
    #: Nothing is known.
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Estimate:
    """Credits that a job is likely to cost; None if nothing is known."""

    credits: int | None
    basis: Basis


#: Credits for each picture, by model and resolution.
_PER_PICTURE = {
    ("high_aes_general_v50_flash", "2k"): 3,
    ("high_aes_general_v50p_large", "2k"): 8,
    ("jm_image_model_yc_mj82", "2k"): 7,
    ("jm_image_model_yc_mj82", "1k"): 5,
    ("high_aes_general_v40", "1k"): 1,
}
#: Credits for each second, by model and resolution.
_PER_SECOND = {
    ("dreamina_seedance_40_mini", "720p"): 6,
    ("dreamina_seedance_40_vision", "720p"): 6,
    ("dreamina_seedance_40_pro_vision", "720p"): 14,
    ("dreamina_seedance_45_pro", "720p"): 12,
}


def estimate(request: GenerationRequest) -> Estimate:
    """What the job is likely to cost."""
    what = (request.model_key, request.resolution)
    if request.kind is Kind.IMAGE:
        each = _PER_PICTURE.get(what)
        return _found(None if each is None else each * request.count)
    second = _PER_SECOND.get(what)
    return _found(None if second is None else -(-second * request.duration_ms // 1000))


def _found(credits_: int | None) -> Estimate:
    return Estimate(credits_, Basis.UNKNOWN if credits_ is None else Basis.OBSERVED)
