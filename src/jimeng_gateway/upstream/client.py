"""The site as the gateway sees it: builders on one side, parsers on the other, one HTTP call between them.

Nothing is decided here. A failed submit says by its `acceptance` whether the job may exist all the same; all
other calls may be repeated by whoever needs their answer.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from email.utils import parsedate_to_datetime
from pathlib import Path

import aiohttp
from yarl import URL

from jimeng_gateway.domain.catalogue import Model
from jimeng_gateway.domain.errors import Acceptance, ErrorKind, Failure, UpstreamFailure
from jimeng_gateway.domain.ports import Clock, Download, Order, SignedRequest, Signer
from jimeng_gateway.domain.record import Accepted, Record
from jimeng_gateway.domain.reference import Media, Reference, Uploaded
from jimeng_gateway.domain.request import Kind
from jimeng_gateway.domain.route import Route, choose
from jimeng_gateway.domain.session import Account, Identity
from jimeng_gateway.upstream.transport import Answer, Timeouts, Transport, network_failure
from jimeng_gateway.upstream.uploads import Uploader
from jimeng_gateway.upstream.wire import live, parse
from jimeng_gateway.upstream.wire.payload import generate_body
from jimeng_gateway.upstream.wire.protocol import Protocol
from jimeng_gateway.upstream.wire.request import WireRequest, build, download_headers
from jimeng_gateway.upstream.wire.upload import precheck_body

#: Ids per get_history_by_ids; callers with more ask again.
LARGEST_BATCH = 50
MOST_REDIRECTS = 3
_CHUNK = 64 * 1024
#: Scene names of the video catalogue: sources disagree, so both are tried (jimeng-web.md 12, question 2).
_VIDEO_SCENES: tuple[Mapping[str, object], ...] = (
    {"scene": "generate_video", "params": {"needCache": True}},
    {"scene": "video_generate", "params": {}},
)
#: The resized covers that the site's own page asks for (7.1).
_IMAGE_INFO: Mapping[str, object] = {
    "width": 2048,
    "height": 2048,
    "format": "webp",
    "image_scene_list": [
        {"scene": scene, "width": side, "height": side, "uniq_key": key, "format": "webp"}
        for scene, side, key in (
            ("smart_crop", 360, "smart_crop-w:360-h:360"),
            ("normal", 2400, "2400"),
            ("loss", 720, "720"),
        )
    ],
}
#: How a kept connection breaks that the server has closed: politely, or by a reset.
_STALE = frozenset({"disconnected", "connection_reset"})
_NOBODY = Identity(session_id="", region="cn", cookie="", web_id="")


class HttpUpstream:
    """`ports.Upstream` over HTTP. Close it in the end; `ids` gives a new uuid at every call."""

    def __init__(
        self,
        protocol: Protocol,
        *,
        clock: Clock,
        ids: Callable[[], str],
        upstream_url: str = "",
        timeouts: Timeouts | None = None,
        signer: Signer | None = None,
        routes: Mapping[str, Route] | None = None,
        usual: Route = Route.AUTO,
        transport: Transport | None = None,
    ) -> None:
        self._protocol = protocol
        self._clock = clock
        self._ids = ids
        self._upstream_url = upstream_url.rstrip("/")
        self._signer = signer
        #: Of models that go another way than usual, by name or key.
        self._routes = routes or {}
        self._usual = usual
        self._transport = transport or Transport(timeouts or Timeouts())
        self._uploader = Uploader(
            protocol, self._transport, clock=clock, ids=ids, call=self._call, upstream_url=self._upstream_url
        )

    async def close(self) -> None:
        """Closes all connections."""
        await self._transport.close()

    async def submit(self, identity: Identity, order: Order) -> Accepted:
        """POST generate, by the door that session, model and settings choose (5.6).

        A plain submit that the site refuses for want of a signature is followed by one through the browser,
        once the site has said that it does not have the job.
        """
        body = generate_body(order, self._protocol, self._clock.now(), self._ids, identity.region)
        route = choose(order.request, session=identity.route, models=self._routes, usual=self._usual)
        if route is Route.BROWSER:
            return await self._submit_signed(identity, order, body)
        try:
            return await self._submit_plainly(identity, order, body)
        except UpstreamFailure as refused:
            failure = refused.failure
            if self._signer is None or failure.code not in self._protocol.signer.when_refused_with:
                raise
            if failure.acceptance is not Acceptance.NO:
                raise
            found = await self._found(identity, order.submit_id, refused)
            if found is None and not order.still_ours():
                raise
            if found is not None:
                return found
            return await self._signed_after(refused, identity, order, body)

    async def _signed_after(
        self, refused: UpstreamFailure, identity: Identity, order: Order, body: dict[str, object]
    ) -> Accepted:
        """The second door; if nothing could leave by it, the refusal of the first one is what counts."""
        try:
            return await self._submit_signed(identity, order, body)
        except UpstreamFailure as failed:
            if failed.failure.code != "signer_unavailable":
                raise
            message = f"{refused.failure.message}; {failed.failure.message}"
            raise UpstreamFailure(replace(refused.failure, message=message[:500])) from failed

    async def _submit_plainly(self, identity: Identity, order: Order, body: dict[str, object]) -> Accepted:
        answer = await self._send(self._build(identity, "generate", body, order.request.kind), once=True)
        return parse.accepted(parse.envelope(answer.body, answer.status), self._protocol)

    async def _submit_signed(self, identity: Identity, order: Order, body: dict[str, object]) -> Accepted:
        if self._signer is None:
            message = "this submit has to go through a browser, and none is set up"
            raise UpstreamFailure(Failure(ErrorKind.UPSTREAM_ERROR, "signer_unavailable", message))
        request = self._build(identity, "generate", body, order.request.kind)
        signed = SignedRequest(request.method, request.url, request.headers, request.body, order.still_ours)
        reply = await self._signer.send(identity, signed)
        return parse.accepted(parse.envelope(reply, 200), self._protocol)

    async def _found(self, identity: Identity, submit_id: str, refused: UpstreamFailure) -> Accepted | None:
        """Whether the site has a job that it said it refused; if it cannot be asked, the refusal stands."""
        try:
            record = (await self.records(identity, submit_ids=[submit_id])).get(submit_id)
        except UpstreamFailure:
            raise refused from None
        return None if record is None else Accepted(record.history_id, record)

    async def upload(self, identity: Identity, reference: Reference, path: Path) -> Uploaded:
        """Token, Apply, bytes, Commit (6)."""
        return await self._uploader.upload(identity, reference, path)

    async def precheck(self, identity: Identity, uploaded: Uploaded) -> None:
        """algo_proxy; only pictures are checked, and only on the CN site (6.6)."""
        if uploaded.kind is Media.IMAGE and identity.region == "cn":
            reply = await self._call(identity, "precheck", precheck_body(uploaded.handle))
            parse.checked(reply, self._protocol)

    async def records(
        self, identity: Identity, *, submit_ids: Sequence[str] = (), history_ids: Sequence[str] = ()
    ) -> dict[str, Record]:
        """get_history_by_ids; keyed by the id asked; unknown ids are absent."""
        asked = tuple(submit_ids or history_ids)
        if bool(submit_ids) == bool(history_ids) or len(asked) > LARGEST_BATCH:
            raise ValueError(f"ask for submit ids or history ids, 1 to {LARGEST_BATCH} of them")
        body: dict[str, object] = {"submit_ids" if submit_ids else "history_ids": list(asked)}
        body["image_info"] = _IMAGE_INFO
        body["http_common_info"] = {"aid": self._protocol.region(identity.region).aid}
        return parse.records(await self._call(identity, "history", body), asked, self._protocol)

    async def best_video_url(self, identity: Identity, item_id: str) -> str | None:
        """get_local_item_list; None if the site gives none."""
        body = {
            "item_id_list": [item_id],
            "pack_item_opt": {"scene": 1, "need_data_integrity": True},
            "is_for_video_download": True,
        }
        reply = await self._call(identity, "local_items", body, Kind.VIDEO)
        return parse.best_video(reply, item_id, self._protocol)

    async def cancel(self, identity: Identity, history_id: str) -> None:
        """cancel_generate; returns if the site accepted it."""
        reply = await self._call(identity, "cancel", {"history_id": history_id}, Kind.VIDEO)
        parse.checked(reply, self._protocol)

    async def account(self, identity: Identity) -> Account:
        """Who this session is and what it has; raises kind AUTH only on the site's own word."""
        try:
            account = parse.user_info(await self._call(identity, "user_info", {}), self._protocol)
        except UpstreamFailure as failed:
            if failed.failure.kind not in (
                ErrorKind.UNKNOWN,
                ErrorKind.UPSTREAM_ERROR,
                ErrorKind.INVALID_REQUEST,
            ):
                raise
            # Not a word about the login: ask the other place that knows it.
            account = parse.passport(await self._call(identity, "passport", {}), self._protocol)
        return replace(account, credits=await self._credits(identity))

    async def models(self, identity: Identity, kind: Kind) -> tuple[Model, ...]:
        """The live catalogue of one kind."""
        if kind is Kind.IMAGE:
            body = {"is_client_filter": False, "need_beta_model": True}
            return live.image_models(await self._call(identity, "image_catalogue", body), self._protocol)
        first, second = _VIDEO_SCENES
        try:
            found = await self._video_models(identity, first)
        except UpstreamFailure as failed:
            if failed.failure.kind not in (ErrorKind.UNKNOWN, ErrorKind.INVALID_REQUEST):
                raise
            found = ()
        return found or await self._video_models(identity, second)

    @asynccontextmanager
    async def download(self, url: str) -> AsyncIterator[Download]:
        """Opens a result without cookies, following a few redirects."""
        address = self._result_address(_address(url))
        for _ in range(MOST_REDIRECTS + 1):
            async with self._transport.get(address, download_headers(self._protocol)) as response:
                if response.status not in (301, 302, 303, 307, 308):
                    yield _opened(response)
                    return
                target = response.headers.get("Location", "")
            address = self._result_address(address.join(_address(target)))
        raise _download_failure("too_many_redirects", f"more than {MOST_REDIRECTS} redirects")

    async def clock_skew(self) -> float:
        """Seconds by which the site's clock is ahead of ours, to about a second; needs no login."""
        request = self._build(_NOBODY, "image_catalogue", {}, Kind.IMAGE)
        before = self._clock.now()
        answer = await self._send(request, once=False)
        ours = (before + self._clock.now()) / 2000
        return _site_seconds(answer) - ours

    def _build(self, identity: Identity, call: str, body: Mapping[str, object], page: Kind) -> WireRequest:
        now = self._clock.now() // 1000
        return build(self._protocol, identity, call, body, now, upstream_url=self._upstream_url, page=page)

    async def _send(self, request: WireRequest, *, once: bool) -> Answer:
        return await self._transport.post(request.url, request.headers, request.body, once=once)

    async def _call(
        self, identity: Identity, call: str, body: Mapping[str, object], page: Kind = Kind.IMAGE
    ) -> dict[str, object]:
        """A call that may be repeated, once, when the server had closed the kept connection meanwhile."""
        try:
            answer = await self._send(self._build(identity, call, body, page), once=False)
        except UpstreamFailure as failed:
            if failed.failure.code not in _STALE:
                raise
            answer = await self._send(self._build(identity, call, body, page), once=False)
        return parse.envelope(answer.body, answer.status)

    async def _video_models(self, identity: Identity, scene: Mapping[str, object]) -> tuple[Model, ...]:
        reply = await self._call(identity, "video_catalogue", scene, Kind.VIDEO)
        return live.video_models(reply, self._protocol)

    async def _credits(self, identity: Identity) -> int | None:
        try:
            return parse.credits_of(await self._call(identity, "user_credit", {}), self._protocol)
        except UpstreamFailure:
            # Two sources for one question: who the account is has been answered, what it has stays unknown.
            return None

    def _result_address(self, url: URL) -> URL:
        """Where a result is fetched: the site's own hosts become `upstream_url` if that is set."""
        if url.scheme not in ("http", "https") or not url.host:
            raise _download_failure("invalid_url", "the result's address is not http or https")
        known = any(
            url.host == host or url.host.endswith("." + host) for host in self._protocol.results.hosts
        )
        if not self._upstream_url or not known:
            return url
        base = URL(self._upstream_url)
        return url.with_scheme(base.scheme).with_host(base.host or "").with_port(base.port)


def _opened(response: aiohttp.ClientResponse) -> Download:
    if response.status != 200:
        raise _download_failure(f"http_{response.status}", f"HTTP {response.status} instead of the file")
    return Download(
        media_type=response.content_type,
        # Of an encoded body it is the length on the wire, not that of the file.
        length=None if "Content-Encoding" in response.headers else response.content_length,
        chunks=_chunks(response.content),
    )


async def _chunks(stream: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """The bytes in pieces of at least 64 KiB, but for the last."""
    held = bytearray()
    while True:
        try:
            piece = await stream.readany()
        except (aiohttp.ClientError, OSError) as error:
            raise network_failure(error) from error
        held += piece
        if len(held) >= _CHUNK or (held and not piece):
            yield bytes(held)
            held.clear()
        if not piece:
            return


def _address(url: str) -> URL:
    """An address as it was given: its signature may be made over these very characters."""
    try:
        address = URL(url, encoded=url.isascii())
        _ = address.port  # looked at only when somebody asks, and wrong only then
    except ValueError:
        raise _download_failure("invalid_url", "the result's address is not valid") from None
    return address


def _download_failure(code: str, message: str) -> UpstreamFailure:
    return UpstreamFailure(Failure(ErrorKind.UPSTREAM_ERROR, code, message, acceptance=Acceptance.UNKNOWN))


def _site_seconds(answer: Answer) -> float:
    try:
        seconds = parse.site_time(parse.envelope(answer.body, answer.status))
    except UpstreamFailure:
        seconds = None
    if seconds is None:
        try:
            seconds = int(parsedate_to_datetime(answer.date).timestamp())
        except ValueError:
            message = "the reply carries no time"
            raise UpstreamFailure(Failure(ErrorKind.UPSTREAM_ERROR, "no_time", message)) from None
    # Both sources cut to the whole second.
    return seconds + 0.5
