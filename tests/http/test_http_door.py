"""What holds for every route: who may enter, how errors look, what a request may cost us."""

from __future__ import annotations

import asyncio
import dataclasses
import inspect
import re
import typing
from pathlib import Path

import pytest
import structlog
from http_client import Client, HandClock, documented_path, make
from http_fake import ADMIN, CREDENTIAL, USER, FakeGateway, a_task
from starlette.routing import Route
from support.aio import run

from jimeng_gateway.domain.errors import InvalidRequest, StoreError, Unavailable
from jimeng_gateway.gateway import Gateway
from jimeng_gateway.http.endpoint import Auth, Limits
from jimeng_gateway.http.routes import ROUTES
from jimeng_gateway.http.server import PathApp

#: Who may call what. A new route has to be entered here by hand.
ACCESS = {
    "public": {"GET /ping", "GET /health/live"},
    "key": {
        "GET /health/ready",
        "GET /openapi.json",
        "POST /api/v1/tasks",
        "GET /api/v1/tasks",
        "GET /api/v1/tasks/{task_id}",
        "DELETE /api/v1/tasks/{task_id}",
        "POST /api/v1/tasks/{task_id}/cancel",
        "POST /api/v1/tasks/{task_id}/retry",
        "GET /api/v1/tasks/{task_id}/events",
        "DELETE /api/v1/tasks/{task_id}/results",
        "POST /api/v1/files",
        "GET /api/v1/files",
        "GET /api/v1/files/{file_id}",
        "DELETE /api/v1/files/{file_id}",
        "GET /api/v1/stats",
        "GET /api/v1/models",
        "POST /mcp",
        "POST /v1/images/generations",
        "POST /v1/videos/generations",
        "GET /v1/videos/generations/{task_id}",
        "POST /v1/videos/generations/async",
        "GET /v1/videos/generations/async/{task_id}",
        "POST /v1/images/compositions",
        "GET /v1/images/generations/{task_id}",
        "POST /v1/video/generations",
        "GET /v1/video/generations/{task_id}",
        "POST /v1/chat/completions",
        "GET /api/v1/deliveries",
        "POST /v1/images/edits",
        "POST /v1/images/variations",
        "POST /v1/videos",
        "GET /v1/videos",
        "GET /v1/videos/{video_id}",
        "DELETE /v1/videos/{video_id}",
        "GET /v1/videos/{video_id}/content",
        "POST /v1/videos/{video_id}/remix",
        "POST /v1/videos/edits",
        "POST /v1/videos/extensions",
        "POST /v1/videos/characters",
        "GET /v1/videos/characters/{character_id}",
        "GET /v1/models",
        "GET /v1/models/{model_id:path}",
        "POST /api/v3/contents/generations/tasks",
        "GET /api/v3/contents/generations/tasks",
        "GET /api/v3/contents/generations/tasks/{task_id}",
        "DELETE /api/v3/contents/generations/tasks/{task_id}",
        "POST /api/v3/images/generations",
    },
    "link": {"GET /api/v1/tasks/{task_id}/content"},
    "admin": {
        "GET /api/v1/sessions",
        "POST /api/v1/sessions",
        "GET /api/v1/sessions/{session_id}",
        "PATCH /api/v1/sessions/{session_id}",
        "DELETE /api/v1/sessions/{session_id}",
        "POST /api/v1/sessions/{session_id}/test",
        "GET /api/v1/removals",
        "POST /api/v1/removals",
        "GET /api/v1/keys",
        "POST /api/v1/keys",
        "PATCH /api/v1/keys/{key_id}",
        "DELETE /api/v1/keys/{key_id}",
    },
}


def served(client: Client) -> set[str]:
    """Every method and path that the application really has."""
    found = set()
    for route in client.app.routes:
        assert isinstance(route, Route)
        assert isinstance(route.app, PathApp)
        found |= {f"{method} {route.path}" for method in route.app.endpoints}
    return found


def test_every_route_is_classified(tmp_path: Path) -> None:
    classified = set().union(*ACCESS.values())
    assert served(make(FakeGateway(tmp_path))) == classified


@pytest.mark.parametrize(
    ("level", "entry"), [(level, entry) for level, all_of in ACCESS.items() for entry in sorted(all_of)]
)
def test_who_may_enter(tmp_path: Path, level: str, entry: str) -> None:
    async def main() -> None:
        client = make(FakeGateway(tmp_path))
        method, _, path = entry.partition(" ")
        target = re.sub(r"\{.*?\}", "some_id", path)
        status = {}
        for who, token in {"nobody": None, "bad": "gw_bad", "user": USER, "admin": ADMIN}.items():
            answer = await client.speaking(token).call(method, target)
            status[who] = answer.status
            if answer.status == 401:
                assert answer.header("www-authenticate") == "Bearer"
                word = "Unauthorized" if path.startswith("/api/v3/") else "authentication_error"
                assert answer.error["type"] == word
        public, admin = level == "public", level == "admin"
        assert (status["nobody"] == 401, status["bad"] == 401) == (not public, not public)
        assert status["user"] != 401
        assert (status["user"] == 403) == admin
        assert status["admin"] not in (401, 403)

    run(main())


def test_the_table_says_what_the_handlers_take() -> None:
    for endpoint in ROUTES:
        hints = typing.get_type_hints(endpoint.handler)
        assert hints.get("body") == endpoint.body, endpoint.path
        assert hints.get("query") == endpoint.query, endpoint.path
        assert (endpoint.auth is Auth.PUBLIC) == (f"{endpoint.method} {endpoint.path}" in ACCESS["public"])


def test_the_fake_has_the_signatures_of_the_gateway() -> None:
    for name, method in inspect.getmembers(Gateway, inspect.isfunction):
        if name in vars(FakeGateway) and name != "__init__":
            real = {n: (p.kind, p.default) for n, p in inspect.signature(method).parameters.items()}
            fake = inspect.signature(getattr(FakeGateway, name)).parameters
            assert {n: (p.kind, p.default) for n, p in fake.items()} == real, name
    assert {name for name in vars(FakeGateway) if not name.startswith("_")} <= set(dir(Gateway))


def test_unknown_routes_and_methods(tmp_path: Path) -> None:
    async def main() -> None:
        client = make(FakeGateway(tmp_path))
        missing = await client.speaking(None).get("/nowhere")
        assert (missing.status, missing.error["code"]) == (404, "route_not_found")
        assert (await client.get("/ping/")).status == 404
        wrong = await client.call("PUT", "/api/v1/tasks/x")
        assert (wrong.status, wrong.header("allow")) == (405, "DELETE, GET, HEAD")
        assert wrong.error["code"] == "method_not_allowed"
        assert (await client.get("/v1/images/generations")).header("allow") == "POST"

    run(main())


def test_errors_have_one_shape_and_an_id(tmp_path: Path) -> None:
    async def main() -> None:
        client = make(FakeGateway(tmp_path))
        answer = await client.get("/api/v1/tasks/task_0")
        assert answer.error == {
            "code": "not_found",
            "message": "no such task",
            "type": "not_found_error",
            "param": None,
            "retryable": False,
            "request_id": answer.header("x-request-id"),
        }
        assert answer.header("x-should-retry") == "false"
        again = await client.get("/ping", headers={"x-request-id": "chosen-by-the-client"})
        assert re.fullmatch(r"req_[0-9a-z]{22}", again.header("x-request-id") or "")
        assert again.body == b"pong"

    run(main())


@pytest.mark.parametrize(
    ("raised", "status", "code", "says"),
    [
        (RuntimeError(f"no row for {CREDENTIAL}"), 500, "internal_error", "its log has the details"),
        (StoreError(f"INSERT failed: {CREDENTIAL}"), 503, "store_error", "the database is not available"),
        (Unavailable("draining", retry_after=7), 503, "unavailable", "draining"),
    ],
)
def test_failures_of_ours_give_no_details_away(
    tmp_path: Path, raised: Exception, status: int, code: str, says: str
) -> None:
    async def main() -> None:
        gateway = FakeGateway(tmp_path)
        gateway.fail_submit = raised
        answer = await make(gateway).post("/api/v1/tasks", {"prompt": "a cat"})
        assert (answer.status, answer.error["code"]) == (status, code)
        assert says in answer.error["message"]
        assert CREDENTIAL.encode() not in answer.body
        assert answer.header("retry-after") == ("7" if code == "unavailable" else None)
        assert answer.error["type"] == "server_error"

    run(main())


def test_a_bug_is_logged_under_the_request_id(tmp_path: Path) -> None:
    async def main() -> None:
        gateway = FakeGateway(tmp_path)
        gateway.fail_submit = RuntimeError("bug")
        with structlog.testing.capture_logs() as lines:
            answer = await make(gateway).post("/api/v1/tasks", {"prompt": "a cat"})
        (line,) = lines
        assert (line["log_level"], line["request_id"]) == ("error", answer.header("x-request-id"))

    run(main())


def test_final_refusals_tell_clients_not_to_try_again(tmp_path: Path) -> None:
    async def main() -> None:
        gateway = FakeGateway(tmp_path)
        client = make(gateway)
        gateway.fail_submit = InvalidRequest("no", retryable=False)
        assert (await client.post("/api/v1/tasks", {"prompt": "x"})).header("x-should-retry") == "false"
        gateway.fail_submit = Unavailable("later")
        assert (await client.post("/api/v1/tasks", {"prompt": "x"})).header("x-should-retry") is None

    run(main())


JSON = {"content-type": "application/json"}


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({"content-type": "application/json; charset=utf-8"}, b'{"prompt":"x"}', 201),
        ({"content-type": "application/vnd.x+json"}, b'{"prompt":"x"}', 201),
        ({}, b'{"prompt":"x"}', 201),
        ({"content-type": "text/plain"}, b'{"prompt":"x"}', 415),
        ({"content-type": "application/x-www-form-urlencoded"}, b"prompt=x", 415),
        ({"content-type": "multipart/form-data; boundary=x"}, b"--x--", 400),
        ({**JSON, "content-encoding": "gzip"}, b"\x1f\x8b", 415),
        (JSON, b'{"prompt":', 400),
        (JSON, b"", 400),
        (JSON, b'{"prompt":"' + b"x" * (1 << 20) + b'"}', 413),
    ],
)
def test_bodies(tmp_path: Path, headers: dict[str, str], body: bytes, status: int) -> None:
    async def main() -> None:
        client = make(FakeGateway(tmp_path), limits=Limits(reference_json_bytes=1 << 20))
        answer = await client.call("POST", "/api/v1/tasks", headers=headers, body=body)
        assert answer.status == status
        if status == 415 and "content-encoding" not in headers:
            assert "application/json" in answer.error["message"]

    run(main())


def test_a_body_of_unknown_length_is_bounded_too(tmp_path: Path) -> None:
    async def main() -> None:
        client = make(FakeGateway(tmp_path), limits=Limits(reference_json_bytes=100))
        exchange = client.start(
            "POST", "/api/v1/tasks", headers={"transfer-encoding": "chunked"}, parts=[b"x" * 60] * 2
        )
        exchange.to_app.put_nowait({"type": "http.request", "body": b"", "more_body": False})
        start = await asyncio.wait_for(exchange.sent.get(), 5)
        assert start["status"] == 413
        assert (b"connection", b"close") not in start["headers"], "the body was read to its end"

    run(main())


def test_a_body_that_does_not_come_is_given_up(tmp_path: Path) -> None:
    async def main() -> None:
        client = make(FakeGateway(tmp_path), limits=Limits(body_seconds=0.02))
        exchange = client.start("POST", "/api/v1/tasks", headers={"content-length": "50"}, parts=[b'{"pro'])
        start = await asyncio.wait_for(exchange.sent.get(), 5)
        assert start["status"] == 408
        assert (b"connection", b"close") in start["headers"]
        assert b"x-should-retry" not in dict(start["headers"])

    run(main())


def test_a_client_that_leaves_while_sending_is_no_error(tmp_path: Path) -> None:
    async def main() -> None:
        client = make(FakeGateway(tmp_path))
        exchange = client.start("POST", "/api/v1/tasks", headers={"content-length": "50"}, parts=[b'{"pro'])
        exchange.hang_up()
        assert exchange.task is not None
        await asyncio.wait_for(exchange.task, 5)
        assert exchange.sent.empty()

    run(main())


def test_a_body_that_nobody_reads_does_not_spoil_the_connection(tmp_path: Path) -> None:
    async def main() -> None:
        gateway = FakeGateway(tmp_path)
        gateway.all_tasks["task_1"] = a_task()
        client = make(gateway)
        unread = await client.call("POST", "/api/v1/tasks/task_1/cancel", body=b"{}")
        assert (unread.status, unread.header("connection")) == (200, "close")
        assert (await client.call("POST", "/api/v1/tasks/task_1/cancel")).header("connection") is None

    run(main())


def test_a_refusal_does_not_wait_for_a_body_that_expects_leave(tmp_path: Path) -> None:
    async def main() -> None:
        client = make(FakeGateway(tmp_path)).speaking(None)
        headers = {"content-length": "50", "expect": "100-continue"}
        exchange = client.start("POST", "/api/v1/tasks", headers=headers, parts=[])
        start = await asyncio.wait_for(exchange.sent.get(), 5)
        assert start["status"] == 401
        assert (b"connection", b"close") in start["headers"]

    run(main())


@pytest.mark.parametrize(
    ("target", "param"),
    [
        ("/api/v1/tasks?limit=0", "limit"),
        ("/api/v1/tasks?limit=101", "limit"),
        ("/api/v1/tasks?limit=ten", "limit"),
        ("/api/v1/tasks?limit=1&limit=2", "limit"),
        ("/api/v1/tasks?stage=done", "stage"),
        ("/api/v1/tasks?kind=music", "kind"),
        ("/api/v1/tasks?cursor=zzz", "cursor"),
        ("/api/v1/tasks?model=%00", "model"),
        ("/api/v1/tasks?page=2", "page"),
        ("/api/v1/tasks/task_1/events?after=-1", "after"),
        ("/api/v1/tasks/task_1/events?after=99999999999999999999", "after"),
        ("/api/v1/tasks/task_1/content?index=x", "index"),
    ],
)
def test_query_parameters_are_checked(tmp_path: Path, target: str, param: str) -> None:
    async def main() -> None:
        answer = await make(FakeGateway(tmp_path)).get(target)
        assert (answer.status, answer.error["param"]) == (400, param)

    run(main())


@pytest.mark.parametrize("task_id", ["a b", "a\x00", "é", "x" * 65, "..", "'; --"])
def test_ids_that_cannot_be_ids_do_not_reach_the_store(tmp_path: Path, task_id: str) -> None:
    async def main() -> None:
        answer = await make(FakeGateway(tmp_path)).get(f"/api/v1/tasks/{task_id}")
        assert answer.status == 404

    run(main())


@pytest.mark.parametrize(
    ("public_url", "host", "base"),
    [
        ("https://gw.example/", "inside:5100", "https://gw.example"),
        ("", "inside:5100", "http://inside:5100"),
        ("", "[::1]:5100", "http://[::1]:5100"),
        ("", "evil/path?", "http://127.0.0.1:5100"),
        ("", "", "http://127.0.0.1:5100"),
    ],
)
def test_links_point_to_where_the_caller_reached_us(
    tmp_path: Path, public_url: str, host: str, base: str
) -> None:
    async def main() -> None:
        gateway = FakeGateway(tmp_path)
        gateway.all_tasks["task_1"] = a_task()
        answer = await make(gateway, public_url=public_url).get(
            "/api/v1/tasks/task_1", headers={"host": host}
        )
        assert answer.json["poll_url"] == f"{base}/api/v1/tasks/task_1"

    run(main())


def test_head_is_answered_like_get(tmp_path: Path) -> None:
    async def main() -> None:
        gateway = FakeGateway(tmp_path)
        gateway.all_tasks["task_1"] = dataclasses.replace(a_task())
        answer = await make(gateway, clock=HandClock()).call("HEAD", "/api/v1/tasks/task_1")
        assert answer.status == 200

    run(main())


def test_paths_of_requests_are_found_in_the_document(tmp_path: Path) -> None:
    app = make(FakeGateway(tmp_path)).app
    assert documented_path(app, "/v1/models/a/b") == "/v1/models/{model_id}"
    assert documented_path(app, "/nowhere") is None
