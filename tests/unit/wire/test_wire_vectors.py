"""Our submits beside those of an existing client of March 2026: every difference is listed and meant.

The reasons are in jimeng-web.md: newer versions and sizes (2.9, 3.3), the real count (3.4), the model's own
key in telemetry (3.4), and fields of a current capture that the recorded client leaves out (3.4, 4.4).
"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from golden.check import load, opened
from golden.compare import NOTHING, differences
from support.wire import NOW_MS, an_identity, an_order, counting_ids

from jimeng_gateway.domain.intake import Wish
from jimeng_gateway.upstream.wire.payload import generate_body
from jimeng_gateway.upstream.wire.protocol import builtin
from jimeng_gateway.upstream.wire.request import build

CORE = "draft_content.component_list.0.abilities.generate.core_param"
SCENE = "metrics_extra.sceneOptions.0"
GEN_VIDEO = "draft_content.component_list.0.abilities.gen_video"

#: (recorded, ours)
IMAGE: dict[str, tuple[object, object]] = {
    "extend.workspace_id": (NOTHING, 0),
    "metrics_extra.position": (NOTHING, "page_bottom_box"),
    "metrics_extra.isBoxSelect": (NOTHING, False),
    "metrics_extra.isCutout": (NOTHING, False),
    f"{CORE}.generate_type": (NOTHING, 0),
    f"{CORE}.large_image_info.min_version": ("3.0.2", NOTHING),
    "draft_content.component_list.0.abilities.generate.gen_option": ({...}, NOTHING),
    "draft_content.component_list.0.abilities.gen_option": (NOTHING, {...}),
}


def image(model: str, key: str, tier: str) -> dict[str, tuple[object, object]]:
    return {
        **IMAGE,
        "draft_content.version": ("3.3.4", "3.3.28"),
        f"{SCENE}.modelReqKey": (model, key),
        f"{SCENE}.reportParams.extraVipFunctionKey": (f"{model}-{tier}", f"{key}-{tier}"),
    }


VIDEO_METRICS: dict[str, tuple[object, object]] = {
    "position": (NOTHING, "page_bottom_box"),
    "functionMode": (NOTHING, "first_last_frames"),
    "sceneOptions": (NOTHING, [...]),
}

INTENDED: dict[str, dict[str, tuple[object, object]]] = {
    "image-5.0-square": {
        **image("jimeng-5.0", "high_aes_general_v50", "2k"),
        f"{SCENE}.benefitCount": (NOTHING, 1),
    },
    "image-4.5-wide-4k-negative": {
        **image("jimeng-4.5", "high_aes_general_v40l", "4k"),
        f"{SCENE}.benefitCount": (NOTHING, 1),
        f"{CORE}.image_ratio": (108, 8),
        f"{CORE}.large_image_info.width": (6048, 6197),
        f"{CORE}.large_image_info.height": (2592, 2656),
    },
    "image-multi-story": image("jimeng-4.5", "high_aes_general_v40l", "2k"),
    "video-3.0-text": {
        "extend.workspace_id": (NOTHING, 0),
        **{f"metrics_extra.{name}": values for name, values in VIDEO_METRICS.items()},
        **{f"{GEN_VIDEO}.video_task_extra.{name}": values for name, values in VIDEO_METRICS.items()},
        f"{GEN_VIDEO}.text_to_video_params.video_gen_inputs.0.idip_meta_list": (NOTHING, []),
        "draft_content.component_list.0.process_type": (NOTHING, 1),
        "draft_content.min_features": (NOTHING, []),
        "draft_content.version": ("3.2.8", "3.3.28"),
    },
}

QUERY = {
    "os": (NOTHING, "windows"),
    "commerce_with_input_video": (NOTHING, "1"),
    "da_version": ("3.3.2", "3.3.28"),
}


def wish_of(given: dict[str, Any]) -> Wish:
    # The recorded client made a series because of the words in the prompt; here the caller says so.
    multi = "绘本" in given["prompt"]
    return Wish(**given, multi_image=multi or None)


@pytest.mark.parametrize("name", list(INTENDED))
def test_every_difference_of_the_body_is_meant(name: str) -> None:
    vector = load(f"vectors/{name}")
    body = generate_body(an_order(wish_of(vector["input"])), builtin(), NOW_MS, counting_ids())
    assert dict(differences(vector["body"], opened(body))) == INTENDED[name]


@pytest.mark.parametrize("name", list(INTENDED))
def test_every_difference_of_query_and_headers_is_meant(name: str) -> None:
    vector = load(f"vectors/{name}")
    made = build(builtin(), an_identity(), "generate", {}, NOW_MS // 1000)
    old = {"da_version": ("3.2.8", "3.3.28"), "web_version": ("6.6.0", "7.5.0")} if "video" in name else {}
    assert dict(differences(vector["query"], dict(parse_qsl(urlsplit(made.url).query)))) == QUERY | old
    ours = {key.lower(): value for key, value in made.headers.items()}
    found = dict(differences(vector["headers"], ours))
    drawn = {"cookie", "device-time", "sign", "tdid", "user-agent"}  # not in the recordings
    assert found.keys() - drawn == {"referer", "sec-ch-ua"}
    assert found["referer"][1] == "https://jimeng.jianying.com/ai-tool/generate?type=image"
