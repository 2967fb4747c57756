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
from jimeng_gateway.cli.failures import UsageError
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


@app.command("set")
def change(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="Id of the key.")],
    alias: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=MODEL", help="Another name for a model; all those of the key at once."),
    ] = None,
    no_aliases: Annotated[bool, typer.Option("--no-aliases", help="Drop the key's own names.")] = False,
    image_format: Annotated[
        str | None, typer.Option(metavar="auto|url|b64_json", help="How pictures are handed over.")
    ] = None,
    wait: Annotated[
        str | None, typer.Option(metavar="SECONDS|auto", help="How long a request waits for its task.")
    ] = None,
    ark_status: Annotated[
        str | None,
        typer.Option(metavar="auto|strict|lenient", help="Whether Ark clients are told `cancelled`."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Choose what callers of a key get unless a request says otherwise."""
    with answering(as_json) as out:
        body: dict[str, Any] = {"image_format": image_format, "ark_status": ark_status}
        if wait is not None:
            body["wait"] = wait if wait == "auto" else _seconds(wait)
        if alias or no_aliases:
            body["aliases"] = dict(_pair(entry) for entry in alias or ())
        body = {name: value for name, value in body.items() if value is not None}
        if not body:
            raise UsageError("nothing to change; see --help", "没有要修改的内容；见 --help")
        key = client_of(settings(), out.language).patch(f"{API}/keys/{key_id}", body)
        out.document(key)
        for name, value in key["options"].items():
            shown = ", ".join(f"{a}={m}" for a, m in value.items()) if isinstance(value, dict) else value
            out.line(f"{name}: {shown or '-'}")


def _seconds(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise UsageError(f"{text!r} is neither seconds nor auto", f"{text!r} 既不是秒数也不是 auto") from None


def _pair(text: str) -> tuple[str, str]:
    name, equals, model = text.partition("=")
    if not (name.strip() and equals and model.strip()):
        raise UsageError(f"{text!r} is no NAME=MODEL", f"{text!r} 不是 NAME=MODEL 的形式")
    return name.strip(), model.strip()


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
