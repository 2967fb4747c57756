"""The effects the core needs, and the errors they promise.

Everything here has a real implementation and another one for tests or another route. All methods of Upstream
raise UpstreamFailure and nothing else; time is in integer milliseconds unless a name says otherwise.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from jimeng_gateway.domain.catalogue import Model
from jimeng_gateway.domain.record import Accepted, Record
from jimeng_gateway.domain.reference import Reference, Uploaded
from jimeng_gateway.domain.request import GenerationRequest, Kind
from jimeng_gateway.domain.session import Account, Identity


class Clock(Protocol):
    """Time, so that tests can drive it."""

    def now(self) -> int:
        """Milliseconds since the epoch, UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds on a clock that never goes back; only differences mean anything."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Returns after that many seconds of this clock."""
        ...


@dataclass(frozen=True, slots=True)
class Order:
    """One submit, complete: the builder of the payload draws nothing itself."""

    request: GenerationRequest
    submit_id: str
    seed: int
    #: What the session's uploads made of the request's references, in the same order.
    uploads: tuple[Uploaded, ...] = ()
    #: Asked before anything is sent a second time: whether this process may still send at all.
    still_ours: Callable[[], bool] = lambda: True


@dataclass(frozen=True, slots=True)
class Download:
    """An open download: headers are read, bytes are not."""

    media_type: str
    #: As the server announced it; None if it did not.
    length: int | None
    chunks: AsyncIterator[bytes]


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """A submit as it would be sent over plain HTTP, for a signer to send from inside the site's page."""

    method: str
    url: str
    headers: dict[str, str]
    body: bytes
    #: Asked at the very moment before it leaves, which may be long after it was handed over.
    still_ours: Callable[[], bool] = lambda: True


class Signer(Protocol):
    """Sends a submit from inside the site's own page, where the site's script signs it.

    Raises UpstreamFailure with acceptance NO if the page was never asked to send, else UNKNOWN.
    """

    async def send(self, identity: Identity, request: SignedRequest) -> bytes:
        """The body of the site's reply."""
        ...


class Upstream(Protocol):
    """The site, as far as we use it."""

    async def submit(self, identity: Identity, order: Order) -> Accepted:
        """POST generate. A failure tells by `acceptance` whether the job may exist all the same."""
        ...

    async def upload(self, identity: Identity, reference: Reference, path: Path) -> Uploaded:
        """Brings the reference's bytes, which lie at `path`, to the session's side of the site; free.

        Kind INVALID_REQUEST if the file is not there (any more).
        """
        ...

    async def precheck(self, identity: Identity, uploaded: Uploaded) -> None:
        """The site's safety check of an uploaded picture (jimeng-web.md 6.6); returns if it passed.

        Kind CONTENT_REJECTED if it did not; any other kind says nothing about the picture.
        """
        ...

    async def records(
        self, identity: Identity, *, submit_ids: Sequence[str] = (), history_ids: Sequence[str] = ()
    ) -> dict[str, Record]:
        """get_history_by_ids with one of the two lists; keyed by the id asked; unknown ids are absent."""
        ...

    async def best_video_url(self, identity: Identity, item_id: str) -> str | None:
        """The high-quality address of a video (jimeng-web.md 7.5); None if the site gives none."""
        ...

    async def cancel(self, identity: Identity, history_id: str) -> None:
        """cancel_generate; returns if the site accepted it."""
        ...

    async def account(self, identity: Identity) -> Account:
        """Who this session is and what it has; raises kind AUTH when the login is dead."""
        ...

    async def models(self, identity: Identity, kind: Kind) -> tuple[Model, ...]:
        """The live catalogue (3.2, 4.2)."""
        ...

    def download(self, url: str) -> AbstractAsyncContextManager[Download]:
        """Opens a result; never sends the session's cookies there."""
        ...

    async def clock_skew(self) -> float:
        """Seconds by which the site's clock is ahead of ours; for the doctor."""
        ...


class Identities(Protocol):
    """Opens what a session's calls look like; the only way from a stored credential to a usable one."""

    async def open(self, session_id: str) -> Identity:
        """The identity; NotFound if the session was removed."""
        ...


class Emitter(Protocol):
    """Takes the events that logs and metrics are made of."""

    def emit(self, name: str, **fields: object) -> None:
        """Never raises."""
        ...
