"""Cookies: few and stable for a bare session id, untouched for a whole jar, refused when they are neither."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.wire import NOW_MS, SESSION_ID, WEB_ID

from jimeng_gateway.domain.errors import InvalidRequest
from jimeng_gateway.upstream.wire.identity import (
    Credential,
    cookie_value,
    draw_web_id,
    identity,
    parse_credential,
)

JAR = (
    "s_v_web_id=verify_1; sessionid=" + SESSION_ID + "; _tea_web_id=7312345678901234567; ttwid=1%7Cabc;"
    " sid_guard=" + SESSION_ID + "%7C1767225600%7C31536000%7CFri%2C+01-Jan-2027+00%3A00%3A00+GMT; odin_tt=x"
)


def test_a_bare_session_id() -> None:
    assert parse_credential(f"  {SESSION_ID}\n") == Credential(SESSION_ID)


def test_cookies_of_a_bare_session_id() -> None:
    cookie = identity(Credential(SESSION_ID), WEB_ID, "s1", NOW_MS).cookie
    cookies = dict(pair.split("=", 1) for pair in cookie.split("; "))
    assert list(cookies) == [
        "_tea_web_id",
        "is_staff_user",
        "store-region",
        "store-region-src",
        "sid_guard",
        "uid_tt",
        "uid_tt_ss",
        "sid_tt",
        "sessionid",
        "sessionid_ss",
    ]
    assert cookies["_tea_web_id"] == WEB_ID
    assert cookies["sessionid"] == cookies["sid_tt"] == cookies["sessionid_ss"] == SESSION_ID
    assert re.fullmatch(r"[0-9a-f]{32}", cookies["uid_tt"])
    assert cookies["uid_tt"] == cookies["uid_tt_ss"]
    assert cookies["sid_guard"] == (
        f"{SESSION_ID}%7C1767225600%7C5184000%7CMon%2C+02-Mar-2026+00%3A00%3A00+GMT"
    )


def test_only_the_time_in_sid_guard_changes_between_calls() -> None:
    first = identity(Credential(SESSION_ID), WEB_ID, "s1", NOW_MS).cookie
    later = identity(Credential(SESSION_ID), WEB_ID, "s1", NOW_MS + 86_400_000).cookie
    assert re.sub(r"sid_guard=[^;]*", "", first) == re.sub(r"sid_guard=[^;]*", "", later)
    assert first != later


def test_a_jar_goes_out_as_it_came() -> None:
    credential = parse_credential(JAR)
    assert credential == Credential(SESSION_ID, JAR, "7312345678901234567", (1767225600 + 31536000) * 1000)
    made = identity(credential, WEB_ID, "s1", NOW_MS)
    assert (made.cookie, made.web_id, made.session_id) == (JAR, "7312345678901234567", "s1")


def test_a_copied_header_line_is_a_jar() -> None:
    assert parse_credential("Cookie: " + JAR).cookie == JAR


def test_a_jar_without_web_id_gets_none_invented() -> None:
    made = identity(parse_credential(f"sessionid={SESSION_ID}"), WEB_ID, "s1", NOW_MS)
    assert (made.cookie, made.web_id) == (f"sessionid={SESSION_ID}", "")


@pytest.mark.parametrize("guard", ["", "abc", "a%7Cb%7Cc", "a%7C1%7C-5", "a%7C" + "9" * 30 + "%7C1"])
def test_an_unreadable_sid_guard_announces_no_end(guard: str) -> None:
    assert parse_credential(f"sessionid={SESSION_ID}; sid_guard={guard}").expires_at is None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "it is empty"),
        ("   ", "it is empty"),
        ("cookie:", "it is empty"),
        ("abc\ndef", "control"),
        ("sessionid=abc\r\nX-Evil: 1", "control"),
        ("abc\x00", "control"),
        ("会话", "non-ASCII"),
        ("ttwid=1; odin_tt=2", "no cookie named sessionid"),
        ("sessionid=; ttwid=1", "no cookie named sessionid"),
        ("us-" + SESSION_ID, "region prefix 'us-'"),
        ("HK-" + SESSION_ID, "region prefix 'HK-'"),
        ("intl-" + SESSION_ID, "region prefix 'intl-'"),
        ("sessionid=us-" + SESSION_ID, "region prefix"),
        ("abc,def", "one by one"),
        ("abc def", "letters and digits"),
        ("http://proxy@abc", "letters and digits"),
        ("a" * 513, "at most 512"),
        ("sessionid=a; x=" + "y" * 40000, "longer than"),
        ("sessionid=a; _tea_web_id=abc", "_tea_web_id is not a number"),
    ],
)
def test_what_is_no_credential(text: str, says: str) -> None:
    with pytest.raises(InvalidRequest, match=says) as caught:
        parse_credential(text)
    assert (caught.value.param, caught.value.code) == ("credential", "invalid_credential")


@given(st.text(max_size=60))
def test_anything_is_read_or_refused_and_never_leaks_into_the_message(text: str) -> None:
    try:
        credential = parse_credential(text)
    except InvalidRequest as error:
        message = error.message
    else:
        message = ""
        assert credential.session_id.isascii()
        assert credential.session_id.isprintable()
    assert len(text.strip()) < 10 or text not in message


@given(st.integers(min_value=0, max_value=2**80))
def test_web_ids_are_19_digits_and_start_with_7(number: int) -> None:
    web_id = draw_web_id(number)
    assert re.fullmatch(r"7[0-9]{18}", web_id)
    assert int(web_id) < 2**63


def test_web_ids_keep_all_their_digits() -> None:
    assert draw_web_id(345678901234567891) == "7345678901234567891"


def test_secrets_are_not_in_the_repr() -> None:
    credential = parse_credential(JAR)
    assert SESSION_ID not in repr(credential)
    assert SESSION_ID not in repr(identity(credential, WEB_ID, "s1", NOW_MS))


def test_one_cookie_of_a_jar() -> None:
    assert cookie_value(JAR, "ttwid") == "1%7Cabc"
    assert cookie_value(JAR, "nothing") is None
