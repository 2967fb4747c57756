"""The OpenAI SDK's pictures: generations, edits, variations, streamed or not (openai-media.md 3, 4 and 9)."""

from __future__ import annotations

import asyncio
import base64
import io
import urllib.request
from typing import Any

import openai
from openai import AsyncOpenAI, OpenAI
from steps import KEY, MASK, PICTURE, PICTURE_URL, PNG, Case, is_, main, raised, step, under_faults

MODEL = "jimeng-4.5"


def client_of(case: Case, **more: Any) -> OpenAI:
    return OpenAI(base_url=f"{case.root}/v1", api_key=KEY, **more)


def from_base64(reply: Any) -> int:
    """How many pictures came as base64, and nothing else."""
    for item in reply.data:
        assert base64.b64decode(item.b64_json, validate=True).startswith(PNG)
        is_(item.url, None)
    assert isinstance(reply.created, int)
    return len(reply.data)


def from_links(reply: Any) -> int:
    """How many pictures came as links that open, for a program with its own Authorization header too."""
    for item in reply.data:
        is_(item.b64_json, None)
        asked = urllib.request.Request(item.url, headers={"Authorization": "Bearer of-another-service"})
        with urllib.request.urlopen(asked) as file:
            is_(file.headers["content-type"], "image/png")
            assert file.read().startswith(PNG)
    assert isinstance(reply.created, int)
    return len(reply.data)


def generate(case: Case, **more: Any) -> Any:
    asked = {"model": MODEL, "prompt": case.prompt(), "response_format": "url", "n": 1, **more}
    return client_of(case).images.generate(**asked)


@step("generate-url")
def generate_url(case: Case) -> Any:
    return is_(from_links(generate(case, size="2048x2048")), 1)


@step("generate-b64")
def generate_b64(case: Case) -> Any:
    return is_(from_base64(generate(case, response_format="b64_json")), 1)


@step("generate-several")
def generate_several(case: Case) -> Any:
    return is_(from_links(generate(case, n=2)), 2)


@step("generate-as-gpt-image")
def generate_as_gpt_image(case: Case) -> Any:
    """A name that tools have built in, and what they send with it; nobody says a format: base64 then."""
    reply = client_of(case).images.generate(
        model="gpt-image-1.5",
        prompt=case.prompt(),
        size="1024x1024",
        quality="high",
        output_format="png",
        background="auto",
        moderation="low",
        user="u1",
    )
    return from_base64(reply)


@step("generate-extra")
def generate_extra(case: Case) -> Any:
    return from_links(generate(case, extra_body={"ratio": "16:9", "negative_prompt": "dogs"}))


@step("generate-by-async")
async def generate_by_async(case: Case) -> Any:
    async with AsyncOpenAI(base_url=f"{case.root}/v1", api_key=KEY) as client:
        reply = await client.images.generate(
            model=MODEL, prompt=case.prompt(), response_format="b64_json", n=1
        )
    return from_base64(reply)


@step("generate-twice-on-purpose")
def generate_twice(case: Case) -> Any:
    """Two intents that look the same are two."""
    generate(case)
    generate(case)


@step("generate-with-idempotency-key")
def generate_with_key(case: Case) -> Any:
    headers = {"Idempotency-Key": f"{case.name}-1"}
    first, second = (generate(case, extra_headers=headers) for _ in range(2))
    is_(second.data[0].url, first.data[0].url)
    other = raised(
        openai.UnprocessableEntityError,
        lambda: generate(case, prompt=case.prompt("a dog"), extra_headers=headers),
    )
    return other.code


@step("generate-has-request-id")
def generate_has_request_id(case: Case) -> Any:
    reply = client_of(case).images.with_raw_response.generate(model=MODEL, prompt=case.prompt(), n=1)
    assert reply.request_id
    assert reply.parse()._request_id == reply.request_id  # the SDK's own, public by its documentation
    return reply.request_id


@step("generate-until-timeout")
def generate_until_timeout(case: Case) -> Any:
    """Tries that give up while the picture is being made; the next one waits for the same."""
    client = client_of(case, timeout=openai.Timeout(1.5, connect=5), max_retries=5)
    reply = client.images.generate(model=MODEL, prompt=case.prompt("a cat [sim:slow=100]"), n=1)
    return len(reply.data)


# ── streamed ─────────────────────────────────────────────────────────────────────────────────────


def completed(events: list[Any], kind: str) -> Any:
    """The completed events of a stream that has nothing else but previews."""
    last = [event for event in events if event.type == f"{kind}.completed"]
    assert {event.type for event in events} <= {f"{kind}.completed", f"{kind}.partial_image"}
    for event in last:
        assert base64.b64decode(event.b64_json, validate=True).startswith(PNG)
        assert isinstance(event.created_at, int)
        assert event.usage.total_tokens >= 0
        assert event.output_format in ("png", "webp", "jpeg")
    return len(last)


@step("generate-stream")
def generate_stream(case: Case) -> Any:
    stream = client_of(case).images.generate(
        model=MODEL, prompt=case.prompt(), n=1, stream=True, partial_images=2
    )
    return is_(completed(list(stream), "image_generation"), 1)


@step("generate-stream-several")
def generate_stream_several(case: Case) -> Any:
    stream = client_of(case).images.generate(model=MODEL, prompt=case.prompt(), n=2, stream=True)
    return is_(completed(list(stream), "image_generation"), 2)


@step("generate-stream-by-async")
async def generate_stream_by_async(case: Case) -> Any:
    async with AsyncOpenAI(base_url=f"{case.root}/v1", api_key=KEY) as client:
        stream = await client.images.generate(model=MODEL, prompt=case.prompt(), n=1, stream=True)
        return is_(completed([event async for event in stream], "image_generation"), 1)


@step("generate-stream-refused-later")
def generate_stream_refused_later(case: Case) -> Any:
    def call() -> Any:
        return list(
            client_of(case).images.generate(
                model=MODEL, prompt=case.prompt("a cat [sim:reject-result]"), n=1, stream=True
            )
        )

    error = raised(openai.APIError, call)
    return is_(error.code, "moderation_blocked")


@step("edit-stream")
def edit_stream(case: Case) -> Any:
    stream = client_of(case).images.edit(model=MODEL, prompt=case.prompt(), image=PICTURE, n=1, stream=True)
    return is_(completed(list(stream), "image_edit"), 1)


# ── edits and variations ─────────────────────────────────────────────────────────────────────────


def edit(case: Case, image: Any, **more: Any) -> Any:
    asked = {"model": MODEL, "prompt": case.prompt(), "image": image, "response_format": "url", "n": 1}
    return client_of(case).images.edit(**{**asked, **more})


@step("edit-one-file")
def edit_one_file(case: Case) -> Any:
    return from_links(edit(case, ("a.png", PICTURE, "image/png")))


@step("edit-list")
def edit_list(case: Case) -> Any:
    return from_links(edit(case, [("a.png", PICTURE, "image/png"), io.BytesIO(MASK)]))


@step("edit-bytes")
def edit_bytes(case: Case) -> Any:
    return from_base64(edit(case, PICTURE, response_format="b64_json"))


@step("edit-with-urls")
def edit_with_urls(case: Case) -> Any:
    """A URL in a text part beside the file."""
    return from_links(edit(case, [PICTURE], extra_body={"images": [PICTURE_URL]}))


@step("edit-json")
def edit_json(case: Case) -> Any:
    body = {"model": MODEL, "prompt": case.prompt(), "image": [PICTURE_URL], "response_format": "url", "n": 1}
    return from_links(client_of(case).post("/images/edits", body=body, cast_to=openai.types.ImagesResponse))


@step("edit-by-async")
async def edit_by_async(case: Case) -> Any:
    async with AsyncOpenAI(base_url=f"{case.root}/v1", api_key=KEY) as client:
        reply = await client.images.edit(
            model=MODEL, prompt=case.prompt(), image=[PICTURE], response_format="url", n=1
        )
    return await asyncio.to_thread(from_links, reply)


@step("edit-mask")
def edit_mask(case: Case) -> Any:
    error = raised(openai.BadRequestError, lambda: edit(case, PICTURE, mask=("m.png", MASK, "image/png")))
    is_(error.param, "mask")
    return str(error)


@step("edit-no-picture")
def edit_no_picture(case: Case) -> Any:
    error = raised(openai.BadRequestError, lambda: edit(case, b"these bytes are no picture at all"))
    return error.code


def vary(case: Case) -> Any:
    client = client_of(case)
    return client.images.create_variation(
        model=MODEL, image=("a.png", PICTURE, "image/png"), response_format="url", n=1
    )


@step("variation")
def variation(case: Case) -> Any:
    return from_links(vary(case))


# ── refusals ─────────────────────────────────────────────────────────────────────────────────────


@step("refused-by-moderation")
def refused_by_moderation(case: Case) -> Any:
    error = raised(
        openai.BadRequestError, lambda: generate(case, prompt=case.prompt("a cat [sim:reject-text]"))
    )
    is_(error.response.headers["x-should-retry"], "false")
    assert isinstance(error.code, str)
    return [error.code, error.type]


@step("refused-later-by-moderation")
def refused_later_by_moderation(case: Case) -> Any:
    error = raised(
        openai.BadRequestError, lambda: generate(case, prompt=case.prompt("a cat [sim:reject-result]"))
    )
    return error.code


@step("refused-by-the-site")
def refused_by_the_site(case: Case) -> Any:
    """It failed and was charged, so nobody may try again by himself."""
    error = raised(openai.APIStatusError, lambda: generate(case, prompt=case.prompt("a cat [sim:fail]")))
    is_(error.response.headers["x-should-retry"], "false")
    return [error.status_code, error.code]


@step("wrong-key")
def wrong_key(case: Case) -> Any:
    client = OpenAI(base_url=f"{case.root}/v1", api_key="gw_00000000000000000000000000000000")
    error = raised(
        openai.AuthenticationError, lambda: client.images.generate(model=MODEL, prompt=case.prompt())
    )
    assert error.request_id
    return error.code


@step("unknown-model")
def unknown_model(case: Case) -> Any:
    error = raised(openai.APIStatusError, lambda: generate(case, model="no-such-model"))
    assert error.status_code in (400, 404), error
    return [error.status_code, error.code]


@step("no-prompt")
def no_prompt(case: Case) -> Any:
    error = raised(openai.BadRequestError, lambda: generate(case, prompt=""))
    return is_(error.param, "prompt")


@step("too-many")
def too_many(case: Case) -> Any:
    """Decided before the first byte of the stream."""
    error = raised(openai.BadRequestError, lambda: list(generate(case, n=11, stream=True)))
    return is_(error.param, "n")


@step("unknown-route")
def unknown_route(case: Case) -> Any:
    error = raised(
        openai.NotFoundError, lambda: client_of(case).post("/images/nothing", body={}, cast_to=object)
    )
    return error.type


# ── once, whatever the network does ──────────────────────────────────────────────────────────────

ALL = ("refuse", "refuse-after", "cut", "half", "hangup", "lost", "torn")


@under_faults("generate", *ALL)
def generate_once(case: Case) -> Any:
    return from_links(generate(case))


@under_faults("edit", *ALL)
def edit_once(case: Case) -> Any:
    return from_links(edit(case, [PICTURE, MASK]))


@under_faults("variation", "refuse-after", "lost")
def vary_once(case: Case) -> Any:
    return from_links(vary(case))


@under_faults("stream", "refuse", "refuse-after", "hangup", "lost")
def stream_once(case: Case) -> Any:
    stream = client_of(case).images.generate(model=MODEL, prompt=case.prompt(), n=1, stream=True)
    return is_(completed(list(stream), "image_generation"), 1)


@step("stream-torn", "torn")
def stream_torn(case: Case) -> Any:
    """A stream that has begun is not taken up again: the program is told."""
    stream = client_of(case).images.generate(model=MODEL, prompt=case.prompt(), n=1, stream=True)
    return str(raised(Exception, lambda: list(stream)))


@under_faults("async-edit", "refuse-after", "lost")
async def async_edit_once(case: Case) -> Any:
    async with AsyncOpenAI(base_url=f"{case.root}/v1", api_key=KEY) as client:
        reply = await client.images.edit(
            model=MODEL, prompt=case.prompt(), image=PICTURE, response_format="url", n=1
        )
    return await asyncio.to_thread(from_links, reply)


if __name__ == "__main__":
    main()
