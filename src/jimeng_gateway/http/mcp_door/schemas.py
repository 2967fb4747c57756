"""JSON Schemas of tools, in the plain form that clients and models read best.

MCP wants an object at the root, many clients follow no `$ref`, and null beside every optional argument is
only noise: leaving an argument out says the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import msgspec

_PREFIX = "#/$defs/"


def input_schema(struct: type[msgspec.Struct], models: Sequence[str] = ()) -> dict[str, Any]:
    """What a tool takes; `models` are the names that its argument `model` may have."""
    schema = _plain(_schema(struct))
    schema["additionalProperties"] = False
    if models and "model" in schema["properties"]:
        schema["properties"]["model"]["enum"] = list(models)
    return schema


def output_schema(struct: type[msgspec.Struct]) -> dict[str, Any]:
    """What a tool gives."""
    return _schema(struct)


@cache
def _schema(struct: type[msgspec.Struct]) -> dict[str, Any]:
    found = msgspec.json.schema(struct, ref_template=_PREFIX + "{name}")
    schema: dict[str, Any] = _inlined(found, found.get("$defs", {}))
    return {name: value for name, value in schema.items() if name != "title"}


def _inlined(value: Any, components: dict[str, Any]) -> Any:
    """The schema with everything that it refers to in its place; none of ours refers to itself."""
    if isinstance(value, list):
        return [_inlined(entry, components) for entry in value]
    if not isinstance(value, dict):
        return value
    if "$ref" in value:
        return _inlined(components[value["$ref"].removeprefix(_PREFIX)], components)
    return {name: _inlined(entry, components) for name, entry in value.items() if name != "$defs"}


def _plain(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of an object whose optional properties are simply left out."""
    properties = {name: _without_null(entry) for name, entry in schema.get("properties", {}).items()}
    return {**schema, "properties": properties}


def _without_null(entry: dict[str, Any]) -> dict[str, Any]:
    options = [option for option in entry.get("anyOf", ()) if option != {"type": "null"}]
    if len(options) != 1:
        return entry
    rest = {name: value for name, value in entry.items() if name not in ("anyOf", "default")}
    return {**options[0], **rest}
