"""References on their way in: every shape in which callers send them, in order, whole, or refused."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from http_client import Answer, an_intake, make
from http_fake import OTHER, USER, FakeGateway
from support.aio import run
from support.media import a_png, a_wav, an_mp3, an_mp4

from jimeng_gateway.domain.reference import Media, Role
from jimeng_gateway.http.endpoint import Limits

TASKS = "/api/v1/tasks"
FILES = "/api/v1/files"
ALL = (TASKS, "/v1/images/generations", "/v1/videos/generations")
CAT, DOG = a_png(4, 3, b"cat"), a_png(8, 6, b"dog")


def form(*parts: tuple[str, str | None, bytes | str]) -> dict[str, Any]:
    """A form of (name, file name, content)."""
    body = b""
    for name, filename, content in parts:
        disposition = f'form-data; name="{name}"' + (
            f'; filename="{filename}"' if filename is not None else ""
        )
        data = content.encode() if isinstance(content, str) else content
        body += f"--XX\r\nContent-Disposition: {disposition}\r\n\r\n".encode() + data + b"\r\n"
    return {"headers": {"content-type": "multipart/form-data; boundary=XX"}, "body": body + b"--XX--\r\n"}


PROMPT = ("prompt", None, "x")


def seen(answer: Answer) -> list[tuple[str, str, str]]:
    """Kind, role and name of the references of a task."""
    assert answer.status in (200, 201, 202), answer.body
    task = answer.json.get("task", answer.json)
    return [(one["kind"], one["role"], one["name"]) for one in task["references"]]


@asynccontextmanager
async def site(pages: dict[str, bytes]) -> AsyncIterator[str]:
    """A little web server on this machine."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        path = (await reader.readuntil(b"\r\n\r\n")).split(b" ")[1].decode()
        body = pages.get(path)
        status = b"200 OK" if body is not None else b"404 Not Found"
        writer.write(b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body or b""), body or b""))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


def spooled(folder: Path) -> list[bytes]:
    """The bytes of all complete files."""
    return sorted(path.read_bytes() for path in (folder / "spool").glob("[0-9a-f][0-9a-f]/*"))


def unfinished(folder: Path) -> list[Path]:
    return list((folder / "spool").glob("incoming/*"))


@pytest.mark.parametrize("path", ALL)
def test_files_of_a_form_become_references_in_order(tmp_path: Path, path: str) -> None:
    async def main() -> None:
        gateway = FakeGateway(tmp_path)
        how = form(
            ("files", "cat.png", CAT), PROMPT, ("files", "b/clip.mp4", an_mp4()), ("files", "v.wav", a_wav())
        )
        how["headers"]["prefer"] = "respond-async"
        await make(gateway).call("POST", path, **how)
        cat, clip, voice = gateway.wishes[0].references
        assert (cat.kind, cat.name, cat.media_type, cat.width, cat.height) == (
            Media.IMAGE, "cat.png", "image/png", 4, 3,
        )  # fmt: skip
        assert (clip.kind, clip.name, clip.width, clip.duration_ms, clip.fps) == (
            Media.VIDEO, "clip.mp4", 1280, 5000, 25.0,
        )  # fmt: skip
        assert (voice.kind, voice.media_type, voice.duration_ms) == (Media.AUDIO, "audio/wav", 1000)
        assert spooled(tmp_path) == sorted([CAT, an_mp4(), a_wav()])
        assert unfinished(tmp_path) == []

    run(main())


@pytest.mark.parametrize(
    "name",
    ["file", "files", "files[]", "files[0]", "image", "image[]", "images", "images[]", "input_reference",
     "input_reference[]", "input_reference.png", "image_file_1", "references[3]", "file_paths"],
)  # fmt: skip
def test_names_of_parts(tmp_path: Path, name: str) -> None:
    async def main() -> None:
        answer = await make(FakeGateway(tmp_path)).call(
            "POST", TASKS, **form(PROMPT, (name, "cat.png", CAT), (name, "dog.png", DOG))
        )
        assert seen(answer) == [("image", "reference", "cat.png"), ("image", "reference", "dog.png")]

    run(main())


def test_frames_have_their_roles(tmp_path: Path) -> None:
    async def main() -> None:
        client = make(FakeGateway(tmp_path))
        answer = await client.call(
            "POST", TASKS, **form(("last_frame", "b.png", DOG), ("first_frame", "a.png", CAT), PROMPT)
        )
        assert seen(answer) == [("image", "last_frame", "b.png"), ("image", "first_frame", "a.png")]
        data = "data:image/png;base64," + base64.b64encode(CAT).decode()
        answer = await client.post(
            TASKS,
            {"prompt": "x", "first_frame": data, "references": [{"b64": data[22:], "role": "last_frame"}]},
        )
        assert [role for _, role, _ in seen(answer)] == [Role.FIRST_FRAME, Role.LAST_FRAME]

    run(main())


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def test_json_in_all_its_forms(tmp_path: Path) -> None:
    async def main() -> None:
        gateway = FakeGateway(tmp_path)
        client = make(gateway)
        file_id = (await client.call("POST", FILES, **form(("file", "mine.png", DOG)))).json["id"]
        async with site({"/a/cat.png": CAT, "/voice": an_mp3()}) as url:
            for body, names in [
                ({"references": [f"{url}/a/cat.png", file_id]}, ["cat.png", "mine.png"]),
                ({"references": [file_id, f"{url}/a/cat.png"]}, ["mine.png", "cat.png"]),
                ({"file_paths": [f"{url}/voice"]}, ["voice"]),
                ({"filePaths": f"{url}/a/cat.png"}, ["cat.png"]),
                (
                    {"images": [{"url": f"{url}/a/cat.png", "name": "it"}], "image": encoded(DOG)},
                    ["it", "reference"],
                ),
                ({"image": "data:text/plain;base64," + encoded(CAT)}, ["reference"]),
                ({"input_reference": {"image_url": f"{url}/a/cat.png"}}, ["cat.png"]),
                ({"input_reference": {"file_id": file_id, "name": "new"}}, ["new"]),
                (
                    {"image": {"data": encoded(CAT).rstrip("=").replace("+", "-").replace("/", "_")}},
                    ["reference"],
                ),
                (
                    {"image": {"b64": "\n".join(encoded(CAT)[i : i + 9] for i in range(0, 400, 9))}},
                    ["reference"],
                ),
                ({"references": None, "images": []}, []),
            ]:
                answer = await client.post(TASKS, {"prompt": "x", **body})
                assert [name for _, _, name in seen(answer)] == names, body
        kinds = [[one.kind for one in wish.references] for wish in gateway.wishes]
        assert kinds[2] == [Media.AUDIO]

    run(main())


def test_urls_in_forms(tmp_path: Path) -> None:
    async def main() -> None:
        client = make(FakeGateway(tmp_path))
        async with site({"/cat.png": CAT, "/dog.png": DOG}) as url:
            for parts in [
                [("image", None, f"{url}/cat.png"), ("image", "dog.png", DOG)],
                [("image[]", "input_reference.png", f"{url}/cat.png"), ("image[]", "dog.png", DOG)],
                [("input_reference[image_url]", None, f"{url}/cat.png"), ("images", None, f"{url}/dog.png")],
                [("references", None, json.dumps([f"{url}/cat.png", {"url": f"{url}/dog.png"}]))],
                [("file_paths", None, json.dumps([f"{url}/cat.png"])), ("files", "dog.png", DOG)],
            ]:
                answer = await client.call("POST", TASKS, **form(PROMPT, *parts))
                assert [name for _, _, name in seen(answer)] == ["cat.png", "dog.png"], parts

    run(main())


def refusals(url: str) -> Iterable[tuple[dict[str, Any], int, str]]:
    """Requests, and how each is refused."""
    yield form(PROMPT, ("image", "a.svg", "<svg/>")), 400, "unsupported_reference"
    yield form(PROMPT, ("image", "a.png", "<!DOCTYPE html>")), 400, "unsupported_reference"
    yield form(PROMPT, ("image", "a.png", b"")), 400, "unsupported_reference"
    yield form(PROMPT, ("clip", "a.png", CAT)), 400, "unknown_field"
    yield form(PROMPT, ("mask", "a.png", CAT)), 400, "unknown_field"
    yield form(PROMPT, ("image", "big.png", CAT + bytes(1 << 20))), 413, "reference_too_large"
    yield form(PROMPT, ("image[weird]", None, "x")), 400, "unknown_field"
    yield form(PROMPT, ("references", None, '[{"url": 5}]')), 400, "invalid_request"
    yield form(PROMPT, ("prompt", None, "again")), 400, "duplicate_field"
    yield form(PROMPT, ("size", None, b"\xff")), 400, "invalid_request"
    yield {"json": {"prompt": "x", "image": "/etc/hostname.png"}}, 400, "unsupported_reference"
    yield {"json": {"prompt": "x", "image": "file:///etc/hostname"}}, 400, "unsupported_reference"
    yield {"json": {"prompt": "x", "image": "data:image/png"}}, 400, "invalid_request"
    yield {"json": {"prompt": "x", "image": encoded(bytes(1 << 20) + b"xx")}}, 413, "reference_too_large"
    yield {"json": {"prompt": "x", "image": f"{url}/none"}}, 400, "reference_unreachable"
    yield {"json": {"prompt": "x", "image": "http://[::1]:1/"}}, 400, "address_refused"
    yield {"json": {"prompt": "x", "image": "http://[::1"}}, 400, "address_refused"
    yield (
        {"json": {"prompt": "x", "image": {"url": f"{url}/cat.png", "kind": "video"}}},
        400,
        "reference_refused",
    )
    yield {"json": {"prompt": "x", "image": {"name": "nothing"}}}, 400, "invalid_request"
    yield {"json": {"prompt": "x", "image": {"url": url, "colour": "red"}}}, 400, "invalid_request"
    yield {"json": {"prompt": "x", "image": 7}}, 400, "invalid_request"
    yield {"json": {"prompt": "x", "references": [{"file_id": "file_1"}]}}, 404, "not_found"


def test_what_cannot_be_had_refuses_the_request_and_leaves_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        gateway = FakeGateway(tmp_path)
        client = make(gateway)
        async with site({"/cat.png": CAT}) as url:
            for how, status, code in refusals(url):
                answer = await client.call("POST", TASKS, **how)
                assert (answer.status, answer.error["code"]) == (status, code), (how, answer.body)
                assert answer.error["message"]
        assert gateway.wishes == []
        assert unfinished(tmp_path) == []

    run(main())


def test_one_bad_reference_among_good_ones_refuses_all(tmp_path: Path) -> None:
    async def main() -> None:
        gateway = FakeGateway(tmp_path)
        async with site({"/cat.png": CAT}) as url:
            urls = [f"{url}/cat.png", f"{url}/gone.png", f"{url}/cat.png"]
            answer = await make(gateway).post(TASKS, {"prompt": "x", "images": urls})
        assert answer.error["message"] == "127.0.0.1 answered 404"
        assert gateway.wishes == []

    run(main())


def test_their_number_is_bounded_before_any_is_looked_at(tmp_path: Path) -> None:
    async def main() -> None:
        client = make(FakeGateway(tmp_path))
        many = [f"file_{number:022}" for number in range(101)]
        says = "101 references are more than the 100 that one request may hold"
        answer = await client.post(TASKS, {"prompt": "x", "images": many[:60], "videos": many[60:]})
        assert (answer.status, answer.error["message"]) == (400, f"references: {says}")
        answer = await client.call("POST", TASKS, **form(PROMPT, *(("image", None, name) for name in many)))
        assert (answer.status, answer.error["message"]) == (400, f"references: {says}")
        answer = await client.post(TASKS, {"prompt": "x", "images": many[:100]})
        assert (answer.status, answer.error["code"]) == (404, "not_found")

    run(main())


def test_the_message_names_the_file_and_the_limit(tmp_path: Path) -> None:
    async def main() -> None:
        client = make(FakeGateway(tmp_path))
        answer = await client.call("POST", TASKS, **form(PROMPT, ("image", "big.png", CAT + bytes(1 << 20))))
        assert answer.error["message"] == "big.png: more than the 1 MB allowed"
        answer = await client.call("POST", TASKS, **form(PROMPT, ("image", "page.png", "<html></html>")))
        assert answer.error["message"].startswith("page.png: it is an HTML page; allowed: jpeg, png")

    run(main())


def test_all_files_together_are_bounded(tmp_path: Path) -> None:
    async def main() -> None:
        client = make(FakeGateway(tmp_path), limits=Limits(files_per_request=1))
        big = CAT + bytes(600_000)
        answer = await client.call(
            "POST", TASKS, **form(PROMPT, ("image", "a.png", big), ("image", "b.png", big))
        )
        assert (answer.status, answer.error["code"]) == (413, "payload_too_large")
        assert unfinished(tmp_path) == []

    run(main())


def test_a_client_that_falls_silent_in_a_file_is_given_up(tmp_path: Path) -> None:
    async def main() -> None:
        client = make(FakeGateway(tmp_path), limits=Limits(body_seconds=0.02))
        how = form(PROMPT, ("image", "a.png", CAT))
        headers = {**how["headers"], "content-length": str(len(how["body"]))}
        exchange = client.start("POST", TASKS, headers=headers, parts=[how["body"][:150]])
        start = await asyncio.wait_for(exchange.sent.get(), 5)
        assert start["status"] == 408
        assert exchange.task is not None
        await exchange.task
        assert unfinished(tmp_path) == []

    run(main())


def test_a_client_that_hangs_up_in_a_file_leaves_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        gateway = FakeGateway(tmp_path)
        how = form(PROMPT, ("image", "a.png", CAT))
        exchange = make(gateway).start("POST", TASKS, headers=how["headers"], parts=[how["body"][:150]])
        exchange.hang_up()
        assert exchange.task is not None
        await exchange.task
        assert unfinished(tmp_path) == []
        assert gateway.wishes == []

    run(main())


def test_references_that_take_too_long(tmp_path: Path) -> None:
    async def main() -> None:
        async def silent(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await gone.wait()
            writer.close()

        gone = asyncio.Event()
        server = await asyncio.start_server(silent, "127.0.0.1", 0)
        async with server:
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
            client = make(FakeGateway(tmp_path), limits=Limits(intake_seconds=0.05))
            answer = await client.post(TASKS, {"prompt": "x", "image": url})
            gone.set()
        assert (answer.status, answer.error["code"]) == (408, "request_timeout")

    run(main())


def test_files_are_uploaded_once_and_belong_to_their_key(tmp_path: Path) -> None:
    async def main() -> None:
        gateway = FakeGateway(tmp_path)
        mine, other = make(gateway).speaking(USER), make(gateway).speaking(OTHER)
        made = await mine.call(
            "POST", FILES, body=an_mp4(), headers={"content-type": "video/mp4", "x-filename": "a/b.mp4"}
        )
        file = made.json
        assert (made.status, made.header("location")) == (201, f"{FILES}/{file['id']}")
        assert (file["kind"], file["name"], file["duration_ms"], file["width"]) == (
            "video",
            "b.mp4",
            5000,
            1280,
        )
        again = await mine.call(
            "POST", FILES, **form(("file", "c.mp4", an_mp4()), ("purpose", None, "vision"))
        )
        assert again.json["sha256"] == file["sha256"]
        assert spooled(tmp_path) == [an_mp4()]
        assert (await mine.get(f"{FILES}/{file['id']}")).json == file
        assert [one["id"] for one in (await mine.get(FILES)).json["data"]] == [file["id"], again.json["id"]]
        assert (await other.get(FILES)).json["data"] == []
        assert (await other.get(f"{FILES}/{file['id']}")).status == 404
        assert (await other.call("DELETE", f"{FILES}/{file['id']}")).status == 404
        use = {"prompt": "x", "references": [file["id"]]}
        assert (
            await other.post(TASKS, {"prompt": "x", "references": [{"file_id": file["id"]}]})
        ).status == 404
        assert seen(await mine.post(TASKS, {"prompt": "x", "references": [{"file_id": file["id"]}]})) == [
            ("video", "reference", "b.mp4")
        ]
        gone = await mine.call("DELETE", f"{FILES}/{file['id']}")
        assert gone.json == {"id": file["id"], "object": "file", "deleted": True}
        assert (await mine.post(TASKS, use)).status == 404

    run(main())


@pytest.mark.parametrize(
    ("how", "param"),
    [
        (form(("file", "a.png", CAT), ("file", "b.png", DOG)), "file"),
        (form(("purpose", None, "x")), "file"),
        (form(("file", "a.png", CAT), ("colour", None, "red")), "colour"),
        ({"body": b"{}", "headers": {"content-type": "application/json"}}, "references"),
    ],
)
def test_uploads_refused(tmp_path: Path, how: dict[str, Any], param: str) -> None:
    async def main() -> None:
        answer = await make(FakeGateway(tmp_path)).call("POST", FILES, **how)
        assert (answer.status, answer.error["param"]) == (400, param)

    run(main())


def test_a_large_reference_in_json(tmp_path: Path) -> None:
    """Beyond the size at which a body is read in a thread."""

    async def main() -> None:
        client = make(FakeGateway(tmp_path))
        picture = CAT + bytes(900_000)
        answer = await client.post(TASKS, {"prompt": "x", "images": [encoded(picture)] * 2})
        assert len(seen(answer)) == 2
        assert spooled(tmp_path) == [picture]

    run(main())


def test_large_bodies_wait_for_room_and_are_refused_in_the_end(tmp_path: Path) -> None:
    async def main() -> None:
        limits = Limits(json_bytes=50, large_bodies_bytes=1000, reference_json_bytes=1000, room_seconds=0.02)
        client = make(FakeGateway(tmp_path), limits=limits)
        large = {"prompt": "x", "images": [encoded(CAT)]}
        body = json.dumps(large).encode()
        # Takes all the room: the end of its 1,000 bytes does not come.
        slow = client.start("POST", TASKS, headers={"content-length": "1000"}, parts=[body])
        refused = await client.post(TASKS, large)
        assert (refused.status, refused.error["code"]) == (503, "too_many_large_bodies")
        assert (refused.error["retryable"], refused.header("retry-after")) == (True, "5")
        chunked = client.start("POST", TASKS, parts=[body])
        assert (await asyncio.wait_for(chunked.sent.get(), 5))["status"] == 503
        in_form = await client.call("POST", TASKS, **form(PROMPT, ("image", None, encoded(CAT))))
        assert in_form.status == 503
        assert (await client.post(TASKS, {"prompt": "x"})).status == 201
        slow.hang_up()
        chunked.hang_up()
        assert seen(await client.post(TASKS, large)) == [("image", "reference", "reference")]

    run(main())


def test_a_reference_is_known_to_the_store_only_when_it_is_whole(tmp_path: Path) -> None:
    async def main() -> None:
        intake = an_intake(tmp_path)
        async with intake.receive("cat.png") as incoming:
            await incoming.write(CAT[:40])
            assert spooled(tmp_path) == []
            await incoming.write(CAT[40:])
            reference = await intake.admit(await incoming.complete(), "cat.png")
        assert spooled(tmp_path) == [CAT]
        assert (tmp_path / "spool" / reference.sha256[:2] / reference.sha256).read_bytes() == CAT

    run(main())
