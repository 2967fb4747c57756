"""One simulated site behind a lock: a request goes in, a reply comes out, everything is written down.

The lock lets a test in another thread look and meddle while the server answers; nothing is awaited inside it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from threading import RLock

from jimeng_gateway.simulator import checks, page, uploads
from jimeng_gateway.simulator.calls import ENDPOINTS, Handler, ids_asked
from jimeng_gateway.simulator.context import Context
from jimeng_gateway.simulator.disturb import disturbed
from jimeng_gateway.simulator.downloads import download, is_media
from jimeng_gateway.simulator.faults import Fault, FaultKind
from jimeng_gateway.simulator.links import Links
from jimeng_gateway.simulator.options import SimulatorOptions
from jimeng_gateway.simulator.refusal import Refusal
from jimeng_gateway.simulator.replies import Reply, as_json, commerce, dated, mweb, refused
from jimeng_gateway.simulator.traffic import Call, Seen, Traffic
from jimeng_gateway.simulator.world import World

_UNKNOWN = Reply(b"404 page not found", 404, {"content-type": "text/plain; charset=utf-8"})


@dataclass(frozen=True, slots=True)
class Outcome:
    """A reply and how long to wait before it is sent."""

    reply: Reply
    delay_s: float = 0.0


class Site:
    """The World, its traffic and its clock."""

    def __init__(self, options: SimulatorOptions, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.lock = RLock()
        self.world = World(options)
        self.traffic = Traffic(deque(maxlen=options.log_size))

    def now(self) -> float:
        """The site's time in seconds since the epoch."""
        return self._clock() + self.world.options.skew_s

    def reset(self, options: SimulatorOptions) -> None:
        """Begins anew: no accounts, no jobs, no log."""
        self.world = World(options)
        self.traffic = Traffic(deque(maxlen=options.log_size))

    def answer(self, call: Call) -> Outcome:
        """Carries a request out, with whatever fault is on duty for it."""
        now = self.now()
        endpoint = self._endpoint(call)
        session = self.world.depot.session_of(call) if endpoint in uploads.ENDPOINTS else call.session
        fault = self.world.faults.choose(endpoint, session)
        remarks = self._remarks(call, endpoint, now)
        reply: Reply | None = None
        if fault is None or fault.after:
            reply = self._carried_out(call, endpoint, remarks, now)
        elif fault.kind is FaultKind.RET:
            reply = self._refused(fault.ret, endpoint, now)
        sent = disturbed(fault, reply) if fault else reply
        assert sent is not None
        self._note(call, endpoint, remarks, sent, fault, now)
        return Outcome(dated(sent, now), fault.seconds if fault else 0.0)

    def _refused(self, ret: str, endpoint: str, now: float) -> Reply:
        if endpoint in uploads.ENDPOINTS:
            return uploads.refused(endpoint, ret)
        return refused(Refusal(ret), endpoint, now, self._mark())

    def _endpoint(self, call: Call) -> str:
        path = call.path
        if uploads.endpoint(call):
            return uploads.endpoint(call)
        if path in ENDPOINTS:
            return ENDPOINTS[path][0]
        return "media" if is_media(self.world, path) else page.endpoint(path) or "unknown"

    def _remarks(self, call: Call, endpoint: str, now: float) -> list[checks.Finding]:
        if endpoint in uploads.ENDPOINTS:
            # Looked at in every mode: it would give the account away.
            return [checks.Finding("", "cookies sent to an upload host")] if call.cookies else []
        if self.world.options.sign == "off" or endpoint == "unknown" or page.endpoint(call.path):
            return []
        if endpoint == "media":
            return [checks.Finding("", "cookies sent to a media host")] if call.cookies else []
        if endpoint == "passport":
            return []
        return checks.inspect(self.world.region, call.path, call.query, call.headers, call.cookies, now)

    def _carried_out(self, call: Call, endpoint: str, remarks: list[checks.Finding], now: float) -> Reply:
        if endpoint == "unknown":
            return _UNKNOWN
        if endpoint == "media":
            return download(self.world, call, now)
        if endpoint in uploads.ENDPOINTS:
            return uploads.answer(self._upload(call, now))
        if page.endpoint(call.path):
            return page.serve(self.world.options, call)
        try:
            return self._called(call, remarks, now)
        except Refusal as refusal:
            return refused(refusal, endpoint, now, self._mark())

    def _called(self, call: Call, remarks: list[checks.Finding], now: float) -> Reply:
        handler: Handler = ENDPOINTS[call.path][1]
        options = self.world.options
        if call.path.startswith("/passport/"):
            return as_json(handler(self._context(call, now)), ret="0")
        # A dead login is told before anything else is looked at.
        self.world.account(call.session)
        if options.sign == "strict" and remarks:
            raise Refusal(remarks[0].ret)
        data = handler(self._context(call, now))
        envelope = commerce if call.path.startswith("/commerce/") else mweb
        return envelope(data, now, self._mark())

    def _upload(self, call: Call, now: float) -> uploads.Request:
        options = self.world.options
        return uploads.Request(
            self.world.depot, self.world.region, call, now, options.multipart, options.video_meta
        )

    def _context(self, call: Call, now: float) -> Context:
        links = Links.reached_as(call.base, call.host, self.world.region, self.world.options.seed)
        return Context(self.world, call, now, links)

    def _mark(self) -> str:
        return f"{self.traffic.endpoints.total():020X}"

    def _note(
        self,
        call: Call,
        endpoint: str,
        remarks: list[checks.Finding],
        sent: Reply,
        fault: Fault | None,
        now: float,
    ) -> None:
        texts = tuple(finding.text for finding in remarks)
        kind = fault.kind.value if fault else None
        self.traffic.note(Seen(now, endpoint, call, sent.ret, sent.status, texts, kind))
        if endpoint == "history":
            self.traffic.note_poll(call.session, now, ids_asked(call))
