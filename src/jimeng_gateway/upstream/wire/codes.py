"""What a failing reply means: one table by code (jimeng-web.md 2.7), read from every field of 2.8.

Codes come as strings or numbers and in many places; the most specific known one decides. A code that is not
in the table stays visible: kind UNKNOWN, the code itself, and the redacted reply.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping

from jimeng_gateway.domain.errors import Acceptance, ErrorKind, Failure, UpstreamFailure
from jimeng_gateway.upstream.wire.protocol import Meaning, Protocol
from jimeng_gateway.upstream.wire.read import mapping, mappings, text

RAW_LIMIT = 2000

_UNKNOWN = Meaning(ErrorKind.UNKNOWN, "the site gave a reason that is not known here")
_NOT_A_FAILURE = frozenset({"", "0", "success", "none", "null"})
#: Parts of a record that say nothing about why it failed, and are large or the caller's own.
_NOISE = frozenset(
    {"draft_content", "metrics_extra", "history_group_key", "cover_url_map", "model_info", "resource"}
)
_CONFIDENTIAL = (
    "sessionid|sessionid_ss|sid_tt|sid_guard|uid_tt|uid_tt_ss|sid_ucp_v1|ssid_ucp_v1|session_tlb_tag|ttwid|odin_tt"
    "|passport_csrf_token(?:_default)?|csrf[-_]?token|msToken|a_bogus|X-Bogus|X-Gnarly|x-signature|signature|sign"
    "|token|access_token|secret(?:_access)?_key|session_token|authorization|cookie|password"
)
_HIDDEN = (
    re.compile(rf'(\\*"(?:{_CONFIDENTIAL})\\*"\s*:\s*\\*")[^"\\]*', re.IGNORECASE),
    re.compile(rf"(\b(?:{_CONFIDENTIAL})=)[^;&\s\"'\\,]+", re.IGNORECASE),
    re.compile(r"()\b[0-9a-fA-F]{32}\b"),
)


def classify(
    reply: Mapping[str, object],
    protocol: Protocol,
    *,
    default: Meaning | None = None,
    acceptance: Acceptance = Acceptance.NO,
) -> Failure:
    """The failure that a reply or record tells of.

    `default` is what it means if the reply gives no reason that we know.
    """
    codes, words = list(dict.fromkeys(_codes(reply))), list(_words(reply))
    meaning = _known(codes, words, protocol) or default or _UNKNOWN
    deciding = next((code for code in codes if protocol.codes.get(code) is meaning), "")
    people = next((word for word in words if word not in codes), "")
    return Failure(
        kind=meaning.kind,
        code=(meaning.code or deciding or next(iter(codes), ""))[:100],
        message=(f"{meaning.says}: {people}" if people else meaning.says)[:500],
        raw=redact(prune(reply)),
        acceptance=acceptance,
    )


def reasons(reply: Mapping[str, object], protocol: Protocol) -> Meaning | None:
    """The meaning of a reply's own reason, if it gives a known one."""
    return _known(list(_codes(reply)), list(_words(reply)), protocol)


def failure(
    kind: ErrorKind, code: str, message: str, raw: str = "", acceptance: Acceptance = Acceptance.UNKNOWN
) -> UpstreamFailure:
    """An error of ours about a reply. Acceptance is unknown unless somebody knows better."""
    return UpstreamFailure(Failure(kind, code, message, redact(raw), acceptance))


def redact(raw: str) -> str:
    """A reply as it may be stored and shown: no cookie, token, signature or session id, 2000 characters."""
    # The cut comes last, so that it cannot split a name from its value; the first bound keeps this cheap.
    shown = text(raw)[: RAW_LIMIT * 8]
    for pattern in _HIDDEN:
        shown = pattern.sub(r"\1[redacted]", shown)
    return shown if len(shown) <= RAW_LIMIT else shown[: RAW_LIMIT - 1] + "…"


def prune(value: object) -> str:
    """A reply as short JSON: without the parts that explain nothing, long texts cut."""
    return json.dumps(_pruned(value, 6), ensure_ascii=False)


def _pruned(value: object, depth: int) -> object:
    if isinstance(value, dict):
        if depth == 0:
            return "{…}"
        return {text(k)[:100]: _pruned(v, depth - 1) for k, v in list(value.items())[:60] if k not in _NOISE}
    if isinstance(value, list):
        return [_pruned(entry, depth - 1) for entry in value[:4]] if depth else "[…]"
    if isinstance(value, str):
        return text(value)[:300]
    if isinstance(value, int) and not isinstance(value, bool):
        return value if abs(value) < 2**63 else "…"
    return value


def _known(codes: list[str], words: list[str], protocol: Protocol) -> Meaning | None:
    """What the table says: codes first, then whole keys, then parts of keys, then phrases.

    An entry that replaces the site's code comes before all: a cancelled job also carries a general code.
    """
    keys = {key.casefold(): meaning for key, meaning in protocol.keys.items()}
    whole = [keys[code.casefold()] for code in codes if code.casefold() in keys]
    phrase = _by_part(words, protocol.phrases)
    special = next((meaning for meaning in (*whole, phrase) if meaning and meaning.code), None)
    code = next((protocol.codes[code] for code in codes if code in protocol.codes), None)
    return special or code or next(iter(whole), None) or _by_part(codes, protocol.key_parts) or phrase


def _by_part(texts: list[str], parts: Mapping[str, Meaning]) -> Meaning | None:
    folded = [entry.casefold() for entry in texts]
    return next((m for part, m in parts.items() if any(part.casefold() in entry for entry in folded)), None)


def _scopes(reply: Mapping[str, object]) -> Iterator[Mapping[str, object]]:
    """The reply and the objects in it that carry failure fields, the innermost first."""
    data = mapping(reply.get("data"))
    for record in (mapping(data.get("aigc_data")), data, reply):
        for item in (*mappings(record.get("item_list")), *mappings(record.get("failed_item_list"))):
            yield mapping(item.get("gen_result_data"))
            yield item
        yield mapping(record.get("gen_result_data"))
        yield record
        yield mapping(mapping(record.get("task")).get("resp_ret"))


def _fields(reply: Mapping[str, object], names: tuple[str, ...]) -> Iterator[str]:
    for scope in _scopes(reply):
        for name in names:
            found = text(scope.get(name)).strip()
            if found.casefold() not in _NOT_A_FAILURE:
                yield found


def _codes(reply: Mapping[str, object]) -> Iterator[str]:
    yield from _fields(reply, ("ret",))
    for code in _fields(reply, ("fail_code", "fail_starling_key", "fail_msg", "error_code", "result_code")):
        # 1, -1, -4 and -6 mean something as `ret` only; elsewhere they are other enumerations.
        if not re.fullmatch(r"-?[0-9]{1,2}", code):
            yield code


def _words(reply: Mapping[str, object]) -> Iterator[str]:
    yield from _fields(reply, ("fail_starling_message", "errmsg", "fail_msg", "result_msg"))
