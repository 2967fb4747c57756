"""A gateway that answers from a script and remembers what it was asked."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Asked:
    """One request."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Answer:
    """One reply; `length` lies about the size of the body, `None` closes the connection without a reply."""

    status: int | None = 200
    body: bytes = b""
    content_type: str = "application/json"
    length: int | None = None
    location: str = ""


def reply(value: object, status: int = 200) -> Answer:
    return Answer(status, json.dumps(value).encode())


def error(status: int, code: str, message: str, param: str | None = None) -> Answer:
    return reply({"error": {"code": code, "message": message, "param": param}}, status)


def stream(*events: tuple[str, dict[str, Any], int | None]) -> Answer:
    frames = []
    for name, data, number in events:
        head = f"id: {number}\n" if number is not None else ""
        frames.append(f"{head}event: {name}\ndata: {json.dumps(data)}\n\n")
    return Answer(200, ("retry: 2000\n: keep-alive\n\n" + "".join(frames)).encode(), "text/event-stream")


def task(stage: str, **other: Any) -> dict[str, Any]:
    """A task as the API shows it."""
    shown: dict[str, Any] = {
        "id": "task_1",
        "kind": "image",
        "model": "jimeng-4.5",
        "stage": stage,
        "prompt": "a cat",
        "request": {"width": 2048, "height": 2048, "ratio": "1:1", "resolution": "2k", "duration": None},
        "progress": 1.0 if stage == "succeeded" else 0.05,
        "queue_position": None,
        "queue_total": None,
        "queue_eta": None,
        "results": [],
        "error_kind": None,
        "error_message": None,
        "late": False,
        "attempts": 1,
        "session_id": "session_1",
        "retry_of": None,
        "created_at": "2026-11-23T22:09:23.456Z",
        "finished_at": None,
    }
    return {**shown, **other}


class Stub:
    """`on("GET", "/path", answer, …)`: each answer once, the last one for ever after."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self._answers: dict[tuple[str, str], list[Answer]] = {}
        stub = self

        class Handler(BaseHTTPRequestHandler):
            def handle_one_request(self) -> None:
                self.raw_requestline = self.rfile.readline(65537)
                if self.raw_requestline and self.parse_request():
                    stub._serve(self)
                self.close_connection = True

            def log_message(self, *_: object) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def on(self, method: str, path: str, *answers: Answer) -> None:
        self._answers[method, path] = list(answers)

    def __enter__(self) -> Stub:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        size = int(handler.headers.get("Content-Length", 0))
        asked = Asked(handler.command, handler.path, dict(handler.headers), handler.rfile.read(size))
        self.asked.append(asked)
        answers = self._answers.get((asked.method, asked.path), [error(404, "not_found", "no such route")])
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if answer.status is None:
            return
        handler.send_response(answer.status)
        handler.send_header("Content-Type", answer.content_type)
        handler.send_header(
            "Content-Length", str(len(answer.body) if answer.length is None else answer.length)
        )
        if answer.location:
            handler.send_header("Location", answer.location)
        handler.end_headers()
        handler.wfile.write(answer.body)
