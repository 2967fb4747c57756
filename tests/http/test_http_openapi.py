"""The OpenAPI document is true: replies of every route, good and bad, are what it says.

http_client.py holds every reply of every other test against it too.
"""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import http_client
import jsonschema
from ark_replies import every_ark
from http_client import Client, make
from http_fake import NOW, USER, FakeGateway, a_failure, a_result, a_task, a_video
from openai_replies import every_openai
from relay_replies import every_relay
from support.aio import run
from support.mcp import message
from support.media import a_png

from jimeng_gateway.domain.errors import Conflict, ErrorKind, StoreError
from jimeng_gateway.domain.task import Stage, TaskEvent
from jimeng_gateway.http.openapi import document
from jimeng_gateway.http.routes import ROUTES

DOCUMENT = json.loads(json.dumps(document(ROUTES)))


def walk(tree: Any) -> Any:
    """Every object in it."""
    if isinstance(tree, dict):
        yield tree
        for entry in tree.values():
            yield from walk(entry)
    elif isinstance(tree, list):
        for entry in tree:
            yield from walk(entry)


def test_every_reference_leads_somewhere() -> None:
    for node in walk(DOCUMENT):
        if "$ref" in node:
            target = DOCUMENT
            for step in node["$ref"].removeprefix("#/").split("/"):
                target = target[step]


def test_every_schema_is_one() -> None:
    for schema in DOCUMENT["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)


def test_operations_are_complete() -> None:
    ids = []
    for path, operations in DOCUMENT["paths"].items():
        for operation in operations.values():
            ids.append(operation["operationId"])
            named = {entry["name"] for entry in operation.get("parameters", []) if entry["in"] == "path"}
            assert named == set(re.findall(r"\{(\w+)\}", path))
            assert operation["summary"]
            refused = operation["summary"].startswith("Not offered")
            assert refused or any(status.startswith("2") for status in operation["responses"])
    assert len(ids) == len(set(ids)) == len(ROUTES)


def test_it_is_served(tmp_path: Path) -> None:
    async def main() -> None:
        answer = await make(FakeGateway(tmp_path)).get("/openapi.json")
        assert answer.json == DOCUMENT

    run(main())


def furnished(tmp_path: Path) -> FakeGateway:
    """A gateway with a bit of everything."""
    gateway = FakeGateway(tmp_path)
    (tmp_path / "p.png").write_bytes(b"0123456789")
    results = (a_result(0, tmp_path / "p.png"),)
    gateway.all_tasks = {
        "queued": a_task("queued"),
        "video": a_video("video", stage=Stage.POLLING, queue_position=1, queue_total=2, queue_eta=3),
        "done": a_task("done", stage=Stage.SUCCEEDED, results=results, finished_at=NOW),
        "failed": a_task("failed", stage=Stage.FAILED, failure=a_failure(ErrorKind.RISK), finished_at=NOW),
    }
    gateway.recorded["done"] = [TaskEvent("done", 1, NOW, "queued", {"model": "x", "n": 1})]
    return gateway


async def everything(client: Client, gateway: FakeGateway, tmp_path: Path) -> None:
    """Brings about every reply of the document but 500 and 503, which are one for all routes."""
    task = "/api/v1/tasks"
    wrong = {"headers": {"content-type": "text/plain"}, "body": b"x"}
    for path in (
        task,
        "/v1/images/generations",
        "/v1/videos/generations",
        "/api/v1/sessions",
        "/api/v1/keys",
    ):
        await client.call("POST", path, **wrong)
        await client.post(path, {})
        await client.call("POST", path, body=b"x" * (1 << 20) + b"x")
    await client.call("PATCH", "/api/v1/sessions/sess_1", **wrong)
    await client.call("PATCH", "/api/v1/sessions/sess_1", body=b"x" * (1 << 20) + b"x")
    await client.call("PATCH", "/api/v1/sessions/sess_1", json={"slots": "two"})
    await client.call("PATCH", "/api/v1/sessions/sess_1", json={"slots": 3})
    await client.call("PATCH", "/api/v1/sessions/sess_1", json={"credential": "taken"})
    await client.call("PATCH", "/api/v1/sessions/none", json={"slots": 3})
    key = "/api/v1/keys/key_user"
    await client.call("PATCH", key, **wrong)
    await client.call("PATCH", key, body=b"x" * (1 << 20) + b"x")
    await client.call("PATCH", key, json={"wait": "long"})
    await client.call("PATCH", key, json={"wait": 30, "aliases": {"sora-2": "seedance-2.0"}})
    await client.call("PATCH", "/api/v1/keys/none", json={"wait": 30})
    await client.call("POST", f"{task}/done/retry", headers={"idempotency-key": "taken"})
    await client.call("POST", f"{task}/done/retry", headers={"idempotency-key": "deleted"})
    await client.call("POST", f"{task}/done/retry?dry_run=true")
    await client.call("POST", f"{task}/done/retry", headers={"idempotency-key": "two words"})
    for target in ("", "?limit=0", "/done", "/none", "/failed", "/video"):
        await client.get(task + target)
    for name in ("done", "none"):
        for suffix in ("/events", "/content"):
            await client.get(f"{task}/{name}{suffix}")
        await client.post(f"{task}/{name}/cancel")
        await client.post(f"{task}/{name}/retry")
        await client.call("DELETE", f"{task}/{name}")
    await client.get(f"{task}/done/events?after=x")
    await client.get(f"{task}/done/events", headers={"accept": "text/event-stream"})
    await client.get(f"{task}/done/content?index=x")
    await client.get(f"{task}/done/content", headers={"range": "bytes=0-1"})
    await client.get(f"{task}/done/content", headers={"range": "bytes=99-"})
    await client.get(f"{task}/done/content", headers={"if-none-match": "*"})
    await client.post(f"{task}/queued/retry")
    await client.post(f"{task}/queued/cancel")
    await client.call("DELETE", f"{task}/video")
    await client.post(task, {"prompt": "x"})
    for path in ("/api/v1/stats", "/api/v1/models", "/v1/models", "/v1/models/jimeng-4.5", "/v1/models/none"):
        await client.get(path)
    for path in (
        "/ping",
        "/health/live",
        "/health/ready",
        "/openapi.json",
        "/api/v1/sessions",
        "/api/v1/keys",
    ):
        await client.get(path)
    gateway.ready = False
    await client.get("/health/ready")
    for name in ("sess_1", "none"):
        await client.get(f"/api/v1/sessions/{name}")
        await client.post(f"/api/v1/sessions/{name}/test")
    await client.post("/api/v1/sessions", {"credential": "secret"})
    await client.post("/api/v1/sessions", {"credential": "taken"})
    gateway.logins["sess_1"] = dataclasses.replace(gateway.logins["sess_1"], slots_taken=1)
    await client.call("DELETE", "/api/v1/sessions/sess_1")
    gateway.logins["sess_1"] = dataclasses.replace(gateway.logins["sess_1"], slots_taken=0)
    await client.call("DELETE", "/api/v1/sessions/sess_1")
    await client.call("DELETE", "/api/v1/sessions/none")
    await client.post("/api/v1/keys", {"name": "x"})
    for name in ("key_user", "none"):
        await client.call("DELETE", f"/api/v1/keys/{name}")
    await every_file(client)
    await every_message(client)
    await every_removal(client, gateway, tmp_path)
    await every_openai(client, gateway, tmp_path)
    await every_ark(client, gateway, tmp_path)
    await every_relay(client, gateway, tmp_path)
    for path in (task, "/v1/images/generations", "/v1/videos/generations"):
        gateway.outcome = None
        gateway.fail_submit = Conflict("its files are gone")
        await client.post(path, {"prompt": "x"})
        gateway.fail_submit = None
        await client.post(path, {"prompt": "x"}, headers={"idempotency-key": "taken"})
        await client.post(path, {"prompt": "x"}, headers={"idempotency-key": "deleted"})
        await client.post(f"{path}?dry_run=true", {"prompt": "x"})
        await client.post(path, {"prompt": "x", "references": [{"file_id": "file_nobody"}]})
        await client.call("POST", path, body=b"x" * (64 << 20) + b"x")
    for path in ("/v1/images/generations", "/v1/videos/generations"):
        gateway.outcome = None
        await client.post(path, {"prompt": "x"}, headers={"prefer": "respond-async"})
        results = (a_result(0, tmp_path / "p.png"),)
        gateway.outcome = a_task("made", stage=Stage.SUCCEEDED, results=results, finished_at=NOW)
        await client.post(path, {"prompt": "x"})
        for kind in (ErrorKind.QUOTA, ErrorKind.TIMEOUT, ErrorKind.RISK):
            gateway.outcome = a_task("made", stage=Stage.FAILED, failure=a_failure(kind), finished_at=NOW)
            await client.post(path, {"prompt": "x"})
        gateway.outcome = a_task("made", stage=Stage.CANCELLED, finished_at=NOW)
        await client.post(path, {"prompt": "x"})


async def every_file(client: Client) -> None:
    """The same for the routes of files."""
    path = "/api/v1/files"
    made = await client.call("POST", path, body=a_png())
    await client.call("POST", path, body=b"<html>")
    await client.call("POST", path, body=a_png() + bytes(1 << 20))
    await client.call("POST", path, body=b"x", headers={"content-encoding": "gzip"})
    await client.get(f"{path}?limit=0")
    await client.get(path)
    for name in (made.json["id"], "none"):
        await client.get(f"{path}/{name}")
        await client.call("DELETE", f"{path}/{name}")


async def every_removal(client: Client, gateway: FakeGateway, tmp_path: Path) -> None:
    """The same for results that go away, and for links that do."""
    results = (a_result(0, tmp_path / "p.png"),)
    gateway.all_tasks["kept"] = a_task("kept", stage=Stage.SUCCEEDED, results=results, finished_at=NOW)
    gateway.all_tasks["open"] = a_task("open")
    content = "/api/v1/tasks/kept/content"
    past = NOW // 1000 - 1
    late = f"{content}?expires={past}&signature={gateway.link_signature('kept', 0, past)}"
    await client.speaking(None).get(late)
    for name in ("kept", "open", "none"):
        await client.call("DELETE", f"/api/v1/tasks/{name}/results")
    await client.get(content)
    path = "/api/v1/removals"
    await client.get(path)
    await client.get(f"{path}?limit=0")
    await client.post(path, {"max_bytes": 0})
    await client.post(path, {"max_bytes": -1})
    await client.call("POST", path, headers={"content-type": "text/plain"}, body=b"x")
    await client.call("POST", path, body=b"x" * (1 << 20) + b"x")


async def every_message(client: Client) -> None:
    """The same for the MCP door, from what the SDK says to what stands before it."""
    ping = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    await client.post("/mcp", ping)
    await client.post("/mcp", ping, headers={"accept": "application/json, text/event-stream"})
    await client.post("/mcp", {"jsonrpc": "2.0", "method": "notifications/initialized"})
    await client.call("POST", "/mcp", body=b"{")
    unknown, headers = message("resources/list")
    await client.post("/mcp", unknown, headers=headers)
    await client.post("/mcp", ping, headers={"origin": "https://elsewhere.example"})
    await client.post("/mcp", ping, headers={"content-type": "text/plain"})
    await client.call("POST", "/mcp", headers={"content-length": str((64 << 20) + 1)})


async def refused_everywhere(client: Client) -> None:
    """Every route without a key, and every admin route with a key that is none."""
    for path, operations in DOCUMENT["paths"].items():
        target = re.sub(r"\{\w+\}", "x", path)
        for method in operations:
            await client.speaking(None).call(method.upper(), target)
            await client.speaking(USER).call(method.upper(), target)


def test_every_documented_reply_happens_and_is_as_documented(tmp_path: Path) -> None:
    async def main() -> None:
        gateway = furnished(tmp_path)
        client = make(gateway)
        http_client.SEEN.clear()
        await everything(client, gateway, tmp_path)
        await refused_everywhere(client)

    run(main())
    documented = {
        (method.upper(), path, int(status))
        for path, operations in DOCUMENT["paths"].items()
        for method, operation in operations.items()
        for status in operation["responses"]
    }
    # 408 needs a client that stalls, 500 and 503 a gateway that breaks: see below and test_http_door.py.
    rare = {entry for entry in documented if entry[2] in (408, 500, 503)}
    assert documented - rare - http_client.SEEN == set()


def test_a_broken_gateway_answers_as_documented_on_every_route(tmp_path: Path) -> None:
    class Broken(FakeGateway):
        error: Exception = RuntimeError("bug")

        async def authenticate(self, token: str) -> Any:
            raise self.error

    async def main() -> None:
        gateway = Broken(tmp_path)
        client = make(gateway)
        for path, operations in DOCUMENT["paths"].items():
            for method, operation in operations.items():
                if operation.get("security") == []:
                    continue
                for gateway.error, status in ((RuntimeError("bug"), 500), (StoreError("gone"), 503)):
                    answer = await client.call(method.upper(), re.sub(r"\{\w+\}", "x", path))
                    assert answer.status == status

    run(main())
