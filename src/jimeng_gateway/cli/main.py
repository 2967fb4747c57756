"""The tree of commands."""

from __future__ import annotations

import platform
import sys
from typing import Annotated

import typer

from jimeng_gateway import __version__
from jimeng_gateway.cli import keys, local, results, sessions, tasks
from jimeng_gateway.cli.output import Json, answering

app = typer.Typer(
    name="jimeng-gateway",
    help="Your own Jimeng accounts as a dependable image and video API.",
    epilog="Exit codes: 0 done, 1 failed, 2 usage or configuration, 3 no gateway to be heard, 4 not allowed.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(local.serve)
app.command()(local.demo)
app.command()(local.simulate)
app.command()(local.mcp)
app.command()(local.doctor)
app.add_typer(sessions.app, name="session")
app.add_typer(keys.app, name="key")
app.add_typer(tasks.app, name="task")
app.add_typer(results.app, name="results")
app.command()(local.migrate)


@app.command()
def version(as_json: Json = False) -> None:
    """Tell the version."""
    with answering(as_json) as out:
        out.document({"version": __version__, "python": platform.python_version(), "platform": sys.platform})
        out.line(f"jimeng-gateway {__version__} (Python {platform.python_version()})")


def _tell_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"jimeng-gateway {__version__}")
        raise typer.Exit


@app.callback()
def root(
    _version: Annotated[
        bool,
        typer.Option("--version", help="Tell the version and end.", callback=_tell_version, is_eager=True),
    ] = False,
) -> None:
    """Your own Jimeng accounts as a dependable image and video API."""
