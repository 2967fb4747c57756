"""The calls that bring a file to the site, as values (jimeng-web.md 6): Apply, the bytes, Commit.

Two services do it in the same steps: ImageX for pictures, VOD for videos and sounds. None of these calls
carries a cookie: Apply and Commit are signed with the session's temporary keys, the bytes go with what Apply
answered.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from jimeng_gateway import sigv4
from jimeng_gateway.domain.errors import ErrorKind, Failure, UpstreamFailure
from jimeng_gateway.domain.reference import Media
from jimeng_gateway.sigv4 import Keys
from jimeng_gateway.upstream.wire.protocol import Protocol, UploadService
from jimeng_gateway.upstream.wire.request import WireRequest, compact

_HOST_NAME = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)+")


@dataclass(frozen=True, slots=True)
class Token:
    """Temporary keys of one session for one service (6.1)."""

    keys: Keys
    #: Where to apply and commit.
    host: str
    #: What is signed.
    region: str
    #: ServiceId or SpaceName.
    space: str
    #: Seconds for which it is good, from the moment of the reply; None if the reply does not say.
    lifetime_s: float | None = None


@dataclass(frozen=True, slots=True, repr=False)
class Ticket:
    """Leave to send one file, as Apply gave it. Its repr shows no secret."""

    uri: str
    auth: str
    #: Where to send it, best first; all of them are on the allow-list.
    hosts: tuple[str, ...]
    session_key: str
    #: Only videos and sounds have one.
    vid: str = ""
    #: Begun by Apply already; empty if parts have to be begun.
    upload_id: str = ""
    headers: tuple[tuple[str, str], ...] = ()

    def __repr__(self) -> str:
        return f"Ticket({self.uri})"


def service_for(protocol: Protocol, kind: Media) -> UploadService:
    """The service that takes this kind of file."""
    return protocol.uploads.image if kind is Media.IMAGE else protocol.uploads.video


def allowed_host(protocol: Protocol, host: str, upstream_url: str = "") -> bool:
    """Whether a reply may send us there: a host of the site's own family, or the stand-in's."""
    if upstream_url and host == urlsplit(upstream_url).netloc:
        return True
    # A name and nothing else: a "#" or "/" in it would make another host of the address.
    return _HOST_NAME.fullmatch(host) is not None and any(
        host == suffix or host.endswith("." + suffix) for suffix in protocol.uploads.suffixes
    )


def apply(
    protocol: Protocol, token: Token, kind: Media, size: int, chance: str, now_ms: int, upstream_url: str = ""
) -> WireRequest:
    """ApplyImageUpload or ApplyUploadInner for a file of `size` bytes; `chance` is 10 to 12 of [a-z0-9]."""
    service = service_for(protocol, kind)
    if kind is Media.IMAGE:
        params = [("Action", "ApplyImageUpload"), ("ServiceId", token.space)]
    else:
        # "video" for sounds as well (6.3).
        params = [
            ("Action", "ApplyUploadInner"),
            ("SpaceName", token.space),
            ("FileType", "video"),
            ("IsInner", "1"),
        ]
    params += [("Version", service.version), ("FileSize", str(size)), ("s", chance)]
    return _signed(protocol, token, service, "GET", params, None, now_ms, upstream_url)


def commit(
    protocol: Protocol, token: Token, kind: Media, session_key: str, now_ms: int, upstream_url: str = ""
) -> WireRequest:
    """CommitImageUpload or CommitUploadInner."""
    service = service_for(protocol, kind)
    body: dict[str, object] = {"SessionKey": session_key}
    if kind is Media.IMAGE:
        params = [("Action", "CommitImageUpload"), ("ServiceId", token.space)]
    else:
        params = [("Action", "CommitUploadInner"), ("SpaceName", token.space)]
        body["Functions"] = []
    params.append(("Version", service.version))
    return _signed(
        protocol, token, service, "POST", params, compact(body).encode(), now_ms, upstream_url, kind=kind
    )


def bytes_address(host: str, ticket: Ticket, query: str = "", upstream_url: str = "") -> str:
    """Where the bytes of a ticket go."""
    path = f"/upload/v1/{quote(ticket.uri, safe='/~')}"
    return f"{_base(host, upstream_url)}{path}{'?' + query if query else ''}"


def bytes_headers(protocol: Protocol, ticket: Ticket, length: int, crc32: str | None) -> dict[str, str]:
    """Headers of a POST of bytes; `crc32` of exactly what is sent, None for a step that sends none."""
    headers = _browser(protocol) | dict(ticket.headers)
    headers |= {
        "Authorization": ticket.auth,
        "Content-Type": "application/octet-stream",
        "Content-Disposition": 'attachment; filename="undefined"',
        "Content-Length": str(length),
    }
    return headers if crc32 is None else {**headers, "Content-CRC32": crc32}


#: Query of the first step of an upload in parts (6.3).
BEGIN_PARTS = "uploadmode=part&phase=init"


def part_query(upload_id: str, number: int) -> str:
    """Query of one part, counted from 1."""
    return f"uploadid={quote(upload_id, safe='')}&part_number={number}&phase=transfer"


def finish_query(upload_id: str) -> str:
    """Query of the last step."""
    return f"uploadmode=part&phase=finish&uploadid={quote(upload_id, safe='')}"


def finish_body(checksums: Sequence[str]) -> bytes:
    """Body of the last step: the checksums of all parts."""
    return ",".join(f"{number}:{crc32}" for number, crc32 in enumerate(checksums, start=1)).encode()


def precheck_body(uri: str) -> dict[str, object]:
    """Body of the safety check of a picture (6.6)."""
    return {
        "scene": "image_face_ip",
        "options": {"ip_check": True},
        "req_key": "benchmark_test_user_upload_image_input",
        "file_list": [{"file_uri": uri}],
        "req_params": {},
    }


def refused(code: str, message: str, raw: str = "") -> UpstreamFailure:
    """An upload that went wrong: nothing was submitted, so nothing was charged."""
    return UpstreamFailure(Failure(ErrorKind.UPSTREAM_ERROR, code, message, raw))


def _signed(
    protocol: Protocol,
    token: Token,
    service: UploadService,
    method: str,
    params: Sequence[tuple[str, str]],
    body: bytes | None,
    now_ms: int,
    upstream_url: str,
    *,
    kind: Media = Media.IMAGE,
) -> WireRequest:
    headers: Mapping[str, str] = _browser(protocol)
    if body is not None:
        # What the site's page sends to either service.
        media_type = "application/json" if kind is Media.IMAGE else "text/plain;charset=UTF-8"
        headers = {**headers, "Content-Type": media_type}
    signature = sigv4.sign(
        token.keys, method, params, body, now_ms, region=token.region, service=service.service
    )
    url = f"{_base(token.host, upstream_url)}/?{sigv4.query_string(params)}"
    return WireRequest(method, url, {**headers, **signature}, body or b"")


def _base(host: str, upstream_url: str) -> str:
    return upstream_url or f"https://{host}"


def _browser(protocol: Protocol, region: str = "cn") -> dict[str, str]:
    """The headers of a page's request to another site: no cookie among them (2.1)."""
    browser, site = protocol.browser, protocol.region(region).site
    return {
        "Accept": "*/*",
        "Accept-Language": browser.accept_language,
        "Origin": site,
        "Referer": site + "/",
        "Sec-Ch-Ua": browser.sec_ch_ua,
        "Sec-Ch-Ua-Mobile": browser.sec_ch_ua_mobile,
        "Sec-Ch-Ua-Platform": browser.sec_ch_ua_platform,
        "Sec-Fetch-Dest": "empty",
        "Sec-Fetch-Mode": "cors",
        "Sec-Fetch-Site": "cross-site",
        "User-Agent": browser.user_agent,
    }
