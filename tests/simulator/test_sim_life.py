"""The life of jobs as polls see it: statuses, queue, items, and every way to end."""

from __future__ import annotations

import pytest
from sim_requests import Bench, image, video


def test_an_image_is_absent_then_grows_then_is_there() -> None:
    bench = Bench()
    assert bench.post("generate", image(count=4))["ret"] == "0"
    assert bench.record() is None
    seen = [
        (record["status"], len(record["item_list"])) for record in (bench.at(s) for s in (1, 3, 4, 2, 1.5))
    ]
    assert seen == [(20, 0), (42, 0), (45, 0), (45, 2), (45, 3)]
    done = bench.at(0.5)
    assert (done["status"], done["task"]["status"], len(done["item_list"])) == (50, 50, 4)
    assert done["finish_time"] == 1_767_225_612
    assert done["queue_info"]["queue_status"] == 3


def test_a_video_waits_in_a_shrinking_queue_then_works_then_is_there() -> None:
    bench = Bench()
    bench.post("generate", video())
    queue = [bench.at(s, "v-1") for s in (2, 8, 9)]
    places = [record["queue_info"]["queue_idx"] for record in queue]
    lengths = [record["queue_info"]["queue_length"] for record in queue]
    assert places == sorted(places, reverse=True)
    assert places[-1] >= 1
    assert all(length >= place for length, place in zip(lengths, places, strict=True))
    assert {(r["status"], r["queue_info"]["queue_status"]) for r in queue} == {(20, 1)}
    assert [record["forecast_queue_cost"] for record in queue] == [18, 10, 1]
    working = bench.at(1, "v-1")
    assert (working["status"], working["queue_info"]["queue_status"]) == (20, 2)
    assert working["queue_info"]["queue_idx"] == 0
    assert bench.at(39.9, "v-1")["status"] == 20
    assert bench.at(0.1, "v-1")["status"] == 50


def test_forecasts_are_the_sites() -> None:
    bench = Bench()
    bench.post("generate", image())
    bench.post("generate", video())
    assert bench.at(1)["forecast_generate_cost"] == 23
    assert bench.at(0, "v-1")["forecast_generate_cost"] == 156


def test_speed_divides_every_duration() -> None:
    bench = Bench(speed=20)
    bench.post("generate", image())
    bench.post("generate", video())
    assert bench.record() is None
    assert bench.at(0.05)["status"] == 20
    assert bench.at(0.55)["status"] == 50
    young = bench.at(0, "v-1")
    assert (young["status"], young["forecast_generate_cost"]) == (20, 8)
    assert bench.at(2.4, "v-1")["status"] == 50


@pytest.mark.parametrize(
    ("word", "task_status", "code", "message"),
    [
        ("reject-text", 10, "2038", "InputTextRisk"),
        ("reject-result", 40, "2004", "OutputImageRisk"),
        ("face", 10, "4011", "RejectFace"),
        ("fail", 30, "", ""),
    ],
)
def test_a_word_decides_the_end(word: str, task_status: int, code: str, message: str) -> None:
    bench = Bench()
    bench.post("generate", image(prompt=f"a cat [sim:{word}]"))
    record = bench.at(12)
    assert (record["status"], record["task"]["status"]) == (30, task_status)
    assert (record["fail_code"], record["fail_msg"]) == (code, message)
    assert record["item_list"] == []


def test_a_refused_text_is_known_soon() -> None:
    bench = Bench()
    bench.post("generate", video(prompt="[sim:reject-text]"))
    assert bench.at(2, "v-1")["status"] == 30


def test_a_partial_success_says_what_is_missing() -> None:
    bench = Bench()
    bench.post("generate", image(count=4, prompt="[sim:partial=3]"))
    record = bench.at(12)
    assert (record["status"], record["total_image_count"], record["finished_image_count"]) == (50, 4, 3)
    assert (len(record["item_list"]), len(record["failed_item_list"])) == (3, 1)


def test_slow_and_queue_stretch_the_life() -> None:
    bench = Bench()
    bench.post("generate", image(prompt="[sim:slow=100] [sim:queue=30]"))
    assert bench.at(29)["queue_info"]["queue_status"] == 1
    assert bench.at(2)["queue_info"]["queue_status"] == 2
    assert bench.at(98)["status"] == 45
    assert bench.at(1)["status"] == 50


def test_forever_is_forever() -> None:
    bench = Bench()
    bench.post("generate", image(prompt="[sim:forever]"))
    assert bench.at(10**7)["status"] == 20


def test_cancelling_gives_the_credits_back() -> None:
    bench = Bench()
    accepted = bench.post("generate", video())["data"]["aigc_data"]
    bench.now += 10
    assert bench.balance() == 100_000 - 25
    assert bench.post("cancel", {"history_id": accepted["history_record_id"]})["ret"] == "0"
    record = bench.at(0, "v-1")
    assert (record["status"], record["task"]["status"], record["queue_info"]["queue_status"]) == (30, 30, 3)
    assert (record["fail_msg"], record["fail_starling_message"]) == (
        "TaskCanceled",
        "你已取消生成，积分已返还",
    )
    assert bench.balance() == 100_000
    assert bench.at(100, "v-1")["status"] == 30
    assert bench.post("cancel", {"history_id": accepted["history_record_id"]})["ret"] == "1000"


def test_what_cannot_be_cancelled_goes_on() -> None:
    bench = Bench()
    accepted = bench.post("generate", image(prompt="[sim:no-cancel]"))["data"]["aigc_data"]
    assert bench.post("cancel", {"history_id": accepted["history_record_id"]})["ret"] == "1000"
    assert bench.at(12)["status"] == 50


def test_a_removed_record_is_deleted() -> None:
    bench = Bench()
    accepted = bench.post("generate", image())["data"]["aigc_data"]
    assert bench.post("remove", {"id_list": [accepted["history_record_id"], "unknown"]})["ret"] == "0"
    assert bench.at(1)["status"] == 100


def test_a_job_can_be_finished_by_hand() -> None:
    bench = Bench()
    bench.post("generate", video(prompt="[sim:forever]"))
    assert bench.site.world.finish("v-1", bench.now) == 1
    assert bench.at(0, "v-1")["status"] == 50
    assert bench.site.world.finish("v-1", bench.now) == 0


def test_each_account_sees_its_own_jobs_only() -> None:
    bench = Bench()
    accepted = bench.post("generate", image())["data"]["aigc_data"]
    bench.now += 12
    history_id = accepted["history_record_id"]
    item = bench.at(0)["item_list"][0]["common_attr"]["id"]
    asked = {"history_ids": [history_id, "1", "x"], "submit_ids": ["s-1", "s-9"]}
    assert set(bench.post("history", asked)["data"]) == {history_id, "s-1"}
    assert bench.post("history", asked, "two")["data"] == {}
    assert bench.post("items", {"item_id_list": [item]}, "two")["data"]["item_list"] == []
    assert bench.post("cancel", {"history_id": history_id}, "two")["ret"] == "1000"


def test_the_queue_call_says_the_same() -> None:
    bench = Bench()
    history_id = bench.post("generate", video())["data"]["aigc_data"]["history_record_id"]
    record = bench.at(5, "v-1")
    found = bench.post("queue", {"history_ids": [history_id]})["data"][history_id]
    assert found["queue_info"] == record["queue_info"]
    assert found["forecast_cost_time"] == {"forecast_generate_cost": 156, "forecast_queue_cost": 15}
    assert bench.post("queue", {"historyIds": [history_id]})["ret"] == "1000"


def test_assets_come_newest_first_and_in_pages() -> None:
    bench = Bench()
    for number in range(3):
        bench.post("generate", image(f"s-{number}"))
    bench.now += 12
    first = bench.post("assets", {"count": 2})["data"]
    assert [a["image"]["submit_id"] for a in first["asset_list"]] == ["s-2", "s-1"]
    assert first["has_more"]
    second = bench.post("assets", {"count": 2, "offset": first["next_offset"]})["data"]
    assert [a["image"]["submit_id"] for a in second["asset_list"]] == ["s-0"]
    assert not second["has_more"]
