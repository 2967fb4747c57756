"""`results …`: make room by removing the oldest files, and see what has been removed."""

from __future__ import annotations

from typing import Annotated

import typer

from jimeng_gateway.cli.client import API, client_of
from jimeng_gateway.cli.configuration import settings
from jimeng_gateway.cli.failures import UsageError
from jimeng_gateway.cli.language import named, say
from jimeng_gateway.cli.output import Json, answering, when
from jimeng_gateway.forms import RefusedError, duration

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Remove stored results, see which were (admin)."
)

_AGE = duration(0, 10**10)
_UNITS = (("GiB", 1024**3), ("MiB", 1024**2), ("KiB", 1024))


@app.command()
def prune(
    older_than: Annotated[str | None, typer.Option(help="Those stored longer ago than this, as 30d.")] = None,
    max_gb: Annotated[
        float | None, typer.Option(min=0, help="The oldest, until the rest has so many GiB together.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell how much it would be.")] = False,
    as_json: Json = False,
) -> None:
    """Remove the oldest results now; their tasks stay."""
    with answering(as_json) as out:
        body = {
            "older_than_s": None if older_than is None else _seconds(older_than),
            "max_bytes": None if max_gb is None else int(max_gb * 1024**3),
        }
        if older_than is None and max_gb is None:
            raise UsageError("say --older-than or --max-gb", "请指定 --older-than 或 --max-gb")
        client = client_of(settings(), out.language)
        wish = {name: value for name, value in body.items() if value is not None}
        files = size = 0
        more = True
        while more:
            pruned = client.post(f"{API}/removals", {**wish, "dry_run": dry_run})
            files, size, more = files + pruned["files"], size + pruned["bytes"], pruned["has_more"]
        out.document({"files": files, "bytes": size, "dry_run": dry_run})
        done = say("would remove", "将清理") if dry_run else say("removed", "已清理")
        out.line(f"{done} {files} {say('results', '个结果')}, {_size(size)}")


@app.command()
def removed(
    limit: Annotated[int, typer.Option(min=1, max=100, help="How many at most.")] = 20,
    cursor: Annotated[str | None, typer.Option(help="Next page, as the page before told it.")] = None,
    as_json: Json = False,
) -> None:
    """List removed results, the latest first."""
    with answering(as_json) as out:
        page = client_of(settings(), out.language).get(f"{API}/removals", {"limit": limit, "cursor": cursor})
        out.document(page)
        out.table(
            ("removed", "task", "#", "size", "why"),
            (
                (
                    when(line["removed_at"]),
                    line["task_id"],
                    line["index"],
                    _size(line["bytes"]),
                    named(line["why"]),
                )
                for line in page["data"]
            ),
            empty=say("nothing was removed", "没有清理记录"),
        )
        if page["next_cursor"] and not out.as_json:
            out.note(say("more: ", "下一页：") + f"--cursor {page['next_cursor']}")


def _seconds(text: str) -> float:
    try:
        return _AGE.read(text.strip())
    except RefusedError as error:
        raise UsageError(
            f"--older-than {error}: {text[:40]!r}; allowed: 90s, 15m, 24h, 30d",
            f"--older-than 不是时长：{text[:40]!r}；例如 90s、15m、24h、30d",
        ) from None


def _size(size: int) -> str:
    for unit, factor in _UNITS:
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{size} B"
