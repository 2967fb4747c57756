"""The two upload services and the store behind them (6.1 to 6.4): tokens, Apply, bytes, Commit.

Signatures, checksums and sizes are verified; a file belongs to the account whose token applied for it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Literal

from jimeng_gateway.simulator import aws
from jimeng_gateway.simulator.depot import STORE, Depot, Stored, Token
from jimeng_gateway.simulator.regions import Region
from jimeng_gateway.simulator.replies import Reply, as_json
from jimeng_gateway.simulator.traffic import Call

#: `scene` of a token to the service it is meant for (6.1); 3 is "file or audio".
SCENES = {1: "vod", 2: "imagex", 3: "vod"}
_ACTIONS = {
    "ApplyImageUpload": "image_apply",
    "CommitImageUpload": "image_commit",
    "ApplyUploadInner": "video_apply",
    "CommitUploadInner": "video_commit",
}
_PHASES = {"init": "upload_init", "transfer": "upload_part", "finish": "upload_finish"}
ENDPOINTS = frozenset({*_ACTIONS.values(), *_PHASES.values(), "upload_bytes"})
_SHANGHAI = timezone(timedelta(hours=8))
#: CodeN of an error of the services, where one is known (6.2).
_NUMBERS = {"InvalidAuthorization": 100024, "SignatureDoesNotMatch": 100010}


class ServiceError(Exception):
    """A service says no."""

    def __init__(self, code: str, message: str, status: int = 200) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status


@dataclass(frozen=True, slots=True)
class Request:
    """A call of the services and what it is judged by."""

    depot: Depot
    region: Region
    call: Call
    now: float
    #: Whether the store takes parts (204 at `init` if not), and Commit tells measures of videos.
    multipart: bool = True
    video_meta: bool = True


def endpoint(call: Call) -> str:
    """The name of the call in logs and faults; "" if it is none of ours."""
    if call.path == "/":
        return _ACTIONS.get(call.query.get("Action", ""), "")
    if call.path.startswith(STORE):
        return _PHASES.get(call.query.get("phase", ""), "upload_bytes")
    return ""


def takes_bytes(path: str) -> bool:
    """Whether a body that comes here may be large."""
    return path.startswith(STORE)


def answer(request: Request) -> Reply:
    """Carries a call of the services out."""
    name = endpoint(request.call)
    try:
        if name in _STEPS:
            return _STEPS[name](request, _authorized(request, name))
        return _bytes(request, name)
    except ServiceError as error:
        return refused(name, error.code, error.message, error.status)


def refused(name: str, code: str, message: str = "", status: int = 200) -> Reply:
    """How a service says no to a call of that name."""
    if name in _ACTIONS.values():
        error = {"Code": code, "CodeN": _NUMBERS.get(code, int(code) if code.isdecimal() else 100000)}
        meta = {"RequestId": "sim", "Error": {**error, "Message": message or code}}
        reply = as_json({"ResponseMetadata": meta}, ret=code)
    else:
        number = int(code) if code.isdecimal() else 4000
        reply = as_json({"code": number, "message": message or code}, ret=code)
    return Reply(reply.body, status, reply.headers, reply.ret)


def token_data(token: Token, scene: int, region: Region, call: Call, now: float) -> dict[str, Any]:
    """`data` of get_upload_token."""
    image = SCENES[scene] == "imagex"
    host = (region.image_service if image else region.video_service) if _real(region, call) else _here(call)
    space = region.image_space if image else region.video_space
    return {
        "access_key_id": token.access_key,
        "secret_access_key": token.secret,
        "session_token": token.session_token,
        "service_id": space,
        "space_name": space,
        "upload_domain": host,
        "region": region.name,
        "current_time": _iso(now),
        "expired_time": _iso(token.expires),
    }


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).astimezone(_SHANGHAI).isoformat(timespec="seconds")


def _real(region: Region, call: Call) -> bool:
    return call.host in region.hosts or call.host in (region.image_service, region.video_service)


def _here(call: Call) -> str:
    return call.base.partition("://")[2]


def _authorized(request: Request, name: str) -> Token:
    call = request.call
    token = request.depot.token(aws.access_key(call))
    if token is None or call.headers.get("x-amz-security-token") != token.session_token:
        raise ServiceError("InvalidAuthorization", "the keys are not known", 403)
    if request.now >= token.expires:
        raise ServiceError("30406", "invalid token", 403)
    service = "imagex" if name.startswith("image") else "vod"
    complaint = aws.complaint(call, token.secret, request.region.signing, service, request.now)
    if complaint:
        raise ServiceError("SignatureDoesNotMatch", complaint, 403)
    return token


def _apply(request: Request, token: Token, kind: Literal["image", "video"]) -> dict[str, Any]:
    """The node of a reply to Apply."""
    call, region = request.call, request.region
    space = region.image_space if kind == "image" else region.video_space
    version = "2018-08-01" if kind == "image" else "2020-11-19"
    asked = call.query.get("ServiceId" if kind == "image" else "SpaceName")
    size = call.query.get("FileSize", "")
    chance = call.query.get("s", "")
    if call.method != "GET" or asked != space or call.query.get("Version") != version:
        raise ServiceError("InvalidParameter", "space or version")
    if not size.isdecimal() or int(size) < 1 or not 10 <= len(chance) <= 12 or not chance.isalnum():
        raise ServiceError("InvalidParameter", "FileSize or s")
    stored = request.depot.place(region, token.uid, kind, int(size))
    node = {
        "StoreInfos": [{"StoreUri": stored.uri, "Auth": stored.auth, "UploadID": ""}],
        "UploadHeader": None,
        "SessionKey": stored.session_key,
    }
    host = region.store_host if _real(region, call) else _here(call)
    # Some replies have one host, some a list (6.2).
    return {**node, "UploadHosts": [host]} if kind == "image" else {**node, "UploadHost": host}


def _apply_image(request: Request, token: Token) -> Reply:
    return _good(request, {"UploadAddress": _apply(request, token, "image")})


def _apply_video(request: Request, token: Token) -> Reply:
    if request.call.query.get("FileType") != "video" or request.call.query.get("IsInner") != "1":
        raise ServiceError("InvalidParameter", "FileType or IsInner")
    node = _apply(request, token, "video")
    stored = request.depot.with_key(node["SessionKey"])
    assert stored is not None
    return _good(
        request,
        {"InnerUploadAddress": {"UploadNodes": [{**node, "Vid": stored.vid, "Type": "video"}]}},
    )


def _to_commit(request: Request, token: Token) -> Stored:
    try:
        key = json.loads(request.call.body)["SessionKey"]
    except (ValueError, LookupError, TypeError):
        raise ServiceError("InvalidParameter", "SessionKey") from None
    stored = request.depot.with_key(key) if isinstance(key, str) else None
    if stored is None or stored.uid != token.uid:
        raise ServiceError("InvalidParameter", "SessionKey")
    if stored.received != stored.size:
        raise ServiceError("InvalidParameter", "the file has not come in whole")
    stored.committed = True
    return stored


def _commit_image(request: Request, token: Token) -> Reply:
    stored = _to_commit(request, token)
    seen = stored.measures()
    plugin = {
        "FileName": stored.uri.rpartition("/")[2],
        "SourceUri": stored.uri,
        "ImageUri": stored.uri,
        "ImageWidth": seen.width,
        "ImageHeight": seen.height,
        "ImageMd5": "",
        "ImageFormat": seen.format,
        "ImageSize": stored.size,
        "FrameCnt": 1,
    }
    return _good(request, {"Results": [{"Uri": stored.uri, "UriStatus": 2000}], "PluginResult": [plugin]})


def _commit_video(request: Request, token: Token) -> Reply:
    stored = _to_commit(request, token)
    seen = stored.measures()
    meta: dict[str, Any] = {
        "Uri": stored.uri,
        "Width": seen.width,
        "Height": seen.height,
        "Size": stored.size,
    }
    if request.video_meta:
        fps = 24 if seen.width else 0
        meta |= {"Duration": round(seen.duration_s, 3), "Fps": fps, "Bitrate": 0, "Md5": ""}
        meta |= {
            "Format": seen.format,
            "Codec": "h264" if fps else "",
            "FileType": "video" if fps else "audio",
        }
    return _good(request, {"Results": [{"Vid": stored.vid, "VideoMeta": meta}]})


_STEPS: Mapping[str, Callable[[Request, Token], Reply]] = {
    "image_apply": _apply_image,
    "image_commit": _commit_image,
    "video_apply": _apply_video,
    "video_commit": _commit_video,
}


def _good(request: Request, result: dict[str, Any]) -> Reply:
    meta = {
        "RequestId": "sim",
        "Action": request.call.query.get("Action", ""),
        "Region": request.region.signing,
    }
    return as_json({"ResponseMetadata": meta, "Result": {"RequestId": "sim", **result}}, ret="0")


def _bytes(request: Request, name: str) -> Reply:
    call = request.call
    stored = request.depot.at(call.path)
    if stored is None or call.headers.get("authorization") != stored.auth:
        raise ServiceError("4001", "authorization", 403)
    if call.method not in ("POST", "PUT"):
        raise ServiceError("4005", "method", 405)
    if "content-length" not in call.headers:
        raise ServiceError("4011", "content-length")
    if name == "upload_init":
        return _begun(request, stored)
    if name == "upload_part":
        return _part(call, stored)
    if name == "upload_finish":
        return _finished(call, stored)
    _verified(call)
    if call.length != stored.size:
        raise ServiceError("4012", f"{call.length} of {stored.size} bytes")
    stored.unreadable = call.method == "PUT"
    _keep(stored, call)
    return _taken({"crc32": call.checksum})


def _begun(request: Request, stored: Stored) -> Reply:
    if stored.kind == "image" or not request.multipart:
        return Reply(b"", 204)
    return _taken({"uploadid": request.depot.begin_parts(stored)})


def _part(call: Call, stored: Stored) -> Reply:
    number = call.query.get("part_number", "")
    if not stored.upload_id or call.query.get("uploadid") != stored.upload_id or not number.isdecimal():
        raise ServiceError("4013", "uploadid or part_number")
    _verified(call)
    stored.parts[int(number)] = (call.length, call.checksum)
    if int(number) == 1:
        stored.head = call.body
    stored.tail = call.tail
    return _taken({"crc32": call.checksum})


def _finished(call: Call, stored: Stored) -> Reply:
    if not stored.upload_id or call.query.get("uploadid") != stored.upload_id:
        raise ServiceError("4013", "uploadid")
    wanted = ",".join(f"{number}:{crc}" for number, (_, crc) in sorted(stored.parts.items()))
    together = sum(length for length, _ in stored.parts.values())
    if call.body.decode("latin-1") != wanted or sorted(stored.parts) != list(range(1, len(stored.parts) + 1)):
        raise ServiceError("4014", "the list of parts")
    if together != stored.size:
        raise ServiceError("4012", f"{together} of {stored.size} bytes")
    stored.received = together
    return _taken({"crc32": ""})


def _verified(call: Call) -> None:
    if call.headers.get("content-crc32") != call.checksum:
        raise ServiceError("4010", "content-crc32")


def _keep(stored: Stored, call: Call) -> None:
    stored.received, stored.head, stored.tail = call.length, call.body, call.tail


def _taken(data: dict[str, str]) -> Reply:
    return as_json({"code": 2000, "message": "Success", "apiversion": "v1", "data": data}, ret="2000")
