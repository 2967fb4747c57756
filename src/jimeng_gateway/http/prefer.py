"""The Prefer header (RFC 7240): how long a caller is willing to wait for a task."""

from __future__ import annotations

import re
from dataclasses import dataclass

#: Longest wait that is granted; clients and proxies give up at about ten minutes.
LONGEST_WAIT = 600.0

_WAIT = re.compile(r'wait\s*=\s*"?([0-9]{1,9})"?')


@dataclass(frozen=True, slots=True)
class Preference:
    """What is granted of what was asked."""

    #: Seconds to wait for the end of the task.
    seconds: float
    #: For the reply header Preference-Applied; empty when nothing was asked.
    applied: str = ""


def preference(headers: list[str], *, default: float) -> Preference:
    """Reads all Prefer headers of a request; what is not understood is passed over, as the RFC has it.

    `respond-async` answers at once; `wait=N` waits at most so many seconds, also together with the former.
    """
    wait: float | None = None
    asynchronous = False
    for entry in ",".join(headers).split(","):
        word = entry.partition(";")[0].strip().lower()
        match = _WAIT.fullmatch(word)
        if match and wait is None:
            wait = min(float(match[1]), LONGEST_WAIT)
        elif word == "respond-async":
            asynchronous = True
    applied = ["respond-async"] if asynchronous else []
    if wait is not None:
        applied.append(f"wait={wait:.0f}")
    seconds = wait if wait is not None else 0.0 if asynchronous else default
    return Preference(seconds, ", ".join(applied))
