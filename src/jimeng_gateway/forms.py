"""The forms in which settings are written: each one is a sentence for people and a reader of text.

A reader either gives a usable value or says what is wrong, never repeating the text: it may be a secret.
"""

from __future__ import annotations

import ipaddress
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar
from urllib.parse import urlsplit

from jimeng_gateway.domain.archive import ArchiveAddress

T = TypeVar("T")
W = TypeVar("W", bound=str)

DAY = 86_400.0
_YEAR = 366 * DAY
_UNITS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": DAY}
_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off"})
_HOST_NAME = re.compile(
    r"(?=.{1,253}\Z)[A-Za-z0-9_]([A-Za-z0-9_-]{0,62})(\.[A-Za-z0-9_][A-Za-z0-9_-]{0,62})*\.?"
)
_HOST_ENTRY = re.compile(
    r"(\*?\.?[A-Za-z0-9_][A-Za-z0-9_.-]*(/[0-9]{1,2})?|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?"
    r"|[0-9A-Fa-f:]+(/[0-9]{1,3})?"
)


#: A percent sign that encodes nothing.
_LONE_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")


class RefusedError(ValueError):
    """What is wrong with a value, in words that do not repeat it (it may be a secret)."""


@dataclass(frozen=True, slots=True)
class Form(Generic[T]):
    """How a setting is written: in words for people, and as a reader of text."""

    allowed: str
    read: Callable[[str], T]
    #: TOML types taken besides text.
    native: tuple[type, ...] = ()


def one_of(*words: W) -> Form[W]:
    """One of a few words, in any case."""

    def read(text: str) -> W:
        for word in words:
            if word == text.lower():
                return word
        raise RefusedError("is not one of the known words")

    return Form(" or ".join(f"`{word}`" for word in words), read)


def whole(low: int, high: int) -> Form[int]:
    """A whole number within bounds, both included."""

    def read(text: str) -> int:
        if not re.fullmatch(r"[+-]?[0-9]{1,12}", text):
            raise RefusedError("is not a whole number")
        if not low <= int(text) <= high:
            raise RefusedError("is out of range")
        return int(text)

    return Form(f"a whole number, {low} to {high}", read, (int,))


def duration(low: float, high: float = _YEAR) -> Form[float]:
    """Seconds, or a number with one of the units ms, s, m, h, d; within bounds, both included."""

    def read(text: str) -> float:
        match = re.fullmatch(r"(-?[0-9]{1,12}(?:\.[0-9]{1,9})?)\s*(ms|[smhd]?)", text)
        if match is None:
            raise RefusedError("is not a duration")
        seconds = float(match[1]) * _UNITS[match[2]]
        if seconds < 0:
            raise RefusedError("is negative")
        if not low <= seconds <= high:
            raise RefusedError("is out of range")
        return seconds

    allowed = f"a duration (`90`, `90s`, `15m`, `24h`, `7d`), {spell(low)} to {spell(high)}"
    return Form(allowed, read, (int, float))


def spell(seconds: float) -> str:
    """A duration the way an operator would write it: 86400 is `24h`."""
    for unit, size in (("d", DAY), ("h", 3600.0), ("m", 60.0)):
        if seconds >= size * (2 if unit == "d" else 1) and math.isclose(seconds % size, 0.0):
            return f"{seconds / size:g}{unit}"
    return f"{seconds:g}s"


def _read_boolean(text: str) -> bool:
    word = text.lower()
    if word not in _TRUE | _FALSE:
        raise RefusedError("is neither yes nor no")
    return word in _TRUE


def _read_host(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        if re.fullmatch(r"[0-9.]+", text) or not _HOST_NAME.fullmatch(text):
            raise RefusedError("is neither an IP address nor a host name") from None
        return text


def _read_path(text: str) -> Path:
    if not text or "\0" in text:
        raise RefusedError("is not a path")
    return Path(text).expanduser()


def _read_address(text: str, *, prefix: bool) -> str:
    if not text:
        return text
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError:
        raise RefusedError("is not an address") from None
    if url.scheme not in ("http", "https") or not url.hostname or port == 0 or re.search(r"[\s\\]", text):
        raise RefusedError("is not an http or https address")
    if url.username is not None or url.password is not None:
        raise RefusedError("must not hold a user name or password")
    if url.query or url.fragment or text.endswith(("?", "#")):
        raise RefusedError("must not have a query or fragment")
    if url.path.strip("/") and not prefix:
        raise RefusedError("must not have a path")
    return text.rstrip("/")


def _read_database_url(text: str) -> str:
    if not text:
        return text
    if text.startswith("sqlite:///"):
        if text.removeprefix("sqlite:///") in ("", ":memory:"):
            raise RefusedError("names no file, and a queue in memory would lose paid work")
        return text
    try:
        url = urlsplit(text)
        known = url.scheme == "postgresql" and text.startswith("postgresql://") and url.port != 0
    except ValueError:
        raise RefusedError("is not a database address") from None
    if not known:
        raise RefusedError("is not a database address of a known kind")
    # The driver would take the rest of the password for a host or an option, and show it in its message.
    if url.netloc.count("@") > 1 or "@" in url.path + url.query or url.fragment or _LONE_PERCENT.search(text):
        raise RefusedError("has characters that must be percent-encoded, perhaps in its password")
    return text


def _read_hosts(text: str) -> str:
    """Hosts, suffixes, addresses and networks, each perhaps with a port."""
    entries = [entry.strip() for entry in text.split(",") if entry.strip()]
    if not all(_HOST_ENTRY.fullmatch(entry) for entry in entries):
        raise RefusedError("holds what is no host, suffix, address or network")
    return ",".join(entries)


def _read_routes(text: str) -> tuple[tuple[str, str], ...]:
    """Pairs of model and route."""
    pairs = [entry.strip().partition("=") for entry in text.split(",") if entry.strip()]
    for model, _, route in pairs:
        if not model.strip() or route.strip().lower() not in ("browser", "direct"):
            raise RefusedError("holds what is no `model=route`")
    return tuple((model.strip(), route.strip().lower()) for model, _, route in pairs)


def _read_aliases(text: str) -> tuple[tuple[str, str], ...]:
    """Pairs of name and model."""
    pairs = [entry.strip().partition("=") for entry in text.split(",") if entry.strip()]
    for name, _, model in pairs:
        if not name.strip() or not model.strip() or "*" in name.strip()[:-1]:
            raise RefusedError("holds what is no `name=model`")
    return tuple((name.strip(), model.strip()) for name, _, model in pairs)


def _read_login(text: str) -> str:
    if text and not re.fullmatch(r"[!-~]{1,512}", text):
        raise RefusedError("has characters that no key has")
    return text


def _read_archive(text: str) -> str:
    try:
        return str(ArchiveAddress.parse(text)) if text else text
    except ValueError as error:
        raise RefusedError(str(error)) from None


def _read_program(text: str) -> str:
    if not text.isprintable():
        raise RefusedError("has characters that no path has")
    return text


def _read_token(text: str) -> str:
    if text and not re.fullmatch(r"[!-~]{16,512}", text):
        raise RefusedError("is too short, too long or has characters that a header cannot carry")
    return text


def _read_secret_key(text: str) -> str:
    if text and len(text) < 32:
        raise RefusedError("is too short")
    return text


BOOLEAN = Form("`true`, `yes`, `on`, `1` or `false`, `no`, `off`, `0`", _read_boolean, (bool,))
HOST = Form("an IP address or a host name", _read_host)
PATH = Form("a path", _read_path)
FILE = Form("a path, or empty", str)
BASE = Form(
    "`http://host:port` or `https://host` without a path, or empty", lambda t: _read_address(t, prefix=False)
)
PUBLIC = Form("`https://host`, `https://host/prefix`, or empty", lambda t: _read_address(t, prefix=True))
DATABASE = Form("`sqlite:///path`, `postgresql://user:password@host/name`, or empty", _read_database_url)
HOSTS = Form(
    "with commas between them: hosts (`cdn.example.com`), suffixes (`.example.com`), addresses and networks "
    "(`10.1.0.0/16`), each perhaps with a port (`127.0.0.1:5200`); or empty",
    _read_hosts,
)
ROUTES = Form(
    "`model=route` with commas between them, a route being `browser` or `direct`; or empty", _read_routes
)
LOGIN = Form("printable ASCII characters without spaces, or empty", _read_login)
ALIASES = Form("`name=model` with commas between them; a name may end in `*`; or empty", _read_aliases)
ARCHIVE = Form(
    "`s3://bucket/prefix?endpoint=https://host:port&region=us-east-1&style=path`, or empty", _read_archive
)
PROGRAM = Form("a name or a path, or empty", _read_program)
TOKEN = Form("16 to 512 printable ASCII characters without spaces, or empty", _read_token)
SECRET_KEY = Form("at least 32 characters (base64, hex or any text), or empty", _read_secret_key)
