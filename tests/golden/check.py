"""Golden files: what a pure function makes, kept as JSON that a person can review.

`UPDATE_GOLDEN=1 pytest …` writes what is made now; the difference is then read in version control.
"""

from __future__ import annotations

import difflib
import json
import os
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


def matches(name: str, value: object) -> None:
    """Asserts that the value is what `golden/<name>.json` holds."""
    path = HERE / f"{name}.json"
    text = json.dumps(value, ensure_ascii=False, indent=1) + "\n"
    if os.environ.get("UPDATE_GOLDEN") == "1":
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    assert path.exists(), f"no golden file {name}; write it with UPDATE_GOLDEN=1 and review it"
    kept = path.read_text("utf-8")
    changes = "\n".join(
        difflib.unified_diff(kept.splitlines(), text.splitlines(), "kept", "made", "", "", 1, "")
    )
    assert json.loads(text) == json.loads(kept), f"{name} is made otherwise now:\n{changes}"


def load(name: str) -> Any:
    """The content of `golden/<name>.json`."""
    return json.loads((HERE / f"{name}.json").read_text("utf-8"))


def opened(value: object) -> Any:
    """The value with every JSON string inside it decoded, as deep as they go."""
    if isinstance(value, dict):
        return {key: opened(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [opened(entry) for entry in value]
    if isinstance(value, str) and value[:1] in ("{", "["):
        return opened(json.loads(value))
    return value
