"""The doors over the real gateway: a temporary SQLite database and, where work is to be done, the site."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from http_client import Client
from http_fake import ADMIN, CREDENTIAL
from support.aio import run

from jimeng_gateway.app import Parts, open_parts, worker_of
from jimeng_gateway.http.server import create_app
from jimeng_gateway.settings import Settings
from jimeng_gateway.simulator import Simulator, SimulatorOptions
from jimeng_gateway.work.lease import Lease

TASKS = "/api/v1/tasks"
#: A bare session id as the site makes them.
LOGIN = "0123456789abcdef0123456789abcdef"


@asynccontextmanager
async def opened(
    folder: Path, upstream_url: str = "http://127.0.0.1:9", **changes: Any
) -> AsyncIterator[tuple[Client, Parts]]:
    settings = Settings(
        data_dir=folder,
        admin_token=ADMIN,
        upstream_url=upstream_url,
        poll_image_first=0.2,
        poll_image_every=0.1,
        poll_video_first=0.2,
        poll_video_every=0.1,
        **changes,
    )
    async with open_parts(settings) as parts:
        app = create_app(parts.gateway, intake=parts.intake, public_url="", clock=parts.clock)
        yield Client(app, ADMIN), parts


@asynccontextmanager
async def working(folder: Path) -> AsyncIterator[tuple[Client, Parts]]:
    """The same with a worker and a site."""
    with Simulator(SimulatorOptions(speed=60)) as site:
        async with opened(folder, site.base_url) as (client, parts):
            lease = Lease(parts.db, parts.clock, length=30_000, alone=True)
            await lease.enter()
            worker = worker_of(parts, lease)
            task = asyncio.create_task(worker.run())
            try:
                yield client, parts
            finally:
                await worker.stop(task, 2)


async def key_of(client: Client, name: str) -> Client:
    """A client with a key of its own."""
    made = await client.post("/api/v1/keys", {"name": name})
    return client.speaking(made.json["key"])


def test_keys_open_doors_until_they_are_revoked(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as (admin, _):
            user = await key_of(admin, "ci")
            assert (await user.get(TASKS)).status == 200
            assert (await user.get("/api/v1/keys")).status == 403
            (key,) = (await admin.get("/api/v1/keys")).json["data"]
            assert user.token is not None
            assert user.token.startswith(key["prefix"])
            await admin.call("DELETE", f"/api/v1/keys/{key['id']}")
            assert (await user.get(TASKS)).status == 401

    run(main())


def test_tasks_from_queue_to_end(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as (admin, _):
            user, other = await key_of(admin, "one"), await key_of(admin, "two")
            made = [
                (await user.post(TASKS, {"prompt": f"cat {index}", "model": "jimeng-4.5"})).json["id"]
                for index in range(3)
            ]
            first = (await user.get(f"{TASKS}?limit=2")).json
            rest = (await user.get(f"{TASKS}?limit=2&cursor={first['next_cursor']}")).json
            assert [task["id"] for task in first["data"] + rest["data"]] == made[::-1]
            assert rest["next_cursor"] is None
            assert (await other.get(f"{TASKS}/{made[0]}")).status == 404
            assert (await user.get(f"{TASKS}/{made[0]}/content")).status == 404
            assert (await user.get(f"{TASKS}?cursor=zzz")).status == 400
            assert (await user.post(f"{TASKS}/{made[0]}/retry")).status == 409
            assert (await user.post(f"{TASKS}/{made[0]}/cancel")).json["stage"] == "cancelled"
            again = (await user.post(f"{TASKS}/{made[0]}/retry")).json
            assert (again["retry_of"], again["stage"]) == (made[0], "queued")
            names = [event["name"] for event in (await user.get(f"{TASKS}/{made[0]}/events")).json["data"]]
            assert len(names) == 2
            stream = await user.get(f"{TASKS}/{made[0]}/events", headers={"accept": "text/event-stream"})
            assert all(f"event: {name}\n".encode() in stream.body for name in names)
            waited = await user.post("/v1/images/generations", {"prompt": "x"}, headers={"prefer": "wait=0"})
            assert waited.status == 202
            stats = (await user.get("/api/v1/stats")).json
            assert stats["tasks"]["by_stage"]["queued"] == 4
            assert (await user.get("/health/ready")).status == 503

    run(main())


def test_refusals_of_the_catalogue_come_through(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as (client, _):
            for sent, param in [
                ({"model": "no-such-model"}, "model"),
                ({"model": "jimeng-4.5", "ratio": "7:5"}, "ratio"),
                ({"model": "jimeng-4.5", "resolution": "9k"}, "resolution"),
                ({"model": "jimeng-4.5", "size": "large"}, "size"),
                ({"model": "jimeng-4.5", "n": 99}, "n"),
                ({"model": "jimeng-4.5", "duration": 5}, "duration"),
                ({"model": "jimeng-4.5", "kind": "video"}, "model"),
            ]:
                answer = await client.post(TASKS, {"prompt": "cat", **sent})
                assert (answer.status, answer.error["param"]) == (400, param), answer.body
            assert (await client.get(TASKS)).json["data"] == []
            models = (await client.get("/api/v1/models")).json["data"]
            listed = (await client.get("/v1/models")).json["data"]
            names = [model["id"] for model in listed if model["alias_of"] is None]
            assert names == [model["id"] for model in models]
            assert {"sora-2", "gpt-image-1"} <= {model["id"] for model in listed} - set(names)
            for model in models:
                for alias in (model["id"], *model["aliases"]):
                    assert (await client.get(f"/v1/models/{alias}")).status == 200

    run(main())


def test_a_picture_and_a_video_end_to_end(tmp_path: Path) -> None:
    async def main() -> None:
        async with working(tmp_path) as (admin, _):
            session = await admin.post("/api/v1/sessions", {"credential": LOGIN, "label": "mine"})
            check = (await admin.post(f"/api/v1/sessions/{session.json['id']}/test")).json
            assert (check["valid"], check["error"]) == (True, None)
            user = await key_of(admin, "ci")
            picture = await user.post("/v1/images/generations", {"prompt": "a cat", "model": "jimeng-4.5"})
            assert picture.status == 200, picture.body
            target = picture.json["data"][0]["url"].removeprefix("http://gw.example:5100")
            file = await user.speaking(None).get(target)
            assert (file.header("content-type"), file.body[:8]) == ("image/png", b"\x89PNG\r\n\x1a\n")
            inline = {"prompt": "a cat", "response_format": "b64_json"}
            embedded = (await user.post("/v1/images/generations", inline)).json["data"]
            assert base64.b64decode(embedded[0]["b64_json"]).startswith(b"\x89PNG")

            accepted = (await user.post("/v1/videos/generations", {"prompt": "a cat"})).json
            path = f"{TASKS}/{accepted['task']['id']}"
            stream = await user.get(f"{path}/events", headers={"accept": "text/event-stream"})
            assert stream.body.count(b"event: progress\n") >= 2
            task = (await user.get(path)).json
            assert (task["stage"], task["progress"]) == ("succeeded", 1.0)
            part = await user.get(f"{path}/content", headers={"range": "bytes=4-7"})
            assert (part.status, part.header("content-type"), part.body) == (206, "video/mp4", b"ftyp")
            assert (await user.get("/health/ready")).status == 200

    run(main())


def test_a_credential_is_in_no_reply(tmp_path: Path) -> None:
    async def main() -> None:
        async with working(tmp_path) as (admin, _):
            made = await admin.post("/api/v1/sessions", {"credential": LOGIN})
            path = f"/api/v1/sessions/{made.json['id']}"
            task = (await admin.post("/v1/images/generations", {"prompt": "a cat"})).json["task_id"]
            replies = [
                made,
                await admin.post("/api/v1/sessions", {"credential": LOGIN}),
                await admin.get("/api/v1/sessions"),
                await admin.get(path),
                await admin.post(f"{path}/test"),
                await admin.call("PATCH", path, json={"credential": CREDENTIAL}),
                await admin.get(f"{TASKS}/{task}"),
                await admin.get(f"{TASKS}/{task}/events"),
                await admin.get("/api/v1/stats"),
                await admin.get("/health/ready"),
            ]
            assert replies[1].status == 409
            for reply in replies:
                assert LOGIN.encode() not in reply.body
                assert CREDENTIAL.encode() not in reply.body
            assert (await admin.call("DELETE", path)).status == 200

    run(main())
