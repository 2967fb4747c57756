"""The OpenAI SDK at a gateway whose accounts have no credits: it asks once (openai-media.md 2.3)."""

from __future__ import annotations

from typing import Any

import openai
from openai import OpenAI
from steps import KEY, PICTURE, Case, is_, main, raised, step


def client_of(case: Case) -> OpenAI:
    return OpenAI(base_url=f"{case.root}/v1", api_key=KEY)


def no_more(error: Any) -> Any:
    """A 429 that nobody repeats."""
    is_(error.response.headers["x-should-retry"], "false")
    is_(error.code, "insufficient_quota")
    return str(error)


@step("generate")
def generate(case: Case) -> Any:
    images = client_of(case).images
    return no_more(
        raised(openai.RateLimitError, lambda: images.generate(model="jimeng-4.5", prompt=case.prompt()))
    )


@step("edit")
def edit(case: Case) -> Any:
    images = client_of(case).images
    return no_more(
        raised(
            openai.RateLimitError,
            lambda: images.edit(model="jimeng-4.5", prompt=case.prompt(), image=PICTURE),
        )
    )


@step("chat")
def chat(case: Case) -> Any:
    completions = client_of(case).chat.completions
    messages = [{"role": "user", "content": case.prompt()}]
    return no_more(
        raised(openai.RateLimitError, lambda: completions.create(model="jimeng-4.5", messages=messages))
    )


@step("video")
def video(case: Case) -> Any:
    """A video is not waited for: it fails when it is asked for."""
    videos = client_of(case).videos
    made = videos.create_and_poll(
        model="seedance-2.0", prompt=case.prompt(), seconds="4", poll_interval_ms=300
    )
    is_(made.status, "failed")
    return is_(made.error.code, "insufficient_quota")


if __name__ == "__main__":
    main()
