"""What a caller sees through a crash: event streams that can be taken up again, cancellations that hold."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Any

import pytest
from ledger import sqlite_rows
from support.process import SHORT, Api, gateway, until

from jimeng_gateway.simulator.options import SimulatorOptions
from jimeng_gateway.simulator.server import Simulator

pytestmark = pytest.mark.e2e

QUICK = SimulatorOptions(speed=20, absent_s=4)


def _frames(response: HTTPResponse) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(id, event, data) of a stream, until it ends or breaks off."""
    fields: dict[str, str] = {}
    while True:
        try:
            line = response.readline().decode().rstrip("\n")
        except (OSError, HTTPException):
            return
        if line:
            name, _, value = line.partition(":")
            fields[name] = value.strip()
        elif "event" in fields:
            yield fields.get("id", ""), fields["event"], json.loads(fields["data"])
            fields = {}
        elif not fields:
            return
        else:
            fields = {}


def test_an_event_stream_is_taken_up_again_after_a_kill(tmp_path: Path) -> None:
    with Simulator(QUICK) as sim, gateway(tmp_path, {**SHORT, "JIMENG_UPSTREAM_URL": sim.base_url}) as gate:
        api = Api(gate)
        api.add_sessions(1)
        task_id = api.submit("a film [sim:queue=40][sim:slow=40]", "jimeng-video-3.0")
        path, accept = f"/api/v1/tasks/{task_id}/events", {"accept": "text/event-stream"}

        seen: list[tuple[int, str]] = []
        connection, response = api.open("GET", path, headers=accept)
        for number, event, data in _frames(response):
            if number:
                seen.append((int(number), event))
            if event == "progress" and data["stage"] == "polling" and data["queue_position"]:
                break
        gate.kill()
        assert [event for number, event, _ in _frames(response) if number] == []
        connection.close()
        assert [event for _, event in seen][-1] == "submit.accepted"

        gate.start()
        last = {**accept, "last-event-id": str(seen[-1][0])}
        connection, response = api.open("GET", path, headers=last)
        rest = [(number, event, data) for number, event, data in _frames(response)]
        connection.close()
        seen += [(int(number), event) for number, event, _ in rest if number]
        assert [number for number, _ in seen] == list(range(1, len(seen) + 1))
        assert seen[-1][1] == "task.succeeded"
        assert rest[-1][1] == "progress"
        assert rest[-1][2]["stage"] == "succeeded"
        assert [event for _, event in seen] == api.events(task_id)


def test_cancelled_stays_cancelled_in_every_stage(tmp_path: Path) -> None:
    with Simulator(QUICK) as sim, gateway(tmp_path, {**SHORT, "JIMENG_UPSTREAM_URL": sim.base_url}) as gate:
        api = Api(gate)
        queued = _cancelled_in(api, "queued", api.submit("nobody is there to take it"))
        # One slot for everything: whatever does not give it back stops the test.
        api.add_sessions(1, slots=1)

        polling = _cancelled_in(api, "polling", api.submit("runs for long [sim:slow=400]"))

        sim.fault("slow", endpoint="generate", seconds=4.0, count=1)
        hanging = api.submit("its submit hangs [sim:slow=400]")
        until(lambda: len(sim.jobs()) == 2, seconds=10, what="the site has the job, we have no answer")
        submitting = _cancelled_in(api, "submitting", hanging)

        sim.fault("slow", endpoint="media", seconds=4.0, count=1)
        downloading = _cancelled_in(api, "downloading", api.submit("its download hangs"))

        # A site that refuses to cancel finishes the job: its success comes after the cancellation.
        stubborn = _cancelled_in(api, "polling", api.submit("will not stop [sim:slow=60][sim:no-cancel]"))
        rows = sqlite_rows(tmp_path / "data")
        until(
            lambda: rows("SELECT 1 FROM submission WHERE cancel_state = 'wanted'") == [],
            seconds=20,
            what="every cancellation was taken to the site",
        )
        until(lambda: sim.state()["running"] == 0, seconds=20, what="the last job at the site has ended")
        outcome = dict(rows("SELECT task_id, cancel_state FROM submission"))
        assert outcome == {polling: "done", submitting: "done", downloading: "refused", stubborn: "refused"}
        cancelled_there = {job["prompt"].partition(" [")[0]: job["cancelled"] for job in sim.jobs()}
        assert cancelled_there == {
            "runs for long": True,
            "its submit hangs": True,
            "its download hangs": False,
            "will not stop": False,
        }

        api.reaches(api.submit("there is room for the next one"), "succeeded")
        for task_id in (queued, polling, submitting, downloading, stubborn):
            assert api.task(task_id)["stage"] == "cancelled"
            assert api.task(task_id)["results"] == []
            assert api.events(task_id).count("task.cancelled") == 1
            assert "task.succeeded" not in api.events(task_id)
        assert rows("SELECT task_id FROM slot WHERE task_id IS NOT NULL") == []
        assert rows("SELECT id FROM task WHERE owner IS NOT NULL") == []
        assert sim.books()["twice"] == []
        assert not [line for line in gate.whole_log() if line["event"] in ("slot.leaked", "step.crashed")]


def _cancelled_in(api: Api, stage: str, task_id: str) -> str:
    """Cancels it once it is in that stage."""
    api.reaches(task_id, stage)
    assert api.call("POST", f"/api/v1/tasks/{task_id}/cancel")["stage"] == "cancelled"
    return task_id
