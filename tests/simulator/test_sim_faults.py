"""Disturbances: which request they hit, how often, and what they send."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from sim_requests import PATHS, Bench, call, image

from jimeng_gateway.simulator import reports
from jimeng_gateway.simulator.faults import Fault, FaultKind
from jimeng_gateway.simulator.replies import Reply


def arm(bench: Bench, kind: str, **limits: Any) -> None:
    bench.site.world.faults.arm([Fault(FaultKind(kind), **limits)])


def reply(bench: Bench, name: str = "generate", content: Any = None, session: str = "one") -> Reply:
    body = json.dumps(image() if content is None else content).encode()
    return bench.site.answer(call(PATHS[name], session, body)).reply


def test_a_fault_keeps_to_its_endpoint_session_and_number() -> None:
    bench = Bench()
    arm(bench, "html504", endpoint="history", session="one", count=2)
    polls: dict[str, list[str]] = {"history_ids": []}
    assert reply(bench, "user_info", {}).status == 200
    assert reply(bench, "history", polls, "two").status == 200
    assert [reply(bench, "history", polls).status for _ in range(3)] == [504, 504, 200]
    assert bench.site.traffic.faults == {"html504": 2}


def test_other_means_neither_generate_nor_history_nor_files() -> None:
    bench = Bench()
    arm(bench, "http500", endpoint="other")
    assert reply(bench).status == 200
    assert reply(bench, "history", {"history_ids": []}).status == 200
    assert reply(bench, "cancel", {}).status == 500


def test_a_rate_is_drawn_from_the_seed() -> None:
    def hits(seed: int) -> list[int]:
        bench = Bench(seed=seed, faults=(Fault(FaultKind.HTML504, rate=0.3),))
        return [reply(bench, "user_info", {}).status for _ in range(200)]

    assert hits(1) == hits(1) != hits(2)
    assert 40 <= Counter(hits(1))[504] <= 80


@pytest.mark.parametrize(
    ("kind", "charged", "status", "cut"),
    [
        ("html504", 0, 504, None),
        ("html200", 0, 200, None),
        ("http500", 0, 500, None),
        ("reset", 0, 200, 0),
        ("ret", 0, 200, None),
        ("lost_reply", 1, 200, 0),
        ("empty", 1, 200, None),
        ("not_json", 1, 200, None),
        ("truncated", 1, 200, None),
        ("slow", 1, 200, None),
    ],
)
def test_whether_a_spoilt_generate_was_carried_out(
    kind: str, charged: int, status: int, cut: int | None
) -> None:
    bench = Bench()
    arm(bench, kind, count=1)
    found = reply(bench)
    assert (found.status, found.cut) == (status, cut)
    assert len(reports.books(bench.site)["charges"]) == charged


def test_a_fault_may_come_after_the_work() -> None:
    bench = Bench()
    arm(bench, "html504", processed=True)
    assert reply(bench).status == 504
    assert reports.books(bench.site)["charged"] == {"s-1": 1}


def test_shapes_that_a_client_must_survive() -> None:
    bench = Bench()
    bench.post("generate", image(prompt="[sim:reject-text]"))
    bench.now += 5
    asked = {"submit_ids": ["s-1"]}
    usual = json.loads(reply(bench, "history", asked).body)
    seen = {}
    for kind in ("numbers", "null_data", "blank_ret", "absent", "bare"):
        arm(bench, kind, count=1)
        seen[kind] = json.loads(reply(bench, "history", asked).body)
    assert (seen["numbers"]["ret"], seen["numbers"]["data"]["s-1"]["fail_code"]) == (0, 2038)
    assert seen["null_data"]["data"] is None
    assert (seen["blank_ret"]["ret"], seen["blank_ret"]["errmsg"]) == ("", "")
    assert seen["absent"]["data"] == {}
    assert seen["bare"].keys() == usual["data"].keys()


def test_broken_bodies() -> None:
    bench = Bench()
    for kind in ("empty", "not_json", "truncated", "html200"):
        arm(bench, kind, count=1)
        with pytest.raises(ValueError):
            json.loads(reply(bench).body)


def test_a_file_breaks_off_in_the_middle() -> None:
    bench = Bench()
    bench.post("generate", image())
    link = bench.at(12)["item_list"][0]["image"]["large_images"][0]["image_url"]
    whole = bench.get(link)
    arm(bench, "truncated", endpoint="media", count=1)
    assert bench.get(link).cut == len(whole.body) // 2


def test_a_code_on_demand() -> None:
    bench = Bench()
    arm(bench, "ret", ret="1310", endpoint="generate", count=1)
    assert json.loads(reply(bench).body)["data"]["fail_starling_key"] == "exceed_model_parallel_max"
    assert json.loads(reply(bench).body)["ret"] == "0"


def test_a_delay_is_told_to_the_server() -> None:
    bench = Bench()
    arm(bench, "slow", seconds=45)
    assert bench.site.answer(call(PATHS["user_info"], "one", b"{}")).delay_s == 45


@pytest.mark.parametrize("limits", [{"rate": 1.5}, {"count": 0}])
def test_impossible_limits_are_refused(limits: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        Fault(FaultKind.SLOW, **limits)
