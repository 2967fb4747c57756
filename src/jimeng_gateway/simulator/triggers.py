"""Words in a prompt that decide what becomes of the job: `[sim:fail]`, `[sim:slow=60]` and so on.

They let a client provoke an outcome through the whole chain, without knowing the simulator's admin door.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from jimeng_gateway.simulator.refusal import Refusal

_WORD = re.compile(r"\[sim:([a-z-]+)(?:=(-?[0-9]+(?:\.[0-9]+)?))?\]")


class Ending(StrEnum):
    """How a job ends if nobody interferes."""

    SUCCESS = "success"
    #: Refused by the check of the text: record 30, task 10, 2038.
    REJECT_TEXT = "reject-text"
    #: Refused by the check of the result: record 30, task 40, refunded.
    REJECT_RESULT = "reject-result"
    #: A face in a reference: record 30, task 10, 4011.
    FACE = "face"
    #: Record 30, task 30, without a reason; the credits are gone.
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Triggers:
    """The words of one prompt."""

    ending: Ending = Ending.SUCCESS
    #: Seconds that the work takes, instead of the usual.
    slow: float | None = None
    #: Seconds in the queue, instead of the usual.
    queue: float | None = None
    #: Never ends.
    forever: bool = False
    #: Pictures that are delivered at most; -1 for all but one.
    partial: int | None = None
    #: Downloads that get a web page instead of the file; -1 for all.
    bad_file: int = 0
    #: The first link that a reply shows is refused, later ones work.
    dead_link: bool = False
    #: Cancelling is refused.
    no_cancel: bool = False
    #: Megabytes by which the file is stretched.
    big: int = 0


#: Every word, for the documentation's sake.
WORDS = (
    *(ending.value for ending in Ending if ending is not Ending.SUCCESS),
    "slow",
    "queue",
    "forever",
    "partial",
    "bad-file",
    "dead-link",
    "no-cancel",
    "big",
    "ret",
)


def read(prompt: str) -> Triggers:
    """The triggers in a prompt. Raises Refusal for `[sim:ret=…]`, and 1000 for a word that does not exist."""
    words = dict[str, str](_WORD.findall(prompt))
    for word in words:
        if word not in WORDS:
            raise Refusal("1000", f"no such simulator trigger: {word}")
    if "ret" in words:
        raise Refusal(words["ret"] or "1000")
    endings = [ending for ending in Ending if ending.value in words]
    return Triggers(
        ending=endings[0] if endings else Ending.SUCCESS,
        slow=_seconds(words, "slow"),
        queue=_seconds(words, "queue"),
        forever="forever" in words,
        partial=_count(words, "partial"),
        bad_file=_count(words, "bad-file") or 0,
        dead_link="dead-link" in words,
        no_cancel="no-cancel" in words,
        big=min(64, int(float(words.get("big") or 0))),
    )


def _seconds(words: dict[str, str], word: str) -> float | None:
    if word not in words:
        return None
    return max(0.0, float(words[word] or 60))


def _count(words: dict[str, str], word: str) -> int | None:
    if word not in words:
        return None
    return int(float(words[word])) if words[word] else -1
