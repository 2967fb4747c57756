"""Whoever prefers Chinese is told in Chinese what went wrong; what programs read stays the same."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from http_client import Client, make
from http_fake import FakeGateway, a_failure, a_session, a_task
from support.aio import run

from jimeng_gateway.domain.errors import ErrorKind, StoreError
from jimeng_gateway.domain.session import SessionState
from jimeng_gateway.domain.task import Stage, TaskEvent
from jimeng_gateway.http.serve import Server

CHINESE = {"accept-language": "zh-CN,zh;q=0.9,en;q=0.8"}


@pytest.mark.parametrize(
    ("method", "target", "payload", "code", "sentence"),
    [
        ("GET", "/api/v1/tasks/task_0", None, "not_found", "找不到请求的内容（"),
        ("GET", "/nowhere", None, "route_not_found", "没有这个接口（"),
        ("PUT", "/api/v1/tasks", None, "method_not_allowed", "该接口不支持此请求方法（"),
        ("POST", "/api/v1/tasks", {}, "missing_field", "缺少必填字段（"),
        ("POST", "/api/v1/tasks", {"prompt": "x", "o": 1}, "unknown_field", "未知字段（"),
        (
            "POST",
            "/api/v1/tasks",
            {"prompt": "x", "model": "no-such-model"},
            "model_not_found",
            "没有这个模型（",
        ),
        ("GET", "/api/v1/tasks?limit=0", None, "invalid_request", "请求参数有误（"),
    ],
)
def test_only_the_message_of_an_error_is_translated(
    tmp_path: Path, method: str, target: str, payload: Any, code: str, sentence: str
) -> None:
    async def main() -> None:
        client = make(FakeGateway(tmp_path))
        english = await client.call(method, target, json=payload)
        chinese = await client.call(method, target, json=payload, headers=CHINESE)
        assert english.error["code"] == chinese.error["code"] == code
        assert chinese.error["message"] == f"{sentence}{english.error['message']}）"
        for name in ("code", "type", "param", "retryable"):
            assert english.error[name] == chinese.error[name]
        assert english.status == chinese.status
        assert (english.header("content-language"), chinese.header("content-language")) == ("en", "zh-CN")
        assert english.header("vary") == chinese.header("vary") == "Accept-Language"

    run(main())


@pytest.mark.parametrize(
    ("headers", "language"),
    [
        ([("accept-language", "en,zh;q=0.9")], "en"),
        ([("accept-language", "fr"), ("accept-language", "zh")], "zh-CN"),
        ([("accept-language", "\xff\xfe")], "en"),
        ([], "en"),
    ],
)
def test_english_unless_chinese_is_preferred(
    tmp_path: Path, headers: list[tuple[str, str]], language: str
) -> None:
    async def main() -> None:
        answer = await make(FakeGateway(tmp_path)).speaking(None).get("/api/v1/tasks", headers=headers)
        assert (answer.status, answer.header("content-language")) == (401, language)
        assert answer.error["message"].startswith("缺少密钥（") == (language == "zh-CN")

    run(main())


def test_what_the_database_said_stays_in_the_log_in_chinese_too(tmp_path: Path) -> None:
    async def main() -> None:
        gateway = FakeGateway(tmp_path)
        gateway.fail_submit = StoreError("disk I/O error in /var/secret")
        answer = await make(gateway).post("/api/v1/tasks", {"prompt": "x"}, headers=CHINESE)
        assert answer.status == 503
        assert answer.error["message"] == "数据库暂时不可用，请稍后重试（the database is not available）"

    run(main())


def a_failed_one(gateway: FakeGateway) -> Client:
    gateway.all_tasks["task_1"] = a_task(
        stage=Stage.FAILED, failure=a_failure(ErrorKind.RISK, "the site refused"), finished_at=1
    )
    return make(gateway)


def test_a_failed_task_says_why_in_chinese(tmp_path: Path) -> None:
    async def main() -> None:
        client = a_failed_one(FakeGateway(tmp_path))
        english = (await client.get("/api/v1/tasks/task_1")).json
        chinese = (await client.get("/api/v1/tasks/task_1", headers=CHINESE)).json
        listed = (await client.get("/api/v1/tasks", headers=CHINESE)).json["data"][0]
        message = "被网站风控拦截（the site refused）"
        assert english["error_message"] == english["error"]["message"] == "the site refused"
        assert chinese["error_message"] == chinese["error"]["message"] == message
        assert listed == chinese
        english["error_message"] = english["error"]["message"] = message
        assert english == chinese

    run(main())


def test_the_events_of_a_failure_too_and_nothing_else_in_them(tmp_path: Path) -> None:
    facts = {"kind": "quota", "code": "1006", "message": "not enough credits"}

    async def main() -> None:
        gateway = FakeGateway(tmp_path)
        client = a_failed_one(gateway)
        gateway.recorded["task_1"] = [
            TaskEvent("task_1", 1, 1, "task.created", {"model": "jimeng-4.5"}),
            TaskEvent("task_1", 2, 1, "submit.refused", facts),
        ]
        path = "/api/v1/tasks/task_1/events"
        first, second = (await client.get(path, headers=CHINESE)).json["data"]
        assert first["data"] == {"model": "jimeng-4.5"}
        assert second["name"] == "submit.refused"
        assert second["data"] == {**facts, "message": "账号额度不足（not enough credits）"}
        streamed = await client.get(path, headers={**CHINESE, "accept": "text/event-stream"})
        assert "账号额度不足（not enough credits）" in streamed.body.decode()
        assert (await client.get(path)).json["data"][1]["data"] == facts
        assert gateway.recorded["task_1"][1].data == facts

    run(main())


def test_who_waited_for_a_picture_is_told_in_chinese(tmp_path: Path) -> None:
    async def main() -> None:
        gateway = FakeGateway(tmp_path)
        gateway.outcome = a_task(stage=Stage.FAILED, failure=a_failure(ErrorKind.QUOTA, "no credits"))
        answer = await make(gateway).post("/v1/images/generations", {"prompt": "x"}, headers=CHINESE)
        assert (answer.status, answer.error["code"]) == (429, "insufficient_quota")
        assert answer.error["message"] == "账号额度不足（no credits (task task_1)）"
        gateway.outcome = None
        queued = await make(gateway).post("/v1/videos/generations", {"prompt": "x"}, headers=CHINESE)
        assert queued.json["message"] == "任务已接收"

    run(main())


def test_why_a_session_rests_is_told_in_chinese(tmp_path: Path) -> None:
    async def main() -> None:
        gateway = FakeGateway(tmp_path)
        gateway.logins["sess_1"] = dataclasses.replace(
            a_session(), state=SessionState.EXPIRED, reason="login error", reason_kind=ErrorKind.AUTH
        )
        client = make(gateway)
        for path in ("/api/v1/sessions", "/api/v1/sessions/sess_1"):
            shown = (await client.get(path, headers=CHINESE)).json
            session = shown["data"][0] if "data" in shown else shown
            assert session["reason"] == "会话登录已失效（login error）"
            assert (session["state"], session["reason_kind"]) == ("expired", "auth")
        assert (await client.get("/api/v1/sessions/sess_1")).json["reason"] == "login error"

    run(main())


def test_a_head_that_is_refused_before_any_route_is_refused_in_chinese(tmp_path: Path) -> None:
    async def main() -> None:
        app = make(FakeGateway(tmp_path)).app
        server = Server(app, host="127.0.0.1", port=0)
        await server.start()
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            padding = b"X: " + b"a" * (70 * 1024)
            writer.write(b"GET /ping HTTP/1.1\r\nHost: x\r\nAccept-Language: zh\r\n" + padding + b"\r\n\r\n")
            head, _, body = (await asyncio.wait_for(reader.read(), 5)).partition(b"\r\n\r\n")
            assert b"431" in head.splitlines()[0]
            assert b"content-language: zh-CN\r\nvary: Accept-Language" in head
            assert json.loads(body)["error"]["message"].startswith("请求头过大（")
            writer.close()
        finally:
            await server.stop()

    run(main())
