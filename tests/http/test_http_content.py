"""Files are handed out whole, in parts, by key and by signed link."""

from __future__ import annotations

from pathlib import Path

import pytest
from http_client import Client, make
from http_fake import FakeGateway, a_result, a_task
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
        (tmp_path / "p.png").unlink()
        gone = await client.get(PATH)
        assert (gone.status, gone.error["code"]) == (404, "content_gone")

    run(main())
