"""By which door a submit leaves: plain HTTP, or the site's own page in a real Chromium.

Only submits are risk-signed, and of those the site asks it of videos first (jimeng-web.md 5.6). An operator
may know better about an account or a model, so each can be set.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from jimeng_gateway.domain.request import GenerationRequest, Kind


class Route(StrEnum):
    """What an operator can choose."""

    #: The browser for every video, plain HTTP for images.
    AUTO = "auto"
    BROWSER = "browser"
    DIRECT = "direct"


def choose(request: GenerationRequest, *, session: Route, models: Mapping[str, Route], usual: Route) -> Route:
    """BROWSER or DIRECT. The session's own setting comes first, then the model's, then the usual one.

    `models` is keyed by model name or key.
    """
    of_model = models.get(request.model, models.get(request.model_key, Route.AUTO))
    for wanted in (session, of_model, usual):
        if wanted is not Route.AUTO:
            return wanted
    return Route.BROWSER if request.kind is Kind.VIDEO else Route.DIRECT
