"""A small synchronous client of the HTTP API on the standard library, so that commands start fast.

It follows no redirect, since the key would go along. All calls raise ApiError for an error of the gateway and
UnreachableError when there is no gateway to be heard.
"""

from __future__ import annotations

import http.client
import ipaddress
import json
import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jimeng_gateway.cli.configuration import gateway_address
from jimeng_gateway.cli.failures import ApiError, NotReadyError, UnreachableError
from jimeng_gateway.cli.form import Form
from jimeng_gateway.domain.words import Language
from jimeng_gateway.settings import Settings

API = "/api/v1"
_CHUNK = 1 << 16


@dataclass(frozen=True, slots=True)
class Message:
    """One server-sent event."""

    event: str
    data: dict[str, Any]
    #: The id that Last-Event-ID may name; empty if there was none.
    id: str = ""


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        return None


class Client:
    """Talks to one gateway with one key."""

    def __init__(
        self, base: str, key: str, *, timeout: float = 30.0, language: Language = Language.EN
    ) -> None:
        self.base = base.rstrip("/")
        self._key = key
        self._timeout = timeout
        self._language = language
        # The default context trusts the system's store and SSL_CERT_FILE; proxies come from the environment.
        handlers: list[Any] = [
            _NoRedirects,
            urllib.request.HTTPSHandler(context=ssl.create_default_context()),
        ]
        if is_loopback(urllib.parse.urlsplit(base).hostname or ""):
            handlers.append(urllib.request.ProxyHandler({}))
        self._opener = urllib.request.build_opener(*handlers)

    def get(self, path: str, query: Mapping[str, object] | None = None) -> Any:
        """The JSON of a GET; absent (None) query values are left out."""
        given = {name: value for name, value in (query or {}).items() if value is not None}
        return self._json("GET", path + (f"?{urllib.parse.urlencode(given)}" if given else ""))

    def text(self, path: str) -> str:
        """The body of a GET as it is."""
        with self._open("GET", path) as reply:
            return reply.read().decode(errors="replace")

    def post(self, path: str, body: object = None, *, headers: Mapping[str, str] | None = None) -> Any:
        """The JSON of a POST."""
        return self._json("POST", path, body, headers)

    def send(self, path: str, form: Form) -> Any:
        """The JSON of a POST of fields and files."""
        return self._json("POST", path, form)

    def patch(self, path: str, body: object) -> Any:
        """The JSON of a PATCH."""
        return self._json("PATCH", path, body)

    def delete(self, path: str) -> Any:
        """The JSON of a DELETE; None if the reply has no body."""
        return self._json("DELETE", path)

    def download(self, path: str, target: Path) -> int:
        """Puts a file into `target`, complete or not at all; gives its size in bytes."""
        draft = target.with_name(target.name + ".part")
        try:
            with self._open("GET", path) as reply, draft.open("wb") as file:
                expected = reply.headers.get("Content-Length")
                while chunk := reply.read(_CHUNK):
                    file.write(chunk)
                size = file.tell()
            if expected is not None and size != int(expected):
                raise UnreachableError(
                    f"the download broke off after {size} of {expected} bytes",
                    f"下载中断：{expected} 字节中只收到 {size} 字节",
                )
            draft.replace(target)
        finally:
            draft.unlink(missing_ok=True)
        return size

    def stream(
        self, path: str, *, last_event_id: str = "", timeout: float | None = None
    ) -> Iterator[Message]:
        """The server-sent events of a path, until the server ends them."""
        headers = {"Accept": "text/event-stream"}
        if last_event_id:
            headers["Last-Event-ID"] = last_event_id
        with self._open("GET", path, headers=headers, timeout=timeout) as reply:
            yield from messages(line.decode() for line in reply)

    def _json(
        self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None
    ) -> Any:
        with self._open(method, path, body=body, headers=headers) as reply:
            text = reply.read()
        if not text:
            return None
        try:
            return json.loads(text)
        except ValueError:
            raise UnreachableError(
                f"{self.base} does not answer like a jimeng-gateway",
                f"{self.base} 的应答不像 jimeng-gateway",
            ) from None

    @contextmanager
    def _open(
        self,
        method: str,
        path: str,
        *,
        body: object = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> Iterator[http.client.HTTPResponse]:
        request = urllib.request.Request(self.base + path, method=method)  # noqa: S310 - settings take http(s) only
        if self._key:
            request.add_unredirected_header("Authorization", f"Bearer {self._key}")
        if isinstance(body, Form):
            request.data = body
            request.add_header("Content-Type", body.content_type)
            request.add_header("Content-Length", str(len(body)))
        elif body is not None:
            request.data = json.dumps(body).encode()
            request.add_header("Content-Type", "application/json")
        accepted = {"Accept": "application/json", "Accept-Language": self._language.tag}
        for name, value in {**accepted, **(headers or {})}.items():
            request.add_header(name, value)
        try:
            with self._opener.open(request, timeout=timeout or self._timeout) as reply:
                yield reply
        except urllib.error.HTTPError as error:
            raise self._error(error) from None
        except urllib.error.URLError as error:
            raise self._unreachable(error.reason) from None
        except (OSError, http.client.HTTPException) as error:
            raise self._unreachable(error) from None

    def _error(self, reply: urllib.error.HTTPError) -> Exception:
        with reply:
            text = reply.read()
        try:
            body = json.loads(text)
            if reply.code == 503 and "checks" in body:
                return NotReadyError(body)
            return ApiError(reply.code, body)
        except (ValueError, KeyError, TypeError, AttributeError):
            return UnreachableError(
                f"{self.base} answered with status {reply.code} and not as a jimeng-gateway does; "
                "is JIMENG_GATEWAY_URL right?",
                f"{self.base} 返回状态码 {reply.code}，不像 jimeng-gateway 的应答；请检查 JIMENG_GATEWAY_URL",
            )

    def _unreachable(self, reason: object) -> UnreachableError:
        words = getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
        if isinstance(reason, TimeoutError):
            words = "no answer in time"
        return UnreachableError(
            f"cannot reach the gateway at {self.base}: {words} (start it with `jimeng-gateway serve`, "
            "or set JIMENG_GATEWAY_URL)",
            f"无法连接网关 {self.base}：{'等待应答超时' if isinstance(reason, TimeoutError) else words}"
            "（请用 `jimeng-gateway serve` 启动网关，或设置 JIMENG_GATEWAY_URL）",
        )


def messages(lines: Iterator[str]) -> Iterator[Message]:
    """Server-sent events from lines; comments and unfinished events are dropped."""
    event, number, data = "message", "", list[str]()
    for raw in lines:
        line = raw.rstrip("\r\n")
        if not line:
            if data:
                yield Message(event, json.loads("\n".join(data)), number)
            event, data = "message", []
            continue
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "event":
            event = value
        elif name == "data":
            data.append(value)
        elif name == "id":
            number = value


def client_of(settings: Settings, language: Language = Language.EN) -> Client:
    """The gateway that the settings name, with the key that they hold."""
    return Client(gateway_address(settings), settings.gateway_key or settings.admin_token, language=language)


def is_loopback(host: str) -> bool:
    """Whether the host is this machine itself, which no proxy can reach for us."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
