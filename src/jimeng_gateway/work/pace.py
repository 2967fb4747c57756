"""How long jobs of each model have really taken, as the site's own records say.

Forecasts run high and models differ by a factor of ten, so the first poll of a job goes by its model's recent
past once there is one. It is only a matter of when to look, so a restart may forget it.
"""

from __future__ import annotations

from jimeng_gateway.domain import policy


class Pace:
    """Usual durations by model key, in seconds."""

    def __init__(self) -> None:
        self._usual: dict[str, float] = {}

    def usual(self, model_key: str) -> float | None:
        """How long a job of this model usually takes; None as long as none has finished here."""
        return self._usual.get(model_key)

    def learn(self, model_key: str, took: float) -> None:
        """A job of this model took so long."""
        self._usual[model_key] = policy.learned(self._usual.get(model_key), took)
