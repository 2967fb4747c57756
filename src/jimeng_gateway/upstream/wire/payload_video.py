"""The body of a text-to-video submit (jimeng-web.md 4.4), also for Seedance 2.x without references (5.2)."""

from __future__ import annotations

from jimeng_gateway.domain.ports import Order
from jimeng_gateway.domain.request import GenerationRequest
from jimeng_gateway.upstream.wire.draft import Ids, component, draft, node
from jimeng_gateway.upstream.wire.request import compact

_MIN_VERSION = "3.0.5"


def video_body(order: Order, version: str, aid: int, now_ms: int, ids: Ids) -> dict[str, object]:
    """The body of POST generate for a video."""
    request = order.request
    metrics = compact(_metrics(order))
    commerce = _commerce(request)
    return {
        "extend": {
            "root_model": request.model_key,
            "m_video_commerce_info": commerce,
            "m_video_commerce_info_list": [commerce],
            "workspace_id": 0,
        },
        "submit_id": order.submit_id,
        "metrics_extra": metrics,
        "draft_content": compact(_draft(order, version, metrics, now_ms, ids)),
        "http_common_info": {"aid": aid},
    }


def _commerce(request: GenerationRequest) -> dict[str, object]:
    info: dict[str, object] = {
        "benefit_type": request.benefit_type,
        "resource_id": "generate_video",
        "resource_id_type": "str",
        "resource_sub_type": "aigc",
    }
    if request.omni:
        info["amount"] = _seconds(request)
    return info


def _metrics(order: Order) -> dict[str, object]:
    request = order.request
    scene: dict[str, object] = {
        "type": "video",
        "scene": "BasicVideoGenerateButton",
        "resolution": request.resolution,
        "modelReqKey": request.model_key,
        "videoDuration": _seconds(request),
        "reportParams": {
            "enterSource": "generate",
            "vipSource": "generate",
            "extraVipFunctionKey": f"{request.model_key}-{request.resolution}",
            "useVipFunctionDetailsReporterHoc": True,
        },
        "materialTypes": [],
    }
    if request.omni:
        scene["inputVideoDuration"] = 0
    return {
        "promptSource": "custom",
        "isDefaultSeed": 1 if request.seed is None else 0,
        "originSubmitId": order.submit_id,
        "isRegenerate": False,
        "enterFrom": "click",
        "position": "page_bottom_box",
        "functionMode": "omni_reference" if request.omni else "first_last_frames",
        "sceneOptions": compact([scene]),
    }


def _draft(order: Order, version: str, metrics: str, now_ms: int, ids: Ids) -> dict[str, object]:
    request = order.request
    params = node(
        ids,
        video_gen_inputs=[_input(request, ids)],
        video_aspect_ratio=request.ratio,
        seed=order.seed,
        model_req_key=request.model_key,
        priority=0,
    )
    gen_video = node(ids, text_to_video_params=params, video_task_extra=metrics)
    part = component(ids, "video_base_component", "1.0.0", now_ms)
    part |= {"generate_type": "gen_video", "abilities": node(ids, gen_video=gen_video), "process_type": 1}
    return draft(ids, _MIN_VERSION, version, part)


def _input(request: GenerationRequest, ids: Ids) -> dict[str, object]:
    given = node(
        ids,
        min_version=_MIN_VERSION,
        prompt=request.prompt,
        video_mode=2,
        fps=request.fps,
        duration_ms=request.duration_ms,
    )
    if request.send_resolution:
        given["resolution"] = request.resolution
    given["idip_meta_list"] = []
    return given


def _seconds(request: GenerationRequest) -> int | float:
    seconds = request.duration_ms / 1000
    return int(seconds) if seconds.is_integer() else seconds
