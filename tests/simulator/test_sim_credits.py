"""Accounts, their flags and limits, and the books."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sim_requests import FAST, LITE, PATHS, Bench, image, video

from jimeng_gateway.simulator import page, reports


def test_an_unknown_session_walks_in_only_through_an_open_door() -> None:
    assert Bench().post("user_info")["ret"] == "0"
    closed = Bench(open_door=False)
    assert closed.post("user_info")["ret"] == "1015"
    closed.site.world.declare("one")
    assert closed.post("user_info")["ret"] == "0"
    assert Bench().post("user_info", session="")["ret"] == "1015"


@pytest.mark.parametrize(
    ("flags", "ret"),
    [
        ({"dead": True}, "1015"),
        ({"penniless": True}, "1006"),
        ({"credits": 1}, "1006"),
        ({"punished": True}, "1018"),
        ({"risky": True}, "4013"),
        ({"lacks": [LITE]}, "1006"),
    ],
)
def test_a_flag_refuses_and_charges_nothing(flags: dict[str, Any], ret: str) -> None:
    bench = Bench()
    bench.site.world.declare("one", **flags)
    assert bench.post("generate", image())["ret"] == ret
    assert bench.site.world.books(bench.now) == []


def test_refusals_have_the_captured_shape() -> None:
    bench = Bench()
    bench.site.world.declare("one", slot_limit=1)
    bench.post("generate", image())
    refused = bench.post("generate", image("s-2"))
    assert refused["ret"] == "1310"
    assert refused["data"]["fail_starling_key"] == "exceed_model_parallel_max"
    assert refused["data"]["aigc_data"] is None
    assert bench.post("generate", image(), session="")["data"] is None


def test_a_slot_is_free_again_when_its_job_ends() -> None:
    bench = Bench()
    bench.site.world.declare("one", slot_limit=2)
    assert [bench.post("generate", image(f"s-{n}"))["ret"] for n in range(3)] == ["0", "0", "1310"]
    bench.now += 12
    assert bench.post("generate", image("s-3"))["ret"] == "0"
    assert reports.state(bench.site)["running_max"] == 2


def test_a_cancelled_job_frees_its_slot() -> None:
    bench = Bench()
    bench.site.world.declare("one", slot_limit=1)
    accepted = bench.post("generate", image())["data"]["aigc_data"]
    bench.post("cancel", {"history_id": accepted["history_record_id"]})
    assert bench.post("generate", image("s-2"))["ret"] == "0"


def test_the_daily_limit_ends_at_midnight_in_shanghai() -> None:
    bench = Bench()
    bench.now = 1_767_279_599.0  # 2026-01-01 22:59:59 +08:00
    bench.site.world.declare("one", daily_limit=1)
    assert bench.post("generate", image())["ret"] == "0"
    assert bench.post("generate", image("s-2"))["ret"] == "121101"
    bench.now += 3601
    assert bench.post("generate", image("s-2"))["ret"] == "0"


@pytest.mark.parametrize(("risk", "ret"), [(4013, "4013"), (1019, "1019")])
def test_a_video_may_need_the_risk_values(risk: int, ret: str) -> None:
    bench = Bench(require_signature="video", risk_ret=risk)
    assert bench.post("generate", video())["ret"] == ret
    assert bench.post("generate", image())["ret"] == "0"
    made_up = {"msToken": "m", "a_bogus": "b"}
    assert bench.post("generate", video(), raw_query="msToken=m&a_bogus=b", query=made_up)["ret"] == ret
    ms_token = "m" * 184
    sign = page.a_bogus(page.key(bench.site.world.options, "one"), PATHS["generate"], "aid=1", ms_token)
    signed = f"aid=1&msToken={ms_token}&a_bogus={sign}"
    assert bench.post("generate", video(), session="two", raw_query=signed)["ret"] == ret
    assert bench.post("generate", video(), raw_query=signed)["ret"] == "0"


def test_paying_twice_is_visible() -> None:
    bench = Bench()
    bench.post("generate", image())
    bench.post("generate", image())
    bench.post("generate", image("s-2"))
    books = reports.books(bench.site)
    assert books["charged"] == {"s-1": 2, "s-2": 1}
    assert books["twice"] == ["s-1"]
    assert books["total"] == 6


@pytest.mark.parametrize(
    ("word", "left"), [("reject-result", 0), ("reject-text", 0), ("face", 0), ("fail", 2)]
)
def test_what_a_failed_job_costs(word: str, left: int) -> None:
    bench = Bench()
    bench.post("generate", image(prompt=f"[sim:{word}]"))
    assert reports.books(bench.site)["total"] == 2
    bench.now += 12
    assert reports.books(bench.site)["total"] == left
    assert bench.balance() == 100_000 - left


def test_gifts_are_spent_first_and_return_to_their_purse() -> None:
    bench = Bench()
    bench.site.world.declare("one", credits=100)
    assert bench.post("receive")["data"]["receive_quota"] == 66
    assert bench.post("receive")["data"]["receive_quota"] == 0
    accepted = bench.post("generate", video(duration_ms=15000))["data"]["aigc_data"]
    assert bench.post("credit")["data"]["credit"] == {
        "gift_credit": 0,
        "purchase_credit": 0,
        "vip_credit": 91,
    }
    bench.post("cancel", {"history_id": accepted["history_record_id"]})
    assert bench.post("credit")["data"]["credit"] == {
        "gift_credit": 66,
        "purchase_credit": 0,
        "vip_credit": 100,
    }
    bench.now += 86400
    assert bench.post("receive")["data"]["receive_quota"] == 66


def test_the_credit_history_names_the_submit_id() -> None:
    bench = Bench()
    bench.post("generate", image())
    bench.post("generate", video(prompt="[sim:reject-result]"))
    bench.now += 60
    spent = bench.post("credit_history", {"count": 1, "cursor": "0", "history_type": 2})["data"]
    assert [(r["submit_id"], r["amount"], r["title"]) for r in spent["records"]] == [
        ("v-1", 25, "视频生成720P 5秒")
    ]
    assert (spent["has_more"], spent["new_cursor"]) == (True, "1")
    income = bench.post("credit_history", {"history_type": 1})["data"]["records"]
    assert [(r["submit_id"], r["amount"]) for r in income] == [("v-1", 25)]


def test_commerce_replies_carry_their_payload_twice() -> None:
    reply = Bench().post("credit")
    assert json.loads(reply["response"]) == reply["data"]


def test_two_sessions_may_lead_to_one_account() -> None:
    bench = Bench()
    first = bench.site.world.declare("one", uid="77")
    assert bench.site.world.declare("two", uid="77") is first
    bench.post("generate", image())
    bench.now += 1
    assert bench.record(session="two") is not None


def test_the_passport_tells_the_living_from_the_dead() -> None:
    bench = Bench(open_door=False)
    bench.site.world.declare("one")
    alive = bench.post("passport")
    assert alive["message"] == "success"
    assert str(alive["data"]["user_id"]) == bench.post("user_info")["data"]["uid"]
    dead = bench.post("passport", session="two")
    assert (dead["message"], dead["data"]["name"]) == ("error", "session_expired")


def test_settings_are_kept() -> None:
    bench = Bench()
    bench.post("update_settings", {"custom_settings": {"aigc_compliance_confirmed": True}})
    assert bench.post("settings")["data"]["user_custom_settings"]["aigc_compliance_confirmed"] is True


def test_what_the_catalogue_lists_is_accepted() -> None:
    bench = Bench()
    images = bench.post("image_config")["data"]["model_list"]
    for number, model in enumerate(images):
        tier, sizes = next(iter(model["resolution_map"].items()))
        size = sizes["image_ratio_sizes"][0]
        wish = {"width": size["width"], "height": size["height"], "resolution_type": tier}
        body = image(
            f"i-{number}",
            model=model["model_req_key"],
            image_ratio=size["ratio_type"],
            large_image_info=wish,
            count=model.get("generate_count_options", [None])[-1],
        )
        assert bench.post("generate", body)["ret"] == "0", model["model_name"]
    videos = bench.post("video_config", {"scene": "generate_video"})["data"]["model_list"]
    for number, model in enumerate(videos):
        options = {option["key"]: option.get("enum_val") for option in model["options"]}
        price = model["commercial_config"]["resolution_price_configs"][0]
        body = video(
            f"v-{number}",
            model_req_key=model["model_req_key"],
            resolution=price["resolution"],
            benefit=price["price"]["benefit_type"],
            duration_ms=options["frames"]["int_value"][-1] * 1000 // 24,
        )
        assert bench.post("generate", body)["ret"] == "0", model["model_name"]
    assert len(images) == 16
    assert len(videos) == 16


def test_the_video_catalogue_knows_two_scene_names() -> None:
    bench = Bench()
    keys = [
        [m["model_req_key"] for m in bench.post("video_config", {"scene": scene})["data"]["model_list"]]
        for scene in ("generate_video", "video_generate")
    ]
    assert FAST in keys[0]
    assert keys[0] == keys[1]
    assert bench.post("video_config", {"scene": "nothing"})["ret"] == "1000"
