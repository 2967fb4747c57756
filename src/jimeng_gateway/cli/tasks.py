"""`task …`: make pictures and videos, look after them, fetch the files."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from jimeng_gateway.cli.client import API, Client, client_of
from jimeng_gateway.cli.configuration import settings
from jimeng_gateway.cli.failures import CommandError, UsageError
from jimeng_gateway.cli.follow import TERMINAL, follow_all
from jimeng_gateway.cli.form import Form, Part
from jimeng_gateway.cli.language import named, say
from jimeng_gateway.cli.output import Json, Output, answering, short, when
from jimeng_gateway.cli.progress import board

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Submit tasks, follow them, fetch their files."
)

EXTENSIONS = {
    "image/png": "png",
    "image/jpeg": "jpg",
    "image/webp": "webp",
    "image/gif": "gif",
    "image/avif": "avif",
    "video/mp4": "mp4",
    "video/webm": "webm",
    "video/quicktime": "mov",
}


class KindName(StrEnum):
    """What to make."""

    IMAGE = "image"
    VIDEO = "video"


class StageName(StrEnum):
    """Stages to filter by."""

    QUEUED = "queued"
    SUBMITTING = "submitting"
    POLLING = "polling"
    DOWNLOADING = "downloading"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


TaskId = Annotated[str, typer.Argument(metavar="ID", help="Id of the task.")]
Folder = Annotated[Path | None, typer.Option("--output", "-o", help="Folder for the files; made if missing.")]
Patience = Annotated[
    float | None, typer.Option("--timeout", min=0, help="Give up waiting after so many seconds.")
]
Model = Annotated[str | None, typer.Option("--model", "-m", help="Name or alias of the model.")]
KindOption = Annotated[KindName | None, typer.Option("--kind", "-k", help="Needed when no model is named.")]


@app.command()
def submit(
    prompt: Annotated[str, typer.Argument(help="What to make; `-` reads it from stdin.")],
    model: Model = None,
    kind: KindOption = None,
    n: Annotated[int | None, typer.Option("--n", "-n", min=1, help="How many pictures.")] = None,
    ratio: Annotated[str | None, typer.Option(help="As 16:9.")] = None,
    resolution: Annotated[str | None, typer.Option(help="As 2k or 720p.")] = None,
    size: Annotated[
        str | None, typer.Option(help="As 2048x2048; the nearest one that the model offers.")
    ] = None,
    duration: Annotated[float | None, typer.Option(help="Length of a video in seconds.")] = None,
    negative_prompt: Annotated[str | None, typer.Option(help="What must not be in a picture.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="The same seed makes a similar picture.")] = None,
    reference: Annotated[
        list[Path] | None,
        typer.Option("--reference", "-r", exists=True, dir_okay=False, help="Picture, clip or sound."),
    ] = None,
    first_frame: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="Picture that a video begins with.")
    ] = None,
    last_frame: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="Picture that a video ends with.")
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", "-w", help="Follow it to its end.")] = False,
    output: Folder = None,
    timeout: Patience = None,
    as_json: Json = False,
) -> None:
    """Submit a task. With --output it waits and fetches the files."""
    wish = {
        "prompt": prompt,
        "model": model,
        "kind": kind,
        "n": n,
        "ratio": ratio,
        "resolution": resolution,
        "size": size,
        "duration": duration,
        "negative_prompt": negative_prompt,
        "seed": seed,
    }
    with answering(as_json) as out:
        if prompt == "-":
            wish["prompt"] = sys.stdin.read().strip()
        client = client_of(settings(), out.language)
        fields = {name: value for name, value in wish.items() if value is not None}
        parts = [Part("files", file) for file in reference or ()]
        parts += [
            Part(field, file)
            for field, file in (("first_frame", first_frame), ("last_frame", last_frame))
            if file is not None
        ]
        if parts:
            task = client.send(f"{API}/tasks", Form(fields, parts))
        else:
            task = client.post(f"{API}/tasks", fields)
        if wait or output is not None:
            out.note(f"{task['id']} ({task['model']})")
            _finish(out, client, task, output, timeout)
        else:
            out.document(task)
            out.line(task["id"])


@app.command("list")
def list_tasks(
    stage: Annotated[StageName | None, typer.Option(help="Only tasks in this stage.")] = None,
    kind: Annotated[
        KindName | None, typer.Option("--kind", "-k", help="Only pictures or only videos.")
    ] = None,
    model: Annotated[str | None, typer.Option("--model", "-m", help="Only tasks of this model.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100, help="How many at most.")] = 20,
    cursor: Annotated[str | None, typer.Option(help="Next page, as the page before told it.")] = None,
    as_json: Json = False,
) -> None:
    """List tasks, newest first."""
    with answering(as_json) as out:
        query = {"stage": stage, "kind": kind, "model": model, "limit": limit, "cursor": cursor}
        page = client_of(settings(), out.language).get(f"{API}/tasks", query)
        out.document(page)
        out.table(
            ("id", "stage", "", "kind", "model", "queue", "created", "prompt"),
            (
                (
                    task["id"],
                    named(task["stage"]),
                    f"{task['progress']:.0%}" if task["stage"] not in TERMINAL else "",
                    named(task["kind"]),
                    task["model"],
                    task["queue_position"],
                    when(task["created_at"]),
                    short(task["prompt"], 40),
                )
                for task in page["data"]
            ),
            empty=say("no tasks", "没有任务"),
        )
        if page["next_cursor"] and not out.as_json:
            out.note(say("more: ", "下一页：") + f"--cursor {page['next_cursor']}")


@app.command()
def show(task_id: TaskId, as_json: Json = False) -> None:
    """Show a task and what happened to it."""
    with answering(as_json) as out:
        client = client_of(settings(), out.language)
        task = client.get(f"{API}/tasks/{task_id}")
        events = client.get(f"{API}/tasks/{task_id}/events")["data"]
        out.document({**task, "events": events})
        _describe(out, task)
        out.line("")
        out.table(
            ("#", "at", "event", ""),
            (
                (event["seq"], when(event["at"]), named(event["name"]), _told(event["data"]))
                for event in events
            ),
            empty=say("no events", "没有事件"),
        )


@app.command()
def wait(task_id: TaskId, output: Folder = None, timeout: Patience = None, as_json: Json = False) -> None:
    """Follow a task to its end."""
    with answering(as_json) as out:
        client = client_of(settings(), out.language)
        _finish(out, client, client.get(f"{API}/tasks/{task_id}"), output, timeout)


@app.command()
def cancel(task_id: TaskId, as_json: Json = False) -> None:
    """Cancel a task that has not ended."""
    with answering(as_json) as out:
        task = client_of(settings(), out.language).post(f"{API}/tasks/{task_id}/cancel")
        out.document(task)
        out.line(f"{task['id']} {named(task['stage'])}")


@app.command()
def retry(task_id: TaskId, as_json: Json = False) -> None:
    """Make a new task of the same input."""
    with answering(as_json) as out:
        task = client_of(settings(), out.language).post(f"{API}/tasks/{task_id}/retry")
        out.document(task)
        out.line(task["id"])


def _finish(
    out: Output, client: Client, task: dict[str, Any], output: Path | None, timeout: float | None
) -> None:
    """Follows a task to its end, fetches its files if a folder is given, and answers."""
    if task["stage"] not in TERMINAL:
        with board([(task["kind"], task)], sys.stderr) as shown:
            for update in follow_all(client, [task["id"]], seconds=timeout):
                task = update or task
                shown.update(update)
    files = fetch(client, task, output) if output is not None and task["stage"] == "succeeded" else []
    out.document({**task, "files": [str(file) for file in files]} if output is not None else task)
    if task["stage"] != "succeeded":
        reason = say(": ", "：") + _reason(task) if task["error_kind"] else ""
        out.note(f"{task['id']} {named(task['stage'])}{reason}")
        raise typer.Exit(1)
    for line in [str(file) for file in files] or [result["url"] for result in task["results"]]:
        out.line(line)


def fetch(client: Client, task: dict[str, Any], folder: Path) -> list[Path]:
    """Puts the files of a finished task into a folder; named by task and number."""
    results: Sequence[dict[str, Any]] = [each for each in task["results"] if each["url"] is not None]
    if not results:
        raise CommandError(f"{task['id']} has no files", f"{task['id']} 没有文件")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"cannot make the folder {folder}: {error.strerror}", f"无法创建目录 {folder}：{error.strerror}"
        ) from None
    files = []
    for result in results:
        extension = EXTENSIONS.get(result["media_type"], "bin")
        target = folder / f"{task['id']}-{result['index']}.{extension}"
        client.download(f"{API}/tasks/{task['id']}/content?index={result['index']}", target)
        files.append(target)
    return files


def _describe(out: Output, task: dict[str, Any]) -> None:
    request = task["request"]
    made = f"{request['width']}x{request['height']}"
    out.facts(
        [
            ("id", task["id"]),
            ("stage", named(task["stage"]) + (say(" (late)", "（超时后完成）") if task["late"] else "")),
            ("kind", named(task["kind"])),
            ("model", task["model"]),
            ("prompt", task["prompt"]),
            ("size", f"{made} {request['ratio']} {request['resolution']}"),
            ("length", f"{request['duration']:g} {say('s', '秒')}" if request["duration"] else None),
            ("progress", f"{task['progress']:.0%}" if task["stage"] not in TERMINAL else None),
            ("queue", task["queue_position"]),
            ("estimate", f"{task['queue_eta']} {say('s', '秒')}" if task["queue_eta"] else None),
            ("error", _reason(task) if task["error_kind"] else None),
            ("session", task["session_id"]),
            ("attempts", task["attempts"]),
            ("retry of", task["retry_of"]),
            ("created", when(task["created_at"])),
            ("finished", when(task["finished_at"])),
            *((f"{say('result', '结果')} {result['index']}", _result(result)) for result in task["results"]),
        ]
    )


def _reason(task: dict[str, Any]) -> str:
    """Why it failed; the gateway's Chinese message begins with what kind of failure it was."""
    return say(f"{task['error_kind']}: {task['error_message']}", task["error_message"] or "")


def _result(result: dict[str, Any]) -> str:
    if result.get("removed_at"):
        return f"{say('removed', '已清理')} {when(result['removed_at'])} ({named(result['removed_why'])})"
    size = f"{result['size'] / 1024:.0f} KiB" if result["size"] is not None else say("not stored", "未保存")
    return f"{result['media_type'] or ''} {size} {result['url'] or result['upstream_url']}".strip()


def _told(data: dict[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in data.items() if value is not None)
