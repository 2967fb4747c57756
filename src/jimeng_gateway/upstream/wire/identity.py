"""From what an operator pastes to what every call of that session looks like.

A bare session id gets the few cookies that the site's readers expect, stable for as long as the session
exists; a whole cookie jar goes out exactly as it came, with nothing invented beside it (jimeng-web.md 2.5).
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote_plus, unquote_plus

from jimeng_gateway.domain.errors import InvalidRequest
from jimeng_gateway.domain.session import Identity
from jimeng_gateway.upstream.wire.jars import NoJar, header_of

_BARE = re.compile(r"[A-Za-z0-9%._~-]{1,512}")
_PREFIX = re.compile(r"(intl|[A-Za-z]{2})-")
_LONGEST_JAR = 32_768
_LONGEST_EXPORT = 262_144
#: What `sid_guard` claims for a bare session id: 60 days, as the known clients send it.
_MAX_AGE = 5_184_000


@dataclass(frozen=True, slots=True, repr=False)
class Credential:
    """An upstream login as it was given. Its repr shows no secret."""

    session_id: str
    #: The whole Cookie header, if one was given.
    cookie: str | None = None
    #: From the jar's `_tea_web_id`.
    web_id: str | None = None
    #: Milliseconds since the epoch, from the jar's `sid_guard`.
    expires_at: int | None = None

    def __repr__(self) -> str:
        return "Credential(…)"


def parse_credential(text: str) -> Credential:
    """Reads a bare session id, a Cookie header or a browser's export of cookies (jars.py).

    InvalidRequest (param "credential") for anything else.
    """
    text = text.strip()
    if len(text) > _LONGEST_EXPORT:
        raise _bad(f"it is longer than {_LONGEST_EXPORT} characters")
    try:
        text = header_of(text) or text
    except NoJar as error:
        raise _bad(str(error)) from None
    if text[:7].lower() == "cookie:":
        text = text[7:].strip()
    if not text:
        raise _bad("it is empty; paste the value of the cookie sessionid, or the whole Cookie header")
    if not text.isascii() or not text.isprintable():
        raise _bad("it contains control or non-ASCII characters, which no cookie has")
    if "=" in text:
        return _jar(text)
    return Credential(_session_id(text))


def draw_web_id(number: int) -> str:
    """A web id, 19 digits starting with 7, from a random number of at least 60 bits."""
    return str(7 * 10**18 + number % 10**18)


def identity(
    credential: Credential, web_id: str, session_row_id: str, now: int, region: str = "cn"
) -> Identity:
    """What the calls of a session carry.

    `web_id` is the one drawn when the session was added; a jar overrules it, and a jar without one has none.
    `now` is in milliseconds.
    """
    if credential.cookie is not None:
        return Identity(session_row_id, region, credential.cookie, credential.web_id or "")
    return Identity(session_row_id, region, _bare_cookie(credential.session_id, web_id, now), web_id)


def cookie_value(cookie: str, name: str) -> str | None:
    """The value of one cookie of a Cookie header."""
    return _cookies(cookie).get(name)


def _jar(text: str) -> Credential:
    if len(text) > _LONGEST_JAR:
        raise _bad(f"the Cookie header is longer than {_LONGEST_JAR} characters")
    cookies = _cookies(text)
    if not cookies.get("sessionid"):
        raise _bad("the Cookie header has no cookie named sessionid")
    web_id = cookies.get("_tea_web_id") or None
    if web_id is not None and not re.fullmatch(r"[0-9]{1,20}", web_id):
        raise _bad("its cookie _tea_web_id is not a number")
    return Credential(_session_id(cookies["sessionid"]), text, web_id, _expiry(cookies.get("sid_guard", "")))


def _session_id(text: str) -> str:
    prefix = _PREFIX.match(text)
    if prefix:
        raise _bad(
            f"the region prefix {prefix[0]!r} stands for a site that is not supported;"
            " only sessions of jimeng.jianying.com are, and they have no prefix"
        )
    if "," in text:
        raise _bad("it holds several session ids; add them one by one")
    if not _BARE.fullmatch(text):
        raise _bad("a session id is made of letters and digits, at most 512 of them")
    return text


def _cookies(text: str) -> dict[str, str]:
    pairs = (part.partition("=") for part in text.split(";"))
    return {name.strip(): value.strip() for name, equals, value in pairs if equals}


def _expiry(sid_guard: str) -> int | None:
    parts = unquote_plus(sid_guard).split("|")
    if len(parts) < 3 or not all(re.fullmatch(r"[0-9]{1,12}", part) for part in parts[1:3]):
        return None
    return (int(parts[1]) + int(parts[2])) * 1000


def _bare_cookie(session_id: str, web_id: str, now: int) -> str:
    seconds = now // 1000
    until = datetime.fromtimestamp(seconds + _MAX_AGE, UTC)
    day = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")[until.weekday()]
    months = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
    expiry = f"{day}, {until:%d}-{months[until.month - 1]}-{until:%Y %H:%M:%S} GMT"
    uid_tt = hashlib.sha256(f"uid_tt:{web_id}".encode()).hexdigest()[:32]
    return "; ".join(
        (
            f"_tea_web_id={web_id}",
            "is_staff_user=false",
            "store-region=cn-gd",
            "store-region-src=uid",
            f"sid_guard={session_id}%7C{seconds}%7C{_MAX_AGE}%7C{quote_plus(expiry)}",
            f"uid_tt={uid_tt}",
            f"uid_tt_ss={uid_tt}",
            f"sid_tt={session_id}",
            f"sessionid={session_id}",
            f"sessionid_ss={session_id}",
        )
    )


def _bad(why: str) -> InvalidRequest:
    return InvalidRequest(f"credential: {why}", param="credential", code="invalid_credential")
