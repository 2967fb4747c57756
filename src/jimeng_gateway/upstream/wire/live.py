"""The live catalogue: models as the site lists them (jimeng-web.md 3.2, 4.2).

An entry that makes no sense is left out, an unknown field is ignored; what the site does not declare stays
empty, so that the built-in table can fill it in.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from jimeng_gateway.domain.catalogue import (
    RATIO_CODES,
    Model,
    ModelStatus,
    Size,
    Tier,
    name_from_title,
    video_tier,
)
from jimeng_gateway.domain.materials import MB, SITE_IMAGE, KindLimits, MaterialLimits, pictures
from jimeng_gateway.domain.reference import Media
from jimeng_gateway.domain.request import Kind
from jimeng_gateway.upstream.wire.parse import Reply, checked
from jimeng_gateway.upstream.wire.protocol import Protocol
from jimeng_gateway.upstream.wire.read import integer, mapping, mappings, number, positive, sequence, text

_RATIOS = {code: ratio for ratio, code in RATIO_CODES.items()}
_LARGEST_SIDE = 32_768
_LONGEST_S = 86_400
#: Pictures that a model takes when it edits pictures and does not say how many (3.5).
_USUAL_PICTURES = 10


def image_models(reply: Reply, protocol: Protocol) -> tuple[Model, ...]:
    """The models of get_common_config."""
    return tuple(model for entry in _entries(reply, protocol) if (model := _image_model(entry)))


def video_models(reply: Reply, protocol: Protocol) -> tuple[Model, ...]:
    """The models of video_generate/get_common_config."""
    return tuple(model for entry in _entries(reply, protocol) if (model := _video_model(entry)))


def _entries(reply: Reply, protocol: Protocol) -> Iterator[Mapping[str, object]]:
    return mappings(mapping(checked(reply, protocol).get("data")).get("model_list"))


def _image_model(entry: Mapping[str, object]) -> Model | None:
    key, title = _key_and_title(entry)
    if not key:
        return None
    commerce = mapping(mapping(entry.get("commercial_config")).get("image_model_commerce_config"))
    benefit = text(mapping(mapping(commerce.get("base")).get("default")).get("benefit_type"))
    tiers = tuple(
        Tier(name, sizes, benefit)
        for name, raw in mapping(entry.get("resolution_map")).items()
        if (sizes := _sizes(mapping(raw))) and name.isascii()
    )
    counts = tuple(
        sorted({n for raw in sequence(entry.get("generate_count_options")) if (n := positive(raw))})
    )
    limits = [
        positive(limit.get("max_image_num")) or 0
        for limit in mappings(entry.get("input_image_limit"))
        if text(limit.get("ability_name")) == "byte_edit"
    ]
    edits = "byte_edit" in sequence(entry.get("feats"))
    return Model(
        name=_name(entry, title) or key,
        key=key,
        kind=Kind.IMAGE,
        title=title,
        status=ModelStatus.AVAILABLE,
        tiers=tiers,
        default_tier=text(entry.get("default_resolution_type")),
        counts=counts,
        materials=pictures(max(limits, default=_USUAL_PICTURES if edits else 0)),
        inputs=("prompt", "image") if edits else ("prompt",),
    )


def _sizes(tier: Mapping[str, object]) -> tuple[Size, ...]:
    found = []
    for raw in mappings(tier.get("image_ratio_sizes")):
        ratio = _RATIOS.get(integer(raw.get("ratio_type")) or 0)
        width, height = positive(raw.get("width")), positive(raw.get("height"))
        if ratio and width and height and max(width, height) <= _LARGEST_SIDE:
            found.append(Size(ratio, RATIO_CODES[ratio], width, height))
    return tuple(found)


def _video_model(entry: Mapping[str, object]) -> Model | None:
    key, title = _key_and_title(entry)
    if not key:
        return None
    options = {
        text(option.get("key")): mapping(option.get("enum_val")) for option in mappings(entry.get("options"))
    }
    ratios, ratio = _texts(options.get("video_aspect_ratio"))
    resolutions, resolution = _texts(options.get("resolution"))
    frame_rates, fps = _numbers(options.get("fps"))
    fps = fps or next(iter(frame_rates), 24)
    frames, default_frames = _numbers(options.get("frames"))
    durations = tuple(dict.fromkeys(count // fps for count in frames if count % fps == 0))
    inputs, _ = _texts(options.get("input_media_type"))
    materials = next(
        (option for option in mappings(entry.get("options")) if option.get("key") == "unified_edit"), None
    )
    extra = mapping(entry.get("extra"))
    cancellable = extra.get("enable_task_cancel")
    tiers = (video_tier(name, ratios, _benefit(entry, name)) for name in resolutions)
    return Model(
        name=_name(entry, title) or key,
        key=key,
        kind=Kind.VIDEO,
        title=title,
        status=ModelStatus.AVAILABLE,
        tiers=tuple(tier for tier in tiers if tier is not None),
        default_tier=resolution,
        default_ratio=ratio if ratio in RATIO_CODES else "",
        durations=durations,
        default_duration=default_frames // fps if default_frames else 0,
        fps=fps,
        negative_prompt=False,
        materials=_materials(mapping(mapping(materials).get("unified_edit_config"))),
        inputs=inputs or ("prompt",),
        cancellable=cancellable if isinstance(cancellable, bool) else None,
    )


#: The site's numbers for kinds of material (4.2).
_MATERIALS = {1: Media.IMAGE, 2: Media.VIDEO, 3: Media.AUDIO}


def _materials(config: Mapping[str, object]) -> MaterialLimits | None:
    """Limits of omni references (4.2, 5.5); None if the entry declares none."""
    limits = {
        kind: _kind_limits(kind, mapping(entry.get("limit")))
        for entry in mappings(config.get("supported_materials"))
        if (kind := _MATERIALS.get(integer(entry.get("material_type")) or 0))
    }
    if not any(entry.most for entry in limits.values()):
        return None
    none = KindLimits()
    total_video = _milliseconds(config.get("max_total_video_duration"))
    total_audio = _milliseconds(config.get("max_total_audio_duration"))
    required = sequence(mapping(config.get("required_material_types")).get("any_of"))
    return MaterialLimits(
        image=limits.get(Media.IMAGE, none),
        video=replace(limits.get(Media.VIDEO, none), total_ms=total_video),
        audio=replace(limits.get(Media.AUDIO, none), total_ms=total_audio),
        most=positive(config.get("max_total_count")) or 0,
        any_of=tuple(kind for raw in required if (kind := _MATERIALS.get(integer(raw) or 0))),
    )


def _kind_limits(kind: Media, limit: Mapping[str, object]) -> KindLimits:
    sides = [side for name in ("max_width", "max_height") if (side := positive(limit.get(name)))]
    largest = (positive(limit.get("max_file_size")) or 0) * MB
    return KindLimits(
        most=positive(limit.get("max_count")) or 0,
        largest=largest or (SITE_IMAGE.largest if kind is Media.IMAGE else 0),
        shortest_ms=_milliseconds(limit.get("min_duration")),
        longest_ms=_milliseconds(limit.get("max_duration")),
        most_side=min(sides, default=0),
    )


def _milliseconds(value: object) -> int:
    seconds = number(value) or 0
    return round(seconds * 1000) if 0 < seconds <= _LONGEST_S else 0


def _benefit(entry: Mapping[str, object], resolution: str) -> str:
    """The price of the resolution first, the model's default second (4.2)."""
    config = mapping(entry.get("commercial_config"))
    for priced in mappings(config.get("resolution_price_configs")):
        benefit = text(mapping(priced.get("price")).get("benefit_type"))
        if text(priced.get("resolution")) == resolution and benefit:
            return benefit
    return text(mapping(config.get("default")).get("benefit_type"))


def _key_and_title(entry: Mapping[str, object]) -> tuple[str, str]:
    key = text(entry.get("model_req_key")).strip()
    if not key or len(key) > 200 or not key.isascii() or not key.isprintable():
        return "", ""
    return key, text(entry.get("model_name")).strip()[:200] or key


def _name(entry: Mapping[str, object], title: str) -> str:
    """From the title, or from the source that the page shows under it ("by Seedream 5.0 Lite")."""
    source = text(mapping(entry.get("extra")).get("model_source"))
    return name_from_title(title) or name_from_title(source.removeprefix("by "))


def _texts(option: Mapping[str, object] | None) -> tuple[tuple[str, ...], str]:
    option = mapping(option)
    values = tuple(found for raw in sequence(option.get("string_value")) if (found := text(raw)))
    index = integer(option.get("default_val_idx")) or 0
    return values, values[index] if 0 <= index < len(values) else ""


def _numbers(option: Mapping[str, object] | None) -> tuple[tuple[int, ...], int]:
    option = mapping(option)
    values = tuple(found for raw in sequence(option.get("int_value")) if (found := positive(raw)))
    index = integer(option.get("default_val_idx")) or 0
    return values, values[index] if 0 <= index < len(values) else 0
