"""What the client programs of this folder share: their steps, and what each of them is told.

Runs in the environments of the clients, so it uses the standard library alone.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import re
import sys
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PICTURE = Path(os.environ["PICTURE_FILE"]).read_bytes()
MASK = Path(os.environ["MASK_FILE"]).read_bytes()
CLIP = Path(os.environ["CLIP_FILE"]).read_bytes()
PICTURE_URL = os.environ["PICTURE_URL"]
KEY = os.environ["GATEWAY_KEY"]
#: The gateway itself, without the proxy.
DIRECT_URL = os.environ["DIRECT_URL"]

PNG = b"\x89PNG\r\n\x1a\n"
#: Pictures take a while, and two cores are shared with the gateway.
AT_ONCE = 6


@dataclass(frozen=True)
class Case:
    """One step as it is being carried out."""

    name: str
    fault: str

    @property
    def root(self) -> str:
        """The gateway for this step, by way of a proxy that knows the step and its fault."""
        return f"{os.environ['GATEWAY_URL']}/~{self.fault}.{self.name}"

    def prompt(self, rest: str = "a small cat") -> str:
        """A prompt by which the site's books know the step."""
        return f"{self.name}: {rest}"


_steps: list[tuple[Case, Callable[[Case], Any]]] = []


def step(name: str, fault: str = "none") -> Callable[[Callable[[Case], Any]], Callable[[Case], Any]]:
    """Declares a step: a function, plain or async, that raises if anything is not as it should be.

    What it returns is printed. `fault` is one of harness/faults.py.
    """

    def declare(body: Callable[[Case], Any]) -> Callable[[Case], Any]:
        _steps.append((Case(name, fault), body))
        return body

    return declare


def under_faults(name: str, *faults: str) -> Callable[[Callable[[Case], Any]], Callable[[Case], Any]]:
    """The same step under several faults: `name-fault` for each."""

    def declare(body: Callable[[Case], Any]) -> Callable[[Case], Any]:
        for fault in faults:
            step(f"{name}-{fault}", fault)(body)
        return body

    return declare


def main(at_once: int = AT_ONCE) -> None:
    """Carries out all steps, several at a time, and tells how each went; exit code 1 if one failed."""
    wanted = re.compile(sys.argv[1] if len(sys.argv) > 1 else "")
    chosen = [found for found in _steps if wanted.search(found[0].name)]
    with ThreadPoolExecutor(at_once) as pool:
        went = list(pool.map(_carry_out, chosen))
    sys.exit(0 if all(went) else 1)


def _carry_out(declared: tuple[Case, Callable[[Case], Any]]) -> bool:
    case, body = declared
    try:
        found = body(case)
        if inspect.isawaitable(found):
            found = asyncio.run(_awaited(found))
    except BaseException as error:
        traceback.print_exception(error)
        sys.stdout.write(f"FAIL {case.name} {flat(error)[:2000]}\n")
        return False
    sys.stdout.write(f"OK {case.name} {json.dumps(found, default=str)}\n")
    return True


def flat(error: BaseException) -> str:
    """What an error says, and those inside it, in one line."""
    inner = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
    said = " ".join(f"{type(error).__name__}: {error}".split())
    return "; ".join([said, *map(flat, inner)])


async def _awaited(found: Any) -> Any:
    return await found


def raised(kind: type[BaseException] | tuple[type[BaseException], ...], call: Callable[[], Any]) -> Any:
    """The error that a call raises; AssertionError if it raises none of that kind."""
    try:
        found = call()
    except kind as error:
        return error
    raise AssertionError(f"no {kind} but {found!r}")


def is_(found: Any, wanted: Any) -> Any:
    """What was found; AssertionError with both values unless they are equal."""
    if found != wanted:
        raise AssertionError(f"{found!r} is not {wanted!r}")
    return found
