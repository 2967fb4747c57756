"""Results end to end: the simulated site, a whole gateway, and a storage behind it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from http_client import Client
from http_fake import ADMIN
from support.aio import run
from support.s3 import KEYS, Fault, storage

from jimeng_gateway.app import Parts, open_parts, worker_of
from jimeng_gateway.http.server import create_app
from jimeng_gateway.settings import Settings
from jimeng_gateway.simulator import Simulator, SimulatorOptions
from jimeng_gateway.work.lease import Lease

TASKS = "/api/v1/tasks"
LOGIN = "0123456789abcdef0123456789abcdef"


@asynccontextmanager
async def working(folder: Path, **settings: Any) -> AsyncIterator[tuple[Client, Parts]]:
    """A gateway with a worker, a site, and one session."""
    with Simulator(SimulatorOptions(speed=60)) as site:
        chosen = Settings(
            data_dir=folder,
            admin_token=ADMIN,
            upstream_url=site.base_url,
            poll_image_first=0.2,
            poll_image_every=0.1,
            poll_video_first=0.2,
            poll_video_every=0.1,
            **settings,
        )
        async with open_parts(chosen) as parts:
            client = Client(
                create_app(parts.gateway, intake=parts.intake, public_url="", clock=parts.clock), ADMIN
            )
            lease = Lease(parts.db, parts.clock, length=30_000, alone=True)
            await lease.enter()
            worker = worker_of(parts, lease)
            task = asyncio.create_task(worker.run())
            try:
                await client.post("/api/v1/sessions", {"credential": LOGIN})
                yield client, parts
            finally:
                await worker.stop(task, 2)


async def ended(client: Client, parts: Parts, wish: dict[str, object]) -> dict[str, Any]:
    """The JSON of a task of this wish at its end."""
    made = (await client.post(TASKS, wish)).json
    await parts.gateway.wait(await parts.gateway.authenticate(ADMIN), made["id"], seconds=60)
    seen: dict[str, Any] = (await client.get(f"{TASKS}/{made['id']}")).json
    assert seen["stage"] == "succeeded", seen["error"]
    return seen


def local(url: str) -> str:
    return url.removeprefix("http://gw.example:5100")


def test_pictures_and_videos_bring_their_small_pictures(tmp_path: Path) -> None:
    async def main() -> None:
        async with working(tmp_path) as (client, parts):
            nobody = client.speaking(None)
            for wish in (
                {"prompt": "a cat", "model": "jimeng-4.5", "n": 2},
                {"prompt": "a cat", "kind": "video"},
            ):
                task = await ended(client, parts, wish)
                for result in task["results"]:
                    small = await nobody.get(local(result["preview_url"]))
                    assert (small.status, small.header("content-type")) == (200, "image/webp")
                    assert small.body[8:12] == b"WEBP"
                    whole = await nobody.get(local(result["url"]))
                    assert (len(whole.body), whole.header("content-type")) == (
                        result["size"],
                        result["media_type"],
                    )
            files = {path.name for path in (tmp_path / "results").rglob("*") if path.is_file()}
            assert sum("-preview.webp" in name for name in files) == 3

    run(main())


def test_an_archive_serves_like_the_disk(tmp_path: Path) -> None:
    async def main() -> None:
        async with storage() as s3:
            archive = {
                "archive_url": str(s3.address()),
                "archive_key_id": KEYS.access_key_id,
                "archive_secret": KEYS.secret_access_key,
                "link_ttl": 3600.0,
            }
            async with working(tmp_path, **archive) as (client, parts):
                task = await ended(client, parts, {"prompt": "a cat", "model": "jimeng-4.5", "n": 1})
                (result,) = task["results"]
                [data] = [data for name, data in s3.objects.items() if name.endswith("-0.png")]
                nobody, link = client.speaking(None), local(result["url"])
                assert "&expires=" in link
                whole = await nobody.get(link)
                assert (whole.body, whole.header("content-length")) == (data, str(len(data)))
                part = await nobody.get(link, headers={"range": "bytes=-9"})
                assert (part.status, part.body) == (206, data[-9:])
                assert part.header("content-range") == f"bytes {len(data) - 9}-{len(data) - 1}/{len(data)}"
                asked = len(s3.asked)
                head = await nobody.call("HEAD", link)
                assert (head.status, head.header("content-length")) == (200, str(len(data)))
                etag = whole.header("etag") or ""
                assert (await nobody.get(link, headers={"if-none-match": etag})).status == 304
                assert len(s3.asked) == asked, "for these the row is enough"
                assert (await nobody.get(local(result["preview_url"]))).header("content-type") == "image/webp"

                s3.faults.append(Fault.REFUSE)
                away = await nobody.get(link)
                assert (away.status, away.error["code"], away.error["retryable"]) == (
                    503,
                    "archive_failed",
                    True,
                )
                removed = await client.call("DELETE", f"{TASKS}/{task['id']}/results")
                assert removed.json["results"][0]["removed_why"] == "caller"
                assert (s3.objects, s3.refused) == ({}, [])
                gone = await nobody.get(link)
                assert (gone.status, gone.error["code"]) == (410, "content_removed")
                assert "its caller asked for it" in gone.error["message"]
            results = tmp_path / "results"
            assert [path for path in results.rglob("*") if path.is_file()] == []

    run(main())


def test_the_worker_and_the_operator_remove(tmp_path: Path) -> None:
    async def main() -> None:
        async with working(tmp_path, result_retention=0.001) as (client, parts):
            wish = {"prompt": "a cat", "model": "jimeng-4.5", "n": 1}
            old = await ended(client, parts, wish)
            other = Lease(parts.db, parts.clock, length=30_000, alone=False)
            await other.enter()
            await worker_of(parts, other).slow_round()
            young = await ended(client, parts, wish)
            pruned = await client.post("/api/v1/removals", {"max_bytes": 0})
            assert (pruned.json["files"], pruned.json["has_more"]) == (1, False)
            lines = (await client.get("/api/v1/removals")).json["data"]
            assert [(line["task_id"], line["why"]) for line in lines] == [
                (young["id"], "operator"),
                (old["id"], "age"),
            ]
            assert (await client.get(f"{TASKS}/{old['id']}/content")).status == 410

    run(main())
