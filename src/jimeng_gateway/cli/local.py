"""Commands that work on this machine: run the gateway or the simulated site, check it, mend the database."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import sys
from collections.abc import Callable, Coroutine
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from jimeng_gateway.cli.client import API, client_of
from jimeng_gateway.cli.configuration import check_protocol_file, settings
from jimeng_gateway.cli.failures import CommandError, UsageError
from jimeng_gateway.cli.language import named, padded, say
from jimeng_gateway.cli.output import Json, answering
from jimeng_gateway.settings import Settings

T = TypeVar("T")

#: What the kernel says when an address or port cannot be had.
_BINDING = (errno.EADDRINUSE, errno.EADDRNOTAVAIL)

Port = Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 for any free one.")]


def serve() -> None:
    """Run the gateway until it is told to stop.

    SIGTERM and Ctrl-C end it in good order; all choices are settings (docs/settings.md).
    """
    with answering(None) as out:
        chosen = settings()
        check_protocol_file(chosen)
        from jimeng_gateway.app import run

        def announce(token: str) -> None:
            words = say("The admin token, shown this once:", "管理员令牌，只显示这一次：")
            out.line(f"{words}\n\n    {token}\n")
            sys.stdout.flush()

        try:
            _run(run(chosen, announce=announce))
        except OSError as error:
            if error.errno in _BINDING:
                reason = f"{chosen.host}:{chosen.port}: {os.strerror(error.errno)}"
                raise CommandError(
                    f"cannot serve on {reason}; set JIMENG_PORT, or end what is there",
                    f"无法监听 {reason}；请设置 JIMENG_PORT，或停掉占用该端口的程序",
                ) from None
            raise CommandError(f"cannot serve: {error}", f"无法启动：{error}") from None


def demo(
    once: Annotated[bool, typer.Option("--once", help="End with 0 as soon as both files are there.")] = False,
    output: Annotated[str, typer.Option("--output", "-o", help="Folder for the files.")] = "demo-results",
    port: Port = 0,
) -> None:
    """Try everything without an account.

    Starts a simulated site and a real gateway on this machine, makes one image and one video through the
    public API, and goes on until Ctrl-C.
    """
    with answering(None):
        from jimeng_gateway.cli.demo import play

        play(sys.stdout, folder=Path(output), port=port, once=once)


def simulate(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Port = 5200,
    speed: Annotated[float, typer.Option(min=0.01, help="How many times faster than the real site.")] = 1.0,
    strict: Annotated[bool, typer.Option("--strict", help="Enforce sign, headers and webId.")] = False,
    option: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Any other option; repeatable.")
    ] = None,
) -> None:
    """Run the simulated site alone."""
    with answering(None) as out:
        from jimeng_gateway.simulator import SimulatorOptions
        from jimeng_gateway.simulator.options import changed
        from jimeng_gateway.simulator.server import serve as serve_site

        def announce(url: str) -> None:
            out.line(
                say(
                    f"simulated site at {url} (JIMENG_UPSTREAM_URL={url}); its admin door: {url}/_sim/",
                    f"模拟网站：{url}（JIMENG_UPSTREAM_URL={url}）；管理入口：{url}/_sim/",
                )
            )
            sys.stdout.flush()

        try:
            chosen = SimulatorOptions(speed=speed, sign="strict" if strict else "lax")
            chosen = changed(chosen, _named_values(option or []))
        except ValueError as error:
            raise UsageError(f"--set: {error}") from None
        try:
            serve_site(chosen, host, port, announce)
        except OSError as error:
            reason = f"{host}:{port}: {error.strerror or error}"
            raise CommandError(f"cannot listen on {reason}", f"无法监听 {reason}") from None


def mcp() -> None:
    """Serve MCP on stdin and stdout, through a running gateway.

    For programs that start their tools themselves: everything is passed on to the gateway at
    JIMENG_GATEWAY_URL with JIMENG_GATEWAY_KEY. Notes go to stderr.
    """
    with answering(None) as out:
        chosen = settings()
        client = client_of(chosen, out.language)
        # Asked first, so that a missing gateway or a wrong key is told here and not in some client's log.
        client.get(f"{API}/models")
        from jimeng_gateway.cli.bridge import serve as serve_stdio

        english, chinese = f"MCP for {client.base}", f"{client.base} 的 MCP 服务"
        out.note(say(f"{english} on stdin and stdout", f"通过标准输入输出提供 {chinese}"))
        _run(serve_stdio(client.base, chosen.gateway_key or chosen.admin_token, out.language.tag))


def doctor(as_json: Json = False) -> None:
    """Check this machine and say what to do.

    Looks at configuration, data directory, database, upstream, clock and port; changes nothing.
    """
    with answering(as_json) as out:
        from jimeng_gateway.cli.doctor import examine

        checks = examine(os.environ)
        failed = any(check.status == "fail" for check in checks)
        out.document({"ok": not failed, "checks": [asdict(check) for check in checks]})
        for check in checks:
            status, name = padded(named(check.status), 5), padded(named(check.name), 15)
            out.coloured(status, check.status, f" {name} {check.found}")
            if check.advice:
                out.line(f"{'':<22}→ {check.advice}")
        if failed:
            raise typer.Exit(1)


def migrate(as_json: Json = False) -> None:
    """Bring the database to this version's schema.

    `serve` does the same when it starts.
    """
    with answering(as_json) as out:
        applied = _run(_migrate(settings()))
        out.document({"applied": applied})
        done = ", ".join(map(str, applied))
        out.line(say("applied: ", "已应用：") + done if applied else say("nothing to do", "无需迁移"))


async def _migrate(chosen: Settings) -> list[int]:
    from jimeng_gateway.app import engine_from

    chosen.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    database = engine_from(chosen)
    await database.open()
    await database.close()
    return database.applied


def _named_values(pairs: list[str]) -> dict[str, object]:
    """`NAME=VALUE`, the value being JSON or else plain text."""
    values: dict[str, object] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals:
            raise ValueError(f"{pair!r} is not NAME=VALUE")
        try:
            values[name] = json.loads(text)
        except ValueError:
            values[name] = text
    return values


def _run(main: Coroutine[Any, Any, T]) -> T:
    """Runs a coroutine on the fast loop where there is one."""
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(main)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    if sys.platform == "win32":
        return None
    import uvloop

    return uvloop.new_event_loop
