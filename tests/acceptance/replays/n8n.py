"""n8n's built-in OpenAI node, to which any true `error` is a failure (clients.md 10.3)."""

from __future__ import annotations

from typing import Any

from replays.program import (
    Form,
    Program,
    is_video,
    picture_in,
    replay,
)

UA = "axios/1.12.0"


@replay("n8n.video", submits=1, user_agent=UA)
def video(program: Program) -> None:
    parts = (("model", "sora-2"), ("prompt", program.prompt()), ("seconds", "7"), ("size", "1280x720"))
    made = program.send("POST", "/v1/videos", Form(parts)).json()

    def ask() -> Any:
        found = program.send("GET", f"/v1/videos/{made['id']}").json()
        # Whatever is true here is thrown as an error of the workflow.
        assert not found.get("error"), found
        return found

    video = program.polled(ask, lambda found: str(found["status"]), {"queued", "in_progress"})
    assert video["status"] == "completed"
    is_video(program.send("GET", f"/v1/videos/{video['id']}/content"))


@replay("n8n.image", submits=1, user_agent=UA)
def image(program: Program) -> None:
    wish = {"model": "gpt-image-1", "prompt": program.prompt(), "response_format": "b64_json", "n": 1}
    (item,) = program.send("POST", "/v1/images/generations", wish).json()["data"]
    picture_in(item["b64_json"])
