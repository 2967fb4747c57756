"""How an error is named at each door: same envelope, but the codes, types and statuses that its clients know.

The door is told by the path, so that an unknown route or a bad key is refused in the right words too.
"""

from __future__ import annotations

from dataclasses import dataclass

from jimeng_gateway.domain.errors import ErrorKind, GatewayError


@dataclass(frozen=True, slots=True)
class Named:
    """An error in the words of a door."""

    status: int
    code: str
    type: str


_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    429: "rate_limit_error",
    502: "upstream_error",
    504: "upstream_error",
}


def named(error: GatewayError, path: str) -> Named:
    """The error as the clients of this path expect it."""
    if path.startswith("/api/v3/") or path == "/api/v3":
        return _ark(error)
    if path.startswith("/v1/") or path == "/v1":
        return _openai(error)
    return Named(error.status, error.code, native_type(error.status))


def native_type(status: int) -> str:
    """The word of `error.type` for a status."""
    return _TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error")


#: Our codes at the OpenAI door (openai-media.md 2.4): status, code, type.
_OPENAI = {
    "model_not_found": Named(404, "model_not_found", "invalid_request_error"),
    "model_retired": Named(404, "model_not_found", "invalid_request_error"),
    str(ErrorKind.CONTENT_REJECTED): Named(400, "moderation_blocked", "image_generation_user_error"),
    str(ErrorKind.QUOTA): Named(429, "insufficient_quota", "insufficient_quota"),
    str(ErrorKind.RATE_LIMITED): Named(429, "rate_limit_exceeded", "rate_limit_error"),
    "internal_error": Named(500, "server_error", "server_error"),
}


def openai_code(code: str) -> str:
    """What the OpenAI door calls one of our codes."""
    known = _OPENAI.get(code)
    return known.code if known is not None else code


def _openai(error: GatewayError) -> Named:
    found = _OPENAI.get(error.code)
    return found or Named(error.status, error.code, native_type(error.status))


_ARK_TYPES = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    409: "Conflict",
    422: "BadRequest",
    429: "TooManyRequests",
}
#: Our codes at the Ark door (ark.md 6): status and code.
_ARK = {
    "missing_field": (400, "MissingParameter"),
    "not_supported": (400, "InvalidParameter.UnsupportedParameter"),
    "unsupported_reference": (400, "InvalidParameter.UnsupportedImageFormat"),
    "address_refused": (400, "InvalidImageURL"),
    "reference_unreachable": (400, "InvalidImageURL"),
    "reference_too_large": (400, "InvalidParameter.OversizedImage"),
    "request_timeout": (408, "RequestTimeout"),
    "model_not_found": (404, "InvalidEndpointOrModel.NotFound"),
    "model_retired": (404, "InvalidEndpointOrModel.NotFound"),
    "route_not_found": (404, "NotFound"),
    "method_not_allowed": (405, "MethodNotAllowed"),
    str(ErrorKind.CONTENT_REJECTED): (400, "SensitiveContentDetected"),
    str(ErrorKind.QUOTA): (429, "SetLimitExceeded"),
    str(ErrorKind.RATE_LIMITED): (429, "ServerOverloaded"),
    str(ErrorKind.MODEL_UNAVAILABLE): (404, "ModelNotOpen"),
}
_ARK_STATUSES = {
    400: "InvalidParameter",
    401: "AuthenticationError",
    403: "AccessDenied",
    404: "NotFound",
    409: "OperationDenied.InvalidState",
    413: "InvalidParameter.OversizedImage",
    422: "InvalidParameter",
    429: "RateLimitExceeded.EndpointRPMExceeded",
}


def ark_code(code: str, status: int) -> str:
    """What the Ark door calls one of our codes, or one that comes with this status."""
    known = _ARK.get(code)
    if known is not None:
        return known[1]
    return _ARK_STATUSES.get(status, "InternalServiceError" if status >= 500 else "InvalidParameter")


def _ark(error: GatewayError) -> Named:
    status = _ARK.get(error.code, (error.status, ""))[0]
    code = ark_code(error.code, error.status)
    if code == "MissingParameter" and error.param:
        code = f"{code}.{error.param}"
    return Named(
        status, code, _ARK_TYPES.get(status, "InternalServerError" if status >= 500 else "BadRequest")
    )
