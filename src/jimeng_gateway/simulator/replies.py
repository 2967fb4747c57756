"""Envelopes of the three families of calls (2.6), and the reply of a refusal."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from typing import Any

import msgspec

from jimeng_gateway.simulator.refusal import NULL_DATA, WITH_MESSAGE, Refusal


@dataclass(frozen=True, slots=True)
class Reply:
    """One HTTP reply."""

    body: bytes
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    #: The code inside, for the log.
    ret: str = ""
    #: Bytes that are sent before the connection is cut; None for all of them.
    cut: int | None = None


def dated(reply: Reply, now: float) -> Reply:
    """With the site's own idea of the time."""
    return replace(reply, headers={"date": formatdate(now, usegmt=True), **reply.headers})


def as_json(content: Any, *, ret: str = "", **headers: str) -> Reply:
    """A JSON body."""
    kind = {"content-type": "application/json; charset=utf-8"}
    return Reply(msgspec.json.encode(content), headers=kind | headers, ret=ret)


def log_id(now: float, mark: str) -> str:
    """`yyyymmddhhmmss` in Shanghai and hex digits."""
    return f"{datetime.fromtimestamp(now, UTC) + timedelta(hours=8):%Y%m%d%H%M%S}{mark}"


def mweb(data: Any, now: float, mark: str) -> Reply:
    """A `/mweb/` success."""
    return _mweb({"ret": "0", "errmsg": "success"}, data, now, mark)


def _mweb(head: dict[str, Any], data: Any, now: float, mark: str) -> Reply:
    logid = log_id(now, mark)
    content = {**head, "systime": str(int(now)), "logid": logid, "data": data}
    return as_json(content, ret=head["ret"], **{"x-tt-logid": logid})


def commerce(data: Any, now: float, mark: str) -> Reply:
    """A `/commerce/` success: the payload comes twice."""
    return as_json(
        {
            "ret": "0",
            "errmsg": "success",
            "svr_time": int(now),
            "log_id": log_id(now, mark)[:22],
            "response": msgspec.json.encode(data).decode(),
            "sign": "c2ltdWxhdG9y",
            "data": data,
        },
        ret="0",
    )


def refused(refusal: Refusal, endpoint: str, now: float, mark: str) -> Reply:
    """The reply to a call that may not be."""
    head = {"ret": refusal.ret, "errmsg": refusal.errmsg}
    if endpoint != "generate" or refusal.ret in NULL_DATA:
        return _mweb(head, None, now, mark)
    if refusal.ret == "3018":
        return _mweb(head, {"aigc_data": None, "fail_code": "1017"}, now, mark)
    key = refusal.starling_key
    data = {
        "aigc_data": None,
        "fail_code": refusal.ret if key else "",
        "fail_starling_key": key,
        "fail_starling_message": refusal.errmsg if refusal.ret in WITH_MESSAGE else "",
    }
    return _mweb(head, data, now, mark)
