"""Files are handed out whole, in parts, by key and by signed link."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from http_client import Client, make
from http_fake import NOW, FakeGateway, a_result, a_task, a_video
from support.aio import run

from jimeng_gateway.domain.task import Stage

DATA = bytes(range(256)) * 3000
PATH = "/api/v1/tasks/task_1/content"


def with_file(tmp_path: Path) -> Client:
    gateway = FakeGateway(tmp_path)
    (tmp_path / "p.png").write_bytes(DATA)
    result = a_result(0, tmp_path / "p.png")
    gateway.all_tasks["task_1"] = a_task(stage=Stage.SUCCEEDED, results=(result,))
    return make(gateway)


def test_the_whole_file(tmp_path: Path) -> None:
    async def main() -> None:
        client = with_file(tmp_path)
        answer = await client.get(PATH)
        assert (answer.status, answer.body) == (200, DATA)
        sha256 = client.app.state.service.gateway.all_tasks["task_1"].results[0].sha256
        expected = {
            "content-type": "image/png",
            "content-length": str(len(DATA)),
            "etag": f'"{sha256}"',
            "accept-ranges": "bytes",
            "content-disposition": 'inline; filename="task_1-0.png"',
            "x-content-type-options": "nosniff",
            # Nothing runs; but a browser plays a video by fetching the same address again.
            "content-security-policy": "sandbox allow-same-origin; default-src 'none'; media-src 'self'",
        }
        assert {name: answer.header(name) for name in expected} == expected

    run(main())


@pytest.mark.parametrize(
    ("header", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=5-", 5, len(DATA)),
        ("bytes=-7", len(DATA) - 7, len(DATA)),
        ("bytes=9-99", 9, 100),
    ],
)
def test_a_part(tmp_path: Path, header: str, start: int, end: int) -> None:
    async def main() -> None:
        answer = await with_file(tmp_path).get(PATH, headers={"range": header})
        assert (answer.status, answer.body) == (206, DATA[start:end])
        assert answer.header("content-range") == f"bytes {start}-{end - 1}/{len(DATA)}"
        assert answer.header("content-length") == str(end - start)

    run(main())


def test_a_part_that_is_not_there(tmp_path: Path) -> None:
    async def main() -> None:
        answer = await with_file(tmp_path).get(PATH, headers={"range": f"bytes={len(DATA)}-"})
        assert (answer.status, answer.header("content-range")) == (416, f"bytes */{len(DATA)}")
        assert answer.error["code"] == "range_not_satisfiable"

    run(main())


def test_validators(tmp_path: Path) -> None:
    async def main() -> None:
        client = with_file(tmp_path)
        etag = (await client.get(PATH)).header("etag") or ""
        resumed = await client.get(PATH, headers={"range": "bytes=1-2", "if-range": etag})
        assert resumed.status == 206
        changed = await client.get(PATH, headers={"range": "bytes=1-2", "if-range": '"other"'})
        assert (changed.status, changed.body) == (200, DATA)
        for known in (etag, f"W/{etag}", f'"x", {etag}', "*"):
            assert (await client.get(PATH, headers={"if-none-match": known})).status == 304
        assert (await client.get(PATH, headers={"if-none-match": '"x"'})).status == 200

    run(main())


def test_head_tells_without_sending(tmp_path: Path) -> None:
    async def main() -> None:
        client = with_file(tmp_path)
        whole = await client.call("HEAD", PATH)
        assert (whole.status, whole.body, whole.header("content-length")) == (200, b"", str(len(DATA)))
        part = await client.call("HEAD", PATH, headers={"range": "bytes=0-9"})
        assert (part.status, part.body, part.header("content-length")) == (206, b"", "10")

    run(main())


def test_a_signed_link_needs_no_key_and_tolerates_a_foreign_one(tmp_path: Path) -> None:
    async def main() -> None:
        client = with_file(tmp_path)
        url = (await client.get("/api/v1/tasks/task_1")).json["image_urls"][0]
        target = url.removeprefix("http://gw.example:5100")
        nobody, stranger = client.speaking(None), client.speaking("sk-of-somebody-else")
        assert (await nobody.get(target)).body == DATA
        assert (await stranger.get(target)).body == DATA
        assert (await nobody.get(f"{target}&utm_source=x")).status == 200
        for forged in (
            target[:-1] + "0",
            target.replace("index=0", "index=1"),
            PATH,
            f"{PATH}?signature=%FF",
        ):
            assert (await nobody.get(forged)).status == 401
        assert (await nobody.get(target.replace("task_1", "task_2"))).status == 401

    run(main())


def test_what_is_not_there(tmp_path: Path) -> None:
    async def main() -> None:
        client = with_file(tmp_path)
        missing = await client.get(f"{PATH}?index=1")
        assert (missing.status, missing.error["param"]) == (404, "index")
        for wrong in ("variant=spritesheet", "download=perhaps", "expires=-1", "index=x"):
            assert (await client.get(f"{PATH}?{wrong}")).status == 400

    run(main())


@pytest.mark.parametrize("harm", ["vanished", "shorter", "longer"])
def test_a_file_that_is_not_what_was_stored_is_gone(tmp_path: Path, harm: str) -> None:
    async def main() -> None:
        client = with_file(tmp_path)
        etag = (await client.get(PATH)).header("etag") or ""
        if harm == "vanished":
            (tmp_path / "p.png").unlink()
        else:
            (tmp_path / "p.png").write_bytes(DATA[:-1] if harm == "shorter" else DATA + b"!")
        for headers in ({}, {"range": "bytes=0-9"}, {"if-none-match": etag}):
            gone = await client.get(PATH, headers=headers)
            assert (gone.status, gone.error["code"]) == (410, "content_gone")
        assert (await client.call("HEAD", PATH)).status == 410

    run(main())


def test_it_is_shown_or_saved(tmp_path: Path) -> None:
    async def main() -> None:
        client = with_file(tmp_path)
        for asked, how in (("0", "inline"), ("1", "attachment"), ("true", "attachment")):
            answer = await client.get(f"{PATH}?download={asked}")
            assert answer.header("content-disposition") == f'{how}; filename="task_1-0.png"'
            assert answer.body == DATA

    run(main())


SMALL = b"RIFF-a-small-picture"


def with_previews(tmp_path: Path) -> Client:
    """A picture and a video with a small picture each, and a video without."""
    gateway = FakeGateway(tmp_path)
    (tmp_path / "small.webp").write_bytes(SMALL)
    (tmp_path / "v.mp4").write_bytes(DATA)
    small = {"preview_file": "small.webp", "preview_type": "image/webp", "preview_size": len(SMALL)}
    video = a_result(0, tmp_path / "v.mp4", "video/mp4")
    image = dataclasses.replace(a_result(0, tmp_path / "v.mp4"), **small)
    ended = {"stage": Stage.SUCCEEDED}
    gateway.all_tasks["task_1"] = a_task(**ended, results=(image,))
    gateway.all_tasks["task_v"] = a_video(**ended, results=(dataclasses.replace(video, **small),))
    gateway.all_tasks["task_w"] = a_video("task_w", **ended, results=(video,))
    return make(gateway)


def test_small_pictures(tmp_path: Path) -> None:
    async def main() -> None:
        client = with_previews(tmp_path)
        for task_id, variants in {
            "task_1": ("preview", "thumbnail"),
            "task_v": ("preview", "poster"),
        }.items():
            path = f"/api/v1/tasks/{task_id}/content"
            for variant in variants:
                answer = await client.get(f"{path}?variant={variant}")
                assert (answer.status, answer.body, answer.header("content-type")) == (
                    200,
                    SMALL,
                    "image/webp",
                )
                name = f"{task_id}-0-preview.webp"
                assert answer.header("content-disposition") == f'inline; filename="{name}"'
            for variant in ("original", "video"):
                whole = await client.get(f"{path}?variant={variant}")
                assert whole.body == DATA
                assert whole.header("etag") != answer.header("etag")
            (result,) = (await client.get(f"/api/v1/tasks/{task_id}")).json["results"]
            link = result["preview_url"].removeprefix("http://gw.example:5100")
            assert (await client.speaking(None).get(link)).body == SMALL
            part = await client.speaking(None).get(link, headers={"range": "bytes=5-"})
            assert (part.status, part.body) == (206, SMALL[5:])

    run(main())


def test_without_a_small_picture(tmp_path: Path) -> None:
    async def main() -> None:
        picture = with_file(tmp_path)
        assert (await picture.get(f"{PATH}?variant=preview")).body == DATA
        (result,) = (await picture.get("/api/v1/tasks/task_1")).json["results"]
        assert "variant=preview" in result["preview_url"]
        video = with_previews(tmp_path)
        missing = await video.get("/api/v1/tasks/task_w/content?variant=preview")
        assert (missing.status, missing.error["code"]) == (404, "no_preview")
        (result,) = (await video.get("/api/v1/tasks/task_w")).json["results"]
        assert result["preview_url"] is None

    run(main())


def test_links_that_end(tmp_path: Path) -> None:
    async def main() -> None:
        client = with_file(tmp_path)
        gateway, nobody = client.app.state.service.gateway, client.speaking(None)

        async def link() -> str:
            url = (await client.get("/api/v1/tasks/task_1")).json["image_urls"][0]
            return url.removeprefix("http://gw.example:5100")

        endless = await link()
        assert "expires" not in endless
        end = NOW // 1000 + 60
        gateway.links_end = end
        ending = await link()
        assert f"&expires={end}&" in ending
        assert (await nobody.get(ending)).body == DATA
        assert (await client.speaking("sk-of-somebody-else").get(ending)).body == DATA
        for forged in (
            ending.replace(f"expires={end}", f"expires={end + 9}"),
            ending.replace("expires=", "x="),
        ):
            assert (await nobody.get(forged)).status == 401
        old = await nobody.get(endless)
        assert (old.status, old.error["code"]) == (403, "link_expired")

        gateway.links_end = NOW // 1000 - 1
        late = await link()
        for who in (nobody, client.speaking("sk-of-somebody-else")):
            answer = await who.get(late)
            assert (answer.status, answer.error["code"]) == (403, "link_expired")
            assert answer.header("x-should-retry") == "false"
        assert (await client.get(late)).body == DATA, "a key opens it all the same"
        gateway.links_end = 0
        assert (await nobody.get(endless)).body == DATA

    run(main())


def test_removing_the_files_of_a_task(tmp_path: Path) -> None:
    async def main() -> None:
        client = with_file(tmp_path)
        client.app.state.service.gateway.all_tasks["task_2"] = a_task("task_2")
        assert (await client.call("DELETE", "/api/v1/tasks/task_2/results")).status == 409
        assert (await client.call("DELETE", "/api/v1/tasks/task_9/results")).status == 404
        answer = await client.call("DELETE", "/api/v1/tasks/task_1/results")
        (result,) = answer.json["results"]
        assert (result["url"], result["preview_url"], result["removed_why"]) == (None, None, "caller")
        assert result["removed_at"] == "2026-09-21T14:13:20.123Z"
        assert (answer.json["stage"], answer.json["image_urls"]) == ("succeeded", [])

    run(main())


def test_the_report_and_the_pruning(tmp_path: Path) -> None:
    async def main() -> None:
        client = make(FakeGateway(tmp_path))
        page = (await client.get("/api/v1/removals?limit=5")).json
        assert page["data"] == [
            {
                "task_id": "task_1",
                "index": 0,
                "removed_at": "2026-09-21T14:13:20.123Z",
                "why": "age",
                "bytes": 7,
            }
        ]
        pruned = await client.post("/api/v1/removals", {"older_than_s": 60, "dry_run": True})
        assert pruned.json == {"object": "prune", "files": 1, "bytes": 7, "dry_run": True, "has_more": False}
        assert (await client.post("/api/v1/removals", {"older_than_s": -1})).status == 400

    run(main())
