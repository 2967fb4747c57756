"""Takes an Ark `content` list apart: the words of the prompt, and the references in the caller's order.

The three ways in which Ark takes inputs (a first frame; a first and a last frame; references) are told apart
here, before anything is fetched (ark.md 2.3).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec

from jimeng_gateway.domain.errors import InvalidRequest
from jimeng_gateway.domain.intake import LONGEST_PROMPT
from jimeng_gateway.domain.reference import Media, Reference, Role
from jimeng_gateway.http.ark.shapes import ArkItem, ArkLink
from jimeng_gateway.http.body import build
from jimeng_gateway.http.givens import Given, check_number, from_json

_MEDIA = {"image_url": Media.IMAGE, "video_url": Media.VIDEO, "audio_url": Media.AUDIO}
#: A prompt and its flags: what is longer is not searched for them.
_LONGEST_TEXT = 2 * LONGEST_PROMPT
_FRAMES = {"first_frame": Role.FIRST_FRAME, "last_frame": Role.LAST_FRAME}
#: `@图1` and `@image1`, unless the @ stands in an address.
_MARK = re.compile(r"(?<![A-Za-z0-9._%+-])([@＠])(图|image)(?=[0-9０-９])", re.IGNORECASE)
_PICTURE = {"图": "图片", "image": "picture"}


class _Content(msgspec.Struct, kw_only=True):
    content: list[ArkItem]


def unpack(values: dict[str, Any]) -> tuple[dict[str, Any], Sequence[Given]]:
    """The body with nothing but texts in `content`, and its references; InvalidRequest names the item."""
    values = without_nulls(values)
    if "content" not in values:
        return values, ()
    items = build({"content": values["content"]}, _Content, lenient=False, what="field").content
    texts = [_text(item, place) for place, item in enumerate(items) if item.type == "text"]
    links = [(place, item) for place, item in enumerate(items) if item.type != "text"]
    check_number(len(links), "content")
    if sum(map(len, texts)) > _LONGEST_TEXT:
        raise InvalidRequest(
            f"content: its texts are longer than {_LONGEST_TEXT} characters", param="content"
        )
    givens = [_given(item, place) for place, item in links]
    _check_uses(links)
    return {**values, "content": [{"type": "text", "text": text} for text in texts]}, givens


def without_nulls(value: Any) -> Any:
    """The value without what is null in its objects: the same as absent, for Ark's clients."""
    if isinstance(value, dict):
        return {name: without_nulls(entry) for name, entry in value.items() if entry is not None}
    return [without_nulls(entry) for entry in value] if isinstance(value, list) else value


def prompt_of(items: Sequence[ArkItem]) -> str:
    """The texts, each on a line of its own."""
    return "\n".join(item.text or "" for item in items)


def marked(prompt: str, references: Sequence[Reference]) -> str:
    """The prompt with its picture marks as domain/marks.py counts them.

    Ark counts `图1` among the pictures (ark.md 2.3); marks.py counts `@图1` among all references, and
    `@图片1` among the pictures. That differs only where there are others beside them.
    """
    if not any(entry.kind is not Media.IMAGE for entry in references):
        return prompt
    return _MARK.sub(lambda match: match[1] + _PICTURE[match[2].lower()], prompt)


def _text(item: ArkItem, place: int) -> str:
    if item.text is None:
        raise InvalidRequest(f"content[{place}]: `text` is missing", param="content", code="missing_field")
    return item.text


def _given(item: ArkItem, place: int) -> Given:
    if item.type == "draft_task":
        raise _unsupported(place, "drafts are not made here, so that none can be taken up; send the prompt")
    link = getattr(item, item.type)
    url = link.url if isinstance(link, ArkLink) else link
    if not url:
        raise InvalidRequest(
            f"content[{place}]: `{item.type}` is missing", param="content", code="missing_field"
        )
    if url.lower().startswith("asset://"):
        raise _unsupported(place, "assets lie at Ark, not here; send a URL, a data: URI or the id of a file")
    kind = _MEDIA[item.type]
    if item.role not in (None, f"reference_{kind}") and (kind is not Media.IMAGE or item.role not in _FRAMES):
        allowed = ", ".join([*(_FRAMES if kind is Media.IMAGE else ()), f"reference_{kind}"])
        raise InvalidRequest(
            f"content[{place}]: {item.role} is no role of {item.type}; allowed: {allowed}", param="content"
        )
    (given,) = from_json({"image": url})
    return replace(given, kind=kind, role=_role(item))


def _role(item: ArkItem) -> Role:
    if item.type == "image_url" and item.role is None:
        return Role.FIRST_FRAME
    return _FRAMES.get(item.role or "", Role.REFERENCE)


def _check_uses(links: Sequence[tuple[int, ArkItem]]) -> None:
    """InvalidRequest if the items are not all meant in one of the three ways."""
    roles = [_role(item) for _, item in links]
    bare = [place for place, item in links if item.type == "image_url" and item.role is None]
    if len(bare) > 1:
        raise InvalidRequest(
            f"content[{bare[1]}]: a picture without a role is the first frame, and there can be only one; "
            "say first_frame, last_frame or reference_image",
            param="content",
        )
    if Role.REFERENCE in roles and set(roles) != {Role.REFERENCE}:
        place = links[next(n for n, role in enumerate(roles) if role is not Role.REFERENCE)][0]
        raise InvalidRequest(
            f"content[{place}]: frames and references cannot be mixed; "
            "a picture without a role is the first frame",
            param="content",
        )


def _unsupported(place: int, why: str) -> InvalidRequest:
    return InvalidRequest(f"content[{place}]: {why}", param="content", code="not_supported")
