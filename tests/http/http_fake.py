"""The Gateway facade in memory, so that every reply of the HTTP layer can be brought about at will.

test_http_door.py holds its signatures against the real ones; what the gateway does behind them is tested
elsewhere.
"""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

from jimeng_gateway.domain.aliases import Alias
from jimeng_gateway.domain.catalogue import Model, ModelStatus, Size, Tier
from jimeng_gateway.domain.costs import Basis, Estimate
from jimeng_gateway.domain.deliveries import Delivery, DeliveryState, Event
from jimeng_gateway.domain.errors import (
    Conflict,
    ErrorKind,
    Failure,
    Gone,
    InvalidRequest,
    NotFound,
    Unauthenticated,
)
from jimeng_gateway.domain.intake import Wish
from jimeng_gateway.domain.options import KeyOptions
from jimeng_gateway.domain.order import Intent, Order, TaskRemoved, TokenReused
from jimeng_gateway.domain.reference import Reference
from jimeng_gateway.domain.request import GenerationRequest, Kind
from jimeng_gateway.domain.route import Route
from jimeng_gateway.domain.session import Account, Session, SessionState
from jimeng_gateway.domain.task import Removal, Result, Stage, Task, TaskEvent
from jimeng_gateway.gateway import Caller, Health, Page, Placed, Rehearsal, SessionCheck
from jimeng_gateway.store.blobs import CallerFile
from jimeng_gateway.store.files import Opened, ResultFiles, StoredFile
from jimeng_gateway.store.keys import Key
from jimeng_gateway.store.results import Amount, Removed
from jimeng_gateway.store.tasks import TaskQuery

NOW = 1_790_000_000_123
ADMIN = "gw_" + "a" * 32
USER = "gw_" + "b" * 32
OTHER = "gw_" + "c" * 32
CREDENTIAL = "credential-that-nobody-may-see-0123456789"


#: Names that stand for models here.
OTHER_NAMES = {"sora-2": "jimeng-video-3.0"}


def a_task(task_id: str = "task_1", **changes: object) -> Task:
    """A queued picture."""
    request = changes.pop("request", None) or GenerationRequest(
        Kind.IMAGE, "jimeng-4.5", "high_aes_general_v40l", "a cat", "1:1", "2k", 2048, 2048, 1
    )
    fields = {
        "id": task_id,
        "key_id": "key_user",
        "request": request,
        "stage": Stage.QUEUED,
        "revision": 1,
        "created_at": NOW,
        "updated_at": NOW,
        "deadline_at": NOW + 3_600_000,
    }
    return Task(**{**fields, **changes})  # type: ignore[arg-type]


def a_video(task_id: str = "task_v", **changes: object) -> Task:
    """A queued video."""
    request = GenerationRequest(
        Kind.VIDEO, "jimeng-video-3.0", "dreamina_ic", "a cat", "16:9", "720p", 1280, 720, duration_ms=5000
    )
    return a_task(task_id, request=request, **changes)


def a_result(index: int, path: Path, media_type: str = "image/png") -> Result:
    """A stored result."""
    data = path.read_bytes()
    return Result(
        index,
        media_type.partition("/")[0],
        f"https://upstream.example/{index}",
        f"item{index}",
        2048,
        2048,
        file=path.name,
        media_type=media_type,
        size=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        stored_at=NOW,
    )


def a_failure(kind: ErrorKind, message: str = "it went wrong") -> Failure:
    """A failure with the site's reply attached."""
    return Failure(kind, "1006", message, raw='{"ret":"1006"}')


def a_session(session_id: str = "sess_1") -> Session:
    """A ready session."""
    return Session(session_id, "mine", "cn", True, SessionState.READY, 2, NOW, NOW)


class FakeGateway:
    """Holds tasks, sessions and keys in dictionaries."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.files_here = ResultFiles(root, largest=1 << 20)
        self.links_end = 0
        self.all_tasks: dict[str, Task] = {}
        self.recorded: dict[str, list[TaskEvent]] = {}
        self.logins: dict[str, Session] = {"sess_1": a_session()}
        self.holders = {
            ADMIN: Caller("key_admin", "operator", True),
            USER: Caller("key_user", "user", False),
            OTHER: Caller("key_other", "other", False),
        }
        self.made: list[Key] = [Key("key_user", "user", "user", "gw_bbbb", NOW, None, None)]
        self.wishes: list[Wish] = []
        self.uploads: dict[str, CallerFile] = {}
        self.ready = True
        #: Raised by the next call of submit, authenticate or wait.
        self.fail_submit: Exception | None = None
        self.fail_wait: Exception | None = None
        #: What a submitted task turns into at once.
        self.outcome: Task | None = None
        self.told = Delivery(
            id="dlv_1",
            task_id="task_1",
            key_id="key_user",
            url="https://hook.example/x?token=secret",
            place="hook.example:443",
            format="ark",
            base="http://gw.example:5100",
            event=Event.SUCCEEDED,
            stage=Stage.SUCCEEDED,
            state=DeliveryState.PENDING,
            tries=1,
            created_at=NOW,
            due_at=NOW + 10_000,
            status=500,
            error="the receiver answered 500",
        )
        self.ended = asyncio.Event()
        self.waiting = asyncio.Event()
        self.watching = 0
        self.live: asyncio.Queue[Task | TaskEvent | Exception] = asyncio.Queue()

    async def authenticate(self, token: str) -> Caller:
        if token not in self.holders:
            raise Unauthenticated("the key is not valid")
        return self.holders[token]

    async def create_key(self, name: str, *, admin: bool = False) -> tuple[Key, str]:
        key = Key("key_new", name, "admin" if admin else "user", "gw_dddd", NOW, None, None)
        return key, "gw_" + "d" * 32

    async def keys(self) -> list[Key]:
        return self.made

    async def revoke_key(self, key_id: str) -> Key:
        for key in self.made:
            if key.id == key_id:
                return dataclasses.replace(key, revoked_at=NOW)
        raise NotFound("no such key")

    async def place(self, caller: Caller, order: Order, intent: Intent | None = None) -> Placed:
        if self.fail_submit is not None:
            raise self.fail_submit
        if order.request is not None:
            again = a_task("task_again", request=order.request, retry_of=order.retry_of)
            return Placed(dataclasses.replace(again, key_id=caller.key_id), repeated=False)
        wish = order.wish
        assert wish is not None
        if wish.model == "no-such-model":
            raise InvalidRequest("unknown model; allowed: jimeng-4.5", param="model", code="model_not_found")
        self.wishes.append(wish)
        default = a_video("task_new") if wish.kind is Kind.VIDEO else a_task("task_new")
        task = self.outcome or default
        request = dataclasses.replace(task.request, references=wish.references)
        task = dataclasses.replace(
            task, key_id=caller.key_id, request=request, door=order.door, memo=order.memo
        )
        self.all_tasks[task.id] = task
        return Placed(task, repeated=False)

    async def recall(self, caller: Caller, intent: Intent) -> Task | None:
        if intent.token == "taken":
            raise TokenReused("the key stands for another request")
        if intent.token == "deleted":
            raise TaskRemoved("the task of this key was deleted")
        return self.all_tasks.get(intent.token)

    async def answered(self, task: Task, intent: Intent, *, lost: bool) -> None:
        """Nothing is remembered here."""

    async def rehearse(self, caller: Caller, order: Order) -> Rehearsal:
        placed = await self.place(caller, order)
        self.all_tasks.pop(placed.task.id, None)
        return Rehearsal(placed.task.request, Estimate(8, Basis.OBSERVED))

    async def key(self, key_id: str) -> Key:
        for key in self.made:
            if key.id == key_id:
                return key
        raise NotFound("no such key")

    async def set_key_options(self, key_id: str, options: KeyOptions) -> Key:
        if "nothing" in options.aliases.values():
            raise InvalidRequest("aliases: leads nowhere", param="aliases")
        return dataclasses.replace(await self.key(key_id), options=options)

    async def task(self, caller: Caller, task_id: str) -> Task:
        task = self.all_tasks.get(task_id)
        if task is None or not (caller.admin or task.key_id == caller.key_id):
            raise NotFound("no such task")
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
        if cursor not in (None, "next"):
            raise InvalidRequest("the cursor is not one of ours", param="cursor")
        found = [
            task
            for task in self.all_tasks.values()
            if (caller.admin or task.key_id == caller.key_id)
            and stage in (None, task.stage)
            and kind in (None, task.request.kind)
            and model in (None, task.request.model)
        ]
        return Page(tuple(found[:limit]), "next" if len(found) > limit else None)

    async def find(self, caller: Caller, query: TaskQuery) -> list[Task]:
        own = [one for one in self.all_tasks.values() if caller.admin or one.key_id == caller.key_id]
        found = [one for one in own if query.kind in (None, one.request.kind)]
        return (found if query.oldest_first else found[::-1])[: query.limit]

    async def count(self, caller: Caller, query: TaskQuery) -> int:
        return len(await self.find(caller, dataclasses.replace(query, limit=1000)))

    async def remove(self, caller: Caller, task_id: str) -> None:
        await self.task(caller, task_id)
        del self.all_tasks[task_id]

    async def cancel(self, caller: Caller, task_id: str) -> Task:
        task = await self.task(caller, task_id)
        if task.stage in (Stage.SUCCEEDED, Stage.FAILED):
            raise Conflict(f"the task has already {task.stage}")
        self.all_tasks[task_id] = dataclasses.replace(task, stage=Stage.CANCELLED, finished_at=NOW)
        return self.all_tasks[task_id]

    async def again(self, caller: Caller, task_id: str) -> Order:
        task = await self.task(caller, task_id)
        if not task.terminal:
            raise Conflict("the task has not ended yet")
        return Order(request=task.request, retry_of=task_id)

    async def add_file(self, caller: Caller, reference: Reference) -> CallerFile:
        number = len(self.uploads) + 1
        file = CallerFile(f"file_{number:022d}", caller.key_id, reference, NOW, NOW + 86_400_000)
        self.uploads[file.id] = file
        return file

    async def file(self, caller: Caller, file_id: str) -> CallerFile:
        file = self.uploads.get(file_id)
        if file is None or not (caller.admin or file.key_id == caller.key_id):
            raise NotFound("no such file", param="file_id")
        return file

    async def files(self, caller: Caller, *, limit: int = 20, cursor: str | None = None) -> Page[CallerFile]:
        own = [file for file in self.uploads.values() if caller.admin or file.key_id == caller.key_id]
        return Page(tuple(own[:limit]), "next" if len(own) > limit else None)

    async def remove_file(self, caller: Caller, file_id: str) -> None:
        await self.file(caller, file_id)
        del self.uploads[file_id]

    async def events(self, caller: Caller, task_id: str, *, after: int = 0) -> list[TaskEvent]:
        await self.task(caller, task_id)
        return [event for event in self.recorded.get(task_id, []) if event.seq > after]

    async def wait(self, caller: Caller, task_id: str, *, seconds: float) -> Task:
        if self.fail_wait is not None:
            raise self.fail_wait
        self.waiting.set()
        await self.ended.wait()
        return await self.task(caller, task_id)

    async def watch(self, caller: Caller, task_id: str, *, after: int = 0) -> AsyncIterator[Task | TaskEvent]:
        self.watching += 1
        try:
            for event in await self.events(caller, task_id, after=after):
                yield event
            while not (self.all_tasks[task_id].terminal and self.live.empty()):
                fact = await self.live.get()
                if isinstance(fact, Exception):
                    raise fact
                yield fact
        finally:
            self.watching -= 1

    def content(self, task: Task, index: int, *, preview: bool = False) -> StoredFile:
        result = next((result for result in task.results if result.index == index), None)
        if result is not None and result.removed_at is not None:
            raise Gone("the file was removed", code="content_removed")
        if result is None or result.file is None:
            raise NotFound("the task has no such result", param="index")
        if preview and result.preview_file is not None:
            kind, size = result.preview_type or "", result.preview_size or 0
            return StoredFile(result.preview_file, kind, size, f"{result.sha256}-preview")
        if preview and result.kind == "video":
            raise NotFound("no preview", code="no_preview", param="variant")
        return StoredFile(result.file, result.media_type or "", result.size or 0, result.sha256 or "")

    async def check_content(self, file: StoredFile) -> None:
        await self.files_here.check(file)

    async def open_content(self, file: StoredFile, start: int, end: int) -> Opened:
        return await self.files_here.open(file, start, end)

    async def read_content(self, file: StoredFile) -> bytes:
        return await self.files_here.read(file)

    async def remove_results(self, caller: Caller, task_id: str) -> Task:
        task = await self.task(caller, task_id)
        if not task.terminal:
            raise Conflict("the task has not ended yet")
        removed = tuple(
            dataclasses.replace(result, file=None, removed_at=NOW, removed_why=Removal.CALLER)
            for result in task.results
        )
        self.all_tasks[task_id] = dataclasses.replace(task, results=removed)
        return self.all_tasks[task_id]

    async def removals(self, *, limit: int = 20, cursor: str | None = None) -> Page[Removed]:
        return Page((Removed("task_1", 0, NOW, Removal.AGE, 7),), None)

    async def deliveries(
        self,
        caller: Caller,
        *,
        task_id: str | None = None,
        state: DeliveryState | None = None,
        limit: int = 20,
        cursor: str | None = None,
    ) -> Page[Delivery]:
        return Page((self.told,), None)

    async def prune(
        self, *, older_than: int | None = None, most: int | None = None, dry_run: bool = False
    ) -> tuple[Amount, bool]:
        return Amount(1, 7), False

    def link_expires(self) -> int:
        return self.links_end

    def link_signature(self, task_id: str, index: int, expires: int = 0) -> str:
        return hashlib.sha256(f"{task_id} {index} {expires}".encode()).hexdigest()[:16]

    def link_valid(self, task_id: str, index: int, signature: str, expires: int = 0) -> bool:
        return signature == self.link_signature(task_id, index, expires)

    def link_ended(self, expires: int) -> bool:
        return bool(self.links_end) if not expires else expires * 1000 <= NOW

    async def task_for_link(self, task_id: str) -> Task:
        if task_id not in self.all_tasks:
            raise NotFound("no such task")
        return self.all_tasks[task_id]

    async def stats(self) -> dict[str, object]:
        return {"tasks": {"queued": 0}}

    async def models(self) -> list[Model]:
        tier = Tier("2k", (Size("1:1", 1, 2048, 2048),))
        image = Model(
            "jimeng-4.5",
            "high_aes_general_v40l",
            Kind.IMAGE,
            "Image 4.5",
            aliases=("seedream/4.5",),
            status=ModelStatus.AVAILABLE,
            tiers=(tier,),
            default_tier="2k",
        )
        video = Model("jimeng-video-3.0", "dreamina_ic", Kind.VIDEO, "Video 3.0", durations=(5, 10))
        return [image, video]

    async def model(self, caller: Caller, name: str | None, kind: Kind | None = None) -> Model:
        other = dict(OTHER_NAMES)
        for model in await self.models():
            if name is None and kind in (None, model.kind):
                return model
            if other.get(str(name), name) in (model.name, *model.aliases):
                return model
        raise InvalidRequest("unknown model; allowed: jimeng-4.5", param="model", code="model_not_found")

    async def aliases(self, caller: Caller) -> tuple[Alias, ...]:
        return tuple(Alias(name, model) for name, model in OTHER_NAMES.items())

    async def add_session(
        self, *, credential: str, label: str = "", region: str = "cn", slots: int | None = None
    ) -> Session:
        if credential == "taken":
            raise Conflict("this login is here already")
        if region != "cn":
            raise InvalidRequest("allowed: cn", param="region")
        session = dataclasses.replace(a_session("sess_2"), label=label, slots=2 if slots is None else slots)
        self.logins[session.id] = session
        return session

    async def sessions(self) -> list[Session]:
        return list(self.logins.values())

    async def session(self, session_id: str) -> Session:
        if session_id not in self.logins:
            raise NotFound("no such session")
        return self.logins[session_id]

    async def update_session(
        self,
        session_id: str,
        *,
        label: str | None = None,
        enabled: bool | None = None,
        slots: int | None = None,
        route: Route | None = None,
        credential: str | None = None,
    ) -> Session:
        if credential == "taken":
            raise Conflict("this login is here already")
        changes = {"label": label, "enabled": enabled, "slots": slots, "route": route}
        given = {name: value for name, value in changes.items() if value is not None}
        self.logins[session_id] = dataclasses.replace(await self.session(session_id), **given)
        return self.logins[session_id]

    async def remove_session(self, session_id: str) -> None:
        if (await self.session(session_id)).slots_taken:
            raise Conflict("tasks run on this session")
        del self.logins[session_id]

    async def check_session(self, session_id: str) -> SessionCheck:
        session = await self.session(session_id)
        if session.state is SessionState.EXPIRED:
            return SessionCheck(False, None, a_failure(ErrorKind.AUTH, "the login is dead"))
        return SessionCheck(True, Account("1234", "somebody", 60), None)

    async def health(self) -> Health:
        return Health(self.ready, {"database": {"ok": self.ready}})
