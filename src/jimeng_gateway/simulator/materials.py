"""The files that a generate call names (3.5, 4.4, 5.3), and whether the account may use them so (5.5)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from jimeng_gateway.simulator.catalogue import Catalogue, ImageModel, VideoModel
from jimeng_gateway.simulator.depot import Depot, Stored
from jimeng_gateway.simulator.draft import Ask
from jimeng_gateway.simulator.refusal import Refusal

#: Shortest video of an omni reference, in seconds.
SHORTEST_S = 2.0


@dataclass(frozen=True, slots=True)
class Material:
    """One file, as the draft names it."""

    kind: Literal["image", "video", "audio"]
    #: uri or vid.
    handle: str
    #: "blend", "frame" or "omni".
    use: Literal["blend", "frame", "omni"]
    #: As the client says; 0 for none.
    duration_ms: int = 0


def named(draft_content: str) -> list[Material]:
    """Every file of a draft, in order; Refusal 1000 for one that is named in no known way."""
    parts = msgspec.json.decode(draft_content).get("component_list", [])
    return [material for part in parts for material in _of_component(_object(part, "abilities"))]


def check(materials: Sequence[Material], ask: Ask, catalogue: Catalogue, depot: Depot, uid: str) -> None:
    """Refusal 1000 for files that the account has not committed, or too many; 3020 for unreadable ones."""
    found = [_stored(material, depot, uid) for material in materials]
    if any(stored.unreadable for stored in found):
        raise Refusal("3020")
    if ask.kind == "image":
        _check_pictures(len(materials), catalogue.images[ask.model_key])
        return
    model = catalogue.videos[ask.model_key]
    if any(material.use == "omni" for material in materials):
        _check_omni(materials, found, model)
    elif materials and "first_frame" not in model.inputs:
        raise Refusal("1000", "invalid parameter: first_frame_image")


def _stored(material: Material, depot: Depot, uid: str) -> Stored:
    stored = depot.named(material.handle)
    if stored is None or stored.uid != uid or not stored.committed:
        raise Refusal("1000", f"invalid parameter: {material.kind} {material.handle[:60]}")
    if (stored.kind == "image") != (material.kind == "image"):
        raise Refusal("1000", f"invalid parameter: {material.handle[:60]} is no {material.kind}")
    return stored


def _check_pictures(count: int, model: ImageModel) -> None:
    if count > model.references:
        raise Refusal("1000", "invalid parameter: too many images")


def _check_omni(materials: Sequence[Material], found: Sequence[Stored], model: VideoModel) -> None:
    if model.materials is None:
        raise Refusal("1000", "invalid parameter: unified_edit_input")
    images, videos, audios, total, video_s, audio_s = model.materials
    counts = {kind: sum(m.kind == kind for m in materials) for kind in ("image", "video", "audio")}
    if counts["image"] > images or counts["video"] > videos or counts["audio"] > audios:
        raise Refusal("1000", "最多支持上传素材数超限")
    if len(materials) > total or not counts["image"] + counts["video"]:
        raise Refusal("1000", "invalid parameter: material_list")
    seconds = {"image": [0.0], "video": [0.0], "audio": [0.0]}
    for material, stored in zip(materials, found, strict=True):
        seconds[material.kind].append(stored.measures().duration_s or material.duration_ms / 1000)
    if sum(seconds["video"]) > video_s or sum(seconds["audio"]) > audio_s:
        raise Refusal("1000", f"上传素材总时长不能超过 {video_s:g}秒")
    if any(0 < length < SHORTEST_S for length in seconds["video"]):
        raise Refusal("1000", "单个素材最短 2 秒")


def _of_component(abilities: dict[str, Any]) -> Iterator[Material]:
    for ability in _objects(_object(abilities, "blend").get("ability_list")):
        for uri in _list(ability.get("image_uri_list")):
            yield Material("image", _handle(uri), "blend")
    params = _object(_object(abilities, "gen_video"), "text_to_video_params")
    for wish in _objects(params.get("video_gen_inputs")):
        for frame in ("first_frame_image", "end_frame_image"):
            if wish.get(frame) is not None:
                yield Material("image", _handle(_object(wish, frame).get("image_uri")), "frame")
        if wish.get("unified_edit_input") is not None:
            yield from _omni(_object(wish, "unified_edit_input"))


def _omni(given: dict[str, Any]) -> Iterator[Material]:
    materials = [_omni_material(entry) for entry in _objects(given.get("material_list"))]
    for meta in _objects(given.get("meta_list")):
        if meta.get("meta_type") == "text":
            continue
        index = _object(meta, "material_ref").get("material_idx")
        # A boolean is no number here, and -1 is not the last one.
        if type(index) is not int or not 0 <= index < len(materials):
            raise Refusal("1000", "invalid parameter: material_idx")
        if materials[index].kind != meta.get("meta_type"):
            raise Refusal("1000", "invalid parameter: meta_type")
    yield from materials


def _omni_material(entry: dict[str, Any]) -> Material:
    kind = entry.get("material_type")
    if kind == "image":
        return Material("image", _handle(_object(entry, "image_info").get("image_uri")), "omni")
    if kind not in ("video", "audio"):
        raise Refusal("1000", "invalid parameter: material_type")
    info = _object(entry, f"{kind}_info")
    length = info.get("duration")
    return Material(kind, _handle(info.get("vid")), "omni", length if isinstance(length, int) else 0)


def _handle(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise Refusal("1000", "invalid parameter: uri")
    return value


def _object(parent: Any, name: str) -> dict[str, Any]:
    found = parent.get(name) if isinstance(parent, dict) else None
    return found if isinstance(found, dict) else {}


def _objects(value: Any) -> list[dict[str, Any]]:
    return [entry for entry in _list(value) if isinstance(entry, dict)]


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
