"""The body of a video submit: from text, from frames, from references (jimeng-web.md 4.4, 5.2, 5.3)."""

from __future__ import annotations

from jimeng_gateway.domain.ports import Order
from jimeng_gateway.domain.reference import Role
from jimeng_gateway.upstream.wire import payload_omni
from jimeng_gateway.upstream.wire.draft import Ids, component, draft, node, picture
from jimeng_gateway.upstream.wire.protocol import Protocol
from jimeng_gateway.upstream.wire.request import compact

_MIN_VERSION = "3.0.5"
_FRAMES = {Role.FIRST_FRAME: "first_frame_image", Role.LAST_FRAME: "end_frame_image"}


def video_body(order: Order, protocol: Protocol, aid: int, now_ms: int, ids: Ids) -> dict[str, object]:
    """The body of POST generate for a video."""
    request = order.request
    metrics = compact(_metrics(order))
    commerce = _commerce(order, protocol)
    version = protocol.versions.draft_version
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


def _commerce(order: Order, protocol: Protocol) -> dict[str, object]:
    request = order.request
    benefit, video_ms = request.benefit_type, 0
    if payload_omni.is_omni(order):
        video_ms = payload_omni.input_video_ms(order)
    if video_ms:
        benefit = protocol.with_input_video.get(benefit, benefit)
    info: dict[str, object] = {
        "benefit_type": benefit,
        "resource_id": "generate_video",
        "resource_id_type": "str",
        "resource_sub_type": "aigc",
    }
    if request.omni:
        info["amount"] = _seconds(request.duration_ms + video_ms)
    return info


def _metrics(order: Order) -> dict[str, object]:
    request = order.request
    scene: dict[str, object] = {
        "type": "video",
        "scene": "BasicVideoGenerateButton",
        "resolution": request.resolution,
        "modelReqKey": request.model_key,
        "videoDuration": _seconds(request.duration_ms),
        "reportParams": {
            "enterSource": "generate",
            "vipSource": "generate",
            "extraVipFunctionKey": f"{request.model_key}-{request.resolution}",
            "useVipFunctionDetailsReporterHoc": True,
        },
        "materialTypes": payload_omni.material_types(order),
    }
    if request.omni:
        scene["inputVideoDuration"] = _seconds(payload_omni.input_video_ms(order))
    frames = bool(order.uploads) and not payload_omni.is_omni(order)
    return {
        "promptSource": "custom",
        "isDefaultSeed": 1 if request.seed is None else 0,
        "originSubmitId": order.submit_id,
        "isRegenerate": False,
        "enterFrom": "click",
        "position": "page_bottom_box",
        "functionMode": "omni_reference" if request.omni and not frames else "first_last_frames",
        "sceneOptions": compact([scene]),
    }


def _draft(order: Order, version: str, metrics: str, now_ms: int, ids: Ids) -> dict[str, object]:
    request = order.request
    omni = payload_omni.is_omni(order)
    params = node(
        ids,
        video_gen_inputs=[_omni_input(order, ids) if omni else _input(order, ids)],
        video_aspect_ratio=request.ratio,
        seed=order.seed,
        model_req_key=request.model_key,
        priority=0,
    )
    gen_video = node(ids, text_to_video_params=params, video_task_extra=metrics)
    part = component(ids, "video_base_component", "1.0.0", now_ms)
    part |= {"generate_type": "gen_video", "abilities": node(ids, gen_video=gen_video), "process_type": 1}
    if omni:
        return draft(ids, payload_omni.MIN_VERSION, version, part, payload_omni.FEATURES)
    return draft(ids, _MIN_VERSION, version, part)


def _input(order: Order, ids: Ids) -> dict[str, object]:
    """From text, or from frames and text."""
    given = _wish(order, _MIN_VERSION, order.request.prompt, ids)
    for reference, uploaded in zip(order.request.references, order.uploads, strict=True):
        given[_FRAMES[reference.role]] = picture(ids, uploaded)
    given["idip_meta_list"] = []
    return given


def _omni_input(order: Order, ids: Ids) -> dict[str, object]:
    """From references: the prompt is spread over their list, its own field is empty (5.3)."""
    given = _wish(order, payload_omni.MIN_VERSION, "", ids)
    given["idip_meta_list"] = []
    given["unified_edit_input"] = payload_omni.unified_edit_input(order, ids)
    return given


def _wish(order: Order, min_version: str, prompt: str, ids: Ids) -> dict[str, object]:
    request = order.request
    given = node(
        ids,
        min_version=min_version,
        prompt=prompt,
        video_mode=2,
        fps=request.fps,
        duration_ms=request.duration_ms,
    )
    if request.send_resolution:
        given["resolution"] = request.resolution
    return given


def _seconds(milliseconds: int) -> int | float:
    return milliseconds // 1000 if milliseconds % 1000 == 0 else milliseconds / 1000
