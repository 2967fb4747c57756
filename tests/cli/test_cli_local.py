"""Commands that work on the machine itself: serve, migrate, the first key, the simulated site."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from cli.conftest import Invoke
from support.process import Gateway, gateway

from jimeng_gateway.cli.client import Client
from jimeng_gateway.simulator import Simulator, SimulatorOptions

pytestmark = pytest.mark.e2e


def test_the_first_start_prints_an_admin_token_once(tmp_path: Path, invoke: Invoke) -> None:
    environ = {
        "JIMENG_ADMIN_TOKEN": "",
        "JIMENG_UPSTREAM_URL": "http://127.0.0.1:1",
        "JIMENG_JSON_OUTPUT": "yes",
    }
    process = Gateway(tmp_path, environ)
    try:
        process.start()
        tokens = re.findall(r"gw_[0-9a-f]{32}", process.output())
        assert len(tokens) == 1
        listed = invoke("key", "list", "--json", gateway_url=process.url, gateway_key=tokens[0])
        assert (listed.exit_code, json.loads(listed.stdout)["data"]) == (0, [])
        process.terminate(seconds=10)
        process.start()
        assert "gw_" not in process.output()
        assert invoke("key", "list", gateway_url=process.url, gateway_key=tokens[0]).exit_code == 0
        assert tokens[0] not in "".join(path.read_text("latin-1") for path in (tmp_path / "data").iterdir())
    finally:
        process.stop()


def test_a_task_from_submit_to_file_through_the_commands(tmp_path: Path, invoke: Invoke) -> None:
    pace = {"JIMENG_POLL_IMAGE_FIRST": "200ms", "JIMENG_POLL_IMAGE_EVERY": "200ms"}
    with (
        Simulator(SimulatorOptions(speed=20)) as site,
        gateway(tmp_path, {"JIMENG_UPSTREAM_URL": site.base_url, **pace}) as process,
    ):
        admin = {"gateway_url": process.url, "gateway_key": "adm-token-0123456789abcdef"}
        added = invoke("session", "add", "--test", "--json", stdin="0123456789abcdef", **admin)
        assert json.loads(added.stdout)["test"]["valid"] is True
        key = invoke("key", "create", "bob", **admin).stdout.strip()
        mine = {"gateway_url": process.url, "gateway_key": key}
        submitted = invoke(
            "task", "submit", "a cat", "-k", "image", "-o", str(tmp_path / "out"), "--json", **mine
        )
        task = json.loads(submitted.stdout)
        assert (submitted.exit_code, task["stage"]) == (0, "succeeded")
        assert Path(task["files"][0]).read_bytes().startswith(b"\x89PNG")
        shown = json.loads(invoke("task", "show", task["id"], "--json", **mine).stdout)
        assert shown["events"][-1]["name"] == "task.succeeded"
        again = invoke("task", "retry", task["id"], **mine).stdout.strip()
        assert again != task["id"]
        assert invoke("task", "wait", again, **mine).exit_code == 0
        assert invoke("task", "cancel", again, **mine).exit_code == 1
        listed = json.loads(invoke("task", "list", "--json", **mine).stdout)["data"]
        assert [each["id"] for each in listed] == [again, task["id"]]
        assert invoke("session", "list", **mine).exit_code == 4


def test_the_first_key_is_made_without_a_gateway(tmp_path: Path, invoke: Invoke) -> None:
    data = {"data_dir": str(tmp_path / "data")}
    made = json.loads(invoke("key", "create", "first", "--admin", "--json", **data).stdout)
    assert made["role"] == "admin"
    with gateway(tmp_path, {"JIMENG_UPSTREAM_URL": "http://127.0.0.1:1"}) as process:
        keys = Client(process.url, made["key"]).get("/api/v1/keys")["data"]
    assert [(key["id"], key["name"]) for key in keys] == [(made["id"], "first")]


def test_migrate_brings_a_database_up_and_then_has_nothing_to_do(tmp_path: Path, invoke: Invoke) -> None:
    data = {"data_dir": str(tmp_path / "data")}
    first = json.loads(invoke("migrate", "--json", **data).stdout)["applied"]
    assert first[0] == 1
    assert invoke("migrate", **data).stdout == "nothing to do\n"


def test_an_address_that_cannot_be_had_is_said_plainly(tmp_path: Path, invoke: Invoke) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        environ = {"JIMENG_PORT": str(port), "JIMENG_UPSTREAM_URL": "http://127.0.0.1:1"}
        process = Gateway(tmp_path, environ)
        process.launch()
        assert process.ended(seconds=20) == 1
    assert f"cannot serve on 127.0.0.1:{port}" in process.output()
    assert "Traceback" not in process.output()


def test_the_simulated_site_runs_alone(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "jimeng_gateway", "simulate", "--port", "0", "--set", "credits=7"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            url = re.findall(r"http://127\.0\.0\.1:\d+", process.stdout.readline())[0]
            assert Client(url, "").get("/_sim/state")
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


@pytest.mark.parametrize("option", ["nonsense", "nothing=1", "speed=0", 'sign="loose"'])
def test_an_option_that_no_site_has_is_a_usage_error(invoke: Invoke, option: str) -> None:
    result = invoke("simulate", "--port", "0", "--set", option)
    assert result.exit_code == 2
    assert "--set" in result.stderr
