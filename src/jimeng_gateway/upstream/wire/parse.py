"""Replies into values (jimeng-web.md 2.6, 3.4, 7.2, 8.1, 8.4).

HTTP status is nearly always 200 and means little; `ret` is the site's word. Whatever the bytes are, nothing
but UpstreamFailure leaves this module.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence

from jimeng_gateway.domain.errors import Acceptance, ErrorKind, Failure, UpstreamFailure
from jimeng_gateway.domain.record import Accepted, Record
from jimeng_gateway.domain.session import Account
from jimeng_gateway.upstream.wire.codes import classify, failure, prune, redact
from jimeng_gateway.upstream.wire.items import item_of
from jimeng_gateway.upstream.wire.protocol import Protocol
from jimeng_gateway.upstream.wire.read import integer, mapping, mappings, text
from jimeng_gateway.upstream.wire.records import record as read_record

Reply = Mapping[str, object]


def envelope(body: bytes, status: int = 200) -> dict[str, object]:
    """The JSON object of a reply; UpstreamFailure (upstream_error) if there is none."""
    shown = body[:4000].decode("utf-8", "replace")
    if not body.strip():
        raise failure(
            ErrorKind.UPSTREAM_ERROR, f"http_{status}" if status != 200 else "empty_body", "empty reply"
        )
    try:
        reply = json.loads(body.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        if status == 429:
            raise failure(
                ErrorKind.RATE_LIMITED, "http_429", "the site's door limits requests", shown
            ) from None
        code = f"http_{status}" if status != 200 else "not_json"
        raise failure(
            ErrorKind.UPSTREAM_ERROR, code, f"no JSON in the reply (HTTP {status})", shown
        ) from None
    if not isinstance(reply, dict):
        raise failure(ErrorKind.UPSTREAM_ERROR, "not_an_object", "the reply is no JSON object", shown)
    if status >= 400 and not _refused(reply):
        raise failure(ErrorKind.UPSTREAM_ERROR, f"http_{status}", f"HTTP {status} from the site", shown)
    return reply


def checked(reply: Reply, protocol: Protocol) -> Reply:
    """The reply itself if the site said yes; UpstreamFailure with the site's reason if it said no."""
    if _refused(reply):
        raise UpstreamFailure(classify(reply, protocol))
    if not _said_yes(reply):
        raise _unclear(reply)
    return reply


def accepted(reply: Reply, protocol: Protocol) -> Accepted:
    """A submit that the site took.

    The failure of one that it did not take says by `acceptance` whether the job may exist all the same:
    only an explicit refusal without a record is a sure no.
    """
    job = mapping(mapping(reply.get("data")).get("aigc_data"))
    record = read_record(job, protocol) if job else None
    history_id = record.history_id if record else ""
    if _refused(reply):
        sure = Acceptance.UNKNOWN if history_id else Acceptance.NO
        raise UpstreamFailure(classify(reply, protocol, acceptance=sure))
    if not _said_yes(reply) and not history_id:
        raise _unclear(reply)
    return Accepted(history_id=history_id, record=record)


def records(reply: Reply, asked: Sequence[str], protocol: Protocol) -> dict[str, Record]:
    """The records of the ids that were asked for; unknown ids are absent.

    Absence is believed only if the site clearly answered: an unclear reply without any asked record raises.
    """
    if _refused(reply):
        raise UpstreamFailure(classify(reply, protocol))
    data = reply.get("data") if "data" in reply or "ret" in reply else reply
    if not isinstance(data, dict | list):
        raise _unclear(reply)
    by_id = dict(_by_id(data))
    found = {wanted: _record(by_id[wanted], protocol) for wanted in asked if wanted in by_id}
    if not found and asked and not _said_yes(reply):
        raise _unclear(reply)
    return found


def best_video(reply: Reply, item_id: str, protocol: Protocol) -> str | None:
    """The address in a reply of get_local_item_list (7.5)."""
    data = mapping(checked(reply, protocol).get("data"))
    for name in ("item_list", "local_item_list"):
        found = [item for entry in mappings(data.get(name)) if (item := item_of(entry, videos=True))]
        match = next((item for item in found if item.item_id == item_id), None)
        if match or (len(found) == 1 and not found[0].item_id):
            return (match or found[0]).url
    return None


def user_info(reply: Reply, protocol: Protocol) -> Account:
    """The account of get_user_info; kind AUTH only if the site says that the login is dead."""
    data = mapping(checked(reply, protocol).get("data"))
    return _account(data, reply)


def passport(reply: Reply, protocol: Protocol) -> Account:
    """The account of the passport call, whose envelope has no `ret` (8.4)."""
    if _refused(reply):
        raise UpstreamFailure(classify(reply, protocol))
    data = mapping(reply.get("data"))
    if text(reply.get("message")) == "error":
        # Its reason stands in `name`, which elsewhere is a person's.
        raise UpstreamFailure(classify({**data, "fail_msg": data.get("name")}, protocol))
    return _account(data, reply)


def credits_of(reply: Reply, protocol: Protocol) -> int | None:
    """Gift, bought and member credits together (8.1); None if the reply names none of them."""
    data = mapping(checked(reply, protocol).get("data"))
    balance = mapping(data.get("credit")) or mapping(reply.get("credit"))
    names = ("gift_credit", "purchase_credit", "vip_credit")
    amounts = [amount for name in names if (amount := integer(balance.get(name))) is not None]
    return sum(amounts) if amounts else None


def site_time(reply: Reply) -> int | None:
    """The site's clock in whole seconds since the epoch, from any reply."""
    return integer(reply.get("systime")) or integer(reply.get("svr_time"))


def _account(data: Mapping[str, object], reply: Reply) -> Account:
    uid = text(data.get("uid")) or text(data.get("user_id"))
    if uid in ("", "0"):
        raise _unclear(reply)
    name = text(data.get("name")) or text(data.get("screen_name"))
    return Account(uid=uid[:100], name=name[:200])


def _by_id(data: object) -> Iterator[tuple[str, object]]:
    """Entries under every id that they are known by; the key that was asked comes last and so wins."""
    entries: list[tuple[str, object]] = (
        list(data.items()) if isinstance(data, dict) else [("", entry) for entry in mappings(data)]
    )
    for _, entry in entries:
        raw = mapping(entry)
        task = mapping(raw.get("task"))
        ids = (
            task.get("submit_id"),
            task.get("history_id"),
            raw.get("submit_id"),
            raw.get("history_record_id"),
        )
        for own in ids:
            if text(own):
                yield text(own), entry
    yield from ((key, entry) for key, entry in entries if key and entry is not None)


def _record(entry: object, protocol: Protocol) -> Record:
    # An entry of another type still says that the site knows the id, so it must not look absent.
    return read_record(mapping(entry), protocol)


def _ret(reply: Reply) -> str:
    return text(reply.get("ret")).strip()


def _said_yes(reply: Reply) -> bool:
    return _ret(reply) == "0"


def _refused(reply: Reply) -> bool:
    return _ret(reply) not in ("", "0")


def _unclear(reply: Reply) -> UpstreamFailure:
    raw = redact(prune(dict(reply)))
    message = "the reply says neither yes nor no"
    return UpstreamFailure(
        Failure(ErrorKind.UPSTREAM_ERROR, "unclear_reply", message, raw, Acceptance.UNKNOWN)
    )
