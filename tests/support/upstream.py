"""The site as a script: what becomes of each call is decided by the test, and money is counted.

It implements ports.Upstream in memory on the test's own clock. Jobs are known by their submit_id; a job that
was accepted is charged, whatever becomes of the reply.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from jimeng_gateway.domain.catalogue import Model
from jimeng_gateway.domain.errors import Acceptance, ErrorKind, Failure, UpstreamFailure
from jimeng_gateway.domain.ports import Clock, Download, Order
from jimeng_gateway.domain.record import Accepted, Item, JobState, Record
from jimeng_gateway.domain.reference import Reference, Uploaded
from jimeng_gateway.domain.request import Kind
from jimeng_gateway.domain.session import Account, Identity

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(200))
MP4 = b"\x00\x00\x00\x18ftypmp42" + bytes(range(200))
WEBP = b"RIFF\x24\x00\x00\x00WEBPVP8 " + bytes(range(100))
HTML = b"<html><body><h1>504 Gateway Time-out</h1></body></html>" + b" " * 64


def failure(
    kind: ErrorKind, code: str = "1", message: str = "", *, acceptance: Acceptance = Acceptance.NO
) -> UpstreamFailure:
    """What a call raises."""
    return UpstreamFailure(Failure(kind, code, message or f"the site said {code}", "raw", acceptance))


def html() -> UpstreamFailure:
    """A web page where JSON should be, as the client raises it."""
    return failure(ErrorKind.UPSTREAM_ERROR, "http_504", acceptance=Acceptance.UNKNOWN)


@dataclass(frozen=True, slots=True)
class Refuse:
    """The site says no: nothing is accepted."""

    kind: ErrorKind
    code: str = "1"


@dataclass(frozen=True, slots=True)
class Lose:
    """No reply that could be read; whether the job was accepted is the question."""

    accepted: bool
    kind: ErrorKind = ErrorKind.NETWORK
    code: str = "connection_reset"


@dataclass(frozen=True, slots=True)
class Hang:
    """Nothing comes back until the gate is opened; then what would have come at first."""

    accepted: bool
    #: None for the site's own `release`.
    gate: asyncio.Event | None = None
    then: Refuse | None = None


SubmitFault = Refuse | Lose | Hang | None


@dataclass(slots=True)
class Job:
    """An accepted job."""

    order: Order
    session_id: str
    history_id: str
    accepted_at: int
    ends_at: int
    visible_at: int
    #: The login of the session that made it.
    login: str = ""
    #: Fails at its end with this.
    failure: Failure | None = None
    #: Pictures that it delivers; None for all that were asked for.
    delivers: int | None = None
    cancelled: bool = False
    #: Replies that showed its links.
    shown: int = 0


@dataclass(frozen=True, slots=True)
class Poll:
    """One request of get_history_by_ids."""

    at: int
    session_id: str
    submit_ids: tuple[str, ...]
    history_ids: tuple[str, ...]


@dataclass(slots=True)
class ScriptedUpstream:
    """See the module. Queues of faults are used up from the left; an empty queue means that all goes well."""

    clock: Clock
    #: Milliseconds that a job takes, and that it is unlisted after its acceptance.
    takes: int = 12_000
    absent: int = 0
    delivers: int | None = None
    ends_with: Failure | None = None
    submit_faults: deque[SubmitFault] = field(default_factory=deque)
    #: What a session answers to every submit, before `submit_faults` are looked at.
    session_faults: dict[str, SubmitFault] = field(default_factory=dict)
    poll_faults: deque[Exception] = field(default_factory=deque)
    #: Replies to polls are ready, but come only when these are opened.
    poll_gates: deque[asyncio.Event] = field(default_factory=deque)
    history_faults: deque[Exception] = field(default_factory=deque)
    cancel_faults: deque[Exception] = field(default_factory=deque)
    best_faults: deque[Exception] = field(default_factory=deque)
    model_faults: deque[Exception] = field(default_factory=deque)
    upload_faults: deque[Exception] = field(default_factory=deque)
    precheck_faults: deque[Exception] = field(default_factory=deque)
    #: What a session answers to every upload, after `upload_faults`.
    session_upload_faults: dict[str, UpstreamFailure] = field(default_factory=dict)
    #: Uploads wait for it, if there is one.
    upload_gate: asyncio.Event | None = None
    #: A body that is served instead of the file, or what the download raises.
    download_faults: deque[bytes | Exception] = field(default_factory=deque)
    #: Records show covers; what is served instead of them, or what their download raises.
    previews: bool = False
    preview_faults: deque[bytes | Exception] = field(default_factory=deque)
    #: Links that a reply showed before the latest one are refused with 403.
    old_links_die: bool = False
    best_url: bool = False
    #: Submit ids that polls by submit_id do not find.
    unlisted: set[str] = field(default_factory=set)
    #: Submit ids whose jobs no poll finds, by whatever id.
    delisted: set[str] = field(default_factory=set)
    #: Jobs are shown to the login that made them only, not to the session's next one.
    by_login: bool = False
    account_faults: dict[str, UpstreamFailure] = field(default_factory=dict)
    live_models: dict[Kind, tuple[Model, ...]] = field(default_factory=dict)
    #: Called with every submit before anything else: a test may look at the database there.
    on_submit: Callable[[Identity, Order], None] | None = None
    jobs: dict[str, Job] = field(default_factory=dict)
    charges: Counter[str] = field(default_factory=Counter)
    sent: list[tuple[str, str]] = field(default_factory=list)
    #: (session, sha256) of every upload.
    uploads: list[tuple[str, str]] = field(default_factory=list)
    #: Handles of the pictures that were checked.
    prechecks: list[str] = field(default_factory=list)
    #: Uploads under way, now and at most.
    uploading: int = 0
    uploading_most: int = 0
    polls: list[Poll] = field(default_factory=list)
    downloads: list[str] = field(default_factory=list)
    cancels: list[str] = field(default_factory=list)
    probes: list[str] = field(default_factory=list)
    #: Set as soon as a submit hangs.
    hanging: asyncio.Event = field(default_factory=asyncio.Event)
    #: Lets hanging submits go on, to their reply.
    release: asyncio.Event = field(default_factory=asyncio.Event)

    async def submit(self, identity: Identity, order: Order) -> Accepted:
        """See Upstream."""
        self.sent.append((order.submit_id, identity.session_id))
        if self.on_submit is not None:
            self.on_submit(identity, order)
        fault = self.session_faults.get(identity.session_id)
        if fault is None and self.submit_faults:
            fault = self.submit_faults.popleft()
        if isinstance(fault, Lose):
            if fault.accepted:
                self.accept(identity, order)
            raise failure(fault.kind, fault.code, acceptance=Acceptance.UNKNOWN)
        if isinstance(fault, Hang):
            if fault.accepted:
                self.accept(identity, order)
            self.hanging.set()
            await (fault.gate or self.release).wait()
            fault = fault.then
        if isinstance(fault, Refuse):
            raise failure(fault.kind, fault.code)
        if order.submit_id not in self.jobs:
            self.accept(identity, order)
        return Accepted(self.jobs[order.submit_id].history_id)

    def accept(self, identity: Identity, order: Order) -> None:
        """Takes the job and the money."""
        now = self.clock.now()
        self.charges[order.submit_id] += 1
        self.jobs[order.submit_id] = Job(
            order=order,
            session_id=identity.session_id,
            history_id=f"h{len(self.jobs) + 1}",
            accepted_at=now,
            ends_at=now + self.takes,
            visible_at=now + self.absent,
            login=identity.login,
            failure=self.ends_with,
            delivers=self.delivers,
        )

    async def upload(self, identity: Identity, reference: Reference, path: Path) -> Uploaded:
        """See Upstream."""
        self.uploads.append((identity.session_id, reference.sha256))
        self.uploading += 1
        self.uploading_most = max(self.uploading_most, self.uploading)
        try:
            if self.upload_gate is not None:
                await self.upload_gate.wait()
        finally:
            self.uploading -= 1
        if self.upload_faults:
            raise self.upload_faults.popleft()
        if identity.session_id in self.session_upload_faults:
            raise self.session_upload_faults[identity.session_id]
        # The same bytes get a new handle each time (6.2).
        handle = f"uri-{identity.session_id}-{reference.sha256}-{len(self.uploads)}"
        return Uploaded(reference.kind, handle, reference.width, reference.height, reference.duration_ms)

    async def precheck(self, identity: Identity, uploaded: Uploaded) -> None:
        """See Upstream."""
        self.prechecks.append(uploaded.handle)
        if self.precheck_faults:
            raise self.precheck_faults.popleft()

    async def records(
        self, identity: Identity, *, submit_ids: Sequence[str] = (), history_ids: Sequence[str] = ()
    ) -> dict[str, Record]:
        """See Upstream."""
        self.polls.append(Poll(self.clock.now(), identity.session_id, tuple(submit_ids), tuple(history_ids)))
        faults = self.poll_faults if submit_ids else self.history_faults
        if faults:
            raise faults.popleft()
        by_history = {job.history_id: job for job in self.jobs.values()}
        wanted: Mapping[str, Job | None] = {
            **{asked: self.jobs.get(asked) for asked in submit_ids if asked not in self.unlisted},
            **{asked: by_history.get(asked) for asked in history_ids},
        }
        now = self.clock.now()
        found = {
            asked: self._record(job, now)
            for asked, job in wanted.items()
            if job is not None and self._shown(job, identity) and now >= job.visible_at
        }
        if self.poll_gates:
            await self.poll_gates.popleft().wait()
        return found

    def _shown(self, job: Job, identity: Identity) -> bool:
        mine = job.session_id == identity.session_id and job.order.submit_id not in self.delisted
        return mine and (job.login == identity.login or not self.by_login)

    def _record(self, job: Job, now: int) -> Record:
        """The job as a poll sees it; what it shows of links counts."""
        count = job.order.request.count
        running = Record(JobState.RUNNING, 20, job.history_id, job.order.submit_id, images_total=count)
        if job.cancelled:
            why = Failure(ErrorKind.GENERATION_FAILED, "30", "cancelled")
            return replace(running, state=JobState.FAILED, status=30, failure=why)
        if now < job.ends_at:
            return running
        if job.failure is not None:
            return replace(running, state=JobState.FAILED, status=30, failure=job.failure)
        job.shown += 1
        made = count if job.delivers is None else job.delivers
        items = tuple(self._item(job, index) for index in range(made))
        return replace(running, state=JobState.SUCCEEDED, status=50, items=items, images_done=made)

    def _item(self, job: Job, index: int) -> Item:
        kind = job.order.request.kind
        url = f"https://cdn.example/{job.history_id}/{index}?shown={job.shown}"
        cover = (
            f"https://cdn.example/{job.history_id}/{index}/cover?shown={job.shown}" if self.previews else ""
        )
        return Item(kind, f"{job.history_id}-{index}", url, 64, 64, preview_url=cover)

    async def best_video_url(self, identity: Identity, item_id: str) -> str | None:
        """See Upstream."""
        if self.best_faults:
            raise self.best_faults.popleft()
        return f"https://cdn.example/best/{item_id}" if self.best_url else None

    async def cancel(self, identity: Identity, history_id: str) -> None:
        """See Upstream."""
        self.cancels.append(history_id)
        if self.cancel_faults:
            raise self.cancel_faults.popleft()
        job = next(job for job in self.jobs.values() if job.history_id == history_id)
        if self.clock.now() >= job.ends_at:
            raise failure(ErrorKind.INVALID_REQUEST, "1000")
        job.cancelled = True

    async def account(self, identity: Identity) -> Account:
        """See Upstream."""
        self.probes.append(identity.session_id)
        if identity.session_id in self.account_faults:
            raise self.account_faults[identity.session_id]
        return Account(uid=f"uid-{identity.session_id}", name="somebody", credits=88)

    async def models(self, identity: Identity, kind: Kind) -> tuple[Model, ...]:
        """See Upstream."""
        if self.model_faults:
            raise self.model_faults.popleft()
        return self.live_models.get(kind, ())

    @asynccontextmanager
    async def download(self, url: str) -> AsyncIterator[Download]:
        """See Upstream."""
        self.downloads.append(url)
        faults = self.preview_faults if "/cover?" in url else self.download_faults
        fault = faults.popleft() if faults else None
        if isinstance(fault, Exception):
            raise fault
        if self.old_links_die and self._outdated(url):
            raise failure(ErrorKind.UPSTREAM_ERROR, "http_403")
        body = fault if fault is not None else self._file(url)
        yield Download("application/octet-stream", len(body), _chunks(body))

    def _outdated(self, url: str) -> bool:
        history_id, shown = url.split("/")[3], url.rpartition("=")[2]
        return any(job.history_id == history_id and shown != str(job.shown) for job in self.jobs.values())

    def _file(self, url: str) -> bytes:
        if "/cover?" in url:
            return WEBP
        video = any(
            job.order.request.kind is Kind.VIDEO
            for job in self.jobs.values()
            if f"/{job.history_id}/" in url or f"/{job.history_id}-" in url
        )
        return MP4 if video else PNG

    async def clock_skew(self) -> float:
        """See Upstream."""
        return 0.0


async def _chunks(body: bytes) -> AsyncIterator[bytes]:
    yield body[:100]
    yield body[100:]
