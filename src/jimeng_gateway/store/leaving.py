"""Takes away the bytes of results whose rows already say that they are removed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from jimeng_gateway.domain.errors import GatewayError
from jimeng_gateway.store.files import ResultFiles, StoredFile

#: Failures in a row after which a place is left alone: nobody waits for every single file of an archive that
#: is away.
GIVE_UP = 3


@dataclass(frozen=True, slots=True)
class Leaving:
    """A removed result whose bytes are still there."""

    task_id: str
    index: int
    #: When it was marked.
    at: int
    #: As in StoredFile.
    place: str
    files: tuple[StoredFile, ...]


@dataclass(slots=True)
class Failing:
    """Places where removing fails."""

    in_a_row: Counter[str] = field(default_factory=Counter)
    #: The latest error.
    why: str = ""


async def take_away(
    files: ResultFiles, waiting: Sequence[Leaving], failing: Failing | None = None
) -> list[Leaving]:
    """Removes the files of these results; gives those of which nothing is left."""
    failing = failing or Failing()
    gone = []
    for one in waiting:
        if failing.in_a_row[one.place] >= GIVE_UP:
            continue
        try:
            for file in one.files:
                await files.remove(file)
        except (GatewayError, OSError) as error:
            failing.in_a_row[one.place] += 1
            failing.why = str(error)
        else:
            failing.in_a_row[one.place] = 0
            gone.append(one)
    return gone
