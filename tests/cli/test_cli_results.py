"""`results …` and what the doctor says about the archive."""

from __future__ import annotations

import asyncio
import json
import threading
from pathlib import Path

import pytest
from cli.conftest import Invoke
from cli.stub import Stub, reply, task
from support.s3 import KEYS, S3, Fault, storage

from jimeng_gateway.cli.doctor import Check, examine
from jimeng_gateway.simulator import Simulator

PATH = "/api/v1/removals"


def pruned(files: int, size: int, *, more: bool = False) -> dict[str, object]:
    return {"object": "prune", "files": files, "bytes": size, "dry_run": False, "has_more": more}


def test_pruning_goes_on_until_all_of_it_is_done(invoke: Invoke, stub: Stub) -> None:
    stub.on("POST", PATH, reply(pruned(500, 3 << 30, more=True)), reply(pruned(7, 1 << 29)))
    result = invoke("results", "prune", "--older-than", "30d", "--max-gb", "1.5", gateway_url=stub.url)
    assert (result.exit_code, result.stdout) == (0, "removed 507 results, 3.5 GiB\n")
    sent = [json.loads(each.body) for each in stub.asked]
    assert sent == [{"older_than_s": 2_592_000.0, "max_bytes": 3 << 29, "dry_run": False}] * 2


def test_trying_it_out_removes_nothing(invoke: Invoke, stub: Stub) -> None:
    stub.on("POST", PATH, reply({**pruned(2, 2048), "dry_run": True}))
    result = invoke("results", "prune", "--max-gb", "0", "--dry-run", gateway_url=stub.url)
    assert result.stdout == "would remove 2 results, 2.0 KiB\n"
    assert json.loads(stub.asked[0].body) == {"max_bytes": 0, "dry_run": True}
    shown = invoke("results", "prune", "--max-gb", "0", "--dry-run", "--json", gateway_url=stub.url)
    assert json.loads(shown.stdout) == {"files": 2, "bytes": 2048, "dry_run": True}


@pytest.mark.parametrize(
    "words", [[], ["--older-than", "a month"], ["--older-than", "-3d"], ["--max-gb", "-1"]]
)
def test_what_cannot_be_meant_is_asked_about(invoke: Invoke, stub: Stub, words: list[str]) -> None:
    result = invoke("results", "prune", *words, gateway_url=stub.url)
    assert (result.exit_code, stub.asked) == (2, [])
    assert result.stderr


def test_the_report(invoke: Invoke, stub: Stub) -> None:
    line = {
        "task_id": "task_1",
        "index": 3,
        "removed_at": "2026-11-23T22:09:23.456Z",
        "why": "age",
        "bytes": 12,
    }
    page = {"data": [line], "has_more": True, "next_cursor": "c2"}
    stub.on("GET", f"{PATH}?limit=20", reply(page))
    result = invoke("results", "removed", gateway_url=stub.url)
    assert "task_1" in result.stdout
    assert "12 B" in result.stdout
    assert "--cursor c2" in result.stderr
    assert json.loads(invoke("results", "removed", "--json", gateway_url=stub.url).stdout) == page
    assert "超过保留期" in invoke("results", "removed", gateway_url=stub.url, lang="zh").stdout


def test_a_removed_result_is_shown_as_such(invoke: Invoke, stub: Stub) -> None:
    gone = {"index": 0, "url": None, "removed_at": "2026-11-23T22:09:23.456Z", "removed_why": "size"}
    stub.on("GET", "/api/v1/tasks/task_1", reply(task("succeeded", results=[gone])))
    stub.on("GET", "/api/v1/tasks/task_1/events", reply({"data": []}))
    assert "(size)" in invoke("task", "show", "task_1", gateway_url=stub.url).stdout


def archive_check(
    folder: Path, *faults: Fault | None, secret: str = KEYS.secret_access_key
) -> tuple[Check, S3]:
    """What the doctor finds with a storage on another thread's loop, as it runs loops of its own."""
    ready, done, found = threading.Event(), threading.Event(), []

    async def keep() -> None:
        async with storage() as s3:
            s3.faults.extend(faults)
            found.append(s3)
            ready.set()
            await asyncio.to_thread(done.wait)

    thread = threading.Thread(target=lambda: asyncio.run(keep()))
    thread.start()
    ready.wait(10)
    try:
        with Simulator() as site:
            environ = {
                "JIMENG_DATA_DIR": str(folder / "data"),
                "JIMENG_UPSTREAM_URL": site.base_url,
                "JIMENG_PORT": "0",
                "JIMENG_ARCHIVE_URL": str(found[0].address()),
                "JIMENG_ARCHIVE_KEY_ID": KEYS.access_key_id,
                "JIMENG_ARCHIVE_SECRET": secret,
            }
            checks = {check.name: check for check in examine(environ)}
    finally:
        done.set()
        thread.join(10)
    return checks["archive"], found[0]


def test_the_doctor_tries_the_archive_and_leaves_nothing_there(tmp_path: Path) -> None:
    check, s3 = archive_check(tmp_path)
    assert (check.status, s3.objects, s3.methods) == ("ok", {}, ["PUT", "HEAD", "GET", "DELETE"])
    assert check.found.startswith("s3://results/gw at http://127.0.0.1:")


def test_the_doctor_tells_what_the_archive_refuses(tmp_path: Path) -> None:
    check, _ = archive_check(tmp_path, secret="not-this-one")
    assert check.status == "fail"
    assert "SignatureDoesNotMatch" in check.found
    assert "JIMENG_ARCHIVE_URL" in check.advice
    check, _ = archive_check(tmp_path, None, None, Fault.HALF)
    assert check.status == "fail"
