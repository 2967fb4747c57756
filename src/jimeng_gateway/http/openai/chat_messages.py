"""From a conversation to a prompt and its references; values to values.

Only the last user message counts: a picture model has no memory, and what an assistant or a system prompt
said before is no description of a picture. Parts that cannot be honoured are refused by name.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jimeng_gateway.domain.errors import InvalidRequest
from jimeng_gateway.domain.reference import Media, Role
from jimeng_gateway.http.body import shown
from jimeng_gateway.http.givens import Given, from_json

_TEXTS = ("text", "input_text")
#: Roles that set the scene; they may stand anywhere.
_SETTING = ("system", "developer")
#: Types of parts that hold a reference: where in the part it is, and what it must be.
_MEDIA: dict[str, Media | None] = {
    "image_url": Media.IMAGE,
    "input_image": Media.IMAGE,
    "video_url": Media.VIDEO,
    "audio_url": Media.AUDIO,
    "input_audio": Media.AUDIO,
    "file": None,
}
_ROLES = {
    "first_frame": Role.FIRST_FRAME,
    "last_frame": Role.LAST_FRAME,
    **dict.fromkeys(("reference", "reference_image", "reference_video", "reference_audio"), Role.REFERENCE),
}
#: How Open WebUI begins what it asks a model for itself, and what it encloses then.
_CHORE, _HISTORY = "### Task:", "<chat_history>"


def unpack(values: dict[str, Any]) -> tuple[dict[str, Any], Sequence[Given]]:
    """The references of the last user message, taken out of it; `audio` may be one too, or name a voice."""
    voice = values.get("audio")
    if isinstance(voice, dict) and "voice" in voice:
        values = {name: value for name, value in values.items() if name != "audio"}
    messages = values.get("messages")
    if not isinstance(messages, list) or not all(isinstance(entry, dict) for entry in messages):
        return values, ()
    asked = last_asked(messages)
    content = None if asked is None else messages[asked].get("content")
    if asked is None or not isinstance(content, list):
        return values, ()
    texts = [part for part in content if not _is_media(part)]
    givens = [_given(part) for part in content if _is_media(part)]
    message = {**messages[asked], "content": texts}
    return {**values, "messages": [*messages[:asked], message, *messages[asked + 1 :]]}, givens


def last_asked(messages: Sequence[dict[str, Any]]) -> int | None:
    """Where the last message of the user is."""
    return next((n for n in reversed(range(len(messages))) if messages[n].get("role") == "user"), None)


def prompt_of(messages: Sequence[dict[str, Any]]) -> str:
    """What is to be made; InvalidRequest if the conversation does not say."""
    asked = last_asked(messages)
    if asked is None:
        raise _refuse("there is no message of the role `user`")
    said = next((entry for entry in messages[asked + 1 :] if entry.get("role") not in _SETTING), None)
    if said is not None:
        # A front end that lets a model go on, or hands it what a tool said: that would be paid for once more.
        raise _refuse("the last message must be the user's; it says what is to be made")
    content = messages[asked].get("content")
    text = content if isinstance(content, str) else _joined(content)
    if not text.strip():
        raise _refuse("the last user message has no text, which is the prompt")
    if text.lstrip().startswith(_CHORE) and _HISTORY in text:
        raise _refuse(
            "this is what Open WebUI asks for itself, a title or the like; "
            "choose a language model for its tasks, so that they cost no pictures",
            code="not_supported",
        )
    return text


def _joined(content: object) -> str:
    if not isinstance(content, list):
        raise _refuse("`content` must be text or a list of parts")
    return "\n".join(_text(part) for part in content)


def _text(part: object) -> str:
    kind = part.get("type") if isinstance(part, dict) else None
    if not isinstance(part, dict) or not isinstance(kind, str):
        raise _refuse("a part of `content` has no `type`")
    if kind not in _TEXTS:
        raise _refuse(
            f"parts of the type `{shown(kind)}` are not understood; allowed: {', '.join((*_TEXTS, *_MEDIA))}",
            code="not_supported",
        )
    if not isinstance(part.get("text"), str):
        raise _refuse(f"a part of the type `{kind}` needs a `text`")
    return str(part["text"])


def _is_media(part: object) -> bool:
    return isinstance(part, dict) and isinstance(part.get("type"), str) and part["type"] in _MEDIA


def _given(part: dict[str, Any]) -> Given:
    kind = part["type"]
    source = _source(kind, part)
    role = part.get("role", "reference")
    if not isinstance(role, str) or role not in _ROLES:
        raise _refuse(f"`role` of a part must be one of {', '.join(_ROLES)}")
    sent: dict[str, Any] = {**source, "role": _ROLES[role]}
    if _MEDIA[kind] is not None:
        sent["kind"] = _MEDIA[kind]
    (given,) = from_json({"references": sent})
    return given


def _source(kind: str, part: dict[str, Any]) -> dict[str, Any]:
    """Where the bytes are, in the words of givens.py."""
    place = "image_url" if kind == "input_image" else kind
    inner = part.get(place)
    if inner is None and kind == "input_image" and isinstance(part.get("file_id"), str):
        return {"file_id": part["file_id"]}
    if isinstance(inner, str):
        return _text_source(inner)
    if isinstance(inner, dict):
        if isinstance(inner.get("url"), str):
            return _text_source(inner["url"])
        for name in ("file_data", "data"):
            if isinstance(inner.get(name), str):
                return {"data": inner[name], **_named(inner)}
        if isinstance(inner.get("file_id"), str):
            return {"file_id": inner["file_id"], **_named(inner)}
    raise _refuse(f"a part of the type `{kind}` needs `{place}` with a URL, a data URI or the data")


def _text_source(text: str) -> dict[str, Any]:
    """A URL, or the bytes themselves."""
    place = "url" if text.lower().startswith(("http://", "https://")) else "data"
    return {place: text}


def _named(inner: dict[str, Any]) -> dict[str, Any]:
    name = inner.get("filename")
    return {"name": name[:120]} if isinstance(name, str) else {}


def _refuse(why: str, *, code: str = "invalid_request") -> InvalidRequest:
    return InvalidRequest(f"messages: {why}", param="messages", code=code)
