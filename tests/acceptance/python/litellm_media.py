"""litellm: pictures and chat through the OpenAI SDK, the rest through HTTP code of its own (clients.md 5)."""

from __future__ import annotations

import base64
import time
import urllib.request
from collections.abc import Callable
from typing import Any

import litellm
from steps import KEY, MASK, PICTURE, PICTURE_URL, PNG, Case, is_, main, raised, step, under_faults

IMAGES = "openai/jimeng-4.5"
VIDEOS = "openai/seedance-2.0"
LONGEST_S = 40.0

# It prints advice to standard output otherwise.
litellm.suppress_debug_info = True


def where(case: Case) -> dict[str, Any]:
    return {"api_base": f"{case.root}/v1", "api_key": KEY}


def opens(url: str, start: bytes, at: int = 0) -> None:
    with urllib.request.urlopen(url) as file:
        is_(file.read()[at : at + len(start)], start)


def generate(case: Case, **more: Any) -> Any:
    asked = {"model": IMAGES, "prompt": case.prompt(), "n": 1, **where(case)}
    return litellm.image_generation(**{**asked, **more})


@step("image-generation")
def image_generation(case: Case) -> Any:
    reply = generate(case, size="2048x2048")
    opens(reply.data[0].url, PNG)
    return len(reply.data)


@step("image-generation-b64")
def image_generation_b64(case: Case) -> Any:
    """It refuses the argument for names that it does not know; an extra field goes through."""
    reply = generate(case, extra_body={"response_format": "b64_json"}, negative_prompt="dogs")
    return is_(base64.b64decode(reply.data[0].b64_json).startswith(PNG), True)


@step("image-generation-by-async")
async def image_generation_by_async(case: Case) -> Any:
    reply = await litellm.aimage_generation(model=IMAGES, prompt=case.prompt(), n=1, **where(case))
    return is_(len(reply.data), 1)


@step("image-variation")
def image_variation(case: Case) -> Any:
    reply = litellm.image_variation(model=IMAGES, image=PICTURE, n=1, response_format="url", **where(case))
    opens(reply.data[0].url, PNG)
    return len(reply.data)


def edit(case: Case, image: Any, **more: Any) -> Any:
    asked = {"model": IMAGES, "image": image, "prompt": case.prompt(), "n": 1, "response_format": "url"}
    reply = litellm.image_edit(**asked, **where(case), **more)
    opens(reply.data[0].url, PNG)
    return len(reply.data)


@step("image-edit")
def image_edit(case: Case) -> Any:
    return edit(case, PICTURE)


@step("image-edit-list")
def image_edit_list(case: Case) -> Any:
    return edit(case, [PICTURE, MASK])


def finished(case: Case, video: Any) -> Any:
    """The video at its end; its file is an MP4."""
    deadline = time.monotonic() + LONGEST_S
    while video.status not in ("completed", "failed"):
        assert time.monotonic() < deadline, video
        time.sleep(0.3)
        video = litellm.video_status(video_id=video.id, custom_llm_provider="openai", **where(case))
    is_(video.status, "completed")
    data = litellm.video_content(video_id=video.id, custom_llm_provider="openai", **where(case))
    is_(data[4:8], b"ftyp")
    return [video.seconds, video.size, len(data)]


def make(case: Case, **more: Any) -> Any:
    asked = {"model": VIDEOS, "prompt": case.prompt(), "seconds": "4", "size": "1280x720", **more}
    return litellm.video_generation(**asked, **where(case))


@step("video-generation")
def video_generation(case: Case) -> Any:
    return finished(case, make(case))


@step("video-from-bytes")
def video_from_bytes(case: Case) -> Any:
    return finished(case, make(case, input_reference=PICTURE))


@step("video-from-url")
def video_from_url(case: Case) -> Any:
    """It arrives as a file `input_reference.png` whose bytes are the URL."""
    return finished(case, make(case, input_reference=PICTURE_URL))


@step("video-list")
def video_list(case: Case) -> Any:
    made = make(case)
    finished(case, made)
    listed = litellm.video_list(custom_llm_provider="openai", **where(case))
    return len(listed["data"] if isinstance(listed, dict) else listed)


@step("video-remix")
def video_remix(case: Case) -> Any:
    first = make(case)
    finished(case, first)
    other = litellm.video_remix(
        video_id=first.id, prompt=case.prompt("by night"), custom_llm_provider="openai", **where(case)
    )
    return finished(case, other)


@step("video-failed")
def video_failed(case: Case) -> Any:
    video = make(case, prompt=case.prompt("a cat [sim:reject-result]"))
    deadline = time.monotonic() + LONGEST_S
    while video.status not in ("completed", "failed"):
        assert time.monotonic() < deadline, video
        time.sleep(0.3)
        video = litellm.video_status(video_id=video.id, custom_llm_provider="openai", **where(case))
    is_(video.status, "failed")
    return video.error["code"]


def talk(case: Case, **more: Any) -> Any:
    messages = [{"role": "user", "content": case.prompt()}]
    return litellm.completion(model=IMAGES, messages=messages, **where(case), **more)


def shows_a_picture(text: str) -> Any:
    url = text.partition("](")[2].partition(")")[0]
    opens(url, PNG)
    return is_("![" in text, True)


@step("completion")
def completion(case: Case) -> Any:
    return shows_a_picture(talk(case).choices[0].message.content)


@step("completion-streamed")
def completion_streamed(case: Case) -> Any:
    chunks = list(talk(case, stream=True))
    return shows_a_picture("".join(chunk.choices[0].delta.content or "" for chunk in chunks))


@step("refused")
def refused(case: Case) -> Any:
    error = raised(
        litellm.BadRequestError, lambda: generate(case, prompt=case.prompt("a cat [sim:reject-text]"))
    )
    return type(error).__name__


@step("video-refused")
def video_refused(case: Case) -> Any:
    """An unknown model, through its own HTTP code."""
    error = raised(Exception, lambda: make(case, model="openai/no-such-model"))
    assert error.status_code in (400, 404), error
    return type(error).__name__


# ── once, whatever the network does ──────────────────────────────────────────────────────────────


def until_answered(call: Callable[[], Any]) -> Any:
    """Its own HTTP code does not repeat; whoever does so takes a key, as here."""
    for _ in range(2):
        try:
            return call()
        except litellm.BadRequestError:
            raise
        except Exception:
            time.sleep(0.2)
    return call()


@under_faults("image-generation", "refuse", "refuse-after", "cut", "hangup", "lost")
def image_generation_once(case: Case) -> Any:
    """Repeated by the OpenAI SDK inside."""
    opens(generate(case, max_retries=2).data[0].url, PNG)


@under_faults("image-edit", "refuse", "refuse-after", "half", "hangup", "lost")
def image_edit_once(case: Case) -> Any:
    headers = {"Idempotency-Key": case.name}
    return until_answered(lambda: edit(case, PICTURE, extra_headers=headers))


@under_faults("video", "refuse", "refuse-after", "half", "hangup", "lost")
def video_once(case: Case) -> Any:
    headers = {"Idempotency-Key": case.name}
    made = until_answered(lambda: make(case, input_reference=PICTURE_URL, extra_headers=headers))
    return finished(case, made)


if __name__ == "__main__":
    main()
