"""What a finished task costs in requests to the site, and how late its end is noticed; in real time."""

from __future__ import annotations

import sqlite3
import statistics
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from random import Random
from typing import Any

from report import Figure
from service import Api, Site, folder, gateway, on_core, site, until

IMAGES, VIDEOS, SPREAD_S = 40, 20, 20.0
HOW = (
    f"One run in real time with default settings: {IMAGES} images of 12 s on 20 sessions and {VIDEOS} videos "
    "of 60 s (20 of them in the queue) on 10 others, two at a time on each, arriving at random within "
    f"{SPREAD_S:g} s. *Late* is the time from the end at the site to the event `generation.finished`; a poll "
    "is counted for each task that it names, so one request for two tasks counts for both."
)


def measure(_runs: int) -> list[Figure]:
    """One run: it takes as long as videos do."""
    with site(absent_s=1.0) as made, folder() as data, on_core(0):
        with _for(made, data / "image", IMAGES) as images, _for(made, data / "video", VIDEOS) as videos:
            _arrive([(images, "jimeng-4.5", IMAGES), (videos, "jimeng-video-3.0", VIDEOS)])
            for api, count in ((images, IMAGES), (videos, VIDEOS)):
                until(
                    lambda a=api, n=count: a.stages()["succeeded"] == n,
                    seconds=150,
                    what="all succeed",
                    look=0.5,
                )
        jobs = {job["submit_id"]: job for job in made.ask("/jobs")["jobs"]}
        return [
            *_figures("image", data / "image", jobs, most_polls=3, most_late=2.0),
            *_figures("video", data / "video", jobs, most_polls=8, most_late=6.0),
        ]


@contextmanager
def _for(made: Site, folder: Path, tasks: int) -> Iterator[Api]:
    """A gateway with two slots for every two tasks."""
    folder.mkdir()
    with gateway(folder, {"JIMENG_UPSTREAM_URL": made.url}) as gate:
        api = Api(gate)
        for number in range(tasks // 2):
            credential = f"{folder.name}{number:04d}{'ab12' * 5}"
            api.call("POST", "/api/v1/sessions", {"credential": credential})
        yield api


def _arrive(plans: list[tuple[Api, str, int]]) -> None:
    chance = Random(7)
    arrivals = sorted(
        ((chance.uniform(0, SPREAD_S), api, model) for api, model, count in plans for _ in range(count)),
        key=lambda arrival: arrival[0],
    )
    begun = time.monotonic()
    for at, api, model in arrivals:
        until(lambda at=at: time.monotonic() - begun >= at, seconds=SPREAD_S + 1, what="its turn")
        api.submit("a cat", model)


def _figures(
    kind: str, folder: Path, jobs: dict[str, Any], *, most_polls: int, most_late: float
) -> list[Figure]:
    with closing(sqlite3.connect(folder / "data" / "gateway.db")) as connection:
        rows = connection.execute(
            "SELECT task.submit_id, task.polls, event.at FROM task JOIN event ON event.task_id = task.id "
            "WHERE event.name = 'generation.finished'"
        ).fetchall()
    late = [at / 1000 - jobs[submit_id]["ends_at"] for submit_id, _, at in rows]
    polls = statistics.median(count for _, count, _ in rows)
    middle, worst = statistics.median(late), max(late)
    return [
        Figure(
            f"{kind}: polls that named a task, median",
            f"{polls:g}",
            f"at most {most_polls}",
            polls <= most_polls,
        ),
        Figure(f"{kind}: late, median", f"{middle:.1f} s", f"within {most_late:g} s", middle <= most_late),
        Figure(f"{kind}: late, worst", f"{worst:.1f} s"),
    ]
