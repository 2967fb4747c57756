"""What the operator's models allow, and how the tools that make something describe it."""

from __future__ import annotations

from dataclasses import dataclass

from jimeng_gateway.domain.catalogue import FIRST_FRAME_INPUT, LAST_FRAME_INPUT, Catalogue, Model, ModelStatus
from jimeng_gateway.domain.costs import Basis, Estimate, estimate
from jimeng_gateway.domain.errors import InvalidRequest
from jimeng_gateway.domain.intake import Wish, plan
from jimeng_gateway.domain.request import Kind
from jimeng_gateway.http.mcp_door.jobs import cost, estimate_json
from jimeng_gateway.http.mcp_door.shapes import ModelBrief, Price


@dataclass(frozen=True, slots=True)
class Offer:
    """What there is for one caller."""

    catalogue: Catalogue
    admin: bool

    def models(self, kind: Kind) -> tuple[Model, ...]:
        """Those that the site lists, as far as we know; the default first."""
        listed = [one for one in self.catalogue.of_kind(kind) if one.status is not ModelStatus.UNLISTED]
        if not listed:
            return ()
        default = self.catalogue.default(kind).name
        return tuple(sorted(listed, key=lambda one: one.name != default))


def spends(offer: Offer, kind: Kind) -> str:
    """What a description says about models and credits."""
    briefs = [brief(offer.catalogue, one) for one in offer.models(kind)]
    lines = "\n".join(f"- {model_line(one)}" for one in briefs)
    return (
        "SPENDS CREDITS of the operator's account with every call, so call it once for each wish; "
        "dry_run=true estimates without spending, and the same idempotency_key never pays twice. "
        f"Returns a job at once, without the result: wait for it with wait_job.\nModels:\n{lines}"
    )


def brief(catalogue: Catalogue, model: Model) -> ModelBrief:
    """A model in short."""
    ratios = dict.fromkeys(size.ratio for tier in model.tiers for size in tier.sizes)
    return ModelBrief(
        id=model.name,
        kind=model.kind,
        title=model.title,
        default=catalogue.default(model.kind).name == model.name,
        resolutions=[tier.name for tier in model.tiers],
        ratios=list(ratios),
        durations=list(model.durations),
        counts=list(model.counts),
        references=0 if model.materials is None else model.materials.most or None,
        first_frame=FIRST_FRAME_INPUT in model.inputs,
        last_frame=LAST_FRAME_INPUT in model.inputs,
        estimate=estimate_json(_usual(catalogue, model)[0]),
    )


def _usual(catalogue: Catalogue, model: Model) -> tuple[Estimate, str]:
    """What a job of the model's own defaults is likely to cost, and what such a job is."""
    try:
        request = plan(Wish(prompt="-", model=model.name), catalogue)
    except InvalidRequest:
        # Not without a reference, or not with what the site declares of it.
        return Estimate(None, Basis.UNKNOWN), ""
    if model.kind is Kind.VIDEO:
        return estimate(request), f"{request.duration_ms / 1000:g} s at {request.resolution}"
    pictures = "1 picture" if request.count == 1 else f"{request.count} pictures"
    return estimate(request), f"{pictures} at {request.resolution}"


def prices(offer: Offer) -> list[Price]:
    """What is known of costs."""
    found = [(one, *_usual(offer.catalogue, one)) for kind in Kind for one in offer.models(kind)]
    return [
        Price(model=model.name, job=job, credits=price.credits)
        for model, price, job in found
        if price.credits is not None
    ]


def model_line(model: ModelBrief) -> str:
    """A model on one line."""
    parts = [", ".join(model.resolutions), ", ".join(model.ratios)]
    if model.durations:
        parts.append(f"{_spread(model.durations)} s")
    if model.counts:
        parts.append(f"n {_spread(model.counts)}")
    if model.references != 0:
        parts.append("references" if model.references is None else f"up to {model.references} references")
    frames = [name for name, takes in (("first", model.first_frame), ("last", model.last_frame)) if takes]
    if frames:
        parts.append(f"{' and '.join(frames)} frame")
    parts.append(cost(model.estimate))
    return f"{model.id}{' (default)' if model.default else ''}: {'; '.join(part for part in parts if part)}"


def _spread(numbers: list[int]) -> str:
    """ "4 to 15" where nothing is missing, else all of them."""
    if len(numbers) > 2 and numbers == list(range(numbers[0], numbers[-1] + 1)):
        return f"{numbers[0]} to {numbers[-1]}"
    return ", ".join(map(str, numbers))
