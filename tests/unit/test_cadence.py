"""What the cadence costs and how prompt it is, simulated over many sessions: the issue's own figures.

Each session has two tasks, as in the issue; see support/cadence.py for what is modelled.
"""

from __future__ import annotations

from itertools import pairwise
from statistics import median

import pytest
from support.cadence import JobModel, Outcome, simulate

from jimeng_gateway.domain.request import Kind

SEEDS = range(12)


def gaps(outcome: Outcome) -> list[float]:
    return [after - before for times in outcome.requests for before, after in pairwise(times)]


@pytest.mark.parametrize("pause", [1.0, 15.0])
@pytest.mark.parametrize("count", [1, 4])
@pytest.mark.parametrize("forecast", [None, 12, 23, 44])
def test_a_picture_of_twelve_seconds(forecast: int | None, count: int, pause: float) -> None:
    job = JobModel(Kind.IMAGE, queue=0, work=12, forecast=forecast, count=count)
    outcome = simulate(job, SEEDS, 200, pause=pause)
    assert len(outcome.polls) > 150
    assert median(outcome.polls) <= 3
    assert max(outcome.polls) <= 4
    assert median(outcome.delays) <= 1.9, "the download needs its part of the two seconds"
    assert min(gaps(outcome)) >= 2


@pytest.mark.parametrize("pause", [1.0, 15.0])
@pytest.mark.parametrize("tells_queue", [True, False])
@pytest.mark.parametrize("forecast", [None, 60, 156])
def test_a_video_of_a_minute(forecast: int | None, tells_queue: bool, pause: float) -> None:
    job = JobModel(Kind.VIDEO, queue=20, work=40, forecast=forecast, tells_queue=tells_queue)
    outcome = simulate(job, SEEDS, 800, pause=pause)
    assert len(outcome.polls) > 150
    assert median(outcome.polls) <= 8
    assert median(outcome.delays) <= 5
    assert min(gaps(outcome)) >= 5


@pytest.mark.parametrize(
    ("seconds", "forecast"), [(93, 156), (167, 453), (300, None)], ids=["93s", "167s", "300s"]
)
def test_longer_videos_are_not_asked_for_more_than_every_twelfth_of_their_age(
    seconds: int, forecast: int | None
) -> None:
    outcome = simulate(JobModel(Kind.VIDEO, 0, seconds, forecast), SEEDS, 1500)
    assert median(outcome.polls) <= 26
    assert median(outcome.delays) <= seconds / 12


@pytest.mark.parametrize("tells_queue", [True, False])
@pytest.mark.parametrize("forecast", [None, 156])
def test_a_queue_of_hours_costs_a_request_every_half_minute(forecast: int | None, tells_queue: bool) -> None:
    job = JobModel(Kind.VIDEO, queue=4 * 3600, work=40, forecast=forecast, tells_queue=tells_queue)
    outcome = simulate(job, SEEDS, 3600)
    settled = [[at for at in times if at > 300] for times in outcome.requests]
    assert all(len(times) / (3600 - 300) <= 1 / 30 for times in settled)
    # Sparse, but never forgotten.
    assert max(gaps(outcome)) <= 40


def test_a_thousand_tasks_over_five_hundred_sessions_ask_once_per_session_and_interval() -> None:
    outcome = simulate(JobModel(Kind.IMAGE, 0, 12, 23), range(500), 30)
    assert len(outcome.requests) == 500
    assert min(gaps(outcome)) >= 2
    assert sum(map(len, outcome.requests)) / len(outcome.polls) < 3
