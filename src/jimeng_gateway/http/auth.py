"""Who is calling: the Bearer header, or the signature of a result link."""

from __future__ import annotations

import re

from starlette.requests import Request

from jimeng_gateway.domain.errors import Forbidden, Unauthenticated
from jimeng_gateway.gateway import Caller, Gateway
from jimeng_gateway.http.endpoint import Auth

_BEARER = re.compile(r"(?i:bearer)[ \t]+([!-~]{1,512})[ \t]*")
_SIGNATURE = re.compile(r"[A-Za-z0-9_=-]{1,256}")
_INDEX = re.compile(r"[0-9]{1,4}")


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
    if auth is Auth.PUBLIC or (auth is Auth.LINK and _signed(request, gateway)):
        return None
    caller = await gateway.authenticate(bearer_token(request.headers.getlist("authorization")))
    if auth is Auth.ADMIN and not caller.admin:
        raise Forbidden("this needs the admin token or an admin key", code="admin_required")
    return caller


def _signed(request: Request, gateway: Gateway) -> bool:
    """Whether the address itself carries a valid signature; a needless Authorization header does no harm."""
    signature = request.query_params.get("signature", "")
    index = request.query_params.get("index", "0")
    if not _SIGNATURE.fullmatch(signature) or not _INDEX.fullmatch(index):
        return False
    return gateway.link_valid(str(request.path_params["task_id"]), int(index), signature)
