"""Real `serve` processes for tests that end them in every way a process can end.

Each listens on a port of its own choosing and says in its log where; a process that is started again may
listen elsewhere, so callers ask for `url` anew. Nothing outlives the block that started it.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

T = TypeVar("T")

ADMIN_TOKEN = "adm-token-0123456789abcdef"
#: How often a condition is looked at.
LOOK_S = 0.02

#: A gateway in a hurry, for a simulator that is one too. Nothing here changes what it promises.
SHORT: Mapping[str, str] = {
    "JIMENG_LEASE": "5",
    "JIMENG_RECONCILE": "3",
    "JIMENG_SUBMIT_TIMEOUT": "10",
    "JIMENG_POLL_IMAGE_FIRST": "0.5",
    "JIMENG_POLL_IMAGE_EVERY": "0.3",
    "JIMENG_POLL_VIDEO_FIRST": "0.8",
    "JIMENG_POLL_VIDEO_EVERY": "0.5",
    "JIMENG_POLL_LONGEST": "2",
}


def until(ready: Callable[[], T], *, seconds: float, what: str, look: float = LOOK_S) -> T:
    """The first true value of `ready`, looked at every `look` seconds; AssertionError if there is none."""
    deadline = time.monotonic() + seconds
    while True:
        found = ready()
        if found:
            return found
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(look)


class Gateway:
    """One gateway process after another over the same settings."""

    def __init__(self, folder: Path, environ: Mapping[str, str], name: str = "gateway") -> None:
        self._log = folder / f"{name}.log"
        self._environ = {key: value for key, value in os.environ.items() if not key.startswith("JIMENG_")}
        self._environ |= {
            "JIMENG_PORT": "0",
            "JIMENG_DATA_DIR": str(folder / "data"),
            "JIMENG_ADMIN_TOKEN": ADMIN_TOKEN,
            "JIMENG_LOG_FORMAT": "json",
            # The simulator wants no signature, and no browser has to be there.
            "JIMENG_SUBMIT_ROUTE": "direct",
            **environ,
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._started_at = 0
        self.url = ""

    @property
    def pid(self) -> int:
        """Of the running process."""
        assert self._process is not None
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.poll() is None

    def launch(self) -> None:
        """Starts a process and returns at once."""
        assert not self.alive
        self._started_at = self._log.stat().st_size if self._log.exists() else 0
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "jimeng_gateway", "serve"],
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def start(self, *, seconds: float = 20) -> None:
        """Starts a process and returns when it answers."""
        self.launch()
        self.ready(seconds=seconds)

    def ready(self, *, seconds: float = 20) -> None:
        """Returns when the process that was launched answers."""
        self.url = until(self._said_url, seconds=seconds, what="the gateway listens")

    def _said_url(self) -> str:
        assert self.alive, f"the gateway ended:\n{self.output()}"
        return next((line["url"] for line in self.log() if line.get("event") == "gateway.ready"), "")

    def kill(self) -> None:
        """kill -9."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def terminate(self, *, seconds: float) -> float:
        """SIGTERM; the seconds until it had ended. AssertionError if it took longer than it may."""
        assert self._process is not None
        asked = time.monotonic()
        self._process.send_signal(signal.SIGTERM)
        try:
            code = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running {seconds:g} s after SIGTERM:\n{self.output()}") from None
        assert code == 0, f"ended with {code}:\n{self.output()}"
        return time.monotonic() - asked

    def ended(self, *, seconds: float) -> int:
        """Waits for it to end by itself; its exit code."""
        assert self._process is not None
        return self._process.wait(seconds)

    def stop(self) -> None:
        """Ends whatever runs."""
        if self.alive:
            self.kill()

    def output(self) -> str:
        """What the present process wrote so far."""
        with self._log.open("rb") as file:
            file.seek(self._started_at)
            return file.read().decode(errors="replace")

    def log(self) -> list[dict[str, Any]]:
        """The present process's log lines."""
        return _events(self.output())

    def whole_log(self) -> list[dict[str, Any]]:
        """The log lines of all processes so far."""
        return _events(self._log.read_text(encoding="utf-8", errors="replace"))


def _events(text: str) -> list[dict[str, Any]]:
    # The last line may be half written, and a process that was killed leaves one that stays so.
    found = []
    for line in text.splitlines():
        if line.startswith("{") and line.endswith("}"):
            try:
                found.append(json.loads(line))
            except ValueError:
                continue
    return found


@contextmanager
def gateway(folder: Path, environ: Mapping[str, str], name: str = "gateway") -> Iterator[Gateway]:
    """A running gateway for the time of the block."""
    made = Gateway(folder, environ, name)
    try:
        made.start()
        yield made
    finally:
        made.stop()


class Api:
    """The HTTP API of a gateway that may come and go."""

    def __init__(self, where: Gateway, token: str = ADMIN_TOKEN) -> None:
        self._where = where
        self._token = token

    def open(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        headers: Mapping[str, str] | None = None,
        timeout: float = 30,
    ) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        """Sends a request; whoever calls closes the connection. OSError if nobody listens."""
        parts = urlsplit(self._where.url)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout)
        sent = {"authorization": f"Bearer {self._token}", **(headers or {})}
        data = None
        if body is not None:
            data, sent["content-type"] = json.dumps(body).encode(), "application/json"
        try:
            connection.request(method, path, data, sent)
            return connection, connection.getresponse()
        except BaseException:
            connection.close()
            raise

    def raw(self, method: str, path: str, body: object = None, **more: Any) -> tuple[int, bytes]:
        """Status and body."""
        connection, response = self.open(method, path, body, **more)
        try:
            return response.status, response.read()
        finally:
            connection.close()

    def call(self, method: str, path: str, body: object = None, **more: Any) -> Any:
        """The JSON of a reply; AssertionError for an error."""
        status, data = self.raw(method, path, body, **more)
        assert status < 400, f"{method} {path}: {status} {data.decode(errors='replace')}"
        return json.loads(data) if data else None

    def patiently(self, method: str, path: str, body: object = None, *, seconds: float = 30) -> Any:
        """The same, again and again as long as the gateway is away. Not for what must happen once."""

        def attempt() -> list[Any]:
            try:
                return [self.call(method, path, body)]
            except (OSError, http.client.HTTPException):
                return []

        return until(attempt, seconds=seconds, what=f"an answer to {method} {path}")[0]

    # ── what tests do most ───────────────────────────────────────────────────────────────────────

    def add_sessions(self, count: int, **more: Any) -> list[str]:
        """New logins; their credentials, by which the simulator knows them."""
        made = [f"{number:08d}{'5e55' * 6}" for number in range(count)]
        for credential in made:
            self.call("POST", "/api/v1/sessions", {"credential": credential, **more})
        return made

    def submit(self, prompt: str, model: str = "jimeng-4.5", **more: Any) -> str:
        """A new task's id."""
        return str(self.call("POST", "/api/v1/tasks", {"prompt": prompt, "model": model, **more})["id"])

    def task(self, task_id: str) -> dict[str, Any]:
        """One task."""
        found: dict[str, Any] = self.call("GET", f"/api/v1/tasks/{task_id}")
        return found

    def events(self, task_id: str) -> list[str]:
        """The names of a task's events."""
        found = self.call("GET", f"/api/v1/tasks/{task_id}/events")
        return [event["name"] for event in found["data"]]

    def stages(self) -> dict[str, int]:
        """How many tasks are in each stage."""
        found: dict[str, int] = self.call("GET", "/api/v1/stats")["tasks"]["by_stage"]
        return found

    def reaches(self, task_id: str, stage: str, *, seconds: float = 20) -> dict[str, Any]:
        """The task once it is in that stage."""

        def there() -> dict[str, Any] | None:
            task = self.task(task_id)
            return task if task["stage"] == stage else None

        found = until(there, seconds=seconds, what=f"{task_id} is {stage}")
        assert found is not None
        return found
