"""The OpenAPI 3.1 document, made from the route table and the very types that requests and replies use."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import cache
from http import HTTPStatus
from typing import Any

import msgspec

from jimeng_gateway import __version__
from jimeng_gateway.http.endpoint import Auth, Endpoint, Reply
from jimeng_gateway.http.errors import ErrorBody
from jimeng_gateway.http.givens import ReferenceFields
from jimeng_gateway.http.spending import DryRunBody

_REF = "#/components/schemas/{name}"
_ERROR_REF = "#/components/responses/Error{}"
_PATH_PARAM = re.compile(r"\{(\w+)(?::\w+)?\}")
_JSON = "application/json"
_FORM = "multipart/form-data"
#: Types under which a file may be sent as it is; its own bytes say what it is.
_RAW = ("application/octet-stream", "image/*", "video/*", "audio/*")
_FILE = {"type": "string", "contentMediaType": "application/octet-stream"}
_FORM_ENTRY = {**_FILE, "description": "A file; or a text part with what the JSON field takes."}

_HEADERS = {
    "Location": "Where to find what was made.",
    "openai-poll-after-ms": "Milliseconds after which asking again makes sense.",
    "Preference-Applied": "What was granted of the Prefer header.",
    "ETag": "Changes never, as the file does not.",
    "Accept-Ranges": "`bytes`",
    "Content-Range": "Which part of how much this is.",
    "Content-Disposition": "A name for the file.",
    "Content-Language": "Of the message: `en`, or `zh-CN` if the request prefers it.",
    "Vary": "`Accept-Language`",
    "Retry-After": "Seconds after which trying again makes sense.",
    "WWW-Authenticate": "`Bearer`",
    "x-request-id": "Names this request in the log of the gateway.",
    "x-should-retry": "`false` when repeating the request cannot help, or would pay twice.",
}


#: Of every route that makes a task (spending.py).
_SPENDING: list[dict[str, Any]] = [
    {
        "name": "dry_run",
        "in": "query",
        "required": False,
        "description": "Only say what would be sent and what it is likely to cost.",
        "schema": {"type": "boolean", "default": False},
    },
    {
        "name": "Idempotency-Key",
        "in": "header",
        "required": False,
        "description": "The same request under the same key makes no second task, for 24 hours.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 255},
    },
]
_DRY_RUN = Reply(200, "With `dry_run`: what it would come to.", DryRunBody)


def replies_of(endpoint: Endpoint) -> tuple[Reply, ...]:
    """All ways in which a route answers when all is well."""
    return endpoint.replies if endpoint.order is None else (*endpoint.replies, _DRY_RUN)


@cache
def document(endpoints: tuple[Endpoint, ...]) -> dict[str, Any]:
    """The document of these routes."""
    types = [ErrorBody, ReferenceFields, *_types(endpoints)]
    schemas, components = msgspec.json.schema_components(types, ref_template=_REF)
    _add_references(endpoints, components)
    refs = dict(zip(map(repr, types), schemas, strict=True))
    statuses = {status for endpoint in endpoints for status in errors_of(endpoint)}
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        path = _PATH_PARAM.sub(r"{\1}", endpoint.path)
        paths.setdefault(path, {})[endpoint.method.lower()] = _operation(endpoint, refs, components)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "jimeng-gateway",
            "version": __version__,
            "description": "Pictures and videos from your own Jimeng accounts. All errors have one shape.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "security": [{"key": []}],
        "paths": paths,
        "components": {
            "schemas": components,
            "responses": {f"Error{status}": _error(status, refs) for status in sorted(statuses)},
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer"},
                "link": {"type": "apiKey", "in": "query", "name": "signature"},
            },
        },
    }


def _add_references(endpoints: Iterable[Endpoint], components: dict[str, Any]) -> None:
    """Completes bodies with the fields for references, and adds the forms that carry files in them."""
    own = components.pop(ReferenceFields.__name__)["properties"]
    files = {name: {"type": "array", "items": _FORM_ENTRY} for name in own}
    for endpoint in endpoints:
        if endpoint.references and endpoint.body is not None:
            name = endpoint.body.__name__
            fields = components[name]["properties"]
            components[_form_name(name)] = {**components[name], "properties": {**fields, **files}}
            components[name] = {**components[name], "properties": {**fields, **own}}


def _form_name(name: str) -> str:
    return f"{name}Form"


def _types(endpoints: Iterable[Endpoint]) -> list[Any]:
    found: dict[str, Any] = {}
    for endpoint in endpoints:
        schemas = (reply.schema for reply in replies_of(endpoint))
        for one in (endpoint.body, endpoint.query, *schemas):
            if one is not None:
                found[repr(one)] = one
    return list(found.values())


def _operation(endpoint: Endpoint, refs: dict[str, Any], components: dict[str, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": _operation_id(endpoint),
        "tags": [endpoint.tag],
        "summary": endpoint.summary,
        "responses": _responses(endpoint, refs),
    }
    parameters = _parameters(endpoint, components)
    if parameters:
        operation["parameters"] = parameters
    content = _request_content(endpoint, refs)
    if content:
        operation["requestBody"] = {"required": True, "content": content}
    if endpoint.auth is Auth.PUBLIC:
        operation["security"] = []
    elif endpoint.auth is Auth.LINK:
        operation["security"] = [{"key": []}, {"link": []}]
    return operation


def _request_content(endpoint: Endpoint, refs: dict[str, Any]) -> dict[str, Any]:
    if endpoint.upload:
        form = {"type": "object", "properties": {"file": _FILE}, "required": ["file"]}
        return {_FORM: {"schema": form}, **{kind: {"schema": _FILE} for kind in _RAW}}
    if endpoint.exchange:
        return {_JSON: {"schema": {"type": "object"}}}
    if endpoint.body is None:
        return {}
    content = {_JSON: {"schema": refs[repr(endpoint.body)]}}
    if endpoint.references:
        content[_FORM] = {"schema": {"$ref": _REF.format(name=_form_name(endpoint.body.__name__))}}
    return content


def _operation_id(endpoint: Endpoint) -> str:
    words = re.findall(r"\w+", _PATH_PARAM.sub(r"\1", endpoint.path))
    return "_".join([endpoint.method.lower(), *words])


def _parameters(endpoint: Endpoint, components: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _PATH_PARAM.findall(endpoint.path)
    ]
    if endpoint.query is not None:
        properties = components[endpoint.query.__name__]["properties"]
        found += [
            {"name": name, "in": "query", "required": False, "schema": schema}
            for name, schema in properties.items()
        ]
    return [*found, *_SPENDING] if endpoint.order is not None else found


def _responses(endpoint: Endpoint, refs: dict[str, Any]) -> dict[str, Any]:
    responses: dict[str, Any] = {
        str(status): {"$ref": _ERROR_REF.format(status)} for status in errors_of(endpoint)
    }
    own = {str(reply.status) for reply in replies_of(endpoint)}
    for status in own & responses.keys():
        # Such a reply is either what the route means by it or an error of the gateway.
        responses[status] = _error(int(status), refs)
    for reply in replies_of(endpoint):
        entry = responses.setdefault(str(reply.status), _entry(reply.description, reply.headers))
        if reply.media_type:
            known = entry.setdefault("content", {}).get(reply.media_type)
            schema = _schema(reply, refs)
            either = {"anyOf": [schema, known["schema"]]} if known else schema
            entry["content"][reply.media_type] = {"schema": either}
    return dict(sorted(responses.items()))


def _error(status: int, refs: dict[str, Any]) -> dict[str, Any]:
    entry = _entry(HTTPStatus(status).phrase, _error_headers(status))
    return {**entry, "content": {_JSON: {"schema": refs[repr(ErrorBody)]}}}


def errors_of(endpoint: Endpoint) -> Sequence[int]:
    """The statuses of all errors that a route can answer with."""
    found = {500, *endpoint.errors}
    if endpoint.auth is not Auth.PUBLIC:
        found |= {401, 503}
    if endpoint.auth is Auth.ADMIN:
        found.add(403)
    if "{" in endpoint.path:
        found.add(404)
    if endpoint.query is not None:
        found.add(400)
    if endpoint.order is not None:
        found |= {400, 410, 422}
    if endpoint.body is not None or endpoint.upload or endpoint.exchange:
        found |= {400, 408, 413, 415}
    if endpoint.references:
        # A reference may name a file that is not there, or one that goes away at that very moment.
        found |= {404, 409}
    return sorted(found)


def _schema(reply: Reply, refs: dict[str, Any]) -> dict[str, Any]:
    if reply.schema is not None:
        schema: dict[str, Any] = refs[repr(reply.schema)]
        return schema
    return {"type": "string"} if reply.media_type.startswith("text/") else {}


def _error_headers(status: int) -> tuple[str, ...]:
    names = ["x-should-retry", "Content-Language", "Vary"]
    if status == 401:
        names.append("WWW-Authenticate")
    if status in (429, 503):
        names.append("Retry-After")
    if status == 416:
        names.append("Content-Range")
    return tuple(names)


def _entry(description: str, headers: tuple[str, ...]) -> dict[str, Any]:
    shown = ("x-request-id", *headers)
    return {
        "description": description,
        "headers": {name: {"description": _HEADERS[name], "schema": {"type": "string"}} for name in shown},
    }
