"""ComfyUI-Jimeng-API, which calls Ark by the vendor's SDK (clients.md 10.5). The SDK sends every parameter
that was not set as null (ark.md 2.1).
"""

from __future__ import annotations

from replays.program import (
    ARK_IMAGE,
    ARK_IMAGES,
    ARK_TASKS,
    ARK_VIDEO,
    DATA_URI,
    Made,
    Program,
    is_picture,
    is_video,
    replay,
)

UA = "volc-sdk-python/1.0.0"
VIDEO_NULLS = dict.fromkeys(
    [
        "safety_identifier",
        "callback_url",
        "return_last_frame",
        "service_tier",
        "execution_expires_after",
        "priority",
        "generate_audio",
        "draft",
        "camera_fixed",
        "seed",
        "frames",
        "tools",
        "output_format",
        "omni_reference_task_type",
    ]
)
IMAGE_NULLS = dict.fromkeys(
    ["seed", "guidance_scale", "optimize_prompt", "tools", "output_format", "layer_decomposition", "image"]
)


@replay("comfyui.video", submits=1, user_agent=UA)
def video(program: Program) -> None:
    image = {"type": "image_url", "image_url": {"url": DATA_URI}, "role": "first_frame"}
    content = [{"type": "text", "text": program.prompt()}, image]
    wish = {"model": ARK_VIDEO, "content": content, **VIDEO_NULLS, "watermark": False, "duration": 5}
    made = program.send("POST", ARK_TASKS, wish).read(Made)
    task = program.polled(
        lambda: program.send("GET", f"{ARK_TASKS}/{made.id}").json(),
        lambda found: str(found["status"]),
        {"queued", "running"},
    )
    assert task["status"] == "succeeded"
    is_video(program.send("GET", task["content"]["video_url"]))
    # From those that are done it guesses the time left.
    query = f"page_num=1&page_size=50&filter.status=succeeded&filter.model={ARK_VIDEO}"
    items = program.send("GET", f"{ARK_TASKS}?{query}").json()["items"]
    mine = [item for item in items if item["id"] == made.id]
    assert len(mine) == 1
    assert mine[0]["updated_at"] >= mine[0]["created_at"]
    assert (mine[0]["duration"], mine[0]["status"]) == (5, "succeeded")
    assert isinstance(mine[0]["resolution"], str)
    assert all(item["status"] == "succeeded" for item in items)


@replay("comfyui.interrupt", submits=1, user_agent=UA)
def interrupt(program: Program) -> None:
    content = [{"type": "text", "text": program.prompt("[sim:forever]")}]
    wish = {"model": ARK_VIDEO, "content": content, **VIDEO_NULLS}
    made = program.send("POST", ARK_TASKS, wish).read(Made)
    path = f"{ARK_TASKS}/{made.id}"
    program.polled(lambda: program.send("GET", path).json(), lambda task: str(task["status"]), {"queued"})
    # The SDK reads JSON from every reply, and tries a 409 three times unless it is told not to.
    reply = program.send("DELETE", path, {})
    assert isinstance(reply.json(), dict)
    assert reply.status == 200 or reply.headers["x-should-retry"] == "false", reply
    if reply.status != 200:
        program.cancel()
    assert (
        program.send("GET", path).status == 404 or program.send("GET", path).json()["status"] == "cancelled"
    )


@replay("comfyui.image", submits=1, user_agent=UA)
def image(program: Program) -> None:
    options = {"optimize_prompt_options": {"thinking": None, "mode": "standard"}}
    wish = {"model": ARK_IMAGE, "prompt": program.prompt(), "response_format": "url", "size": "2K"}
    sequence = {"sequential_image_generation": "disabled", "sequential_image_generation_options": None}
    body = {**wish, **IMAGE_NULLS, **options, **sequence, "watermark": False}
    reply = program.send("POST", ARK_IMAGES, body)
    assert reply.status == 200, reply
    found = reply.json()
    assert found["model"]
    assert isinstance(found["created"], int)
    is_picture(program.send("GET", found["data"][0]["url"]))
