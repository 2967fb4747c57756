"""Whole requests: address, query and headers of every call, as golden files."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

import pytest
from golden.check import matches
from support.wire import NOW_MS, an_identity

from jimeng_gateway.domain.request import Kind
from jimeng_gateway.domain.session import Identity
from jimeng_gateway.upstream.wire.protocol import builtin
from jimeng_gateway.upstream.wire.request import build, compact, download_headers
from jimeng_gateway.upstream.wire.sign import sign

SECOND = NOW_MS // 1000


@pytest.mark.parametrize("call", list(builtin().endpoints))
def test_requests(call: str) -> None:
    made = build(builtin(), an_identity(), call, {"a": "好"}, SECOND)
    matches(
        f"requests/{call}",
        {
            "method": made.method,
            "url": made.url.partition("?")[0],
            "query": dict(parse_qsl(made.url.partition("?")[2])),
            "headers": made.headers,
            "body": made.body.decode(),
        },
    )


def test_the_sign_belongs_to_the_device_time_and_the_path() -> None:
    made = build(builtin(), an_identity(), "history", {}, SECOND)
    path = urlsplit(made.url).path
    assert made.headers["device-time"] == str(SECOND)
    assert made.headers["sign"] == sign(path, pf="7", appvr="8.4.0", unix_seconds=SECOND)


def test_the_balance_call_follows_its_own_rules() -> None:
    made = build(builtin(), an_identity(), "user_credit", {}, SECOND)
    assert made.url == "https://jimeng.jianying.com/commerce/v1/benefits/user_credit"
    assert made.headers["Referer"] == "https://jimeng.jianying.com/ai-tool/image/generate"
    assert "app-sdk-version" not in made.headers
    assert "loc" not in made.headers
    assert made.headers["lan"] == "ZH"


def test_the_page_is_named_by_the_referer() -> None:
    made = build(builtin(), an_identity(), "generate", {}, SECOND, page=Kind.VIDEO)
    assert made.headers["Referer"] == "https://jimeng.jianying.com/ai-tool/generate?type=video"


def test_one_address_stands_for_every_host() -> None:
    for base in ("http://127.0.0.1:8080", "http://127.0.0.1:8080/"):
        made = build(builtin(), an_identity(), "user_credit", {}, SECOND, upstream_url=base)
        assert made.url == "http://127.0.0.1:8080/commerce/v1/benefits/user_credit"
        assert made.headers["Origin"] == "https://jimeng.jianying.com"


def test_without_a_web_id_the_parameter_is_left_out() -> None:
    nobody = Identity("s", "cn", "sessionid=a", "")
    query = dict(parse_qsl(urlsplit(build(builtin(), nobody, "generate", {}, SECOND).url).query))
    assert "webId" not in query
    assert query["aid"] == "513695"


def test_passport_calls_carry_the_csrf_token_of_the_jar() -> None:
    jar = Identity("s", "cn", "sessionid=a; passport_csrf_token=tok", "7")
    assert build(builtin(), jar, "passport", {}, SECOND).headers["x-tt-passport-csrf-token"] == "tok"
    assert "x-tt-passport-csrf-token" not in build(builtin(), jar, "user_info", {}, SECOND).headers


def test_downloads_show_no_cookie() -> None:
    headers = download_headers(builtin())
    assert "cookie" not in {name.lower() for name in headers}
    assert headers["Referer"] == "https://jimeng.jianying.com/"
    assert headers["User-Agent"] == builtin().browser.user_agent


def test_a_request_shows_no_secret() -> None:
    assert repr(build(builtin(), an_identity(), "cancel", {}, SECOND)) == (
        "WireRequest(POST https://jimeng.jianying.com/mweb/v1/aigc_draft/cancel_generate)"
    )


def test_json_is_written_as_the_pages_write_it() -> None:
    assert compact({"a": [1, "好"], "b": None}) == '{"a":[1,"好"],"b":null}'
