"""The protocol data: complete, checked, and open to an operator's override."""

from __future__ import annotations

import pytest

from jimeng_gateway.domain.errors import ErrorKind
from jimeng_gateway.upstream.wire.protocol import builtin, merge, overridden

#: Every code of jimeng-web.md 2.7 with the class it has there; 0 is success.
CODES = {
    "rate_limited": "1 1010 1057 1310 2014 2020 10020",
    "invalid_request": "1000 1001 1002 1016 1161 1162 1189 1190 2203 2204 2008 3021 4002 4010",
    "quota": "1006 4001 4003 5000 121101",
    "upstream_error": "1014 2001 3020 -1",
    "auth": "1015 34010105",
    "risk": "1017 1019 1021 2035 3018 4013 -4 -6",
    "account_blocked": "1018",
    "content_rejected": "1063 1159 2003 2004 2005 2038 2039 2040 2041 2042 2043 2048 2050 4011",
    "generation_failed": "2002 2046 2047 5001 5002",
    "model_unavailable": "2061",
}
EXPECTED = [(code, ErrorKind(kind)) for kind, codes in CODES.items() for code in codes.split()]


def test_versions_are_the_newest_known() -> None:
    versions = builtin().versions
    assert (versions.appvr, versions.app_sdk_version, versions.web_version) == ("8.4.0", "48.0.0", "7.5.0")
    assert (versions.da_version, versions.draft_version, versions.pf) == ("3.3.28", "3.3.28", "7")


def test_the_china_region() -> None:
    region = builtin().region("cn")
    assert region.api == region.commerce == region.site == "https://jimeng.jianying.com"
    assert (region.aid, region.region, region.lan, region.loc) == (513695, "cn", "zh-Hans", "cn")
    with pytest.raises(ValueError, match="unknown region 'us'; known: cn"):
        builtin().region("us")


@pytest.mark.parametrize(("code", "kind"), EXPECTED)
def test_every_known_code_has_its_kind(code: str, kind: ErrorKind) -> None:
    assert builtin().codes[code].kind is kind


def test_no_code_is_in_the_table_without_being_checked_here() -> None:
    assert set(builtin().codes) - {code for code, _ in EXPECTED} == {"100402"}


def test_an_override_changes_only_what_it_names() -> None:
    changed = overridden('[versions]\nda_version = "3.4.0"\n[regions.cn]\napi = "https://api.example"\n')
    assert changed.versions.da_version == "3.4.0"
    assert changed.versions.appvr == builtin().versions.appvr
    assert changed.regions["cn"].api == "https://api.example"
    assert changed.regions["cn"].site == builtin().regions["cn"].site


def test_an_override_may_teach_codes_and_parameters() -> None:
    changed = overridden(
        '[codes]\n"7777" = { kind = "risk", says = "new" }\n'
        '[query_values]\nnew_flag = "1"\n[endpoints.history]\nquery = ["aid", "new_flag"]\n'
    )
    assert changed.codes["7777"].kind is ErrorKind.RISK
    assert changed.endpoints["history"].query == ("aid", "new_flag")
    assert changed.codes["1006"] == builtin().codes["1006"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("versions = ", "not valid TOML"),
        ('[versions]\nappver = "1"', r"unknown key 'versions.appver'; known here: appvr, "),
        ("[version]\n", "unknown key 'version'"),
        ("[versions]\npf = 7", "'versions.pf' must be text, not a whole number"),
        ('[regions.cn]\naid = "1"', "'regions.cn.aid' must be a whole number, not text"),
        ('[regions.cn]\napi = "jimeng"', "'regions.cn.api' must be https://host"),
        ('[regions.cn]\napi = "https://h/path"', "'regions.cn.api' must be https://host"),
        ("[browser]\nos = 'beos'", "'browser.os' must be windows, mac or linux"),
        ("[browser]\nos = 'mac'", "'browser.user_agent' must name the same system"),
        ('[codes]\n"1" = { kind = "sad", says = "" }', "sad"),
        ('[codes]\n"9" = { kind = "risk" }', "says"),
        ('[endpoints.generate]\npath = "/x?y=1234567"', "'endpoints.generate.path' must be a path"),
        ('[results]\nvideo_pattern = "("', "'results.video_pattern' is no regular expression"),
        ('[regions.sg]\nsite = "https://x"', "api"),
        ('[endpoints.new]\npath = "/mweb/v1/new"\nfamily = "other"\nquery = []', "other"),
        ('[endpoints.generate]\nquery = ["nonsense"]', "'endpoints.generate.query' names 'nonsense'"),
    ],
)
def test_a_bad_override_is_refused_by_name(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        overridden(text)


def test_lists_are_replaced_and_tables_merged() -> None:
    base = {"a": {"b": [1, 2], "c": 3}}
    assert merge(base, {"a": {"b": [9]}}) == {"a": {"b": [9], "c": 3}}
    assert base == {"a": {"b": [1, 2], "c": 3}}


@pytest.mark.parametrize(("value", "form"), [(True, "true or false"), (1.5, "a number"), ({}, "a table")])
def test_the_form_of_a_wrong_value_is_named(value: object, form: str) -> None:
    with pytest.raises(ValueError, match=f"'a' must be text, not {form}"):
        merge({"a": "text"}, {"a": value})
