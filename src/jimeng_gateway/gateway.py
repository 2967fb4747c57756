"""The facade: everything that HTTP, command line and dashboard can ask of the gateway.

It checks who asks and what is asked, writes the wish down, and leaves the doing to the worker; it works the
same in a process that has no worker at all.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

from jimeng_gateway.clock import new_id
from jimeng_gateway.credentials import Credentials
from jimeng_gateway.domain import lifecycle
from jimeng_gateway.domain.catalogue import Catalogue, Model
from jimeng_gateway.domain.errors import (
    Conflict,
    ErrorKind,
    Failure,
    InvalidRequest,
    NotFound,
    StoreError,
    Unauthenticated,
    UpstreamFailure,
)
from jimeng_gateway.domain.intake import Wish, plan
from jimeng_gateway.domain.policy import Limits
from jimeng_gateway.domain.ports import Clock, Emitter, Upstream
from jimeng_gateway.domain.reference import Reference
from jimeng_gateway.domain.request import GenerationRequest, Kind
from jimeng_gateway.domain.route import Route
from jimeng_gateway.domain.session import Account, Session, SessionState
from jimeng_gateway.domain.task import Stage, Task, TaskEvent
from jimeng_gateway.models import CatalogueCache
from jimeng_gateway.secrets import Vault, digest, new_api_key
from jimeng_gateway.store import blobs, keys, nodes, sessions, submissions, tasks
from jimeng_gateway.store.blobs import CallerFile
from jimeng_gateway.store.database import LOCK_RESERVE, ConstraintViolated, Database, Tx
from jimeng_gateway.store.files import ResultFiles
from jimeng_gateway.store.keys import Key

T = TypeVar("T")

#: Where the hash of the admin token lies if the operator did not choose one.
ADMIN_SETTING = "admin.digest"
#: Watchers look this often even if no notification came, in seconds.
LOOK_AGAIN_S = 2.0
#: A key's last use is written down at most this often, in milliseconds.
TOUCH_EVERY_MS = 60_000
MOST_SLOTS = 64


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks."""

    key_id: str
    name: str
    admin: bool


#: The bearer of the admin token.
ADMIN = Caller("admin", "admin token", admin=True)
#: The person at the machine itself.
LOCAL = Caller("local", "local operator", admin=True)


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A part of a list."""

    items: tuple[T, ...]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class SessionCheck:
    """What the site said about a session; `valid` only on its own word."""

    valid: bool
    account: Account | None
    failure: Failure | None


@dataclass(frozen=True, slots=True)
class Health:
    """Whether the gateway can serve, and why (not)."""

    ready: bool
    checks: dict[str, dict[str, object]] = field(default_factory=dict)


class Hub:
    """Wakes whoever waits for news of a task."""

    def __init__(self, db: Database) -> None:
        self._waiting: dict[str, set[asyncio.Event]] = {}
        db.subscribe(self._tell)

    def _tell(self, topic: str) -> None:
        for event in self._waiting.get(topic, ()):
            event.set()

    @contextlib.contextmanager
    def listen(self, topic: str) -> Iterator[asyncio.Event]:
        """An event that is set with every notification of the topic."""
        event = asyncio.Event()
        waiting = self._waiting.setdefault(topic, set())
        waiting.add(event)
        try:
            yield event
        finally:
            waiting.discard(event)
            if not waiting:
                self._waiting.pop(topic, None)


@dataclass(frozen=True, slots=True)
class GatewayParts:
    """What the facade stands on."""

    db: Database
    upstream: Upstream
    credentials: Credentials
    vault: Vault
    files: ResultFiles
    catalogue: CatalogueCache
    clock: Clock
    telemetry: Emitter
    limits: Limits
    session_slots: int
    #: Milliseconds for which an uploaded file can be used.
    file_retention: int = 86_400_000
    #: Hash of the token that the operator chose; empty: the stored one counts.
    admin_digest: str = ""
    #: Whether videos can be submitted through the site's page, and why not.
    signer: Callable[[], dict[str, object]] = dict


class Gateway:
    """See the module."""

    def __init__(self, parts: GatewayParts) -> None:
        self._parts = parts
        self._db = parts.db
        self._clock = parts.clock
        self._hub = Hub(parts.db)
        self._touched: dict[str, int] = {}

    # ── keys ─────────────────────────────────────────────────────────────────────────────────────

    async def authenticate(self, token: str) -> Caller:
        """The caller behind a bearer token; Unauthenticated for any other text."""
        hashed = digest(token)
        admin, key = await self._db.read(lambda tx: (self._admin_digest(tx), keys.by_digest(tx, hashed)))
        if admin and hmac.compare_digest(admin, hashed):
            return ADMIN
        if key is None:
            raise Unauthenticated("this key is not valid: it is unknown or was revoked")
        await self._touch(key.id)
        return Caller(key.id, key.name, key.role == "admin")

    def _admin_digest(self, tx: Tx) -> str:
        if self._parts.admin_digest:
            return self._parts.admin_digest
        row = tx.one("setting_get", name=ADMIN_SETTING)
        return "" if row is None else str(row["value"])

    async def _touch(self, key_id: str) -> None:
        now = self._clock.now()
        if now - self._touched.get(key_id, 0) < TOUCH_EVERY_MS:
            return
        self._touched[key_id] = now
        await self._db.write(lambda tx: tx.run("key_used", id=key_id, now=now))

    async def first_admin_token(self) -> str | None:
        """Makes the admin token if the operator chose none and there is none yet; shown once."""
        if self._parts.admin_digest:
            return None
        token, now = new_api_key(), self._clock.now()
        made = await self._db.write(
            lambda tx: tx.run("setting_put_once", name=ADMIN_SETTING, value=digest(token), now=now)
        )
        return token if made else None

    async def create_key(self, name: str, *, admin: bool = False) -> tuple[Key, str]:
        """A new key and its secret, which is nowhere else from now on."""
        secret, now = new_api_key(), self._clock.now()
        key = Key(new_id("key", now), name, "admin" if admin else "user", secret[:7], now)
        await self._db.write(lambda tx: keys.insert(tx, key, digest(secret)))
        return key, secret

    async def keys(self) -> list[Key]:
        """Every key, revoked ones included."""
        return await self._db.read(keys.find_all)

    async def revoke_key(self, key_id: str) -> Key:
        """Ends a key for good; revoking it again changes nothing."""
        now = self._clock.now()

        def body(tx: Tx) -> Key | None:
            tx.run("key_revoke", id=key_id, now=now)
            return keys.get(tx, key_id)

        key = await self._db.write(body)
        if key is None:
            raise NotFound(f"there is no key {key_id}")
        return key

    # ── tasks ────────────────────────────────────────────────────────────────────────────────────

    async def submit(self, caller: Caller, wish: Wish) -> Task:
        """Checks a wish against the catalogue and queues it; durable when this returns."""
        request = plan(wish, await self._parts.catalogue.current())
        return await self._queue(caller, request, retry_of=None)

    async def retry(self, caller: Caller, task_id: str) -> Task:
        """A new attempt of the same input under a new task; Conflict unless the old one has ended."""
        task = await self.task(caller, task_id)
        if not task.terminal:
            raise Conflict(f"the task is still {task.stage}; only a task that has ended can be retried")
        return await self._queue(caller, task.request, retry_of=task.id)

    async def _queue(self, caller: Caller, request: GenerationRequest, retry_of: str | None) -> Task:
        now = self._clock.now()
        task = Task(
            id=new_id("task", now),
            key_id=caller.key_id,
            request=request,
            stage=Stage.QUEUED,
            revision=0,
            created_at=now,
            updated_at=now,
            deadline_at=now + self._parts.limits.deadline(request.kind),
            due_at=now,
            retry_of=retry_of,
        )
        facts: dict[str, object] = {"model": request.model, "key": caller.name}
        if retry_of is not None:
            facts["retry_of"] = retry_of

        def body(tx: Tx) -> Task:
            written = tasks.insert(tx, task, facts)
            blobs.bind(tx, task.id, request.references, now=now)
            return written

        task = await self._db.write(body)
        self._parts.telemetry.emit("task.queued", task=task.id, kind=request.kind, model=request.model)
        return task

    async def task(self, caller: Caller, task_id: str) -> Task:
        """One task; NotFound also for a task of another key."""
        task = await self._db.read(lambda tx: tasks.get(tx, task_id))
        if task is None or not (caller.admin or task.key_id == caller.key_id):
            raise NotFound(f"there is no task {task_id[:80]}")
        return task

    async def tasks(
        self,
        caller: Caller,
        *,
        stage: Stage | None = None,
        kind: Kind | None = None,
        model: str | None = None,
        limit: int = 20,
        cursor: str | None = None,
    ) -> Page[Task]:
        """Tasks that match, newest first."""
        before = _parse_cursor(cursor) if cursor else None
        key_id = None if caller.admin else caller.key_id
        found = await self._db.read(
            lambda tx: tasks.find(
                tx, key_id=key_id, stage=stage, kind=kind, model=model, limit=limit + 1, before=before
            )
        )
        shown = tuple(found[:limit])
        more = f"{shown[-1].created_at}.{shown[-1].id}" if len(found) > limit else None
        return Page(shown, more)

    async def cancel(self, caller: Caller, task_id: str) -> Task:
        """Cancels in any stage but the last; what may exist upstream is cancelled there too."""
        task = await self.task(caller, task_id)
        now = self._clock.now()

        def body(tx: Tx) -> Task | None:
            following = tasks.change(tx, task_id, lambda found: lifecycle.cancel(found, now=now), now=now)
            if following is not None and following.submit_id is not None:
                submissions.want_cancel(tx, following.submit_id, now=now)
            return following or tasks.get(tx, task_id)

        following = await self._db.write(body) or task
        if following.stage is not Stage.CANCELLED:
            raise Conflict(f"the task has already {following.stage}; it can no longer be cancelled")
        self._parts.telemetry.emit("task.cancelled", task=task_id, was=task.stage)
        return following

    async def events(self, caller: Caller, task_id: str, *, after: int = 0) -> list[TaskEvent]:
        """What happened to a task, oldest first."""
        await self.task(caller, task_id)
        return await self._db.read(lambda tx: tasks.events(tx, task_id, after))

    async def wait(self, caller: Caller, task_id: str, *, seconds: float) -> Task:
        """The task at its end, or as it is when the time is up."""
        with self._hub.listen(tasks.topic_of(task_id)) as news:
            deadline = self._clock.monotonic() + seconds
            while True:
                news.clear()
                task = await self.task(caller, task_id)
                left = deadline - self._clock.monotonic()
                if task.terminal or left <= 0:
                    return task
                await self._news(news, min(left, LOOK_AGAIN_S))

    async def watch(self, caller: Caller, task_id: str, *, after: int = 0) -> AsyncIterator[Task | TaskEvent]:
        """Events from `after` on as they happen, and the task whenever its progress changed; to its end."""
        told: tuple[object, ...] | None = None
        with self._hub.listen(tasks.topic_of(task_id)) as news:
            while True:
                news.clear()
                task = await self.task(caller, task_id)
                for event in await self.events(caller, task_id, after=after):
                    after = event.seq
                    yield event
                if task.progress_key != told:
                    told = task.progress_key
                    yield task
                if task.terminal:
                    return
                await self._news(news, LOOK_AGAIN_S)

    async def _news(self, event: asyncio.Event, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(event.wait(), seconds)

    # ── files ────────────────────────────────────────────────────────────────────────────────────

    async def add_file(self, caller: Caller, reference: Reference) -> CallerFile:
        """A file that this caller can use in any number of tasks until it expires."""
        now = self._clock.now()
        file = CallerFile(
            id=new_id("file", now),
            key_id=caller.key_id,
            reference=reference,
            created_at=now,
            expires_at=now + self._parts.file_retention,
        )
        await self._db.write(lambda tx: blobs.add_file(tx, file))
        return file

    async def file(self, caller: Caller, file_id: str) -> CallerFile:
        """One file; NotFound also for a file of another key, and for one that has expired."""
        key_id, now = None if caller.admin else caller.key_id, self._clock.now()
        return await self._db.read(lambda tx: blobs.file(tx, file_id, key_id=key_id, now=now))

    async def files(self, caller: Caller, *, limit: int = 20, cursor: str | None = None) -> Page[CallerFile]:
        """Files, newest first."""
        before = _parse_cursor(cursor) if cursor else None
        key_id, now = None if caller.admin else caller.key_id, self._clock.now()
        found = await self._db.read(
            lambda tx: blobs.files(tx, key_id=key_id, limit=limit + 1, before=before, now=now)
        )
        shown = tuple(found[:limit])
        more = f"{shown[-1].created_at}.{shown[-1].id}" if len(found) > limit else None
        return Page(shown, more)

    async def remove_file(self, caller: Caller, file_id: str) -> None:
        """Forgets a file; what was made with it keeps its bytes."""
        await self.file(caller, file_id)
        await self._db.write(lambda tx: blobs.remove_file(tx, file_id))

    # ── results ──────────────────────────────────────────────────────────────────────────────────

    def content(self, task: Task, index: int) -> Path:
        """The file of a result; NotFound as long as there is none."""
        for result in task.results:
            if result.index == index and result.file is not None:
                return self._parts.files.path(result.file)
        if not task.terminal:
            raise NotFound(f"the task is still {task.stage}; it has no results yet", retryable=True)
        raise NotFound(f"the task has no result {index}")

    def link_signature(self, task_id: str, index: int) -> str:
        """Lets one result be opened without a key."""
        return self._parts.vault.sign(f"content {task_id} {index}")

    def link_valid(self, task_id: str, index: int, signature: str) -> bool:
        """Whether the signature belongs to this result."""
        return self._parts.vault.signed(f"content {task_id} {index}", signature)

    async def task_for_link(self, task_id: str) -> Task:
        """The task of a link whose signature was found valid."""
        return await self.task(LOCAL, task_id)

    # ── models and figures ───────────────────────────────────────────────────────────────────────

    async def models(self) -> list[Model]:
        """The catalogue."""
        return list((await self._parts.catalogue.current()).models)

    async def catalogue(self) -> Catalogue:
        """The catalogue as intake sees it."""
        return await self._parts.catalogue.current()

    async def stats(self) -> dict[str, object]:
        """Figures, each counted from the facts themselves."""
        now = self._clock.now()
        return await self._db.read(lambda tx: _stats(tx, now))

    # ── sessions ─────────────────────────────────────────────────────────────────────────────────

    async def add_session(
        self, *, credential: str, label: str = "", region: str = "cn", slots: int | None = None
    ) -> Session:
        """A new session; Conflict if its login is here already."""
        if region != "cn":
            raise InvalidRequest("region: only cn (jimeng.jianying.com) is supported", param="region")
        count = self._parts.session_slots if slots is None else slots
        _check_slots(count)
        now = self._clock.now()
        session_id = new_id("session", now)
        stored = self._parts.credentials.seal(session_id, credential)

        def body(tx: Tx) -> Session | None:
            _refuse_known_login(tx, stored.fingerprint)
            sessions.insert(
                tx,
                session_id=session_id,
                label=label or session_id,
                region=region,
                slots=count,
                credential=stored,
                now=now,
            )
            return sessions.get(tx, session_id)

        return _present(await self._write_login(body), session_id)

    async def sessions(self) -> list[Session]:
        """Every session, oldest first."""
        return await self._db.read(sessions.find_all)

    async def session(self, session_id: str) -> Session:
        """One session."""
        return _present(await self._db.read(lambda tx: sessions.get(tx, session_id)), session_id)

    async def update_session(
        self,
        session_id: str,
        *,
        label: str | None = None,
        enabled: bool | None = None,
        slots: int | None = None,
        credential: str | None = None,
        route: Route | None = None,
    ) -> Session:
        """Changes what is given; a new credential makes the session ready again."""
        if slots is not None:
            _check_slots(slots)
        now = self._clock.now()
        stored = None
        if credential is not None:
            known = await self._db.read(lambda tx: sessions.sealed(tx, session_id))
            stored = self._parts.credentials.seal(
                session_id, credential, web_id=known.web_id if known else None
            )

        def body(tx: Tx) -> Session | None:
            session = sessions.get(tx, session_id)
            if session is None:
                return None
            sessions.configure(
                tx,
                session_id,
                label=session.label if label is None else label,
                enabled=session.enabled if enabled is None else enabled,
                slots=session.slots if slots is None else slots,
                route=session.route if route is None else route,
                now=now,
            )
            if stored is not None:
                _refuse_known_login(tx, stored.fingerprint, but=session_id)
                sessions.replace_credential(tx, session_id, stored, now=now)
            return sessions.get(tx, session_id)

        return _present(await self._write_login(body), session_id)

    async def remove_session(self, session_id: str) -> None:
        """Forgets the credential and the session; its tasks keep their history."""
        now = self._clock.now()

        def body(tx: Tx) -> Session | None:
            tx.serialise(LOCK_RESERVE)
            session = sessions.get(tx, session_id)
            if session is not None and session.slots_taken:
                raise Conflict(
                    f"{session.slots_taken} tasks run on this session; disable it and wait, or cancel them"
                )
            tx.run("session_remove", id=session_id, now=now)
            tx.run("slot_trim", session_id=session_id, slots=0)
            return session

        _present(await self._db.write(body), session_id)

    async def check_session(self, session_id: str) -> SessionCheck:
        """Asks the site whether the session is valid, and learns from the answer."""
        session = await self.session(session_id)
        identity = await self._parts.credentials.open(session_id)
        try:
            account = await self._parts.upstream.account(identity)
        except UpstreamFailure as error:
            failure = error.failure
            if failure.kind in (ErrorKind.AUTH, ErrorKind.ACCOUNT_BLOCKED):
                now = self._clock.now()
                await self._db.write(lambda tx: sessions.suffer(tx, session_id, failure, now=now))
            return SessionCheck(valid=False, account=None, failure=failure)
        now = self._clock.now()

        def body(tx: Tx) -> None:
            sessions.learn_account(tx, session_id, account, now=now)
            if session.state in (SessionState.EXPIRED, SessionState.BLOCKED):
                sessions.recover(tx, session_id, now=now)

        await self._db.write(body)
        return SessionCheck(valid=True, account=account, failure=None)

    async def _write_login(self, body: Callable[[Tx], Session | None]) -> Session | None:
        try:
            return await self._db.write(body)
        except ConstraintViolated as error:
            raise Conflict("this login was added at the same moment by somebody else") from error

    # ── health ───────────────────────────────────────────────────────────────────────────────────

    async def health(self) -> Health:
        """Whether tasks can be taken and worked on now."""
        now = self._clock.now()
        try:
            alive, states = await self._db.read(
                lambda tx: (
                    [node for node in nodes.find_all(tx) if node.expires_at > now],
                    {row["state"]: row["n"] for row in tx.all("session_counts")},
                )
            )
        except StoreError as error:
            return Health(ready=False, checks={"database": {"ok": False, "error": error.message}})
        newest = max((node.beat_at for node in alive), default=None)
        usable = states.get("ready", 0)
        checks: dict[str, dict[str, object]] = {
            "database": {"ok": True},
            "worker": {
                "ok": bool(alive),
                "nodes": len(alive),
                "last_beat_ms_ago": None if newest is None else now - newest,
            },
            "sessions": {"ok": usable > 0, "usable": usable, "by_state": states},
        }
        ready = all(check["ok"] for check in checks.values())
        # Without a browser images go on, so this one is told but does not decide.
        signer = self._parts.signer()
        return Health(ready, checks | {"signer": signer} if signer else checks)


def _parse_cursor(cursor: str) -> tuple[int, str]:
    at, dot, task_id = cursor.partition(".")
    if not dot or not at.isascii() or not at.isdigit() or len(at) > 15:
        raise InvalidRequest("cursor: not a cursor of this list; take it from next_cursor", param="cursor")
    return int(at), task_id


def _check_slots(slots: int) -> None:
    if not 1 <= slots <= MOST_SLOTS:
        raise InvalidRequest(f"slots: {slots} is not between 1 and {MOST_SLOTS}", param="slots")


def _refuse_known_login(tx: Tx, fingerprint: str, but: str = "") -> None:
    row = tx.one("session_by_fingerprint", fingerprint=fingerprint)
    if row is not None and row["id"] != but:
        raise Conflict(f"this login is here already, as session {row['id']} ({row['label']})")


def _present(session: Session | None, session_id: str) -> Session:
    if session is None:
        raise NotFound(f"there is no session {session_id[:80]}")
    return session


def _stats(tx: Tx, now: int) -> dict[str, object]:
    by_stage = {str(stage): 0 for stage in Stage}
    by_kind = {str(kind): 0 for kind in Kind}
    for row in tx.all("task_counts"):
        by_stage[row["stage"]] += row["n"]
        by_kind[row["kind"]] += row["n"]
    oldest = tx.one("task_oldest_queued")
    slots = tx.one("slot_counts") or {"total": 0, "taken": 0}
    states = {"ready": 0, "cooling": 0, "expired": 0, "blocked": 0, "disabled": 0}
    states |= {row["state"]: row["n"] for row in tx.all("session_counts")}
    results = tx.one("result_totals") or {"files": 0, "bytes": 0}
    waiting = None if oldest is None or oldest["at"] is None else (now - oldest["at"]) // 1000
    return {
        "tasks": {"total": sum(by_stage.values()), "by_stage": by_stage, "by_kind": by_kind},
        "queue": {"length": by_stage["queued"], "oldest_seconds": waiting},
        "slots": {"total": slots["total"], "taken": slots["taken"]},
        "sessions": {"total": sum(states.values()), "by_state": states},
        "results": {"files": results["files"], "bytes": int(results["bytes"])},
        "nodes": sum(1 for node in nodes.find_all(tx) if node.expires_at > now),
    }
