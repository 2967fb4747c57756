"""What a Seedance 2.x submit says about its references (jimeng-web.md 5.1, 5.3).

The materials stand in the order of the references, so a mark's number and a material's place are one thing;
the prompt itself becomes the list of texts and mentions that `domain/marks.py` reads from it.
"""

from __future__ import annotations

from jimeng_gateway.domain.errors import InvalidRequest
from jimeng_gateway.domain.marks import Mention, Segment, bind
from jimeng_gateway.domain.ports import Order
from jimeng_gateway.domain.reference import Media, Reference, Role, Uploaded
from jimeng_gateway.upstream.wire.draft import Ids, node, picture

MIN_VERSION = "3.3.9"
FEATURES = ("AIGC_Video_UnifiedEdit",)
_NUMBERS = {Media.IMAGE: 1, Media.VIDEO: 2, Media.AUDIO: 3}


def is_omni(order: Order) -> bool:
    """Whether it has materials, as opposed to frames or nothing."""
    return any(reference.role is Role.REFERENCE for reference in order.request.references)


def input_video_ms(order: Order) -> int:
    """Length of all videos among the materials; sounds do not count (5.1)."""
    return sum(uploaded.duration_ms for uploaded in order.uploads if uploaded.kind is Media.VIDEO)


def material_types(order: Order) -> list[int]:
    """A number for each material."""
    return [_NUMBERS[uploaded.kind] for uploaded in order.uploads] if is_omni(order) else []


def unified_edit_input(order: Order, ids: Ids) -> dict[str, object]:
    """The materials and the prompt. InvalidRequest for what could not be told apart from a frame."""
    references = order.request.references
    if not order.request.omni or any(reference.role is not Role.REFERENCE for reference in references):
        raise InvalidRequest("this model cannot take these references together", param="references")
    materials = [
        _material(reference, uploaded, ids)
        for reference, uploaded in zip(references, order.uploads, strict=True)
    ]
    segments = bind(order.request.prompt, references)
    return node(
        ids, material_list=materials, meta_list=[_meta(segment, references, ids) for segment in segments]
    )


def _material(reference: Reference, uploaded: Uploaded, ids: Ids) -> dict[str, object]:
    material = node(ids, material_type=str(uploaded.kind))
    match uploaded.kind:
        case Media.IMAGE:
            material["image_info"] = picture(ids, uploaded, aigc_image=node(ids))
        case Media.VIDEO:
            material["video_info"] = {
                "type": "video",
                "id": ids(),
                "source_from": "upload",
                "name": reference.name,
                "vid": uploaded.handle,
                "fps": round(uploaded.fps),
                "width": uploaded.width,
                "height": uploaded.height,
                "duration": uploaded.duration_ms,
            }
        case Media.AUDIO:
            material["audio_info"] = {
                "type": "audio",
                "id": ids(),
                "source_from": "upload",
                "vid": uploaded.handle,
                "duration": uploaded.duration_ms,
                "name": reference.name,
            }
    return material


def _meta(segment: Segment, references: tuple[Reference, ...], ids: Ids) -> dict[str, object]:
    if not isinstance(segment, Mention):
        return node(ids, meta_type="text", text=segment.text)
    kind = str(references[segment.index].kind)
    return node(ids, meta_type=kind, text="", material_ref=node(ids, material_idx=segment.index))
