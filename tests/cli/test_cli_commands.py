"""Commands answer in tables or JSON, end with codes for scripts, and take no secret as an argument."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cli.conftest import Invoke
from cli.stub import Answer, Stub, error, reply, stream, task

from jimeng_gateway import __version__

SESSION = {
    "id": "session_1",
    "label": "mine",
    "state": "ready",
    "enabled": True,
    "slots": 2,
    "slots_taken": 1,
    "credits": 60,
    "name": "someone",
    "last_used_at": None,
    "reason": None,
}
KEY = {
    "id": "key_1",
    "name": "bob",
    "role": "user",
    "prefix": "gw_12ab",
    "created_at": "2026-11-23T22:09:23.456Z",
    "last_used_at": None,
    "revoked_at": None,
}
COMMANDS = [
    ["serve"],
    ["demo"],
    ["simulate"],
    ["doctor"],
    ["migrate"],
    ["version"],
    *(["session", name] for name in ("add", "list", "test", "enable", "disable", "remove")),
    *(["key", name] for name in ("create", "list", "set", "revoke")),
    *(["results", name] for name in ("prune", "removed")),
    *(["task", name] for name in ("submit", "list", "show", "wait", "cancel", "retry")),
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_explains_itself(invoke: Invoke, command: list[str]) -> None:
    result = invoke(*command, "--help")
    assert result.exit_code == 0
    assert "Usage:" in result.stdout


@pytest.mark.parametrize(
    "command", [each for each in COMMANDS if each[0] not in ("serve", "demo", "simulate")], ids=" ".join
)
def test_every_command_that_answers_can_do_it_in_json(invoke: Invoke, command: list[str]) -> None:
    assert "--json" in invoke(*command, "--help").stdout


def test_the_version_is_told(invoke: Invoke) -> None:
    assert __version__ in invoke("version").stdout
    assert __version__ in invoke("--version").stdout
    assert json.loads(invoke("version", "--json").stdout)["version"] == __version__
    assert json.loads(invoke("version", json_output="yes").stdout)["version"] == __version__


@pytest.mark.parametrize(
    "command", [["serve"], ["task", "list"], ["migrate"], ["key", "create", "bob"]], ids=" ".join
)
def test_a_configuration_that_cannot_be_used_is_listed(invoke: Invoke, command: list[str]) -> None:
    result = invoke(*command, port="x", lease="-1", prot="1")
    assert result.exit_code == 2
    assert result.stdout == ""
    for word in (
        "JIMENG_PORT: is not a whole number: 'x'",
        "JIMENG_LEASE: is negative",
        "did you mean JIMENG_PORT",
    ):
        assert word in result.stderr
    assert "allowed: a whole number, 0 to 65535" in result.stderr


def test_a_protocol_file_that_cannot_be_used_stops_the_start(invoke: Invoke, tmp_path: Path) -> None:
    file = tmp_path / "protocol.toml"
    file.write_text("[versions]\nappvr = 8\n")
    result = invoke("serve", protocol_file=str(file), data_dir=str(tmp_path / "data"))
    assert result.exit_code == 2
    assert "JIMENG_PROTOCOL_FILE" in result.stderr
    assert "appvr" in result.stderr
    assert not (tmp_path / "data").exists()


def test_errors_are_json_too_when_json_is_asked_for(invoke: Invoke, stub: Stub) -> None:
    stub.on("GET", "/api/v1/tasks/task_1", error(404, "not_found", "there is no task task_1"))
    result = invoke("task", "show", "task_1", "--json", gateway_url=stub.url)
    assert json.loads(result.stdout)["error"]["code"] == "not_found"
    assert result.stderr == "Error: there is no task task_1\n"
    assert json.loads(invoke("task", "list", "--json", port="x").stdout)["error"]["code"] == "settings"


@pytest.mark.parametrize(
    ("answer", "exit_code"),
    [
        (error(400, "invalid_request", "no"), 2),
        (error(401, "invalid_api_key", "no"), 4),
        (error(403, "admin_required", "no"), 4),
        (error(404, "not_found", "no"), 1),
        (error(503, "unavailable", "no"), 1),
        (Answer(502, b"<html>", "text/html"), 3),
        (Answer(None), 3),
    ],
)
def test_the_exit_code_tells_what_kind_of_failure_it_was(
    invoke: Invoke, stub: Stub, answer: Answer, exit_code: int
) -> None:
    stub.on("GET", "/api/v1/keys", answer)
    result = invoke("key", "list", gateway_url=stub.url)
    assert (result.exit_code, result.stdout) == (exit_code, "")
    assert result.stderr.startswith("Error: ")


def test_the_key_that_is_sent_is_the_one_that_is_set(invoke: Invoke, stub: Stub) -> None:
    stub.on("GET", "/api/v1/keys", reply({"data": []}))
    for settings in ({"gateway_key": "k" * 16, "admin_token": "a" * 16}, {"admin_token": "a" * 16}, {}):
        assert invoke("key", "list", gateway_url=stub.url, **settings).exit_code == 0
    sent = [each.headers.get("Authorization") for each in stub.asked]
    assert sent == ["Bearer " + "k" * 16, "Bearer " + "a" * 16, None]


def test_a_task_is_submitted_as_it_was_typed(invoke: Invoke, stub: Stub) -> None:
    stub.on("POST", "/api/v1/tasks", reply(task("queued"), 201))
    words = [
        "a cat",
        "-m",
        "jimeng-4.5",
        "-k",
        "image",
        "-n",
        "2",
        "--ratio",
        "16:9",
        "--seed",
        "7",
        "--resolution",
        "2k",
    ]
    assert invoke("task", "submit", *words, gateway_url=stub.url).stdout == "task_1\n"
    assert stub.asked[0].json == {
        "prompt": "a cat",
        "model": "jimeng-4.5",
        "kind": "image",
        "n": 2,
        "ratio": "16:9",
        "seed": 7,
        "resolution": "2k",
    }
    invoke("task", "submit", "-", "-k", "video", "--duration", "5", gateway_url=stub.url, stdin="a\ndog\n")
    assert stub.asked[1].json == {"prompt": "a\ndog", "kind": "video", "duration": 5.0}


def test_waiting_fetches_the_files(invoke: Invoke, stub: Stub, tmp_path: Path) -> None:
    results = [
        {"index": 0, "url": "http://x/0", "media_type": "image/png", "size": 4, "upstream_url": "u"},
        {"index": 1, "url": "http://x/1", "media_type": "image/webp", "size": 4, "upstream_url": "u"},
        {"index": 2, "url": None, "media_type": None, "size": None, "upstream_url": "u"},
    ]
    stub.on("POST", "/api/v1/tasks", reply(task("queued"), 201))
    stub.on("GET", "/api/v1/tasks/task_1/events", stream(("progress", task("polling"), None)))
    stub.on("GET", "/api/v1/tasks/task_1", reply(task("succeeded", results=results)))
    for index in (0, 1):
        stub.on("GET", f"/api/v1/tasks/task_1/content?index={index}", Answer(200, b"file", "image/png"))
    folder = tmp_path / "new" / "folder"
    result = invoke("task", "submit", "a cat", "--output", str(folder), "--json", gateway_url=stub.url)
    assert result.exit_code == 0
    files = [str(folder / "task_1-0.png"), str(folder / "task_1-1.webp")]
    assert json.loads(result.stdout)["files"] == files
    assert [Path(file).read_bytes() for file in files] == [b"file", b"file"]
    assert "polling" in result.stderr


@pytest.mark.parametrize("stage", ["failed", "cancelled"])
def test_waiting_for_a_task_that_fails_fails(invoke: Invoke, stub: Stub, stage: str) -> None:
    ended = task(stage, error_kind="content_rejected", error_message="the site refused the prompt")
    stub.on("GET", "/api/v1/tasks/task_1", reply(ended))
    result = invoke("task", "wait", "task_1", gateway_url=stub.url)
    assert (result.exit_code, result.stdout) == (1, "")
    assert f"task_1 {stage}: content_rejected: the site refused the prompt" in result.stderr


def test_a_task_is_shown_with_what_happened(invoke: Invoke, stub: Stub) -> None:
    events = [
        {"seq": 1, "at": "2026-11-23T22:09:23.456Z", "name": "task.created", "data": {"model": "jimeng-4.5"}}
    ]
    stub.on("GET", "/api/v1/tasks/task_1", reply(task("polling", queue_position=3, queue_eta=40)))
    stub.on("GET", "/api/v1/tasks/task_1/events", reply({"data": events}))
    shown = invoke("task", "show", "task_1", gateway_url=stub.url).stdout
    for words in ("a cat", "2048x2048 1:1 2k", "40 s", "task.created", "model=jimeng-4.5"):
        assert words in shown
    assert (
        json.loads(invoke("task", "show", "task_1", "--json", gateway_url=stub.url).stdout)["events"]
        == events
    )


def test_tasks_are_listed_with_their_filters(invoke: Invoke, stub: Stub) -> None:
    path = "/api/v1/tasks?stage=polling&kind=image&limit=5&cursor=c1"
    stub.on("GET", path, reply({"data": [task("polling")], "next_cursor": "c2"}))
    arguments = ["task", "list", "--stage", "polling", "--kind", "image", "--limit", "5", "--cursor", "c1"]
    result = invoke(*arguments, gateway_url=stub.url)
    assert "task_1" in result.stdout
    assert "--cursor c2" in result.stderr
    listed = invoke(*arguments, "--json", gateway_url=stub.url)
    assert json.loads(listed.stdout)["next_cursor"] == "c2"
    assert listed.stderr == ""


def test_a_prompt_cannot_bend_the_terminal(invoke: Invoke, stub: Stub) -> None:
    nasty = "[red]x[/red] \x1b[31m\x07 [/bold]"
    stub.on(
        "GET", "/api/v1/tasks?limit=20", reply({"data": [task("queued", prompt=nasty)], "next_cursor": None})
    )
    shown = invoke("task", "list", gateway_url=stub.url)
    assert shown.exit_code == 0
    assert "[red]x[/red]" in shown.stdout
    assert "\x1b" not in shown.stdout
    assert "\x07" not in shown.stdout


def test_a_credential_comes_from_stdin_or_a_file(invoke: Invoke, stub: Stub, tmp_path: Path) -> None:
    stub.on("POST", "/api/v1/sessions", reply(SESSION, 201))
    file = tmp_path / "cookie"
    file.write_text("sessionid=abc; other=1\n")
    ways = [([], "abc\n"), (["--credential-file", "-"], " abc "), (["--credential-file", str(file)], None)]
    for arguments, stdin in ways:
        result = invoke("session", "add", "--label", "mine", *arguments, stdin=stdin, gateway_url=stub.url)
        assert result.stdout == "session_1\n"
    assert [each.json["credential"] for each in stub.asked] == ["abc", "abc", "sessionid=abc; other=1"]
    assert stub.asked[0].json == {"credential": "abc", "label": "mine", "region": "cn"}


@pytest.mark.parametrize("arguments", [["abc"], ["--credential", "abc"]], ids=" ".join)
def test_a_credential_is_never_an_argument(invoke: Invoke, stub: Stub, arguments: list[str]) -> None:
    assert invoke("session", "add", *arguments, gateway_url=stub.url).exit_code == 2
    assert stub.asked == []


@pytest.mark.parametrize(("arguments", "stdin"), [([], " \n"), (["--credential-file", "missing"], None)])
def test_no_credential_is_a_usage_error(
    invoke: Invoke, stub: Stub, arguments: list[str], stdin: str | None
) -> None:
    assert invoke("session", "add", *arguments, stdin=stdin, gateway_url=stub.url).exit_code == 2
    assert stub.asked == []


def test_a_session_is_valid_only_if_the_site_says_so(invoke: Invoke, stub: Stub) -> None:
    good = {"valid": True, "account": {"uid": "1", "name": "someone", "credits": 60}, "error": None}
    bad = {"valid": False, "account": None, "error": {"kind": "auth", "message": "login error"}}
    stub.on("POST", "/api/v1/sessions/session_1/test", reply(good), reply(bad))
    first = invoke("session", "test", "session_1", gateway_url=stub.url)
    assert (first.exit_code, first.stdout) == (0, "session_1 valid: someone, 60 credits\n")
    second = invoke("session", "test", "session_1", gateway_url=stub.url)
    assert (second.exit_code, second.stdout) == (1, "session_1 not valid: auth: login error\n")


def test_sessions_are_listed_switched_and_removed(invoke: Invoke, stub: Stub) -> None:
    stub.on("GET", "/api/v1/sessions", reply({"data": [SESSION]}))
    stub.on("PATCH", "/api/v1/sessions/session_1", reply({**SESSION, "enabled": False}))
    stub.on("DELETE", "/api/v1/sessions/session_1", reply({"id": "session_1", "deleted": True}))
    assert "1/2" in invoke("session", "list", gateway_url=stub.url).stdout
    assert invoke("session", "disable", "session_1", gateway_url=stub.url).stdout == "session_1 disabled\n"
    assert (
        invoke("session", "remove", "session_1", "--yes", gateway_url=stub.url).stdout
        == "session_1 removed\n"
    )
    assert stub.asked[1].json == {"enabled": False}


def test_a_key_is_told_what_its_callers_get(invoke: Invoke, stub: Stub) -> None:
    options = {
        "aliases": {"sora-2": "seedance-2.0"},
        "image_format": "auto",
        "wait": 50,
        "ark_status": "auto",
    }
    stub.on("PATCH", "/api/v1/keys/key_1", reply({**KEY, "options": options}))
    settings = {"gateway_url": stub.url, "gateway_key": "a" * 16}
    chosen = ("--alias", "sora-2=seedance-2.0", "--alias", "x*=jimeng-4.5", "--wait", "50")
    told = invoke("key", "set", "key_1", *chosen, **settings).stdout
    assert "aliases: sora-2=seedance-2.0\n" in told
    assert stub.asked[-1].json == {"aliases": {"sora-2": "seedance-2.0", "x*": "jimeng-4.5"}, "wait": 50}
    invoke("key", "set", "key_1", "--no-aliases", "--wait", "auto", **settings)
    assert stub.asked[-1].json == {"aliases": {}, "wait": "auto"}
    for wrong in ([], ["--alias", "sora-2"], ["--wait", "long"]):
        assert invoke("key", "set", "key_1", *wrong, **settings).exit_code == 2
    assert len(stub.asked) == 2


def test_a_key_is_shown_once_and_alone_on_stdout(invoke: Invoke, stub: Stub) -> None:
    stub.on("POST", "/api/v1/keys", reply({**KEY, "key": "gw_secret"}, 201))
    stub.on("GET", "/api/v1/keys", reply({"data": [KEY]}))
    stub.on("DELETE", "/api/v1/keys/key_1", reply({**KEY, "revoked_at": "2026-11-23T22:09:23.456Z"}))
    settings = {"gateway_url": stub.url, "gateway_key": "a" * 16}
    assert invoke("key", "create", "bob", "--admin", **settings).stdout == "gw_secret\n"
    assert stub.asked[0].json == {"name": "bob", "admin": True}
    assert "gw_12ab…" in invoke("key", "list", **settings).stdout
    assert invoke("key", "revoke", "key_1", **settings).stdout == "key_1 revoked\n"
