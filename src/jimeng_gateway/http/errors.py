"""One error envelope for every door, and the few errors that only HTTP knows.

    {"error": {"code", "message", "type", "param", "retryable", "request_id"}}

Statuses come from the errors themselves (domain/errors.py). Clients of the OpenAI kind repeat 408, 409, 429
and 5xx by themselves, so a refusal that is final says so in `x-should-retry` (openai-media.md 2.3).
"""

from __future__ import annotations

import msgspec
from starlette.responses import Response

from jimeng_gateway.domain.errors import CallerError, GatewayError, StoreError
from jimeng_gateway.domain.words import Language, error_message
from jimeng_gateway.http.dialects import named


class PayloadTooLarge(CallerError):
    """A body over the limit of its route."""

    code = "payload_too_large"
    status = 413


class UnsupportedMedia(CallerError):
    """A body of a type that the route does not read."""

    code = "unsupported_media_type"
    status = 415


class RequestTimeout(CallerError):
    """The body did not arrive in time; the same request may well succeed."""

    code = "request_timeout"
    status = 408
    retryable = True


class MethodNotAllowed(CallerError):
    """The path exists, the method does not."""

    code = "method_not_allowed"
    status = 405

    def __init__(self, method: str, allowed: list[str]) -> None:
        super().__init__(f"{method} is not allowed here; allowed: {', '.join(allowed)}")
        self.allowed = allowed


class RangeNotSatisfiable(CallerError):
    """The Range asked for lies outside the file."""

    code = "range_not_satisfiable"
    status = 416

    def __init__(self, size: int) -> None:
        super().__init__(f"the range lies outside the file of {size} bytes")
        self.size = size


class ErrorDetail(msgspec.Struct, kw_only=True):
    """What went wrong: `code` for programs, `message` for people."""

    code: str
    message: str
    type: str
    param: str | None
    retryable: bool
    request_id: str


class ErrorBody(msgspec.Struct):
    """The body of every reply that is not a success."""

    error: ErrorDetail


#: The SDKs honour no longer wait: they give up, or come back at once (openai-media.md 2.3).
LONGEST_RETRY_AFTER = 60


def error_body(
    error: GatewayError, request_id: str, language: Language = Language.EN, *, path: str = ""
) -> ErrorBody:
    """The envelope of an error at the door of this path; what the database said stays in the log."""
    words = named(error, path)
    message = "the database is not available" if isinstance(error, StoreError) else error.message
    return ErrorBody(
        ErrorDetail(
            code=words.code,
            message=error_message(error.code, message, language),
            type=words.type,
            param=error.param,
            retryable=error.retryable,
            request_id=request_id,
        )
    )


def error_headers(error: GatewayError, *, accepted: bool) -> dict[str, str]:
    """Headers that belong to an error.

    `accepted`: the request has already made a task, so repeating it would pay twice.
    """
    headers: dict[str, str] = {}
    if accepted or not error.retryable:
        headers["x-should-retry"] = "false"
    if error.retryable and error.retry_after is not None and error.retry_after <= LONGEST_RETRY_AFTER:
        headers["retry-after"] = str(error.retry_after)
    if error.status == 401:
        headers["www-authenticate"] = "Bearer"
    if isinstance(error, MethodNotAllowed):
        headers["allow"] = ", ".join(error.allowed)
    if isinstance(error, RangeNotSatisfiable):
        headers["content-range"] = f"bytes */{error.size}"
    return headers


def language_headers(language: Language) -> dict[str, str]:
    """Says in which language an error is told, and that this depends on the request."""
    return {"content-language": language.tag, "vary": "Accept-Language"}


def error_response(
    error: GatewayError,
    request_id: str,
    language: Language = Language.EN,
    *,
    path: str = "",
    accepted: bool = False,
) -> Response:
    """The reply to an error at the door of this path."""
    return Response(
        msgspec.json.encode(error_body(error, request_id, language, path=path)),
        named(error, path).status,
        {**error_headers(error, accepted=accepted), **language_headers(language)},
        "application/json",
    )
