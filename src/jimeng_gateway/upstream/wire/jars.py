"""Cookie jars as browser extensions export them, turned into the Cookie header that they stand for.

Operators seldom have a header at hand; they have what an extension saved: JSON in one of a few shapes, or the
old Netscape file. Only the site's own cookies are taken, in the order of the export.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

#: Whose cookies are meant (jimeng-web.md 2.5).
_SITES = ("jianying.com", "capcut.com")
#: A cookie as RFC 6265 allows it; quotes around a value belong to it.
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}")
_VALUE = re.compile(r"[!-+\--:<-~\[\]]{0,8192}")
_NETSCAPE_FIELDS = 7


class NoJar(ValueError):
    """It looks like an export, but no cookie of the site can be read from it; says why."""


@dataclass(frozen=True, slots=True)
class _Cookie:
    name: str
    value: str
    #: Empty if the export does not say.
    domain: str = ""


def header_of(text: str) -> str | None:
    """The Cookie header behind an export; None if the text is no export. NoJar if it is one without use."""
    start = text.lstrip()[:1]
    if start in ("[", "{"):
        return _header(_from_json(text))
    if "\t" in text:
        return _header(_from_netscape(text))
    return None


def _header(cookies: Iterable[_Cookie]) -> str:
    """The last of several cookies of one name counts: exports list the more exact domain later."""
    found: dict[str, str] = {}
    others: set[str] = set()
    for cookie in cookies:
        if cookie.domain and not _of_site(cookie.domain):
            others.add(cookie.domain.lstrip("."))
        elif _NAME.fullmatch(cookie.name) and _VALUE.fullmatch(cookie.value):
            found[cookie.name] = cookie.value
        else:
            raise NoJar(f"its cookie {cookie.name[:40]!r} has characters that no cookie has")
    if not found:
        where = f"only of {', '.join(sorted(others)[:3])}" if others else "none"
        raise NoJar(f"the export has no cookies of jimeng.jianying.com ({where})")
    return "; ".join(f"{name}={value}" for name, value in found.items())


def _of_site(domain: str) -> bool:
    host = domain.lstrip(".").lower()
    return any(host == site or host.endswith("." + site) for site in _SITES)


def _from_json(text: str) -> Iterator[_Cookie]:
    """A list of cookies, an object that holds such a list, or an object of names and values."""
    try:
        tree = json.loads(text)
    except (ValueError, RecursionError):
        raise NoJar("it begins like a JSON export, but it is not JSON") from None
    if isinstance(tree, Mapping) and isinstance(tree.get("cookies"), Sequence):
        tree = tree["cookies"]
    if isinstance(tree, Mapping):
        tree = [{"name": name, "value": value} for name, value in tree.items()]
    for entry in tree:
        yield _from_object(entry)


def _from_object(entry: object) -> _Cookie:
    if not isinstance(entry, Mapping):
        raise NoJar("the JSON export holds something that is no cookie")
    name, value = entry.get("name"), entry.get("value")
    domain = entry.get("domain") or entry.get("host") or ""
    if not (isinstance(name, str) and isinstance(value, str) and isinstance(domain, str)):
        raise NoJar("the JSON export has a cookie without a name or a value")
    return _Cookie(name, value, domain)


def _from_netscape(text: str) -> Iterator[_Cookie]:
    """Lines of domain, subdomains, path, secure, expiry, name, value, with tabs between them."""
    for number, line in enumerate(text.splitlines(), start=1):
        line = line.removeprefix("#HttpOnly_")
        if not line.strip() or line.startswith("#"):
            continue
        fields = line.split("\t")
        if len(fields) == _NETSCAPE_FIELDS - 1:
            # A cookie without a value, its last tab lost on the way.
            fields.append("")
        if len(fields) != _NETSCAPE_FIELDS:
            raise NoJar(f"line {number} of the cookie file does not have {_NETSCAPE_FIELDS} fields")
        yield _Cookie(fields[5], fields[6].strip(), fields[0])
