"""Brings about every reply of the Ark door, for test_http_openapi.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from http_client import Client
from http_fake import NOW, FakeGateway, a_failure, a_result, a_task, a_video

from jimeng_gateway.domain.errors import Conflict, ErrorKind
from jimeng_gateway.domain.task import Stage

TASKS = "/api/v3/contents/generations/tasks"
IMAGES = "/api/v3/images/generations"
#: More than any body may have; the head alone says so.
_HUGE = {"content-length": str((64 << 20) + 1)}
_VIDEO: dict[str, Any] = {"model": "jimeng-video-3.0", "content": [{"type": "text", "text": "x"}]}
_IMAGE: dict[str, Any] = {"model": "jimeng-4.5", "prompt": "x"}


async def every_ark(client: Client, gateway: FakeGateway, tmp_path: Path) -> None:
    """See the module."""
    gateway.outcome = gateway.fail_submit = None
    await _orders(client, gateway, TASKS, _VIDEO)
    await _orders(client, gateway, IMAGES, _IMAGE)
    await client.get(TASKS)
    await client.get(f"{TASKS}?page_num=0")
    await _tasks(client, gateway)
    await _pictures(client, gateway, tmp_path)


async def _orders(client: Client, gateway: FakeGateway, path: str, body: dict[str, Any]) -> None:
    """What any request that makes a task can be told."""
    await client.call("POST", path, headers={"content-type": "text/plain"}, body=b"x")
    await client.call("POST", path, headers=_HUGE)
    await client.post(path, {})
    await client.post(path, body, headers={"idempotency-key": "taken"})
    await client.post(path, body, headers={"idempotency-key": "deleted"})
    await client.post(path, {**body, "references": [{"file_id": "file_nobody"}]})
    await client.post(f"{path}?dry_run=true", body)
    gateway.fail_submit = Conflict("its files are gone")
    await client.post(path, body)
    gateway.fail_submit = None
    await client.post(path, body, headers={"prefer": "respond-async"})


async def _tasks(client: Client, gateway: FakeGateway) -> None:
    gateway.all_tasks["ark"] = a_video("ark")
    await client.get(f"{TASKS}/ark")
    for _ in range(2):
        await client.call("DELETE", f"{TASKS}/ark")
    for method in ("GET", "DELETE"):
        await client.call(method, f"{TASKS}/none")


async def _pictures(client: Client, gateway: FakeGateway, tmp_path: Path) -> None:
    for kind in (ErrorKind.QUOTA, ErrorKind.TIMEOUT, ErrorKind.RISK):
        gateway.outcome = a_task("made", stage=Stage.FAILED, failure=a_failure(kind), finished_at=NOW)
        await client.post(IMAGES, _IMAGE)
    results = (a_result(0, tmp_path / "p.png"),)
    gateway.outcome = a_task("made", stage=Stage.SUCCEEDED, results=results, finished_at=NOW)
    for more in ({}, {"stream": True}):
        await client.post(IMAGES, {**_IMAGE, **more})
    gateway.outcome = None
