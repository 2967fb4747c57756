"""What a signing page may load, what its submit may carry, and which context has to go: pure decisions.

The site's hosts and the names of its signature are handed in as data, because the site changes them without
notice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote, urlsplit

#: Kinds that a page can do without; the names are those of the DevTools protocol.
NEVER_LOADED = ("Image", "Font", "Stylesheet", "Media")
#: Kinds that are loaded from the site's own hosts only.
OWN_ONLY = ("Script", "Document", "Other")
#: Icons are of the kind Other.
_PICTURES = (".ico", ".png", ".svg", ".jpg", ".webp", ".gif")

#: What the browser says about itself. A page's script may not set most of it, and we do not pretend the rest.
_BROWSERS_OWN = frozenset(
    {
        "accept-encoding",
        "accept-language",
        "cache-control",
        "connection",
        "content-length",
        "cookie",
        "host",
        "origin",
        "pragma",
        "priority",
        "referer",
        "user-agent",
    }
)


def patterns(guarded: str) -> list[dict[str, object]]:
    """Which requests pause: those we judge by kind, and every one to the guarded path."""
    kinds: list[dict[str, object]] = [
        {"urlPattern": "*", "resourceType": kind} for kind in (*NEVER_LOADED, *OWN_ONLY)
    ]
    return [*kinds, {"urlPattern": f"*{guarded}*"}]


def may_load(kind: str, url: str, page_host: str, hosts: Iterable[str]) -> bool:
    """Whether a page may load this; `hosts` are names whose subdomains count as well."""
    if kind in NEVER_LOADED:
        return False
    parts = urlsplit(url)
    if kind not in OWN_ONLY or parts.scheme in ("about", "blob", "data"):
        return True
    if kind == "Other" and parts.path.lower().endswith(_PICTURES):
        return False
    return (parts.hostname or "") == page_host or within(parts.hostname or "", hosts)


def within(host: str, names: Iterable[str]) -> bool:
    """Whether a host is one of the names or below one."""
    return any(host == name or host.endswith("." + name) for name in names)


def is_signed(url: str, marks: Iterable[str]) -> bool:
    """Whether the site's script has put all of its marks into the query, none of them empty."""
    query = dict(parse_qsl(urlsplit(url).query))
    return all(query.get(mark) for mark in marks)


def path_of(url: str) -> str:
    """The path of an address."""
    return urlsplit(url).path


def host_of(url: str) -> str:
    """The host name of an address."""
    return urlsplit(url).hostname or ""


def address_of(url: str) -> tuple[str, int]:
    """Host and port that a request to this address connects to."""
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)


def origin_of(url: str) -> str:
    """Scheme, host and port as in a page's `location.origin`; the url has no user and no default port."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def page_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers that a script of the page adds; the browser's own are left to the browser."""
    return {
        name: value
        for name, value in headers.items()
        if name.lower() not in _BROWSERS_OWN and not name.lower().startswith(("sec-", "proxy-"))
    }


def cookie_pairs(header: str) -> Iterator[tuple[str, str]]:
    """Names and values of a Cookie header, in order, exactly as written."""
    for part in header.split(";"):
        name, equals, value = part.strip().partition("=")
        if equals and name:
            yield name, value


def cookies(header: str, page_url: str, domain: str) -> list[dict[str, object]]:
    """The cookies of a session for the page's context (jimeng-web.md 2.5).

    On `domain` if the page is within it, else for the page's host alone; a `__Host-` cookie has no domain.
    """
    parts = urlsplit(page_url)
    secure = parts.scheme == "https"
    shared = within(parts.hostname or "", (domain.lstrip("."),))
    made: list[dict[str, object]] = []
    for name, value in cookie_pairs(header):
        cookie: dict[str, object] = {"name": name, "value": value, "path": "/", "secure": secure}
        host_only = not shared or name.startswith("__Host-")
        made.append(cookie | ({"url": page_url} if host_only else {"domain": domain}))
    return made


def same_login(one: str, other: str) -> bool:
    """Whether two Cookie headers mean the same login.

    `sid_guard` of a bare session id carries the time at which it was made up, so it does not count.
    """

    def login(header: str) -> dict[str, str]:
        return {name: value for name, value in cookie_pairs(header) if name != "sid_guard"}

    return login(one) == login(other)


@dataclass(frozen=True, slots=True, repr=False)
class Proxy:
    """An HTTP proxy and the login to it; no host means none. Its repr shows no secret."""

    host: str = ""
    port: int = 0
    #: Whether it is spoken to over TLS.
    tls: bool = False
    user: str | None = None
    password: str = ""

    def __repr__(self) -> str:
        return f"Proxy({self.host}:{self.port})"


def proxy(url: str) -> Proxy:
    """Reads `http://user:password@host:port`, `https` likewise; "" is no proxy. ValueError for any other."""
    if not url:
        return Proxy()
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("a proxy must be of the form http://host:port")
    tls = parts.scheme == "https"
    user = None if parts.username is None else unquote(parts.username)
    port = parts.port or (443 if tls else 80)
    return Proxy(parts.hostname, port, tls, user, unquote(parts.password or ""))


@dataclass(frozen=True, slots=True)
class ContextView:
    """An open context as the bookkeeping sees it; times in seconds of Clock.monotonic."""

    session: str
    #: A submit is under way in it, or it is being opened.
    busy: bool
    used_at: float


def to_close(contexts: Iterable[ContextView], now: float, *, most: int, idle: float) -> tuple[str, ...]:
    """The sessions whose contexts have to go, the longest unused first; never a busy one.

    Those that were idle for `idle` seconds go in any case, then as many as it takes for `most` to be left.
    """
    every = list(contexts)
    resting = sorted((each for each in every if not each.busy), key=lambda each: each.used_at)
    expired = sum(1 for each in resting if now - each.used_at >= idle)
    return tuple(each.session for each in resting[: max(expired, len(every) - most)])
