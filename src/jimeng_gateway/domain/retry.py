"""How often a step that may be repeated is tried again: named policies, pure functions of counts and seconds.

Only steps that cost nothing when done twice have one; a submit is never among them.
"""

from __future__ import annotations

from dataclasses import dataclass

from jimeng_gateway.domain.errors import ErrorKind, Failure


@dataclass(frozen=True, slots=True)
class Retry:
    """A policy: pauses grow twofold from `first` to `longest`, until either bound is reached."""

    name: str
    #: Tries in all.
    tries: int
    #: Seconds.
    first: float
    longest: float
    #: No try begins later than this many seconds after the first one.
    within: float

    def pause(self, tried: int, elapsed: float) -> float | None:
        """Seconds until the next try, after `tried` of them; None when it is time to give up."""
        pause = min(self.longest, self.first * 2.0 ** min(tried - 1, 16))
        if tried >= self.tries or elapsed + pause > self.within:
            return None
        return pause


#: A few tokens are asked for in an hour, so patience costs little.
UPLOAD_TOKEN = Retry("upload.token", tries=3, first=1.0, longest=4.0, within=30.0)
#: Apply and Commit are small calls.
UPLOAD_CALL = Retry("upload.call", tries=4, first=1.0, longest=8.0, within=60.0)
#: Bytes, or one part of them: every try sends all of it.
UPLOAD_BYTES = Retry("upload.bytes", tries=4, first=1.0, longest=8.0, within=600.0)
#: jimeng-web.md 6.3: spells of about two minutes in which right signatures are refused.
UPLOAD_SPELL = Retry("upload.spell", tries=40, first=5.0, longest=5.0, within=150.0)

#: What may be different the next time.
_PASSING = frozenset({ErrorKind.NETWORK, ErrorKind.TIMEOUT, ErrorKind.UPSTREAM_ERROR})
#: A host that we must not talk to stays one.
_LASTING = frozenset({"host_not_allowed", "invalid_url"})


def passing(failure: Failure) -> bool:
    """Whether the same step may succeed in a moment."""
    return failure.kind in _PASSING and failure.code not in _LASTING
