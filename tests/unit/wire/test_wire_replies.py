"""Replies of the shapes of jimeng-web.md, written by hand, each beside what we read from it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from golden.check import load, matches

from jimeng_gateway.domain.errors import UpstreamFailure
from jimeng_gateway.upstream.wire import parse
from jimeng_gateway.upstream.wire.protocol import builtin

ACCEPT = ("image-accepted", "video-accepted")
REFUSE = ("credits-short", "login-error", "punished", "shark", "parallel-max", "risk-control", "permission")
POLL = (
    "image-finished",
    "image-partial",
    "image-growing",
    "image-unfinished-fifty",
    "video-finished",
    "video-queued",
    "text-rejected",
    "result-rejected",
    "cancelled",
    "deleted",
    "empty-success",
    "bare-map",
)


@pytest.mark.parametrize("name", ACCEPT)
def test_accepted_submits(name: str) -> None:
    accepted = parse.accepted(load(f"replies/{name}"), builtin())
    matches(f"replies/{name}.read", msgspec.to_builtins(accepted))


@pytest.mark.parametrize("name", REFUSE)
def test_refused_submits(name: str) -> None:
    with pytest.raises(UpstreamFailure) as caught:
        parse.accepted(load(f"replies/{name}"), builtin())
    matches(f"replies/{name}.read", msgspec.to_builtins(caught.value.failure))


@pytest.mark.parametrize("name", POLL)
def test_polled_records(name: str) -> None:
    reply: dict[str, Any] = load(f"replies/{name}")
    asked = list(reply.get("data", reply))
    found = parse.records(reply, asked, builtin())
    matches(f"replies/{name}.read", {key: msgspec.to_builtins(record) for key, record in found.items()})
