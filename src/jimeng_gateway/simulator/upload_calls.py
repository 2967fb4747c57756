"""The site's own calls about uploads (6.1, 6.6): tokens, and what it does with pictures it was given."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from jimeng_gateway.simulator import uploads
from jimeng_gateway.simulator.account import Account
from jimeng_gateway.simulator.context import Context
from jimeng_gateway.simulator.depot import Stored
from jimeng_gateway.simulator.refusal import Refusal


class TokenScene(Struct):
    """get_upload_token's body."""

    scene: int = 0


class FileUri(Struct):
    """One file of a check."""

    file_uri: str = ""


class Check(Struct):
    """algo_proxy's body."""

    scene: str
    file_list: list[FileUri]


class Uris(Struct):
    """A call about uploaded pictures; either name of the list."""

    uri_list: list[str] | None = None
    uris: list[str] | None = None


def upload_token(at: Context) -> dict[str, Any]:
    """get_upload_token (6.1)."""
    account, scene = at.account(), at.body(TokenScene).scene
    if scene not in uploads.SCENES:
        raise Refusal("1000")
    token = at.world.depot.issue(account.uid, at.call.session, at.now, at.world.options.upload_token_s)
    return uploads.token_data(token, scene, at.world.region, at.call, at.now)


def algo_proxy(at: Context) -> dict[str, Any]:
    """algo_proxy (6.6): 2003 for a picture that carries the mark of one."""
    account, asked = at.account(), at.body(Check)
    if asked.scene != "image_face_ip" or not asked.file_list:
        raise Refusal("1000")
    if any(_own_picture(at, account, entry.file_uri).rejected for entry in asked.file_list):
        raise Refusal("2003")
    return {}


def audit(at: Context) -> dict[str, Any]:
    """imagex/submit_audit_job (6.6)."""
    account, uris = at.account(), at.body(Uris).uri_list
    if not uris:
        raise Refusal("1000")
    for uri in uris:
        _own_picture(at, account, uri)
    return {}


def image_by_uri(at: Context) -> dict[str, Any]:
    """get_image_by_uri (6.6)."""
    account, uris = at.account(), at.body(Uris).uris
    if not uris:
        raise Refusal("1000")
    found = {uri: _own_picture(at, account, uri) for uri in uris}
    return {
        "uri2image": {uri: {"image_uri": uri, "image_url": f"{at.links.image_base}/{uri}"} for uri in found}
    }


def _own_picture(at: Context, account: Account, uri: str) -> Stored:
    stored = at.world.depot.named(uri)
    if stored is None or stored.uid != account.uid or not stored.committed or stored.kind != "image":
        raise Refusal("1000")
    return stored
