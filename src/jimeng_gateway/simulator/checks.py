"""What the site may look at before it reads a body: sign and clock (2.4), headers (2.1), versions, webId.

Each check answers with findings; whether a finding refuses the call or is only noted is the sign mode's
matter.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie

from jimeng_gateway.simulator.regions import Region

#: Seconds by which device-time may differ from the site's clock.
CLOCK_TOLERANCE_S = 300
#: Headers that every browser call carries; commerce calls lack the second group (2.1).
_ALWAYS = (
    "appid",
    "appvr",
    "pf",
    "device-time",
    "sign",
    "sign-ver",
    "lan",
    "origin",
    "referer",
    "user-agent",
)
_NOT_COMMERCE = ("app-sdk-version", "loc")
#: A client below both is refused with 3018 (2.3).
_OLD_APPVR, _OLD_DA_VERSION = (8,), (3, 3, 8)


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that a strict site refuses."""

    ret: str
    text: str


def cookies_of(header: str) -> dict[str, str]:
    """Name to value; a header that cannot be parsed has none."""
    jar: SimpleCookie = SimpleCookie()
    try:
        jar.load(header)
    except CookieError:
        return {}
    return {name: morsel.value for name, morsel in jar.items()}


def sign(path: str, appvr: str, pf: str, device_time: str, tdid: str) -> str:
    """The sign of 2.4."""
    text = "|".join(("9e2c", path[-7:], pf, appvr, device_time, tdid, "11ac"))
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def inspect(
    region: Region,
    path: str,
    query: Mapping[str, str],
    headers: Mapping[str, str],
    cookies: Mapping[str, str],
    now: float,
) -> list[Finding]:
    """Everything that is wrong with a signed call, worst first; empty for a good one."""
    commerce = path.startswith("/commerce/")
    return [
        *_headers(region, headers, commerce),
        *_versions(query, headers),
        *_signature(path, headers, now),
        *_web_id(region, path, query, cookies),
        *(_user_credit(region, query, headers) if path.endswith("/user_credit") else ()),
    ]


def _headers(region: Region, headers: Mapping[str, str], commerce: bool) -> Iterator[Finding]:
    for name in _ALWAYS if commerce else (*_ALWAYS, *_NOT_COMMERCE):
        if not headers.get(name):
            yield Finding("3018", f"no header {name}")
    if headers.get("appid") not in (None, str(region.aid)):
        yield Finding("3018", f"appid is not {region.aid}")
    if not headers.get("user-agent", "Mozilla/").startswith("Mozilla/"):
        yield Finding("3018", "the user-agent is not a browser's")
    host = headers.get("host", "")
    if headers.get("origin", region.site) not in (region.site, f"http://{host}", f"https://{host}"):
        yield Finding("3018", "the origin is another site")


def _versions(query: Mapping[str, str], headers: Mapping[str, str]) -> Iterator[Finding]:
    appvr, da_version = _numbers(headers.get("appvr", "")), _numbers(query.get("da_version", ""))
    if appvr and da_version and appvr < _OLD_APPVR and da_version < _OLD_DA_VERSION:
        yield Finding("3018", "appvr and da_version are too old")


def _numbers(version: str) -> tuple[int, ...]:
    parts = version.split(".")
    return tuple(int(part) for part in parts) if all(part.isdecimal() for part in parts) else ()


def _signature(path: str, headers: Mapping[str, str], now: float) -> Iterator[Finding]:
    device_time, given = headers.get("device-time", ""), headers.get("sign", "")
    if not device_time or not given:
        return
    right = sign(path, headers.get("appvr", ""), headers.get("pf", ""), device_time, headers.get("tdid", ""))
    if given != right:
        yield Finding("1014", "the sign is wrong")
    elif not device_time.isdecimal() or abs(int(device_time) - now) > CLOCK_TOLERANCE_S:
        yield Finding("1014", "device-time is far from now")


def _web_id(
    region: Region, path: str, query: Mapping[str, str], cookies: Mapping[str, str]
) -> Iterator[Finding]:
    if not region.web_id or not path.startswith("/mweb/"):
        return
    # The reduced parameter sets of 2.3 have no webId; generate always has one.
    if "webId" not in query and not path.endswith("/generate"):
        return
    given, known = query.get("webId", ""), cookies.get("_tea_web_id", "")
    if not given or given != known:
        yield Finding("4013", "webId is not the cookie's _tea_web_id")


def _user_credit(region: Region, query: Mapping[str, str], headers: Mapping[str, str]) -> Iterator[Finding]:
    if query:
        yield Finding("1014", "user_credit takes no query parameters")
    if headers.get("referer") != region.credit_referer:
        yield Finding("1014", "user_credit wants its own referer")
