"""What can be chosen about a simulated site, in one frozen value.

The admin door replaces it while the site runs; a change applies to what is submitted afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from jimeng_gateway.simulator.faults import Fault


@dataclass(frozen=True, slots=True)
class SimulatorOptions:
    """All of it has a default that suits a demo: nothing is refused, everything takes a realistic time."""

    #: Divides every duration of new jobs: 20 makes a 12-second image take 0.6 s.
    speed: float = 1.0
    #: Seconds for which a job that was just accepted is absent from polls.
    absent_s: float = 1.0
    #: Seconds from the end of the queue to the finished pictures.
    image_s: float = 12.0
    #: Seconds from acceptance to the finished video, waiting included.
    video_s: float = 60.0
    #: Part of `video_s` that is spent in the queue, 0 to 1.
    queue_share: float = 1 / 3
    #: Sign, header, version and webId checks (2.1, 2.4): not looked at, noted, or enforced.
    sign: Literal["off", "lax", "strict"] = "lax"
    #: Whether a generate call needs `msToken` and `a_bogus` in its query, made by a page of its session.
    require_signature: Literal["off", "video"] = "off"
    #: What a generate call without them is answered.
    risk_ret: Literal[4013, 1019] = 4013
    #: What the script of the work page does: sign, nothing, take fetch over unsigned, sign and send twice,
    #: show an alert first, leave the page after a request.
    page: Literal["good", "broken", "unsigned", "twice", "alert", "leave"] = "good"
    #: Seconds after which that script takes fetch over.
    page_delay_s: float = 0.0
    #: An unknown session id becomes a new account instead of "login error".
    open_door: bool = True
    #: Models that the real site has switched off are offered all the same; without them: ret 2061.
    withdrawn_listed: bool = True
    #: Credits of an account that walks in through the open door, or is declared without any.
    credits: int = 100_000
    #: Running jobs at which an account is answered 1310; 0 for no limit. A declared account may differ.
    slot_limit: int = 0
    #: A generate call that names a file which the account has not committed is refused.
    check_uploads: bool = True
    #: Whether the store takes parts, and whether Commit tells length and frame rate of videos.
    multipart: bool = True
    video_meta: bool = True
    #: Life of an upload token, in seconds.
    upload_token_s: float = 3600.0
    #: Life of links to pictures and to videos, in seconds.
    image_link_s: float = 30 * 86400.0
    video_link_s: float = 86400.0
    #: Seconds by which the site's clock is ahead of the machine's.
    skew_s: float = 0.0
    #: Seed of everything drawn by chance: names, seeds, queue lengths, fault rates.
    seed: int = 1
    #: Requests kept with headers and body for `/_sim/requests`; counters are kept for ever.
    log_size: int = 2000
    #: Disturbances from the start.
    faults: tuple[Fault, ...] = ()
    #: The cluster that is played; "cn" is the only one so far.
    region: str = "cn"

    def __post_init__(self) -> None:
        """ValueError for what no site could be."""
        if self.speed <= 0:
            raise ValueError("speed must be above 0")
        if min(self.absent_s, self.image_s, self.video_s) < 0:
            raise ValueError("durations must not be negative")
        if not 0 <= self.queue_share < 1:
            raise ValueError("queue_share must be from 0 to below 1")


#: What a site is made with, and keeps while it runs.
_FIXED = frozenset({"withdrawn_listed", "seed", "log_size", "faults", "region"})


def changed(options: SimulatorOptions, change: dict[str, Any], *, running: bool = False) -> SimulatorOptions:
    """The options with some fields replaced; ValueError names an unknown field or an unfit value.

    `running`: for a site that is up already, which cannot change all of them.
    """
    known = msgspec.to_builtins(options)
    fixed = sorted(_FIXED & set(change)) if running else []
    if fixed:
        raise ValueError(f"{fixed[0]!r} can be chosen at the start only")
    unknown = sorted(set(change) - set(known))
    if unknown:
        raise ValueError(f"unknown option {unknown[0]!r}; known: {', '.join(known)}")
    try:
        return msgspec.convert({**known, **change}, SimulatorOptions)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from error
