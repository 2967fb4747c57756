"""The shapes in which callers give references, reduced to one: where the bytes are, what for, which name.

Older gateways and the OpenAI SDKs each have their own field names and nestings (openai-media.md 5.1); all of
them end as Givens in the order in which they were sent, which is the order of their numbers in the prompt.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from jimeng_gateway.domain.errors import InvalidRequest
from jimeng_gateway.domain.reference import Media, Role
from jimeng_gateway.http.body import build, parse_json, shown

#: Bytes of a file part below which it may be the text of a URL: some clients send one as a file.
LARGEST_POINTER = 4096
#: Of one request, and far more than any model takes: each is a file to be fetched or decoded, and measured.
MOST_REFERENCES = 100

_URL = re.compile(r"https?://", re.IGNORECASE)
_DATA = re.compile(r"data:", re.IGNORECASE)
_FILE_ID = re.compile(r"file_[0-9a-z]{22}")


class GivenReference(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A picture, clip or sound: exactly one of `url`, `image_url`, `data`, `b64` and `file_id`."""

    #: A `data:` URI is understood here too: the OpenAI API has them in `image_url`.
    url: str | None = None
    #: The same as `url`.
    image_url: str | None = None
    #: A `data:` URI, or base64.
    data: str | None = None
    #: Base64.
    b64: str | None = None
    #: Of `POST /api/v1/files`.
    file_id: str | None = None
    role: Role | None = None
    #: For `@name` in the prompt.
    name: Annotated[str, Meta(max_length=120)] | None = None
    #: Checked against the content if given.
    kind: Media | None = None


One = str | GivenReference
Some = str | GivenReference | list[One]


class ReferenceFields(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """References in a JSON body: URLs, base64, `data:` URIs, ids of files, or objects that say more."""

    references: Some | None = None
    files: Some | None = None
    file: Some | None = None
    images: Some | None = None
    image: Some | None = None
    videos: Some | None = None
    video: Some | None = None
    audios: Some | None = None
    audio: Some | None = None
    file_paths: Some | None = None
    file_paths_camel: Some | None = msgspec.field(default=None, name="filePaths")
    image_url: Some | None = None
    image_urls: Some | None = None
    reference_images: Some | None = None
    input_reference: Some | None = None
    first_frame: Some | None = None
    last_frame: Some | None = None
    end_frame: Some | None = None


#: Names that callers use, and our attributes behind them. Read once: it takes longer than a request.
_ATTRIBUTES = {field.encode_name: field.name for field in msgspec.structs.fields(ReferenceFields)}
FIELDS: tuple[str, ...] = tuple(_ATTRIBUTES)
_ROLES = {"first_frame": Role.FIRST_FRAME, "last_frame": Role.LAST_FRAME, "end_frame": Role.LAST_FRAME}
#: What clients put behind a name in a form: image_file_1, input_reference.png, image[], image[0], x[url].
_PART = re.compile(r"([A-Za-z_]+?)(?:_file)?(?:_[0-9]+)?(?:\.\w{2,4})?((?:\[[A-Za-z0-9_]*\])*)")
_SOURCES = ("url", "image_url", "data", "b64", "file_id")


@dataclass(frozen=True, slots=True)
class Given:
    """A reference whose bytes are not here yet; one of the first three says where they are."""

    url: str = ""
    #: A `data:` URI, or base64.
    data: str = ""
    file_id: str = ""
    role: Role = Role.REFERENCE
    name: str = ""
    kind: Media | None = None


@dataclass(frozen=True, slots=True)
class PartField:
    """What the name of a form part means."""

    role: Role
    #: "url" in `input_reference[url]`; else empty.
    source: str


def part_field(name: str) -> PartField | None:
    """The meaning of a part's name; None if it is no name for references."""
    match = _PART.fullmatch(name)
    if match is None or match[1] not in FIELDS:
        return None
    words = [word for word in re.findall(r"\[(\w*)\]", match[2]) if word and not word.isdigit()]
    if words and (len(words) > 1 or words[0] not in _SOURCES):
        return None
    return PartField(_ROLES.get(match[1], Role.REFERENCE), words[0] if words else "")


def from_json(values: Mapping[str, Any]) -> Iterator[Given]:
    """The references of a JSON body's reference fields, in its own order."""
    body = build(values, ReferenceFields, lenient=False, what="field")
    sent = {name: getattr(body, _ATTRIBUTES[name]) for name in values}
    check_number(sum(len(value) if isinstance(value, list) else 1 for value in sent.values()))
    for name, value in sent.items():
        yield from _some(value, _ROLES.get(name, Role.REFERENCE), name)


def check_number(count: int, param: str = "references") -> None:
    """InvalidRequest for more references than one request may hold."""
    if count > MOST_REFERENCES:
        raise InvalidRequest(
            f"{param}: {count} references are more than the {MOST_REFERENCES} that one request may hold",
            param=param,
        )


def from_text(content: str, field: PartField, name: str) -> Iterator[Given]:
    """The references in a text part: JSON, or one of the forms of a plain text."""
    if field.source:
        yield _one(msgspec.convert({field.source: content}, GivenReference), field.role, name)
    elif content.lstrip()[:1] in ("[", "{"):
        # Read as part of a body, so that a mistake is told the same way.
        yield from _with_role(parse_json(b'{"references":' + content.encode() + b"}"), field.role)
    elif content.strip():
        yield _one(content.strip(), field.role, name)


def pointer_in(content: bytes) -> str | None:
    """The URL or `data:` URI that a small file turns out to be."""
    try:
        text = content.decode("ascii").strip()
    except UnicodeDecodeError:
        return None
    return text if (_URL.match(text) or _DATA.match(text)) and not re.search(r"\s", text) else None


def _with_role(values: Mapping[str, Any], role: Role) -> Iterator[Given]:
    body = build(values, ReferenceFields, lenient=False, what="field")
    yield from _some(body.references, role, "references")


def _some(value: Some | None, role: Role, name: str) -> Iterator[Given]:
    entries = value if isinstance(value, list) else [value]
    for entry in entries:
        if entry is not None and entry != "":
            yield _one(entry, role, name)


def _one(entry: One, role: Role, field: str) -> Given:
    if isinstance(entry, str):
        return _from_string(entry, role)
    sources = [word for word in _SOURCES if getattr(entry, word)]
    if len(sources) != 1:
        raise InvalidRequest(
            f"`{shown(field)}`: a reference needs exactly one of {', '.join(_SOURCES)}", param=shown(field)
        )
    link = entry.url or entry.image_url or ""
    inline = bool(_DATA.match(link))
    return Given(
        url="" if inline else link,
        data=link if inline else entry.data or entry.b64 or "",
        file_id=entry.file_id or "",
        role=entry.role or role,
        name=entry.name or "",
        kind=entry.kind,
    )


def _from_string(text: str, role: Role) -> Given:
    if _URL.match(text):
        return Given(url=text, role=role)
    if _FILE_ID.fullmatch(text):
        return Given(file_id=text, role=role)
    return Given(data=text, role=role)
