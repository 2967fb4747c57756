"""AWS4-HMAC-SHA256 in three stages: for the upload services (jimeng-web.md 6.4) and for S3-like storage.

When a service answers SignatureDoesNotMatch, the canonical request and the string to sign are what one
compares; so each stage is a function of its own, and golden files hold all three.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote

ALGORITHM = "AWS4-HMAC-SHA256"
#: Characters that a query is not escaped of, besides letters and digits.
_PLAIN = "-_.~"
#: The hash of no body.
EMPTY = hashlib.sha256(b"").hexdigest()

Params = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True, repr=False)
class Keys:
    """What signs; temporary keys have a token that goes with them. The repr shows no secret."""

    access_key_id: str
    secret_access_key: str
    session_token: str = ""

    def __repr__(self) -> str:
        return f"Keys({self.access_key_id})"


@dataclass(frozen=True, slots=True)
class Scope:
    """Where a signature is good: `day` is the YYYYMMDD of the date that is signed."""

    day: str
    region: str
    service: str

    def __str__(self) -> str:
        return f"{self.day}/{self.region}/{self.service}/aws4_request"


def amz_date(now_ms: int) -> str:
    """`x-amz-date` of a moment: "20260101T000000Z"."""
    return f"{datetime.fromtimestamp(now_ms / 1000, UTC):%Y%m%dT%H%M%SZ}"


def signed_headers(keys: Keys, date: str, body: bytes | None) -> dict[str, str]:
    """The headers that are signed; with a body (POST) its hash is one of them, the host never is."""
    headers = {"x-amz-date": date, "x-amz-security-token": keys.session_token}
    return headers if body is None else {"x-amz-content-sha256": _sha256(body), **headers}


def query_string(params: Params) -> str:
    """The query in canonical order and spelling; sent so, it is what was signed to the letter."""
    pairs = sorted((quote(name, safe=_PLAIN), quote(value, safe=_PLAIN)) for name, value in params)
    return "&".join(f"{name}={value}" for name, value in pairs)


def canonical_request(
    method: str, params: Params, headers: Mapping[str, str], digest: str = EMPTY, path: str = "/"
) -> str:
    """The first stage; `headers` are those that are signed, `digest` is the SHA-256 of the body in hex.

    `path` stands as it is sent, escaped.
    """
    lines = {name.lower(): " ".join(value.split()) for name, value in headers.items()}
    named = [f"{name}:{lines[name]}" for name in sorted(lines)]
    parts = (method, path, query_string(params), *named, "", ";".join(sorted(lines)), digest)
    return "\n".join(parts)


def string_to_sign(date: str, scope: Scope, canonical: str) -> str:
    """The second stage."""
    return "\n".join((ALGORITHM, date, str(scope), _sha256(canonical.encode())))


def authorization(keys: Keys, scope: Scope, names: Sequence[str], to_sign: str) -> str:
    """The third stage: the header's value; `names` are the signed headers."""
    key = f"AWS4{keys.secret_access_key}".encode()
    for part in (scope.day, scope.region, scope.service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, to_sign.encode(), "sha256").hex()
    listed = ";".join(sorted(name.lower() for name in names))
    return (
        f"{ALGORITHM} Credential={keys.access_key_id}/{scope}, SignedHeaders={listed}, Signature={signature}"
    )


def sign(
    keys: Keys, method: str, params: Params, body: bytes | None, now_ms: int, *, region: str, service: str
) -> dict[str, str]:
    """All headers that make a request a signed one; `body` is None for a GET."""
    date = amz_date(now_ms)
    scope = Scope(date[:8], region, service)
    headers = signed_headers(keys, date, body)
    to_sign = string_to_sign(date, scope, canonical_request(method, params, headers, _sha256(body or b"")))
    return {**headers, "authorization": authorization(keys, scope, list(headers), to_sign)}


def object_path(*names: str) -> str:
    """The path of an object, escaped once and not normalised, as S3 signs it; slashes stay."""
    return "/" + "/".join(quote(name, safe=f"{_PLAIN}/") for name in names if name)


def sign_object(
    keys: Keys, method: str, host: str, path: str, digest: str, now_ms: int, *, region: str
) -> dict[str, str]:
    """The headers of a request for an S3 object, besides Host, whose value is signed too.

    `path` comes from `object_path`; `digest` is the SHA-256 of the body in hex, so that the storage refuses
    a body that arrives altered.
    """
    date = amz_date(now_ms)
    scope = Scope(date[:8], region, "s3")
    headers = {"x-amz-content-sha256": digest, "x-amz-date": date}
    signed = {"host": host, **headers}
    to_sign = string_to_sign(date, scope, canonical_request(method, (), signed, digest, path))
    return {**headers, "authorization": authorization(keys, scope, list(signed), to_sign)}


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
