"""How commands answer: tables for people, or one JSON document on stdout and nothing else there.

Notes, progress and errors go to stderr. `answering` is the frame of every command: it hands out an Output and
turns our errors into a message and an exit code.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jimeng_gateway.cli.configuration import settings
from jimeng_gateway.cli.failures import USAGE, CommandError
from jimeng_gateway.cli.language import CHINESE, cells, language, named, padded, say
from jimeng_gateway.domain.errors import GatewayError
from jimeng_gateway.domain.words import Language, error_message
from jimeng_gateway.settings import SettingsError

if TYPE_CHECKING:
    from rich.console import Console

Json = Annotated[bool, typer.Option("--json", help="Answer in JSON on stdout.")]

STAGE_COLOURS = {
    "succeeded": "green",
    "failed": "red",
    "cancelled": "yellow",
    "ready": "green",
    "cooling": "yellow",
    "expired": "red",
    "blocked": "red",
    "ok": "green",
    "warn": "yellow",
    "fail": "red",
}
STAGE_COLOURS |= {CHINESE[word]: colour for word, colour in STAGE_COLOURS.items()}


class Output:
    """Where a command puts what it found."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json

    @property
    def language(self) -> Language:
        """In which the gateway is asked to answer; JSON is for programs."""
        return Language.EN if self.as_json else language()

    def document(self, value: object) -> None:
        """The answer as JSON, when JSON was asked for."""
        if self.as_json:
            sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2) + "\n")

    def line(self, text: str) -> None:
        """A line of the answer for people; silent when JSON was asked for."""
        if not self.as_json:
            sys.stdout.write(printable(text) + "\n")

    def coloured(self, text: str, word: str, rest: str) -> None:
        """A line for people whose beginning has the colour of a word."""
        if self.as_json:
            return
        from rich.text import Text

        shown = Text.assemble((text, STAGE_COLOURS.get(word, "")), printable(rest))
        console().print(shown, soft_wrap=True)

    def note(self, text: str) -> None:
        """Something said beside the answer."""
        sys.stderr.write(printable(text) + "\n")
        sys.stderr.flush()

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str) -> None:
        """A table for people; `empty` is said when there are no rows."""
        if self.as_json:
            return
        listed = [[_cell(value) for value in row] for row in rows]
        if not listed:
            self.line(empty)
            return
        from rich import box
        from rich.table import Table

        table = Table(*map(named, columns), box=box.SIMPLE_HEAD, pad_edge=False)
        for row in listed:
            table.add_row(*(_coloured(cell) for cell in row))
        console().print(table)

    def facts(self, pairs: Iterable[tuple[str, object]]) -> None:
        """Names and values of one thing, for people; what is absent is left out."""
        shown = [(named(name), _cell(value)) for name, value in pairs if value not in (None, "")]
        width = max((cells(name) for name, _ in shown), default=0)
        for name, value in shown:
            self.line(f"{padded(name, width)}  {value}")


def console(*, stderr: bool = False) -> Console:
    """A rich console; wide enough for whole ids when the answer goes into a pipe."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    return Console(file=stream, width=None if stream.isatty() else 200, highlight=False, soft_wrap=False)


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return say("yes", "是") if value else say("no", "否")
    return printable(" ".join(str(value).split()))


def printable(text: str) -> str:
    """The text without anything that could steer a terminal; prompts and messages come from strangers."""
    return "".join(each if each.isprintable() or each == "\n" else _instead(each) for each in text)


def _instead(unprintable: str) -> str:
    return " " if unprintable.isspace() else "\N{REPLACEMENT CHARACTER}"


def _coloured(cell: str) -> Any:
    from rich.text import Text

    return Text(cell, style=STAGE_COLOURS.get(cell, ""))


def when(moment: str | None) -> str:
    """An RFC 3339 time of the API in the local zone, to the second."""
    if not moment:
        return ""
    return datetime.fromisoformat(moment).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def short(text: str, width: int) -> str:
    """The text on one line, cut to the width."""
    text = " ".join(text.split())
    return text if len(text) <= width else text[: width - 1] + "…"


def _wants_json() -> bool:
    """Whether the environment asks for JSON; an unreadable configuration is told by the command itself."""
    try:
        return settings().json_output
    except SettingsError:
        return False


@contextmanager
def answering(as_json: bool | None) -> Iterator[Output]:
    """The frame of a command: errors that we know become a message and an exit code.

    None is for commands that go on and have no answer: they speak plainly whatever the environment says.
    """
    output = Output(as_json=as_json is not None and (as_json or _wants_json()))
    try:
        yield output
    except SettingsError as error:
        output.document({"error": {"code": "settings", "message": str(error)}})
        output.note(say("The configuration cannot be used:", "配置无法使用："))
        for problem in error.problems:
            output.note(f"  {problem.name}: {problem.problem}")
            if problem.allowed:
                output.note(f"      {say('allowed: ', '允许的值：')}{problem.allowed}")
        raise typer.Exit(USAGE) from None
    except CommandError as error:
        output.document(error.envelope())
        output.note(say(f"Error: {error}", f"错误：{error.chinese}"))
        raise typer.Exit(error.exit_code) from None
    except GatewayError as error:
        output.document({"error": {"code": error.code, "message": error.message}})
        chinese = error_message(error.code, error.message, Language.ZH)
        output.note(say(f"Error: {error.message}", f"错误：{chinese}"))
        raise typer.Exit(USAGE if error.status == 400 else 1) from None
    except BrokenPipeError:
        # Whoever read the answer has seen enough; Python must not complain about it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(1) from None
