"""AWS4 signatures stage by stage: golden files, the examples of jimeng-web.md 6.4, and botocore."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.compat import HTTPHeaders
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from jimeng_gateway import sigv4
from jimeng_gateway.sigv4 import Keys, Params, Scope

GOLDEN = Path(__file__).parents[1] / "golden" / "sigv4"
KEYS = Keys("AKTPEXAMPLEKEY", "example-secret-access-key", "STS2EXAMPLETOKEN")
NEW_YEAR_MS = 1_767_225_600_000
DATE = "20260101T000000Z"


@dataclass(frozen=True)
class Case:
    method: str
    params: Params
    body: bytes | None = None
    region: str = "cn-north-1"
    service: str = "imagex"
    host: str | None = None

    @property
    def headers(self) -> dict[str, str]:
        headers = sigv4.signed_headers(KEYS, DATE, self.body)
        return headers if self.host is None else {"Host": self.host, **headers}

    def stages(self) -> tuple[str, str, str]:
        digest = hashlib.sha256(self.body or b"").hexdigest()
        canonical = sigv4.canonical_request(self.method, self.params, self.headers, digest)
        scope = Scope(DATE[:8], self.region, self.service)
        to_sign = sigv4.string_to_sign(DATE, scope, canonical)
        return canonical, to_sign, sigv4.authorization(KEYS, scope, list(self.headers), to_sign)


APPLY_IMAGE = (
    ("Action", "ApplyImageUpload"),
    ("Version", "2018-08-01"),
    ("ServiceId", "tb4s082cfz"),
    ("FileSize", "11"),
    ("s", "abcdefghij"),
)
COMMIT_IMAGE = (("Action", "CommitImageUpload"), ("Version", "2018-08-01"), ("ServiceId", "tb4s082cfz"))
APPLY_VIDEO = (
    ("Action", "ApplyUploadInner"),
    ("Version", "2020-11-19"),
    ("SpaceName", "dreamina"),
    ("FileType", "video"),
    ("IsInner", "1"),
    ("FileSize", "209715200"),
    ("s", "abcdefghij"),
)
CASES = {
    "image-apply": Case("GET", APPLY_IMAGE),
    "image-commit": Case("POST", COMMIT_IMAGE, b'{"SessionKey":"SESSION"}'),
    "video-apply": Case("GET", APPLY_VIDEO, service="vod"),
    "video-commit": Case(
        "POST",
        (("Action", "CommitUploadInner"), ("Version", "2020-11-19"), ("SpaceName", "dreamina")),
        b'{"SessionKey":"SESSION","Functions":[]}',
        service="vod",
    ),
    "spaces-and-signs": Case("GET", (("b", "a b+c/d=é"), ("B", "~_-."), ("a", ""))),
    "with-host": Case("GET", APPLY_IMAGE, host="imagex.bytedanceapi.com"),
    "another-region": Case("GET", APPLY_IMAGE, region="ap-singapore-1"),
}


@pytest.mark.parametrize("name", list(CASES))
def test_stages_are_those_of_the_golden_files(name: str) -> None:
    for suffix, made in zip(("creq", "sts", "authz"), CASES[name].stages(), strict=True):
        path = GOLDEN / f"{name}.{suffix}"
        if os.environ.get("UPDATE_GOLDEN") == "1":
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(made + "\n", "utf-8")
        assert made + "\n" == path.read_text("utf-8"), path.name


def test_the_worked_examples() -> None:
    canonical, _, header = CASES["image-apply"].stages()
    assert canonical.split("\n") == [
        "GET",
        "/",
        "Action=ApplyImageUpload&FileSize=11&ServiceId=tb4s082cfz&Version=2018-08-01&s=abcdefghij",
        "x-amz-date:20260101T000000Z",
        "x-amz-security-token:STS2EXAMPLETOKEN",
        "",
        "x-amz-date;x-amz-security-token",
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    ]
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    assert digest == "1c9be35a4e75a450f67970c909551592d4e869cfc2680b1611817baa76b7ac27"
    assert header.endswith("Signature=18590ed318595a1c31f468f84c7d34f1f7cc18f11ea932aade217f757ad0cd0b")
    canonical, _, header = CASES["image-commit"].stages()
    assert canonical.endswith("d9476d4d92a71bc4db41230b5d566ff6c73c2202ddecd135a2affd97069bd076")
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    assert digest == "8c220be4b9b5f7a47cbbcccf61bc7a44df1fe3045c82617368f26ba9b64fa857"
    assert header == (
        "AWS4-HMAC-SHA256 Credential=AKTPEXAMPLEKEY/20260101/cn-north-1/imagex/aws4_request, "
        "SignedHeaders=x-amz-content-sha256;x-amz-date;x-amz-security-token, "
        "Signature=e6d51a79665221d7b363bc09f016c773256adf3748f4656a5f06c9b5d6ac3fcf"
    )


class Judge(SigV4Auth):
    """botocore's signer for a chosen date, signing the headers that the request has and no others."""

    def headers_to_sign(self, request: AWSRequest) -> HTTPHeaders:
        headers = HTTPHeaders()
        for name, value in request.headers.items():
            headers[name.lower()] = value
        return headers


def judged(case: Case) -> tuple[str, str, str]:
    """The three stages as botocore makes them."""
    judge = Judge(Credentials(KEYS.access_key_id, KEYS.secret_access_key), case.service, case.region)
    query = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in case.params)
    url = f"https://imagex.bytedanceapi.com/?{query}"
    request = AWSRequest(case.method, url, headers=case.headers, data=case.body or b"")
    request.context.update(timestamp=DATE, payload_signing_enabled=True)
    canonical = judge.canonical_request(request)
    to_sign = judge.string_to_sign(request, canonical)
    names = judge.signed_headers(judge.headers_to_sign(request))
    signature = judge.signature(to_sign, request)
    header = (
        f"AWS4-HMAC-SHA256 Credential={judge.scope(request)}, SignedHeaders={names}, Signature={signature}"
    )
    return canonical, to_sign, header


@pytest.mark.parametrize("name", list(CASES))
def test_botocore_makes_the_same(name: str) -> None:
    assert CASES[name].stages() == judged(CASES[name])


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)


@given(
    params=st.dictionaries(TEXT.filter(bool), TEXT, max_size=6),
    body=st.none() | st.binary(max_size=64),
    region=st.sampled_from(["cn-north-1", "ap-southeast-1"]),
    service=st.sampled_from(["imagex", "vod"]),
)
def test_botocore_makes_the_same_of_anything(
    params: dict[str, str], body: bytes | None, region: str, service: str
) -> None:
    case = Case("GET" if body is None else "POST", tuple(params.items()), body, region, service)
    assert case.stages() == judged(case)


def test_the_whole_of_it() -> None:
    headers = sigv4.sign(
        KEYS, "GET", APPLY_IMAGE, None, NEW_YEAR_MS + 999, region="cn-north-1", service="imagex"
    )
    assert headers == {
        "x-amz-date": DATE,
        "x-amz-security-token": "STS2EXAMPLETOKEN",
        "authorization": CASES["image-apply"].stages()[2],
    }
    posted = sigv4.sign(KEYS, "POST", COMMIT_IMAGE, b"{}", NEW_YEAR_MS, region="cn-north-1", service="imagex")
    assert posted["x-amz-content-sha256"] == hashlib.sha256(b"{}").hexdigest()


def test_keys_show_no_secret() -> None:
    assert "example-secret" not in repr(KEYS)
    assert "STS2" not in repr(KEYS)
