"""The OpenAI door over the real gateway, with a worker and the simulated site where work is to be done."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

from http_client import Answer, Client, form
from support.aio import run
from support.media import a_png, an_mp4
from test_http_real import LOGIN, key_of, opened, working

IMAGES = "/v1/images/generations"
VIDEOS = "/v1/videos"
TASKS = "/api/v1/tasks"


async def ended(client: Client, made: Answer) -> dict[str, Any]:
    """The video at its end."""
    assert made.status == 200, made.body
    path = f"{TASKS}/{made.json['id']}/events"
    await client.get(path, headers={"accept": "text/event-stream"})
    return (await client.get(f"{VIDEOS}/{made.json['id']}")).json


def test_a_video_from_beginning_to_end(tmp_path: Path) -> None:
    async def main() -> None:
        async with working(tmp_path) as (admin, _):
            await admin.post("/api/v1/sessions", {"credential": LOGIN})
            user = await key_of(admin, "app")
            fields = {"model": "sora-2", "prompt": "waves", "seconds": "4", "size": "720x1280"}
            parts = [(name, "", value.encode()) for name, value in fields.items()]
            made = await user.call("POST", VIDEOS, **form(*parts))
            assert (made.json["status"], made.json["seconds"]) == ("queued", "4")
            video = await ended(user, made)
            assert (video["status"], video["progress"], video["error"]) == ("completed", 100, None)
            assert (video["model"], video["size"]) == ("sora-2", "720x1280")
            path = f"{VIDEOS}/{video['id']}"
            whole = await user.get(f"{path}/content")
            assert (whole.status, whole.header("content-type"), whole.body[4:8]) == (
                200,
                "video/mp4",
                b"ftyp",
            )
            head = await user.call("HEAD", f"{path}/content")
            assert head.header("content-length") == str(len(whole.body))
            small = await user.get(f"{path}/content?variant=thumbnail")
            assert (small.status, (small.header("content-type") or "").partition("/")[0]) == (200, "image")

            remix = await user.post(f"{path}/remix", {"prompt": "at night"})
            assert remix.json["remixed_from_video_id"] == video["id"]
            done = await ended(user, remix)
            assert (done["status"], done["model"], done["size"]) == ("completed", "sora-2", "720x1280")
            task = (await user.get(f"{TASKS}/{remix.json['id']}")).json
            assert [one["kind"] for one in task["references"]] == ["video"]
            assert task["request"]["duration"] == 4

            edited = await user.call(
                "POST",
                f"{VIDEOS}/edits",
                **form(("prompt", "", b"green"), ("video[id]", "", video["id"].encode())),
            )
            assert (await ended(user, edited))["size"] == "720x1280"
            again = {"prompt": "green", "video": {"id": video["id"]}}
            rehearsed = await user.post(f"{VIDEOS}/edits?dry_run=true", again)
            assert [one["kind"] for one in rehearsed.json["references"]] == ["video"]

            await user.call("DELETE", f"{TASKS}/{video['id']}/results")
            for gone in (
                await user.get(f"{path}/content"),
                await user.post(f"{path}/remix", {"prompt": "x"}),
            ):
                assert (gone.status, gone.error["code"]) == (410, "content_removed")
                assert gone.header("x-should-retry") == "false"
            assert "url" not in (await user.get(path)).json

    run(main())


def test_refusals_of_the_site_in_the_words_of_openai(tmp_path: Path) -> None:
    async def main() -> None:
        async with working(tmp_path) as (admin, _):
            await admin.post("/api/v1/sessions", {"credential": LOGIN})
            picture = await admin.post(IMAGES, {"prompt": "[sim:reject-text]", "n": 1})
            assert (picture.status, picture.error["code"]) == (400, "moderation_blocked")
            assert picture.error["type"] == "image_generation_user_error"
            assert picture.header("x-should-retry") == "false"
            stream = await admin.post(IMAGES, {"prompt": "[sim:reject-text]", "stream": True})
            assert stream.status == 200
            event = stream.body.rpartition(b"data: ")[2]
            assert json.loads(event)["error"]["code"] == "moderation_blocked"
            video = await ended(admin, await admin.post(VIDEOS, {"prompt": "[sim:reject-text]"}))
            assert (video["status"], video["error"]["code"]) == ("failed", "moderation_blocked")
            assert video["completed_at"] is None

    run(main())


def test_a_picture_is_streamed_and_remembered(tmp_path: Path) -> None:
    async def main() -> None:
        async with working(tmp_path) as (admin, _):
            await admin.post("/api/v1/sessions", {"credential": LOGIN})
            sent = {"prompt": "cat", "stream": True, "model": "jimeng-4.6", "quality": "low"}
            headers = {"idempotency-key": "one"}
            for _ in range(2):
                answer = await admin.post(IMAGES, sent, headers=headers)
                event = json.loads(answer.body.rpartition(b"data: ")[2])
                assert base64.b64decode(event["b64_json"]).startswith(b"\x89PNG")
                assert (event["size"], event["output_format"]) == ("1024x1024", "png")
            (task,) = (await admin.get(TASKS)).json["data"]
            await admin.call("DELETE", f"{TASKS}/{task['id']}/results")
            gone = await admin.post(IMAGES, sent, headers=headers)
            assert b'"content_removed"' in gone.body
            plain = {"prompt": "cat", "model": "jimeng-4.6"}
            first = await admin.post(IMAGES, plain, headers={"idempotency-key": "two"})
            await admin.call("DELETE", f"{TASKS}/{first.json['task_id']}/results")
            again = await admin.post(IMAGES, plain, headers={"idempotency-key": "two"})
            assert (again.status, again.error["code"]) == (410, "content_removed")

    run(main())


def test_a_list_goes_on_behind_what_was_deleted(tmp_path: Path) -> None:
    """A program that deletes each video that it is shown still comes to the end."""

    async def main() -> None:
        async with opened(tmp_path) as (admin, _):
            user, other = await key_of(admin, "one"), await key_of(admin, "two")
            made = [(await user.post(VIDEOS, {"prompt": f"{n}"})).json["id"] for n in range(5)]
            await user.post(TASKS, {"prompt": "a picture", "kind": "image"})
            for order, expected in (("desc", made[::-1]), ("asc", made)):
                seen, after = [], ""
                while True:
                    page = (await user.get(f"{VIDEOS}?limit=2&order={order}{after}")).json
                    seen += [video["id"] for video in page["data"]]
                    assert (page["first_id"], page["last_id"]) == (page["data"][0]["id"], seen[-1])
                    if not page["has_more"]:
                        break
                    after = f"&after={page['last_id']}"
                assert seen == expected
            assert (await other.get(VIDEOS)).json["data"] == []
            seen, after = [], ""
            while True:
                page = (await user.get(f"{VIDEOS}?limit=2{after}")).json
                for video in page["data"]:
                    seen.append(video["id"])
                    gone = await user.call("DELETE", f"{VIDEOS}/{video['id']}")
                    assert gone.json == {"id": video["id"], "object": "video.deleted", "deleted": True}
                if not page["has_more"]:
                    break
                after = f"&after={page['last_id']}"
            assert seen == made[::-1]
            assert (await user.get(f"{VIDEOS}/{made[0]}")).status == 404
            assert (await user.get(f"{VIDEOS}?after=nothing")).error["param"] == "after"

    run(main())


def test_a_try_that_is_sent_again_is_the_same_video(tmp_path: Path) -> None:
    """The SDKs cut the form into other parts with every try (openai-media.md 2.3)."""

    async def main() -> None:
        async with opened(tmp_path) as (admin, _):
            sent = form(("prompt", "", b"p"), ("input_reference", "upload", a_png(400, 400)))
            ids = []
            for attempt, boundary in (("0", b"X"), ("1", b"YY"), ("2", b"ZZZ")):
                how = {
                    "headers": {
                        "content-type": f"multipart/form-data; boundary={boundary.decode()}",
                        "x-stainless-retry-count": attempt,
                    },
                    "body": sent["body"].replace(b"--X", b"--" + boundary),
                }
                answer = await admin.call("POST", VIDEOS, **how)
                assert answer.status == 200
                ids.append(answer.json["id"])
            assert len(set(ids)) == 1
            fresh = await admin.call("POST", VIDEOS, **sent)
            assert fresh.json["id"] != ids[0]

    run(main())


def test_other_names_for_models(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as (admin, _):
            user = await key_of(admin, "app")
            (key,) = (await admin.get("/api/v1/keys")).json["data"]
            aliases = {"sora-2": "seedance-2.0-fast", "studio/film": "seedance-2.5", "film-*": "seedance-2.5"}
            await admin.call("PATCH", f"/api/v1/keys/{key['id']}", json={"aliases": aliases})
            listed = {one["id"]: one["alias_of"] for one in (await user.get("/v1/models")).json["data"]}
            assert (listed["sora-2"], listed["studio/film"]) == ("seedance-2.0-fast", "seedance-2.5")
            assert "film-*" not in listed
            assert (await user.get("/v1/models/film-9")).json["alias_of"] == "seedance-2.5"
            assert (await user.get("/v1/models/studio/film")).json["id"] == "studio/film"
            video = (await user.post(VIDEOS, {"prompt": "x", "model": "studio/film", "seconds": 30})).json
            assert (video["model"], video["seconds"]) == ("studio/film", "30")
            native = (await user.get(f"{TASKS}/{video['id']}")).json
            assert native["model"] == "seedance-2.5"
            own = await user.get("/v1/models/jimeng-4.5")
            assert own.json["alias_of"] is None

    run(main())


def test_what_is_not_offered_costs_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as (admin, _):
            clip = ("video", "a.mp4", an_mp4())
            for parts, param in [
                ([("prompt", "", b"x"), clip, ("model", "", b"jimeng-video-3.0-fast")], "references"),
                ([("prompt", "", b"x"), clip, ("model", "", b"jimeng-4.5")], "model"),
                ([("prompt", "", b"x"), clip, ("seconds", "", b"99")], "seconds"),
            ]:
                answer = await admin.call("POST", f"{VIDEOS}/edits", **form(*parts))
                assert (answer.status in (400, 404), answer.error["param"]) == (True, param), answer.body
            dry = await admin.call("POST", f"{VIDEOS}/edits?dry_run=true", **form(("prompt", "", b"x"), clip))
            assert dry.json["request"]["duration"] == 5
            assert (dry.json["request"]["width"], dry.json["request"]["height"]) == (1280, 720)
            waiting = (await admin.post(VIDEOS, {"prompt": "x"})).json["id"]
            assert (await admin.post(f"{VIDEOS}/{waiting}/remix", {"prompt": "y"})).status == 409
            await admin.post(f"{TASKS}/{waiting}/cancel")
            video = (await admin.get(f"{VIDEOS}/{waiting}")).json
            assert (video["status"], video["error"]["code"]) == ("failed", "cancelled")
            assert len((await admin.get(TASKS)).json["data"]) == 1

    run(main())
