"""What a page may load, what its submit carries, and which context goes: tables and properties."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jimeng_gateway.browser import rules
from jimeng_gateway.browser.options import SCRIPT_HOSTS

PAGE = "https://jimeng.jianying.com/ai-tool/generate?type=video"


@pytest.mark.parametrize(
    ("kind", "url", "allowed"),
    [
        ("Document", PAGE, True),
        ("Script", "https://lf3-lv-buz.vlabstatic.com/common/scripts/bdms-1.0.1.20.js", True),
        ("Script", "https://vlabstatic.com/a.js", True),
        ("Script", "https://jimeng.jianying.com/main.js", True),
        ("Script", "https://evilvlabstatic.com/a.js", False),
        ("Script", "https://vlabstatic.com.evil.example/a.js", False),
        ("Script", "https://www.googletagmanager.com/gtag/js", False),
        ("Document", "https://ads.example/frame.html", False),
        ("Document", "about:blank", True),
        ("Script", "blob:https://jimeng.jianying.com/1", True),
        ("Image", "https://jimeng.jianying.com/logo.png", False),
        ("Font", "https://lf3.bytescm.com/a.woff2", False),
        ("Stylesheet", "https://lf3.bytescm.com/a.css", False),
        ("Media", "https://v.jianying.com/a.mp4", False),
        ("Other", "https://jimeng.jianying.com/favicon.ico", False),
        ("Other", "https://jimeng.jianying.com/manifest", True),
        # The script's own calls home are part of how it signs.
        ("XHR", "https://mssdk.bytedance.example/web/report", True),
        ("Fetch", "https://jimeng.jianying.com/mweb/v1/get_user_info", True),
    ],
)
def test_what_may_be_loaded(kind: str, url: str, allowed: bool) -> None:
    assert rules.may_load(kind, url, "jimeng.jianying.com", SCRIPT_HOSTS) is allowed


def test_every_kind_that_is_judged_pauses_and_so_does_the_guarded_path() -> None:
    made = rules.patterns("/mweb/v1/aigc_draft/generate")
    assert {found.get("resourceType") for found in made} == {*rules.NEVER_LOADED, *rules.OWN_ONLY, None}
    assert made[-1] == {"urlPattern": "*/mweb/v1/aigc_draft/generate*"}


@pytest.mark.parametrize(
    ("query", "signed"),
    [
        ("aid=1&msToken=t&a_bogus=b", True),
        ("aid=1&a_bogus=", False),
        ("aid=1", False),
        ("x_a_bogus=b", False),
    ],
)
def test_what_counts_as_signed(query: str, signed: bool) -> None:
    assert rules.is_signed(f"https://a.example/x?{query}", ("a_bogus",)) is signed


def test_the_browser_speaks_for_itself() -> None:
    sent = {"Cookie": "a", "User-Agent": "b", "Sec-Ch-Ua": "c", "Origin": "d", "Proxy-Authorization": "e"}
    ours = {"Content-Type": "application/json", "sign": "f", "device-time": "1", "tdid": ""}
    assert rules.page_headers(sent | ours) == ours


def test_cookies_of_the_site_are_shared_with_its_other_hosts() -> None:
    made = rules.cookies("sessionid=s; ttwid=1%7Cx=y; empty=; junk; =x", PAGE, ".jianying.com")
    assert [(cookie["name"], cookie["value"]) for cookie in made] == [
        ("sessionid", "s"),
        ("ttwid", "1%7Cx=y"),
        ("empty", ""),
    ]
    assert {(cookie["domain"], cookie["path"], cookie["secure"]) for cookie in made} == {
        (".jianying.com", "/", True)
    }


def test_cookies_on_another_host_stay_there() -> None:
    (made,) = rules.cookies("sessionid=s", "http://127.0.0.1:5200/ai-tool/generate", ".jianying.com")
    assert made == {
        "name": "sessionid",
        "value": "s",
        "path": "/",
        "secure": False,
        "url": "http://127.0.0.1:5200/ai-tool/generate",
    }


def test_a_host_cookie_has_no_domain() -> None:
    (made,) = rules.cookies("__Host-a=1", PAGE, ".jianying.com")
    assert "domain" not in made


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("sessionid=a; sid_guard=a%7C1", "sessionid=a; sid_guard=a%7C2", True),
        ("sessionid=a; x=1", "x=1; sessionid=a", True),
        ("sessionid=a", "sessionid=b", False),
        ("sessionid=a", "sessionid=a; ttwid=1", False),
    ],
)
def test_what_is_the_same_login(one: str, other: str, same: bool) -> None:
    assert rules.same_login(one, other) is same


def test_a_proxy_with_a_login() -> None:
    found = rules.proxy("http://user:p%40ss@proxy.example:3128")
    assert found == rules.Proxy("proxy.example", 3128, tls=False, user="user", password="p@ss")
    assert "p@ss" not in repr(found)


def test_a_proxy_without_a_login() -> None:
    assert rules.proxy("https://[::1]") == rules.Proxy("::1", 443, tls=True)
    assert rules.proxy("") == rules.Proxy()


@pytest.mark.parametrize("url", ["socks5://p.example:1080", "proxy.example:3128", "http://"])
def test_what_is_no_proxy_for_us(url: str) -> None:
    with pytest.raises(ValueError, match="http://host:port"):
        rules.proxy(url)


def view(session: str, used_at: float, *, busy: bool = False) -> rules.ContextView:
    return rules.ContextView(session, busy, used_at)


def test_idle_contexts_go_and_busy_ones_stay() -> None:
    every = [view("old", 0), view("busy", 0, busy=True), view("young", 500)]
    assert rules.to_close(every, 600, most=20, idle=600) == ("old",)
    assert rules.to_close(every, 599, most=20, idle=600) == ()


def test_the_longest_unused_makes_room() -> None:
    every = [view("b", 2), view("a", 1), view("c", 3)]
    assert rules.to_close(every, 4, most=2, idle=600) == ("a",)
    assert rules.to_close(every, 4, most=0, idle=600) == ("a", "b", "c")


VIEWS = st.lists(
    st.builds(rules.ContextView, st.uuids().map(str), st.booleans(), st.floats(0, 1000)),
    unique_by=lambda each: each.session,
)


@given(VIEWS, st.integers(0, 30), st.floats(0.001, 1000))
def test_closing_in_general(every: list[rules.ContextView], most: int, idle: float) -> None:
    gone = rules.to_close(every, 1000, most=most, idle=idle)
    known = {each.session: each for each in every}
    kept = [each for each in every if each.session not in gone]
    assert not any(known[session].busy for session in gone)
    # What is kept is within the limit, unless only busy ones are left.
    assert len(kept) <= most or all(each.busy for each in kept)
    assert all(each.busy or 1000 - each.used_at < idle for each in kept)
    # No kept one has rested longer than one that had to go.
    resting = [each.used_at for each in kept if not each.busy]
    assert not gone or not resting or max(known[session].used_at for session in gone) <= min(resting)
