"""What a conversation is told: Markdown at the end, one line per change on the way; values to values."""

from __future__ import annotations

from jimeng_gateway.domain.request import Kind
from jimeng_gateway.domain.task import Stage, Task, progress
from jimeng_gateway.domain.words import Language
from jimeng_gateway.http.links import Links
from jimeng_gateway.http.openai.chat_shapes import (
    AssistantMessage,
    ChatReply,
    Choice,
    Chunk,
    ChunkChoice,
    Delta,
    NoTokens,
)
from jimeng_gateway.http.outcome import stored

#: Percents are told in such steps, so that a long job does not fill the window.
_STEP = 10


def answer(task: Task, links: Links, language: Language) -> str:
    """The files of a task that has succeeded."""
    lines: list[str] = []
    for result in stored(task):
        url = links.content(task.id, result.index)
        if result.kind == Kind.IMAGE:
            lines.append(f"![image]({url})")
            continue
        lines.append(f"[video]({url})")
        if result.preview_file is not None:
            lines.append(f"![poster]({links.preview(task.id, result.index)})")
    return "\n\n".join(lines) or _either(
        language, f"The files of task `{task.id}` were removed.", f"任务 `{task.id}` 的文件已清理。"
    )


def unfinished(task: Task, links: Links, language: Language) -> str:
    """Where to find what is not there yet."""
    word = "image" if task.request.kind is Kind.IMAGE else "video"
    results = ", ".join(
        f"[{word}]({links.content(task.id, index)})" for index in range(max(1, task.request.count))
    )
    return _either(
        language,
        f"This takes longer than the answer could wait. Task [{task.id}]({links.task(task.id)}) goes on; "
        f"do not ask again. When it is done, the result is here: {results}",
        f"生成时间超过了本次等待。任务 [{task.id}]({links.task(task.id)}) 仍在进行，请勿重复提交。"
        f"完成后可在此打开结果：{results}",
    )


def progress_line(task: Task, now: int, language: Language) -> str:
    """How far it is, in one line; the same line as long as nothing worth telling has changed."""
    match task.stage:
        case Stage.QUEUED:
            return _either(language, f"Task {task.id} is queued.", f"任务 {task.id} 排队中。")
        case Stage.SUBMITTING:
            return _either(language, "Submitting.", "提交中。")
        case Stage.DOWNLOADING:
            return _either(language, "Fetching the result.", "正在下载结果。")
        case Stage.POLLING:
            return _generating(task, now, language)
        case _:
            return ""


def _generating(task: Task, now: int, language: Language) -> str:
    if task.queue_position and not task.running:
        of = f"/{task.queue_total}" if task.queue_total else ""
        place = f"{task.queue_position}{of}"
        minutes = -(-(task.queue_eta or 0) // 60)
        wait = _either(language, f", about {minutes} min", f"，约 {minutes} 分钟") if minutes else ""
        return _either(language, f"In the site's queue: {place}{wait}.", f"网站排队：{place}{wait}。")
    percent = int(progress(task, now) * 100) // _STEP * _STEP
    return _either(language, f"Generating: {percent} %.", f"生成中：{percent}%。")


def whole(task: Task, model: str, content: str) -> ChatReply:
    """An answer in one piece."""
    return ChatReply(
        id=_id(task),
        created=task.created_at // 1000,
        model=model,
        choices=[Choice(message=AssistantMessage(content=content))],
        usage=NoTokens(),
        task_id=task.id,
    )


def chunk(task: Task, model: str, delta: Delta, *, last: bool = False) -> Chunk:
    """A piece of a streamed answer; the last one says that it stops."""
    choice = ChunkChoice(delta=delta, finish_reason="stop" if last else None)
    return Chunk(id=_id(task), created=task.created_at // 1000, model=model, choices=[choice])


def usage_chunk(task: Task, model: str) -> Chunk:
    """What comes after the last piece when usage was asked for."""
    return Chunk(id=_id(task), created=task.created_at // 1000, model=model, choices=[], usage=NoTokens())


def _id(task: Task) -> str:
    return f"chatcmpl-{task.id}"


def _either(language: Language, english: str, chinese: str) -> str:
    return chinese if language is Language.ZH else english
