"""The Ark door over the real gateway and the simulated site: what clients send, read and are refused."""

from __future__ import annotations

import asyncio
import base64
import json
from pathlib import Path
from typing import Any

import pytest
from http_client import Answer, Client, make
from http_fake import FakeGateway
from support.aio import run
from support.media import a_png
from test_http_real import LOGIN, key_of, opened, working

from jimeng_gateway.app import Parts
from jimeng_gateway.domain.errors import StoreError
from jimeng_gateway.domain.intake import Wish
from jimeng_gateway.domain.request import Kind
from jimeng_gateway.domain.task import Stage
from jimeng_gateway.gateway import ADMIN

TASKS = "/api/v3/contents/generations/tasks"
IMAGES = "/api/v3/images/generations"
#: An id that clients of Ark have built in; the site's own model behind it is another word.
VIDEO = "doubao-seedance-1-0-pro-fast-251015"
IMAGE = "doubao-seedream-4-5-251128"
PICTURE = "data:image/png;base64," + base64.b64encode(a_png(640, 480)).decode()
TEXT = {"type": "text", "text": "a cat --dur 5 --ratio 9:16"}
#: What the SDK sends for everything that was not set (ark.md 2.1).
NULLS: dict[str, Any] = dict.fromkeys(
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
        "resolution",
        "ratio",
        "duration",
        "frames",
        "tools",
        "output_format",
        "omni_reference_task_type",
    ]
)


async def created(client: Client, *items: dict[str, Any], **fields: Any) -> str:
    """The id of a new task."""
    answer = await client.post(TASKS, {"model": VIDEO, "content": list(items) or [TEXT], **NULLS, **fields})
    assert (answer.status, list(answer.json)) == (200, ["id"]), answer.body
    return str(answer.json["id"])


async def get(client: Client, task_id: str, **headers: str) -> dict[str, Any]:
    answer = await client.get(f"{TASKS}/{task_id}", headers=headers)
    assert answer.status == 200
    found: dict[str, Any] = answer.json
    return found


async def ended(client: Client, parts: Parts, task_id: str) -> dict[str, Any]:
    await parts.gateway.wait(ADMIN, task_id, seconds=60)
    return await get(client, task_id)


def events(answer: Answer) -> list[tuple[str, dict[str, Any]]]:
    """Names and data of a stream, which ends as Ark's do."""
    assert (answer.status, answer.header("content-type")) == (200, "text/event-stream; charset=utf-8")
    # A bare retry line would be an event without data to the SDK.
    assert b"retry:" not in answer.body
    *chunks, done, rest = answer.body.decode().split("\n\n")
    assert (done, rest) == ("data: [DONE]", "")
    found = []
    for chunk in chunks:
        if not chunk.startswith(":"):
            name, data = chunk.split("\n")
            found.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return found


def test_a_video_from_its_order_to_its_file(tmp_path: Path) -> None:
    async def main() -> None:
        async with working(tmp_path) as (client, parts):
            await client.post("/api/v1/sessions", {"credential": LOGIN})
            frame = {"type": "image_url", "image_url": {"url": PICTURE}, "role": None, "text": None}
            task_id = await created(client, TEXT, frame, seed=7, ratio="16:9", watermark=False)
            found = await ended(client, parts, task_id)
            assert found["error"] is None
            assert (found["id"], found["model"], found["status"]) == (task_id, VIDEO, "succeeded")
            # A field of the body stands over a flag of the prompt.
            assert (found["ratio"], found["duration"], found["seed"]) == ("16:9", 5, 7)
            target = found["content"]["video_url"].removeprefix("http://gw.example:5100")
            file = await client.speaking(None).get(target)
            assert (file.header("content-type"), file.body[4:8]) == ("video/mp4", b"ftyp")
            task = await parts.gateway.task(ADMIN, task_id)
            assert task.request.prompt == "a cat"
            assert [entry.role for entry in task.request.references] == ["first_frame"]
            assert (await client.call("DELETE", f"{TASKS}/{task_id}", json={})).json == {}
            assert (await client.get(f"{TASKS}/{task_id}")).status == 404
            assert (await client.call("DELETE", f"{TASKS}/{task_id}")).status == 404

    run(main())


def test_a_failure_of_the_site_is_told_in_arks_words(tmp_path: Path) -> None:
    async def main() -> None:
        async with working(tmp_path) as (client, parts):
            await client.post("/api/v1/sessions", {"credential": LOGIN})
            text = {"type": "text", "text": "a cat [sim:reject-result]"}
            found = await ended(client, parts, await created(client, text))
            assert (found["status"], found["content"], found["usage"]) == ("failed", None, None)
            assert found["error"]["code"] == "SensitiveContentDetected"

    run(main())


def test_what_is_queued_is_cancelled_and_stays_so(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as (client, _):
            task_id = await created(client)
            assert (await get(client, task_id))["status"] == "queued"
            first = await client.call("DELETE", f"{TASKS}/{task_id}", json={})
            assert (first.status, first.json) == (200, {})
            found = await get(client, task_id)
            assert (found["status"], found["error"]["code"]) == ("cancelled", "OperationDenied.InvalidState")
            second = await client.call("DELETE", f"{TASKS}/{task_id}")
            assert (second.status, second.header("x-should-retry")) == (409, "false")
            assert second.error["code"] == "OperationDenied.InvalidState"
            for agent in ("Go-http-client/1.1", "ai/6.0.326 ai-sdk/provider-utils/4.0.1"):
                assert (await get(client, task_id, **{"user-agent": agent}))["status"] == "failed"

    run(main())


def test_a_key_can_choose_the_statuses(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as (admin, _):
            user = await key_of(admin, "relay")
            (key,) = (await admin.get("/api/v1/keys")).json["data"]
            task_id = await created(user)
            await user.call("DELETE", f"{TASKS}/{task_id}")
            for chosen, status in (("lenient", "failed"), ("strict", "cancelled"), ("auto", "cancelled")):
                await admin.call("PATCH", f"/api/v1/keys/{key['id']}", json={"ark_status": chosen})
                assert (await get(user, task_id))["status"] == status
            assert (await (await key_of(admin, "other")).get(f"{TASKS}/{task_id}")).status == 404

    run(main())


def test_what_runs_is_not_cancelled(tmp_path: Path) -> None:
    async def main() -> None:
        async with working(tmp_path) as (client, parts):
            await client.post("/api/v1/sessions", {"credential": LOGIN})
            task_id = await created(client, {"type": "text", "text": "a cat [sim:queue=0] [sim:slow=400]"})
            async for fact in parts.gateway.watch(ADMIN, task_id):
                if getattr(fact, "name", "") == "generation.started":
                    break
            assert (await get(client, task_id))["status"] == "running"
            answer = await client.call("DELETE", f"{TASKS}/{task_id}", json={})
            assert (answer.status, answer.header("x-should-retry")) == (409, "false")
            assert (await parts.gateway.task(ADMIN, task_id)).stage is Stage.POLLING

    run(main())


def test_lists(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as (admin, _):
            user = await key_of(admin, "one")
            made = [await created(user, duration=5) for _ in range(3)]
            made.append(await created(user, model="jimeng-video-3.0-fast"))
            await user.post("/api/v1/tasks", {"prompt": "a picture", "model": "jimeng-4.5"})
            await user.call("DELETE", f"{TASKS}/{made[0]}")

            async def ids(query: str) -> tuple[int, list[str]]:
                answer = await user.get(f"{TASKS}?{query}")
                assert answer.status == 200, answer.body
                return answer.json["total"], [item["id"] for item in answer.json["items"]]

            assert await ids("page_num=1&page_size=1") == (4, [made[3]])
            assert await ids("page_num=2&page_size=3") == (4, [made[0]])
            assert await ids("") == (4, made[::-1])
            assert await ids("filter.status=queued") == (3, made[:0:-1])
            assert await ids("filter.status=cancelled") == (1, [made[0]])
            assert await ids("filter.status=queued&page_size=2&page_num=2") == (3, [made[1]])
            assert await ids("filter.status=running") == (0, [])
            # By the name in the order, and by the model's own.
            assert await ids(f"filter.model={VIDEO}") == (3, made[2::-1])
            assert await ids("filter.model=jimeng-video-3.0-fast") == (4, made[::-1])
            assert await ids("filter.service_tier=flex") == (0, [])
            assert await ids("filter.service_tier=default") == (4, made[::-1])
            chosen = "&".join(f"filter.task_ids={one}" for one in (made[1], made[0], "task_none", made[1]))
            assert await ids(chosen) == (2, [made[1], made[0]])
            assert await ids(f"{chosen}&filter.status=cancelled") == (1, [made[0]])
            other = await key_of(admin, "two")
            assert (await other.get(f"{TASKS}?{chosen}")).json == {"total": 0, "items": []}
            assert (await admin.get(TASKS)).json["total"] == 4
            relay = await user.get(
                f"{TASKS}?filter.status=failed", headers={"user-agent": "Go-http-client/1.1"}
            )
            assert [item["status"] for item in relay.json["items"]] == ["failed"]
            for query in (
                "page_size=501",
                "page_num=0",
                "filter.status=done",
                "page_num=1&page_num=2",
                "sort=1",
            ):
                wrong = await user.get(f"{TASKS}?{query}")
                assert (wrong.status, wrong.error["code"]) == (400, "InvalidParameter")

    run(main())


def test_long_lists_are_filtered_to_their_end(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as (client, parts):
            wish = Wish("a cat", model="jimeng-video-3.0-fast", kind=Kind.VIDEO)
            made = await asyncio.gather(*(parts.gateway.submit(ADMIN, wish) for _ in range(203)))
            found = (await client.get(f"{TASKS}?filter.status=queued&page_num=2&page_size=150")).json
            assert (found["total"], len(found["items"])) == (203, 53)
            newest_first = sorted(made, key=lambda task: (task.created_at, task.id), reverse=True)
            assert [item["id"] for item in found["items"]] == [task.id for task in newest_first[150:]]

    run(main())


@pytest.mark.parametrize(
    ("fields", "status", "code", "param"),
    [
        ({"model": None}, 400, "MissingParameter.model", "model"),
        ({"content": None}, 400, "MissingParameter.content", "content"),
        ({"content": []}, 400, "InvalidParameter", "prompt"),
        ({"model": "doubao-nothing-1-0"}, 404, "InvalidEndpointOrModel.NotFound", "model"),
        ({"model": IMAGE}, 404, "InvalidEndpointOrModel.NotFound", "model"),
        ({"duration": 60}, 400, "InvalidParameter", "duration"),
        ({"resolution": "9k"}, 400, "InvalidParameter", "resolution"),
        ({"ratio": "7:5"}, 400, "InvalidParameter", "ratio"),
        ({"camera_fixed": True}, 400, "InvalidParameter.UnsupportedParameter", "camera_fixed"),
        ({"generate_audio": True}, 400, "InvalidParameter.UnsupportedParameter", "generate_audio"),
        ({"service_tier": "flex"}, 400, "InvalidParameter.UnsupportedParameter", "service_tier"),
        ({"callback_url": "ftp://a.example/x"}, 400, "InvalidParameter", "callback_url"),
        ({"nonsense": 1}, 400, "InvalidParameter", "nonsense"),
        (
            {"content": [TEXT, {"type": "image_url", "image_url": {"url": "asset://a"}}]},
            400,
            "InvalidParameter.UnsupportedParameter",
            "content",
        ),
        (
            {"content": [TEXT, {"type": "image_url", "image_url": {"url": "http://127.0.0.1/x.png"}}]},
            400,
            "InvalidImageURL",
            None,
        ),
        (
            {"content": [TEXT, {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]},
            400,
            "InvalidParameter.UnsupportedImageFormat",
            None,
        ),
    ],
)
def test_refusals_spend_nothing(
    tmp_path: Path, fields: dict[str, Any], status: int, code: str, param: str | None
) -> None:
    async def main() -> None:
        async with opened(tmp_path) as (client, _):
            answer = await client.post(TASKS, {"model": VIDEO, "content": [TEXT], **fields})
            assert (answer.status, answer.error["code"]) == (status, code), answer.body
            assert param is None or answer.error["param"] == param
            assert answer.header("x-should-retry") == "false"
            assert (await client.get(TASKS)).json["total"] == 0

    run(main())


def test_a_request_in_other_words_and_its_rehearsal(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as (client, parts):
            body = {"model": VIDEO, "content": [TEXT], "execution_expires_after": 3600, "priority": 2}
            dry = await client.post(f"{TASKS}?dry_run=true", body)
            assert (dry.json["model"], dry.json["prompt"]) == ("jimeng-video-3.0-fast", "a cat")
            once = {"idempotency-key": "k"}
            ids = [(await client.post(TASKS, body, headers=once)).json["id"] for _ in range(2)]
            assert len(set(ids)) == 1
            found = await get(client, ids[0])
            assert (found["execution_expires_after"], found["priority"]) == (3600, 2)
            assert (found["ratio"], found["duration"]) == ("9:16", 5)
            assert (await parts.gateway.task(ADMIN, ids[0])).door == "ark"

    run(main())


def test_who_may_ask_is_told_before_what_may_be_asked(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as (client, _):
            # One program tells good keys from bad ones by this (clients.md 10.2).
            probe = await client.get(IMAGES)
            assert (probe.status, probe.header("allow"), probe.error["code"]) == (
                405,
                "POST",
                "MethodNotAllowed",
            )
            wrong = await client.speaking("gw_bad").get(IMAGES)
            assert (wrong.status, wrong.error["code"]) == (401, "AuthenticationError")
            assert (wrong.error["type"], (await client.get("/api/v3/models")).error["code"]) == (
                "Unauthorized",
                "NotFound",
            )

    run(main())


def test_pictures(tmp_path: Path) -> None:
    async def main() -> None:
        async with working(tmp_path) as (client, _):
            await client.post("/api/v1/sessions", {"credential": LOGIN})
            wish = {"model": IMAGE, "prompt": "a cat", "size": "1024x1024", "watermark": False}
            answer = await client.post(IMAGES, {**wish, "image": [PICTURE, PICTURE], "seed": -1})
            assert answer.status == 200, answer.body
            found = answer.json
            assert (found["model"], found["created"]) == (IMAGE, found["created_at"])
            (picture,) = found["data"]
            assert (picture["size"], picture["output_format"]) == ("2048x2048", "png")
            assert found["usage"] == {
                "generated_images": 1,
                "output_tokens": 16384,
                "total_tokens": 16384,
                "input_images": 2,
            }
            target = picture["url"].removeprefix("http://gw.example:5100")
            assert (await client.speaking(None).get(target)).body.startswith(b"\x89PNG")
            inline = (await client.post(IMAGES, {**wish, "response_format": "b64_json"})).json["data"]
            assert base64.b64decode(inline[0]["b64_json"]).startswith(b"\x89PNG")
            assert "url" not in inline[0]
            refused = await client.post(IMAGES, {**wish, "prompt": "a cat [sim:reject-result]"})
            assert (refused.status, refused.error["code"]) == (400, "SensitiveContentDetected")
            assert refused.header("x-should-retry") == "false"

    run(main())


def test_groups_and_streams(tmp_path: Path) -> None:
    async def main() -> None:
        async with working(tmp_path) as (client, parts):
            await client.post("/api/v1/sessions", {"credential": LOGIN})
            group = {"model": IMAGE, "sequential_image_generation": "auto"}
            most = {"sequential_image_generation_options": {"max_images": 3}}
            few = (await client.post(IMAGES, {**group, **most, "prompt": "a cat"})).json
            assert [item["size"] for item in few["data"]] == ["2048x2048"] * 3
            series = (await client.post(IMAGES, {**group, "prompt": "一只猫，5张"})).json
            assert series["usage"]["generated_images"] == len(series["data"]) == 5
            streamed = await client.post(IMAGES, {**group, **most, "prompt": "a cat", "stream": True})
            *pictures, (name, last) = events(streamed)
            assert [event for event, _ in pictures] == ["image_generation.partial_succeeded"] * 3
            assert [data["image_index"] for _, data in pictures] == [0, 1, 2]
            assert all(data["type"] == event for event, data in pictures)
            assert (name, last["type"]) == ("image_generation.completed",) * 2
            assert last["usage"]["generated_images"] == 3
            assert "error" not in last
            broken = {"model": IMAGE, "prompt": "a cat [sim:reject-result]", "stream": True}
            ((name, data),) = events(await client.post(IMAGES, broken))
            assert (name, data["error"]["code"]) == ("error", "SensitiveContentDetected")
            early = await client.post(IMAGES, {"model": IMAGE, "prompt": "", "stream": True})
            assert (early.status, early.error["param"]) == (400, "prompt")
            assert len((await parts.gateway.tasks(ADMIN)).items) == 4

    run(main())


def test_pictures_that_did_not_come_are_told(tmp_path: Path) -> None:
    async def main() -> None:
        async with working(tmp_path) as (client, _):
            await client.post("/api/v1/sessions", {"credential": LOGIN})
            wish = {"model": IMAGE, "prompt": "a cat [sim:partial=2]", "n": 3}
            found = (await client.post(IMAGES, wish)).json
            assert [("url" in item, "error" in item) for item in found["data"]] == [
                (True, False),
                (True, False),
                (False, True),
            ]
            assert found["data"][2]["error"]["code"] == "InternalServiceError"
            assert found["usage"]["generated_images"] == 2
            # Who asks for base64 demands it of every entry.
            inline = (await client.post(IMAGES, {**wish, "response_format": "b64_json"})).json
            assert ["b64_json" in item for item in inline["data"]] == [True, True]
            *pictures, (_, last) = events(await client.post(IMAGES, {**wish, "stream": True}))
            assert len(pictures) == 2
            assert [entry["image_index"] for entry in last["failed"]] == [2]

    run(main())


def test_a_wait_that_runs_out_names_the_task(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as (client, _):
            answer = await client.post(
                IMAGES, {"model": IMAGE, "prompt": "a cat"}, headers={"prefer": "wait=0"}
            )
            assert (answer.status, answer.json["status"]) == (202, "queued")
            path = (answer.header("location") or "").removeprefix("http://gw.example:5100")
            assert (await client.get(path)).json == answer.json
            assert (await client.call("DELETE", path)).status == 200
            assert (await client.get(path)).json["status"] == "cancelled"

    run(main())


def test_a_stream_that_cannot_go_on_says_so_and_ends(tmp_path: Path) -> None:
    async def main() -> None:
        gateway = FakeGateway(tmp_path)
        gateway.live.put_nowait(StoreError("a secret of the database"))
        wish = {"model": "jimeng-4.5", "prompt": "a cat", "stream": True}
        ((name, data),) = events(await make(gateway).post(IMAGES, wish))
        assert (name, data["error"]["code"]) == ("error", "InternalServiceError")
        assert "secret" not in data["error"]["message"]
        assert gateway.watching == 0

    run(main())
