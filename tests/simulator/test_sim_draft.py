"""What a generate call is taken for, and what it is refused for."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sim_requests import LITE, image, video

from jimeng_gateway.simulator import draft
from jimeng_gateway.simulator.catalogue import Catalogue
from jimeng_gateway.simulator.refusal import Refusal
from jimeng_gateway.simulator.triggers import Ending, read

SITE = Catalogue.of_site(withdrawn=True)


def ask(body: dict[str, Any], catalogue: Catalogue = SITE) -> draft.Ask:
    return draft.ask(draft.submission(json.dumps(body).encode()), catalogue)


def refusal(body: dict[str, Any] | bytes, catalogue: Catalogue = SITE) -> Refusal:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(Refusal) as caught:
        draft.ask(draft.submission(raw), catalogue)
    return caught.value


def test_an_image_is_understood() -> None:
    found = ask(image(count=3, negative_prompt="fog"))
    assert (found.kind, found.generate_type, found.count, found.seed) == ("image", 1, 3, 25)
    assert (found.width, found.height, found.negative_prompt) == (2560, 1440, "fog")


def test_the_resolution_decides_the_size() -> None:
    found = ask(
        image(image_ratio=1, large_image_info={"width": 1024, "height": 1024, "resolution_type": "2k"})
    )
    assert (found.width, found.height) == (2048, 2048)


def test_an_intelligent_ratio_takes_the_nearest() -> None:
    size = {"width": 1000, "height": 1480, "resolution_type": "2k"}
    found = ask(image(image_ratio=None, intelligent_ratio=True, large_image_info=size))
    assert (found.width, found.height) == (1664, 2496)


def test_codes_of_old_clients_are_taken() -> None:
    found = ask(image(image_ratio=102, tier="4k"))
    assert (found.width, found.height) == (3520, 4693)


def test_without_a_count_the_model_decides() -> None:
    assert ask(image(count=None)).count == 4
    assert ask(image(count=None, model="high_aes_general_v50p_large")).count == 2


@pytest.mark.parametrize(("prompt", "count"), [("绘本故事，6张，小狐狸", 6), ("连续的故事", 4)])
def test_a_continuous_scene_counts_from_the_prompt(prompt: str, count: int) -> None:
    assert ask(image(prompt=prompt, scene="ImageMultiGenerate", count=None)).count == count


def test_a_blend_is_one() -> None:
    core = {
        "model": LITE,
        "prompt": "##hand painted",
        "image_ratio": 1,
        "large_image_info": {"width": 2048, "height": 2048, "resolution_type": "2k"},
    }
    content = {"component_list": [{"id": "c", "abilities": {"blend": {"core_param": core}}}]}
    assert ask({"submit_id": "s", "draft_content": json.dumps(content)}).generate_type == 12


def test_a_video_is_understood() -> None:
    found = ask(video(video_aspect_ratio="9:16", duration_ms=8000))
    assert (found.kind, found.width, found.height, found.duration_ms) == ("video", 720, 1280, 8000)
    assert (found.price, found.title) == (40, "视频生成720P 8秒")


def test_the_text_of_an_omni_reference_is_its_prompt() -> None:
    metas = [{"meta_type": "image", "text": ""}, {"meta_type": "text", "text": "walks [sim:fail]"}]
    found = ask(video(prompt="", unified_edit_input={"meta_list": metas}))
    assert (found.prompt, found.triggers.ending) == ("walks [sim:fail]", Ending.FAIL)


def test_a_draft_that_is_no_string_is_not_understood() -> None:
    assert refusal({**image(), "draft_content": {"component_list": []}}).ret == "1002"
    assert refusal({**image(), "draft_content": "{"}).ret == "1002"
    assert refusal(b"<html>").ret == "1002"
    assert refusal(b'{"draft_content":"\xff"}').ret == "1002"


@pytest.mark.parametrize(
    ("body", "ret"),
    [
        (image(submit_id=""), "1000"),
        ({**image(), "draft_content": "{}"}, "1000"),
        ({**image(), "draft_content": '{"component_list":[]}'}, "1000"),
        (image(model="high_aes_general_v99"), "2061"),
        (image(image_ratio=9), "1000"),
        (image(image_ratio=None), "1000"),
        (image(tier="8k"), "1000"),
        (image(count=9), "1000"),
        (image(model="jm_image_model_yc_mj82", count=1), "1000"),
        (image(sample_strength=1.5), "1000"),
        (image(seed=2**32), "1000"),
        (image(large_image_info={"width": -1, "height": 5, "resolution_type": "2k"}), "1000"),
        (video(model_req_key="dreamina_nothing"), "2061"),
        (video(video_aspect_ratio="427:240"), "1000"),
        (video(duration_ms=5500), "1000"),
        (video(resolution="1080p"), "1000"),
        (video(fps=60), "1000"),
        (video(prompt="[sim:ret=1057]"), "1057"),
        (image(prompt="[sim:fial]"), "1000"),
    ],
)
def test_nonsense_is_refused(body: dict[str, Any], ret: str) -> None:
    assert refusal(body).ret == ret


def test_a_wrong_benefit_cannot_be_paid() -> None:
    found = refusal(video(benefit="dreamina_video_seedance_20_fast"))
    assert (found.ret, found.errmsg) == ("5001", "credit prededuct failed")


def test_withdrawn_models_may_be_gone() -> None:
    old = video(
        model_req_key="dreamina_ic_generate_video_model_vgfm_3.0",
        benefit="basic_video_operation_vgfm_v_three",
    )
    assert ask(old).model_title == "视频 3.0"
    assert refusal(old, Catalogue.of_site(withdrawn=False)).ret == "2061"


def test_the_words_of_a_prompt() -> None:
    found = read("a cat [sim:slow=90] [sim:queue] [sim:partial=2] [sim:bad-file] [sim:dead-link]")
    assert (found.slow, found.queue, found.partial, found.bad_file) == (90.0, 60.0, 2, -1)
    assert found.dead_link
    assert not found.forever
    assert read("a cat [sim:reject-result]").ending is Ending.REJECT_RESULT
