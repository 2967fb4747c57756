"""The doctor finds what is wrong, says what to do, and changes nothing."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import apsw
import pytest
from cli.conftest import Invoke
from cli.stub import Answer, Stub, error, reply

from jimeng_gateway.app import local_gateway
from jimeng_gateway.cli.doctor import Check, examine
from jimeng_gateway.settings import Settings
from jimeng_gateway.simulator import Simulator, SimulatorOptions
from jimeng_gateway.store.database import migrations


def found(data: Path, upstream: str, **settings: str) -> dict[str, Check]:
    environ = {"JIMENG_DATA_DIR": str(data), "JIMENG_UPSTREAM_URL": upstream, "JIMENG_PORT": "0"}
    environ |= {f"JIMENG_{name.upper()}": value for name, value in settings.items()}
    return {check.name: check for check in examine(environ)}


async def _start(data: Path) -> None:
    async with local_gateway(Settings(data_dir=data)):
        pass


def started(data: Path) -> Path:
    """A data directory as the first start leaves it."""
    asyncio.run(_start(data))
    return data


def test_a_new_machine_is_in_order_and_stays_as_it_was(tmp_path: Path) -> None:
    with Simulator() as site:
        checks = found(tmp_path / "data", site.base_url)
    assert {check.status for check in checks.values()} == {"ok"}
    assert checks.keys() == {
        "configuration",
        "data directory",
        "secret key",
        "database",
        "upstream",
        "clock",
        "chromium",
        "port",
    }
    assert list(tmp_path.iterdir()) == []


def test_a_used_machine_is_in_order(tmp_path: Path) -> None:
    with Simulator() as site:
        checks = found(started(tmp_path / "data"), site.base_url)
    assert {check.status for check in checks.values()} == {"ok"}
    assert "mode 0600" in checks["secret key"].found
    assert checks["database"].found.endswith(f"schema {migrations()[-1][0]}")


def test_every_bad_setting_is_a_finding() -> None:
    checks = examine({"JIMENG_PORT": "x", "JIMENG_LEASE": "0"})
    assert [(check.name, check.status) for check in checks] == [("configuration", "fail")] * 2
    assert [check.found.split(":")[0] for check in checks] == ["JIMENG_LEASE", "JIMENG_PORT"]


def test_listening_for_others_without_encryption_is_a_warning(tmp_path: Path) -> None:
    checks = found(tmp_path, "http://127.0.0.1:1", host="0.0.0.0")
    assert checks["configuration"].status == "warn"
    checks = found(tmp_path, "http://127.0.0.1:1", host="0.0.0.0", public_url="https://example.com")
    assert checks["configuration"].status == "ok"


def test_a_data_directory_that_is_a_file_fails(tmp_path: Path) -> None:
    file = tmp_path / "data"
    file.touch()
    assert found(file, "http://127.0.0.1:1")["data directory"].status == "fail"


def test_a_key_file_that_others_may_read_fails(tmp_path: Path) -> None:
    data = started(tmp_path / "data")
    (data / "secret.key").chmod(0o644)
    check = found(data, "http://127.0.0.1:1")["secret key"]
    assert (check.status, check.advice) == ("fail", f"chmod 600 {data / 'secret.key'}")


def test_a_database_of_a_newer_version_fails(tmp_path: Path) -> None:
    data = started(tmp_path / "data")
    connection = apsw.Connection(str(data / "gateway.db"))
    connection.execute("INSERT INTO schema_version VALUES (9999)").fetchall()
    connection.close()
    check = found(data, "http://127.0.0.1:1")["database"]
    assert (check.status, check.advice) == ("fail", "upgrade the gateway")


def test_a_file_that_is_no_database_fails(tmp_path: Path) -> None:
    (tmp_path / "gateway.db").write_bytes(b"no database, " * 100)
    assert found(tmp_path, "http://127.0.0.1:1")["database"].status == "fail"


def test_a_postgresql_that_is_away_fails_without_telling_the_password(tmp_path: Path) -> None:
    url = "postgresql://me:hunter2@127.0.0.1:1/gateway"
    check = found(tmp_path, "http://127.0.0.1:1", database_url=url)["database"]
    assert check.status == "fail"
    assert "hunter2" not in check.found + check.advice


def test_an_upstream_that_is_away_fails(tmp_path: Path) -> None:
    checks = found(tmp_path, "http://127.0.0.1:1")
    assert checks["upstream"].status == "fail"
    assert "Connection refused" in checks["upstream"].found
    assert checks["clock"].status == "warn"


@pytest.mark.parametrize(
    ("ahead", "status", "words"),
    [(400.0, "fail", "behind"), (-90.0, "warn", "ahead of"), (5.0, "ok", "behind")],
)
def test_a_wrong_clock_is_measured(tmp_path: Path, ahead: float, status: str, words: str) -> None:
    with Simulator(SimulatorOptions(skew_s=ahead)) as site:
        check = found(tmp_path, site.base_url)["clock"]
    assert check.status == status
    assert words in check.found


def test_a_taken_port_is_told_from_a_running_gateway(tmp_path: Path, stub: Stub) -> None:
    port = stub.url.rpartition(":")[2]
    assert found(tmp_path, "http://127.0.0.1:1", port=port)["port"].status == "fail"
    stub.on("GET", "/ping", Answer(200, b"pong", "text/plain"))
    stub.on(
        "GET",
        "/health/ready",
        error(401, "missing_api_key", "send your key"),
        reply({"status": "not_ready", "checks": {"worker": {"ok": True}, "sessions": {"ok": False}}}, 503),
        reply({"status": "ready"}),
    )
    first = found(tmp_path, "http://127.0.0.1:1", port=port)
    assert (first["port"].status, first["gateway"].status) == ("ok", "warn")
    second = found(tmp_path, "http://127.0.0.1:1", port=port)["gateway"]
    assert (second.status, second.found) == ("warn", "not ready: sessions")
    assert found(tmp_path, "http://127.0.0.1:1", port=port)["gateway"].status == "ok"


def test_the_command_ends_with_1_if_anything_failed(invoke: Invoke, tmp_path: Path) -> None:
    with Simulator() as site:
        good = invoke("doctor", "--json", data_dir=str(tmp_path), upstream_url=site.base_url, port="0")
    bad = invoke("doctor", "--json", data_dir=str(tmp_path), upstream_url="http://127.0.0.1:1", port="0")
    assert (good.exit_code, json.loads(good.stdout)["ok"]) == (0, True)
    assert (bad.exit_code, json.loads(bad.stdout)["ok"]) == (1, False)
    plain = invoke("doctor", data_dir=str(tmp_path), upstream_url="http://127.0.0.1:1", port="0")
    assert "fail" in plain.stdout
    assert "→ check the network" in plain.stdout
