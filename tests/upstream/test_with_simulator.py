"""The client against the simulated site, end to end: the only other reading of the protocol that we have."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import pytest
from support.aio import run
from support.wire import counting_ids

from jimeng_gateway.clock import SystemClock
from jimeng_gateway.domain.builtin_models import builtin as models
from jimeng_gateway.domain.catalogue import merge
from jimeng_gateway.domain.errors import Acceptance, ErrorKind, Failure, UpstreamFailure
from jimeng_gateway.domain.intake import Wish, plan
from jimeng_gateway.domain.ports import Order
from jimeng_gateway.domain.record import JobState, Record
from jimeng_gateway.domain.request import Kind
from jimeng_gateway.domain.route import Route
from jimeng_gateway.domain.session import Identity
from jimeng_gateway.simulator.server import Simulator, SimulatorOptions
from jimeng_gateway.upstream.client import HttpUpstream
from jimeng_gateway.upstream.wire import identity, protocol

NUMBERS = itertools.count(1)
STRICT = SimulatorOptions(sign="strict", speed=1000, absent_s=0)


def submit_id() -> str:
    return f"22222222-2222-4222-8222-{next(NUMBERS):012d}"


def me() -> Identity:
    credential = identity.parse_credential("0123456789abcdef0123456789abcdef")
    return identity.identity(credential, identity.draw_web_id(12345), "session_1", SystemClock().now())


def with_site(
    options: SimulatorOptions, main: Callable[[Simulator, HttpUpstream], Coroutine[Any, Any, None]]
) -> None:
    async def inside(site: Simulator) -> None:
        upstream = HttpUpstream(
            protocol.builtin(),
            usual=Route.DIRECT,
            clock=SystemClock(),
            ids=counting_ids(),
            upstream_url=site.base_url,
        )
        try:
            await main(site, upstream)
        finally:
            await upstream.close()

    with Simulator(options) as site:
        run(inside(site))


async def ended(site: Simulator, upstream: HttpUpstream, wanted: str) -> Record:
    """The record of a job that is made to end now, if it has not."""
    site.finish(wanted)
    record = (await upstream.records(me(), submit_ids=[wanted]))[wanted]
    assert record.state in (JobState.SUCCEEDED, JobState.FAILED)
    return record


async def made(site: Simulator, upstream: HttpUpstream, wish: Wish) -> Record:
    """Submits and waits for the end."""
    order = Order(plan(wish, models()), submit_id(), 7)
    accepted = await upstream.submit(me(), order)
    assert accepted.history_id
    record = await ended(site, upstream, order.submit_id)
    assert record.history_id == accepted.history_id
    assert site.books()["charged"][order.submit_id] == 1
    return record


def test_pictures_from_wish_to_bytes() -> None:
    async def main(site: Simulator, upstream: HttpUpstream) -> None:
        record = await made(site, upstream, Wish("a cat", n=3, ratio="16:9"))
        assert (record.state, len(record.items), record.images_total) == (JobState.SUCCEEDED, 3, 3)
        assert {(item.kind, item.width, item.height) for item in record.items} == {("image", 2560, 1440)}
        for item in record.items:
            async with upstream.download(item.url) as opened:
                data = b"".join([chunk async for chunk in opened.chunks])
            assert data[:4] == b"\x89PNG" or data[:4] == b"RIFF"
            assert opened.length == len(data)

    with_site(STRICT, main)


#: Models of a single source, which the simulated site does not offer.
DOUBTFUL = {"jimeng-video-3.5", "jimeng-video-3.5-fast", "seedance-2.0-lite"}


def test_every_model_is_accepted_as_we_ask_for_it() -> None:
    async def main(site: Simulator, upstream: HttpUpstream) -> None:
        for model in models().models:
            for tier in model.tiers if model.name not in DOUBTFUL else ():
                wish = Wish("a boat", model=model.name, resolution=tier.name)
                accepted = await upstream.submit(me(), Order(plan(wish, models()), submit_id(), 7))
                assert accepted.history_id, model.name

    with_site(STRICT, main)


def test_a_video_with_its_better_address() -> None:
    async def main(site: Simulator, upstream: HttpUpstream) -> None:
        record = await made(site, upstream, Wish("a boat", model="seedance-2.0", duration=5))
        (item,) = record.items
        assert (record.state, item.kind) == (JobState.SUCCEEDED, "video")
        better = await upstream.best_video_url(me(), item.item_id)
        assert better
        assert better != item.url
        for url in (better, item.url):
            async with upstream.download(url) as opened:
                data = b"".join([chunk async for chunk in opened.chunks])
            assert data[4:8] == b"ftyp"

    with_site(STRICT, main)


def test_failures_after_acceptance() -> None:
    async def main(site: Simulator, upstream: HttpUpstream) -> None:
        for trigger, kind, code in (
            ("reject-text", ErrorKind.CONTENT_REJECTED, "2038"),
            ("reject-result", ErrorKind.CONTENT_REJECTED, None),
            ("face", ErrorKind.CONTENT_REJECTED, "4011"),
            ("fail", ErrorKind.GENERATION_FAILED, None),
        ):
            record = await made(site, upstream, Wish(f"[sim:{trigger}]", model="seedance-2.0"))
            assert record.failure is not None
            assert record.failure.kind is kind, trigger
            assert code in (None, record.failure.code), trigger

    with_site(STRICT, main)


def test_a_partial_result_is_delivered() -> None:
    async def main(site: Simulator, upstream: HttpUpstream) -> None:
        record = await made(site, upstream, Wish("a cat [sim:partial=2]", n=4))
        assert (record.state, len(record.items), record.images_total) == (JobState.SUCCEEDED, 2, 4)

    with_site(STRICT, main)


async def refused(upstream: HttpUpstream, prompt: str = "a cat") -> Failure:
    with pytest.raises(UpstreamFailure) as caught:
        await upstream.submit(me(), Order(plan(Wish(prompt), models()), submit_id(), 7))
    return caught.value.failure


def test_refusals_by_code() -> None:
    async def main(site: Simulator, upstream: HttpUpstream) -> None:
        for ret in ("1006", "1015", "1018", "1019", "1310", "2061", "4013", "121101", "-6"):
            failure = await refused(upstream, f"[sim:ret={ret}]")
            assert (failure.code, failure.acceptance) == (ret, Acceptance.NO)
            assert failure.kind is protocol.builtin().codes[ret].kind

    with_site(STRICT, main)


def test_disturbed_submits_stay_open_and_can_be_asked_for() -> None:
    untouched = ("html504", "html200", "http500", "reset")
    carried_out = ("lost_reply", "empty", "not_json", "truncated")

    async def main(site: Simulator, upstream: HttpUpstream) -> None:
        for fault in (*untouched, *carried_out):
            site.reset()
            site.fault(fault, endpoint="generate")
            order = Order(plan(Wish("a cat"), models()), submit_id(), 7)
            with pytest.raises(UpstreamFailure) as caught:
                await upstream.submit(me(), order)
            assert caught.value.failure.acceptance is Acceptance.UNKNOWN, fault
            assert len(site.requests("generate")) == 1, fault
            site.clear_faults()
            found = await upstream.records(me(), submit_ids=[order.submit_id])
            assert (order.submit_id in found) is (fault in carried_out), fault

    with_site(STRICT, main)


def test_disturbed_polls_raise_and_never_look_like_absence() -> None:
    async def main(site: Simulator, upstream: HttpUpstream) -> None:
        order = Order(plan(Wish("a cat"), models()), submit_id(), 7)
        await upstream.submit(me(), order)
        for fault in ("html504", "empty", "not_json", "truncated", "null_data"):
            site.clear_faults()
            site.fault(fault, endpoint="history")
            with pytest.raises(UpstreamFailure) as caught:
                await upstream.records(me(), submit_ids=[order.submit_id])
            assert caught.value.failure.kind is ErrorKind.UPSTREAM_ERROR, fault

    with_site(STRICT, main)


def test_odd_polls_are_understood() -> None:
    async def main(site: Simulator, upstream: HttpUpstream) -> None:
        for fault in ("numbers", "blank_ret", "bare"):
            site.clear_faults()
            site.fault(fault, endpoint="history")
            assert (await made(site, upstream, Wish("a cat"))).state is JobState.SUCCEEDED, fault

    with_site(STRICT, main)


def test_a_submit_answered_in_numbers_is_understood() -> None:
    async def main(site: Simulator, upstream: HttpUpstream) -> None:
        site.fault("numbers", endpoint="generate")
        assert (await made(site, upstream, Wish("a cat"))).state is JobState.SUCCEEDED

    with_site(STRICT, main)


def test_cancelling_a_queued_video() -> None:
    async def main(site: Simulator, upstream: HttpUpstream) -> None:
        order = Order(plan(Wish("a boat [sim:queue=600]", kind=Kind.VIDEO), models()), submit_id(), 7)
        accepted = await upstream.submit(me(), order)
        queued = (await upstream.records(me(), history_ids=[accepted.history_id]))[accepted.history_id]
        assert queued.state is JobState.QUEUED
        assert queued.queue_position is not None
        await upstream.cancel(me(), accepted.history_id)
        record = await ended(site, upstream, order.submit_id)
        assert record.failure is not None
        assert (record.failure.kind, record.failure.code) == (
            ErrorKind.GENERATION_FAILED,
            "cancelled_upstream",
        )

    with_site(replace(STRICT, speed=1), main)


def test_account_catalogue_and_clock() -> None:
    async def main(site: Simulator, upstream: HttpUpstream) -> None:
        account = await upstream.account(me())
        assert account.uid
        assert account.credits == 50_000
        assert await upstream.clock_skew() == pytest.approx(120, abs=2)
        images, videos = await upstream.models(me(), Kind.IMAGE), await upstream.models(me(), Kind.VIDEO)
        known = merge(models(), images, videos)
        assert known.find("jimeng-4.5").status == "available"
        assert known.find("seedance-2.0").status == "available"
        for model in (*known.of_kind(Kind.IMAGE), *known.of_kind(Kind.VIDEO)):
            if model.status == "available":
                request = plan(Wish("a boat", model=model.name), known)
                await upstream.submit(me(), Order(request, submit_id(), 7))

    with_site(replace(STRICT, sign="lax", credits=50_000, skew_s=120.0), main)


def test_a_dead_login() -> None:
    async def main(site: Simulator, upstream: HttpUpstream) -> None:
        with pytest.raises(UpstreamFailure) as caught:
            await upstream.account(me())
        assert caught.value.failure.kind is ErrorKind.AUTH
        assert (await refused(upstream)).kind is ErrorKind.AUTH

    with_site(replace(STRICT, open_door=False), main)
