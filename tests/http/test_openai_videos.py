"""Videos and models at the OpenAI door, over a gateway in memory."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
from http_client import form, make
from http_fake import NOW, FakeGateway, a_result, a_task, a_video
from support.aio import run
from support.media import a_png

from jimeng_gateway.domain.intake import Wish
from jimeng_gateway.domain.reference import Media, Role
from jimeng_gateway.domain.request import Kind
from jimeng_gateway.domain.task import Stage
from jimeng_gateway.http.openai.remix import unpack_edit

VIDEOS = "/v1/videos"


def test_a_video_by_form_as_the_sdks_send_it(tmp_path: Path) -> None:
    async def main() -> None:
        gateway = FakeGateway(tmp_path)
        fields = {"model": "sora-2", "prompt": "p", "seconds": "5", "size": "1280x720"}
        answer = await make(gateway).call(
            "POST", VIDEOS, **form(*((name, "", value.encode()) for name, value in fields.items()))
        )
        assert (answer.status, answer.header("openai-poll-after-ms")) == (200, "3000")
        video = answer.json
        assert (video["id"], video["object"], video["model"]) == ("task_new", "video", "sora-2")
        assert (video["status"], video["progress"], video["seconds"]) == ("queued", 0, "5")
        assert (video["created_at"], video["error"]) == (NOW // 1000, None)
        assert "url" not in video
        assert gateway.wishes == [Wish("p", "sora-2", Kind.VIDEO, size="1280x720", duration=5)]

    run(main())


INLINE = f"data:image/png;base64,{base64.b64encode(a_png()).decode()}"


@pytest.mark.parametrize(
    "sent",
    [
        {"json": {"input_reference": INLINE}},
        {"json": {"input_reference": [INLINE]}},
        {"json": {"input_reference": {"image_url": INLINE}}},
        form(("prompt", "", b"p"), ("input_reference", "upload", a_png())),
        form(("prompt", "", b"p"), ("input_reference[]", "upload", a_png())),
        form(("prompt", "", b"p"), ("input_reference[image_url]", "", INLINE.encode())),
        form(("prompt", "", b"p"), ("input_reference", "input_reference.png", INLINE.encode())),
        form(("prompt", "", b"p"), ("input_reference.png", "input_reference.png", INLINE.encode())),
    ],
)
def test_a_reference_in_every_form_that_clients_send(tmp_path: Path, sent: dict[str, Any]) -> None:
    """openai-media.md 5.1."""

    async def main() -> None:
        gateway = FakeGateway(tmp_path)
        how = {**sent, "json": {"prompt": "p", **sent["json"]}} if "json" in sent else sent
        answer = await make(gateway).call("POST", VIDEOS, **how)
        assert answer.status == 200, answer.body
        ((reference,),) = [wish.references for wish in gateway.wishes]
        assert (reference.kind, reference.role) == (Media.IMAGE, Role.REFERENCE)
        assert (reference.width, reference.height) == (4, 3)

    run(main())


def test_a_file_of_ours_by_its_id(tmp_path: Path) -> None:
    async def main() -> None:
        gateway = FakeGateway(tmp_path)
        client = make(gateway)
        file = (await client.call("POST", "/api/v1/files", body=a_png())).json["id"]
        answer = await client.post(VIDEOS, {"prompt": "p", "input_reference": {"file_id": file}})
        assert answer.status == 200
        assert len(gateway.wishes[0].references) == 1

    run(main())


@pytest.mark.parametrize(
    ("sent", "wish"),
    [
        ({"metadata": {"order": "17", "n_of_order": 3}}, {}),
        (
            {"metadata": {"aspect_ratio": "9:16", "resolution": "720p"}},
            {"ratio": "9:16", "resolution": "720p"},
        ),
        ({"metadata": {"duration": 10, "seed": 7}}, {"duration": 10, "seed": 7}),
        ({"seed": 1, "ratio": "1:1", "metadata": {"seed": 7, "ratio": "9:16"}}, {"seed": 1, "ratio": "1:1"}),
    ],
)
def test_metadata_that_a_relay_hands_on(tmp_path: Path, sent: dict[str, Any], wish: dict[str, Any]) -> None:
    """clients.md 10.1: the bodies of its clients come as they are."""

    async def main() -> None:
        gateway = FakeGateway(tmp_path)
        client = make(gateway)
        answer = await client.post(VIDEOS, {"prompt": "p", **sent})
        assert answer.status == 200, answer.body
        flat = [(f"metadata[{name}]", "", str(value).encode()) for name, value in sent["metadata"].items()]
        own = [(name, "", str(value).encode()) for name, value in sent.items() if name != "metadata"]
        answer = await client.call("POST", VIDEOS, **form(("prompt", "", b"p"), *own, *flat))
        assert answer.status == 200, answer.body
        assert gateway.wishes == [Wish("p", kind=Kind.VIDEO, **wish)] * 2

    run(main())


def test_references_in_metadata(tmp_path: Path) -> None:
    async def main() -> None:
        gateway = FakeGateway(tmp_path)
        answer = await make(gateway).post(VIDEOS, {"prompt": "p", "metadata": {"last_frame": INLINE}})
        assert answer.status == 200, answer.body
        assert [entry.role for entry in gateway.wishes[0].references] == [Role.LAST_FRAME]

    run(main())


def test_an_edit_names_its_video_in_json_as_in_a_form() -> None:
    """litellm has it so."""
    assert unpack_edit({"prompt": "p", "video": {"id": "v"}}) == ({"prompt": "p", "video[id]": "v"}, ())
    for other in ("http://a/1.mp4", {"url": "http://a/1.mp4"}, {"id": "v", "url": "http://a/1.mp4"}):
        assert unpack_edit({"video": other}) == ({"video": other}, ())


def test_what_cannot_be_honoured_is_refused(tmp_path: Path) -> None:
    async def main() -> None:
        client = make(FakeGateway(tmp_path))
        for sent, param in [
            ({"seconds": "four"}, "seconds"),
            ({"seconds": 7}, "seconds"),
            ({"seconds": 5, "duration": 10}, "duration"),
            ({"characters": ["x"]}, "characters"),
            ({"metadata": {"width": 1280}}, "width"),
            ({"metadata": {"ratio": 1}}, "metadata"),
        ]:
            answer = await client.post(VIDEOS, {"prompt": "p", "model": "jimeng-video-3.0", **sent})
            assert (answer.status, answer.error["param"]) == (400, param)
            assert answer.header("x-should-retry") == "false"

    run(main())


def test_videos_alone_are_found_here(tmp_path: Path) -> None:
    async def main() -> None:
        gateway = FakeGateway(tmp_path)
        gateway.all_tasks = {"v": a_video("v"), "p": a_task("p")}
        client = make(gateway)
        assert [video["id"] for video in (await client.get(VIDEOS)).json["data"]] == ["v"]
        for method, path in (("GET", "p"), ("DELETE", "p"), ("GET", "p/content"), ("GET", "none")):
            answer = await client.call(method, f"{VIDEOS}/{path}")
            assert (answer.status, answer.error["code"]) == (404, "not_found")
        assert (await client.call("POST", f"{VIDEOS}/p/remix", json={"prompt": "x"})).status == 404
        empty = await make(FakeGateway(tmp_path)).get(f"{VIDEOS}?order=asc&limit=1")
        assert empty.json == {
            "object": "list",
            "data": [],
            "first_id": None,
            "last_id": None,
            "has_more": False,
        }

    run(main())


def test_the_file_of_a_video(tmp_path: Path) -> None:
    async def main() -> None:
        gateway = FakeGateway(tmp_path)
        client = make(gateway)
        gateway.all_tasks["v"] = a_video("v", stage=Stage.POLLING)
        early = await client.get(f"{VIDEOS}/v/content")
        assert (early.status, early.header("x-should-retry")) == (404, "false")
        assert early.error["message"] == "the video is not ready; it is polling"
        path = tmp_path / "v.mp4"
        path.write_bytes(b"0123456789")
        result = a_result(0, path, "video/mp4")
        gateway.all_tasks["v"] = a_video("v", stage=Stage.SUCCEEDED, results=(result,))
        whole = await client.get(f"{VIDEOS}/v/content")
        assert (whole.status, whole.header("content-type"), whole.body) == (200, "video/mp4", b"0123456789")
        part = await client.get(f"{VIDEOS}/v/content?variant=video", headers={"range": "bytes=2-4"})
        assert (part.status, part.body) == (206, b"234")
        head = await client.call("HEAD", f"{VIDEOS}/v/content")
        assert (head.status, head.header("content-length"), head.body) == (200, "10", b"")
        sheet = await client.get(f"{VIDEOS}/v/content?variant=spritesheet")
        assert (sheet.status, sheet.error["code"], sheet.error["param"]) == (400, "not_supported", "variant")
        assert (await client.get(f"{VIDEOS}/v/content?variant=thumbnail")).status == 404

    run(main())


def test_what_the_site_cannot_do_is_refused_by_name(tmp_path: Path) -> None:
    async def main() -> None:
        client = make(FakeGateway(tmp_path))
        for method, path in (
            ("POST", "extensions"),
            ("POST", "characters"),
            ("GET", "characters/char_1"),
        ):
            answer = await client.call(method, f"{VIDEOS}/{path}")
            assert (answer.status, answer.error["code"]) == (400, "not_supported")
            assert answer.header("x-should-retry") == "false"
        missing = await client.post(f"{VIDEOS}/edits", {"prompt": "x"})
        assert (missing.status, missing.error["code"], missing.error["param"]) == (
            400,
            "missing_field",
            "video",
        )
        running = FakeGateway(tmp_path)
        running.all_tasks["v"] = a_video("v", stage=Stage.POLLING)
        remix = await make(running).post(f"{VIDEOS}/v/remix", {"prompt": "x"})
        assert (remix.status, remix.header("x-should-retry")) == (409, "false")

    run(main())


def test_the_routes_of_older_gateways_are_no_ids(tmp_path: Path) -> None:
    async def main() -> None:
        client = make(FakeGateway(tmp_path))
        assert (await client.post(f"{VIDEOS}/generations", {"prompt": "cat"})).status == 202

    run(main())


def test_models_as_openai_lists_them(tmp_path: Path) -> None:
    async def main() -> None:
        client = make(FakeGateway(tmp_path))
        listed = (await client.get("/v1/models")).json
        assert listed["object"] == "list"
        names = [(one["id"], one["object"], one["alias_of"]) for one in listed["data"]]
        assert names == [
            ("jimeng-4.5", "model", None),
            ("jimeng-video-3.0", "model", None),
            ("sora-2", "model", "jimeng-video-3.0"),
        ]
        assert listed["data"][0]["capabilities"]["resolutions"] == ["2k"]
        for asked, found in (
            ("jimeng-4.5", "jimeng-4.5"),
            ("seedream/4.5", "jimeng-4.5"),
            ("sora-2", "sora-2"),
        ):
            assert (await client.get(f"/v1/models/{asked}")).json["id"] == found
        for none in ("none", "", "%20"):
            missing = await client.get(f"/v1/models/{none}")
            assert (missing.status, missing.error["code"]) == (404, "model_not_found")

    run(main())
