"""The bodies that callbacks carry: for each door, the task as a get at that door would tell it."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from jimeng_gateway.domain.task import Task
from jimeng_gateway.gateway import Gateway
from jimeng_gateway.http.ark import render as ark
from jimeng_gateway.http.links import Links

#: A task as JSON, with links that begin with an address, at a time in milliseconds.
Renderer = Callable[[Task, str, int], bytes]


def renderers(gateway: Gateway) -> dict[str, Renderer]:
    """By the name of the door."""

    def tell_ark(task: Task, base: str, _now: int) -> bytes:
        links = Links(base, gateway.link_signature, gateway.link_expires())
        return msgspec.json.encode(ark.task_json(task, links))

    return {ark.DOOR: tell_ark}
