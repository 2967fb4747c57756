"""Uploads against the simulated services, which verify every signature, checksum and size for themselves."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import wave
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from support.aio import run
from support.wire import counting_ids

from jimeng_gateway.clock import SystemClock
from jimeng_gateway.domain.builtin_models import builtin as models
from jimeng_gateway.domain.errors import ErrorKind, Failure, UpstreamFailure
from jimeng_gateway.domain.intake import Wish, plan
from jimeng_gateway.domain.ports import Order
from jimeng_gateway.domain.reference import Media, Reference, Role, Uploaded
from jimeng_gateway.domain.request import GenerationRequest
from jimeng_gateway.domain.route import Route
from jimeng_gateway.domain.session import Identity
from jimeng_gateway.simulator import media
from jimeng_gateway.simulator.server import Simulator, SimulatorOptions
from jimeng_gateway.upstream import uploads
from jimeng_gateway.upstream.client import HttpUpstream
from jimeng_gateway.upstream.transport import Timeouts
from jimeng_gateway.upstream.wire import identity, protocol

IMAGE, VIDEO, AUDIO = Media.IMAGE, Media.VIDEO, Media.AUDIO
STRICT = SimulatorOptions(sign="strict", speed=1000, absent_s=0)
CONSTANTS = protocol.builtin()


class HurriedClock(SystemClock):
    """Real time, but whoever sleeps is woken at once; how long it wished to sleep is kept."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    def monotonic(self) -> float:
        """Seconds, those slept included."""
        return super().monotonic() + sum(self.slept)

    async def sleep(self, seconds: float) -> None:
        """Returns at once."""
        self.slept.append(seconds)
        await asyncio.sleep(0)


@dataclass
class Bench:
    """A site, a client of it, and a place for files."""

    site: Simulator
    upstream: HttpUpstream
    clock: HurriedClock
    folder: Path

    def file(self, kind: Media, data: bytes, **fields: Any) -> tuple[Reference, Path]:
        """Writes the bytes of a reference."""
        digest = hashlib.sha256(data).hexdigest()
        path = self.folder / digest
        path.write_bytes(data)
        kinds = {IMAGE: "image/png", VIDEO: "video/mp4", AUDIO: "audio/wav"}
        return Reference(kind, digest, kinds[kind], len(data), **fields), path

    async def upload(self, kind: Media, data: bytes, me: Identity | None = None, **fields: Any) -> Uploaded:
        """Uploads bytes."""
        return await self.upstream.upload(me or someone(), *self.file(kind, data, **fields))

    def calls(self, *endpoints: str) -> list[str]:
        """The calls about uploads, in order."""
        ours = {"upload_token", "algo_proxy", *UPLOAD_CALLS}
        return [seen.endpoint for seen in self.site.requests() if seen.endpoint in (endpoints or ours)]


UPLOAD_CALLS = {
    "image_apply",
    "image_commit",
    "video_apply",
    "video_commit",
    "upload_bytes",
    "upload_init",
    "upload_part",
    "upload_finish",
}


def someone(number: int = 1) -> Identity:
    credential = identity.parse_credential(f"{number:032x}")
    return identity.identity(
        credential, identity.draw_web_id(number), f"session_{number}", SystemClock().now()
    )


def with_site(
    folder: Path,
    main: Callable[[Bench], Coroutine[Any, Any, None]],
    options: SimulatorOptions = STRICT,
    timeouts: Timeouts | None = None,
) -> None:
    async def inside(site: Simulator) -> None:
        clock = HurriedClock()
        upstream = HttpUpstream(
            CONSTANTS,
            clock=clock,
            ids=counting_ids(),
            upstream_url=site.base_url,
            timeouts=timeouts,
            usual=Route.DIRECT,
        )
        try:
            await main(Bench(site, upstream, clock, folder))
        finally:
            await upstream.close()
        assert not site.state()["remarks"], "a strict site would have refused something"

    with Simulator(options) as site:
        run(inside(site))


def picture(width: int = 64, height: int = 48, mark: str = "one") -> bytes:
    return media.picture(width, height, "a reference", mark)


def clip(mark: str = "one", extra: int = 0) -> bytes:
    return media.clip("16:9", mark, "720p") + b"\0\0\0\x08free" * (extra // 8)


def sound(seconds: float = 2.5) -> bytes:
    out = BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes(int(seconds * 8000) * 2))
    return out.getvalue()


def test_a_picture(tmp_path: Path) -> None:
    async def main(bench: Bench) -> None:
        made = await bench.upload(IMAGE, picture(64, 48))
        assert made.handle.startswith("tos-cn-i-tb4s082cfz/")
        assert (made.kind, made.width, made.height, made.format) == (IMAGE, 64, 48, "png")
        assert bench.calls() == ["upload_token", "image_apply", "upload_bytes", "image_commit"]

    with_site(tmp_path, main)


def test_a_video_with_the_site_s_measures(tmp_path: Path) -> None:
    async def main(bench: Bench) -> None:
        made = await bench.upload(VIDEO, clip(), width=1, height=1, duration_ms=1, fps=1.0)
        assert made.handle.startswith("v0")
        assert (made.width, made.height, made.duration_ms, made.fps) == (320, 180, 5000, 24.0)
        assert bench.calls() == ["upload_token", "video_apply", "upload_bytes", "video_commit"]

    with_site(tmp_path, main)


def test_our_own_measures_where_the_site_has_none(tmp_path: Path) -> None:
    async def main(bench: Bench) -> None:
        made = await bench.upload(VIDEO, clip(), duration_ms=5016, fps=23.976)
        assert (made.width, made.duration_ms, made.fps) == (320, 5016, 23.976)
        heard = await bench.upload(AUDIO, sound(), duration_ms=2500)
        assert (heard.kind, heard.duration_ms) == (AUDIO, 2500)

    with_site(tmp_path, main, replace(STRICT, video_meta=False))


def test_a_sound_goes_where_videos_go(tmp_path: Path) -> None:
    async def main(bench: Bench) -> None:
        made = await bench.upload(AUDIO, sound(2.5), duration_ms=7)
        assert made.duration_ms == 2500
        assert bench.calls("video_apply") == ["video_apply"]
        [apply] = bench.site.requests("video_apply")
        assert (apply.call.query["FileType"], apply.call.query["SpaceName"]) == ("video", "dreamina")

    with_site(tmp_path, main)


def test_no_cookie_and_no_sign_goes_to_the_services(tmp_path: Path) -> None:
    async def main(bench: Bench) -> None:
        await bench.upload(IMAGE, picture())
        await bench.upload(VIDEO, clip(extra=uploads.LARGE))
        seen = [seen for seen in bench.site.requests() if seen.endpoint in UPLOAD_CALLS]
        assert {one.endpoint for one in seen} >= UPLOAD_CALLS - {"upload_bytes"}
        for one in seen:
            assert not {"cookie", "sign", "device-time", "appid"} & one.call.headers.keys()
            assert one.call.headers["user-agent"] == CONSTANTS.browser.user_agent
            assert "sessionid" not in str(one.call.headers)

    with_site(tmp_path, main)


def test_large_videos_go_in_parts(tmp_path: Path) -> None:
    async def main(bench: Bench) -> None:
        data = clip(extra=uploads.LARGE)
        await bench.upload(VIDEO, data)
        parts = bench.site.requests("upload_part")
        assert [seen.call.query["part_number"] for seen in parts] == ["1", "2", "3", "4", "5"]
        assert [seen.call.length for seen in parts[:-1]] == [uploads.PART] * 4
        assert sum(seen.call.length for seen in parts) == len(data)
        assert not bench.calls("upload_bytes")

    with_site(tmp_path, main)


def test_a_store_that_wants_one_piece_gets_it(tmp_path: Path) -> None:
    async def main(bench: Bench) -> None:
        data = clip(extra=uploads.LARGE)
        await bench.upload(VIDEO, data)
        assert bench.calls("upload_init", "upload_part", "upload_bytes") == ["upload_init", "upload_bytes"]
        assert bench.site.requests("upload_bytes")[0].call.length == len(data)

    with_site(tmp_path, main, replace(STRICT, multipart=False))


def test_a_token_serves_until_it_nears_its_end(tmp_path: Path) -> None:
    async def main(bench: Bench) -> None:
        await asyncio.gather(*(bench.upload(IMAGE, picture(mark=str(n))) for n in range(4)))
        assert len(bench.calls("upload_token")) == 1
        await bench.upload(VIDEO, clip())
        await bench.upload(IMAGE, picture(mark="else"), someone(2))
        assert len(bench.calls("upload_token")) == 3
        bench.clock.slept.append(uploads.TOKEN_S - 1)
        await bench.upload(IMAGE, picture(mark="late"))
        assert len(bench.calls("upload_token")) == 3
        bench.clock.slept.append(2)
        await bench.upload(IMAGE, picture(mark="later"))
        assert len(bench.calls("upload_token")) == 4

    with_site(tmp_path, main)


def test_a_token_of_short_life_is_believed(tmp_path: Path) -> None:
    async def main(bench: Bench) -> None:
        await bench.upload(IMAGE, picture(mark="a"))
        bench.clock.slept.append(200 - uploads.TOKEN_REST_S + 1)
        await bench.upload(IMAGE, picture(mark="b"))
        assert len(bench.calls("upload_token")) == 2

    with_site(tmp_path, main, replace(STRICT, upload_token_s=200))


STEPS = ["upload_token", "image_apply", "upload_bytes", "image_commit"]
PASSING = ["html504", "html200", "http500", "reset", "lost_reply", "empty", "not_json"]


@pytest.mark.parametrize(("step", "fault"), list(itertools.product(STEPS, PASSING)))
def test_every_step_survives_a_disturbance(tmp_path: Path, step: str, fault: str) -> None:
    async def main(bench: Bench) -> None:
        bench.site.fault(fault, endpoint=step, count=1)
        made = await bench.upload(IMAGE, picture())
        assert made.width == 64
        # What the reply of a call was lost may have been done twice; a file is applied for once.
        assert len(bench.calls("image_apply")) == (2 if step == "image_apply" else 1)

    with_site(tmp_path, main)


@pytest.mark.parametrize("step", ["upload_init", "upload_part", "upload_finish", "video_commit"])
def test_every_step_of_parts_survives_a_disturbance(tmp_path: Path, step: str) -> None:
    async def main(bench: Bench) -> None:
        bench.site.fault("html504", endpoint=step, count=2)
        await bench.upload(VIDEO, clip(extra=uploads.LARGE))
        assert len(bench.calls("upload_part")) == (7 if step == "upload_part" else 5)

    with_site(tmp_path, main)


def test_a_spell_of_refused_signatures_is_outlasted(tmp_path: Path) -> None:
    async def main(bench: Bench) -> None:
        bench.site.fault("ret", endpoint="video_apply", ret="SignatureDoesNotMatch", count=25)
        await bench.upload(VIDEO, clip())
        assert bench.clock.slept == [5.0] * 25
        # With another token after the first refusal and after every third one from there.
        assert len(bench.calls("upload_token")) == 1 + 9
        applies = [seen.call.headers for seen in bench.site.requests("video_apply")]
        assert len({headers["x-amz-security-token"] for headers in applies}) == 10

    with_site(tmp_path, main)


def test_a_spell_without_end_is_given_up(tmp_path: Path) -> None:
    async def main(bench: Bench) -> None:
        bench.site.fault("ret", endpoint="video_apply", ret="SignatureDoesNotMatch")
        failed = await failure_of(bench.upload(VIDEO, clip()))
        assert (failed.kind, failed.code) == (ErrorKind.UPSTREAM_ERROR, "SignatureDoesNotMatch")
        assert sum(bench.clock.slept) <= 150 * uploads.ROUNDS

    with_site(tmp_path, main)


@pytest.mark.parametrize(
    ("step", "code"), [("image_apply", "InvalidAuthorization"), ("image_commit", "30406")]
)
def test_a_token_that_is_refused_is_changed_at_once(tmp_path: Path, step: str, code: str) -> None:
    async def main(bench: Bench) -> None:
        bench.site.fault("ret", endpoint=step, ret=code, count=1)
        await bench.upload(IMAGE, picture())
        assert len(bench.calls("upload_token")) == 2

    with_site(tmp_path, main)


async def failure_of(doing: Coroutine[Any, Any, Any]) -> Failure:
    with pytest.raises(UpstreamFailure) as caught:
        await doing
    return caught.value.failure


@pytest.mark.parametrize(
    ("fault", "kind", "code"),
    [
        ({"kind": "ret", "endpoint": "upload_token", "ret": "1015"}, ErrorKind.AUTH, "1015"),
        ({"kind": "ret", "endpoint": "upload_token", "ret": "1018"}, ErrorKind.ACCOUNT_BLOCKED, "1018"),
        ({"kind": "ret", "endpoint": "upload_token", "ret": "4013"}, ErrorKind.RISK, "4013"),
        ({"kind": "ret", "endpoint": "upload_bytes", "ret": "4010"}, ErrorKind.UPSTREAM_ERROR, "upload_4010"),
        ({"kind": "ret", "endpoint": "image_commit", "ret": "Strange"}, ErrorKind.UPSTREAM_ERROR, "Strange"),
        ({"kind": "reset", "endpoint": "image_apply"}, ErrorKind.NETWORK, "disconnected"),
        ({"kind": "http500", "endpoint": "upload_bytes"}, ErrorKind.UPSTREAM_ERROR, "http_500"),
    ],
)
def test_what_stays_wrong_is_named(tmp_path: Path, fault: dict[str, Any], kind: ErrorKind, code: str) -> None:
    async def main(bench: Bench) -> None:
        bench.site.fault(**fault)
        failed = await failure_of(bench.upload(IMAGE, picture()))
        assert failed.kind is kind
        assert failed.code == code or {failed.code, code} <= {"disconnected", "connection_reset"}
        if kind in (ErrorKind.AUTH, ErrorKind.ACCOUNT_BLOCKED, ErrorKind.RISK):
            assert len(bench.calls()) == 1
            assert bench.clock.slept == []

    with_site(tmp_path, main)


def test_a_file_that_is_gone_or_changed_is_not_sent(tmp_path: Path) -> None:
    async def main(bench: Bench) -> None:
        reference, path = bench.file(IMAGE, picture())
        failed = await failure_of(bench.upstream.upload(someone(), reference, tmp_path / "nowhere"))
        assert (failed.kind, failed.code) == (ErrorKind.INVALID_REQUEST, "reference_gone")
        path.write_bytes(picture() + b"!")
        failed = await failure_of(bench.upstream.upload(someone(), reference, path))
        assert (failed.kind, failed.code) == (ErrorKind.INVALID_REQUEST, "file_changed")
        failed = await failure_of(bench.upstream.upload(someone(), reference, tmp_path))
        assert (failed.kind, failed.code) == (ErrorKind.UNKNOWN, "disk")
        assert bench.calls() == []

    with_site(tmp_path, main)


def test_the_safety_check(tmp_path: Path) -> None:
    async def main(bench: Bench) -> None:
        fine = await bench.upload(IMAGE, picture())
        await bench.upstream.precheck(someone(), fine)
        bad = await bench.upload(IMAGE, picture() + b"[sim:reject-image]")
        failed = await failure_of(bench.upstream.precheck(someone(), bad))
        assert (failed.kind, failed.code) == (ErrorKind.CONTENT_REJECTED, "2003")
        await bench.upstream.precheck(someone(), await bench.upload(VIDEO, clip()))
        assert len(bench.calls("algo_proxy")) == 2

    with_site(tmp_path, main)


def test_a_submit_of_what_was_uploaded_is_taken(tmp_path: Path) -> None:
    async def main(bench: Bench) -> None:
        blend = request("hand painted", "jimeng-4.5", picture_of(bench, "a"), picture_of(bench, "b"))
        await submitted(bench, blend)
        omni = request(
            "@1 like @2 with @3",
            "seedance-2.0",
            picture_of(bench, "c"),
            bench.file(VIDEO, clip(), width=320, height=180, duration_ms=5000, fps=24.0),
            bench.file(AUDIO, sound(), duration_ms=2500),
        )
        await submitted(bench, omni)
        first, last = picture_of(bench, "d"), picture_of(bench, "e")
        framed = request(
            "a boat",
            "jimeng-video-3.0-fast",
            (replace(first[0], role=Role.FIRST_FRAME), first[1]),
            (replace(last[0], role=Role.LAST_FRAME), last[1]),
        )
        await submitted(bench, framed)
        assert bench.site.state()["uploads"] == 7

    with_site(tmp_path, main)


def test_a_submit_of_another_account_s_file_is_refused(tmp_path: Path) -> None:
    async def main(bench: Bench) -> None:
        wish, files = request("hand painted", "jimeng-4.5", picture_of(bench, "a"))
        made = await bench.upstream.upload(someone(2), wish.references[0], files[0])
        order = Order(wish, "33333333-3333-4333-8333-333333333333", 7, (made,))
        failed = await failure_of(bench.upstream.submit(someone(1), order))
        assert failed.code == "1000"
        assert bench.site.books()["charges"] == []

    with_site(tmp_path, main)


def picture_of(bench: Bench, mark: str) -> tuple[Reference, Path]:
    return bench.file(IMAGE, picture(mark=mark), width=64, height=48)


def request(prompt: str, model: str, *files: tuple[Reference, Path]) -> tuple[GenerationRequest, list[Path]]:
    references = tuple(reference for reference, _ in files)
    planned = plan(Wish("-", model=model), models())
    return replace(planned, prompt=prompt, references=references), [path for _, path in files]


async def submitted(bench: Bench, wished: tuple[GenerationRequest, list[Path]]) -> None:
    wish, files = wished
    made = [
        await bench.upstream.upload(someone(), reference, path)
        for reference, path in zip(wish.references, files, strict=True)
    ]
    number = len(bench.site.jobs())
    order = Order(wish, f"33333333-3333-4333-8333-{number:012d}", 7, tuple(made))
    accepted = await bench.upstream.submit(someone(), order)
    assert accepted.history_id
