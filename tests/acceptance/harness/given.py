"""What the site was given to work from: a reply says nothing of a picture that was lost on the way."""

from __future__ import annotations

import json
import re
from collections import Counter

from harness.stage import Stage, step_of

#: A file that was uploaded, as drafts name it: pictures by `uri`, clips and sounds by `vid`.
_FILE = re.compile(r'"(?:uri|vid)": ?"([^"]+)"')


def references(where: Stage) -> Counter[str]:
    """How many different files the submits of each step named."""
    steps = {str(job["submit_id"]): step_of(str(job["prompt"])) for job in where.simulator.jobs()}
    found: dict[str, set[str]] = {}
    for seen in where.simulator.requests("generate"):
        body = json.loads(seen.call.body)
        step = steps.get(body["submit_id"])
        if step is not None:
            found.setdefault(step, set()).update(_FILE.findall(body["draft_content"]))
    return Counter({step: len(files) for step, files in found.items()})
