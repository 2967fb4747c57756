"""Reads the built-in table of models (`models.toml`), once."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from jimeng_gateway.domain.catalogue import (
    RATIO_CODES,
    VIDEO_RATIOS,
    Catalogue,
    Model,
    Size,
    Tier,
    video_tier,
)
from jimeng_gateway.domain.materials import MB, KindLimits, MaterialLimits, pictures
from jimeng_gateway.domain.reference import Media
from jimeng_gateway.domain.request import Kind


@cache
def builtin() -> Catalogue:
    """The models that this release knows."""
    return parse(tomllib.loads(files(__package__).joinpath("models.toml").read_text("utf-8")))


def parse(data: Mapping[str, Any]) -> Catalogue:
    """The catalogue that a document of the form of `models.toml` describes."""
    images = [_image(entry, data["sizes"]) for entry in data["image"]]
    materials = {name: _materials(entry) for name, entry in data["materials"].items()}
    videos = [_video(entry, materials) for entry in data["video"]]
    defaults = {Kind(kind): name for kind, name in data["defaults"].items()}
    return Catalogue((*images, *videos), defaults)


def _image(entry: Mapping[str, Any], sizes: Mapping[str, Any]) -> Model:
    counts = tuple(entry.get("counts", ()))
    return Model(
        **_common(entry, Kind.IMAGE),
        tiers=tuple(_image_tier(tier, sizes) for tier in entry["tiers"]),
        default_tier=entry.get("default_tier", entry["tiers"][0]),
        default_ratio="1:1",
        counts=counts,
        default_count=1 if not counts or 1 in counts else counts[0],
        intelligent_ratio=entry.get("intelligent_ratio", False),
        multi_image=entry.get("multi_image", False),
        materials=pictures(entry.get("max_references", 0)),
        inputs=("prompt", "image") if entry.get("max_references") else ("prompt",),
    )


def _image_tier(text: str, sizes: Mapping[str, Any]) -> Tier:
    """A tier, or `tier=set of sizes` if that is called otherwise."""
    name, _, table = text.partition("=")
    rows = sizes[table or name]
    return Tier(name, tuple(Size(ratio, RATIO_CODES[ratio], w, h) for ratio, (w, h) in rows.items()))


def _video(entry: Mapping[str, Any], materials: Mapping[str, MaterialLimits]) -> Model:
    benefits = entry.get("benefits", {})
    tiers = [
        video_tier(name, VIDEO_RATIOS, benefits.get(name) or entry["benefit"])
        for name in entry["resolutions"]
    ]
    first, last = entry.get("seconds", (0, -1))
    return Model(
        **_common(entry, Kind.VIDEO),
        tiers=tuple(tier for tier in tiers if tier is not None),
        default_tier=entry.get("default_tier", entry["resolutions"][0]),
        default_ratio="16:9",
        durations=tuple(entry.get("durations", range(first, last + 1))),
        negative_prompt=False,
        materials=materials[entry["materials"]] if "materials" in entry else None,
        inputs=tuple(entry.get("inputs", ("prompt",))),
        send_resolution=entry.get("send_resolution", False),
    )


def _common(entry: Mapping[str, Any], kind: Kind) -> dict[str, Any]:
    return {
        "name": entry["name"],
        "key": entry["key"],
        "kind": kind,
        "title": entry["title"],
        "aliases": tuple(entry.get("aliases", ())),
        "withdrawn": entry.get("withdrawn", False),
        "extra": {"note": entry["note"]} if "note" in entry else {},
    }


def _materials(entry: Mapping[str, Any]) -> MaterialLimits:
    """Limits of references (5.5): megabytes and seconds in the file, bytes and milliseconds here."""
    return MaterialLimits(
        image=_kind_limits(entry.get("image", {})),
        video=_kind_limits(entry.get("video", {})),
        audio=_kind_limits(entry.get("audio", {})),
        most=entry["most"],
        any_of=tuple(Media(kind) for kind in entry["any_of"]),
    )


def _kind_limits(entry: Mapping[str, Any]) -> KindLimits:
    shortest, longest = entry.get("seconds", (0, 0))
    least_side, most_side = entry.get("pixels", (0, 0))
    least_ratio, most_ratio = entry.get("ratio", (0.0, 0.0))
    return KindLimits(
        most=entry.get("most", 0),
        largest=entry.get("mb", 0) * MB,
        shortest_ms=round(shortest * 1000),
        longest_ms=round(longest * 1000),
        total_ms=round(entry.get("total_seconds", 0) * 1000),
        least_side=least_side,
        most_side=most_side,
        least_ratio=least_ratio,
        most_ratio=most_ratio,
    )
