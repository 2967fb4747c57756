"""Absolute addresses in replies.

Result links carry a signature in place of a key, because programs that receive a link fetch it without our
Authorization header, or with somebody else's (clients.md 11).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from starlette.requests import Request

_HOST = re.compile(r"[A-Za-z0-9._-]{1,253}(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](:[0-9]{1,5})?")


def base_url(request: Request, public_url: str) -> str:
    """Where the caller reaches us: the configured address, else the one it has just used."""
    if public_url:
        return public_url.rstrip("/")
    host = request.headers.get("host", "")
    if not _HOST.fullmatch(host):
        name, port = request.scope.get("server") or ("localhost", None)
        name = f"[{name}]" if ":" in name else name
        host = f"{name}:{port}" if port else name
    return f"{request.scope['scheme']}://{host}"


@dataclass(frozen=True, slots=True)
class Links:
    """Makes links for one caller."""

    base: str
    sign: Callable[[str, int, int], str]
    #: When links to results end, in seconds since the epoch; 0 for never.
    expires: int = 0

    @classmethod
    def of(
        cls, request: Request, public_url: str, sign: Callable[[str, int, int], str], expires: int = 0
    ) -> Links:
        """Links as this request should see them."""
        return cls(base_url(request, public_url), sign, expires)

    def task(self, task_id: str) -> str:
        """Where to ask how a task is doing."""
        return f"{self.base}/api/v1/tasks/{task_id}"

    def content(self, task_id: str, index: int) -> str:
        """The file itself, openable without a key."""
        return self._result(task_id, index, "")

    def preview(self, task_id: str, index: int) -> str:
        """The small picture that stands for it."""
        return self._result(task_id, index, "&variant=preview")

    def _result(self, task_id: str, index: int, variant: str) -> str:
        signature = self.sign(task_id, index, self.expires)
        end = f"&expires={self.expires}" if self.expires else ""
        return f"{self.task(task_id)}/content?index={index}{variant}{end}&signature={signature}"
