"""What is shown of a task moves on by the forecast, and never claims more than is known."""

from __future__ import annotations

import io

import pytest
from cli.stub import task

from jimeng_gateway.cli.progress import View, board


def polling(**other: object) -> View:
    return View("image", task("polling", progress=0.2, queue_eta=10, **other), at=100.0)


@pytest.mark.parametrize(("now", "share"), [(100.0, 0.2), (105.0, 0.575), (110.0, 0.95), (500.0, 0.95)])
def test_a_bar_moves_on_between_two_reports(now: float, share: float) -> None:
    assert polling().share(now) == pytest.approx(share)


def test_without_a_forecast_it_shows_the_last_report() -> None:
    assert View("image", task("polling", progress=0.3), at=100.0).share(900.0) == 0.3
    assert View("image", task("queued", progress=0.0, queue_eta=10), at=100.0).share(900.0) == 0.0
    assert View("image", task("succeeded"), at=100.0).share(900.0) == 1.0


def test_words_tell_queue_and_estimate() -> None:
    view = polling(queue_position=3, queue_total=120)
    assert view.words(100.0) == "queue 3 of 120, about 10 s"
    assert view.words(104.0) == "queue 3 of 120, about 6 s"
    assert view.words(900.0) == "queue 3 of 120, about 0 s"
    assert polling(queue_position=3).words(100.0) == "queue 3, about 10 s"


def test_an_end_says_why() -> None:
    failed = View("video", task("failed", error_kind="risk", error_message="refused"), at=0.0)
    assert (failed.percent(9.0), failed.words(9.0)) == ("", "refused")
    assert View("video", task("succeeded", late=True), at=0.0).words(9.0) == "late"


def test_a_log_gets_one_line_for_each_piece_of_news() -> None:
    log = io.StringIO()
    with board([("image", task("queued"))], log) as shown:
        for stage, position in (
            ("queued", 5),
            ("queued", 5),
            ("queued", 4),
            ("polling", None),
            ("succeeded", None),
        ):
            shown.update(task(stage, queue_position=position))
            shown.update(None)
    assert [line.split() for line in log.getvalue().splitlines()] == [
        ["image", "queued", "5%", "queue", "5"],
        ["image", "queued", "5%", "queue", "4"],
        ["image", "polling", "5%"],
        ["image", "succeeded", "100%"],
    ]
