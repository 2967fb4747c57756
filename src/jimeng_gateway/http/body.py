"""Reads what a client sends, and refuses it with the place and the allowed form rather than guess.

JSON is read strictly (no duplicate names, no NaN, no lone surrogates, no NUL, which PostgreSQL text cannot
hold) except that `64.0` is taken for 64, because JSON has one kind of number. null means absent.
"""

from __future__ import annotations

import asyncio
import enum
import json
import types
import typing
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from functools import cache
from typing import Any, TypeVar

import msgspec
from starlette.requests import ClientDisconnect, Request

from jimeng_gateway.domain.errors import InvalidRequest
from jimeng_gateway.http.errors import PayloadTooLarge, RequestTimeout, UnsupportedMedia

S = TypeVar("S", bound=msgspec.Struct)

#: Integers up to here are exact in every JSON reader.
_EXACT = 2**53
_LARGEST = 2**63 - 1


async def read_body(
    request: Request, *, limit: int, seconds: float, reaches: Callable[[int], Awaitable[None]] | None = None
) -> bytes:
    """The whole body. PayloadTooLarge over `limit` bytes, RequestTimeout after `seconds`.

    `reaches` is told how large the body is, at first as far as its head says, and may hold it up.
    """
    body = bytearray()
    declared = declared_length(request)
    if reaches is not None and declared is not None and declared <= limit:
        await reaches(declared)
    try:
        async with asyncio.timeout(seconds):
            async for chunk in stream_body(request, limit=limit, idle=seconds):
                body += chunk
                if reaches is not None:
                    await reaches(len(body))
    except TimeoutError:
        raise _too_slow(seconds) from None
    return bytes(body)


async def stream_body(request: Request, *, limit: int, idle: float) -> AsyncIterator[bytes]:
    """The body as it comes. PayloadTooLarge over `limit` bytes, RequestTimeout after silence of `idle` s."""
    if (declared_length(request) or 0) > limit:
        raise _too_large(limit)
    size, more = 0, True
    while more:
        try:
            async with asyncio.timeout(idle):
                message = await request.receive()
        except TimeoutError:
            raise _too_slow(idle) from None
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise _too_large(limit)
        yield chunk
        more = message.get("more_body", False)


def declared_length(request: Request) -> int | None:
    """Bytes of the body as its head says; None if it does not."""
    declared = request.headers.get("content-length", "")
    return int(declared) if declared.isdecimal() else None


def _too_slow(seconds: float) -> RequestTimeout:
    return RequestTimeout(f"the request body did not arrive within {seconds:g} seconds")


def _too_large(limit: int) -> PayloadTooLarge:
    return PayloadTooLarge(f"the request body is larger than {limit} bytes")


def media_type(request: Request, allowed: tuple[str, ...]) -> str:
    """Which of the allowed types the body has; a body without a type is taken for the first one."""
    if request.headers.get("content-encoding", "identity") != "identity":
        raise UnsupportedMedia("compressed request bodies are not read; send the body as it is")
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not given:
        return allowed[0]
    if given.startswith("application/") and given.endswith("+json"):
        given = "application/json"
    if given not in allowed:
        raise UnsupportedMedia(f"the content type is not read here; send {' or '.join(allowed)}")
    return given


def parse_json(raw: bytes) -> dict[str, Any]:
    """The JSON object of a body, tidied; InvalidRequest with the position of what is wrong."""
    try:
        tree = json.loads(
            raw.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_not_json, parse_int=_integer
        )
        if not isinstance(tree, dict):
            raise InvalidRequest("the body must be a JSON object", code="invalid_json")
        return {name: tidy(value, name) for name, value in tree.items() if value is not None}
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"the body is not UTF-8 at byte {error.start}", code="invalid_json") from None
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise InvalidRequest(f"the body is not JSON: {error.msg} at {place}", code="invalid_json") from None
    except RecursionError:
        raise InvalidRequest("the body is nested too deeply", code="invalid_json") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        text(name, None)
        if name in found:
            raise InvalidRequest(f"`{shown(name)}` is given twice", param=shown(name), code="duplicate_field")
        found[name] = value
    return found


def _not_json(word: str) -> None:
    raise InvalidRequest(f"{word} is not a JSON number", code="invalid_json")


def _integer(digits: str) -> int:
    value = int(digits) if len(digits) < 20 else _LARGEST + 1
    if abs(value) > _LARGEST:
        raise InvalidRequest("the body holds an integer of more than 64 bits")
    return value


def tidy(value: Any, param: str) -> Any:
    """The value with whole floats made integers; InvalidRequest for text that no database can keep."""
    if isinstance(value, str):
        return text(value, param)
    if isinstance(value, float):
        if value != value or value in (float("inf"), float("-inf")):
            raise InvalidRequest(f"`{shown(param)}` is out of range", param=shown(param))
        return int(value) if value.is_integer() and abs(value) <= _EXACT else value
    if isinstance(value, list):
        return [tidy(entry, param) for entry in value]
    if isinstance(value, dict):
        return {name: tidy(entry, param) for name, entry in value.items()}
    return value


def text(value: str, param: str | None) -> str:
    """The string, if it is ordinary text."""
    where = f"`{shown(param)}`" if param else "a field name"
    if "\x00" in value:
        raise InvalidRequest(f"{where} contains a NUL character", param=param and shown(param))
    if not value.isascii() and any("\ud800" <= letter <= "\udfff" for letter in value):
        raise InvalidRequest(f"{where} contains half a surrogate pair", param=param and shown(param))
    return value


def shown(name: str) -> str:
    """A name that came from outside, fit to be repeated in a reply."""
    clean = name.encode("utf-8", "replace").decode("utf-8")
    return clean if len(clean) <= 64 else clean[:61] + "…"


def build(
    values: Mapping[str, Any], struct: type[S], *, lenient: bool, what: str, also: tuple[str, ...] = ()
) -> S:
    """The struct of these values; InvalidRequest names the field at fault and what is allowed.

    `lenient` reads numbers and booleans from text. `what` is the word for a field in messages; `also` are
    fields that the route takes and that have been read elsewhere.
    """
    fields = _fields(struct)
    unknown = next((name for name in values if name not in fields), None)
    if unknown is not None:
        raise InvalidRequest(
            f"unknown {what} `{shown(unknown)}`; allowed: {', '.join((*fields, *also))}",
            param=shown(unknown),
            code="unknown_field",
        )
    try:
        return msgspec.convert(dict(values), struct, strict=not lenient)
    except msgspec.ValidationError as error:
        raise _diagnosis(values, struct, lenient=lenient, what=what) from error


def _diagnosis(
    values: Mapping[str, Any], struct: type[msgspec.Struct], *, lenient: bool, what: str
) -> InvalidRequest:
    """Which field was at fault, found by converting one at a time."""
    for name, field in _fields(struct).items():
        if name not in values:
            if field.required:
                return InvalidRequest(f"{what} `{name}` is missing", param=name, code="missing_field")
            continue
        try:
            msgspec.convert(values[name], field.type, strict=not lenient)
        except msgspec.ValidationError as error:
            allowed = _choices(field.type)
            problem = f"must be one of {', '.join(allowed)}" if allowed else _plain(str(error))
            return InvalidRequest(f"{what} `{name}`: {problem}", param=name)
    return InvalidRequest(f"the {what}s do not fit together")


@cache
def _fields(struct: type[msgspec.Struct]) -> dict[str, msgspec.structs.FieldInfo]:
    return {field.encode_name: field for field in msgspec.structs.fields(struct)}


def _plain(message: str) -> str:
    """msgspec's sentence without the part about null, which callers need not know."""
    return (message[:1].lower() + message[1:]).replace(" | null`", "`")


def _choices(annotation: Any) -> list[str]:
    """The words that a field takes, if it takes only certain words."""
    origin = typing.get_origin(annotation)
    if origin is typing.Literal:
        return [str(word) for word in typing.get_args(annotation)]
    if origin in (typing.Union, types.UnionType):
        parts = [part for part in typing.get_args(annotation) if part is not type(None)]
        return _choices(parts[0]) if len(parts) == 1 else []
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return [str(member.value) for member in annotation]
    return []


def read_query(request: Request, struct: type[S], *, strict: bool = True) -> S:
    """The query parameters. Unless `strict`, parameters that the route does not know are passed over.

    Only those whose type is a list may be repeated.
    """
    known = _fields(struct)
    values: dict[str, Any] = {}
    for name, value in request.query_params.multi_items():
        if not strict and name not in known:
            continue
        if name in known and typing.get_origin(known[name].type) is list:
            values.setdefault(name, []).append(text(value, shown(name)))
            continue
        if name in values:
            raise InvalidRequest(f"query parameter `{shown(name)}` is given twice", param=shown(name))
        values[name] = text(value, shown(name))
    return build(values, struct, lenient=True, what="query parameter")
