"""new-api as a customer of the gateway: its channels "sora", "Doubao" and "VolcEngine", and its own video
routes (clients.md 10.1). It decodes replies into Go structs: a wrong type fails the whole reply.
"""

from __future__ import annotations

from typing import Any

from harness.stage import PICTURE
from msgspec import Struct

from replays.program import (
    ARK_IMAGE,
    ARK_IMAGES,
    ARK_TASKS,
    ARK_VIDEO,
    DATA_URI,
    VIDEO,
    Content,
    File,
    Form,
    Made,
    Program,
    Usage,
    is_picture,
    is_video,
    replay,
)

UA = "Go-http-client/1.1"


class NewApiError(Struct):
    """Of the struct below."""

    message: str
    code: str


class NewApiVideo(Struct):
    """`responseTask` of the channel "sora"."""

    status: str
    progress: int
    created_at: int
    id: str = ""
    task_id: str = ""
    object: str = ""
    model: str = ""
    completed_at: int | None = None
    expires_at: int | None = None
    seconds: str | None = None
    size: str | None = None
    remixed_from_video_id: str | None = None
    error: NewApiError | None = None

    @property
    def name(self) -> str:
        """By which it asks again."""
        return self.id or self.task_id


#: What its switch over the status knows: unfinished, done, failed.
_SORA_GOING_ON = {"queued", "pending", "processing", "in_progress"}
_SORA_KNOWN = {*_SORA_GOING_ON, "completed", "failed", "cancelled"}


def _sora(program: Program, body: dict[str, Any] | Form) -> NewApiVideo:
    # Anything but 200 is a failure to it, 201 and 202 too.
    made = program.send("POST", "/v1/videos", body).read(NewApiVideo)
    assert made.name

    def ask() -> NewApiVideo:
        found = program.send("GET", f"/v1/videos/{made.name}").read(NewApiVideo)
        assert found.status in _SORA_KNOWN, found
        return found

    return program.polled(ask, lambda found: found.status, _SORA_GOING_ON)


@replay("new-api.sora_json", submits=1, user_agent=UA)
def sora_json(program: Program) -> None:
    wish = {"model": "sora-2", "prompt": program.prompt(), "seconds": "5", "size": "1280x720"}
    video = _sora(program, wish)
    assert (video.status, video.progress, video.seconds, video.error) == ("completed", 100, "5", None)
    content = f"/v1/videos/{video.name}/content"
    whole = program.send("GET", content)
    is_video(whole)
    part = program.send("GET", content, headers={"Range": "bytes=0-99"})
    assert (part.status, part.data) == (206, whole.data[:100])
    assert part.headers["content-range"] == f"bytes 0-99/{len(whole.data)}"


@replay("new-api.sora_form", submits=1, user_agent=UA)
def sora_form(program: Program) -> None:
    parts: tuple[tuple[str, str | File], ...] = (
        ("model", VIDEO),
        ("prompt", program.prompt()),
        ("seconds", "5"),
        ("size", "720x1280"),
        ("input_reference", File("first.png", "image/png", PICTURE)),
    )
    assert _sora(program, Form(parts)).status == "completed"


@replay("new-api.sora_failed", submits=1, user_agent=UA)
def sora_failed(program: Program) -> None:
    wish = {"model": VIDEO, "prompt": program.prompt("[sim:reject-result]"), "seconds": "5"}
    video = _sora(program, wish)
    assert video.status == "failed"
    assert video.error is not None
    assert video.error.code
    assert video.error.message


class NewApiDoubao(Struct):
    """`responseTask` of the channel "Doubao"; a null leaves a Go field as it was."""

    id: str
    model: str
    status: str
    created_at: int
    updated_at: int
    content: Content | None = None
    seed: int | None = None
    resolution: str | None = None
    ratio: str | None = None
    duration: int | None = None
    framespersecond: int | None = None
    service_tier: str | None = None
    usage: Usage | None = None


#: It takes every status that it does not know for unfinished, `cancelled` and `expired` among them.
ENDED = {"succeeded", "failed"}


def _doubao(program: Program, content: list[dict[str, Any]], **metadata: Any) -> NewApiDoubao:
    made = program.send("POST", ARK_TASKS, {"model": ARK_VIDEO, "content": content, **metadata}).read(Made)

    def ask() -> NewApiDoubao:
        return program.send("GET", f"{ARK_TASKS}/{made.id}").read(NewApiDoubao)

    found = program.polled(ask, lambda found: "ended" if found.status in ENDED else "", {""})
    assert found.id == made.id
    return found


@replay("new-api.doubao", submits=1, user_agent=UA)
def doubao(program: Program) -> None:
    image = {"type": "image_url", "image_url": {"url": DATA_URI}}
    content = [image, {"type": "text", "text": program.prompt("it flies --dur 5")}]
    task = _doubao(program, content, resolution="720p", ratio="16:9", watermark=False)
    assert task.status == "succeeded"
    assert task.content is not None
    is_video(program.send("GET", task.content.video_url))


@replay("new-api.doubao_cancelled", submits=1, user_agent=UA)
def doubao_cancelled(program: Program) -> None:
    text = {"type": "text", "text": program.prompt("[sim:forever]")}
    made = program.send("POST", ARK_TASKS, {"model": ARK_VIDEO, "content": [text]}).read(Made)
    path = f"{ARK_TASKS}/{made.id}"
    program.polled(lambda: program.send("GET", path).read(NewApiDoubao), lambda task: task.status, {"queued"})
    # Somebody cancels it by another way, of which new-api never hears.
    program.cancel()
    assert program.send("GET", path).read(NewApiDoubao).status == "failed"


@replay("new-api.volcengine_images", submits=2, user_agent=UA)
def volcengine_images(program: Program) -> None:
    wish = {"model": ARK_IMAGE, "prompt": program.prompt(), "size": "2K", "response_format": "url"}
    for more in ({}, {"image": [DATA_URI]}):
        reply = program.send("POST", ARK_IMAGES, {**wish, **more})
        assert reply.status == 200, reply
        is_picture(program.send("GET", reply.json()["data"][0]["url"]))


class NewApiTicket(Struct):
    """`dto.VideoResponse` of its own door."""

    task_id: str
    status: str


@replay("new-api.own_door", submits=1, user_agent=UA)
def own_door(program: Program) -> None:
    wish = {"model": VIDEO, "prompt": program.prompt(), "duration": 5, "width": 1280, "height": 720, "n": 1}
    wish |= {"image": DATA_URI, "metadata": {"resolution": "720p"}}
    made = program.send("POST", "/v1/video/generations", wish).read(NewApiTicket)
    path = f"/v1/video/generations/{made.task_id}"
    going_on = {"queued", "in_progress", "processing"}
    video = program.polled(lambda: program.send("GET", path).json(), lambda found: found["status"], going_on)
    assert video["task_id"] == made.task_id
    assert video["status"] in ("succeeded", "completed")
    is_video(program.send("GET", video["url"]))
    # Its documents have the task at the top; what is deployed has it in `data`, in other words.
    record = video["data"]
    assert (record["status"], record["progress"], record["fail_reason"]) == ("SUCCESS", "100%", "")
    assert record["result_url"] == video["url"]
