"""Replies of the catalogue calls (3.2, 4.2), made from the tables."""

from __future__ import annotations

from typing import Any

from jimeng_gateway.simulator.catalogue import (
    SIZES,
    VIDEO_RATIOS,
    Catalogue,
    ImageModel,
    VideoModel,
)

#: Scene names under which the video models are listed (4.2).
VIDEO_SCENES = frozenset({"generate_video", "video_generate"})


def image_config(catalogue: Catalogue) -> dict[str, Any]:
    """`data` of get_common_config."""
    return {"model_list": [_image(model) for model in catalogue.images.values()], "default_model_index": 0}


def _image(model: ImageModel) -> dict[str, Any]:
    edits = model.references > 0
    entry: dict[str, Any] = {
        "model_req_key": model.key,
        "model_name": model.title,
        "model_tip": "",
        "icon_url": "",
        "is_new_model": model.new,
        "feats": ["t2i", "byte_edit", "support_subject"] if edits else ["t2i"],
        "default_resolution_type": model.default_tier,
        "resolution_map": {tier: _tier(tier, SIZES[table]) for tier, table in model.tiers.items()},
        "sample_steps": {"steps": 16, "min_steps": 10, "max_steps": 41},
        "input_image_limit": (
            [{"ability_name": "byte_edit", "max_image_num": model.references}] if edits else []
        ),
        "blend_enable": {"pose": edits, "canny": edits, "depth": False, "style": False},
        "commercial_config": {
            "image_model_commerce_config": {
                "base": {"default": {"benefit_type": model.benefit or "image_basic", "amount": 1}}
            }
        },
        "extra": {"model_source": f"by {model.title}"},
    }
    if model.counts:
        entry["generate_count_options"] = list(model.counts)
        entry["default_generate_count"] = model.default_count
    return entry


def _tier(tier: str, sizes: tuple[tuple[int, int], ...]) -> dict[str, Any]:
    return {
        "resolution_name": f"{'超清' if tier == '4k' else '高清'} {tier.upper()}",
        "image_ratio_sizes": [
            {"ratio_type": code, "width": width, "height": height}
            for code, (width, height) in enumerate(sizes, start=1)
        ],
    }


def video_config(catalogue: Catalogue) -> dict[str, Any]:
    """`data` of video_generate/get_common_config for one of VIDEO_SCENES."""
    return {"default_model_idx": 0, "model_list": [_video(model) for model in catalogue.videos.values()]}


def _video(model: VideoModel) -> dict[str, Any]:
    frames = [24 * seconds for seconds in model.durations]
    return {
        "model_req_key": model.key,
        "model_name": model.title,
        "model_status": 0,
        "options": [
            _choice("resolution", list(model.benefits), 0),
            _choice("video_aspect_ratio", list(VIDEO_RATIOS), 1),
            _numbers("frames", frames, model.durations.index(model.default_duration)),
            _numbers("fps", [24], 0),
            _choice("input_media_type", list(model.inputs), 0),
            *_unified(model),
        ],
        "mutex_conf": {"mutex_list": []},
        "commercial_config": {
            "default": {"benefit_type": next(iter(model.benefits.values()))},
            "commerce_info_map": {
                "basic": {
                    "resource_id": "generate_video",
                    "resource_id_type": "str",
                    "resource_sub_type": "aigc",
                    "benefit_type": next(iter(model.benefits.values())),
                    "amount": 0,
                }
            },
            "resolution_price_configs": [
                {"resolution": resolution, "price": {"benefit_type": benefit}}
                for resolution, benefit in model.benefits.items()
            ],
        },
        "extra": {"model_source": f"by {model.title}", "max_batch_gen_count": 4, "enable_task_cancel": True},
    }


def _choice(key: str, values: list[str], default: int) -> dict[str, Any]:
    kind = {"enum_type": "string", "string_value": values, "default_val_idx": default}
    return {"key": key, "value_type": "enum", "forbidden_display": False, "enum_val": kind}


def _numbers(key: str, values: list[int], default: int) -> dict[str, Any]:
    kind = {"enum_type": "int", "int_value": values, "default_val_idx": default}
    return {"key": key, "value_type": "enum", "forbidden_display": False, "enum_val": kind}


def _unified(model: VideoModel) -> list[dict[str, Any]]:
    if model.materials is None:
        return []
    images, videos, audios, total, video_s, audio_s = model.materials
    clip = {"max_count": videos, "min_duration": 2, "max_duration": video_s, "max_file_size": 50}
    return [
        {
            "key": "unified_edit",
            "value_type": "unified_edit",
            "unified_edit_config": {
                "supported_materials": [
                    {"material_type": 1, "limit": {"max_count": images}},
                    {"material_type": 2, "limit": {**clip, "max_width": 2160, "max_height": 2160}},
                    {"material_type": 3, "limit": {"max_count": audios}},
                ],
                "max_total_count": total,
                "max_total_video_duration": video_s,
                "max_total_audio_duration": audio_s,
                "required_material_types": {"any_of": [1, 2]},
            },
        }
    ]
