"""Clients of the gateways that this one replaces: jimeng-free-api and its kind, and the older one in Rust."""

from __future__ import annotations

from harness.stage import PICTURE

from replays.program import (
    DATA_URI,
    IMAGE,
    VIDEO,
    File,
    Form,
    Program,
    is_picture,
    is_video,
    replay,
)

UA = "node-fetch/1.0"


@replay("old.images", submits=1, user_agent=UA)
def images(program: Program) -> None:
    wish = {"model": IMAGE, "prompt": program.prompt(), "ratio": "16:9", "resolution": "2k"}
    reply = program.send("POST", "/v1/images/generations", {**wish, "negative_prompt": "rain"})
    assert reply.status == 200, reply
    is_picture(program.send("GET", reply.json()["data"][0]["url"]))


@replay("old.compositions", submits=2, user_agent=UA)
def compositions(program: Program) -> None:
    wish = {"model": IMAGE, "prompt": program.prompt(), "images": [DATA_URI]}
    reply = program.send("POST", "/v1/images/compositions", wish)
    assert reply.status == 200, reply
    is_picture(program.send("GET", reply.json()["data"][0]["url"]))
    parts: tuple[tuple[str, str | File], ...] = (
        ("model", IMAGE),
        ("prompt", program.prompt()),
        ("images", File("one.png", "image/png", PICTURE)),
    )
    reply = program.send("POST", "/v1/images/compositions", Form(parts))
    assert reply.status == 200, reply
    is_picture(program.send("GET", reply.json()["data"][0]["url"]))


@replay("old.images_not_waited_for", submits=1, user_agent=UA)
def images_not_waited_for(program: Program) -> None:
    wish = {"model": IMAGE, "prompt": program.prompt()}
    reply = program.send("POST", "/v1/images/generations", wish, {"Prefer": "respond-async"})
    assert reply.status == 202, reply
    assert reply.headers["preference-applied"] == "respond-async"
    task_id = reply.json()["data"][0]["task_id"]
    assert program.stage.api.reaches(task_id, "succeeded")["id"] == task_id


@replay("old.videos", submits=1, user_agent=UA)
def videos(program: Program) -> None:
    wish = {"model": VIDEO, "prompt": program.prompt(), "ratio": "16:9", "duration": 5, "file_paths": []}
    reply = program.send("POST", "/v1/videos/generations", wish)
    assert (reply.status, reply.json()["code"]) == (202, 0)
    task_id = reply.json()["data"][0]["task_id"]
    assert program.stage.api.reaches(task_id, "succeeded")["id"] == task_id


@replay("old.videos_waited_for", submits=1, user_agent=UA)
def videos_waited_for(program: Program) -> None:
    wish = {"model": VIDEO, "prompt": program.prompt(), "duration": 5}
    reply = program.send("POST", "/v1/videos/generations", wish, {"Prefer": "wait=30"})
    assert reply.status == 200, reply
    is_video(program.send("GET", reply.json()["data"][0]["url"]))


@replay("old.videos_polled", submits=1, user_agent=UA)
def videos_polled(program: Program) -> None:
    wish = {"model": VIDEO, "prompt": program.prompt(), "duration": 5}
    task_id = program.send("POST", "/v1/videos/generations", wish).json()["data"][0]["task_id"]
    done = program.polled(
        lambda: program.send("GET", f"/v1/videos/generations/{task_id}").json()["data"][0],
        lambda entry: str(entry["status"]),
        {"queued", "submitting", "polling", "downloading"},
    )
    assert done["status"] == "succeeded"
    is_video(program.send("GET", done["url"]))


@replay("old.videos_async", submits=1, user_agent=UA)
def videos_async(program: Program) -> None:
    wish = {"model": VIDEO, "prompt": program.prompt(), "ratio": "16:9", "file_paths": [DATA_URI]}
    made = program.send("POST", "/v1/videos/generations/async", wish)
    assert (made.status, made.json()["status"]) == (200, "processing")
    path = f"/v1/videos/generations/async/{made.json()['task_id']}"
    job = program.polled(lambda: program.send("GET", path).json(), lambda job: job["status"], {"processing"})
    assert job["status"] == "succeeded"
    is_video(program.send("GET", job["data"][0]["url"]))


@replay("old.key_that_waits", submits=1, user_agent=UA)
def key_that_waits(program: Program) -> None:
    # Programs that know no Prefer and want the video in the reply are given a key that waits for it.
    made = program.stage.api.call("POST", "/api/v1/keys", {"name": program.step})
    program.stage.api.call("PATCH", f"/api/v1/keys/{made['id']}", {"wait": 30})
    wish = {"model": VIDEO, "prompt": program.prompt(), "duration": 5}
    reply = program.send("POST", "/v1/videos/generations", wish, key=made["key"])
    assert reply.status == 200, reply
    is_video(program.send("GET", reply.json()["data"][0]["url"]))
