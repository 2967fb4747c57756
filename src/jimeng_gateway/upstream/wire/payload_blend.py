"""The draft of a picture made from pictures: "blend" with the ability `byte_edit` (jimeng-web.md 3.5).

One ability for each picture, and one mark for each in front of the prompt, which is what most clients send
and what keeps pictures and prompt in one order. It takes neither a negative prompt nor a seed.
"""

from __future__ import annotations

from jimeng_gateway.domain.ports import Order
from jimeng_gateway.domain.reference import Uploaded
from jimeng_gateway.upstream.wire.draft import Ids, component, draft, node, picture

_MIN_VERSION = "3.2.9"
_COMPONENT_MIN_VERSION = "3.0.2"
#: Stands for one picture in the prompt.
_MARK = "##"


def blend_draft(order: Order, version: str, now_ms: int, ids: Ids) -> dict[str, object]:
    """The draft; `order.uploads` are its pictures."""
    abilities = node(
        ids,
        blend=_blend(order, ids),
        gen_option=node(ids, gen_count=order.request.count, generate_all=False),
    )
    part = component(ids, "image_base_component", _COMPONENT_MIN_VERSION, now_ms)
    part |= {"generate_type": "blend", "abilities": abilities}
    return draft(ids, _MIN_VERSION, version, part)


def telemetry(order: Order, site: str, ids: Ids) -> list[dict[str, object]]:
    """`abilityList` of the scene: one entry for each picture, none for a picture made from text alone."""
    strength = order.request.sample_strength
    return [
        {
            "abilityName": "byte_edit",
            "strength": strength,
            "source": {"imageUrl": f"blob:{site}/{ids()}"},
        }
        for _ in order.uploads
    ]


def _blend(order: Order, ids: Ids) -> dict[str, object]:
    return node(
        ids,
        min_version=_MIN_VERSION,
        min_features=[],
        core_param=_core_param(order, ids),
        ability_list=[_ability(upload, order.request.sample_strength, ids) for upload in order.uploads],
        prompt_placeholder_info_list=[
            node(ids, ability_index=index) for index, _ in enumerate(order.uploads)
        ],
        postedit_param=node(ids, generate_type=0),
    )


def _core_param(order: Order, ids: Ids) -> dict[str, object]:
    request = order.request
    return node(
        ids,
        model=request.model_key,
        prompt=_MARK * len(order.uploads) + request.prompt,
        sample_strength=request.sample_strength,
        # Here the ratio is said even if the model may choose it.
        image_ratio=request.ratio_code,
        large_image_info=node(
            ids, height=request.height, width=request.width, resolution_type=request.resolution
        ),
        intelligent_ratio=request.intelligent_ratio,
    )


def _ability(uploaded: Uploaded, strength: float, ids: Ids) -> dict[str, object]:
    return node(
        ids,
        name="byte_edit",
        image_uri_list=[uploaded.handle],
        image_list=[picture(ids, uploaded, uploaded.format)],
        strength=strength,
    )
