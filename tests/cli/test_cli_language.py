"""People are spoken to in their language; JSON is the same for everybody."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import pytest
from cli.conftest import Invoke
from cli.stub import Answer, Stub, error, reply, task

from jimeng_gateway.cli.language import CHINESE, cells, language, padded
from jimeng_gateway.cli.progress import board
from jimeng_gateway.domain.words import Language
from jimeng_gateway.simulator import Simulator

HAN = re.compile(r"[\u4e00-\u9fff]")
SESSION = {
    "id": "session_1",
    "label": "mine",
    "state": "cooling",
    "enabled": True,
    "slots": 2,
    "slots_taken": 1,
    "credits": 60,
    "name": "someone",
    "last_used_at": None,
    "reason": "账号额度不足（no credits）",
}


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, "en"),
        ({"LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "C.UTF-8"}, "en"),
        ({"LANG": "de_DE.UTF-8"}, "en"),
        ({"LC_ALL": "zh_CN.UTF-8", "LANG": "en_US.UTF-8"}, "zh"),
        ({"LC_ALL": "", "LC_MESSAGES": "zh_TW", "LANG": "en_US.UTF-8"}, "zh"),
        ({"LC_ALL": "en_US.UTF-8", "LC_MESSAGES": "zh_CN", "LANG": "zh_CN"}, "en"),
        ({"JIMENG_LANG": "zh", "LANG": "en_US.UTF-8"}, "zh"),
        ({"JIMENG_LANG": "EN", "LANG": "zh_CN.UTF-8"}, "en"),
        ({"JIMENG_LANG": "auto", "LANG": "zh_CN.UTF-8"}, "zh"),
        ({"JIMENG_LANG": "latin", "LANG": "zh_CN.UTF-8"}, "zh"),
        ({"JIMENG_LANG": "zh", "JIMENG_PORT": "x"}, "zh"),
        ({"JIMENG_LANG": "zh", "JIMENG_CONFIG": "missing.toml"}, "zh"),
    ],
)
def test_the_language_is_the_one_set_else_that_of_the_locale(environ: dict[str, str], expected: str) -> None:
    assert language(environ) == Language(expected)


def test_the_language_may_be_set_in_the_file(tmp_path: Path) -> None:
    file = tmp_path / "gateway.toml"
    file.write_text('lang = "zh"\n')
    assert language({"JIMENG_CONFIG": str(file)}) is Language.ZH
    assert language({"JIMENG_CONFIG": str(file), "JIMENG_LANG": "en"}) is Language.EN


def test_every_word_is_chinese() -> None:
    assert [word for word, text in CHINESE.items() if not HAN.search(text)] == []


def test_a_chinese_character_takes_two_cells() -> None:
    assert (cells("abc"), cells("排队中"), cells("第 3 位（约）")) == (3, 6, 13)
    assert padded("排队中", 8) == "排队中  "
    assert padded("排队中", 3) == "排队中"


def test_the_gateway_is_asked_for_messages_in_the_same_language(invoke: Invoke, stub: Stub) -> None:
    stub.on("GET", "/api/v1/tasks/task_1", error(404, "not_found", "找不到请求的内容（no such task）"))
    result = invoke("task", "show", "task_1", gateway_url=stub.url, lang="zh")
    assert result.stderr == "错误：找不到请求的内容（no such task）\n"
    for options in (["--json"], []):
        invoke("task", "show", "task_1", *options, gateway_url=stub.url, lang="zh" if options else "en")
    asked = [each.headers.get("Accept-Language") for each in stub.asked]
    assert asked == ["zh-CN", "en", "en"]


def test_tasks_are_listed_in_chinese(invoke: Invoke, stub: Stub) -> None:
    page = {"data": [task("polling"), task("failed")], "next_cursor": "c2"}
    stub.on("GET", "/api/v1/tasks?limit=20", reply(page))
    result = invoke("task", "list", gateway_url=stub.url, lang="zh")
    head = result.stdout.split("\n")[1].split()
    assert head == ["编号", "阶段", "类型", "模型", "排队位置", "创建时间", "提示词"]
    for word in ("task_1", "生成中", "失败", "图片", "jimeng-4.5"):
        assert word in result.stdout
    assert result.stderr == "下一页：--cursor c2\n"
    stub.on("GET", "/api/v1/tasks?limit=20", reply({"data": [], "next_cursor": None}))
    assert invoke("task", "list", gateway_url=stub.url, lang="zh").stdout == "没有任务\n"


def test_a_task_is_shown_in_chinese(invoke: Invoke, stub: Stub) -> None:
    events = [{"seq": 1, "at": "2026-11-23T22:09:23.456Z", "name": "task.created", "data": {}}]
    failed = task("failed", late=True, error_kind="risk", error_message="被网站风控拦截（refused）")
    stub.on("GET", "/api/v1/tasks/task_1", reply(failed))
    stub.on("GET", "/api/v1/tasks/task_1/events", reply({"data": events}))
    shown = invoke("task", "show", "task_1", gateway_url=stub.url, lang="zh").stdout
    lines = [line.split(maxsplit=1) for line in shown.splitlines()]
    for pair in (
        ["编号", "task_1"],
        ["阶段", "失败（超时后完成）"],
        ["类型", "图片"],
        ["错误", "被网站风控拦截（refused）"],
    ):
        assert pair in lines
    assert "任务已创建" in shown


def test_json_is_the_same_in_every_language(invoke: Invoke, stub: Stub) -> None:
    events = [{"seq": 1, "at": "2026-11-23T22:09:23.456Z", "name": "task.created", "data": {}}]
    stub.on("GET", "/api/v1/tasks/task_1", reply(task("failed", error_kind="risk", error_message="refused")))
    stub.on("GET", "/api/v1/tasks/task_1/events", reply({"data": events}))
    for command in (["task", "show", "task_1"], ["task", "wait", "task_1"]):
        english, chinese = (
            invoke(*command, "--json", gateway_url=stub.url, lang=lang) for lang in ("en", "zh")
        )
        assert english.stdout == chinese.stdout
        assert not HAN.search(chinese.stdout)
    gone = invoke("key", "list", "--json", gateway_url="http://127.0.0.1:1", lang="zh")
    assert json.loads(gone.stdout)["error"]["message"].startswith("cannot reach the gateway")
    assert gone.stderr.startswith("错误：无法连接网关 http://127.0.0.1:1：")


def test_progress_is_told_in_chinese(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JIMENG_LANG", "zh")
    log = io.StringIO()
    with board([("image", task("queued"))], log) as shown:
        for stage, facts in (
            ("queued", {"queue_position": 5, "queue_total": 9}),
            ("polling", {"queue_position": 2}),
            ("succeeded", {"late": True}),
        ):
            shown.update(task(stage, **facts))
    assert [line.split() for line in log.getvalue().splitlines()] == [
        ["图片", "排队中", "5%", "排第", "5", "位，共", "9", "位"],
        ["图片", "生成中", "5%", "排第", "2", "位"],
        ["图片", "已完成", "100%", "超时后完成"],
    ]


def test_sessions_and_keys_in_chinese(invoke: Invoke, stub: Stub) -> None:
    good = {"valid": True, "account": {"uid": "1", "name": "someone", "credits": 60}, "error": None}
    bad = {
        "valid": False,
        "account": None,
        "error": {"kind": "auth", "message": "会话登录已失效（login error）"},
    }
    stub.on("GET", "/api/v1/sessions", reply({"data": [SESSION]}))
    stub.on("POST", "/api/v1/sessions/session_1/test", reply(good), reply(bad))
    stub.on("PATCH", "/api/v1/sessions/session_1", reply({**SESSION, "enabled": False}))
    stub.on("GET", "/api/v1/keys", reply({"data": []}))
    speaking = {"gateway_url": stub.url, "lang": "zh"}
    listed = invoke("session", "list", **speaking).stdout
    for word in ("名额", "积分", "冷却中", "账号额度不足（no credits）", " 是 "):
        assert word in listed
    assert invoke("session", "test", "session_1", **speaking).stdout == "session_1 有效：someone，积分 60\n"
    second = invoke("session", "test", "session_1", **speaking)
    assert (second.exit_code, second.stdout) == (1, "session_1 无效：会话登录已失效（login error）\n")
    assert invoke("session", "disable", "session_1", **speaking).stdout == "session_1 已停用\n"
    assert invoke("key", "list", **speaking).stdout == "还没有密钥\n"


def test_a_configuration_that_cannot_be_used_is_told_in_chinese(invoke: Invoke) -> None:
    result = invoke("task", "list", port="x", lang="zh")
    assert result.exit_code == 2
    assert result.stderr.startswith("配置无法使用：\n  JIMENG_PORT: ")
    assert "允许的值：a whole number, 0 to 65535" in result.stderr


def test_what_is_no_gateway_is_told_in_chinese(invoke: Invoke, stub: Stub) -> None:
    stub.on("GET", "/api/v1/keys", Answer(502, b"<html>", "text/html"))
    result = invoke("key", "list", gateway_url=stub.url, lang="zh")
    assert result.exit_code == 3
    assert "返回状态码 502，不像 jimeng-gateway 的应答" in result.stderr


def test_the_doctor_speaks_chinese_to_people_only(invoke: Invoke, tmp_path: Path) -> None:
    with Simulator() as site:
        given = {"data_dir": str(tmp_path), "upstream_url": site.base_url, "port": "0", "lang": "zh"}
        shown = invoke("doctor", **given).stdout
        document = json.loads(invoke("doctor", "--json", **given).stdout)
    for words in ("正常  配置", "正常  数据目录", "正常  即梦网站"):
        assert words in shown
    assert document["ok"] is True
    assert {"configuration", "upstream"} <= {check["name"] for check in document["checks"]}
    assert all(check["status"] in ("ok", "warn", "fail") for check in document["checks"])
    assert not HAN.search(json.dumps(document["checks"], ensure_ascii=False))
