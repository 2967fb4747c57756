"""Checks AWS4-HMAC-SHA256 signatures as the upload services do (6.4): what is listed as signed is judged.

Written from the scheme alone: the client's signer is what this is here to check.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import parse_qsl, quote

from jimeng_gateway.simulator.traffic import Call

_HEADER = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/,\s]+)/(\d{8})/([a-z0-9-]+)/([a-z]+)/aws4_request, ?"
    r"SignedHeaders=([a-z0-9;-]+), ?Signature=([0-9a-f]{64})"
)
#: Seconds by which x-amz-date may differ from the service's clock.
TOLERANCE_S = 900
_NEEDED = {"x-amz-date", "x-amz-security-token"}


def access_key(call: Call) -> str:
    """The key that a request names; "" if it names none."""
    found = _HEADER.fullmatch(call.headers.get("authorization", ""))
    return found[1] if found else ""


def complaint(call: Call, secret: str, region: str, service: str, now: float) -> str:
    """What is wrong with the signature; "" for a good one."""
    found = _HEADER.fullmatch(call.headers.get("authorization", ""))
    if found is None:
        return "the authorization header has another form"
    _, day, signed_region, signed_service, listed, given = found.groups()
    names, date = listed.split(";"), call.headers.get("x-amz-date", "")
    needed = _NEEDED | ({"x-amz-content-sha256"} if call.method == "POST" else set())
    if names != sorted(names) or not needed <= set(names):
        return f"SignedHeaders must name {', '.join(sorted(needed))} in order"
    if (signed_region, signed_service, day) != (region, service, date[:8]):
        return f"the credential is not for {date[:8]}/{region}/{service}"
    if abs(_seconds(date) - now) > TOLERANCE_S:
        return "x-amz-date is far from now"
    digest = hashlib.sha256(call.body).hexdigest()
    if call.headers.get("x-amz-content-sha256", digest) != digest:
        return "x-amz-content-sha256 is not that of the body"
    if any(name not in call.headers for name in names):
        return "a signed header is missing"
    scope = f"{day}/{region}/{service}/aws4_request"
    text = "\n".join(("AWS4-HMAC-SHA256", date, scope, _canonical_hash(call, names, digest)))
    key: bytes = b"AWS4" + secret.encode()
    for part in (*scope.split("/"), text):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return "" if hmac.compare_digest(key.hex(), given) else "the signature is another"


def _canonical_hash(call: Call, names: list[str], digest: str) -> str:
    pairs = [(_escaped(k), _escaped(v)) for k, v in parse_qsl(call.raw_query, keep_blank_values=True)]
    query = "&".join(f"{name}={value}" for name, value in sorted(pairs))
    headers = "".join(f"{name}:{_trimmed(call.headers, name)}\n" for name in names)
    text = f"{call.method}\n{call.path}\n{query}\n{headers}\n{';'.join(names)}\n{digest}"
    return hashlib.sha256(text.encode()).hexdigest()


def _escaped(text: str) -> str:
    return quote(text, safe="~")


def _trimmed(headers: Mapping[str, str], name: str) -> str:
    return " ".join(headers[name].split())


def _seconds(date: str) -> float:
    try:
        return datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return 0.0
