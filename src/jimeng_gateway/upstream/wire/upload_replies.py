"""What the upload services answer (jimeng-web.md 6.1 to 6.3), into values.

Whatever the bytes are, nothing but UpstreamFailure leaves this module. A host that a reply names is believed
only if it is on the allow-list: the bytes of callers' files go there.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from datetime import datetime

from jimeng_gateway.domain.errors import Failure, UpstreamFailure
from jimeng_gateway.domain.reference import Media, Uploaded
from jimeng_gateway.sigv4 import Keys
from jimeng_gateway.upstream.wire.codes import redact
from jimeng_gateway.upstream.wire.parse import Reply, checked
from jimeng_gateway.upstream.wire.protocol import Protocol, UploadService
from jimeng_gateway.upstream.wire.read import integer, mapping, mappings, number, positive, sequence, text
from jimeng_gateway.upstream.wire.upload import Ticket, Token, allowed_host, refused

#: `UriStatus` of a good file, and `code` of bytes that arrived.
GOOD = 2000
#: What a region of a signature looks like; the token of the CN site says "cn", which is none (6.4).
_SIGNING_REGION = re.compile(r"[a-z]{2}-[a-z]+-[0-9]")
_PLAIN_PATH = re.compile(r"[A-Za-z0-9._~/-]{1,400}")
_SECRETS = re.compile(r"\b(STS|AKTP|AKLT|SpaceKey)\S+")


def token(reply: Reply, service: UploadService, protocol: Protocol, upstream_url: str = "") -> Token:
    """The token of get_upload_token; UpstreamFailure with the site's reason if it gave none."""
    data = mapping(checked(reply, protocol).get("data"))
    keys = Keys(
        text(data.get("access_key_id")), text(data.get("secret_access_key")), text(data.get("session_token"))
    )
    if not all(_one_line(part) for part in (keys.access_key_id, keys.secret_access_key, keys.session_token)):
        raise refused("no_token", "the site gave no upload token")
    host = text(data.get("upload_domain")).lower() or service.host
    region = text(data.get("region"))
    return Token(
        keys=keys,
        host=_host(host, protocol, upstream_url),
        region=region if _SIGNING_REGION.fullmatch(region) else protocol.uploads.region,
        space=text(data.get("space_name")) or text(data.get("service_id")) or service.space,
        lifetime_s=_lifetime(data),
    )


def ticket(body: bytes, status: int, kind: Media, protocol: Protocol, upstream_url: str = "") -> Ticket:
    """What Apply answered."""
    result = _result(body, status, protocol)
    node = mapping(result.get("UploadAddress"))
    if kind is not Media.IMAGE:
        nodes = mappings(mapping(result.get("InnerUploadAddress")).get("UploadNodes"))
        node = next(nodes, node)
    store = next(mappings(node.get("StoreInfos")), mapping(None))
    uri, auth = text(store.get("StoreUri")).strip("/"), text(store.get("Auth"))
    if not _PLAIN_PATH.fullmatch(uri) or ".." in uri or not _one_line(auth):
        raise refused("bad_ticket", "the upload service named no usable place")
    found = Ticket(
        uri=uri,
        auth=auth,
        hosts=tuple(_host(name, protocol, upstream_url) for name in _hosts(node)),
        session_key=text(node.get("SessionKey")),
        vid=text(node.get("Vid")),
        upload_id=text(store.get("UploadID")),
        headers=tuple(_extra_headers(node.get("UploadHeader"))),
    )
    if not found.hosts or not found.session_key:
        raise refused("bad_ticket", "the upload service named no host or no session")
    return found


def committed(body: bytes, status: int, sent: Ticket, kind: Media, protocol: Protocol) -> Uploaded:
    """What Commit answered; sizes and lengths are 0 where the site did not measure."""
    result = _result(body, status, protocol)
    entry = next(mappings(result.get("Results")), None)
    if entry is None:
        raise refused("not_committed", "the upload service confirmed no file")
    state = integer(entry.get("UriStatus"))
    if state != GOOD and (kind is Media.IMAGE or state is not None):
        raise refused(f"uri_status_{state}", "the upload service did not take the file")
    if kind is Media.IMAGE:
        plugin = next(mappings(result.get("PluginResult")), mapping(None))
        return Uploaded(
            kind=kind,
            handle=text(entry.get("Uri")) or text(plugin.get("ImageUri")) or sent.uri,
            width=positive(plugin.get("ImageWidth")) or 0,
            height=positive(plugin.get("ImageHeight")) or 0,
            format=text(plugin.get("ImageFormat")),
        )
    vid = text(entry.get("Vid")) or sent.vid
    if not vid:
        raise refused("no_vid", "the upload service gave the file no id")
    meta = mapping(entry.get("VideoMeta"))
    seconds, fps = number(meta.get("Duration")) or 0, number(meta.get("Fps")) or 0
    return Uploaded(
        kind=kind,
        handle=vid,
        width=positive(meta.get("Width")) or 0,
        height=positive(meta.get("Height")) or 0,
        duration_ms=max(0, math.floor(seconds * 1000 + 0.5)),
        fps=max(0.0, float(fps)),
        format=text(meta.get("Format")),
    )


def received(body: bytes, status: int, crc32: str | None = None) -> Mapping[str, object]:
    """The `data` of a reply to bytes; UpstreamFailure if they did not arrive as they were sent."""
    reply = _object(body, status)
    code = integer(reply.get("code"))
    if code != GOOD:
        message = f"the bytes were not taken: {_people(reply.get('message'))}"
        raise refused(f"upload_{code}" if code is not None else f"http_{status}", message)
    data = mapping(reply.get("data"))
    theirs = text(data.get("crc32")).lower()
    if crc32 is not None and theirs and theirs.rjust(8, "0") != crc32:
        raise refused("upload_crc32", "the bytes arrived with another checksum")
    return data


def parts_begun(body: bytes, status: int) -> str | None:
    """The id of an upload in parts; None if the store wants the file in one piece (204)."""
    if status == 204:
        return None
    found = text(received(body, status).get("uploadid"))
    if not found:
        raise refused("no_upload_id", "the store began no upload in parts")
    return found


def _result(body: bytes, status: int, protocol: Protocol) -> Mapping[str, object]:
    reply = _object(body, status)
    error = mapping(mapping(reply.get("ResponseMetadata")).get("Error"))
    if error:
        raise _said_no(error, status, protocol)
    if status >= 400:
        raise refused(f"http_{status}", f"HTTP {status} from the upload service")
    return mapping(reply.get("Result"))


def _object(body: bytes, status: int) -> Mapping[str, object]:
    try:
        reply = json.loads(body.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        reply = None
    if not isinstance(reply, dict):
        code = f"http_{status}" if status != 200 else "not_json"
        shown = redact(body[:2000].decode("utf-8", "replace"))
        raise refused(code, f"no JSON from the upload service (HTTP {status})", shown)
    return reply


def _said_no(error: Mapping[str, object], status: int, protocol: Protocol) -> UpstreamFailure:
    names = [name for key in ("Code", "CodeN") if (name := text(error.get(key)))]
    known = next((name for name in names if name in protocol.upload_codes), None)
    people = _people(error.get("Message"))
    if known is None:
        return refused((names or [f"http_{status}"])[0][:100], f"the upload service refused: {people}")
    meaning = protocol.upload_codes[known]
    return UpstreamFailure(Failure(meaning.kind, known, meaning.says, people))


def _people(message: object) -> str:
    """The service's words without what they may repeat of the request: keys, tokens, signatures."""
    lines = text(message).splitlines() or [""]
    return _SECRETS.sub("[redacted]", redact(lines[0]))[:200]


def _hosts(node: Mapping[str, object]) -> Iterator[str]:
    """UploadHosts as most replies have it, or UploadHost."""
    for name in (*sequence(node.get("UploadHosts")), node.get("UploadHost")):
        if text(name):
            yield text(name).lower()


def _host(name: str, protocol: Protocol, upstream_url: str) -> str:
    if not allowed_host(protocol, name, upstream_url):
        raise refused("host_not_allowed", f"the upload host {name[:100]!r} is not one of the site's")
    return name


def _extra_headers(value: object) -> Iterator[tuple[str, str]]:
    for name, found in mapping(value).items():
        if re.fullmatch(r"[Xx]-[A-Za-z0-9-]{1,60}", text(name)) and _one_line(text(found)):
            yield text(name), text(found)


def _one_line(value: str) -> bool:
    return 0 < len(value) <= 8192 and value.isascii() and value.isprintable()


def _lifetime(data: Mapping[str, object]) -> float | None:
    """From the reply's own two times, so that a wrong clock here does no harm."""
    try:
        begins = datetime.fromisoformat(text(data.get("current_time")))
        return (datetime.fromisoformat(text(data.get("expired_time"))) - begins).total_seconds()
    except (ValueError, TypeError, OverflowError):
        return None
