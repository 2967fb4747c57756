"""`key …`: who may use the gateway.

The very first key has to come from somewhere: `key create` without JIMENG_GATEWAY_KEY works on the database
of this machine, which whoever may write its files owns anyway.
"""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import typer

from jimeng_gateway.cli.client import API, client_of
from jimeng_gateway.cli.configuration import settings
from jimeng_gateway.cli.language import named, say
from jimeng_gateway.cli.output import Json, answering, when
from jimeng_gateway.settings import Settings

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Create and revoke API keys (admin).")


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Whose key it is.")],
    admin: Annotated[bool, typer.Option("--admin", help="It may also manage sessions and keys.")] = False,
    as_json: Json = False,
) -> None:
    """Create a key; it is shown this once."""
    with answering(as_json) as out:
        chosen = settings()
        if chosen.gateway_key:
            key = client_of(chosen, out.language).post(f"{API}/keys", {"name": name, "admin": admin})
        else:
            key = asyncio.run(_create_here(chosen, name, admin))
        out.document(key)
        out.line(key["key"])
        out.note(
            say(
                f"{key['id']} ({key['role']}); the key is not shown again",
                f"{key['id']}（{named(key['role'])}）；密钥只显示这一次",
            )
        )


@app.command("list")
def list_keys(as_json: Json = False) -> None:
    """List the keys, revoked ones too."""
    with answering(as_json) as out:
        page = client_of(settings(), out.language).get(f"{API}/keys")
        out.document(page)
        out.table(
            ("id", "name", "role", "key", "created", "last used", "revoked"),
            (
                (
                    key["id"],
                    key["name"],
                    named(key["role"]),
                    f"{key['prefix']}…",
                    when(key["created_at"]),
                    when(key["last_used_at"]),
                    when(key["revoked_at"]),
                )
                for key in page["data"]
            ),
            empty=say("no keys", "还没有密钥"),
        )


@app.command()
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="Id of the key.")], as_json: Json = False
) -> None:
    """Revoke a key; it opens nothing any more."""
    with answering(as_json) as out:
        key = client_of(settings(), out.language).delete(f"{API}/keys/{key_id}")
        out.document(key)
        out.line(f"{key['id']} {say('revoked', '已吊销')}")


async def _create_here(chosen: Settings, name: str, admin: bool) -> dict[str, Any]:
    from jimeng_gateway.app import local_gateway

    async with local_gateway(chosen) as gateway:
        key, secret = await gateway.create_key(name, admin=admin)
    return {"id": key.id, "name": key.name, "role": str(key.role), "prefix": key.prefix, "key": secret}
