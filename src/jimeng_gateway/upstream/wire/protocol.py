"""The site's constants as one value, so that what rots fastest is data and not code.

Hosts, versions, query parameters and the error table come from `protocol.toml`; an operator's own file is
merged over it. Everything else in this package takes the `Protocol` as an argument.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal

import msgspec

from jimeng_gateway.domain.errors import ErrorKind

#: Tables of the file to which an override may add entries of its own.
OPEN_TABLES = frozenset(
    {
        "regions",
        "query_values",
        "endpoints",
        "referers",
        "codes",
        "keys",
        "key_parts",
        "phrases",
        "upload_codes",
        "with_input_video",
    }
)

#: Query parameters whose values come from the session, the region or the versions.
QUERY_NAMES = frozenset({"aid", "region", "webId", "da_version", "os", "web_version"})

_OS_IN_USER_AGENT = {"windows": "Windows", "mac": "Macintosh", "linux": "Linux"}


@dataclass(frozen=True, slots=True)
class Versions:
    """Version constants (jimeng-web.md 2.9)."""

    appvr: str
    app_sdk_version: str
    web_version: str
    da_version: str
    draft_version: str
    pf: str


@dataclass(frozen=True, slots=True)
class Browser:
    """The desktop browser our headers name (2.1)."""

    user_agent: str
    sec_ch_ua: str
    sec_ch_ua_mobile: str
    sec_ch_ua_platform: str
    accept_language: str
    os: str


@dataclass(frozen=True, slots=True)
class Region:
    """One cluster of the site (1.1, 1.3)."""

    site: str
    api: str
    commerce: str
    aid: int
    region: str
    lan: str
    loc: str
    commerce_lan: str


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A call: where it goes, whose headers it has, which query parameters it carries (2.2, 2.3)."""

    path: str
    family: Literal["mweb", "commerce", "passport"]
    query: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class UploadService:
    """One of the two services that take files (6.1 to 6.3)."""

    #: Where a token that names no host is good.
    host: str
    #: The service of the signature.
    service: str
    #: ServiceId of ImageX, SpaceName of VOD, for a token that names none.
    space: str
    #: What a token is asked for.
    scene: int
    version: str


@dataclass(frozen=True, slots=True)
class Uploads:
    """How files are brought to the site (1.1, 6)."""

    suffixes: tuple[str, ...]
    region: str
    image: UploadService
    video: UploadService


@dataclass(frozen=True, slots=True)
class UploadMeaning:
    """What a code of an upload service means to us."""

    kind: ErrorKind
    says: str
    #: Another token may cure it.
    fresh_token: bool = False


@dataclass(frozen=True, slots=True)
class Results:
    """Where finished files are served (1.1, 7.4)."""

    hosts: tuple[str, ...]
    video_pattern: str


@dataclass(frozen=True, slots=True)
class SignerData:
    """What the signing page of the site is like (5.6, 5.7)."""

    page: str
    cookie_domain: str
    script_hosts: tuple[str, ...]
    #: Parameters that the site's script must have put into a submit before it may leave.
    marks: tuple[str, ...]
    #: Refusals of a plain submit that one through the browser may cure.
    when_refused_with: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a code, key or phrase of the site means to us."""

    kind: ErrorKind
    says: str
    #: Ours, in place of the site's.
    code: str = ""


@dataclass(frozen=True, slots=True)
class Protocol:
    """All of it."""

    versions: Versions
    browser: Browser
    regions: dict[str, Region]
    referers: dict[str, str]
    query_values: dict[str, str]
    endpoints: dict[str, Endpoint]
    uploads: Uploads
    with_input_video: dict[str, str]
    results: Results
    signer: SignerData
    codes: dict[str, Meaning]
    keys: dict[str, Meaning]
    key_parts: dict[str, Meaning]
    phrases: dict[str, Meaning]
    upload_codes: dict[str, UploadMeaning]

    def region(self, name: str) -> Region:
        """The cluster of that name, or ValueError."""
        try:
            return self.regions[name]
        except KeyError:
            raise ValueError(f"unknown region {name!r}; known: {', '.join(self.regions)}") from None


def parse(data: Mapping[str, object]) -> Protocol:
    """The constants from a whole TOML document; ValueError names the key and the allowed form."""
    try:
        protocol = msgspec.convert(data, Protocol)
    except msgspec.ValidationError as error:
        raise ValueError(f"protocol data: {error}") from None
    _check(protocol)
    return protocol


def merge(base: Mapping[str, object], override: Mapping[str, object], at: str = "") -> dict[str, object]:
    """`base` with the entries of `override` laid over it, table by table; lists are replaced whole.

    ValueError if the override names something that does not exist, or gives it another type.
    """
    merged = dict(base)
    for key, value in override.items():
        name = f"{at}.{key}" if at else key
        if key not in base:
            if at not in OPEN_TABLES:
                raise ValueError(f"protocol file: unknown key {name!r}; known here: {', '.join(base)}")
            merged[key] = value
            continue
        known = base[key]
        if isinstance(known, dict) and isinstance(value, dict):
            merged[key] = merge(known, value, name)
        elif type(value) is type(known):
            merged[key] = value
        else:
            raise ValueError(f"protocol file: {name!r} must be {_form(known)}, not {_form(value)}")
    return merged


@cache
def builtin() -> Protocol:
    """The constants that come with this release."""
    return parse(_builtin_data())


def overridden(text: str) -> Protocol:
    """The built-in constants under an operator's TOML text; ValueError says what is wrong with it."""
    try:
        override = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"protocol file: not valid TOML: {error}") from None
    return parse(merge(_builtin_data(), override))


def _builtin_data() -> dict[str, object]:
    return tomllib.loads(files(__package__).joinpath("protocol.toml").read_text("utf-8"))


def _check(protocol: Protocol) -> None:
    for name, region in protocol.regions.items():
        for field in ("site", "api", "commerce"):
            if not re.fullmatch(r"https?://[^/?#\s]+", getattr(region, field)):
                raise ValueError(f"protocol data: 'regions.{name}.{field}' must be https://host, no path")
    for name, endpoint in protocol.endpoints.items():
        if not re.fullmatch(r"/[!-~]{7,}", endpoint.path) or "?" in endpoint.path:
            raise ValueError(f"protocol data: 'endpoints.{name}.path' must be a path such as /mweb/v1/name")
        known = QUERY_NAMES | protocol.query_values.keys()
        for parameter in endpoint.query:
            if parameter not in known:
                raise ValueError(
                    f"protocol data: 'endpoints.{name}.query' names {parameter!r};"
                    f" known: {', '.join(sorted(known))} (add others to query_values)"
                )
    _check_uploads(protocol.uploads)
    word = _OS_IN_USER_AGENT.get(protocol.browser.os)
    if word is None:
        raise ValueError("protocol data: 'browser.os' must be windows, mac or linux")
    if word not in protocol.browser.user_agent:
        raise ValueError(f"protocol data: 'browser.user_agent' must name the same system as os, {word}")
    try:
        re.compile(protocol.results.video_pattern)
    except re.error as error:
        raise ValueError(
            f"protocol data: 'results.video_pattern' is no regular expression: {error}"
        ) from None


def _check_uploads(uploads: Uploads) -> None:
    for name in (*uploads.suffixes, uploads.image.host, uploads.video.host):
        if not re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)+", name):
            raise ValueError(f"protocol data: {name!r} in 'uploads' must be a host name in lower case")


def _form(value: object) -> str:
    if isinstance(value, bool):
        return "true or false"
    names = {str: "text", int: "a whole number", float: "a number", list: "a list", dict: "a table"}
    return names.get(type(value), type(value).__name__)
