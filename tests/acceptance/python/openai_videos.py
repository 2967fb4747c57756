"""The OpenAI SDK's videos: create, poll, list, delete, content, remix; and models (openai-media.md 5, 6)."""

from __future__ import annotations

import time
import urllib.request
from typing import Any

import openai
from openai import AsyncOpenAI, OpenAI
from steps import CLIP, KEY, PICTURE, PICTURE_URL, Case, is_, main, raised, step, under_faults

MODEL = "seedance-2.0"
#: Milliseconds; what the gateway suggests is for sites at their real speed.
EVERY = 300


def client_of(case: Case, **more: Any) -> OpenAI:
    return OpenAI(base_url=f"{case.root}/v1", api_key=KEY, **more)


def asked(case: Case, **more: Any) -> dict[str, Any]:
    return {"model": MODEL, "prompt": case.prompt(), "seconds": "4", "size": "1280x720", **more}


def make(case: Case, **more: Any) -> Any:
    return client_of(case).videos.create_and_poll(**asked(case, **more), poll_interval_ms=EVERY)


def finished(video: Any) -> dict[str, Any]:
    """The fields of a finished video, which are of the declared types."""
    is_((video.object, video.status, video.progress, video.error), ("video", "completed", 100, None))
    assert isinstance(video.seconds, str)
    assert isinstance(video.created_at, int)
    assert isinstance(video.completed_at, int)
    return {"id": video.id, "seconds": video.seconds, "size": video.size, "model": video.model}


def failed(video: Any) -> str:
    """The code of a failed video."""
    is_(video.status, "failed")
    assert isinstance(video.error.code, str)
    assert isinstance(video.error.message, str)
    return str(video.error.code)


def is_mp4(data: bytes) -> int:
    is_(data[4:8], b"ftyp")
    return len(data)


# ── create and poll ──────────────────────────────────────────────────────────────────────────────


@step("create-and-poll")
def create_and_poll(case: Case) -> Any:
    found = finished(make(case))
    is_((found["seconds"], found["size"]), ("4", "1280x720"))
    return found


@step("create-as-sora")
def create_as_sora(case: Case) -> Any:
    """The names that tools have built in."""
    return finished(make(case, model="sora-2", size="720x1280"))


@step("create-with-bytes")
def create_with_bytes(case: Case) -> Any:
    return finished(make(case, input_reference=PICTURE))


@step("create-with-file")
def create_with_file(case: Case) -> Any:
    return finished(make(case, input_reference=("first.png", PICTURE, "image/png")))


@step("create-with-url-in-json")
def create_with_url(case: Case) -> Any:
    """How a URL can be given in Python: multipart cannot carry the object (openai-media.md 5.1)."""
    return finished(
        make(
            case,
            extra_headers={"Content-Type": "application/json"},
            extra_body={"input_reference": {"image_url": PICTURE_URL}},
        )
    )


@step("create-with-extra-body")
def create_with_extra_body(case: Case) -> Any:
    """Nested and repeated text parts."""
    found = make(case, extra_body={"ratio": "16:9", "reference_images": [PICTURE_URL, PICTURE_URL]})
    return finished(found)


@step("create-by-async")
async def create_by_async(case: Case) -> Any:
    async with AsyncOpenAI(base_url=f"{case.root}/v1", api_key=KEY) as client:
        return finished(await client.videos.create_and_poll(**asked(case), poll_interval_ms=EVERY))


@step("create-is-strictly-typed")
def create_strictly(case: Case) -> Any:
    """The SDK's own strict mode, which refuses a wrong type anywhere."""
    return finished(
        client_of(case, _strict_response_validation=True).videos.create_and_poll(
            **asked(case), poll_interval_ms=EVERY
        )
    )


@step("poll-interval-header")
def poll_interval_header(case: Case) -> Any:
    """The interval is in every poll; without an argument the SDK waits as long as the first one says."""
    client = client_of(case)
    video = client.videos.create(**asked(case, prompt=case.prompt("a cat [sim:slow=100]")))
    reply = client.videos.with_raw_response.retrieve(video.id)
    interval = int(reply.headers["openai-poll-after-ms"])
    started = time.monotonic()
    finished(client.videos.poll(video.id))
    took = time.monotonic() - started
    assert took >= interval / 1000, f"{took:.1f} s, and not {interval} ms"
    return interval


@step("create-with-idempotency-key")
def create_with_key(case: Case) -> Any:
    client = client_of(case)
    headers = {"Idempotency-Key": f"{case.name}-1"}
    ids = {client.videos.create(**asked(case), extra_headers=headers).id for _ in range(2)}
    return is_(len(ids), 1)


@step("failed-in-the-end")
def failed_in_the_end(case: Case) -> Any:
    return failed(make(case, prompt=case.prompt("a cat [sim:reject-result]")))


@step("failed-at-once")
def failed_at_once(case: Case) -> Any:
    return failed(make(case, prompt=case.prompt("a cat [sim:reject-text]")))


# ── what else can be done with them ──────────────────────────────────────────────────────────────


@step("list-pages")
def list_pages(case: Case) -> Any:
    client = client_of(case)
    made = [client.videos.create(**asked(case)).id for _ in range(5)]
    first = client.videos.list(limit=2)
    is_((len(first.data), first.has_more), (2, True))
    listed = [video.id for video in client.videos.list(limit=2)]
    is_(len(listed), len(set(listed)))
    is_([found for found in listed if found in made], made[::-1])
    upwards = [video.id for video in client.videos.list(limit=2, order="asc")]
    is_([found for found in upwards if found in made], made)
    return len(listed)


@step("content")
def content(case: Case) -> Any:
    client = client_of(case)
    video = make(case)
    reply = client.videos.download_content(video.id)
    is_(reply.response.headers["content-type"], "video/mp4")
    size = is_mp4(reply.read())
    poster = client.videos.download_content(video.id, variant="thumbnail")
    kind = poster.response.headers["content-type"]
    assert kind in ("image/jpeg", "image/webp", "image/png"), kind
    assert len(poster.read()) > 100
    part = client.videos.with_raw_response.download_content(video.id, extra_headers={"Range": "bytes=4-7"})
    is_((part.status_code, part.content), (206, b"ftyp"))
    return [size, kind]


@step("content-to-file")
def content_to_file(case: Case) -> Any:
    client = client_of(case)
    video = make(case)
    with client.videos.with_streaming_response.download_content(video.id) as reply:
        return is_mp4(b"".join(reply.iter_bytes()))


@step("content-spritesheet")
def content_spritesheet(case: Case) -> Any:
    """There are none; which is said, and once."""
    client = client_of(case)
    video = make(case)
    error = raised(
        openai.APIStatusError, lambda: client.videos.download_content(video.id, variant="spritesheet")
    )
    assert error.status_code in (400, 404), error
    return str(error)


@step("content-too-early")
def content_too_early(case: Case) -> Any:
    client = client_of(case)
    video = client.videos.create(**asked(case, prompt=case.prompt("a cat [sim:slow=400]")))
    error = raised(openai.APIStatusError, lambda: client.videos.download_content(video.id))
    assert error.status_code in (400, 404), error
    is_(error.response.headers["x-should-retry"], "false")
    return error.code


@step("link-opens")
def link_opens(case: Case) -> Any:
    """Many programs take a link from one of these fields (openai-media.md 5.2)."""
    video = make(case)
    link = getattr(video, "video_url", None) or getattr(video, "url", None)
    with urllib.request.urlopen(link) as file:
        return is_mp4(file.read())


@step("delete")
def delete(case: Case) -> Any:
    client = client_of(case)
    video = make(case)
    gone = client.videos.delete(video.id)
    is_((gone.id, gone.object, gone.deleted), (video.id, "video.deleted", True))
    error = raised(openai.NotFoundError, lambda: client.videos.retrieve(video.id))
    assert video.id not in [found.id for found in client.videos.list()]
    return error.code


@step("delete-running")
def delete_running(case: Case) -> Any:
    """Either it is cancelled and deleted, or it is said once that it cannot be."""
    client = client_of(case)
    video = client.videos.create(**asked(case, prompt=case.prompt("a cat [sim:slow=400]")))
    deadline = time.monotonic() + 20
    while client.videos.retrieve(video.id).metadata["stage"] != "polling":
        assert time.monotonic() < deadline
        time.sleep(0.2)
    try:
        return client.videos.delete(video.id).deleted
    except openai.BadRequestError as error:
        return is_(error.response.headers["x-should-retry"], "false")


@step("remix")
def remix(case: Case) -> Any:
    client = client_of(case)
    video = make(case)
    other = client.videos.remix(video.id, prompt=case.prompt("the same by night"))
    is_(other.remixed_from_video_id, video.id)
    done = client.videos.poll(other.id, poll_interval_ms=EVERY)
    is_(done.remixed_from_video_id, video.id)
    return finished(done)


@step("edit")
def edit(case: Case) -> Any:
    """A video that is brought along."""
    client = client_of(case)
    clip = ("clip.mp4", CLIP, "video/mp4")
    made = client.videos.edit(prompt=case.prompt(), video=clip, extra_body={"model": MODEL})
    return finished(client.videos.poll(made.id, poll_interval_ms=EVERY))


@step("not-offered")
def not_offered(case: Case) -> Any:
    """What the site cannot do is refused by name, and the paths are no video ids."""
    client = client_of(case)
    calls = {
        "extend": lambda: client.videos.extend(prompt=case.prompt(), seconds="4", video=PICTURE),
        "create_character": lambda: client.videos.create_character(name="x", video=PICTURE),
        "get_character": lambda: client.videos.get_character("x"),
    }
    said = {}
    for name, call in calls.items():
        error = raised(openai.APIStatusError, call)
        assert error.status_code in (400, 404), error
        assert isinstance(error.body, dict), error.body
        said[name] = error.message
    return said


@step("retrieve-unknown")
def retrieve_unknown(case: Case) -> Any:
    return raised(openai.NotFoundError, lambda: client_of(case).videos.retrieve("video_none")).code


@step("unknown-model")
def unknown_model(case: Case) -> Any:
    error = raised(
        openai.APIStatusError, lambda: client_of(case).videos.create(**asked(case, model="no-such-model"))
    )
    assert error.status_code in (400, 404), error
    return error.code


@step("reference-that-cannot-be-honoured")
def reference_not_honoured(case: Case) -> Any:
    """Nothing is spent when an input was lost on the way."""
    error = raised(
        openai.BadRequestError,
        lambda: client_of(case).videos.create(**asked(case), input_reference=b"no picture and no address"),
    )
    return error.code


# ── models ───────────────────────────────────────────────────────────────────────────────────────


@step("models")
def models(case: Case) -> Any:
    client = client_of(case)
    found = {model.id: model for model in client.models.list()}
    assert {MODEL, "jimeng-4.5", "sora-2"} <= set(found), sorted(found)
    assert all(model.object == "model" and isinstance(model.created, int) for model in found.values())
    is_(client.models.retrieve(MODEL).id, MODEL)
    is_(client.models.retrieve("sora-2").id, "sora-2")
    return len(found)


@step("models-with-a-slash")
def models_with_a_slash(case: Case) -> Any:
    """Declared to the gateway as another name (JIMENG_MODEL_ALIASES)."""
    client = client_of(case)
    is_(client.models.retrieve("jimeng/seedance 2.0").id, "jimeng/seedance 2.0")
    return raised(openai.NotFoundError, lambda: client.models.retrieve("nobody/knows this")).code


# ── once, whatever the network does ──────────────────────────────────────────────────────────────


@under_faults("create", "refuse", "refuse-after", "cut", "half", "hangup", "lost", "torn")
def create_once(case: Case) -> Any:
    return finished(make(case))


@under_faults("create-with-bytes", "refuse-after", "half", "lost")
def create_with_bytes_once(case: Case) -> Any:
    return finished(make(case, input_reference=PICTURE))


@under_faults("async-create", "refuse-after", "lost")
async def async_create_once(case: Case) -> Any:
    async with AsyncOpenAI(base_url=f"{case.root}/v1", api_key=KEY) as client:
        return finished(await client.videos.create_and_poll(**asked(case), poll_interval_ms=EVERY))


@under_faults("remix", "refuse-after", "lost")
def remix_once(case: Case) -> Any:
    client = client_of(case)
    other = client.videos.remix(make(case).id, prompt=case.prompt("by night"))
    return finished(client.videos.poll(other.id, poll_interval_ms=EVERY))


if __name__ == "__main__":
    main()
