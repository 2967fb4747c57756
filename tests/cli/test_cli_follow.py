"""A task is followed to its end whatever happens to the stream or, for a while, to the gateway."""

from __future__ import annotations

import pytest
from cli.stub import Answer, Stub, error, reply, stream, task

from jimeng_gateway.cli.client import Client
from jimeng_gateway.cli.failures import ApiError, UnreachableError
from jimeng_gateway.cli.follow import StillRunningError, follow, follow_all

EVENTS = "/api/v1/tasks/task_1/events"
TASK = "/api/v1/tasks/task_1"
AWAY = Answer(None)
HTML = Answer(502, b"<html>bad gateway</html>", "text/html")


def stages(stub: Stub, **options: float) -> tuple[list[str], list[float]]:
    """The stages seen, and the pauses taken."""
    pauses: list[float] = []
    client = Client(stub.url, "k")
    seen = [update["stage"] for update in follow(client, "task_1", pause=pauses.append, **options)]
    return seen, pauses


def test_the_stream_alone_tells_the_whole_story(stub: Stub) -> None:
    stub.on(
        "GET",
        EVENTS,
        stream(
            ("task.created", {"seq": 1}, 1),
            ("progress", task("queued"), None),
            ("progress", task("polling"), None),
            ("task.succeeded", {"seq": 9}, 9),
            ("progress", task("succeeded"), None),
        ),
    )
    stub.on("GET", TASK, reply(task("succeeded")))
    assert stages(stub) == (["queued", "polling", "succeeded"], [])


def test_without_a_stream_it_asks_again(stub: Stub) -> None:
    stub.on("GET", EVENTS, HTML)
    stub.on("GET", TASK, reply(task("queued")), reply(task("polling")), reply(task("failed")))
    assert stages(stub) == (["queued", "polling", "failed"], [1.0, 1.0])


def test_a_broken_stream_is_taken_up_where_it_ended(stub: Stub) -> None:
    stub.on("GET", EVENTS, stream(("task.created", {}, 1), ("submit.sent", {}, 3)), stream())
    stub.on("GET", TASK, reply(task("polling")), reply(task("succeeded")))
    assert stages(stub)[0] == ["polling", "succeeded"]
    streams = [each for each in stub.asked if each.path == EVENTS]
    assert [each.headers.get("Last-Event-Id") for each in streams] == [None, "3"]


def test_a_restart_of_the_gateway_is_waited_for(stub: Stub) -> None:
    stub.on("GET", EVENTS, AWAY)
    stub.on("GET", TASK, AWAY, error(503, "unavailable", "stopping"), HTML, reply(task("succeeded")))
    assert stages(stub) == (["succeeded"], [1.0, 1.0, 1.0])


def test_a_gateway_that_stays_away_is_given_up(stub: Stub) -> None:
    stub.on("GET", EVENTS, AWAY)
    stub.on("GET", TASK, AWAY)
    with pytest.raises(UnreachableError):
        stages(stub, patience=3.0)
    assert len([each for each in stub.asked if each.path == TASK]) == 4


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_final_answer_is_not_asked_for_again(stub: Stub, status: int) -> None:
    stub.on("GET", EVENTS, error(status, "no", "no"))
    with pytest.raises(ApiError):
        stages(stub)
    assert len(stub.asked) == 1


def test_several_tasks_come_to_their_own_ends(stub: Stub) -> None:
    for name, end in (("task_1", "succeeded"), ("task_2", "cancelled")):
        stub.on("GET", f"/api/v1/tasks/{name}/events", stream(("progress", task("polling", id=name), None)))
        stub.on("GET", f"/api/v1/tasks/{name}", reply(task(end, id=name)))
    updates = [each for each in follow_all(Client(stub.url, "k"), ["task_1", "task_2"]) if each]
    last = {each["id"]: each["stage"] for each in updates}
    assert last == {"task_1": "succeeded", "task_2": "cancelled"}
    assert len(updates) == 4


def test_waiting_ends_when_its_time_is_over(stub: Stub) -> None:
    with pytest.raises(StillRunningError, match=r"after 0 s; the task goes on"):
        list(follow_all(Client(stub.url, "k"), ["task_1"], seconds=0))


def test_what_ends_one_task_badly_ends_the_waiting(stub: Stub) -> None:
    stub.on("GET", EVENTS, error(404, "not_found", "there is no task task_1"))
    with pytest.raises(ApiError, match="there is no task"):
        list(follow_all(Client(stub.url, "k"), ["task_1"]))
