"""langchain-openai's chat model as a door to pictures (clients.md 7)."""

from __future__ import annotations

import base64
import urllib.request
from typing import Any

from langchain_core.messages import HumanMessage, SystemMessage
from langchain_openai import ChatOpenAI
from steps import KEY, PICTURE, PNG, Case, is_, main, step, under_faults


def model_of(case: Case) -> ChatOpenAI:
    return ChatOpenAI(base_url=f"{case.root}/v1", api_key=KEY, model="jimeng-4.5")


def shows_a_picture(text: str) -> Any:
    url = text.partition("](")[2].partition(")")[0]
    with urllib.request.urlopen(url) as file:
        is_(file.read().startswith(PNG), True)
    return is_("![" in text, True)


@step("invoke")
def invoke(case: Case) -> Any:
    reply = model_of(case).invoke([SystemMessage("You draw."), HumanMessage(case.prompt())])
    assert reply.usage_metadata["total_tokens"] >= 0
    return shows_a_picture(reply.content)


@step("ainvoke")
async def ainvoke(case: Case) -> Any:
    return shows_a_picture((await model_of(case).ainvoke(case.prompt())).content)


@step("stream")
def stream(case: Case) -> Any:
    return shows_a_picture("".join(chunk.content for chunk in model_of(case).stream(case.prompt())))


@step("invoke-with-a-picture")
def invoke_with_a_picture(case: Case) -> Any:
    inline = f"data:image/png;base64,{base64.b64encode(PICTURE).decode()}"
    message = HumanMessage(
        [{"type": "text", "text": case.prompt()}, {"type": "image_url", "image_url": {"url": inline}}]
    )
    return shows_a_picture(model_of(case).invoke([message]).content)


@under_faults("invoke", "refuse", "refuse-after", "cut", "half", "hangup", "lost")
def invoke_once(case: Case) -> Any:
    return shows_a_picture(model_of(case).invoke(case.prompt()).content)


@under_faults("stream", "refuse", "lost")
def stream_once(case: Case) -> Any:
    return shows_a_picture("".join(chunk.content for chunk in model_of(case).stream(case.prompt())))


if __name__ == "__main__":
    main()
