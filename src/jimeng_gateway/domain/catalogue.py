"""Models as data: what each one offers, and how a caller's wishes become one of its exact sizes.

The table itself is a file (`models.toml`), used as long as the live catalogue of the site has not been read;
an entry of the live catalogue replaces what it says anew and adds models that no release knew. Nothing is
guessed for a caller: an unknown model, or a parameter that the model does not take, is an InvalidRequest that
lists what is allowed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from math import ceil

from jimeng_gateway.domain.errors import InvalidRequest
from jimeng_gateway.domain.materials import MaterialLimits, completed
from jimeng_gateway.domain.request import Kind

#: The site's numbers for ratios (jimeng-web.md 3.3).
RATIO_CODES: dict[str, int] = {
    "1:1": 1,
    "3:4": 2,
    "16:9": 3,
    "4:3": 4,
    "9:16": 5,
    "2:3": 6,
    "3:2": 7,
    "21:9": 8,
}

#: Ratios of videos (4.3).
VIDEO_RATIOS = ("21:9", "16:9", "4:3", "1:1", "3:4", "9:16")

#: Inputs that video models list (4.2): omni references (5.2), a first frame, a last frame.
OMNI_INPUT = "unified_edit"
FIRST_FRAME_INPUT = "first_frame"
LAST_FRAME_INPUT = "end_frame"


class ModelStatus(StrEnum):
    """How sure we are that the site offers it."""

    #: In the live catalogue.
    AVAILABLE = "available"
    #: From the built-in table; the live catalogue has not been read yet.
    BUILTIN = "builtin"
    #: In the built-in table, not in the live catalogue; the site may still take it.
    UNLISTED = "unlisted"
    #: Known to have been switched off, and not in the live catalogue: refused at intake.
    RETIRED = "retired"


@dataclass(frozen=True, slots=True)
class Size:
    """One size of a tier."""

    ratio: str
    ratio_code: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Tier:
    """A resolution of a model with its sizes, and what it costs to ask for it."""

    name: str
    sizes: tuple[Size, ...]
    benefit_type: str = ""


@dataclass(frozen=True, slots=True)
class Model:
    """One model of the catalogue."""

    #: The name shown first: "jimeng-4.5".
    name: str
    key: str
    kind: Kind
    title: str
    aliases: tuple[str, ...] = ()
    status: ModelStatus = ModelStatus.BUILTIN
    #: Marked in the built-in table as switched off by the site.
    withdrawn: bool = False
    tiers: tuple[Tier, ...] = ()
    default_tier: str = ""
    default_ratio: str = "1:1"
    #: Images: numbers of pictures that may be asked for; empty when the site declares none.
    counts: tuple[int, ...] = ()
    default_count: int = 1
    #: Videos: lengths in seconds.
    durations: tuple[int, ...] = ()
    default_duration: int = 5
    fps: int = 24
    negative_prompt: bool = True
    intelligent_ratio: bool = False
    multi_image: bool = False
    #: References for the prompt that the model takes; None if it takes none.
    materials: MaterialLimits | None = None
    #: What may be given as input ("prompt", "first_frame", …), for videos.
    inputs: tuple[str, ...] = ("prompt",)
    #: Whether the submit carries the resolution (jimeng-web.md 4.4).
    send_resolution: bool = True
    #: The site says that a running job of this model can be cancelled.
    cancellable: bool | None = None
    extra: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All models that we know, and which one serves a request that names none."""

    models: tuple[Model, ...]
    defaults: Mapping[Kind, str] = field(default_factory=dict)

    def of_kind(self, kind: Kind) -> tuple[Model, ...]:
        """The models that make this, retired ones left out."""
        return tuple(m for m in self.models if m.kind is kind and m.status is not ModelStatus.RETIRED)

    def find(self, name: str) -> Model:
        """The model of that name, alias or key, without regard to case.

        InvalidRequest "model_not_found" or "model_retired" lists what there is instead.
        """
        wanted = name.strip().casefold()
        model = next((m for m in self.models if wanted in _names(m)), None)
        if model is None:
            allowed = ", ".join(m.name for kind in Kind for m in self.of_kind(kind))
            raise InvalidRequest(
                f"unknown model {name[:100]!r}; allowed: {allowed}", param="model", code="model_not_found"
            )
        if model.status is ModelStatus.RETIRED:
            others = ", ".join(m.name for m in self.of_kind(model.kind))
            raise InvalidRequest(
                f"the site has switched off {model.name}; allowed: {others}",
                param="model",
                code="model_retired",
            )
        return model

    def default(self, kind: Kind) -> Model:
        """The model for a request that names none."""
        usable = self.of_kind(kind)
        named = next((m for m in usable if m.name == self.defaults.get(kind)), None)
        if named is not None and named.status is not ModelStatus.UNLISTED:
            return named
        listed = next((m for m in usable if m.status is ModelStatus.AVAILABLE), named)
        if listed is None:
            raise InvalidRequest(f"there is no model for {kind}s", param="model", code="model_not_found")
        return listed


def merge(
    known: Catalogue, live_images: Sequence[Model] | None = None, live_videos: Sequence[Model] | None = None
) -> Catalogue:
    """The built-in table under what the site lists now.

    A live entry replaces what it declares (sizes, lengths, counts, benefits, title) and keeps the rest; a new
    one is added under a name made from its title. None, or an empty list, means that this kind's live
    catalogue has not been read: its models stay as they are.
    """
    models = list(known.models)
    for live in (live_images, live_videos):
        if live:
            models = _merge_kind(models, live)
    return Catalogue(tuple(models), known.defaults)


def video_tier(name: str, ratios: Sequence[str], benefit_type: str) -> Tier | None:
    """A video resolution with the sizes of 4.3; None if the name is no resolution."""
    short = short_side(name)
    if short is None:
        return None
    usable = [ratio for ratio in ratios if ratio in RATIO_CODES] or VIDEO_RATIOS
    sizes = tuple(Size(ratio, 0, *video_size(short, ratio)) for ratio in usable)
    return Tier(name, sizes, benefit_type)


def short_side(resolution: str) -> int | None:
    """Pixels of the short side: 720 for "720p", 2160 for "4k"; None if it is neither."""
    if re.fullmatch(r"[1-9][0-9]{1,3}p", resolution):
        return int(resolution[:-1])
    return {"1k": 1080, "2k": 1440, "4k": 2160}.get(resolution)


def video_size(short: int, ratio: str) -> tuple[int, int]:
    """Width and height, both even: 854x480 for (480, "16:9") (4.3)."""
    wide, high = (int(part) for part in ratio.split(":"))
    long = ceil(short * max(wide, high) / min(wide, high) / 2) * 2
    return (long, short) if wide >= high else (short, long)


def name_from_title(title: str) -> str:
    """A name for a model that only the site knows: "Seedream 5.0 Lite" gives "seedream-5.0-lite".

    Empty if the title does not begin with a Latin word: then its key is its name.
    """
    slug = re.sub(r"[^a-z0-9.]+", "-", title.casefold()).strip("-.")
    return slug if re.match(r"[a-z]{3}", slug) else ""


def _names(model: Model) -> set[str]:
    return {name.casefold() for name in (model.name, model.key, *model.aliases)}


def _merge_kind(models: Sequence[Model], live: Sequence[Model]) -> list[Model]:
    kind = live[0].kind
    listed = {model.key: model for model in live}
    merged = [_merged(model, listed.get(model.key)) if model.kind is kind else model for model in models]
    taken = {name for model in merged for name in _names(model)}
    builtin_keys = {model.key for model in models}
    for model in listed.values():
        if model.key in builtin_keys or not model.tiers:
            continue
        name = model.key if model.name.casefold() in taken else model.name
        taken |= {name.casefold(), model.key.casefold()}
        merged.append(_completed(replace(model, name=name)))
    return merged


def _merged(model: Model, live: Model | None) -> Model:
    if live is None:
        return replace(model, status=ModelStatus.RETIRED if model.withdrawn else ModelStatus.UNLISTED)
    tiers = live.tiers or model.tiers
    return _completed(
        replace(
            model,
            status=ModelStatus.AVAILABLE,
            title=live.title or model.title,
            tiers=_with_benefits(tiers, model.tiers),
            default_tier=live.default_tier or model.default_tier,
            default_ratio=live.default_ratio or model.default_ratio,
            counts=live.counts or model.counts,
            durations=live.durations or model.durations,
            default_duration=live.default_duration or model.default_duration,
            fps=live.fps,
            materials=completed(live.materials, model.materials),
            inputs=live.inputs if len(live.inputs) > 1 else model.inputs,
            cancellable=model.cancellable if live.cancellable is None else live.cancellable,
            extra={**model.extra, **live.extra},
        )
    )


def _with_benefits(tiers: tuple[Tier, ...], known: tuple[Tier, ...]) -> tuple[Tier, ...]:
    """A benefit that the live entry does not name is taken from the built-in tier of the same name."""
    benefits = {tier.name: tier.benefit_type for tier in known}
    return tuple(replace(t, benefit_type=t.benefit_type or benefits.get(t.name, "")) for t in tiers)


def _completed(model: Model) -> Model:
    """The model with defaults that it really offers."""
    tiers = [tier.name for tier in model.tiers]
    tier = model.default_tier if model.default_tier in tiers else next(iter(tiers), "")
    ratios = {size.ratio for entry in model.tiers for size in entry.sizes}
    usual = "16:9" if model.kind is Kind.VIDEO else "1:1"
    ratio = next((r for r in (model.default_ratio, usual) if r in ratios), "") or next(
        iter(sorted(ratios)), ""
    )
    durations = model.durations or ((5,) if model.kind is Kind.VIDEO else ())
    return replace(
        model,
        default_tier=tier,
        default_ratio=ratio,
        durations=durations,
        default_duration=_nearest_default(model.default_duration, durations, 5),
        default_count=_nearest_default(1, model.counts, 1),
    )


def _nearest_default(wanted: int, offered: tuple[int, ...], usual: int) -> int:
    if not offered or wanted in offered:
        return wanted or usual
    return usual if usual in offered else offered[0]
