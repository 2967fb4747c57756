"""The body of a submit: drafts as the site's own page writes them (jimeng-web.md 3 to 5).

`draft_content`, `metrics_extra`, `sceneOptions` and `video_task_extra` are JSON strings inside JSON. Ids come
from a function that is handed in, so that a golden file can hold the whole body.
"""

from __future__ import annotations

from collections.abc import Callable

from jimeng_gateway.domain.errors import InvalidRequest
from jimeng_gateway.domain.ports import Order
from jimeng_gateway.domain.request import Kind
from jimeng_gateway.upstream.wire import payload_blend, payload_video
from jimeng_gateway.upstream.wire.draft import Ids, component, draft, node
from jimeng_gateway.upstream.wire.protocol import Protocol
from jimeng_gateway.upstream.wire.request import compact

_MIN_VERSION = "3.0.2"


def generate_body(
    order: Order, protocol: Protocol, now_ms: int, ids: Callable[[], str], region: str = "cn"
) -> dict[str, object]:
    """The body of POST generate for any order; `ids` gives a new uuid at every call.

    InvalidRequest rather than a body that leaves a reference out.
    """
    if len(order.uploads) != len(order.request.references):
        raise InvalidRequest("a reference has not been uploaded", param="references")
    aid = protocol.region(region).aid
    if order.request.kind is Kind.VIDEO:
        return payload_video.video_body(order, protocol, aid, now_ms, ids)
    request = order.request
    site = protocol.region(region).site
    return {
        "extend": {"root_model": request.model_key, "workspace_id": 0},
        "submit_id": order.submit_id,
        "metrics_extra": compact(_metrics(order, site, ids)),
        "draft_content": compact(_draft(order, protocol.versions.draft_version, now_ms, ids)),
        "http_common_info": {"aid": aid},
    }


def _metrics(order: Order, site: str, ids: Ids) -> dict[str, object]:
    request = order.request
    metrics: dict[str, object] = {
        "promptSource": "custom",
        "generateCount": request.count,
        "enterFrom": "click",
        "position": "page_bottom_box",
        "sceneOptions": compact([_scene(order, site, ids)]),
        "isBoxSelect": False,
        "isCutout": False,
        "generateId": order.submit_id,
        "isRegenerate": False,
    }
    if request.multi_image:
        metrics |= {"templateId": "", "templateSource": "", "lastRequestId": "", "originRequestId": ""}
    return metrics


def _scene(order: Order, site: str, ids: Ids) -> dict[str, object]:
    request = order.request
    scene: dict[str, object] = {
        "type": "image",
        "scene": "ImageMultiGenerate" if request.multi_image else "ImageBasicGenerate",
        "modelReqKey": request.model_key,
        "resolutionType": request.resolution,
        "abilityList": payload_blend.telemetry(order, site, ids),
    }
    if not request.multi_image:
        scene["benefitCount"] = request.count
    scene["reportParams"] = {
        "enterSource": "generate",
        "vipSource": "generate",
        "extraVipFunctionKey": f"{request.model_key}-{request.resolution}",
        "useVipFunctionDetailsReporterHoc": True,
    }
    return scene


def _draft(order: Order, version: str, now_ms: int, ids: Ids) -> dict[str, object]:
    if order.uploads:
        return payload_blend.blend_draft(order, version, now_ms, ids)
    abilities = node(
        ids,
        generate=node(ids, core_param=_core_param(order, ids)),
        gen_option=node(ids, gen_count=order.request.count, generate_all=False),
    )
    part = component(ids, "image_base_component", _MIN_VERSION, now_ms)
    part |= {"generate_type": "generate", "abilities": abilities}
    return draft(ids, _MIN_VERSION, version, part)


def _core_param(order: Order, ids: Ids) -> dict[str, object]:
    request = order.request
    core = node(
        ids,
        model=request.model_key,
        prompt=request.prompt,
        negative_prompt=request.negative_prompt,
        seed=order.seed,
        sample_strength=request.sample_strength,
    )
    if not request.intelligent_ratio:
        core["image_ratio"] = request.ratio_code
    core["large_image_info"] = node(
        ids, height=request.height, width=request.width, resolution_type=request.resolution
    )
    core |= {"intelligent_ratio": request.intelligent_ratio, "generate_type": 0}
    return core
