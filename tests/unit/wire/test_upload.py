"""The calls of the upload services and their replies, as values."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.wire import NOW_MS

from jimeng_gateway.domain.errors import ErrorKind, UpstreamFailure
from jimeng_gateway.domain.reference import Media
from jimeng_gateway.sigv4 import Keys
from jimeng_gateway.upstream.wire import upload, upload_replies
from jimeng_gateway.upstream.wire.protocol import builtin, overridden
from jimeng_gateway.upstream.wire.upload import Ticket, Token

IMAGE, VIDEO, AUDIO = Media.IMAGE, Media.VIDEO, Media.AUDIO
PROTOCOL = builtin()
IMAGES, VIDEOS = PROTOCOL.uploads.image, PROTOCOL.uploads.video
KEYS = Keys("AKTPexample", "exampleSecret==", "STS2example")
IMAGEX = Token(KEYS, "imagex.bytedanceapi.com", "cn-north-1", "tb4s082cfz")
VOD = Token(KEYS, "vod.bytedanceapi.com", "cn-north-1", "dreamina")
TICKET = Ticket(
    "tos-cn-i-tb4s082cfz/0123456789abcdef", "SpaceKey/tb4s082cfz/1/x", ("tos-d-x-lq.bytedancevod.com",), "key"
)
TOKEN_DATA = {
    "access_key_id": "AKTPexample",
    "secret_access_key": "exampleSecret==",
    "session_token": "STS2example",
    "service_id": "tb4s082cfz",
    "space_name": "tb4s082cfz",
    "upload_domain": "imagex.bytedanceapi.com",
    "region": "cn",
    "current_time": "2026-01-01T08:00:00+08:00",
    "expired_time": "2026-01-01T09:00:00+08:00",
}


def token_reply(**changed: Any) -> dict[str, Any]:
    return {"ret": "0", "errmsg": "success", "data": {**TOKEN_DATA, **changed}}


def image_ticket(**changed: Any) -> bytes:
    address = {
        "StoreInfos": [{"StoreUri": TICKET.uri, "Auth": TICKET.auth, "UploadID": "up-1"}],
        "UploadHosts": ["tos-d-x-lq.bytedancevod.com"],
        "UploadHeader": None,
        "SessionKey": "c2Vzc2lvbg==",
    }
    return json.dumps({"Result": {"UploadAddress": {**address, **changed}}}).encode()


def video_ticket(**changed: Any) -> bytes:
    node = {
        "UploadHost": "tos-d-x-hl.bytedancevod.com",
        "Vid": "v0xxxxxxxxxxxxxxxxxx",
        "Type": "video",
        "SessionKey": "c2Vzc2lvbg==",
        "UploadHeader": {},
        "StoreInfos": [{"StoreUri": "tos-cn-v-148450/oExample", "Auth": "SpaceKey/x", "UploadID": ""}],
    }
    return json.dumps({"Result": {"InnerUploadAddress": {"UploadNodes": [{**node, **changed}]}}}).encode()


def refused_code(call: Any, *arguments: Any) -> str:
    with pytest.raises(UpstreamFailure) as caught:
        call(*arguments)
    assert caught.value.failure.kind is ErrorKind.UPSTREAM_ERROR
    return caught.value.failure.code


def test_apply_for_a_picture() -> None:
    request = upload.apply(PROTOCOL, IMAGEX, IMAGE, 345_678, "abcdefghij1", NOW_MS)
    url = urlsplit(request.url)
    assert (request.method, url.scheme, url.netloc, url.path) == ("GET", "https", IMAGEX.host, "/")
    assert dict(parse_qsl(url.query)) == {
        "Action": "ApplyImageUpload",
        "Version": "2018-08-01",
        "ServiceId": "tb4s082cfz",
        "FileSize": "345678",
        "s": "abcdefghij1",
    }
    assert {"authorization", "x-amz-date", "x-amz-security-token"} <= request.headers.keys()
    assert "x-amz-content-sha256" not in request.headers
    assert request.headers["Origin"] == "https://jimeng.jianying.com"
    assert not {"cookie", "sign", "appid"} & {name.lower() for name in request.headers}
    assert "STS2" not in repr(request)


@pytest.mark.parametrize("kind", [VIDEO, AUDIO])
def test_apply_for_videos_and_sounds(kind: Media) -> None:
    request = upload.apply(PROTOCOL, VOD, kind, 7, "abcdefghij", NOW_MS)
    assert dict(parse_qsl(urlsplit(request.url).query)) == {
        "Action": "ApplyUploadInner",
        "Version": "2020-11-19",
        "SpaceName": "dreamina",
        "FileType": "video",
        "IsInner": "1",
        "FileSize": "7",
        "s": "abcdefghij",
    }
    assert "/cn-north-1/vod/aws4_request" in request.headers["authorization"]


def test_commits() -> None:
    image = upload.commit(PROTOCOL, IMAGEX, IMAGE, "c2Vz", NOW_MS)
    assert (image.method, image.body) == ("POST", b'{"SessionKey":"c2Vz"}')
    assert image.headers["Content-Type"] == "application/json"
    video = upload.commit(PROTOCOL, VOD, VIDEO, "c2Vz", NOW_MS)
    assert video.body == b'{"SessionKey":"c2Vz","Functions":[]}'
    assert video.headers["Content-Type"] == "text/plain;charset=UTF-8"
    for request in (image, video):
        assert (
            "SignedHeaders=x-amz-content-sha256;x-amz-date;x-amz-security-token"
            in request.headers["authorization"]
        )


def test_one_address_stands_for_every_host() -> None:
    here = "http://127.0.0.1:5200"
    assert upload.apply(PROTOCOL, IMAGEX, IMAGE, 1, "abcdefghij", NOW_MS, here).url.startswith(f"{here}/?")
    assert upload.bytes_address("tos-d-x-lq.bytedancevod.com", TICKET, "", here) == (
        f"{here}/upload/v1/{TICKET.uri}"
    )


def test_the_bytes() -> None:
    assert upload.bytes_address(TICKET.hosts[0], TICKET) == (
        "https://tos-d-x-lq.bytedancevod.com/upload/v1/tos-cn-i-tb4s082cfz/0123456789abcdef"
    )
    headers = upload.bytes_headers(PROTOCOL, TICKET, 11, "0d4a1185")
    assert headers["Authorization"] == TICKET.auth
    assert (headers["Content-CRC32"], headers["Content-Length"]) == ("0d4a1185", "11")
    assert headers["Content-Type"] == "application/octet-stream"
    assert headers["Content-Disposition"] == 'attachment; filename="undefined"'
    assert "Content-CRC32" not in upload.bytes_headers(PROTOCOL, TICKET, 0, None)
    assert TICKET.auth not in repr(TICKET)


def test_parts() -> None:
    assert upload.part_query("a b", 3) == "uploadid=a%20b&part_number=3&phase=transfer"
    assert upload.finish_query("x") == "uploadmode=part&phase=finish&uploadid=x"
    assert upload.finish_body(["0d4a1185", "00000001"]) == b"1:0d4a1185,2:00000001"


def test_a_token() -> None:
    found = upload_replies.token(token_reply(), IMAGES, PROTOCOL)
    assert found == Token(KEYS, "imagex.bytedanceapi.com", "cn-north-1", "tb4s082cfz", 3600.0)
    bare = {name: TOKEN_DATA[name] for name in ("access_key_id", "secret_access_key", "session_token")}
    found = upload_replies.token({"ret": "0", "data": bare}, VIDEOS, PROTOCOL)
    assert found == Token(KEYS, "vod.bytedanceapi.com", "cn-north-1", "dreamina", None)


def test_a_token_may_name_a_region_and_a_space() -> None:
    found = upload_replies.token(
        token_reply(region="ap-singapore-1", space_name="", service_id="wopfjsm1ax"), IMAGES, PROTOCOL
    )
    assert (found.region, found.space) == ("ap-singapore-1", "wopfjsm1ax")


def test_no_token() -> None:
    assert refused_code(upload_replies.token, token_reply(session_token=""), IMAGES, PROTOCOL) == "no_token"
    assert (
        refused_code(upload_replies.token, token_reply(access_key_id="a\nb"), IMAGES, PROTOCOL) == "no_token"
    )
    with pytest.raises(UpstreamFailure) as caught:
        upload_replies.token({"ret": "1015", "errmsg": "login error"}, IMAGES, PROTOCOL)
    assert caught.value.failure.kind is ErrorKind.AUTH


def test_tickets() -> None:
    found = upload_replies.ticket(image_ticket(), 200, IMAGE, PROTOCOL)
    assert (found.uri, found.auth, found.hosts) == (TICKET.uri, TICKET.auth, TICKET.hosts)
    assert (found.session_key, found.upload_id, found.vid) == ("c2Vzc2lvbg==", "up-1", "")
    found = upload_replies.ticket(video_ticket(), 200, AUDIO, PROTOCOL)
    assert (found.vid, found.hosts) == ("v0xxxxxxxxxxxxxxxxxx", ("tos-d-x-hl.bytedancevod.com",))


def test_one_host_or_several() -> None:
    several = image_ticket(UploadHosts=["a.snssdk.com", "b.SNSSDK.com"], UploadHost="c.bytedancevod.com")
    found = upload_replies.ticket(several, 200, IMAGE, PROTOCOL)
    assert found.hosts == ("a.snssdk.com", "b.snssdk.com", "c.bytedancevod.com")


def test_headers_of_a_ticket_go_with_the_bytes() -> None:
    given_headers = {"X-Storage-Mode": "gateway", "Cookie": "a=b", "X-Bad": "a\r\nb", "Host": "else"}
    found = upload_replies.ticket(image_ticket(UploadHeader=given_headers), 200, IMAGE, PROTOCOL)
    assert found.headers == (("X-Storage-Mode", "gateway"),)
    assert upload.bytes_headers(PROTOCOL, found, 1, None)["X-Storage-Mode"] == "gateway"


FOREIGN = [
    "evil.example",
    "bytedancevod.com.evil.example",
    "evilbytedancevod.com",
    "127.0.0.1",
    "169.254.169.254",
    "localhost:5200",
    "bytedancevod.com@evil.example",
    "bytedancevod.com/..",
    "evil.example#.bytedancevod.com",
    "evil.example/.bytedancevod.com:443",
]


@pytest.mark.parametrize("host", FOREIGN)
def test_hosts_that_are_not_the_site_s_get_nothing(host: str) -> None:
    assert refused_code(upload_replies.ticket, image_ticket(UploadHosts=[host]), 200, IMAGE, PROTOCOL) == (
        "host_not_allowed"
    )
    assert refused_code(upload_replies.ticket, video_ticket(UploadHost=host), 200, VIDEO, PROTOCOL) == (
        "host_not_allowed"
    )
    reply = token_reply(upload_domain=host)
    assert refused_code(upload_replies.token, reply, IMAGES, PROTOCOL) == "host_not_allowed"


@pytest.mark.parametrize(
    "host",
    ["tos-d-x-lq.bytedancevod.com", "tos-d-x-lf.snssdk.com", "imagex.bytedanceapi.com", "bytedancevod.com"],
)
def test_hosts_of_the_site_are_allowed(host: str) -> None:
    assert upload.allowed_host(PROTOCOL, host)


def test_the_stand_in_is_allowed_and_hosts_are_data() -> None:
    assert upload.allowed_host(PROTOCOL, "127.0.0.1:5200", "http://127.0.0.1:5200")
    assert not upload.allowed_host(PROTOCOL, "127.0.0.1:5201", "http://127.0.0.1:5200")
    taught = overridden('[uploads]\nsuffixes = ["store.example"]')
    assert upload.allowed_host(taught, "a.store.example")
    assert not upload.allowed_host(taught, "a.snssdk.com")
    with pytest.raises(ValueError, match="host name"):
        overridden('[uploads]\nsuffixes = ["https://store.example"]')


@pytest.mark.parametrize(
    "changed",
    [
        {"StoreInfos": []},
        {"StoreInfos": [{"StoreUri": "../../mweb", "Auth": "x"}]},
        {"StoreInfos": [{"StoreUri": "a b", "Auth": "x"}]},
        {"StoreInfos": [{"StoreUri": "a/b", "Auth": "x\r\nCookie: y"}]},
        {"SessionKey": ""},
        {"UploadHosts": []},
    ],
)
def test_tickets_that_cannot_be_used(changed: dict[str, Any]) -> None:
    assert refused_code(upload_replies.ticket, image_ticket(**changed), 200, IMAGE, PROTOCOL) == "bad_ticket"


def error(code: str, number: int = 0, message: str = "") -> bytes:
    return json.dumps(
        {"ResponseMetadata": {"RequestId": "r", "Error": {"Code": code, "CodeN": number, "Message": message}}}
    ).encode()


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (error("SignatureDoesNotMatch"), 403, "SignatureDoesNotMatch"),
        (error("InvalidAuthorization", 100024), 200, "InvalidAuthorization"),
        (error("Unheard", 30406), 400, "30406"),
        (error("Unheard", 1), 200, "Unheard"),
        (error("", 0), 500, "0"),
        (b"<html>504</html>", 504, "http_504"),
        (b"", 502, "http_502"),
        (b"[]", 200, "not_json"),
        (b"{}", 500, "http_500"),
        (b"{}", 200, "bad_ticket"),
    ],
)
def test_how_the_services_say_no(body: bytes, status: int, code: str) -> None:
    assert refused_code(upload_replies.ticket, body, status, IMAGE, PROTOCOL) == code


def test_what_they_repeat_of_the_request_is_not_kept() -> None:
    message = (
        "bad: AKTPexample with STS2example and SpaceKey/x/y\ncanonical: x-amz-security-token:STS2example"
    )
    with pytest.raises(UpstreamFailure) as caught:
        upload_replies.ticket(error("SignatureDoesNotMatch", 0, message), 403, IMAGE, PROTOCOL)
    shown = str(caught.value.failure)
    assert "STS2" not in shown
    assert "AKTP" not in shown
    assert "SpaceKey" not in shown


def commit_reply(status: object = 2000, **plugin: object) -> bytes:
    seen = {"ImageWidth": 1024, "ImageHeight": 768, "ImageFormat": "png", **plugin}
    results = [{"Uri": "tos-cn-i-tb4s082cfz/new", "UriStatus": status}]
    return json.dumps({"Result": {"Results": results, "PluginResult": [seen]}}).encode()


def test_a_committed_picture() -> None:
    made = upload_replies.committed(commit_reply(), 200, TICKET, IMAGE, PROTOCOL)
    assert (made.kind, made.handle) == (IMAGE, "tos-cn-i-tb4s082cfz/new")
    assert (made.width, made.height, made.format) == (1024, 768, "png")
    bare = json.dumps({"Result": {"Results": [{"UriStatus": 2000}]}}).encode()
    made = upload_replies.committed(bare, 200, TICKET, IMAGE, PROTOCOL)
    assert (made.handle, made.width, made.format) == (TICKET.uri, 0, "")


@pytest.mark.parametrize("status", [2001, "4000", None, True])
def test_a_picture_that_was_not_taken(status: object) -> None:
    code = refused_code(upload_replies.committed, commit_reply(status), 200, TICKET, IMAGE, PROTOCOL)
    assert code.startswith("uri_status_")


def video_commit(**meta: object) -> bytes:
    entry = {"Vid": "v0new", "VideoMeta": {"Uri": "tos-cn-v-148450/o", "Width": 1280, "Height": 720, **meta}}
    return json.dumps({"Result": {"Results": [entry]}}).encode()


def test_a_committed_video() -> None:
    body = video_commit(Duration=6.016, Fps=24, Format="MP4")
    made = upload_replies.committed(body, 200, TICKET, VIDEO, PROTOCOL)
    assert (made.handle, made.width, made.height) == ("v0new", 1280, 720)
    assert (made.duration_ms, made.fps, made.format) == (6016, 24.0, "MP4")


@pytest.mark.parametrize("duration", [None, "", -1, "soon", float("1e400")])
def test_a_video_of_unknown_length(duration: object) -> None:
    made = upload_replies.committed(video_commit(Duration=duration), 200, TICKET, VIDEO, PROTOCOL)
    assert (made.duration_ms, made.fps) == (0, 0.0)


def test_nothing_was_committed() -> None:
    assert refused_code(upload_replies.committed, b'{"Result":{}}', 200, TICKET, IMAGE, PROTOCOL) == (
        "not_committed"
    )
    body = b'{"Result":{"Results":[{}]}}'
    assert refused_code(upload_replies.committed, body, 200, TICKET, VIDEO, PROTOCOL) == "no_vid"


def test_received_bytes() -> None:
    good = b'{"code":2000,"message":"Success","data":{"crc32":"0D4A1185"}}'
    assert upload_replies.received(good, 200, "0d4a1185")["crc32"] == "0D4A1185"
    # Not every store pads (6.2), and not every one tells.
    upload_replies.received(b'{"code":2000,"data":{"crc32":"d4a1185"}}', 200, "0d4a1185")
    upload_replies.received(b'{"code":2000}', 200, "0d4a1185")
    assert refused_code(upload_replies.received, good, 200, "00000000") == "upload_crc32"
    assert refused_code(upload_replies.received, b'{"code":4010,"message":"crc"}', 200) == "upload_4010"
    assert refused_code(upload_replies.received, b'{"message":"?"}', 403) == "http_403"


def test_beginning_parts() -> None:
    assert upload_replies.parts_begun(b"", 204) is None
    assert upload_replies.parts_begun(b'{"code":2000,"data":{"uploadid":"u1"}}', 200) == "u1"
    assert refused_code(upload_replies.parts_begun, b'{"code":2000,"data":{}}', 200) == "no_upload_id"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "Result",
                    "UploadAddress",
                    "InnerUploadAddress",
                    "UploadNodes",
                    "StoreInfos",
                    "StoreUri",
                    "Auth",
                    "UploadHost",
                    "UploadHosts",
                    "SessionKey",
                    "Results",
                    "PluginResult",
                    "VideoMeta",
                    "ResponseMetadata",
                    "Error",
                    "code",
                    "data",
                    "Duration",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(reply=JSON, status=st.sampled_from([200, 204, 403, 500]))
def test_whatever_they_answer_nothing_but_our_failure_comes_of_it(reply: object, status: int) -> None:
    body = json.dumps(reply).encode()
    for call in (
        lambda: upload_replies.ticket(body, status, IMAGE, PROTOCOL),
        lambda: upload_replies.ticket(body, status, VIDEO, PROTOCOL),
        lambda: upload_replies.committed(body, status, TICKET, IMAGE, PROTOCOL),
        lambda: upload_replies.committed(body, status, TICKET, VIDEO, PROTOCOL),
        lambda: upload_replies.received(body, status, "0d4a1185"),
        lambda: upload_replies.parts_begun(body, status),
        lambda: upload_replies.token({"ret": "0", "data": reply}, IMAGES, PROTOCOL),
    ):
        try:
            call()
        except UpstreamFailure:
            continue
