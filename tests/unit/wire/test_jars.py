"""Exports of the common cookie extensions, one of each shape, and what is none."""

from __future__ import annotations

import json

import pytest

from jimeng_gateway.domain.errors import InvalidRequest
from jimeng_gateway.upstream.wire.identity import parse_credential
from jimeng_gateway.upstream.wire.jars import NoJar, header_of

SID = "0123456789abcdef0123456789abcdef"
HEADER = f"sessionid={SID}; _tea_web_id=7412345678901234567; ttwid=1%7Cabc"
COOKIES = [
    {"name": "sessionid", "value": SID, "domain": ".jianying.com", "httpOnly": True, "expirationDate": 1.8e9},
    {
        "name": "_tea_web_id",
        "value": "7412345678901234567",
        "domain": "jimeng.jianying.com",
        "session": False,
    },
    {"name": "ttwid", "value": "1%7Cabc", "domain": ".jianying.com"},
]
NETSCAPE = f"""# Netscape HTTP Cookie File
# https://curl.se/docs/http-cookies.html

#HttpOnly_.jianying.com\tTRUE\t/\tTRUE\t1800000000\tsessionid\t{SID}
jimeng.jianying.com\tFALSE\t/\tFALSE\t0\t_tea_web_id\t7412345678901234567
.jianying.com\tTRUE\t/\tTRUE\t1800000000\tttwid\t1%7Cabc
.example.com\tTRUE\t/\tFALSE\t0\tsessionid\tof-somebody-else
"""


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(COOKIES),
        json.dumps(COOKIES, indent=2),
        json.dumps({"cookies": COOKIES, "origins": []}),
        json.dumps({"url": "https://jimeng.jianying.com", "cookies": COOKIES}),
        json.dumps({entry["name"]: entry["value"] for entry in COOKIES}),
        json.dumps([*COOKIES, {"name": "sessionid", "value": "other", "domain": ".notjianying.com"}]),
        NETSCAPE,
        NETSCAPE.replace("\n", "\r\n"),
    ],
)
def test_exports_become_the_header_that_they_stand_for(text: str) -> None:
    assert header_of(text) == HEADER
    credential = parse_credential(text)
    assert (credential.session_id, credential.web_id) == (SID, "7412345678901234567")
    assert credential.cookie == HEADER


@pytest.mark.parametrize("text", [SID, HEADER, "", "Cookie: sessionid=x"])
def test_what_is_no_export_is_left_to_others(text: str) -> None:
    assert header_of(text) is None


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[]", "no cookies"),
        ("{}", "no cookies"),
        ("[1]", "no cookie"),
        ('[{"name": "sessionid"}]', "without a name or a value"),
        ('{"sessionid": 5}', "without a name or a value"),
        ('[{"name": "sessionid", "value": "x", "domain": ".example.com"}]', "only of example.com"),
        ('{"sessionid": "a; b=c"}', "characters that no cookie has"),
        ('{"sessionid": "a\\r\\nX-Evil: 1"}', "characters that no cookie has"),
        ('{"a=b": "x"}', "characters that no cookie has"),
        ('[{"name": "sessionid"', "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("a\tb", "does not have 7 fields"),
    ],
)
def test_exports_without_use_say_why(text: str, why: str) -> None:
    with pytest.raises(NoJar, match=why):
        header_of(text)
    with pytest.raises(InvalidRequest, match=why) as refused:
        parse_credential(text)
    assert refused.value.code == "invalid_credential"


def test_no_message_repeats_a_value() -> None:
    text = json.dumps([{"name": "sessionid", "value": "secret value with spaces"}])
    with pytest.raises(NoJar) as refused:
        header_of(text)
    assert "secret" not in str(refused.value)
