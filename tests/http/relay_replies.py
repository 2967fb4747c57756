"""Brings about every reply of chat, of the relays' pair, of the older gateways' routes and of deliveries."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from http_client import Client
from http_fake import NOW, FakeGateway, a_failure, a_result, a_task
from support.media import a_png

from jimeng_gateway.domain.errors import Conflict, ErrorKind
from jimeng_gateway.domain.task import Stage

#: More than any body may have; the head alone says so.
_HUGE = {"content-length": str((64 << 20) + 1)}
_FILE = {"references": [{"file_id": "file_nobody"}]}
_PROMPT: dict[str, Any] = {"prompt": "x", "model": "jimeng-4.5"}


async def every_relay(client: Client, gateway: FakeGateway, tmp_path: Path) -> None:
    """See the module."""
    said = {"model": "jimeng-4.5", "messages": [{"role": "user", "content": "x"}]}
    await _spending(client, gateway, "/v1/chat/completions", said)
    await _spending(client, gateway, "/v1/video/generations", _PROMPT)
    await _spending(client, gateway, "/v1/videos/generations/async", _PROMPT)
    blend = {**_PROMPT, "images": ["data:image/png;base64," + base64.b64encode(a_png()).decode()]}
    await _spending(client, gateway, "/v1/images/compositions", blend)
    for path, sent in (("/v1/chat/completions", said), ("/v1/images/compositions", blend)):
        await _outcomes(client, gateway, tmp_path, path, sent)
    await client.post("/v1/chat/completions", {**said, "stream": True})
    for path in ("video/generations", "videos/generations", "videos/generations/async", "images/generations"):
        for name in ("done", "none"):
            await client.get(f"/v1/{path}/{name}")
    await client.get("/api/v1/deliveries")
    await client.get("/api/v1/deliveries?limit=0")


async def _spending(client: Client, gateway: FakeGateway, path: str, sent: dict[str, Any]) -> None:
    await client.call("POST", path, headers={"content-type": "text/plain"}, body=b"x")
    await client.call("POST", path, headers=_HUGE)
    await client.post(path, {})
    await client.post(path, sent, headers={"idempotency-key": "taken"})
    await client.post(path, sent, headers={"idempotency-key": "deleted"})
    await client.post(path, {**sent, **_FILE})
    gateway.fail_submit = Conflict("its files are gone")
    await client.post(path, sent)
    gateway.fail_submit = gateway.outcome = None
    await client.post(path, sent, headers={"prefer": "respond-async"})


async def _outcomes(
    client: Client, gateway: FakeGateway, tmp_path: Path, path: str, sent: dict[str, Any]
) -> None:
    for kind in (ErrorKind.QUOTA, ErrorKind.TIMEOUT, ErrorKind.RISK):
        gateway.outcome = a_task("made", stage=Stage.FAILED, failure=a_failure(kind), finished_at=NOW)
        await client.post(path, sent)
    results = (a_result(0, tmp_path / "p.png"),)
    gateway.outcome = a_task("made", stage=Stage.SUCCEEDED, results=results, finished_at=NOW)
    await client.post(path, sent)
