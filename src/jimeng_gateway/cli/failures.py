"""What a command can end with besides success: one exit code per kind of failure, stable for scripts."""

from __future__ import annotations

from typing import Any

FAILED = 1
USAGE = 2
UNREACHABLE = 3
NOT_ALLOWED = 4


class CommandError(Exception):
    """Ends the command with a message for people and a code for scripts."""

    exit_code = FAILED
    code = "failed"

    def __init__(self, message: str, chinese: str = "") -> None:
        super().__init__(message)
        #: The same for those who read Chinese.
        self.chinese = chinese or message

    def envelope(self) -> dict[str, Any]:
        """The same shape as the API's errors."""
        return {"error": {"code": self.code, "message": str(self)}}


class UsageError(CommandError):
    """The command was given something that cannot be used."""

    exit_code = USAGE
    code = "usage"


class UnreachableError(CommandError):
    """No gateway answers at the address, or something else does."""

    exit_code = UNREACHABLE
    code = "unreachable"


class NotReadyError(CommandError):
    """The gateway answers, and says that it cannot carry out tasks; the message names what is missing."""

    code = "not_ready"

    def __init__(self, body: dict[str, Any]) -> None:
        missing = [name for name, check in body["checks"].items() if not check.get("ok")]
        names = ", ".join(missing)
        super().__init__(f"not ready: {names}", f"网关尚未就绪：{names}")


class ApiError(CommandError):
    """The gateway answered with an error; the message is the envelope's."""

    def __init__(self, status: int, body: dict[str, Any]) -> None:
        error = body["error"]
        param = f" ({error['param']})" if error.get("param") else ""
        super().__init__(f"{error.get('message', 'no message')}{param}")
        self.status = status
        self.code = str(error.get("code", "error"))
        self.body = body
        self.exit_code = {400: USAGE, 401: NOT_ALLOWED, 403: NOT_ALLOWED}.get(status, FAILED)

    def envelope(self) -> dict[str, Any]:
        """The API's own."""
        return self.body
