"""Each call of the client against a small server: what it sends, and what it makes of the answer."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from golden.check import load
from support.aio import run
from support.wire import NOW_MS, SUBMIT_ID, an_identity, an_order
from upstream.servers import Handler, Request, answering, client, reply, serving

from jimeng_gateway.domain.errors import Acceptance, ErrorKind, Failure, UpstreamFailure
from jimeng_gateway.domain.intake import Wish
from jimeng_gateway.domain.ports import SignedRequest
from jimeng_gateway.domain.record import JobState
from jimeng_gateway.domain.request import Kind
from jimeng_gateway.domain.route import Route
from jimeng_gateway.domain.session import Account, Identity
from jimeng_gateway.upstream.transport import LARGEST_REPLY, Timeouts

ME = an_identity()
OK = '{"ret":"0","data":{}}'


def text(name: str) -> str:
    return json.dumps(load(f"replies/{name}"))


async def failure_of(call: Coroutine[Any, Any, object]) -> Failure:
    with pytest.raises(UpstreamFailure) as caught:
        await call
    return caught.value.failure


def test_a_submit_is_sent_once_and_understood() -> None:
    async def main() -> None:
        async with serving(answering(text("image-accepted"))) as server, client(server.url) as upstream:
            accepted = await upstream.submit(ME, an_order(Wish("a lighthouse at dusk")))
            assert accepted.history_id == "34567000000001"
            (request,) = server.requests
            assert request.method == "POST"
            assert urlsplit(request.target).path == "/mweb/v1/aigc_draft/generate"
            assert dict(parse_qsl(urlsplit(request.target).query))["webId"] == ME.web_id
            assert request.headers["cookie"] == ME.cookie
            assert request.headers["device-time"] == str(NOW_MS // 1000)
            assert request.headers["user-agent"].startswith("Mozilla/5.0 (Windows NT 10.0")
            assert "aiohttp" not in json.dumps(request.headers)
            assert json.loads(request.body)["submit_id"] == SUBMIT_ID

    run(main())


def test_a_refused_submit_is_a_sure_no() -> None:
    async def main() -> None:
        async with serving(answering(text("credits-short"))) as server, client(server.url) as upstream:
            failure = await failure_of(upstream.submit(ME, an_order(Wish("a"))))
            assert (failure.kind, failure.code, failure.acceptance) == (
                ErrorKind.QUOTA,
                "1006",
                Acceptance.NO,
            )

    run(main())


@pytest.mark.parametrize(
    "raw",
    [
        reply("<html>504</html>", "504 Gateway Time-out"),
        reply("<html>hello</html>"),
        reply(""),
        reply("", "500 Internal Server Error"),
        reply('{"ret":"","errmsg":""}'),
        reply('{"ret":"0","da'),
        reply("", "302 Found", "Location: /login"),
        b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{",
        b"garbage\r\n\r\n",
    ],
)
def test_an_unreadable_answer_to_a_submit_leaves_it_open(raw: bytes) -> None:
    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(raw)
        writer.close()

    async def main() -> None:
        async with serving(handler) as server, client(server.url) as upstream:
            failure = await failure_of(upstream.submit(ME, an_order(Wish("a"))))
            assert failure.acceptance is Acceptance.UNKNOWN
            assert failure.kind in (ErrorKind.UPSTREAM_ERROR, ErrorKind.NETWORK)
            assert len(server.requests) == 1

    run(main())


def test_polls_ask_many_ids_at_once() -> None:
    async def main() -> None:
        async with serving(answering(text("video-queued"))) as server, client(server.url) as upstream:
            found = await upstream.records(ME, submit_ids=[SUBMIT_ID, "unknown"])
            assert {key: record.state for key, record in found.items()} == {SUBMIT_ID: JobState.QUEUED}
            assert json.loads(server.requests[0].body)["submit_ids"] == [SUBMIT_ID, "unknown"]
            await upstream.records(ME, history_ids=["34567000000001"])
            assert json.loads(server.requests[1].body)["history_ids"] == ["34567000000001"]
            assert server.connections == 1

    run(main())


def test_a_poll_of_nothing_or_too_much_is_a_programming_error() -> None:
    async def main() -> None:
        async with client("http://127.0.0.1:9") as upstream:
            for arguments in ({}, {"submit_ids": ["a"], "history_ids": ["b"]}, {"submit_ids": ["a"] * 51}):
                with pytest.raises(ValueError, match="1 to 50"):
                    await upstream.records(ME, **arguments)

    run(main())


def test_the_high_quality_address() -> None:
    item = {"item_id": "76", "video": {"transcoded_video": {"origin": {"video_url": "https://v9/hq"}}}}
    body = json.dumps({"ret": "0", "data": {"item_list": [item]}})

    async def main() -> None:
        async with serving(answering(body)) as server, client(server.url) as upstream:
            assert await upstream.best_video_url(ME, "76") == "https://v9/hq"
            assert json.loads(server.requests[0].body) == {
                "item_id_list": ["76"],
                "pack_item_opt": {"scene": 1, "need_data_integrity": True},
                "is_for_video_download": True,
            }

    run(main())


def test_cancelling() -> None:
    async def main() -> None:
        async with serving(answering(OK, '{"ret":"1000"}')) as server, client(server.url) as upstream:
            await upstream.cancel(ME, "345")
            assert json.loads(server.requests[0].body) == {"history_id": "345"}
            assert (await failure_of(upstream.cancel(ME, "345"))).code == "1000"

    run(main())


USER = '{"ret":"0","data":{"uid":"12","name":"someone"}}'
CREDIT = '{"ret":"0","data":{"credit":{"gift_credit":66,"purchase_credit":0,"vip_credit":100}}}'
PASSPORT = '{"message":"success","data":{"user_id":12,"name":"someone"}}'


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ((USER, CREDIT), Account("12", "someone", 166)),
        ((USER, '{"ret":"1014","errmsg":"system busy"}'), Account("12", "someone", None)),
        ((USER, "<html>"), Account("12", "someone", None)),
        (("<html>", PASSPORT, CREDIT), Account("12", "someone", 166)),
        (('{"ret":"1000"}', PASSPORT, CREDIT), Account("12", "someone", 166)),
    ],
)
def test_the_account(answers: tuple[str, ...], expected: Account) -> None:
    async def main() -> None:
        async with serving(answering(*answers)) as server, client(server.url) as upstream:
            assert await upstream.account(ME) == expected
            assert len(server.requests) == len(answers)

    run(main())


@pytest.mark.parametrize(
    ("answers", "kind"),
    [
        (('{"ret":"1015","errmsg":"login error"}',), ErrorKind.AUTH),
        (('{"ret":"1018"}',), ErrorKind.ACCOUNT_BLOCKED),
        (("<html>", '{"message":"error","data":{"name":"session_expired"}}'), ErrorKind.AUTH),
        (("<html>", "<html>"), ErrorKind.UPSTREAM_ERROR),
        (('{"ret":"0","data":{}}', '{"message":"error","data":{"name":"busy"}}'), ErrorKind.UNKNOWN),
    ],
)
def test_a_login_is_dead_only_if_the_site_says_so(answers: tuple[str, ...], kind: ErrorKind) -> None:
    async def main() -> None:
        async with serving(answering(*answers)) as server, client(server.url) as upstream:
            assert (await failure_of(upstream.account(ME))).kind is kind

    run(main())


def test_the_image_catalogue() -> None:
    async def main() -> None:
        async with serving(answering(text("image-catalogue"))) as server, client(server.url) as upstream:
            models = await upstream.models(ME, Kind.IMAGE)
            assert [model.key for model in models] == ["high_aes_general_v50", "high_aes_general_v60"]

    run(main())


@pytest.mark.parametrize(
    "first", ['{"ret":"1000"}', '{"ret":"0","data":{"model_list":[]}}', '{"ret":"98765"}']
)
def test_the_video_catalogue_is_asked_under_both_of_its_names(first: str) -> None:
    async def main() -> None:
        async with (
            serving(answering(first, text("video-catalogue"))) as server,
            client(server.url) as upstream,
        ):
            models = await upstream.models(ME, Kind.VIDEO)
            assert len(models) == 2
            scenes = [json.loads(request.body)["scene"] for request in server.requests]
            assert scenes == ["generate_video", "video_generate"]

    run(main())


def test_a_dead_login_ends_the_search_for_a_catalogue() -> None:
    async def main() -> None:
        async with serving(answering('{"ret":"1015"}')) as server, client(server.url) as upstream:
            assert (await failure_of(upstream.models(ME, Kind.VIDEO))).kind is ErrorKind.AUTH
            assert len(server.requests) == 1

    run(main())


def test_clock_skew_needs_no_login() -> None:
    async def main() -> None:
        ahead = NOW_MS // 1000 + 90
        async with (
            serving(answering(f'{{"ret":"1015","systime":"{ahead}"}}')) as server,
            client(server.url) as upstream,
        ):
            assert await upstream.clock_skew() == pytest.approx(90, abs=1)
            assert not server.requests[0].headers["cookie"]

    run(main())


def test_clock_skew_from_the_date_header() -> None:
    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(reply("<html>", "200 OK", "Date: Thu, 01 Jan 2026 00:00:10 GMT"))

    async def main() -> None:
        async with serving(handler) as server, client(server.url) as upstream:
            assert await upstream.clock_skew() == pytest.approx(10, abs=1)
        async with serving(answering("<html>")) as server, client(server.url) as upstream:
            assert (await failure_of(upstream.clock_skew())).code == "no_time"

    run(main())


def test_compressed_replies_are_read_and_only_such_are_asked_for() -> None:
    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        encodings = {name.strip() for name in request.headers["accept-encoding"].split(",")}
        assert {"gzip", "deflate"} <= encodings <= {"gzip", "deflate", "br", "zstd"}
        writer.write(reply(gzip.compress(OK.encode()), "200 OK", "Content-Encoding: gzip"))

    async def main() -> None:
        async with serving(handler) as server, client(server.url) as upstream:
            await upstream.cancel(ME, "1")

    run(main())


def test_a_reply_without_end_is_cut_off() -> None:
    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        packed = gzip.compress(b" " * (LARGEST_REPLY + 1000))
        writer.write(reply(packed, "200 OK", "Content-Encoding: gzip"))

    async def main() -> None:
        async with serving(handler) as server, client(server.url) as upstream:
            assert (await failure_of(upstream.cancel(ME, "1"))).code == "too_large"

    run(main())


def test_cookies_of_the_site_are_not_kept() -> None:
    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(reply(OK, "200 OK", "Set-Cookie: sessionid=stolen; Path=/"))

    async def main() -> None:
        async with serving(handler) as server, client(server.url) as upstream:
            await upstream.cancel(ME, "1")
            await upstream.cancel(ME, "1")
            assert [request.headers["cookie"] for request in server.requests] == [ME.cookie] * 2

    run(main())


class Page:
    """A signer that remembers what it was asked to send."""

    def __init__(self, body: str) -> None:
        self.body = body
        self.sent: list[SignedRequest] = []

    async def send(self, identity: Identity, request: SignedRequest) -> bytes:
        self.sent.append(request)
        return self.body.encode()


def test_a_signer_sends_videos_and_only_those() -> None:
    async def main() -> None:
        page = Page(text("video-accepted"))
        async with (
            serving(answering(text("image-accepted"))) as server,
            client(server.url, usual=Route.AUTO, signer=page) as upstream,
        ):
            accepted = await upstream.submit(ME, an_order(Wish("a", kind=Kind.VIDEO)))
            assert accepted.record is not None
            assert accepted.record.state is JobState.QUEUED
            assert not server.requests
            await upstream.submit(ME, an_order(Wish("a")))
            assert (len(server.requests), len(page.sent)) == (1, 1)
            assert json.loads(page.sent[0].body)["submit_id"] == SUBMIT_ID

    run(main())


def site(submits: str, history: str) -> Handler:
    """A site that answers submits one way and polls another."""

    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        polled = urlsplit(request.target).path.endswith("get_history_by_ids")
        writer.write(reply(history if polled else submits))

    return handler


ABSENT = '{"ret":"0","data":{}}'


@pytest.mark.parametrize("name", ["risk-control", "shark"])
def test_a_plain_submit_refused_as_unsigned_is_followed_by_one_signed(name: str) -> None:
    async def main() -> None:
        page = Page(text("video-accepted"))
        async with (
            serving(site(text(name), ABSENT)) as server,
            client(server.url, signer=page) as upstream,
        ):
            accepted = await upstream.submit(ME, an_order(Wish("a", kind=Kind.VIDEO)))
            assert accepted.record is not None
            paths = [urlsplit(request.target).path.rsplit("/", 1)[1] for request in server.requests]
            assert paths == ["generate", "get_history_by_ids"], (
                "the site is asked before anything is sent again"
            )
            (signed,) = page.sent
            assert json.loads(signed.body)["submit_id"] == SUBMIT_ID

    run(main())


def test_a_job_that_exists_in_spite_of_the_refusal_is_taken_and_not_sent_again() -> None:
    async def main() -> None:
        page = Page(text("video-accepted"))
        record = json.loads(text("video-accepted"))["data"]["aigc_data"]
        history = json.dumps({"ret": "0", "data": {SUBMIT_ID: record}})
        async with (
            serving(site(text("risk-control"), history)) as server,
            client(server.url, signer=page) as upstream,
        ):
            accepted = await upstream.submit(ME, an_order(Wish("a", kind=Kind.VIDEO)))
            assert accepted.history_id == record["history_record_id"]
            assert not page.sent

    run(main())


@pytest.mark.parametrize("history", ["<html>504</html>", ABSENT])
def test_the_refusal_stands_if_the_site_cannot_be_asked_or_the_lease_is_gone(history: str) -> None:
    async def main() -> None:
        page = Page(text("video-accepted"))
        order = replace(an_order(Wish("a", kind=Kind.VIDEO)), still_ours=lambda: False)
        async with (
            serving(site(text("risk-control"), history)) as server,
            client(server.url, signer=page) as upstream,
        ):
            failure = await failure_of(upstream.submit(ME, order))
            assert (failure.code, failure.acceptance) == ("4013", Acceptance.NO)
            assert not page.sent

    run(main())


def test_a_browser_that_is_not_there_sends_nothing_plainly() -> None:
    async def main() -> None:
        async with serving(answering(OK)) as server, client(server.url, usual=Route.BROWSER) as upstream:
            failure = await failure_of(upstream.submit(ME, an_order(Wish("a"))))
            assert (failure.code, failure.acceptance) == ("signer_unavailable", Acceptance.NO)
            assert not server.requests

    run(main())


def test_a_slow_answer_is_a_timeout() -> None:
    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        return  # never answers

    async def main() -> None:
        limits = Timeouts(connect=0.2, submit=0.2, call=0.2)
        async with serving(handler) as server, client(server.url, limits) as upstream:
            submit = await failure_of(upstream.submit(ME, an_order(Wish("a"))))
            assert (submit.kind, submit.acceptance) == (ErrorKind.TIMEOUT, Acceptance.UNKNOWN)
            assert (await failure_of(upstream.cancel(ME, "1"))).kind is ErrorKind.TIMEOUT

    run(main())


def test_a_refusal_is_still_one_if_there_is_no_browser_for_the_second_try() -> None:
    """Else a risk refusal would look like an outage, and the same account would be asked again and again."""

    class Away(Page):
        async def send(self, identity: Identity, request: SignedRequest) -> bytes:
            raise UpstreamFailure(Failure(ErrorKind.UPSTREAM_ERROR, "signer_unavailable", "no browser"))

    async def main() -> None:
        async with (
            serving(site(text("risk-control"), ABSENT)) as server,
            client(server.url, signer=Away("")) as upstream,
        ):
            failure = await failure_of(upstream.submit(ME, an_order(Wish("a", kind=Kind.VIDEO))))
            assert (failure.kind, failure.code) == (ErrorKind.RISK, "4013")
            assert failure.acceptance is Acceptance.NO
            assert failure.message.endswith("; no browser")

    run(main())


def test_a_signer_can_ask_whether_the_submit_is_still_wanted() -> None:
    async def main() -> None:
        page, ours = Page(text("video-accepted")), [True]
        order = replace(an_order(Wish("a", kind=Kind.VIDEO)), still_ours=lambda: ours[0])
        async with client("http://127.0.0.1:1", usual=Route.AUTO, signer=page) as upstream:
            await upstream.submit(ME, order)
            ours[0] = False
            assert not page.sent[0].still_ours()

    run(main())
