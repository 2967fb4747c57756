"""Open WebUI's pictures: it fetches links with its key, and insists on a picture (clients.md 10.4)."""

from __future__ import annotations

import json
import re

from harness.stage import PICTURE

from replays.program import (
    IMAGE,
    File,
    Form,
    Program,
    Reply,
    is_picture,
    picture_in,
    replay,
)

UA = "Python/3.11 aiohttp/3.12.15"


def _shown(program: Program, reply: Reply) -> None:
    """It takes `url` if there is one, fetches it with the key all the same, and insists on a picture."""
    assert reply.status == 200, reply
    for item in reply.json()["data"]:
        if url := item.get("url"):
            is_picture(program.send("GET", url))
        else:
            picture_in(item["b64_json"])


@replay("open-webui.image", submits=1, user_agent=UA)
def image(program: Program) -> None:
    wish = {"model": IMAGE, "prompt": program.prompt(), "n": 2, "size": "512x512"}
    reply = program.send("POST", "/v1/images/generations", {**wish, "response_format": "b64_json"})
    _shown(program, reply)
    assert len(reply.json()["data"]) == 2
    assert all("url" not in item for item in reply.json()["data"])


@replay("open-webui.image_no_format", submits=2, user_agent=UA)
def image_no_format(program: Program) -> None:
    for model in (IMAGE, "gpt-image-1"):
        wish = {"model": model, "prompt": program.prompt(), "n": 1, "size": "auto"}
        _shown(program, program.send("POST", "/v1/images/generations", wish))


@replay("open-webui.foreign_key", submits=1, user_agent=UA)
def foreign_key(program: Program) -> None:
    wish = {"model": IMAGE, "prompt": program.prompt(), "n": 1, "response_format": "url"}
    url = program.send("POST", "/v1/images/generations", wish).json()["data"][0]["url"]
    is_picture(program.send("GET", url, key="sk-of-another-service"))
    head = program.send("HEAD", url, key="sk-of-another-service")
    assert (head.status, head.data) == (200, b"")
    assert head.headers["content-type"].startswith("image/")


@replay("open-webui.edit", submits=1, user_agent=UA)
def edit(program: Program) -> None:
    parts: tuple[tuple[str, str | File], ...] = (
        ("model", IMAGE),
        ("prompt", program.prompt()),
        ("n", "1"),
        ("response_format", "b64_json"),
        ("image", File("image.png", "image/png", PICTURE)),
        ("image", File("image.png", "image/png", PICTURE)),
    )
    _shown(program, program.send("POST", "/v1/images/edits", Form(parts)))


@replay("open-webui.chat", submits=1, user_agent=UA)
def chat(program: Program) -> None:
    messages = [{"role": "user", "content": program.prompt()}]
    wish = {"model": IMAGE, "stream": True, "messages": messages, "stream_options": {"include_usage": True}}
    reply = program.send("POST", "/v1/chat/completions", wish)
    assert (reply.status, reply.headers["content-type"].partition(";")[0]) == (200, "text/event-stream")
    lines = [line for line in reply.data.decode().splitlines() if line.startswith("data: ")]
    assert lines[-1] == "data: [DONE]"
    pieces = [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]
    deltas = [piece["choices"][0]["delta"] for piece in pieces if piece["choices"]]
    text = "".join(delta.get("content") or "" for delta in deltas)
    found = re.search(r"!\[[^]]*\]\((\S+)\)", text)
    assert found, text
    is_picture(program.send("GET", found[1]))


@replay("open-webui.chores", submits=0, user_agent=UA)
def chores(program: Program) -> None:
    # What it asks for by itself after each message: a title, tags, questions that might follow.
    for what in ("a concise, 3-5 word title with an emoji", "1-3 broad tags", "3-5 follow-up questions"):
        task = (
            f"### Task:\nGenerate {what}.\n### Chat History:\n<chat_history>\nUSER: a kite\n</chat_history>"
        )
        wish = {"model": IMAGE, "stream": False, "messages": [{"role": "user", "content": task}]}
        reply = program.send("POST", "/v1/chat/completions", wish)
        assert (reply.status, reply.json()["error"]["code"]) == (400, "not_supported")
