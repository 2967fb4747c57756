"""What all parts of the facade share: who asks, what they stand on, and how they hear of news."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from jimeng_gateway.credentials import Credentials
from jimeng_gateway.domain.addresses import AllowedHosts
from jimeng_gateway.domain.errors import InvalidRequest
from jimeng_gateway.domain.options import KeyOptions
from jimeng_gateway.domain.policy import Limits
from jimeng_gateway.domain.ports import Clock, Emitter, Upstream
from jimeng_gateway.models import CatalogueCache
from jimeng_gateway.secrets import Vault
from jimeng_gateway.store.database import Database
from jimeng_gateway.store.files import ResultFiles

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks."""

    key_id: str
    name: str
    admin: bool
    #: What this caller gets unless a request says otherwise.
    options: KeyOptions = field(default_factory=KeyOptions)


#: The bearer of the admin token.
ADMIN = Caller("admin", "admin token", admin=True)
#: The person at the machine itself.
LOCAL = Caller("local", "local operator", admin=True)


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A part of a list."""

    items: tuple[T, ...]
    next_cursor: str | None


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
    #: Other names for models, as the operator chose them.
    aliases: Mapping[str, str] = field(default_factory=dict)
    #: Seconds for which links to results are good; 0 for ever.
    link_ttl: int = 0
    #: Where callers may have callbacks sent.
    callback_hosts: AllowedHosts = field(default_factory=AllowedHosts)
    #: Whether videos can be submitted through the site's page, and why not.
    signer: Callable[[], dict[str, object]] = dict


class Desk:
    """A part of the facade; each part adds the methods of one subject."""

    def __init__(self, parts: GatewayParts) -> None:
        self._parts = parts
        self._db = parts.db
        self._clock = parts.clock
        self._hub = Hub(parts.db)


def parse_cursor(cursor: str) -> tuple[int, str]:
    """The place in a list at which a page ended; InvalidRequest for anything else."""
    at, dot, task_id = cursor.partition(".")
    if not dot or not at.isascii() or not at.isdigit() or len(at) > 15:
        raise InvalidRequest("cursor: not a cursor of this list; take it from next_cursor", param="cursor")
    return int(at), task_id
