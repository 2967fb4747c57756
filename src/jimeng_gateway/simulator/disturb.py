"""Carries a fault out on a reply, as values; the server does what the result says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec

from jimeng_gateway.simulator.faults import Fault, FaultKind
from jimeng_gateway.simulator.replies import Reply

GATEWAY_TIMEOUT = (
    b"<html>\r\n<head><title>504 Gateway Time-out</title></head>\r\n<body>\r\n"
    b"<center><h1>504 Gateway Time-out</h1></center>\r\n<hr><center>openresty</center>\r\n"
    b"</body>\r\n</html>\r\n"
)
_HTML = {"content-type": "text/html"}
_JSON = {"content-type": "application/json; charset=utf-8"}

#: Replies that need nothing of the ordinary one.
_FIXED = {
    FaultKind.HTML504: Reply(GATEWAY_TIMEOUT, 504, _HTML),
    FaultKind.HTML200: Reply(GATEWAY_TIMEOUT, 200, _HTML),
    FaultKind.HTTP500: Reply(b"", 500, {"content-type": "text/plain"}),
    FaultKind.EMPTY: Reply(b"", 200, _JSON),
    FaultKind.NOT_JSON: Reply(b"upstream connect error or disconnect/reset before headers", 200, _JSON),
    FaultKind.RESET: Reply(b"", cut=0),
    FaultKind.LOST_REPLY: Reply(b"", cut=0),
}


def disturbed(fault: Fault, reply: Reply | None) -> Reply:
    """What is sent instead of the ordinary reply (None if the request was not carried out).

    A reply with `cut` 0 is a connection reset.
    """
    fixed = _FIXED.get(fault.kind)
    if fixed is not None:
        return fixed
    if reply is None:
        return Reply(b"", cut=0)
    if fault.kind is FaultKind.TRUNCATED:
        return _truncated(reply)
    if not reply.headers.get("content-type", "").startswith("application/json"):
        return reply
    content = msgspec.json.decode(reply.body)
    return replace(reply, body=msgspec.json.encode(_spoilt(fault.kind, content)))


def _truncated(reply: Reply) -> Reply:
    half = len(reply.body) // 2
    if reply.headers.get("content-type", "").startswith("application/json"):
        return replace(reply, body=reply.body[:half])
    return replace(reply, cut=half)


def _spoilt(kind: FaultKind, content: dict[str, Any]) -> Any:
    match kind:
        case FaultKind.NUMBERS:
            return _with_numbers(content)
        case FaultKind.NULL_DATA:
            return content | {"data": None}
        case FaultKind.BLANK_RET:
            return content | {"ret": "", "errmsg": ""}
        case FaultKind.ABSENT:
            return content | {"data": {}}
        case FaultKind.BARE:
            return content.get("data")
        case _:
            return content


def _with_numbers(content: Any) -> Any:
    """Every `ret` and `fail_code` that is a number in quotes, without them."""
    if isinstance(content, list):
        return [_with_numbers(part) for part in content]
    if not isinstance(content, dict):
        return content
    return {
        key: int(value)
        if key in ("ret", "fail_code") and isinstance(value, str) and value.lstrip("-").isdecimal()
        else _with_numbers(value)
        for key, value in content.items()
    }
