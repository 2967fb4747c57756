"""Brings files to the site: token, Apply, the bytes, Commit (jimeng-web.md 6).

An upload is free and may be repeated, so every step is tried again by a named policy, each time with a fresh
signature. Bytes go from the disk to the socket in small pieces, however large the file is.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from io import FileIO
from pathlib import Path
from typing import TypeVar
from weakref import WeakValueDictionary

from jimeng_gateway.domain import retry
from jimeng_gateway.domain.errors import ErrorKind, Failure, UpstreamFailure
from jimeng_gateway.domain.ports import Clock
from jimeng_gateway.domain.reference import Media, Reference, Uploaded
from jimeng_gateway.domain.retry import Retry
from jimeng_gateway.domain.session import Identity
from jimeng_gateway.upstream.transport import Answer, Transport
from jimeng_gateway.upstream.wire import upload, upload_replies
from jimeng_gateway.upstream.wire.identity import cookie_value
from jimeng_gateway.upstream.wire.protocol import Protocol
from jimeng_gateway.upstream.wire.request import WireRequest
from jimeng_gateway.upstream.wire.upload import Ticket, Token

T = TypeVar("T")

#: Bytes of a part; what the site's page sends (6.3).
PART = 5 * 1024 * 1024
#: Videos and sounds above this go in parts: a break then costs a part, not the file.
LARGE = 20 * 1024 * 1024
#: Bytes read at a time.
PIECE = 256 * 1024
#: A token is used for so long at most, though it is said to be good for an hour (6.1).
TOKEN_S = 25 * 60.0
#: Seconds before its end in which a token is no longer used for something new.
TOKEN_REST_S = 60.0
#: From the beginning again, when a whole upload came to nothing.
ROUNDS = 2
#: Failures in a row with one token before it is changed; the first one changes it too.
_TOKEN_CHANGE = 3

#: Calls an endpoint of the site with a session's identity.
Call = Callable[[Identity, str, Mapping[str, object]], Awaitable[dict[str, object]]]


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of a file and its checksum, 8 hex digits."""

    start: int
    length: int
    crc32: str


@dataclass(frozen=True, slots=True)
class Measured:
    """A file on disk: as a whole, and in parts of PART bytes."""

    whole: Piece
    parts: tuple[Piece, ...]


def measure(file: FileIO) -> Measured:
    """Reads a file that has just been opened. Blocks: call it in a thread."""
    whole = size = 0
    parts: list[Piece] = []
    buffer = memoryview(bytearray(PIECE))
    while True:
        start, crc = size, 0
        while size - start < PART:
            read = file.readinto(buffer[: PART - (size - start)])
            if not read:
                break
            crc = zlib.crc32(buffer[:read], crc)
            whole = zlib.crc32(buffer[:read], whole)
            size += read
        if size == start:
            return Measured(Piece(0, size, f"{whole:08x}"), tuple(parts))
        parts.append(Piece(start, size - start, f"{crc:08x}"))


class Tokens:
    """The upload tokens of all sessions, each used until it nears its end."""

    def __init__(self, protocol: Protocol, clock: Clock, call: Call, upstream_url: str) -> None:
        self._protocol = protocol
        self._clock = clock
        self._call = call
        self._upstream_url = upstream_url
        #: By login and service: the token and when (monotonic) it is used no longer.
        self._known: dict[tuple[str, str], tuple[Token, float]] = {}
        self._locks: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

    async def get(self, identity: Identity, kind: Media) -> Token:
        """The session's token for this kind of file; asks the site for one if there is none."""
        service = upload.service_for(self._protocol, kind)
        key = (_login(identity), service.service)
        lock = self._locks.setdefault(key, asyncio.Lock())
        async with lock:
            now = self._clock.monotonic()
            known = self._known.get(key)
            if known is not None and now < known[1]:
                return known[0]
            self._known = {k: entry for k, entry in self._known.items() if now < entry[1]}
            reply = await self._call(identity, "upload_token", {"scene": service.scene})
            token = upload_replies.token(reply, service, self._protocol, self._upstream_url)
            self._known[key] = (token, now + self._usable(token))
            return token

    def drop(self, token: Token) -> None:
        """Forgets a token that a service did not accept."""
        self._known = {key: entry for key, entry in self._known.items() if entry[0] is not token}

    @staticmethod
    def _usable(token: Token) -> float:
        if token.lifetime_s is None:
            return TOKEN_S
        return min(TOKEN_S, token.lifetime_s - TOKEN_REST_S)


class Uploader:
    """Uploads files for sessions. Keeps no more than their tokens."""

    def __init__(
        self,
        protocol: Protocol,
        transport: Transport,
        *,
        clock: Clock,
        ids: Callable[[], str],
        call: Call,
        upstream_url: str = "",
    ) -> None:
        self._protocol = protocol
        self._transport = transport
        self._clock = clock
        self._ids = ids
        self._upstream_url = upstream_url
        self._tokens = Tokens(protocol, clock, call, upstream_url)

    async def upload(self, identity: Identity, reference: Reference, path: Path) -> Uploaded:
        """Brings a file to the site; what the site does not measure is taken from the reference.

        UpstreamFailure with kind INVALID_REQUEST if the file is not there (any more).
        """
        with await _opened(reference, path) as file:
            measured = await _measured(reference, file)
            for left in reversed(range(ROUNDS)):
                try:
                    made = await self._upload(identity, reference.kind, file, measured)
                except UpstreamFailure as failed:
                    if not left or not retry.passing(failed.failure):
                        raise
                else:
                    return _completed(made, reference)
        raise AssertionError("every round returns or raises")

    async def _upload(self, identity: Identity, kind: Media, file: FileIO, measured: Measured) -> Uploaded:
        ticket = await self._apply(identity, kind, measured.whole.length)
        if kind is Media.IMAGE or measured.whole.length <= LARGE:
            await self._send_whole(ticket, file, measured.whole)
        else:
            await self._send_parts(ticket, file, measured)
        return await self._commit(identity, kind, ticket)

    async def _apply(self, identity: Identity, kind: Media, size: int) -> Ticket:
        async def step(token: Token) -> Ticket:
            # Letters and digits by chance, as many as the site's page draws (6.2).
            chance = self._ids().replace("-", "")[-11:].lower()
            request = upload.apply(
                self._protocol, token, kind, size, chance, self._clock.now(), self._upstream_url
            )
            answer = await self._ask(request)
            return upload_replies.ticket(answer.body, answer.status, kind, self._protocol, self._upstream_url)

        return await self._signed(identity, kind, step)

    async def _commit(self, identity: Identity, kind: Media, ticket: Ticket) -> Uploaded:
        async def step(token: Token) -> Uploaded:
            request = upload.commit(
                self._protocol, token, kind, ticket.session_key, self._clock.now(), self._upstream_url
            )
            answer = await self._ask(request)
            return upload_replies.committed(answer.body, answer.status, ticket, kind, self._protocol)

        return await self._signed(identity, kind, step)

    async def _signed(self, identity: Identity, kind: Media, step: Callable[[Token], Awaitable[T]]) -> T:
        """Tries a signed step with fresh signatures, through a spell of refused ones too (6.3)."""
        spell, since_change = False, _TOKEN_CHANGE - 1
        began, tried = self._clock.monotonic(), 0
        while True:
            tried += 1
            token = await self._insist(retry.UPLOAD_TOKEN, lambda _: self._tokens.get(identity, kind))
            try:
                return await step(token)
            except UpstreamFailure as failed:
                refused = self._refuses_token(failed.failure)
                if refused:
                    since_change = (since_change + 1) % _TOKEN_CHANGE
                    if since_change == 0:
                        self._tokens.drop(token)
                spell = spell or refused
                policy = retry.UPLOAD_SPELL if spell else retry.UPLOAD_CALL
                await self._rest(policy, failed, tried, began)

    async def _insist(self, policy: Retry, step: Callable[[int], Awaitable[T]]) -> T:
        """Tries a step, which is told the number of the try from 0, until the policy gives up."""
        began, tried = self._clock.monotonic(), 0
        while True:
            try:
                return await step(tried)
            except UpstreamFailure as failed:
                tried += 1
                await self._rest(policy, failed, tried, began)

    async def _rest(self, policy: Retry, failed: UpstreamFailure, tried: int, began: float) -> None:
        """Waits for the next try; raises the failure when there is none."""
        pause = policy.pause(tried, self._clock.monotonic() - began)
        if pause is None or not retry.passing(failed.failure):
            raise failed
        await self._clock.sleep(pause)

    def _refuses_token(self, failure: Failure) -> bool:
        meaning = self._protocol.upload_codes.get(failure.code)
        return meaning is not None and meaning.fresh_token

    async def _ask(self, request: WireRequest) -> Answer:
        if request.method == "GET":
            return await self._transport.fetch(request.url, request.headers)
        return await self._transport.post(request.url, request.headers, request.body, once=False)

    async def _send_whole(self, ticket: Ticket, file: FileIO, piece: Piece) -> None:
        await self._send(ticket, file, piece, "")

    async def _send_parts(self, ticket: Ticket, file: FileIO, measured: Measured) -> None:
        upload_id: str | None = ticket.upload_id
        if not upload_id:
            upload_id = await self._insist(
                retry.UPLOAD_BYTES, lambda tried: self._begin_parts(_host(ticket, tried), ticket)
            )
        if upload_id is None:
            await self._send_whole(ticket, file, measured.whole)
            return
        for number, piece in enumerate(measured.parts, start=1):
            await self._send(ticket, file, piece, upload.part_query(upload_id, number))
        body = upload.finish_body([piece.crc32 for piece in measured.parts])
        await self._insist(
            retry.UPLOAD_BYTES,
            lambda tried: self._finish_parts(_host(ticket, tried), ticket, upload_id, body),
        )

    async def _begin_parts(self, host: str, ticket: Ticket) -> str | None:
        url = upload.bytes_address(host, ticket, upload.BEGIN_PARTS, self._upstream_url)
        headers = upload.bytes_headers(self._protocol, ticket, 0, None)
        answer = await self._transport.post(url, headers, b"", once=False)
        return upload_replies.parts_begun(answer.body, answer.status)

    async def _finish_parts(self, host: str, ticket: Ticket, upload_id: str, body: bytes) -> None:
        url = upload.bytes_address(host, ticket, upload.finish_query(upload_id), self._upstream_url)
        headers = upload.bytes_headers(self._protocol, ticket, len(body), None)
        answer = await self._transport.post(url, headers, body, once=False)
        upload_replies.received(answer.body, answer.status)

    async def _send(self, ticket: Ticket, file: FileIO, piece: Piece, query: str) -> None:
        headers = upload.bytes_headers(self._protocol, ticket, piece.length, piece.crc32)

        async def step(tried: int) -> None:
            url = upload.bytes_address(_host(ticket, tried), ticket, query, self._upstream_url)
            answer = await self._transport.stream(url, headers, _pieces(file, piece))
            upload_replies.received(answer.body, answer.status, piece.crc32)

        await self._insist(retry.UPLOAD_BYTES, step)


def _login(identity: Identity) -> str:
    """The same for all calls of a login; another credential of the same session has another one."""
    login = cookie_value(identity.cookie, "sessionid") or identity.cookie
    return hashlib.sha256(f"{identity.session_id}\0{login}".encode()).hexdigest()


def _host(ticket: Ticket, tried: int) -> str:
    """Another of the ticket's hosts with every try."""
    return ticket.hosts[tried % len(ticket.hosts)]


async def _pieces(file: FileIO, piece: Piece) -> AsyncIterator[bytes]:
    """The bytes, read in a thread just before they are sent.

    Reads at given places, so that a thread that outlives its upload cannot move somebody else's.
    """
    place, end = piece.start, piece.start + piece.length
    while place < end:
        data = await asyncio.to_thread(os.pread, file.fileno(), min(PIECE, end - place), place)
        if not data:
            raise _gone("file_changed", "the file of a reference became shorter while it was sent")
        place += len(data)
        yield data


async def _opened(reference: Reference, path: Path) -> FileIO:
    try:
        return await asyncio.to_thread(path.open, "rb", buffering=0)
    except FileNotFoundError:
        raise _gone("reference_gone", f"the file of reference {reference.name!r} is no longer here") from None
    except OSError as error:
        raise _unreadable(error) from error


async def _measured(reference: Reference, file: FileIO) -> Measured:
    try:
        measured = await asyncio.to_thread(measure, file)
    except OSError as error:
        raise _unreadable(error) from error
    if measured.whole.length != reference.size:
        raise _gone("file_changed", f"the file of reference {reference.name!r} has another size")
    return measured


def _unreadable(error: OSError) -> UpstreamFailure:
    message = f"the file of a reference cannot be read: {error.strerror}"
    return UpstreamFailure(Failure(ErrorKind.UNKNOWN, "disk", message))


def _gone(code: str, message: str) -> UpstreamFailure:
    return UpstreamFailure(Failure(ErrorKind.INVALID_REQUEST, code, message))


def _completed(made: Uploaded, reference: Reference) -> Uploaded:
    """With our own measures where the site gave none (6.3)."""
    return replace(
        made,
        width=made.width or reference.width,
        height=made.height or reference.height,
        duration_ms=made.duration_ms or reference.duration_ms,
        fps=made.fps or reference.fps,
    )
