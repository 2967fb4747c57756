"""Who is calling: the Bearer header, or the signature of a result link."""

from __future__ import annotations

import re
from enum import Enum

from starlette.requests import Request

from jimeng_gateway.domain.errors import Forbidden, Unauthenticated
from jimeng_gateway.gateway import Caller, Gateway
from jimeng_gateway.http.endpoint import Auth

_BEARER = re.compile(r"(?i:bearer)[ \t]+([!-~]{1,512})[ \t]*")
_SIGNATURE = re.compile(r"[A-Za-z0-9_=-]{1,256}")
_INDEX = re.compile(r"[0-9]{1,4}")
_EXPIRES = re.compile(r"[0-9]{1,15}")


class _Link(Enum):
    """What the signature in an address is worth."""

    GOOD = "good"
    ENDED = "ended"
    NONE = "none"


def bearer_token(headers: list[str]) -> str:
    """The token of the Authorization headers of a request; Unauthenticated unless there is exactly one."""
    if not headers:
        raise Unauthenticated("send your key as `Authorization: Bearer <key>`", code="missing_api_key")
    if len(headers) > 1:
        raise Unauthenticated("the request has more than one Authorization header")
    match = _BEARER.fullmatch(headers[0])
    if match is None:
        raise Unauthenticated("the Authorization header must read `Bearer <key>`")
    return match[1]


async def identify(auth: Auth, request: Request, gateway: Gateway) -> Caller | None:
    """The caller of a route; None where none is needed.

    Raises Unauthenticated, and Forbidden where only an admin may go.
    """
    link = _link(request, gateway) if auth is Auth.LINK else _Link.NONE
    if auth is Auth.PUBLIC or link is _Link.GOOD:
        return None
    try:
        caller = await gateway.authenticate(bearer_token(request.headers.getlist("authorization")))
    except Unauthenticated:
        if link is _Link.ENDED:
            message = "this link has ended; ask for the task again, its links are new"
            raise Forbidden(message, code="link_expired") from None
        raise
    if auth is Auth.ADMIN and not caller.admin:
        raise Forbidden("this needs the admin token or an admin key", code="admin_required")
    return caller


def _link(request: Request, gateway: Gateway) -> _Link:
    """Of a signed address; a needless Authorization header does no harm to a good one."""
    query = request.query_params
    signature, index, expires = query.get("signature", ""), query.get("index", "0"), query.get("expires", "0")
    known = _SIGNATURE.fullmatch(signature) and _INDEX.fullmatch(index) and _EXPIRES.fullmatch(expires)
    task_id, ends = str(request.path_params["task_id"]), int(expires) if known else 0
    if not known or not gateway.link_valid(task_id, int(index), signature, ends):
        return _Link.NONE
    return _Link.ENDED if gateway.link_ended(ends) else _Link.GOOD
