"""What is told to callback addresses and how often: decisions, as values."""

from __future__ import annotations

from typing import Any

import pytest

from jimeng_gateway.domain import lifecycle
from jimeng_gateway.domain.addresses import AllowedHosts
from jimeng_gateway.domain.deliveries import (
    FINAL,
    LONGEST_URL,
    Attempt,
    Delivery,
    DeliveryState,
    Event,
    after,
    checked_url,
    delivery_id,
    event_of,
    place_of,
    told,
)
from jimeng_gateway.domain.errors import ErrorKind, Failure, InvalidRequest
from jimeng_gateway.domain.policy import Limits
from jimeng_gateway.domain.request import GenerationRequest, Kind
from jimeng_gateway.domain.task import TERMINAL, Stage, Task
from jimeng_gateway.http.ark import render

NOW = 1_795_392_000_000


def a_task(stage: Stage = Stage.QUEUED, **changes: Any) -> Task:
    request = GenerationRequest(Kind.VIDEO, "m", "k", "a cat", "16:9", "720p", 1280, 720, duration_ms=5000)
    fields = {"id": "t", "key_id": "k", "request": request, "stage": stage, "revision": 1}
    times = {"created_at": NOW, "updated_at": NOW, "deadline_at": NOW + 1000, "due_at": NOW}
    return Task(**{**fields, **times, **changes})


def failed(code: str) -> Task:
    return a_task(Stage.FAILED, failure=Failure(ErrorKind.TIMEOUT, code, "too late"))


@pytest.mark.parametrize(
    ("task", "event"),
    [
        (a_task(), Event.QUEUED),
        (a_task(Stage.SUBMITTING), Event.QUEUED),
        (a_task(Stage.POLLING), Event.QUEUED),
        (a_task(Stage.POLLING, running=True), Event.RUNNING),
        (a_task(Stage.DOWNLOADING), Event.RUNNING),
        (a_task(Stage.SUCCEEDED), Event.SUCCEEDED),
        (failed("1006"), Event.FAILED),
        (a_task(Stage.FAILED), Event.FAILED),
        (failed("deadline"), Event.EXPIRED),
        (a_task(Stage.CANCELLED), Event.CANCELLED),
    ],
)
def test_every_stage_has_a_status_and_it_is_the_one_that_the_body_says(task: Task, event: Event) -> None:
    assert event_of(task) is event
    assert (event in FINAL) == (task.stage in TERMINAL)
    assert render.status_of(task) == event
    assert told("native", task) is event
    assert told("ark", task) is (None if event is Event.CANCELLED else event)


def test_a_task_that_takes_too_long_expires() -> None:
    change = lifecycle.time_out(a_task(), limits=Limits(), now=NOW + 2000)
    assert change is not None
    assert event_of(change.task) is Event.EXPIRED


def a_delivery(event: Event, tries: int) -> Delivery:
    return Delivery(
        id="d",
        task_id="t",
        key_id="k",
        url="http://a/",
        place="a:80",
        format="ark",
        base="http://gw",
        event=event,
        stage=Stage.QUEUED,
        state=DeliveryState.PENDING,
        tries=tries,
        created_at=NOW,
    )


BROKEN, GONE, HOPELESS = Attempt(500), Attempt(None, "no answer"), Attempt(None, "refused", hopeless=True)


@pytest.mark.parametrize(
    ("event", "tries", "attempt", "state", "due_in"),
    [
        (Event.QUEUED, 0, Attempt(200), "delivered", None),
        (Event.SUCCEEDED, 2, Attempt(204), "delivered", None),
        (Event.SUCCEEDED, 0, Attempt(299), "delivered", None),
        (Event.SUCCEEDED, 0, Attempt(300), "pending", 10_000),
        (Event.QUEUED, 0, BROKEN, "failed", None),
        (Event.RUNNING, 0, GONE, "failed", None),
        (Event.SUCCEEDED, 0, BROKEN, "pending", 10_000),
        (Event.FAILED, 1, GONE, "pending", 60_000),
        (Event.EXPIRED, 2, GONE, "failed", None),
        (Event.CANCELLED, 0, HOPELESS, "failed", None),
    ],
)
def test_ends_are_told_three_times_and_the_rest_once(
    event: Event, tries: int, attempt: Attempt, state: str, due_in: int | None
) -> None:
    due_at = None if due_in is None else NOW + due_in
    assert after(a_delivery(event, tries), attempt, now=NOW) == (DeliveryState(state), due_at)


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("http://a", "a:80"),
        ("https://A.example/x?token=1", "a.example:443"),
        ("http://10.0.0.1:8080/x", "10.0.0.1:8080"),
        ("http://[::1]:8080/", "::1:8080"),
        ("https://a/" + "x" * (LONGEST_URL - 10), "a:443"),
    ],
)
def test_addresses_that_may_be_told(url: str, place: str) -> None:
    assert checked_url(url, AllowedHosts(("10.0.0.1", "::1", "a", "a.example"))) == url
    assert place_of(url) == place


@pytest.mark.parametrize(
    "url",
    [
        "",
        "a.example/x",
        "/x",
        "http://",
        "http:///x",
        "ftp://a/x",
        "javascript:alert(1)",
        "file:///etc/passwd",
        "http://a:0/",
        "http://a:99999/",
        "http://[::1/",
        "http://me:secret@a/",
        "http://token@a/",
        "http://a/ b",
        "http://a/\r\nx: y",
        "https://a/" + "x" * (LONGEST_URL - 9),
    ],
)
def test_addresses_that_may_not(url: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        checked_url(url, AllowedHosts())
    assert refusal.value.param == "callback_url"
    assert "secret" not in refusal.value.message


@pytest.mark.parametrize(
    ("url", "allowed", "why"),
    [
        ("http://127.0.0.1/x", "", "loopback"),
        ("http://[::1]:5100/x", "", "loopback"),
        ("http://10.1.2.3/x", "", "private"),
        ("http://169.254.169.254/latest", "", "metadata"),
        ("http://[::ffff:127.0.0.1]/", "", "IPv4-mapped"),
        ("https://1.1.1.1/", "hooks.example", "not among the allowed hosts"),
        ("https://other.example/", "hooks.example", "not among the allowed hosts"),
        ("https://hooks.example:8443/", "hooks.example:443", "not among the allowed hosts"),
    ],
)
def test_what_leads_inside_is_refused_before_anything_is_paid_for(url: str, allowed: str, why: str) -> None:
    with pytest.raises(InvalidRequest, match=why):
        checked_url(url, AllowedHosts.parse(allowed))


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("https://1.1.1.1/", ""),
        # Where a name leads is judged when it is dialled.
        ("https://localhost/", ""),
        ("http://10.1.2.3:8080/x", "10.1.0.0/16"),
        ("https://a.hooks.example/", ".hooks.example"),
        ("https://hooks.example/", "hooks.example:443"),
    ],
)
def test_what_may_be_outside_is_taken(url: str, allowed: str) -> None:
    assert checked_url(url, AllowedHosts.parse(allowed)) == url


def test_ids_are_the_same_for_the_same_and_for_nothing_else() -> None:
    made = delivery_id("t", "http://a/", Event.QUEUED)
    assert made == delivery_id("t", "http://a/", Event.QUEUED)
    others = {
        delivery_id("u", "http://a/", Event.QUEUED),
        delivery_id("t", "http://b/", Event.QUEUED),
        delivery_id("t", "http://a/", Event.RUNNING),
    }
    assert len({made, *others}) == 4
    assert len(made) <= 64
