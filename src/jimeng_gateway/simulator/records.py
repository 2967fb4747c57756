"""History records as the site writes them (3.4, 7.2, 7.6), with every field that was seen.

Built from a Job and the View of one moment; links come from `Links`.
"""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import msgspec

from jimeng_gateway.simulator.catalogue import video_size
from jimeng_gateway.simulator.job import Job, View
from jimeng_gateway.simulator.links import Links
from jimeng_gateway.simulator.media import clip_size
from jimeng_gateway.simulator.world import item_id

_COVER_SIZES = (360, 480, 720, 1080, 2400, 4096)
#: What the site itself uses (7.6).
_POLLING = {"interval_seconds": 30, "timeout_seconds": 86400}


def record(job: Job, view: View, links: Links, expires: int, *, dead_links: bool = False) -> dict[str, Any]:
    """One record. `expires`: until when its links are good, in unix seconds."""
    finish_time = int(job.ended_at()) if view.over else 0
    items = [_item(job, index, links, expires, dead_links) for index in range(view.made)]
    return {
        "generate_type": job.ask.generate_type,
        "history_record_id": job.history_id,
        "origin_history_record_id": None,
        "created_time": round(job.plan.accepted_at, 3),
        "item_list": items,
        "origin_item_list": [],
        "task": _task(job, view, finish_time),
        "mode": "workbench",
        "asset_option": {"has_favorited": False},
        "uid": job.uid,
        "aigc_flow": {"version": "0.1.2"},
        "status": view.status,
        "history_group_key_md5": hashlib.md5(job.ask.prompt.encode(), usedforsecurity=False).hexdigest(),
        "history_group_key": job.ask.prompt,
        "submit_id": job.ask.submit_id,
        "capflow_id": job.capflow_id,
        "generate_id": job.generate_id,
        "finish_time": finish_time,
        "model_info": {
            "icon_url": "",
            "model_name": job.ask.model_title,
            "model_req_key": job.ask.model_key,
        },
        "forecast_generate_cost": job.plan.forecast_s,
        "forecast_queue_cost": view.forecast_queue_s,
        **_failure(view),
        "min_feats": [],
        "queue_info": queue_info(view),
        "total_image_count": job.ask.count if job.ask.kind == "image" else 0,
        "finished_image_count": view.made if job.ask.kind == "image" else 0,
        "failed_item_list": _failed_items(job, view),
        "pre_gen_item_ids": [item_id(job, index) for index in range(job.ask.count)],
        "image_type": 3 if job.ask.kind == "image" else 0,
        "confirm_status": 0,
        "confirm_token": "",
    }


def accepted(job: Job, view: View, draft_content: str, metrics_extra: str, links: Links) -> dict[str, Any]:
    """`data` of the generate reply: the young record with what was sent (3.4)."""
    young = record(job, view, links, 0)
    young |= {"draft_content": draft_content, "metrics_extra": metrics_extra}
    empty = {"fail_code": "", "fail_starling_key": "", "fail_starling_message": ""}
    return {"aigc_data": young, **empty}


def queue_info(view: View) -> dict[str, Any]:
    """The queue as one record shows it."""
    return {
        "queue_idx": view.queue_idx,
        "priority": 3,
        "queue_status": view.queue_status,
        "queue_length": view.queue_length,
        "polling_config": _POLLING,
        "priority_queue_display_threshold": {
            "vip_queuing_time_threshold": 300,
            "waiting_time_threshold": 60,
        },
        "debug_info": "{}",
    }


def _task(job: Job, view: View, finish_time: int) -> dict[str, Any]:
    task = {
        "task_id": job.history_id,
        "submit_id": job.ask.submit_id,
        "aid": 0,
        "status": view.task_status,
        "finish_time": finish_time,
        "history_id": job.history_id,
        "task_payload": None,
        "original_input": None,
        "req_first_frame_image": None,
        "ai_gen_prompt": "",
        "priority": 0,
    }
    if view.over:
        failure = view.failure
        task["resp_ret"] = {
            "ret": (failure.fail_code or "2002") if failure else "0",
            "errmsg": (failure.fail_msg or "generate error") if failure else "success",
        }
    return task


def _failure(view: View) -> dict[str, Any]:
    failure = view.failure
    return {
        "fail_code": failure.fail_code if failure else "",
        "fail_msg": failure.fail_msg if failure else ("Success" if view.over else ""),
        "fail_starling_key": failure.starling_key if failure else "",
        "fail_starling_message": failure.message if failure else "",
    }


def _failed_items(job: Job, view: View) -> list[dict[str, Any]]:
    """Pictures that a partly successful job does not have."""
    if view.status != 50:
        return []
    return [
        {
            "common_attr": {"id": item_id(job, index), "local_item_id": item_id(job, index)},
            "gen_result_data": {"result_code": 2004, "result_msg": "OutputImageRisk"},
        }
        for index in range(view.made, job.ask.count)
    ]


def _item(job: Job, index: int, links: Links, expires: int, dead: bool) -> dict[str, Any]:
    part = _picture(job, index, links, expires, dead)
    if job.ask.kind == "video":
        part = _video(job, links, expires, dead, letters="o73")
    return _whole_item(job, index, links, expires, part)


def high_quality_item(
    job: Job, index: int, links: Links, expires: int, *, dead: bool = False
) -> dict[str, Any]:
    """The item that get_local_item_list gives: a better file under another address (7.5)."""
    part = _picture(job, index, links, expires, dead)
    if job.ask.kind == "video":
        part = _video(job, links, expires, dead, letters="h73")
    return _whole_item(job, index, links, expires, part)


def _whole_item(job: Job, index: int, links: Links, expires: int, part: dict[str, Any]) -> dict[str, Any]:
    image = job.ask.kind == "image"
    return {
        "common_attr": _common(job, index, links, expires),
        "author": None,
        **part,
        "aigc_image_params": _params(job),
        "statistic": {"feedback_status": 0},
        "category_id_list": [],
        "gen_result_data": {"result_code": 0, "result_msg": "Success"},
        "extra": {
            "template_type": "image" if image else "video",
            "ai_feature": "text_generate_image" if image else "text_generate_video",
        },
    }


def _common(job: Job, index: int, links: Links, expires: int) -> dict[str, Any]:
    own_id = item_id(job, index)
    covers = {str(size): links.cover(job.number, index, size, expires) for size in _COVER_SIZES}
    return {
        "id": own_id,
        "effect_id": own_id,
        "effect_type": 9 if job.ask.kind == "image" else 53,
        "title": "",
        "description": job.ask.prompt,
        "cover_url": covers["360"],
        "item_urls": [""],
        "md5": "",
        "create_time": int(job.plan.accepted_at),
        "status": 144,
        "review_info": {"review_status": 1, "review_code_list": []},
        "aspect_ratio": round(job.ask.width / job.ask.height, 4),
        "publish_source": "user_post_mweb_item",
        "collection_ids": [],
        "extra": "",
        "has_published": False,
        "cover_url_map": covers,
        "local_item_id": own_id,
        "update_time": 0,
        "cover_uri": links.image_uri(job.number, index),
        "cover_height": job.ask.height,
        "cover_width": job.ask.width,
    }


def _params(job: Job) -> dict[str, Any]:
    head = {"generate_type": job.ask.generate_type, "first_generate_type": job.ask.generate_type}
    if job.ask.kind == "image":
        model = {"model_name": job.ask.model_title, "model_req_key": job.ask.model_key}
        text = {"prompt": job.ask.prompt, "seed": job.ask.seed, "model_config": model}
        return {**head, "text2image_params": text}
    wish = {
        "prompt": job.ask.prompt,
        "video_mode": 2,
        "fps": job.ask.fps,
        "duration_ms": job.ask.duration_ms,
        "resolution": job.ask.resolution,
    }
    params = {
        "video_gen_inputs": [wish],
        "video_aspect_ratio": job.ask.aspect,
        "seed": job.ask.seed,
        "priority": 0,
        "model_req_key": job.ask.model_key,
    }
    return {**head, "text2video_params": params}


def _picture(job: Job, index: int, links: Links, expires: int, dead: bool) -> dict[str, Any]:
    large = {
        "image_uri": links.image_uri(job.number, index),
        "image_url": links.image(job.number, index, expires, dead=dead),
        "width": job.ask.width,
        "height": job.ask.height,
        "format": "png",
        "smart_crop_loc": None,
    }
    return {"image": {"format": "png", "large_images": [large]}}


def _video(job: Job, links: Links, expires: int, dead: bool, *, letters: str) -> dict[str, Any]:
    best, *rest = (links.video(job.number, letter, expires, dead=dead) for letter in letters)
    cover_url = links.cover(job.number, 0, 720, expires)
    duration = job.ask.duration_ms / 1000
    video = {
        "video_id": links.video_id(job.number),
        "duration": int(duration) + 1,
        "duration_ms": job.ask.duration_ms + 42,
        "origin_video": None,
        "transcoded_video": {
            "origin": _transcoded(job, links, best, job.ask.width, job.ask.height, "origin"),
            **{
                name: _transcoded(job, links, url, *video_size(name, job.ask.aspect), name)
                for name, url in zip(("720p", "360p"), rest, strict=True)
            },
        },
        "video_size_type": 3,
        "cover_uri": links.image_uri(job.number, 0),
        "cover_url": cover_url,
        "transcode_status": 1,
        "watermark_type": 1,
        "thumb": {
            "detail_infos": [
                {
                    "frame_count": 5,
                    "image_width": 1280,
                    "image_height": 1280,
                    "uri": links.image_uri(job.number, 0),
                    "url": cover_url,
                }
            ],
            "thumb_common_info": {
                "single_frame_width": 320,
                "single_frame_height": 320,
                "total_set_num": 5,
            },
        },
        "duration_info": _text(
            {"play_info_duration": duration + 0.017, "v_duration": duration + 0.042, "a_duration": 0}
        ),
        "vda_status": 10,
        "video_model": _text(_video_model(job, links, best, expires)),
        "has_audio": False,
        "is_mute": False,
    }
    return {"video": video}


def _transcoded(job: Job, links: Links, url: str, width: int, height: int, definition: str) -> dict[str, Any]:
    return {
        "vid": "",
        "fps": job.ask.fps,
        "width": width,
        "height": height,
        "duration": 0,
        "video_url": url,
        "cover_url": "",
        "format": "mp4",
        "definition": definition,
        "logo_type": "",
        "encryption_key": "",
        "md5": "",
        "size": _size(job, definition),
        "video_id": links.video_id(job.number) if definition != "origin" else "",
    }


def _video_model(job: Job, links: Links, url: str, expires: int) -> dict[str, Any]:
    encoded = base64.b64encode(url.encode()).decode()
    return {
        "status": 10,
        "message": "success",
        "video_id": links.video_id(job.number),
        "video_duration": job.ask.duration_ms / 1000,
        "media_type": "video",
        "url_expire": expires,
        "video_list": {
            "video_1": {
                "definition": "origin",
                "vtype": "mp4",
                "vwidth": job.ask.width,
                "vheight": job.ask.height,
                "bitrate": 7054783,
                "fps": job.ask.fps,
                "codec_type": "h264",
                "size": _size(job, "origin"),
                "main_url": encoded,
                "backup_url_1": encoded,
            }
        },
    }


def _size(job: Job, quality: str) -> int:
    return clip_size(job.ask.aspect, item_id(job, 0), quality, big=job.ask.triggers.big)


def _text(value: dict[str, Any]) -> str:
    """JSON as a string inside JSON."""
    return msgspec.json.encode(value).decode()
