"""Files that callers upload once and use in many tasks."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta
from starlette.responses import Response

from jimeng_gateway.domain.errors import InvalidRequest
from jimeng_gateway.domain.reference import Media, Reference
from jimeng_gateway.http.body import shown
from jimeng_gateway.http.endpoint import Call
from jimeng_gateway.http.errors import UnsupportedMedia
from jimeng_gateway.http.references import Sent, Source, brought_in, reading, single_file, within
from jimeng_gateway.http.replies import json_reply
from jimeng_gateway.http.views import instant
from jimeng_gateway.intake import tidy_name
from jimeng_gateway.store.blobs import CallerFile

#: Other fields that clients of file APIs send along; they mean nothing here.
_PASSED_OVER = frozenset({"purpose"})


class FileBody(msgspec.Struct, kw_only=True):
    """A stored file. What it is was read from its bytes."""

    id: str
    object: Literal["file"] = "file"
    kind: Media
    media_type: str
    name: str
    #: Bytes.
    size: int
    width: int | None
    height: int | None
    duration_ms: int | None
    sha256: str
    created_at: str
    expires_at: str


class FileList(msgspec.Struct, kw_only=True):
    """A page of files, newest first."""

    object: Literal["list"] = "list"
    data: list[FileBody]
    has_more: bool
    #: Give it as `cursor` for the next page; null at the end.
    next_cursor: str | None


class FileDeleted(msgspec.Struct, kw_only=True):
    """The file is forgotten."""

    id: str
    object: Literal["file"] = "file"
    deleted: Literal[True] = True


class FileFilter(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Which page to show."""

    limit: Annotated[int, Meta(ge=1, le=100)] = 20
    cursor: Annotated[str, Meta(max_length=512)] | None = None


async def create_file(call: Call) -> Response:
    """POST /api/v1/files: a form with one file, or the bytes themselves."""
    reference = await _received(call)
    body = file_json(await call.gateway.add_file(call.caller, reference))
    return json_reply(body, 201, {"location": f"/api/v1/files/{body.id}"})


async def _received(call: Call) -> Reference:
    headers = call.request.headers
    if headers.get("content-encoding", "identity") != "identity":
        raise UnsupportedMedia("compressed request bodies are not read; send the body as it is")
    seconds = call.service.limits.intake_seconds
    if not headers.get("content-type", "").lower().startswith("multipart/form-data"):
        name = tidy_name(headers.get("x-filename", "")) or "file"
        return await within(seconds, single_file(call.request, call.service, name))
    return await within(seconds, _from_form(call))


async def _from_form(call: Call) -> Reference:
    async with reading(Source(call.request, call.service), form=True) as sent:
        return await _only_file(call, sent)


async def _only_file(call: Call, sent: Sent) -> Reference:
    unknown = next((name for name in sent.values if name not in _PASSED_OVER), None)
    if unknown is not None:
        raise InvalidRequest(
            f"unknown field `{shown(unknown)}`; allowed: file", param=shown(unknown), code="unknown_field"
        )
    if len(sent.givens) != 1:
        raise InvalidRequest(f"the form holds {len(sent.givens)} files; send exactly one", param="file")
    return (await brought_in(sent.givens, call.service, call.caller))[0]


async def list_files(call: Call, query: FileFilter) -> Response:
    """GET /api/v1/files."""
    page = await call.gateway.files(call.caller, limit=query.limit, cursor=query.cursor)
    return json_reply(
        FileList(
            data=[file_json(file) for file in page.items],
            has_more=page.next_cursor is not None,
            next_cursor=page.next_cursor,
        )
    )


async def get_file(call: Call) -> Response:
    """GET /api/v1/files/{file_id}."""
    return json_reply(file_json(await call.gateway.file(call.caller, call.id("file_id"))))


async def remove_file(call: Call) -> Response:
    """DELETE /api/v1/files/{file_id}."""
    file_id = call.id("file_id")
    await call.gateway.remove_file(call.caller, file_id)
    return json_reply(FileDeleted(id=file_id))


def file_json(file: CallerFile) -> FileBody:
    """A file as its owner sees it."""
    reference = file.reference
    return FileBody(
        id=file.id,
        kind=reference.kind,
        media_type=reference.media_type,
        name=reference.name,
        size=reference.size,
        width=reference.width or None,
        height=reference.height or None,
        duration_ms=reference.duration_ms or None,
        sha256=reference.sha256,
        created_at=instant(file.created_at),
        expires_at=instant(file.expires_at),
    )
