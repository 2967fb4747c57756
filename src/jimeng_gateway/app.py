"""The composition root: builds every part from the settings, starts and stops them in order.

The one file that knows all parts. Parts receive values and ports, never the settings object.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import math
import os
import random
import signal
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from yarl import URL

from jimeng_gateway.browser.options import SignerOptions
from jimeng_gateway.browser.signer import ChromiumSigner
from jimeng_gateway.clock import SystemClock
from jimeng_gateway.credentials import Credentials
from jimeng_gateway.domain.addresses import AllowedHosts
from jimeng_gateway.domain.archive import ArchiveAddress
from jimeng_gateway.domain.errors import StoreError, Unavailable
from jimeng_gateway.domain.policy import Cadence, Limits
from jimeng_gateway.domain.ports import Clock, Emitter, Signer, Upstream
from jimeng_gateway.domain.reference import Reference
from jimeng_gateway.domain.route import Route
from jimeng_gateway.egress import Egress, Patience
from jimeng_gateway.gateway import Gateway, GatewayParts
from jimeng_gateway.http.callbacks import renderers
from jimeng_gateway.http.endpoint import Limits as HttpLimits
from jimeng_gateway.http.serve import Server
from jimeng_gateway.http.server import create_app
from jimeng_gateway.intake import Intake
from jimeng_gateway.models import CatalogueCache
from jimeng_gateway.secrets import Vault, digest, load_or_create_key
from jimeng_gateway.settings import Settings
from jimeng_gateway.sigv4 import Keys
from jimeng_gateway.store import blobs
from jimeng_gateway.store.archive import Archive, ArchiveTimeouts
from jimeng_gateway.store.files import ResultFiles
from jimeng_gateway.store.spool import Spool
from jimeng_gateway.store.sqlite import SqliteDatabase
from jimeng_gateway.telemetry import Telemetry, configure_logging, log_subscriber
from jimeng_gateway.upstream.client import HttpUpstream
from jimeng_gateway.upstream.transport import Timeouts, proxy_for
from jimeng_gateway.upstream.wire import protocol
from jimeng_gateway.upstream.wire.protocol import Protocol
from jimeng_gateway.work.bench import Bench
from jimeng_gateway.work.deliver import ANSWER_S, Courier
from jimeng_gateway.work.keeping import ResultKeeper
from jimeng_gateway.work.lease import Lease
from jimeng_gateway.work.materials import Materials
from jimeng_gateway.work.spooling import SpoolKeeper
from jimeng_gateway.work.worker import Hands, Worker

if TYPE_CHECKING:
    from jimeng_gateway.store.postgres import PostgresDatabase

Engine: TypeAlias = "SqliteDatabase | PostgresDatabase"
SQLITE = "sqlite:///"
LOCK_FILE = "gateway.lock"


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything that both halves of a process share."""

    settings: Settings
    clock: Clock
    telemetry: Telemetry
    db: Engine
    vault: Vault
    credentials: Credentials
    signer: ChromiumSigner
    upstream: HttpUpstream
    files: ResultFiles
    gateway: Gateway
    spool: Spool
    intake: Intake


def engine_from(settings: Settings) -> Engine:
    """The database that the settings name, not yet open."""
    url = settings.database_url
    if url.startswith(("postgres://", "postgresql://")):
        # The driver weighs 9 MB, which a gateway on SQLite need not carry.
        from jimeng_gateway.store.postgres import PostgresDatabase

        return PostgresDatabase(url)
    return SqliteDatabase(sqlite_path(settings))


def sqlite_path(settings: Settings) -> Path:
    """The SQLite file that the settings name."""
    url = settings.database_url
    return Path(url.removeprefix(SQLITE)) if url.startswith(SQLITE) else settings.data_dir / "gateway.db"


def protocol_from(settings: Settings) -> Protocol:
    """The site's constants under the operator's own."""
    if settings.protocol_file:
        return protocol.overridden(Path(settings.protocol_file).read_text("utf-8"))
    return protocol.builtin()


def signer_from(settings: Settings, clock: Clock, telemetry: Emitter) -> ChromiumSigner:
    """The browser that signs; starts nothing before the first submit that needs it."""
    constants = protocol_from(settings)
    data = constants.signer
    page_url = (settings.upstream_url or constants.region("cn").site).rstrip("/") + data.page
    options = SignerOptions(
        folder=settings.data_dir / "browser",
        chromium=settings.chromium,
        sandbox=settings.chromium_sandbox,
        user=settings.chromium_user,
        page_url=page_url,
        cookie_domain=data.cookie_domain,
        script_hosts=data.script_hosts,
        marks=data.marks,
        max_contexts=settings.browser_max_contexts,
        idle_close=settings.browser_idle_close,
        page_age=settings.browser_page_age,
        ready_timeout=settings.browser_ready_timeout,
        submit_timeout=settings.submit_timeout,
    )
    return ChromiumSigner(options, clock, telemetry, proxies=lambda _: str(proxy_for(URL(page_url)) or ""))


def upstream_from(
    settings: Settings, clock: Clock | None = None, signer: Signer | None = None
) -> HttpUpstream:
    """The site, or what stands for it."""
    return HttpUpstream(
        protocol_from(settings),
        signer=signer,
        routes={model: Route(route) for model, route in settings.model_routes},
        usual=Route(settings.submit_route),
        upstream_url=settings.upstream_url,
        clock=clock or SystemClock(),
        ids=lambda: str(uuid.UUID(bytes=os.urandom(16), version=4)),
        timeouts=Timeouts(
            connect=settings.connect_timeout,
            submit=settings.submit_timeout,
            call=settings.poll_timeout,
            idle=settings.download_timeout,
        ),
    )


def limits_from(settings: Settings) -> Limits:
    """The bounds of a task's life."""
    return Limits(
        image_deadline=int(settings.image_deadline * 1000),
        video_deadline=int(settings.video_deadline * 1000),
        late_window=int(settings.late_window * 1000),
        reconcile=int(settings.reconcile * 1000),
        in_flight=int(settings.submit_timeout * 1000),
        max_attempts=settings.max_attempts,
    )


def cadence_from(settings: Settings) -> Cadence:
    """How often the site is asked."""
    return Cadence(
        image_first=settings.poll_image_first,
        image_every=settings.poll_image_every,
        video_first=settings.poll_video_first,
        video_every=settings.poll_video_every,
        longest=settings.poll_longest,
    )


def archive_from(settings: Settings, clock: Clock) -> Archive | None:
    """Where finished files go, or at least where earlier ones lie; None without keys."""
    if not settings.archive_key_id:
        return None
    return Archive(
        Keys(settings.archive_key_id, settings.archive_secret),
        clock,
        home=ArchiveAddress.parse(settings.archive_url) if settings.archive_url else None,
        timeouts=ArchiveTimeouts(connect=settings.connect_timeout, idle=settings.download_timeout),
    )


def intake_from(settings: Settings, spool: Spool, db: Engine, clock: Clock) -> Intake:
    """What takes in references."""

    async def register(reference: Reference) -> None:
        now = clock.now()
        await db.write(lambda tx: blobs.keep(tx, reference, now=now))

    egress = Egress(AllowedHosts.parse(settings.egress_allowed_hosts))
    return Intake(spool, egress, register, largest=settings.max_reference_mb * 1024 * 1024)


def courier_from(settings: Settings, gateway: Gateway) -> Courier:
    """What tells callback addresses; it reaches what references may be fetched from, and no more."""
    patience = Patience(connect=ANSWER_S, idle=ANSWER_S, total=ANSWER_S)
    egress = Egress(AllowedHosts.parse(settings.egress_allowed_hosts), patience=patience)
    return Courier(egress, renderers(gateway))


@contextlib.asynccontextmanager
async def open_parts(settings: Settings, telemetry: Telemetry | None = None) -> AsyncIterator[Parts]:
    """Opens database, vault and upstream, and closes them in reverse."""
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    clock, telemetry = SystemClock(), telemetry or Telemetry()
    vault = Vault(load_or_create_key(settings.data_dir, settings.secret_key))
    async with contextlib.AsyncExitStack() as stack:
        db = engine_from(settings)
        await db.open()
        stack.push_async_callback(db.close)
        signer = signer_from(settings, clock, telemetry)
        stack.push_async_callback(signer.close)
        upstream = upstream_from(settings, clock, signer)
        stack.push_async_callback(upstream.close)
        credentials = Credentials(db, vault, clock)
        archive = archive_from(settings, clock)
        if archive is not None:
            stack.push_async_callback(archive.close)
        files = ResultFiles(
            settings.data_dir / "results", largest=settings.max_result_mb * 1024 * 1024, archive=archive
        )
        spool = Spool(settings.data_dir / "spool")
        intake = intake_from(settings, spool, db, clock)
        gateway = Gateway(
            GatewayParts(
                db=db,
                upstream=upstream,
                credentials=credentials,
                vault=vault,
                files=files,
                catalogue=CatalogueCache(db, clock),
                clock=clock,
                telemetry=telemetry,
                limits=limits_from(settings),
                session_slots=settings.session_slots,
                file_retention=int(settings.file_retention * 1000),
                aliases=dict(settings.model_aliases),
                callback_hosts=AllowedHosts.parse(settings.egress_allowed_hosts),
                link_ttl=math.ceil(settings.link_ttl),
                admin_digest=digest(settings.admin_token) if settings.admin_token else "",
                signer=lambda: _signer_check(signer),
            )
        )
        yield Parts(
            settings,
            clock,
            telemetry,
            db,
            vault,
            credentials,
            signer,
            upstream,
            files,
            gateway,
            spool,
            intake,
        )


def _signer_check(signer: ChromiumSigner) -> dict[str, object]:
    health = signer.health()
    check: dict[str, object] = {"ok": health.available, "running": health.running, "pages": health.contexts}
    if health.reason or health.note:
        check["reason"] = health.reason or health.note
    return check


@contextlib.asynccontextmanager
async def local_gateway(settings: Settings) -> AsyncIterator[Gateway]:
    """The facade without a worker, for commands that work on the machine itself."""
    async with open_parts(settings) as parts:
        yield parts.gateway


def worker_of(parts: Parts, lease: Lease, upstream: Upstream | None = None) -> Worker:
    """The worker half over shared parts."""
    settings = parts.settings
    bench = Bench(
        db=parts.db,
        upstream=upstream or parts.upstream,
        identities=parts.credentials,
        files=parts.files,
        clock=parts.clock,
        telemetry=parts.telemetry,
        lease=lease,
        limits=limits_from(settings),
        cadence=cadence_from(settings),
        chance=random.Random(),  # noqa: S311 - jitter and seeds of pictures, not secrets
        new_submit_id=lambda: str(uuid.UUID(bytes=os.urandom(16), version=4)),
        materials=Materials(path=parts.spool.path, valid=int(settings.upload_reuse * 1000)),
    )
    hands = Hands(
        submit=settings.submit_concurrency,
        poll=settings.poll_concurrency,
        collect=settings.download_concurrency,
    )
    keeper = SpoolKeeper(parts.spool, retention=int(settings.reference_retention * 1000))
    results = ResultKeeper(
        retention=int(settings.result_retention * 1000), most=settings.result_max_gb * 1024**3
    )
    return Worker(
        bench,
        hands,
        catalogue_every=int(settings.catalogue_refresh * 1000),
        keeper=keeper,
        results=results,
        courier=courier_from(settings, parts.gateway),
    )


async def run(settings: Settings, *, announce: Callable[[str], None]) -> None:
    """Serves until SIGTERM or SIGINT; raises when it cannot go on."""
    configure_logging(settings.log_format, settings.log_level)
    telemetry = Telemetry()
    telemetry.subscribe(log_subscriber())
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with contextlib.AsyncExitStack() as stack:
        settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        alone = isinstance(engine_from(settings), SqliteDatabase)
        if alone:
            stack.enter_context(only_process(sqlite_path(settings)))
        parts = await stack.enter_async_context(open_parts(settings, telemetry))
        token = await parts.gateway.first_admin_token()
        if token is not None:
            announce(token)
        await _serve(parts, stop, alone=alone)


async def _serve(parts: Parts, stop: asyncio.Event, *, alone: bool) -> None:
    settings = parts.settings
    lease = Lease(parts.db, parts.clock, length=int(settings.lease * 1000), alone=alone)
    await lease.enter()
    if alone:
        # Nobody else can be writing: all that is half written was left by a crash.
        await asyncio.to_thread(parts.spool.sweep, before=parts.clock.now())
    await parts.signer.start()
    worker = worker_of(parts, lease)
    app = create_app(
        parts.gateway,
        intake=parts.intake,
        public_url=settings.public_url,
        clock=parts.clock,
        limits=HttpLimits(intake_seconds=settings.intake_timeout),
    )
    server = Server(
        app, host=settings.host, port=settings.port, grace_seconds=max(1, int(settings.drain / 4))
    )
    working = asyncio.create_task(worker.run())
    try:
        await server.start()
        parts.telemetry.emit("gateway.ready", url=server.url, node=lease.owner)
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait((working, stopping), return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if working.done():
            _explain(parts.telemetry, working)
    finally:
        # New requests are refused first; then running steps get what is left of the time.
        await server.stop()
        await worker.stop(working, settings.drain / 2)


def _explain(telemetry: Telemetry, working: asyncio.Task[None]) -> None:
    """The worker ended by itself, which only a broken database or a lost lease makes it do."""
    error = working.exception()
    causes = error.exceptions if isinstance(error, BaseExceptionGroup) else (error,)
    telemetry.emit("worker.failed", causes=[str(cause) for cause in causes])
    known = next((cause for cause in causes if isinstance(cause, StoreError | Unavailable)), None)
    raise Unavailable(f"the worker stopped: {known or error}") from error


@contextlib.contextmanager
def only_process(database: Path) -> Iterator[None]:
    """Holds the lock that says that this process is the only one to work on a SQLite file."""
    path = database.with_name(LOCK_FILE)
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Unavailable(
                f"another gateway is running on {database}; stop it, or share a PostgreSQL database instead"
            ) from None
        yield
