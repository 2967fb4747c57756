"""Requests per second: reading a task and queueing one durably, against an application that does nothing."""

from __future__ import annotations

import statistics
import time
from pathlib import Path

import apsw
from report import Figure
from service import ADMIN_TOKEN, Api, bare, cpu_s, folder, gateway, http_request, load, on_core

SECONDS = 4.0
CONNECTIONS = 32
NOWHERE = {"JIMENG_UPSTREAM_URL": "http://127.0.0.1:9"}


def measure(runs: int) -> list[Figure]:
    """Interleaved runs; medians."""
    gets, posts, bares, bare_posts, commits = [], [], [], [], []
    for _ in range(runs):
        with folder() as data, on_core(0), gateway(data, NOWHERE) as gate:
            port = int(gate.url.rpartition(":")[2])
            api = Api(gate)
            key = api.call("POST", "/api/v1/keys", {"name": "bench"})["key"]
            task_id = Api(gate, key).submit("a cat on a roof at night, in the rain")
            shown = Api(gate, key).raw("GET", f"/api/v1/tasks/{task_id}")[1]
            gets.append(_loaded(port, gate.pid, http_request("GET", f"/api/v1/tasks/{task_id}", key)))
            post = http_request("POST", "/api/v1/tasks", key, {"prompt": "a cat", "model": "jimeng-4.5"})
            posts.append(_loaded(port, gate.pid, post))
        with bare(shown) as (port, pid):
            bares.append(_loaded(port, pid, http_request("GET", "/", ADMIN_TOKEN)))
            bare_posts.append(_loaded(port, pid, post))
        commits.append(_commits_each())
    get_rate, get_cpu = _medians(gets)
    post_rate, post_cpu = _medians(posts)
    bare_rate, bare_cpu = _medians(bares)
    bare_post_rate, _ = _medians(bare_posts)
    commit_rate = statistics.median(commits)
    return [
        Figure("GET of a task, authenticated", f"{get_rate:,.0f}/s", f"{get_cpu:.0f} µs CPU each"),
        Figure("· bare Starlette, same server and bytes", f"{bare_rate:,.0f}/s", f"{bare_cpu:.0f} µs"),
        Figure(
            "· of its throughput",
            f"{100 * get_rate / bare_rate:.0f} %",
            "target 40 %",
            get_rate >= 0.4 * bare_rate,
        ),
        Figure(
            "· CPU, bare to ours", f"{100 * bare_cpu / get_cpu:.0f} %", "holds when others use the machine"
        ),
        Figure("POST of a task, durable (synchronous=FULL)", f"{post_rate:,.0f}/s", f"{post_cpu:.0f} µs CPU"),
        Figure("· bare Starlette taking the same POST", f"{bare_post_rate:,.0f}/s", ""),
        Figure("· one bare SQLite commit after another", f"{commit_rate:,.0f}/s", "no HTTP, one thread"),
    ]


def _loaded(port: int, pid: int, request: bytes) -> tuple[float, float]:
    """Requests per second, and CPU microseconds for each."""
    load(port, request, connections=CONNECTIONS, seconds=0.5)
    before = cpu_s(pid)
    report = load(port, request, connections=CONNECTIONS, seconds=SECONDS)
    return report["per_second"], 1e6 * (cpu_s(pid) - before) / report["requests"]


def _medians(runs: list[tuple[float, float]]) -> tuple[float, float]:
    return statistics.median(rate for rate, _ in runs), statistics.median(cpu for _, cpu in runs)


def _commits_each(count: int = 2000) -> float:
    """Commits per second of the cheapest thing that could be called durable."""
    with folder() as data, on_core(0):
        connection = apsw.Connection(str(Path(data) / "bare.db"))
        for pragma in ("journal_mode=WAL", "synchronous=FULL"):
            connection.execute(f"PRAGMA {pragma}").fetchall()
        connection.execute("CREATE TABLE task (id INTEGER PRIMARY KEY, body TEXT)").fetchall()
        begun = time.perf_counter()
        for _ in range(count):
            connection.execute("INSERT INTO task (body) VALUES (?)", ("x" * 600,)).fetchall()
        elapsed = time.perf_counter() - begun
        connection.close()
    return count / elapsed
