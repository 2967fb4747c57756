"""Sign, headers, versions and webId, in the three modes."""

from __future__ import annotations

from typing import Any

import pytest
from sim_requests import PATHS, Bench, image

from jimeng_gateway.simulator.checks import cookies_of, sign

HEADERS = {
    "appid": "513695",
    "appvr": "8.4.0",
    "pf": "7",
    "device-time": "1767225600",
    "sign": "050615d4bfc9047fbab2a4393676b3db",
    "sign-ver": "1",
    "app-sdk-version": "48.0.0",
    "tdid": "",
    "lan": "zh-Hans",
    "loc": "cn",
    "origin": "https://jimeng.jianying.com",
    "referer": "https://jimeng.jianying.com/ai-tool/generate?type=image",
    "user-agent": "Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/132.0.0.0",
}
QUERY = {"webId": "7345678901234567890", "da_version": "3.3.28"}
COOKIES = {"_tea_web_id": "7345678901234567890"}


def generate(bench: Bench, **changes: Any) -> dict[str, Any]:
    """A generate call that is right but for the changes."""
    given: dict[str, Any] = {"headers": HEADERS, "query": QUERY, "cookies": COOKIES} | changes
    return bench.post("generate", image(), **given)


@pytest.mark.parametrize(
    ("path", "device_time", "expected"),
    [
        ("/mweb/v1/aigc_draft/generate", "1767225600", "050615d4bfc9047fbab2a4393676b3db"),
        ("/mweb/v1/get_history_by_ids", "1767225600", "3b5cfd6fb9927965b97c9abcc4cec558"),
        ("/mweb/v1/get_local_item_list", "1767225600", "428cc369e36ed3fcdb72a0f33c0116cd"),
        ("/commerce/v1/benefits/user_credit", "1767225600", "ba5c5e8a03c9a11f3c7ffda27ec80565"),
        ("/mweb/v1/get_asset_list", "1770799188", "99f53a201a714800b940d336ec506155"),
    ],
)
def test_the_sign_is_the_captured_one(path: str, device_time: str, expected: str) -> None:
    assert sign(path, "8.4.0", "7", device_time, "") == expected


def test_a_good_call_passes_a_strict_site() -> None:
    assert generate(Bench(sign="strict"))["ret"] == "0"


@pytest.mark.parametrize(
    ("changes", "ret"),
    [
        ({"headers": {**HEADERS, "sign": "0" * 32}}, "1014"),
        ({"headers": {k: v for k, v in HEADERS.items() if k != "sign"}}, "3018"),
        ({"headers": {**HEADERS, "appid": "513641"}}, "3018"),
        ({"headers": {**HEADERS, "user-agent": "Python/3.11 aiohttp/3.14"}}, "3018"),
        ({"headers": {k: v for k, v in HEADERS.items() if k != "app-sdk-version"}}, "3018"),
        ({"query": {**QUERY, "webId": "7000000000000000000"}}, "4013"),
        ({"query": {"da_version": "3.3.28"}}, "4013"),
        ({"cookies": {}}, "4013"),
    ],
)
def test_a_strict_site_refuses(changes: dict[str, object], ret: str) -> None:
    bench = Bench(sign="strict")
    assert generate(bench, **changes)["ret"] == ret
    assert bench.site.world.jobs == []


def test_old_versions_are_refused_only_together() -> None:
    bench = Bench(sign="strict")
    old = {**HEADERS, "appvr": "5.8.0", "sign": "3c82dda9a236d5cb3671cfa32a5de91e"}
    assert generate(bench, headers=old)["ret"] == "0"
    assert generate(bench, headers=old, query={**QUERY, "da_version": "3.3.2"})["ret"] == "3018"


@pytest.mark.parametrize(("off_by", "ret"), [(299, "0"), (301, "1014"), (-301, "1014")])
def test_device_time_may_differ_by_five_minutes(off_by: float, ret: str) -> None:
    bench = Bench(sign="strict")
    bench.now += off_by
    assert generate(bench)["ret"] == ret


def test_a_lax_site_notes_what_it_lets_pass() -> None:
    bench = Bench(sign="lax")
    assert generate(bench, headers={**HEADERS, "sign": "0" * 32})["ret"] == "0"
    assert bench.site.traffic.log[-1].remarks == ("the sign is wrong",)
    assert bench.site.traffic.remarks == {"the sign is wrong": 1}


def test_an_indifferent_site_notes_nothing() -> None:
    bench = Bench(sign="off")
    assert generate(bench, headers={})["ret"] == "0"
    assert bench.site.traffic.log[-1].remarks == ()


def test_a_dead_login_is_told_before_a_wrong_sign() -> None:
    bench = Bench(sign="strict", open_door=False)
    assert bench.post("history", {"history_ids": []})["ret"] == "1015"


def test_user_credit_has_rules_of_its_own() -> None:
    bench = Bench(sign="strict")
    commerce = {k: v for k, v in HEADERS.items() if k not in ("app-sdk-version", "loc")}
    commerce["sign"] = sign(PATHS["credit"], "8.4.0", "7", "1767225600", "")
    right = {**commerce, "referer": "https://jimeng.jianying.com/ai-tool/image/generate"}
    assert bench.post("credit", headers=right)["ret"] == "0"
    assert bench.post("credit", headers=commerce)["ret"] == "1014"
    assert bench.post("credit", headers=right, query={"aid": "513695"})["ret"] == "1014"


def test_cookies_are_read_and_rubbish_has_none() -> None:
    assert cookies_of("sessionid=a; sid_guard=b%7C1")["sid_guard"] == "b%7C1"
    assert cookies_of("\x01=;;=") == {}
