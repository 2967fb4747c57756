"""One call of the site as a value: method, address, headers, body (jimeng-web.md 2.1 to 2.3).

The device time is handed in, because the same second goes into the `device-time` header and the sign.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from jimeng_gateway.domain.request import Kind
from jimeng_gateway.domain.session import Identity
from jimeng_gateway.upstream.wire.identity import cookie_value
from jimeng_gateway.upstream.wire.protocol import Endpoint, Protocol, Region
from jimeng_gateway.upstream.wire.sign import sign


@dataclass(frozen=True, slots=True, repr=False)
class WireRequest:
    """A request, complete. Its repr shows no secret."""

    method: str
    url: str
    headers: dict[str, str]
    body: bytes

    def __repr__(self) -> str:
        return f"WireRequest({self.method} {self.url.partition('?')[0]})"


def build(
    protocol: Protocol,
    identity: Identity,
    call: str,
    body: Mapping[str, object],
    unix_seconds: int,
    *,
    upstream_url: str = "",
    page: Kind = Kind.IMAGE,
) -> WireRequest:
    """The POST of one endpoint of the protocol data.

    `upstream_url` stands for every host if it is not empty; `page` is the page that the Referer names.
    """
    endpoint = protocol.endpoints[call]
    region = protocol.region(identity.region)
    host = region.commerce if endpoint.family == "commerce" else region.api
    query = urlencode(_query(protocol, region, identity, endpoint))
    base = upstream_url.rstrip("/") or host
    return WireRequest(
        method="POST",
        url=f"{base}{endpoint.path}{'?' + query if query else ''}",
        headers=_headers(protocol, region, identity, call, endpoint, unix_seconds, page),
        body=compact(body).encode(),
    )


def compact(value: object) -> str:
    """JSON as the site's pages write it: no spaces, text unescaped."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def download_headers(protocol: Protocol, region: str = "cn") -> dict[str, str]:
    """Headers for fetching a result: never a cookie (7.4)."""
    return {
        "User-Agent": protocol.browser.user_agent,
        "Accept": "*/*",
        "Accept-Encoding": "identity",
        "Accept-Language": protocol.browser.accept_language,
        "Referer": protocol.region(region).site + "/",
    }


def _query(
    protocol: Protocol, region: Region, identity: Identity, endpoint: Endpoint
) -> list[tuple[str, str]]:
    values = {
        "aid": str(region.aid),
        "region": region.region,
        "webId": identity.web_id,
        "da_version": protocol.versions.da_version,
        "os": protocol.browser.os,
        "web_version": protocol.versions.web_version,
        **protocol.query_values,
    }
    # A jar without _tea_web_id has no web id, and an invented one would contradict it (2.5).
    return [(name, values[name]) for name in endpoint.query if name != "webId" or identity.web_id]


def _headers(
    protocol: Protocol,
    region: Region,
    identity: Identity,
    call: str,
    endpoint: Endpoint,
    unix_seconds: int,
    page: Kind,
) -> dict[str, str]:
    versions, browser = protocol.versions, protocol.browser
    commerce = endpoint.family == "commerce"
    headers = {
        "Accept": "application/json, text/plain, */*",
        "Accept-Language": browser.accept_language,
        "Cache-Control": "no-cache",
        "Content-Type": "application/json",
        "Cookie": identity.cookie,
        "Origin": region.site,
        "Pragma": "no-cache",
        "Priority": "u=1, i",
        "Referer": region.site + protocol.referers["commerce" if commerce else page.value],
        "Sec-Ch-Ua": browser.sec_ch_ua,
        "Sec-Ch-Ua-Mobile": browser.sec_ch_ua_mobile,
        "Sec-Ch-Ua-Platform": browser.sec_ch_ua_platform,
        "Sec-Fetch-Dest": "empty",
        "Sec-Fetch-Mode": "cors",
        "Sec-Fetch-Site": "same-origin",
        "User-Agent": browser.user_agent,
        "appid": str(region.aid),
        "appvr": versions.appvr,
        "device-time": str(unix_seconds),
        "lan": region.commerce_lan if commerce else region.lan,
        "pf": versions.pf,
        "sign": sign(endpoint.path, pf=versions.pf, appvr=versions.appvr, unix_seconds=unix_seconds),
        "sign-ver": "1",
        "tdid": "",
    }
    if not commerce:
        headers |= {"app-sdk-version": versions.app_sdk_version, "loc": region.loc}
    if call == "history":
        headers["x-platform"] = "pc"
    if endpoint.family == "passport":
        token = cookie_value(identity.cookie, "passport_csrf_token")
        if token:
            headers["x-tt-passport-csrf-token"] = token
    return headers
