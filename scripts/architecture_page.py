"""Writes the stage diagram of docs/architecture.md from the transition table, and leaves the rest as it is.

Prints the whole page, as scripts/docs.sh expects it.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from jimeng_gateway.domain.task import SLOTTED, TERMINAL, TRANSITIONS, Stage

PAGE = Path(__file__).parent.parent / "docs" / "architecture.md"
BLOCK = re.compile(r"(<!-- stages: generated .*?-->\n).*?(<!-- /stages -->)", re.DOTALL)


def diagram() -> str:
    """The transition table as a Mermaid state diagram and as a table."""
    lines = ["```mermaid", "stateDiagram-v2", f"    [*] --> {Stage.QUEUED}"]
    for stage, moves in TRANSITIONS.items():
        lines += [f"    {stage} --> {following}: {move}" for move, following in moves.items()]
    lines += [f"    {stage} --> [*]" for stage in Stage if stage in TERMINAL]
    lines += ["```", "", "| stage | moves | holds a slot |", "|---|---|---|"]
    for stage, moves in TRANSITIONS.items():
        what = ", ".join(f"{move} → {following}" for move, following in moves.items()) or "none: the end"
        lines.append(f"| {stage} | {what} | {'yes' if stage in SLOTTED else 'no'} |")
    return "\n".join(lines) + "\n"


def page(text: str) -> str:
    """The page with the diagram as the code has it now."""
    return BLOCK.sub(lambda match: match[1] + diagram() + match[2], text)


if __name__ == "__main__":
    sys.stdout.write(page(PAGE.read_text("utf-8")))
