"""Replies of every shape: what they mean, and that nothing but our own error comes of the worst of them."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from golden.check import load
from hypothesis import given
from hypothesis import strategies as st
from support.wire import SUBMIT_ID

from jimeng_gateway.domain.errors import Acceptance, ErrorKind, Failure, UpstreamFailure
from jimeng_gateway.domain.record import Accepted, JobState
from jimeng_gateway.domain.session import Account
from jimeng_gateway.upstream.wire import live, parse
from jimeng_gateway.upstream.wire.protocol import builtin

P = builtin()
HTML = b"<html><head><title>504 Gateway Time-out</title></head></html>"


def failure_of(call: Callable[[], object]) -> Failure:
    with pytest.raises(UpstreamFailure) as caught:
        call()
    return caught.value.failure


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 200, "empty_body"),
        (b"  \n", 200, "empty_body"),
        (b"", 500, "http_500"),
        (HTML, 504, "http_504"),
        (HTML, 200, "not_json"),
        (b'{"ret":"0","data":{"aigc_da', 200, "not_json"),
        (b"[1,2]", 200, "not_an_object"),
        (b'"text"', 200, "not_an_object"),
        (b"null", 200, "not_an_object"),
        (b'{"message":"no route"}', 404, "http_404"),
        (b'{"ret":"0"}', 502, "http_502"),
        (b"[" * 100_000, 200, "not_json"),
        (b'{"a":' + b"9" * 5000 + b"}", 200, "not_json"),
    ],
)
def test_bodies_that_are_no_reply(body: bytes, status: int, code: str) -> None:
    found = failure_of(lambda: parse.envelope(body, status))
    assert (found.kind, found.code) == (ErrorKind.UPSTREAM_ERROR, code)
    assert found.acceptance is Acceptance.UNKNOWN


def test_a_door_that_limits_requests() -> None:
    found = failure_of(lambda: parse.envelope(b"slow down", 429))
    assert (found.kind, found.code) == (ErrorKind.RATE_LIMITED, "http_429")


def test_the_sites_word_counts_whatever_the_http_status() -> None:
    assert parse.envelope(b'{"ret":"1015"}', 401) == {"ret": "1015"}


def test_lone_surrogates_can_be_stored_afterwards() -> None:
    body = b'{"ret":"7777","errmsg":"bad \\ud800 text"}'
    found = failure_of(lambda: parse.accepted(parse.envelope(body), P))
    (found.message + found.raw).encode("utf-8")


@pytest.mark.parametrize("ret", ["0", 0])
def test_yes_as_text_or_number(ret: object) -> None:
    reply = {"ret": ret, "data": {"aigc_data": {"history_record_id": 345, "status": "20"}}}
    accepted = parse.accepted(reply, P)
    assert accepted.history_id == "345"
    assert accepted.record is not None
    assert accepted.record.status == 20


@pytest.mark.parametrize("data", [None, {}, {"aigc_data": None}, {"aigc_data": []}, []])
def test_a_yes_without_an_id_is_a_yes(data: object) -> None:
    assert parse.accepted({"ret": "0", "data": data}, P) == Accepted("")


@pytest.mark.parametrize("job", [{"task": {"history_id": "9"}}, {"task": {"task_id": "9"}}])
def test_the_history_id_may_stand_in_the_task(job: object) -> None:
    assert parse.accepted({"ret": "0", "data": {"aigc_data": job}}, P).history_id == "9"


@pytest.mark.parametrize("reply", [{}, {"ret": ""}, {"ret": None}, {"ret": []}, {"data": {}}, {"ret": True}])
def test_a_reply_that_says_nothing_leaves_the_acceptance_open(reply: dict[str, object]) -> None:
    found = failure_of(lambda: parse.accepted(reply, P))
    assert (found.kind, found.code) == (ErrorKind.UPSTREAM_ERROR, "unclear_reply")
    assert found.acceptance is Acceptance.UNKNOWN


def test_a_blank_ret_with_a_record_is_a_yes() -> None:
    reply = {"ret": "", "errmsg": "", "data": {"aigc_data": {"history_record_id": "9"}}}
    assert parse.accepted(reply, P).history_id == "9"


def test_a_no_is_sure_unless_there_is_a_record() -> None:
    sure = failure_of(lambda: parse.accepted({"ret": "1310"}, P))
    assert (sure.kind, sure.acceptance) == (ErrorKind.RATE_LIMITED, Acceptance.NO)
    reply = {"ret": "1310", "data": {"aigc_data": {"history_record_id": "9"}}}
    assert failure_of(lambda: parse.accepted(reply, P)).acceptance is Acceptance.UNKNOWN


def test_records_are_found_by_the_id_that_was_asked() -> None:
    reply = load("replies/video-queued")
    reply["data"] = {"34567000000001": reply["data"][SUBMIT_ID]}
    assert set(parse.records(reply, [SUBMIT_ID, "other"], P)) == {SUBMIT_ID}
    assert set(parse.records(reply, ["34567000000001"], P)) == {"34567000000001"}


def test_records_may_come_as_a_list() -> None:
    reply = load("replies/video-queued")
    reply["data"] = list(reply["data"].values())
    assert set(parse.records(reply, [SUBMIT_ID], P)) == {SUBMIT_ID}


def test_absence_is_believed_only_of_a_clear_reply() -> None:
    assert parse.records({"ret": "0", "data": {}}, ["a"], P) == {}
    assert parse.records({"ret": 0, "data": {"a": None}}, ["a"], P) == {}
    for unclear in (
        {"ret": "", "data": {}},
        {},
        {"ret": "0", "data": None},
        {"ret": "0", "data": "x"},
        {"b": {}},
    ):
        assert failure_of(lambda r=unclear: parse.records(r, ["a"], P)).code == "unclear_reply"


def test_an_entry_of_a_wrong_type_is_not_absent() -> None:
    found = parse.records({"ret": "0", "data": {"a": "x", "b": []}}, ["a", "b"], P)
    assert {key: record.state for key, record in found.items()} == {
        "a": JobState.RUNNING,
        "b": JobState.RUNNING,
    }


def test_one_broken_record_does_not_hide_the_others() -> None:
    reply = load("replies/image-finished")
    reply["data"]["broken"] = {"status": {}, "item_list": 7, "task": [], "queue_info": "x"}
    found = parse.records(reply, ["34567000000001", "broken"], P)
    assert found["34567000000001"].state is JobState.SUCCEEDED
    assert found["broken"].state is JobState.RUNNING


def test_a_refused_poll_raises_with_its_kind() -> None:
    assert failure_of(lambda: parse.records({"ret": "1015"}, ["a"], P)).kind is ErrorKind.AUTH


def test_the_account() -> None:
    reply = {"ret": "0", "data": {"uid": 1234567890123456, "name": "someone"}}
    assert parse.user_info(reply, P) == Account("1234567890123456", "someone")
    assert failure_of(lambda: parse.user_info({"ret": "1015"}, P)).kind is ErrorKind.AUTH
    for empty in (
        {"ret": "0", "data": {}},
        {"ret": "0", "data": {"uid": 0}},
        {"ret": "", "data": {"uid": "1"}},
    ):
        assert failure_of(lambda r=empty: parse.user_info(r, P)).kind is ErrorKind.UPSTREAM_ERROR


def test_the_account_by_passport() -> None:
    reply = {"data": {"user_id": 12, "screen_name": "someone"}, "message": "success"}
    assert parse.passport(reply, P) == Account("12", "someone")
    dead = {"data": {"error_code": 1, "name": "session_expired"}, "message": "error"}
    assert failure_of(lambda: parse.passport(dead, P)).kind is ErrorKind.AUTH
    other = {"data": {"error_code": 7, "name": "busy"}, "message": "error"}
    assert failure_of(lambda: parse.passport(other, P)).kind is ErrorKind.UNKNOWN
    assert failure_of(lambda: parse.passport({"message": "success", "data": {}}, P)).code == "unclear_reply"


def test_the_balance_is_the_sum_of_three() -> None:
    credit = {"gift_credit": 66, "purchase_credit": "10", "vip_credit": 100}
    assert parse.credits_of({"ret": "0", "data": {"credit": credit}}, P) == 176
    assert parse.credits_of({"ret": "0", "credit": {"gift_credit": 5}}, P) == 5
    assert parse.credits_of({"ret": "0", "data": {"credit": {"gift_credit": "x"}}}, P) is None
    assert failure_of(lambda: parse.credits_of({"ret": "1014"}, P)).kind is ErrorKind.UPSTREAM_ERROR


def test_the_best_address_of_a_video() -> None:
    video = {"item_id": "7", "video": {"transcoded_video": {"origin": {"video_url": "https://v9/hq"}}}}
    other = {"item_id": "8", "video": {"play_url": "https://v9/other"}}
    for name in ("item_list", "local_item_list"):
        assert parse.best_video({"ret": "0", "data": {name: [other, video]}}, "7", P) == "https://v9/hq"
    assert parse.best_video({"ret": "0", "data": {"item_list": [other]}}, "7", P) is None
    assert parse.best_video({"ret": "0", "data": None}, "7", P) is None


def test_the_sites_clock() -> None:
    assert parse.site_time({"systime": "1767225601"}) == 1767225601
    assert parse.site_time({"svr_time": 1767225601}) == 1767225601
    assert parse.site_time({"ret": "0"}) is None


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["0", "50", "45"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=12,
)
READERS: list[Callable[[dict[str, Any]], object]] = [
    lambda reply: parse.accepted(reply, P),
    lambda reply: parse.records(reply, [SUBMIT_ID, "34567000000001", "0"], P),
    lambda reply: parse.best_video(reply, "7", P),
    lambda reply: parse.user_info(reply, P),
    lambda reply: parse.passport(reply, P),
    lambda reply: parse.credits_of(reply, P),
    lambda reply: live.image_models(reply, P),
    lambda reply: live.video_models(reply, P),
]
SHAPES = [
    load(f"replies/{name}")
    for name in ("image-accepted", "image-finished", "image-partial", "video-finished", "text-rejected")
] + [load("replies/image-catalogue"), load("replies/video-catalogue")]


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [at, *(place for key, entry in inner for place in places(entry, (*at, key)))]


PLACES = [(shape, place) for shape in SHAPES for place in places(shape) if place]


@given(reply=st.dictionaries(st.sampled_from(["ret", "data", "message", "errmsg", "x"]), JSON, max_size=4))
def test_no_reply_raises_anything_but_our_error(reply: dict[str, Any]) -> None:
    for read in READERS:
        try:
            read(reply)
        except UpstreamFailure as failed:
            (failed.failure.message + failed.failure.raw + failed.failure.code).encode("utf-8")


@given(target=st.sampled_from(PLACES), value=JSON)
def test_any_value_at_any_place_of_a_real_reply(target: tuple[Any, tuple[Any, ...]], value: Any) -> None:
    shape, place = target
    reply = copy.deepcopy(shape)
    holder = reply
    for key in place[:-1]:
        holder = holder[key]
    holder[place[-1]] = value
    for read in READERS:
        try:
            read(reply)
        except UpstreamFailure as failed:
            (failed.failure.message + failed.failure.raw + failed.failure.code).encode("utf-8")


@given(
    body=st.binary(max_size=60) | JSON.map(lambda value: json.dumps(value).encode()),
    status=st.integers(100, 599),
)
def test_no_body_raises_anything_but_our_error(body: bytes, status: int) -> None:
    try:
        assert isinstance(parse.envelope(body, status), dict)
    except UpstreamFailure as failed:
        failed.failure.raw.encode("utf-8")
