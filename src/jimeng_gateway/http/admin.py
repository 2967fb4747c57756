"""The operator's API: upstream sessions and the gateway's own keys."""

from __future__ import annotations

from dataclasses import replace

from starlette.responses import Response

from jimeng_gateway.domain.options import ImageFormat, KeyOptions
from jimeng_gateway.http.admin_views import (
    CheckBody,
    Deleted,
    KeyList,
    SessionList,
    account_json,
    key_json,
    new_key_json,
    session_json,
)
from jimeng_gateway.http.endpoint import Call
from jimeng_gateway.http.replies import json_reply
from jimeng_gateway.http.schemas import KeyChange, NewKey, NewSession, SessionChange
from jimeng_gateway.http.views import failure_json


async def list_sessions(call: Call) -> Response:
    """GET /api/v1/sessions."""
    language = call.language
    return json_reply(
        SessionList(data=[session_json(one, language) for one in await call.gateway.sessions()])
    )


async def add_session(call: Call, body: NewSession) -> Response:
    """POST /api/v1/sessions."""
    session = await call.gateway.add_session(
        credential=body.credential, label=body.label or "", region=body.region or "cn", slots=body.slots
    )
    return json_reply(
        session_json(session, call.language),
        201,
        {"location": f"{call.links.base}/api/v1/sessions/{session.id}"},
    )


async def get_session(call: Call) -> Response:
    """GET /api/v1/sessions/{session_id}."""
    return json_reply(session_json(await call.gateway.session(call.id("session_id")), call.language))


async def change_session(call: Call, body: SessionChange) -> Response:
    """PATCH /api/v1/sessions/{session_id}."""
    session = await call.gateway.update_session(
        call.id("session_id"),
        label=body.label,
        enabled=body.enabled,
        slots=body.slots,
        credential=body.credential,
        route=body.route,
    )
    return json_reply(session_json(session, call.language))


async def remove_session(call: Call) -> Response:
    """DELETE /api/v1/sessions/{session_id}."""
    session_id = call.id("session_id")
    await call.gateway.remove_session(session_id)
    return json_reply(Deleted(id=session_id, object="session"))


async def check_session(call: Call) -> Response:
    """POST /api/v1/sessions/{session_id}/test."""
    check = await call.gateway.check_session(call.id("session_id"))
    return json_reply(
        CheckBody(
            valid=check.valid,
            account=account_json(check.account),
            error=failure_json(check.failure, call.language, admin=True) if check.failure else None,
        )
    )


async def list_keys(call: Call) -> Response:
    """GET /api/v1/keys."""
    return json_reply(KeyList(data=[key_json(key) for key in await call.gateway.keys()]))


async def create_key(call: Call, body: NewKey) -> Response:
    """POST /api/v1/keys: the only reply that ever holds the secret."""
    key, secret = await call.gateway.create_key(body.name, admin=body.admin)
    return json_reply(new_key_json(key, secret), 201, {"cache-control": "no-store"})


async def change_key(call: Call, body: KeyChange) -> Response:
    """PATCH /api/v1/keys/{key_id}."""
    key = await call.gateway.key(call.id("key_id"))
    options = _changed(key.options, body)
    return json_reply(key_json(await call.gateway.set_key_options(key.id, options)))


async def revoke_key(call: Call) -> Response:
    """DELETE /api/v1/keys/{key_id}: it stays in the list, and opens nothing any more."""
    return json_reply(key_json(await call.gateway.revoke_key(call.id("key_id"))))


def _changed(options: KeyOptions, body: KeyChange) -> KeyOptions:
    if body.aliases is not None:
        options = replace(options, aliases=body.aliases)
    if body.image_format is not None:
        chosen = None if body.image_format == "auto" else ImageFormat(body.image_format)
        options = replace(options, image_format=chosen)
    if body.wait is not None:
        options = replace(options, wait=body.wait if isinstance(body.wait, float) else None)
    if body.ark_status is not None:
        options = replace(options, ark_status=body.ark_status)
    return options
