"""Dify's plugins "volcengine" and "byteplus", which check credentials by requests that spend nothing, and
replies by strict types (clients.md 10.2).
"""

from __future__ import annotations

from msgspec import Struct

from replays.program import (
    ARK_IMAGE,
    ARK_IMAGES,
    ARK_TASKS,
    ARK_VIDEO,
    DATA_URI,
    Content,
    Made,
    Program,
    Usage,
    is_video,
    picture_in,
    replay,
)

UA = "Python-urllib/3.12"


class DifyFailure(Struct):
    """Of the struct below."""

    code: str
    message: str


class DifyVideo(Struct):
    """What its plugin validates, in strict mode."""

    id: str
    model: str
    status: str
    created_at: int
    updated_at: int
    error: DifyFailure | None = None
    content: Content | None = None
    usage: Usage | None = None
    duration: int | None = None
    framespersecond: int | None = None
    seed: int | None = None


class DifyList(Struct):
    """The credential check reads an object."""

    items: list[DifyVideo]
    total: int


@replay("dify.credentials", submits=0, user_agent=UA)
def credentials(program: Program) -> None:
    program.send("GET", f"{ARK_TASKS}?page_num=1&page_size=1").read(DifyList)
    wrong = program.send("GET", f"{ARK_TASKS}?page_num=1&page_size=1", key="sk-wrong")
    assert wrong.status == 401
    # A probe that spends nothing: 404 would mean bad credentials.
    probe = program.send("GET", ARK_IMAGES)
    assert probe.status in (400, 405), probe
    assert isinstance(probe.json()["error"]["code"], str)
    assert program.send("GET", ARK_IMAGES, key="sk-wrong").status == 401


@replay("dify.image", submits=1, user_agent=UA)
def image(program: Program) -> None:
    wish = {
        "model": ARK_IMAGE,
        "prompt": program.prompt(),
        "size": "2048x2048",
        "watermark": False,
        "response_format": "b64_json",
        "sequential_image_generation": "disabled",
        "safety_identifier": "6f1d0a",
    }
    reply = program.send("POST", ARK_IMAGES, wish)
    assert reply.status == 200, reply
    found = reply.json()
    assert isinstance(found["created"], int)
    picture_in(found["data"][0]["b64_json"])
    assert isinstance(found["usage"]["generated_images"], int)


@replay("dify.video", submits=1, user_agent=UA)
def video(program: Program) -> None:
    frames = [
        {"type": "image_url", "image_url": {"url": DATA_URI}, "role": role}
        for role in ("first_frame", "last_frame")
    ]
    wish = {
        "model": ARK_VIDEO,
        "content": [{"type": "text", "text": program.prompt()}, *frames],
        "resolution": "720p",
        "ratio": "16:9",
        "duration": 5,
        "safety_identifier": "6f1d0a",
    }
    made = program.send("POST", ARK_TASKS, wish).read(Made)
    video = program.polled(
        lambda: program.send("GET", f"{ARK_TASKS}/{made.id}").read(DifyVideo),
        lambda found: found.status,
        {"queued", "running"},
    )
    assert (video.status, video.error, video.duration) == ("succeeded", None, 5)
    assert video.content is not None
    is_video(program.send("GET", video.content.video_url))


@replay("dify.video_failed", submits=1, user_agent=UA)
def video_failed(program: Program) -> None:
    text = {"type": "text", "text": program.prompt("[sim:reject-result]")}
    made = program.send("POST", ARK_TASKS, {"model": ARK_VIDEO, "content": [text]}).read(Made)
    video = program.polled(
        lambda: program.send("GET", f"{ARK_TASKS}/{made.id}").read(DifyVideo),
        lambda found: found.status,
        {"queued", "running"},
    )
    assert video.status == "failed"
    assert video.error is not None
    assert video.error.code
