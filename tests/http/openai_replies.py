"""Brings about every reply of the OpenAI door but chat, for test_http_openapi.py."""

from __future__ import annotations

from pathlib import Path

from http_client import Client, form
from http_fake import NOW, FakeGateway, a_failure, a_result, a_task, a_video
from support.media import a_png, an_mp4

from jimeng_gateway.domain.errors import Conflict, ErrorKind, Gone
from jimeng_gateway.domain.task import Stage

#: More than any body may have; the head alone says so.
_HUGE = {"content-length": str((64 << 20) + 1)}
_PICTURE = ("image", "a.png", a_png())
_PROMPT = ("prompt", "", b"x")


async def every_openai(client: Client, gateway: FakeGateway, tmp_path: Path) -> None:
    """See the module."""
    for path in ("/v1/images/generations", "/v1/images/edits", "/v1/images/variations"):
        await _pictures(client, gateway, tmp_path, path)
    for path in ("/v1/videos", "/v1/videos/edits", "/v1/videos/v/remix"):
        await _refusals(client, path)
    await _videos(client, gateway, tmp_path)
    for method, path in (("POST", "extensions"), ("POST", "characters"), ("GET", "characters/c")):
        await client.call(method, f"/v1/videos/{path}")
    await client.get("/v1/videos/characters/no id")


async def _refusals(client: Client, path: str) -> None:
    await client.call("POST", path, headers={"content-type": "text/plain"}, body=b"x")
    await client.call("POST", path, headers=_HUGE)
    await client.post(path, {})
    await client.post(path, {"prompt": "x"}, headers={"idempotency-key": "taken"})
    await client.post(path, {"prompt": "x"}, headers={"idempotency-key": "deleted"})
    await client.post(path, {"prompt": "x", "references": [{"file_id": "file_nobody"}]})


async def _pictures(client: Client, gateway: FakeGateway, tmp_path: Path, path: str) -> None:
    await _refusals(client, path)
    parts = [_PICTURE] if path.endswith("variations") else [_PROMPT, _PICTURE]
    await client.post(path, {"references": [{"file_id": "file_nobody"}]})
    await client.post(path, {}, headers={"idempotency-key": "taken"})
    await client.post(path, {}, headers={"idempotency-key": "deleted"})
    for gateway.fail_submit in (Conflict("its files are gone"), Gone("removed")):
        await client.call("POST", path, **form(*parts))
    gateway.fail_submit = gateway.outcome = None
    asked = form(*parts)
    asked["headers"]["prefer"] = "respond-async"
    await client.call("POST", path, **asked)
    for kind in (ErrorKind.QUOTA, ErrorKind.TIMEOUT, ErrorKind.RISK):
        gateway.outcome = a_task("made", stage=Stage.FAILED, failure=a_failure(kind), finished_at=NOW)
        await client.call("POST", path, **form(*parts))
    results = (a_result(0, tmp_path / "p.png"),)
    gateway.outcome = a_task("made", stage=Stage.SUCCEEDED, results=results, finished_at=NOW)
    gateway.ended.set()
    await client.call("POST", path, **form(*parts))
    if len(parts) > 1:
        await client.call("POST", path, **form(*parts, ("stream", "", b"true")))
    gateway.ended.clear()


async def _videos(client: Client, gateway: FakeGateway, tmp_path: Path) -> None:
    gateway.outcome = None
    (tmp_path / "v.mp4").write_bytes(an_mp4())
    clip = a_result(0, tmp_path / "v.mp4", "video/mp4")
    finished = a_video("v", stage=Stage.SUCCEEDED, results=(clip,), finished_at=NOW)
    gateway.all_tasks["v"] = finished
    for gateway.fail_submit in (Conflict("its files are gone"), Gone("removed"), None):
        if not isinstance(gateway.fail_submit, Gone):
            await client.post("/v1/videos", {"prompt": "x"})
        await client.post("/v1/videos/edits", {"prompt": "x", "video[id]": "v"})
        await client.post("/v1/videos/v/remix", {"prompt": "x"})
    await client.post("/v1/videos/none/remix", {"prompt": "x"})
    for target in ("", "?limit=0", "/v", "/none"):
        await client.get(f"/v1/videos{target}")
    content = "/v1/videos/v/content"
    for how in ({}, {"range": "bytes=0-1"}, {"range": "bytes=9999-"}, {"if-none-match": "*"}):
        await client.get(content, headers=how)
    await client.get(f"{content}?variant=spritesheet")
    await client.get("/v1/videos/none/content")
    (tmp_path / "v.mp4").unlink()
    await client.get(content)
    for name in ("v", "none"):
        await client.call("DELETE", f"/v1/videos/{name}")
