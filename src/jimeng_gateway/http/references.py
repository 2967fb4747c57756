"""Reads requests that may carry references: JSON or forms, with files on the way straight into the spool.

When this is done, every reference is a whole file that was measured; or the request was refused. Nothing is
left out and nothing changes its place, because the prompt speaks of references by their numbers.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from starlette.requests import Request

from jimeng_gateway.domain.errors import InvalidRequest
from jimeng_gateway.domain.reference import Reference, Role
from jimeng_gateway.gateway import Caller
from jimeng_gateway.http.body import declared_length, parse_json, read_body, shown, stream_body, text
from jimeng_gateway.http.endpoint import Service, Unpacking
from jimeng_gateway.http.errors import PayloadTooLarge, RequestTimeout
from jimeng_gateway.http.givens import (
    FIELDS,
    LARGEST_POINTER,
    Given,
    PartField,
    check_number,
    from_json,
    from_text,
    part_field,
    pointer_in,
)
from jimeng_gateway.http.multipart import Part, read_form
from jimeng_gateway.http.room import Place
from jimeng_gateway.intake import tidy_name
from jimeng_gateway.store.spool import Incoming

T = TypeVar("T")

#: URLs of one request that are fetched at once.
_AT_ONCE = 4
#: Bodies from here on are decoded in a thread, so that nobody else waits.
_LARGE = 1 << 20


@dataclass(frozen=True, slots=True)
class Sent:
    """What a request holds: its other fields, and its references in order, not yet brought in."""

    values: dict[str, Any]
    givens: tuple[Given | Reference, ...]


@dataclass(frozen=True, slots=True)
class Source:
    """A request about to be read for one route."""

    request: Request
    service: Service
    unpack: Unpacking | None = None
    refused: Mapping[str, str] = field(default_factory=dict)


@contextlib.asynccontextmanager
async def reading(source: Source, *, form: bool) -> AsyncIterator[Sent]:
    """What was sent. Large bodies and open files are held until the end of the context."""
    async with AsyncExitStack() as stack:
        yield await (_read_multipart if form else _read_json)(source, stack)


def _unpacked(values: dict[str, Any], source: Source) -> tuple[dict[str, Any], Sequence[Given]]:
    """What the door leaves for others to read, and what it has read: it comes first, for it knows its own."""
    refuse_known(values, source.refused)
    return (values, ()) if source.unpack is None else source.unpack(values)


def refuse_known(names: Iterable[str], refused: Mapping[str, str]) -> None:
    """InvalidRequest for a field that the route knows and cannot honour."""
    for name in names:
        if name in refused:
            raise InvalidRequest(f"{shown(name)}: {refused[name]}", param=shown(name), code="not_supported")


async def _read_json(source: Source, stack: AsyncExitStack) -> Sent:
    limits = source.service.limits
    raw = await read_body(
        source.request,
        limit=limits.reference_json_bytes,
        seconds=limits.body_seconds,
        reaches=_place(source.request, source.service, stack).reaches,
    )
    if len(raw) > limits.json_bytes:
        values = await asyncio.to_thread(parse_json, raw)
    else:
        values = parse_json(raw)
    del raw
    values, nested = _unpacked(values, source)
    givens = from_json({name: value for name, value in values.items() if name in FIELDS})
    return Sent({name: value for name, value in values.items() if name not in FIELDS}, (*givens, *nested))


def _place(request: Request, service: Service, stack: AsyncExitStack) -> Place:
    limits = service.limits
    size = min(declared_length(request) or limits.reference_json_bytes, limits.reference_json_bytes)
    return Place(service.room, stack, small=limits.json_bytes, size=size)


async def _read_multipart(source: Source, stack: AsyncExitStack) -> Sent:
    """A form with its files spooled."""
    request, service = source.request, source.service
    chunks = stream_body(
        request,
        limit=service.intake.largest * service.limits.files_per_request,
        idle=service.limits.body_seconds,
    )
    form = _Form(service, stack, _place(request, service, stack), source.refused)
    await read_form(chunks, request.headers["content-type"], form)
    values, nested = _unpacked({name: value for name, value in form.fields.items() if value}, source)
    return Sent(values, (*form.given, *nested))


async def within(seconds: float, reading: Coroutine[Any, Any, T]) -> T:
    """What was sent; RequestTimeout if it was not all here in time."""
    try:
        async with asyncio.timeout(seconds):
            return await reading
    except TimeoutError:
        raise RequestTimeout(f"the references did not arrive within {seconds:g} seconds") from None


@dataclass(slots=True)
class _Form:
    """Receives the parts of a form."""

    service: Service
    stack: AsyncExitStack
    place: Place
    refused: Mapping[str, str]
    fields: dict[str, str] = field(default_factory=dict)
    given: list[Given | Reference] = field(default_factory=list)
    _part: Part = field(default_factory=lambda: Part("", None))
    _meaning: PartField | None = None
    _file: Incoming | None = None
    _name: str = ""
    _text: bytearray = field(default_factory=bytearray)
    _texts: int = 0
    _one: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def begin(self, part: Part) -> None:
        """See Receiver."""
        self._part, self._meaning = part, part_field(part.name)
        self._text = bytearray()
        if part.filename is None:
            return
        refuse_known([part.name], self.refused)
        if self._meaning is None:
            raise InvalidRequest(
                f"`{shown(part.name)}` is a file under a name that is not known; "
                f"files may be called {', '.join(FIELDS)}",
                param=shown(part.name),
                code="unknown_field",
            )
        self._name = tidy_name(part.filename) or shown(part.name)
        # Each file has a stack of its own, so that a form with many holds no more than one open.
        self._one = AsyncExitStack()
        self.stack.push_async_exit(self._one)
        self._file = await self._one.enter_async_context(self.service.intake.receive(self._name))

    async def data(self, chunk: bytes) -> None:
        """See Receiver."""
        if self._file is not None:
            await self._file.write(chunk)
            return
        self._text += chunk
        self._texts += len(chunk)
        limits = self.service.limits
        limit = limits.form_bytes if self._meaning is None else limits.reference_json_bytes
        if self._texts > limit:
            raise PayloadTooLarge(f"the text parts of the form are larger than {limit} bytes")
        await self.place.reaches(self._texts)

    async def end(self) -> None:
        """See Receiver."""
        if self._file is not None:
            file, self._file = self._file, None
            await self._end_file(file)
            return
        name = self._part.name
        try:
            content = text(self._text.decode("utf-8"), name)
        except UnicodeDecodeError:
            raise InvalidRequest(f"`{shown(name)}` is not UTF-8", param=shown(name)) from None
        if self._meaning is not None:
            self.given += from_text(content, self._meaning, name)
        elif name in self.fields:
            raise InvalidRequest(f"`{shown(name)}` is given twice", param=shown(name), code="duplicate_field")
        else:
            self.fields[name] = content

    async def _end_file(self, incoming: Incoming) -> None:
        assert self._meaning is not None
        async with self._one:
            file = await incoming.complete()
            if not file.size and not self._part.filename:
                # A browser's form in which no file was chosen.
                return
            pointer = None
            if file.size <= LARGEST_POINTER:
                pointer = pointer_in(await asyncio.to_thread(file.read, 0, LARGEST_POINTER))
            if pointer is None:
                reference = await self.service.intake.admit(file, self._name)
                self.given.append(replace(reference, role=self._meaning.role))
            else:
                self.given += from_text(pointer, self._meaning, self._name)


async def brought_in(
    givens: Sequence[Given | Reference], service: Service, caller: Caller
) -> tuple[Reference, ...]:
    """All of them as references, in the same order; the first that fails ends the others."""
    check_number(len(givens))
    room = asyncio.Semaphore(_AT_ONCE)

    async def one(given: Given) -> Reference:
        async with room:
            return await _bring_in(given, service, caller)

    tasks = [given if isinstance(given, Reference) else asyncio.ensure_future(one(given)) for given in givens]
    pending = [task for task in tasks if isinstance(task, asyncio.Future)]
    try:
        return tuple([task if isinstance(task, Reference) else await task for task in tasks])
    finally:
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)


async def _bring_in(given: Given, service: Service, caller: Caller) -> Reference:
    name = tidy_name(given.name)
    if given.url:
        found = await service.intake.fetch(given.url, name)
    elif given.file_id:
        reference = (await service.gateway.file(caller, given.file_id)).reference
        found = replace(reference, name=name or reference.name)
    else:
        found = await service.intake.decode(given.data, name)
    if given.kind not in (None, found.kind):
        raise InvalidRequest(
            f"{found.name}: it is {found.media_type}, not {given.kind}",
            param="references",
            code="reference_refused",
        )
    return replace(found, role=given.role)


async def single_file(request: Request, service: Service, name: str) -> Reference:
    """A raw body as one reference."""
    chunks: AsyncIterator[bytes] = stream_body(
        request, limit=service.intake.largest + 1, idle=service.limits.body_seconds
    )
    async with service.intake.receive(name) as incoming:
        async for chunk in chunks:
            await incoming.write(chunk)
        reference = await service.intake.admit(await incoming.complete(), name)
    return replace(reference, role=Role.REFERENCE)
