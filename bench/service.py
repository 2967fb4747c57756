"""What the measurements run on: processes pinned to cores, and what they cost by the kernel's books."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "tests"))

from support.process import ADMIN_TOKEN, Api, Gateway, gateway, until  # noqa: E402

__all__ = ["ADMIN_TOKEN", "Api", "Gateway", "gateway", "until"]

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


@contextmanager
def on_core(number: int) -> Iterator[None]:
    """Processes started in the block stay on that core, as far as there are several."""
    allowed = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {allowed[number % len(allowed)]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, set(allowed))


def cpu_s(pid: int) -> float:
    """CPU seconds of a process so far, all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def rss_mb(pid: int) -> float:
    """Resident memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE / 1e6


@contextmanager
def folder() -> Iterator[Path]:
    """A directory that goes with the block."""
    with tempfile.TemporaryDirectory(prefix="jimeng-bench-") as made:
        yield Path(made)


def load(port: int, request: bytes, *, connections: int, seconds: float) -> dict[str, Any]:
    """What the load generator reports."""
    with on_core(1):
        done = subprocess.run(
            [sys.executable, HERE / "load.py", "127.0.0.1", str(port), str(connections), str(seconds)],
            input=request,
            capture_output=True,
            check=True,
            timeout=seconds + 20,
        )
    report: dict[str, Any] = json.loads(done.stdout)
    assert report["errors"] == 0, report
    return report


def http_request(method: str, path: str, token: str, body: object = None) -> bytes:
    """A raw request."""
    data = b"" if body is None else json.dumps(body).encode()
    lines = [f"{method} {path} HTTP/1.1", "host: 127.0.0.1", f"authorization: Bearer {token}"]
    if data:
        lines += ["content-type: application/json", f"content-length: {len(data)}"]
    return "\r\n".join([*lines, "", ""]).encode() + data


@contextmanager
def bare(body: bytes) -> Iterator[tuple[int, int]]:
    """The baseline application; its port and its pid."""
    with on_core(0):
        process = subprocess.Popen(
            [sys.executable, HERE / "bare.py"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(body)
        process.stdin.close()
        yield int(process.stdout.readline()), process.pid
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


class Site:
    """A simulated site in a process of its own, asked through its admin door."""

    def __init__(self, url: str, pid: int) -> None:
        self.url = url
        self.pid = pid

    def ask(self, path: str, body: object = None) -> Any:
        """One of its doors."""
        data = None if body is None else json.dumps(body).encode()
        with urlopen(Request(f"{self.url}/_sim{path}", data=data)) as reply:
            return json.load(reply)


@contextmanager
def site(**options: object) -> Iterator[Site]:
    """A running one."""
    chosen = [part for name, value in options.items() for part in ("--set", f"{name}={json.dumps(value)}")]
    with on_core(1):
        process = subprocess.Popen(
            [sys.executable, "-m", "jimeng_gateway", "simulate", "--port", "0", *chosen],
            stdout=subprocess.PIPE,
            text=True,
        )
    assert process.stdout is not None
    try:
        yield Site(process.stdout.readline().split()[3], process.pid)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def fdatasync_ms(folder: Path) -> float:
    """Median time of making a small write durable here."""
    took = []
    with (folder / "probe").open("wb") as file:
        for _ in range(200):
            begun = time.perf_counter()
            file.write(b"x" * 4096)
            file.flush()
            os.fdatasync(file.fileno())
            took.append(time.perf_counter() - begun)
    return 1000 * sorted(took)[100]


def machine() -> str:
    """One line about this machine."""
    model = platform.processor() or platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    memory = int(Path("/proc/meminfo").read_text().split()[1]) / 1e6
    with folder() as probe:
        flush = fdatasync_ms(probe)
    return (
        f"{len(os.sched_getaffinity(0))} cores of {model}, {memory:.0f} GB, {platform.system()} "
        f"{platform.release()}, Python {platform.python_version()}, fdatasync {flush:.2f} ms, "
        f"load average {os.getloadavg()[2]:.1f} (what is above about 1.5 was other work)"
    )
