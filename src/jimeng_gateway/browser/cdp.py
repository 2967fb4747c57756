"""The Chrome DevTools Protocol as values: the few commands we send, the messages we get. No pipe, no loop.

Over the debugging pipe a message is a JSON object that ends with a NUL byte. Commands are answered by number;
`session` names the page that a command or an event belongs to, and is empty for the browser itself.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

END = b"\0"


@dataclass(frozen=True, slots=True, repr=False)
class Command:
    """Something to be done. Its repr shows no parameters: they hold cookies and prompts."""

    method: str
    params: Mapping[str, object] = field(default_factory=dict)
    session: str = ""

    def __repr__(self) -> str:
        return f"Command({self.method})"


@dataclass(frozen=True, slots=True)
class Result:
    """A command was carried out."""

    number: int
    value: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Refused:
    """A command was not carried out."""

    number: int
    code: int
    message: str


@dataclass(frozen=True, slots=True)
class Event:
    """Something happened."""

    method: str
    params: dict[str, Any]
    session: str = ""


Message = Result | Refused | Event


def encode(number: int, command: Command) -> bytes:
    """The command as it goes into the pipe."""
    message: dict[str, object] = {"id": number, "method": command.method, "params": command.params}
    if command.session:
        message["sessionId"] = command.session
    return json.dumps(message, separators=(",", ":")).encode("ascii") + END


def decode(text: bytes) -> Message:
    """A message without its end mark; ValueError if it is none."""
    content = json.loads(text)
    if not isinstance(content, dict):
        raise ValueError("not an object")  # noqa: TRY004 - the value is wrong, not our type
    if "id" not in content:
        return Event(content["method"], content.get("params", {}), content.get("sessionId", ""))
    error = content.get("error")
    if error is not None:
        return Refused(content["id"], error.get("code", 0), error.get("message", ""))
    return Result(content["id"], content.get("result", {}))


class Framer:
    """Cuts the stream into messages."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def feed(self, data: bytes) -> list[bytes]:
        """The messages that these bytes complete."""
        *complete, rest = data.split(END)
        if complete:
            complete[0] = b"".join((*self._parts, complete[0]))
            self._parts.clear()
        if rest:
            self._parts.append(rest)
        return complete


# The browser


def version() -> Command:
    """Answers `product` and `userAgent`."""
    return Command("Browser.getVersion")


def create_context(proxy: str) -> Command:
    """Answers `browserContextId`: cookies and caches of its own, gone with our connection.

    All its connections go through the proxy, those to this machine too.
    """
    params = {"disposeOnDetach": True, "proxyServer": proxy, "proxyBypassList": "<-loopback>"}
    return Command("Target.createBrowserContext", params)


def dispose_context(context: str) -> Command:
    """Closes a context and all its pages."""
    return Command("Target.disposeBrowserContext", {"browserContextId": context})


def set_cookies(context: str, cookies: Iterable[Mapping[str, object]]) -> Command:
    """Puts cookies into a context; refused as a whole if one of them is impossible."""
    return Command("Storage.setCookies", {"browserContextId": context, "cookies": list(cookies)})


def create_page(context: str) -> Command:
    """Answers `targetId` of an empty page."""
    return Command("Target.createTarget", {"url": "about:blank", "browserContextId": context})


def attach(target: str) -> Command:
    """Answers `sessionId`, the name of the page in what follows."""
    return Command("Target.attachToTarget", {"targetId": target, "flatten": True})


# A page


def prepare(session: str, patterns: Iterable[Mapping[str, object]]) -> list[Command]:
    """What a page needs before it is sent anywhere: its requests pause for us, its end is told."""
    return [
        # Without it nobody tells us that the page's process died, and calls into it never return.
        Command("Inspector.enable", {}, session),
        # Dialogs: an alert would stop the page's scripts until somebody answers it.
        Command("Page.enable", {}, session),
        # Only for the next command, which works no other way; keep no bodies for an inspector.
        Command("Network.enable", {"maxTotalBufferSize": 0, "maxResourceBufferSize": 0}, session),
        # What a service worker sends does not pause, so a page could get past us through one.
        Command("Network.setBypassServiceWorker", {"bypass": True}, session),
        Command("Fetch.enable", {"patterns": list(patterns)}, session),
    ]


def navigate(session: str, url: str) -> Command:
    """Answers when the document has begun to load; `errorText` if it could not."""
    return Command("Page.navigate", {"url": url}, session)


def evaluate(session: str, expression: str) -> Command:
    """Answers the value of an expression, awaited if it is a promise."""
    params = {"expression": expression, "awaitPromise": True, "returnByValue": True}
    return Command("Runtime.evaluate", params, session)


def window(session: str) -> Command:
    """Answers a handle of the page's present global object."""
    return Command("Runtime.evaluate", {"expression": "globalThis"}, session)


def call(session: str, handle: str, function: str, *arguments: object) -> Command:
    """Answers what the function's promise brings; refused if the handle's document is no longer there."""
    params = {
        "objectId": handle,
        "functionDeclaration": function,
        "arguments": [{"value": argument} for argument in arguments],
        "awaitPromise": True,
        "returnByValue": True,
    }
    return Command("Runtime.callFunctionOn", params, session)


def let_go(session: str, request: str) -> Command:
    """Lets a paused request go on unchanged."""
    return Command("Fetch.continueRequest", {"requestId": request}, session)


def block(session: str, request: str) -> Command:
    """Ends a paused request before it leaves."""
    return Command("Fetch.failRequest", {"requestId": request, "errorReason": "BlockedByClient"}, session)


def close_dialog(session: str) -> Command:
    """Answers an alert, confirm, prompt or beforeunload with OK."""
    return Command("Page.handleJavaScriptDialog", {"accept": True}, session)


def value_of(answer: Mapping[str, Any]) -> Any:
    """The value that `evaluate` or `call` answered; ValueError with its text if the page's script threw."""
    thrown = answer.get("exceptionDetails")
    if thrown is not None:
        raise ValueError(thrown.get("exception", {}).get("description") or thrown.get("text", ""))
    return answer.get("result", {}).get("value")
