"""One step of a program that is replayed: its requests, and how it looks at what comes back.

A replay sends what the program's source sends and no header more, and judges replies by the program's own
types. Each request goes through the fault proxy under the name of its step, as those of the real programs do.
"""

from __future__ import annotations

import base64
import http.client
import json
import secrets
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit

import msgspec
from harness.stage import PICTURE, Stage
from support.process import until

from jimeng_gateway.store.files import sniff

T = TypeVar("T")

#: Longest that a job of the simulated site takes, with everything around it, in seconds.
LONGEST_S = 30.0

#: What the programs ask for; the names at the Ark door are those that its clients have built in.
IMAGE = "jimeng-4.5"
VIDEO = "seedance-2.0-fast"
ARK_IMAGE = "doubao-seedream-4-5-251128"
ARK_VIDEO = "doubao-seedance-2-0-fast-260128"
ARK_IMAGES = "/api/v3/images/generations"
ARK_TASKS = "/api/v3/contents/generations/tasks"
DATA_URI = "data:image/png;base64," + base64.b64encode(PICTURE).decode()


@dataclass(frozen=True, slots=True)
class File:
    """A part of a form that is a file."""

    name: str
    media_type: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Form:
    """A multipart body: parts in the order in which they are sent."""

    parts: tuple[tuple[str, str | File], ...]

    def encoded(self) -> tuple[str, bytes]:
        """Content type and body."""
        boundary = secrets.token_hex(16)
        pieces = []
        for name, value in self.parts:
            head = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"'
            if isinstance(value, File):
                head += f'; filename="{value.name}"\r\nContent-Type: {value.media_type}'
            data = value.data if isinstance(value, File) else value.encode()
            pieces.append(head.encode() + b"\r\n\r\n" + data + b"\r\n")
        pieces.append(f"--{boundary}--\r\n".encode())
        return f"multipart/form-data; boundary={boundary}", b"".join(pieces)


Body = Mapping[str, Any] | Form | None


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back."""

    status: int
    #: Names in lower case.
    headers: Mapping[str, str]
    data: bytes

    def json(self) -> Any:
        """The body, which has to be JSON."""
        return json.loads(self.data)

    def read(self, shape: type[T], status: int = 200) -> T:
        """The body in the program's own types: nothing is converted, as in Go or pydantic's strict mode."""
        assert self.status == status, self
        return msgspec.json.decode(self.data, type=shape)


@dataclass(frozen=True, slots=True)
class Program:
    """One step of a program that was given the gateway's address and a key."""

    stage: Stage
    step: str
    user_agent: str

    @property
    def base(self) -> str:
        """The address that was entered, without a version."""
        return f"{self.stage.proxy.url}/~none.{self.step}"

    def prompt(self, rest: str = "a red kite over the sea") -> str:
        """A prompt by which the site's books know the step."""
        return f"{self.step}: {rest}"

    def send(
        self,
        method: str,
        where: str,
        body: Body = None,
        headers: Mapping[str, str] | None = None,
        *,
        key: str | None = None,
    ) -> Reply:
        """A request with the key; `where` is a path, or a link from a reply."""
        parts = urlsplit(where if where.startswith("http") else self.base + where)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
        sent = {"User-Agent": self.user_agent, "Authorization": f"Bearer {key or self.stage.key}"}
        data = None
        if isinstance(body, Form):
            sent["Content-Type"], data = body.encoded()
        elif body is not None:
            sent["Content-Type"], data = "application/json", json.dumps(body).encode()
        try:
            target = parts.path + (f"?{parts.query}" if parts.query else "")
            connection.request(method, target, data, {**sent, **(headers or {})})
            reply = connection.getresponse()
            return Reply(
                reply.status, {name.lower(): value for name, value in reply.getheaders()}, reply.read()
            )
        finally:
            connection.close()

    def cancel(self) -> None:
        """Cancels the step's task by the administrator's hand, once it is at the site."""
        api = self.stage.api

        def mine() -> list[str]:
            tasks = api.call("GET", "/api/v1/tasks?stage=polling")["data"]
            return [task["id"] for task in tasks if task["prompt"].startswith(f"{self.step}:")]

        (task_id,) = until(mine, seconds=LONGEST_S, what=f"{self.step} is at the site")
        api.call("POST", f"/api/v1/tasks/{task_id}/cancel")

    def polled(self, ask: Callable[[], T], status: Callable[[T], str], going_on: Collection[str]) -> T:
        """The first reply whose status is not one of those that the program takes for unfinished."""

        def ended() -> list[T]:
            found = ask()
            return [] if status(found) in going_on else [found]

        return until(ended, seconds=LONGEST_S, what=f"{self.step} ends", look=0.2)[0]


class Made(msgspec.Struct):
    """All that is read of the reply to a new task at the Ark door."""

    id: str


class Content(msgspec.Struct):
    """Where a task's video is, once there is one."""

    video_url: str = ""


class Usage(msgspec.Struct):
    """What a task has used."""

    completion_tokens: int = 0
    total_tokens: int = 0


Play = Callable[[Program], None]


@dataclass(frozen=True, slots=True)
class Replay:
    """A step that is to be played."""

    name: str
    play: Play
    #: Submits that it may cause.
    submits: int
    user_agent: str


#: All that were declared so far.
REPLAYS: list[Replay] = []


def replay(name: str, submits: int, user_agent: str) -> Callable[[Play], Play]:
    """Declares a step: a function that raises if the program would not have been content."""

    def declare(play: Play) -> Play:
        REPLAYS.append(Replay(name, play, submits, user_agent))
        return play

    return declare


def is_picture(reply: Reply) -> None:
    """AssertionError unless it is a picture under its own type."""
    assert reply.status == 200, reply
    assert reply.headers["content-type"].startswith("image/")
    assert sniff(reply.data) == reply.headers["content-type"]


def is_video(reply: Reply) -> None:
    """AssertionError unless it is an MP4."""
    assert (reply.status, reply.headers["content-type"]) == (200, "video/mp4")
    assert sniff(reply.data) == "video/mp4"


def picture_in(text: object) -> bytes:
    """A picture that is given as base64 text."""
    assert isinstance(text, str)
    data = base64.b64decode(text, validate=True)
    assert (sniff(data) or "").startswith("image/")
    return data
