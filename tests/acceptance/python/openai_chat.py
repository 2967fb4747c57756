"""The OpenAI SDK's chat as a door to pictures and videos (openai-media.md 7)."""

from __future__ import annotations

import base64
import re
import urllib.request
from typing import Any

import openai
from openai import AsyncOpenAI, OpenAI
from steps import KEY, PICTURE, PICTURE_URL, PNG, Case, is_, main, raised, step, under_faults

IMAGES = "jimeng-4.5"
VIDEOS = "jimeng-video-3.0"
_STARTS = {"image/png": (PNG, 0), "image/webp": (b"WEBP", 8), "video/mp4": (b"ftyp", 4)}
_LINK = re.compile(r"https?://[^\s)\"'<>]+")


def client_of(case: Case) -> OpenAI:
    return OpenAI(base_url=f"{case.root}/v1", api_key=KEY)


def say(text: str) -> list[dict[str, Any]]:
    return [{"role": "system", "content": "You draw."}, {"role": "user", "content": text}]


def with_pictures(case: Case) -> list[dict[str, Any]]:
    inline = f"data:image/png;base64,{base64.b64encode(PICTURE).decode()}"
    parts = [
        {"type": "text", "text": case.prompt()},
        {"type": "image_url", "image_url": {"url": PICTURE_URL}},
        {"type": "image_url", "image_url": {"url": inline}},
    ]
    return [{"role": "user", "content": parts}]


def linked(text: str) -> list[str]:
    """The media types behind the links of a text, sorted; what comes is what its type says."""
    found = []
    for link in sorted(set(_LINK.findall(text))):
        with urllib.request.urlopen(link) as file:
            data, kind = file.read(), str(file.headers["content-type"])
        starts, at = _STARTS[kind]
        is_(data[at : at + len(starts)], starts)
        found.append(kind)
    return sorted(found)


def shows_a_picture(text: str) -> Any:
    assert "![" in text, text
    return is_(linked(text), ["image/png"])


def shows_a_video(text: str) -> Any:
    """A video, perhaps with a picture of it."""
    found = linked(text)
    is_(found.count("video/mp4"), 1)
    return found


def answered(reply: Any) -> str:
    """The text of a complete answer."""
    is_(reply.object, "chat.completion")
    assert reply.usage.total_tokens >= 0
    choice = reply.choices[0]
    is_((choice.finish_reason, choice.message.role), ("stop", "assistant"))
    return str(choice.message.content)


def joined(chunks: list[Any]) -> str:
    """The text of a streamed answer."""
    assert {chunk.object for chunk in chunks} == {"chat.completion.chunk"}
    choices = [choice for chunk in chunks for choice in chunk.choices]
    is_(choices[0].delta.role, "assistant")
    is_([choice.finish_reason for choice in choices if choice.finish_reason], ["stop"])
    return "".join(choice.delta.content or "" for choice in choices)


@step("plain")
def plain(case: Case) -> Any:
    text = answered(client_of(case).chat.completions.create(model=IMAGES, messages=say(case.prompt())))
    return shows_a_picture(text)


@step("streamed")
def streamed(case: Case) -> Any:
    stream = client_of(case).chat.completions.create(model=IMAGES, messages=say(case.prompt()), stream=True)
    text = joined(list(stream))
    return shows_a_picture(text)


@step("streamed-with-usage")
def streamed_with_usage(case: Case) -> Any:
    stream = client_of(case).chat.completions.create(
        model=IMAGES, messages=say(case.prompt()), stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    shows_a_picture(joined(chunks))
    return chunks[-1].usage.total_tokens


@step("streamed-by-async")
async def streamed_by_async(case: Case) -> Any:
    async with AsyncOpenAI(base_url=f"{case.root}/v1", api_key=KEY) as client:
        stream = await client.chat.completions.create(model=IMAGES, messages=say(case.prompt()), stream=True)
        return shows_a_picture(joined([chunk async for chunk in stream]))


@step("video")
def video(case: Case) -> Any:
    text = answered(client_of(case).chat.completions.create(model=VIDEOS, messages=say(case.prompt())))
    return shows_a_video(text)


@step("video-streamed")
def video_streamed(case: Case) -> Any:
    stream = client_of(case).chat.completions.create(model=VIDEOS, messages=say(case.prompt()), stream=True)
    return shows_a_video(joined(list(stream)))


@step("with-pictures")
def pictures(case: Case) -> Any:
    text = answered(client_of(case).chat.completions.create(model=IMAGES, messages=with_pictures(case)))
    return shows_a_picture(text)


@step("refused")
def refused(case: Case) -> Any:
    error = raised(
        openai.BadRequestError,
        lambda: client_of(case).chat.completions.create(
            model=IMAGES, messages=say(case.prompt("a cat [sim:reject-text]"))
        ),
    )
    is_(error.response.headers["x-should-retry"], "false")
    return error.code


@step("refused-in-the-stream")
def refused_in_the_stream(case: Case) -> Any:
    def call() -> Any:
        return list(
            client_of(case).chat.completions.create(
                model=IMAGES, messages=say(case.prompt("a cat [sim:reject-result]")), stream=True
            )
        )

    return is_(raised(openai.APIError, call).code, "moderation_blocked")


@step("nothing-said")
def nothing_said(case: Case) -> Any:
    error = raised(
        openai.BadRequestError,
        lambda: client_of(case).chat.completions.create(model=IMAGES, messages=[]),
    )
    return error.param


@under_faults("plain", "refuse", "refuse-after", "cut", "half", "hangup", "lost", "torn")
def plain_once(case: Case) -> Any:
    text = answered(client_of(case).chat.completions.create(model=IMAGES, messages=with_pictures(case)))
    return shows_a_picture(text)


@under_faults("streamed", "refuse", "refuse-after", "hangup", "lost")
def streamed_once(case: Case) -> Any:
    stream = client_of(case).chat.completions.create(model=IMAGES, messages=say(case.prompt()), stream=True)
    return shows_a_picture(joined(list(stream)))


if __name__ == "__main__":
    main()
