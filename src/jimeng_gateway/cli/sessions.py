"""`session …`: the operator's logins at the site.

A credential is a password: it never comes from an argument, because arguments can be read by every process of
the machine and stay in the shell's history. It is read from stdin, from a file, or typed without an echo.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from jimeng_gateway.cli.client import API, Client, client_of
from jimeng_gateway.cli.configuration import settings
from jimeng_gateway.cli.failures import UsageError
from jimeng_gateway.cli.language import named, say
from jimeng_gateway.cli.output import Json, Output, answering, when

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Add and look after upstream sessions (admin)."
)

SessionId = Annotated[str, typer.Argument(metavar="ID", help="Id of the session.")]


@app.command()
def add(
    label: Annotated[str, typer.Option(help="A name for people.")] = "",
    region: Annotated[str, typer.Option(help="Site of the login.")] = "cn",
    slots: Annotated[int | None, typer.Option(min=0, max=64, help="Most tasks at once.")] = None,
    credential_file: Annotated[
        str | None, typer.Option(metavar="PATH", help="Read the credential from a file; `-` for stdin.")
    ] = None,
    test: Annotated[bool, typer.Option("--test", help="Ask the site at once whether it is valid.")] = False,
    as_json: Json = False,
) -> None:
    """Add a session.

    The credential, a bare `sessionid` or a whole cookie header, is read from stdin or typed unseen.
    """
    with answering(as_json) as out:
        body = {
            "credential": read_credential(credential_file),
            "label": label,
            "region": region,
            "slots": slots,
        }
        client = client_of(settings(), out.language)
        session = client.post(
            f"{API}/sessions", {name: value for name, value in body.items() if value is not None}
        )
        if test:
            _answer_test(out, client, session)
        else:
            out.document(session)
            out.line(session["id"])


@app.command("list")
def list_sessions(as_json: Json = False) -> None:
    """List the sessions."""
    with answering(as_json) as out:
        page = client_of(settings(), out.language).get(f"{API}/sessions")
        out.document(page)
        out.table(
            ("id", "label", "state", "enabled", "slots", "credits", "account", "last used", "reason"),
            (
                (
                    session["id"],
                    session["label"],
                    named(session["state"]),
                    session["enabled"],
                    f"{session['slots_taken']}/{session['slots']}",
                    session["credits"],
                    session["name"],
                    when(session["last_used_at"]),
                    session["reason"],
                )
                for session in page["data"]
            ),
            empty=say(
                "no sessions; add one with `jimeng-gateway session add`",
                "还没有会话；用 `jimeng-gateway session add` 添加",
            ),
        )


@app.command("test")
def check(session_id: SessionId, as_json: Json = False) -> None:
    """Ask the site whether a session is valid.

    Ends with 1 unless the site itself says so.
    """
    with answering(as_json) as out:
        _answer_test(out, client_of(settings(), out.language), {"id": session_id})


@app.command()
def enable(session_id: SessionId, as_json: Json = False) -> None:
    """Let a session take tasks."""
    _change(session_id, as_json, enabled=True)


@app.command()
def disable(session_id: SessionId, as_json: Json = False) -> None:
    """Let a session take no further tasks."""
    _change(session_id, as_json, enabled=False)


@app.command()
def remove(
    session_id: SessionId,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Forget a session and its credential."""
    with answering(as_json) as out:
        if not yes and sys.stdin.isatty():
            question = say(f"Forget {session_id} and its credential?", f"删除会话 {session_id} 及其凭据？")
            typer.confirm(question, abort=True, err=True)
        out.document(client_of(settings(), out.language).delete(f"{API}/sessions/{session_id}"))
        out.line(f"{session_id} {say('removed', '已删除')}")


def read_credential(source: str | None) -> str:
    """From a file, from stdin (`-`, or whenever stdin is no terminal), or typed without an echo."""
    if source not in (None, "-"):
        try:
            text = Path(str(source)).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None)
            raise UsageError(
                f"cannot read {source}: {reason or 'not text'}", f"无法读取 {source}：{reason or '不是文本'}"
            ) from None
    elif source is None and sys.stdin.isatty():
        text = typer.prompt(
            say("Session id or cookie header", "会话 ID 或完整的 Cookie"), hide_input=True, err=True
        )
    else:
        text = sys.stdin.read()
    if not text.strip():
        raise UsageError("the credential is empty", "凭据为空")
    return text.strip()


def _change(session_id: str, as_json: bool, **change: object) -> None:
    with answering(as_json) as out:
        session = client_of(settings(), out.language).patch(f"{API}/sessions/{session_id}", change)
        out.document(session)
        state = say("enabled", "已启用") if session["enabled"] else say("disabled", "已停用")
        out.line(f"{session['id']} {state}")


def _answer_test(out: Output, client: Client, session: dict[str, Any]) -> None:
    found = client.post(f"{API}/sessions/{session['id']}/test")
    out.document({**session, "test": found})
    account = found["account"] or {}
    error = found["error"] or {}
    if found["valid"]:
        who, left = account.get("name") or account.get("uid"), account.get("credits")
        english = f"valid: {who}" + (f", {left} credits" if left is not None else "")
        chinese = f"有效：{who}" + (f"，积分 {left}" if left is not None else "")
        out.line(f"{session['id']} {say(english, chinese)}")
        return
    kind, message = error.get("kind", "unknown"), error.get("message", "")
    out.line(f"{session['id']} {say(f'not valid: {kind}: {message}', f'无效：{message or kind}')}")
    raise typer.Exit(1)
