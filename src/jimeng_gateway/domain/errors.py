"""Everything that can go wrong, named once.

    GatewayError                 base: a stable code, an HTTP status, whose fault, whether to try again
    ├── CallerError              the request cannot be honoured as it stands
    │   ├── InvalidRequest       400, names the field and what is allowed
    │   ├── Unauthenticated      401
    │   ├── Forbidden            403
    │   ├── NotFound             404
    │   ├── Conflict             409, the stage does not allow it
    │   └── Gone                 410, a file that was here and is not any more
    ├── Unavailable              503, the gateway cannot answer now
    ├── UpstreamFailure          the site refused, failed or could not be understood
    └── StoreError               the database failed; never swallowed

HTTP replies, retry policy, session health and metrics read these fields; nobody reads messages.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Owner(StrEnum):
    """Whose move it is when something failed."""

    CALLER = "caller"
    ACCOUNT = "account"
    UPSTREAM = "upstream"
    GATEWAY = "gateway"


class ErrorKind(StrEnum):
    """What an upstream failure means to us. One word each, in the store, the API and the log."""

    AUTH = "auth"
    QUOTA = "quota"
    RATE_LIMITED = "rate_limited"
    RISK = "risk"
    ACCOUNT_BLOCKED = "account_blocked"
    CONTENT_REJECTED = "content_rejected"
    INVALID_REQUEST = "invalid_request"
    MODEL_UNAVAILABLE = "model_unavailable"
    GENERATION_FAILED = "generation_failed"
    NETWORK = "network"
    TIMEOUT = "timeout"
    UPSTREAM_ERROR = "upstream_error"
    UNKNOWN = "unknown"


class Acceptance(StrEnum):
    """Whether a submit that went wrong may nevertheless have been accepted, and so charged."""

    #: The site said no, or the request never left this machine.
    NO = "no"
    #: The request may have arrived: only asking for its submit_id can tell.
    UNKNOWN = "unknown"


class GatewayError(Exception):
    """Base of all errors we raise on purpose.

    `code` is stable and made for programs; `message` is for people; `param` names the field at fault;
    `retryable` says whether the very same request may succeed later.
    """

    code = "internal_error"
    status = 500
    owner = Owner.GATEWAY
    retryable = False

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        retryable: bool | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        #: Seconds after which trying again makes sense, if known.
        self.retry_after = retry_after
        if code is not None:
            self.code = code
        if retryable is not None:
            self.retryable = retryable


class CallerError(GatewayError):
    """The caller has to change something."""

    code = "invalid_request"
    status = 400
    owner = Owner.CALLER


class InvalidRequest(CallerError):
    """A field is missing, malformed, out of range, unknown, or not taken by the chosen model."""


class Unauthenticated(CallerError):
    """No key, or a key that is not valid."""

    code = "invalid_api_key"
    status = 401


class Forbidden(CallerError):
    """A valid key that may not do this."""

    code = "forbidden"
    status = 403


class NotFound(CallerError):
    """No such thing, or not visible to this key."""

    code = "not_found"
    status = 404


class Conflict(CallerError):
    """The thing exists but its present stage does not allow the request."""

    code = "conflict"
    status = 409


class Gone(CallerError):
    """A file that was here once: removed on purpose, or lost from under us."""

    code = "content_gone"
    status = 410


class Unavailable(GatewayError):
    """The gateway cannot do it now; later it may."""

    code = "unavailable"
    status = 503
    retryable = True


class StoreError(GatewayError):
    """The database failed. Surfaced as 503; inside the worker it stops the step loudly."""

    code = "store_error"
    status = 503
    retryable = True


#: kind -> (whose, whether the caller's same request may succeed later)
KINDS: dict[ErrorKind, tuple[Owner, bool]] = {
    ErrorKind.AUTH: (Owner.ACCOUNT, True),
    ErrorKind.QUOTA: (Owner.ACCOUNT, True),
    ErrorKind.RATE_LIMITED: (Owner.ACCOUNT, True),
    ErrorKind.RISK: (Owner.ACCOUNT, True),
    ErrorKind.ACCOUNT_BLOCKED: (Owner.ACCOUNT, True),
    ErrorKind.CONTENT_REJECTED: (Owner.CALLER, False),
    ErrorKind.INVALID_REQUEST: (Owner.CALLER, False),
    ErrorKind.MODEL_UNAVAILABLE: (Owner.CALLER, False),
    ErrorKind.GENERATION_FAILED: (Owner.UPSTREAM, True),
    ErrorKind.NETWORK: (Owner.UPSTREAM, True),
    ErrorKind.TIMEOUT: (Owner.UPSTREAM, True),
    ErrorKind.UPSTREAM_ERROR: (Owner.UPSTREAM, True),
    ErrorKind.UNKNOWN: (Owner.UPSTREAM, True),
}


@dataclass(frozen=True, slots=True)
class Failure:
    """A failure as a value, the way a task stores it."""

    kind: ErrorKind
    #: The site's own code ("1006") or ours ("connect_refused"); empty if there was none.
    code: str
    message: str
    #: The reply it was read from, redacted and cut; kept so that an unknown code stays visible.
    raw: str = ""
    #: Only for submits: whether the request may have been accepted.
    acceptance: Acceptance = Acceptance.NO

    @property
    def owner(self) -> Owner:
        """Whose move it is."""
        return KINDS[self.kind][0]

    @property
    def retryable(self) -> bool:
        """Whether the same request may succeed later."""
        return KINDS[self.kind][1]


class UpstreamFailure(GatewayError):
    """An upstream call that did not give what was asked for; carries its `Failure`."""

    code = "upstream_failure"
    status = 502
    owner = Owner.UPSTREAM

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message, code=str(failure.kind), retryable=failure.retryable)
        self.failure = failure
        self.owner = failure.owner
