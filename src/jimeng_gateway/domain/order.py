"""What a door hands to the gateway: what is to be made, and by what the same request is known again.

A door translates one dialect; it may leave a memo with the task, which nobody else reads, so that it can
later answer in the words in which it was asked. A request that is sent again must not pay twice: callers mark
it with an Idempotency-Key, and SDKs that repeat by themselves count their tries (openai-media.md 2.3).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from jimeng_gateway.domain.errors import CallerError
from jimeng_gateway.domain.intake import Wish
from jimeng_gateway.domain.request import GenerationRequest

#: How long an Idempotency-Key stands for its task, in milliseconds.
KEEP_TOKEN_MS = 24 * 3_600_000
#: How long after its first try a request can come again: three tries of ten minutes each, and their pauses.
KEEP_TRIES_MS = 35 * 60_000
#: When clients that do not mark their repetitions are back after an answer that they did not get, in
#: milliseconds (clients.md 4, 6). Who got the answer goes on at once or much later, or keeps its
#: connection open.
BACK_AFTER_MS: dict[str, tuple[tuple[int, int], ...]] = {
    # 0.37 to 1 s.
    "volc-sdk-python/": ((300, 3_000),),
    "byteplus-sdk-python/": ((300, 3_000),),
    # 2 s, then 4 s.
    "ai/": ((1_900, 3_000), (3_900, 5_000)),
}
#: The same after a connection that was seen to break.
BACK_AFTER_LOSS_MS = 10_000


@dataclass(frozen=True, slots=True)
class Order:
    """What a caller wants: a wish, or a complete request that was made before."""

    wish: Wish | None = None
    request: GenerationRequest | None = None
    #: The dialect that asked: "native", "openai", "ark", …
    door: str = "native"
    #: JSON that only this door reads again, with the task.
    memo: Mapping[str, object] = field(default_factory=dict)
    retry_of: str | None = None
    #: Told of every change of the task's status, in the dialect of the door; empty: nobody.
    callback_url: str = ""
    #: The gateway's own address as this caller knows it, for the links in what is told.
    base_url: str = ""
    #: Seconds from now after which it is given up, finished or not; 0: as the gateway has it.
    expires_after_s: int = 0


@dataclass(frozen=True, slots=True)
class Intent:
    """By what the same request is recognised when it comes again."""

    #: Hash of the route and of everything that was sent.
    fingerprint: str
    #: When its head came in, in milliseconds.
    arrived_at: int
    #: The Idempotency-Key; empty if there is none.
    token: str = ""
    #: X-Stainless-Retry-Count; None from clients that do not count.
    attempt: int | None = None
    #: Our own id of this request; empty if its transaction need not know itself again.
    request_id: str = ""
    #: The connection it came by, if its client is known to repeat without saying so; else empty.
    peer: str = ""
    #: How long such a client takes to come back; empty where the end of a connection says nothing.
    pauses: tuple[tuple[int, int], ...] = ()
    #: Connections that are open still: whoever was answered there has the answer.
    open_peers: frozenset[str] = frozenset()

    @property
    def remembered(self) -> bool:
        """Whether there is anything by which it could be recognised."""
        return bool(self.token or self.peer) or self.attempt is not None

    @property
    def may_be_repeated(self) -> bool:
        """Whether it may be a repetition at all; a first try by its own count is none."""
        return bool(self.token or self.peer or self.attempt)


class TaskRemoved(CallerError):
    """An Idempotency-Key whose task its caller has deleted since: there is nothing to answer with."""

    code = "task_removed"
    status = 410


class TokenReused(CallerError):
    """An Idempotency-Key that stands for another request already."""

    code = "idempotency_key_reused"
    status = 422
