"""Failures by code, in every field where the site puts one, and what of a reply may be kept."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jimeng_gateway.domain.errors import Acceptance, ErrorKind
from jimeng_gateway.upstream.wire.codes import RAW_LIMIT, classify, prune, redact
from jimeng_gateway.upstream.wire.protocol import builtin

BUILTIN = builtin()


@pytest.mark.parametrize("code", list(BUILTIN.codes))
def test_every_code_as_text_and_as_number(code: str) -> None:
    for ret in (code, int(code)):
        found = classify({"ret": ret, "errmsg": "why"}, BUILTIN)
        assert (found.kind, found.code) == (BUILTIN.codes[code].kind, code)
        assert found.message == f"{BUILTIN.codes[code].says}: why"


@pytest.mark.parametrize(
    ("reply", "kind", "code"),
    [
        ({"fail_code": "2038"}, "content_rejected", "2038"),
        ({"fail_code": 2038}, "content_rejected", "2038"),
        ({"data": {"fail_code": "1310"}}, "rate_limited", "1310"),
        ({"data": {"aigc_data": {"fail_code": 4011}}}, "content_rejected", "4011"),
        ({"error_code": 2043}, "content_rejected", "2043"),
        ({"task": {"resp_ret": {"ret": "1006"}}}, "quota", "1006"),
        ({"gen_result_data": {"result_code": 2042}}, "content_rejected", "2042"),
        ({"item_list": [{"gen_result_data": {"result_code": "2004"}}]}, "content_rejected", "2004"),
        ({"failed_item_list": [{"fail_code": 2041}]}, "content_rejected", "2041"),
        (
            {"fail_starling_key": "exceed_model_parallel_max"},
            "rate_limited",
            "exceed_model_parallel_max",
        ),
        ({"data": {"fail_starling_key": "web_fail2generate_copyright_block"}}, "content_rejected", None),
        ({"fail_starling_key": "web_new_violates_community_guidelines_x"}, "content_rejected", None),
        ({"fail_msg": "InputTextRisk"}, "content_rejected", "InputTextRisk"),
        ({"fail_msg": "rejectface"}, "content_rejected", None),
        ({"fail_msg": "TaskCanceled"}, "generation_failed", "cancelled_upstream"),
        ({"fail_code": 2002, "fail_msg": "TaskCanceled"}, "generation_failed", "cancelled_upstream"),
        ({"fail_starling_message": "你已取消生成，积分已返还"}, "generation_failed", "cancelled_upstream"),
        ({"fail_starling_message": "你输入的文字不符合平台规则，请修改后重试"}, "content_rejected", ""),
        ({"errmsg": "credit prededuct failed"}, "upstream_error", "credit_prededuct_failed"),
        ({"errmsg": "因目前处于使用高峰期，暂时无法提交更多任务"}, "rate_limited", ""),
        ({"ret": "3018", "errmsg": "permission denied", "data": {"fail_code": "1017"}}, "risk", "3018"),
        ({"ret": "-6", "data": {"fail_starling_message": "Couldn't generate"}}, "risk", "-6"),
        ({"ret": "99999", "data": {"fail_code": "2038"}}, "content_rejected", "2038"),
    ],
)
def test_codes_are_read_from_every_field(reply: dict[str, object], kind: str, code: str | None) -> None:
    found = classify(reply, BUILTIN)
    assert found.kind == kind
    assert code is None or found.code == code


def test_an_unknown_code_stays_visible() -> None:
    found = classify({"ret": "424242", "errmsg": "strange"}, BUILTIN, acceptance=Acceptance.NO)
    assert (found.kind, found.code, found.acceptance) == (ErrorKind.UNKNOWN, "424242", Acceptance.NO)
    assert "strange" in found.message
    assert '"424242"' in found.raw


def test_success_words_are_no_reason() -> None:
    reply = {"ret": "0", "errmsg": "success", "fail_code": "", "fail_msg": "Success", "error_code": 0}
    found = classify(reply, BUILTIN)
    assert (found.kind, found.code) == (ErrorKind.UNKNOWN, "")


@pytest.mark.parametrize("field", ["fail_code", "error_code"])
def test_small_numbers_mean_something_as_ret_only(field: str) -> None:
    assert classify({field: 1}, BUILTIN).kind is ErrorKind.UNKNOWN
    assert classify({"ret": 1}, BUILTIN).kind is ErrorKind.RATE_LIMITED


@pytest.mark.parametrize(
    "secret",
    [
        '{"sessionid":"s3cretvalue"}',
        '{\\"sessionid\\":\\"s3cretvalue\\"}',
        "Cookie: sid_tt=s3cretvalue; ttwid=s3cretvalue",
        "https://x/?msToken=s3cretvalue&a_bogus=s3cretvalue",
        "https://p3/x.png?x-expires=1&x-signature=s3cretvalue",
        '{"token": "s3cretvalue", "secret_access_key": "s3cretvalue"}',
        '{"sign":"s3cretvalue"}',
    ],
)
def test_secrets_are_removed(secret: str) -> None:
    assert "s3cretvalue" not in redact(secret)
    assert "[redacted]" in redact(secret)


def test_what_looks_like_a_session_id_is_removed() -> None:
    assert redact("login of 0123456789ABCDEF0123456789abcdef failed") == "login of [redacted] failed"


def test_what_explains_the_failure_is_kept() -> None:
    text = '{"ret":"1006","errmsg":"积分不足","logid":"20260101080001AB"}'
    assert redact(text) == text


@given(st.text(max_size=5000))
def test_what_is_kept_is_short_and_storable(raw: str) -> None:
    kept = redact(raw)
    assert len(kept) <= RAW_LIMIT
    kept.encode("utf-8")


def test_a_secret_at_the_cut_does_not_survive_it() -> None:
    raw = "x" * (RAW_LIMIT - 15) + " sessionid=0123456789abcdef0123456789abcdef"
    assert "0123" not in redact(raw)


def test_pruning_leaves_out_drafts_and_long_texts() -> None:
    pruned = prune({"ret": "1", "draft_content": "x" * 9000, "data": {"a": "y" * 900, "b": [1] * 90}})
    assert "draft_content" not in pruned
    assert len(pruned) < 400


def test_pruning_ends_in_any_depth() -> None:
    deep: dict[str, object] = {}
    for _ in range(5000):
        deep = {"a": deep}
    assert prune(deep).count("{") < 10
