"""Client programs in environments of their own, and what they say about their steps.

A program prints `OK <step> {json}` or `FAIL <step> <why>` for each step, and nothing else on standard output.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.process import until

from harness.stage import Stage

ROOT = Path(__file__).resolve().parents[3]
SCRIPTS = ROOT / "tests" / "acceptance" / "python"
#: Longest that a program may take.
LONGEST_S = 150.0

#: Programs that look things up by themselves are told not to.
_QUIET = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LANGSMITH_TRACING": "false",
    "PYTHONUNBUFFERED": "1",
    "NO_PROXY": "*",
}


@dataclass(frozen=True, slots=True)
class Expected:
    """What a step has to cause."""

    #: Submits that the site took and charged.
    submits: int = 0
    #: POST requests of the client, where it matters how often it tried.
    tries: int | None = None


@dataclass(frozen=True, slots=True)
class Said:
    """What a program said of its steps."""

    ok: Mapping[str, Any]
    failed: Mapping[str, str]


def python_of(environment: str) -> str:
    """The interpreter of one of the environments of scripts/acceptance.sh."""
    found = ROOT / ".acceptance" / environment / "bin" / "python"
    assert found.exists(), f"{found.relative_to(ROOT)} is missing: `make acceptance-env` makes it"
    return str(found)


def run_python(stage: Stage, environment: str, script: str) -> Said:
    """Runs a script of tests/acceptance/python."""
    return run(stage, [python_of(environment), str(SCRIPTS / f"{script}.py")])


def run(stage: Stage, command: Sequence[str], environ: Mapping[str, str] | None = None) -> Said:
    """Runs a program to its end; AssertionError if it said something else than how its steps went."""
    done = subprocess.run(
        command,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(stage.folder),
            **_QUIET,
            **stage.environ(),
            **(environ or {}),
        },
        cwd=stage.folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LONGEST_S,
        check=False,
    )
    said = _read(done.stdout)
    told = f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert said is not None, told
    assert done.returncode == (1 if said.failed else 0), told
    return said


def _read(output: str) -> Said | None:
    """None if there are other lines too."""
    ok: dict[str, Any] = {}
    failed: dict[str, str] = {}
    for line in output.splitlines():
        word, _, rest = line.partition(" ")
        step, _, text = rest.partition(" ")
        if word == "OK":
            ok[step] = json.loads(text)
        elif word == "FAIL":
            failed[step] = text
        else:
            return None
    return Said(ok, failed)


def assert_as_expected(
    stage: Stage, said: Said, expected: Mapping[str, Expected], *, unnamed: int = 0
) -> None:
    """Every step was carried out and succeeded, and each spent and tried exactly as often as it should.

    `unnamed` is the number of submits that cannot name their step, because they have no prompt.
    """
    assert said.failed == {}
    assert sorted(said.ok) == sorted(expected)
    until(lambda: not stage.pending(), seconds=20, what="nothing waits to be submitted")
    submits = stage.submits()
    assert {step: submits[step] for step in expected} == {
        step: wanted.submits for step, wanted in expected.items()
    }
    assert submits.total() == sum(wanted.submits for wanted in expected.values()) + unnamed
    tries = stage.proxy.tries()
    assert {step: tries[step] for step, wanted in expected.items() if wanted.tries is not None} == {
        step: wanted.tries for step, wanted in expected.items() if wanted.tries is not None
    }
