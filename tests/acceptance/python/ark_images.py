"""The Ark SDK's pictures: plain, as a group, streamed, from pictures (ark.md 3)."""

from __future__ import annotations

import base64
import urllib.error
import urllib.request
from typing import Any

from steps import KEY, PICTURE, PICTURE_URL, PNG, Case, is_, main, raised, step, under_faults
from volcenginesdkarkruntime import Ark
from volcenginesdkarkruntime._exceptions import ArkAPIError, ArkBadRequestError
from volcenginesdkarkruntime.types.images import SequentialImageGenerationOptions

MODEL = "doubao-seedream-4-5-251128"


def generate(case: Case, **more: Any) -> Any:
    images = Ark(base_url=f"{case.root}/api/v3", api_key=KEY).images
    return images.generate(
        **{"model": MODEL, "prompt": case.prompt(), "size": "2K", "watermark": False, **more}
    )


def opens(url: str) -> None:
    with urllib.request.urlopen(url) as file:
        assert file.read().startswith(PNG)


def from_links(reply: Any) -> int:
    """How many pictures there are; the links open."""
    is_(reply.model, MODEL)
    assert isinstance(reply.created, int)
    for item in reply.data:
        opens(item.url)
        assert "x" in item.size, item
    is_(reply.usage.generated_images, len(reply.data))
    return len(reply.data)


@step("plain")
def plain(case: Case) -> Any:
    return is_(from_links(generate(case)), 1)


@step("plain-b64")
def plain_b64(case: Case) -> Any:
    reply = generate(case, response_format="b64_json")
    return [base64.b64decode(item.b64_json).startswith(PNG) for item in reply.data]


@step("pixels")
def pixels(case: Case) -> Any:
    return from_links(generate(case, size="2848x1600"))


@step("from-pictures")
def from_pictures(case: Case) -> Any:
    inline = f"data:image/png;base64,{base64.b64encode(PICTURE).decode()}"
    return from_links(generate(case, image=[PICTURE_URL, inline], sequential_image_generation="disabled"))


@step("from-one-picture")
def from_one_picture(case: Case) -> Any:
    return from_links(generate(case, image=PICTURE_URL))


@step("group")
def group(case: Case) -> Any:
    options = SequentialImageGenerationOptions(max_images=3)
    reply = generate(case, sequential_image_generation="auto", sequential_image_generation_options=options)
    count = from_links(reply)
    assert 1 <= count <= 3, count
    return count


@step("streamed")
def streamed(case: Case) -> Any:
    events = list(generate(case, stream=True))
    *pictures, last = events
    is_({event.type for event in pictures}, {"image_generation.partial_succeeded"})
    is_([event.image_index for event in pictures], list(range(len(pictures))))
    for event in pictures:
        opens(event.url)
    is_(last.type, "image_generation.completed")
    return len(pictures)


@step("streamed-group")
def streamed_group(case: Case) -> Any:
    options = SequentialImageGenerationOptions(max_images=2)
    events = list(
        generate(
            case,
            stream=True,
            response_format="b64_json",
            sequential_image_generation="auto",
            sequential_image_generation_options=options,
        )
    )
    *pictures, last = events
    assert all(base64.b64decode(event.b64_json).startswith(PNG) for event in pictures)
    is_(last.type, "image_generation.completed")
    return len(pictures)


@step("refused")
def refused(case: Case) -> Any:
    error = raised(ArkBadRequestError, lambda: generate(case, prompt=case.prompt("a cat [sim:reject-text]")))
    is_(error.response.headers["x-should-retry"], "false")
    return error.code


@step("refused-in-the-stream")
def refused_in_the_stream(case: Case) -> Any:
    asked = {"prompt": case.prompt("a cat [sim:reject-result]"), "stream": True}
    return str(raised(ArkAPIError, lambda: list(generate(case, **asked))))


@step("no-prompt-for-a-stream")
def no_prompt_for_a_stream(case: Case) -> Any:
    """A plain 400, before anything is streamed."""
    return raised(ArkBadRequestError, lambda: list(generate(case, prompt="", stream=True))).code


@step("get-is-not-allowed")
def get_is_not_allowed(case: Case) -> Any:
    """One program tests its credentials so: 404 would be bad credentials to it (clients.md 10.2)."""
    asked = urllib.request.Request(
        f"{case.root}/api/v3/images/generations", headers={"Authorization": f"Bearer {KEY}"}
    )
    error = raised(urllib.error.HTTPError, lambda: urllib.request.urlopen(asked))
    return is_(error.code, 405)


# ── once, whatever the network does ──────────────────────────────────────────────────────────────


@under_faults("plain", "refuse", "cut", "half")
def plain_once(case: Case) -> Any:
    """What did not reach the gateway is sent again by the SDK itself."""
    return from_links(generate(case, image=PICTURE_URL))


@under_faults("plain-unheard", "refuse-after", "hangup", "lost")
def plain_once_unheard(case: Case) -> Any:
    """This SDK marks its repetitions in no way; they are known by coming back at once on a new connection."""
    return from_links(generate(case))


@under_faults("plain-with-key", "refuse-after", "hangup", "lost")
def plain_once_with_key(case: Case) -> Any:
    """With a key of the caller it is known for sure."""
    return from_links(generate(case, extra_headers={"Idempotency-Key": case.name}))


if __name__ == "__main__":
    main()
