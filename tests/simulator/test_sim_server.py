"""The site on a port: real connections, the admin door, and the command's way of running."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest
from sim_requests import PATHS, image
from support.aio import run

from jimeng_gateway.simulator import Simulator, SimulatorOptions


class Clock:
    """The test's own time, in seconds."""

    def __init__(self) -> None:
        self.seconds = 1_767_225_600.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sim(clock: Clock) -> Iterator[Simulator]:
    with Simulator(SimulatorOptions(), clock=clock) as running:
        yield running


def exchange(sim: Simulator, *requests: tuple[str, str, Any]) -> list[tuple[int, Any]]:
    """Status and decoded body of each request, over one connection pool."""

    async def main() -> list[tuple[int, Any]]:
        answers: list[tuple[int, Any]] = []
        async with aiohttp.ClientSession(headers={"cookie": "sessionid=one"}) as client:
            for method, path, content in requests:
                async with client.request(method, sim.base_url + path, json=content) as reply:
                    answers.append((reply.status, json.loads(await reply.read())))
        return answers

    return run(main())


def admin(sim: Simulator, method: str, door: str, content: Any = None) -> Any:
    ((status, answer),) = exchange(sim, (method, f"/_sim{door}", content))
    assert status == 200, answer
    return answer


def test_a_job_from_submit_to_file(sim: Simulator, clock: Clock) -> None:
    exchange(sim, ("POST", PATHS["generate"], image()))
    clock.seconds += 12
    ((_, polled),) = exchange(sim, ("POST", PATHS["history"], {"submit_ids": ["s-1"]}))
    link = polled["data"]["s-1"]["item_list"][0]["image"]["large_images"][0]["image_url"]
    assert link.startswith(sim.base_url)
    with urllib.request.urlopen(link) as reply:
        assert (reply.status, reply.headers["content-type"]) == (200, "image/png")
        content = reply.read()
    assert int(reply.headers["content-length"]) == len(content)
    head = urllib.request.Request(link, method="HEAD")
    with urllib.request.urlopen(head) as reply:
        assert (int(reply.headers["content-length"]), reply.read()) == (len(content), b"")
    assert sim.books()["charged"] == {"s-1": 1}


def test_the_date_is_the_sites_own(sim: Simulator) -> None:
    async def main() -> str:
        async with aiohttp.ClientSession() as client, client.post(sim.base_url + PATHS["passport"]) as reply:
            return reply.headers["date"]

    assert run(main()) == "Thu, 01 Jan 2026 00:00:00 GMT"


@pytest.mark.parametrize(("kind", "charged"), [("reset", {}), ("lost_reply", {"s-1": 1})])
def test_a_connection_is_really_reset(sim: Simulator, kind: str, charged: dict[str, int]) -> None:
    sim.fault(kind, endpoint="generate", count=1)
    with pytest.raises(aiohttp.ClientConnectionError):
        exchange(sim, ("POST", PATHS["generate"], image()))
    assert sim.books()["charged"] == charged
    ((status, _),) = exchange(sim, ("POST", PATHS["user_info"], {}))
    assert status == 200


def test_a_file_is_really_cut(sim: Simulator, clock: Clock) -> None:
    exchange(sim, ("POST", PATHS["generate"], image()))
    clock.seconds += 12
    ((_, polled),) = exchange(sim, ("POST", PATHS["history"], {"submit_ids": ["s-1"]}))
    link = polled["data"]["s-1"]["item_list"][0]["image"]["large_images"][0]["image_url"]
    sim.fault("truncated", endpoint="media", count=1)

    async def main() -> bytes:
        async with aiohttp.ClientSession() as client, client.get(link) as reply:
            return await reply.read()

    with pytest.raises(aiohttp.ClientError):
        run(main())
    assert len(run(main())) > 1000


def test_unknown_paths_are_404(sim: Simulator) -> None:
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(f"{sim.base_url}/mweb/v1/no_such_call")


def test_the_admin_door(sim: Simulator) -> None:
    admin(sim, "POST", "/accounts", [{"session": "one", "credits": 50}, {"session": "two", "dead": True}])
    admin(sim, "POST", "/faults", {"kind": "html504", "endpoint": "cancel", "count": 3})
    exchange(
        sim,
        ("POST", PATHS["generate"], image(prompt="[sim:forever]")),
        ("POST", PATHS["history"], {"submit_ids": ["s-1"]}),
    )
    state = admin(sim, "GET", "/state")
    assert (state["accounts"], state["jobs"], state["running"]) == (2, {"20": 1}, 1)
    assert state["requests"] == {"generate": 1, "history": 1}
    assert state["faults"][0]["left"] == 3
    assert admin(sim, "POST", "/finish", {"submit_id": "s-1", "ending": "fail"}) == {"finished": 1}
    (job,) = admin(sim, "GET", "/jobs?submit_id=s-1")["jobs"]
    assert (job["status"], job["polls"]) == (30, 1)
    (account,) = admin(sim, "GET", "/accounts?session=one")["accounts"]
    assert (account["credits"]["vip"], account["running_max"], len(account["polls"])) == (48, 1, 1)
    (seen,) = admin(sim, "GET", "/requests?endpoint=history")["requests"]
    assert (seen["session"], seen["ret"], json.loads(seen["body"])) == ("one", "0", {"submit_ids": ["s-1"]})
    assert admin(sim, "GET", "/books?submit_id=s-1")["total"] == 2
    assert admin(sim, "DELETE", "/faults") == {"armed": []}
    admin(sim, "POST", "/reset")
    assert admin(sim, "GET", "/state")["jobs"] == {}


def test_options_change_for_what_comes_next(sim: Simulator) -> None:
    assert admin(sim, "POST", "/options", {"speed": 12})["speed"] == 12
    exchange(sim, ("POST", PATHS["generate"], image()))
    (job,) = sim.jobs()
    assert job["ends_at"] - job["accepted_at"] == pytest.approx(1)


@pytest.mark.parametrize(
    ("method", "door", "content"),
    [
        ("POST", "/options", {"sped": 2}),
        ("POST", "/options", {"speed": 0}),
        ("POST", "/options", {"seed": 2}),
        ("POST", "/faults", {"kind": "nothing"}),
        ("POST", "/accounts", {"session": "one", "rich": True}),
        ("POST", "/models", {"key": "new", "kind": "sound"}),
        ("GET", "/requests?limit=many", None),
    ],
)
def test_the_admin_door_says_what_is_wrong(sim: Simulator, method: str, door: str, content: Any) -> None:
    ((status, answer),) = exchange(sim, (method, f"/_sim{door}", content))
    assert status == 400
    assert answer["error"]


def test_a_model_that_no_release_knows(sim: Simulator) -> None:
    admin(sim, "POST", "/models", {"key": "high_aes_general_v60", "kind": "image", "counts": [1, 2]})
    admin(sim, "POST", "/models", {"key": "dreamina_seedance_50", "kind": "video", "durations": [6]})
    answers = exchange(
        sim,
        ("POST", PATHS["image_config"], {}),
        ("POST", PATHS["video_config"], {"scene": "generate_video"}),
        ("POST", PATHS["generate"], image(model="high_aes_general_v60")),
    )
    assert answers[0][1]["data"]["model_list"][-1]["model_req_key"] == "high_aes_general_v60"
    assert answers[1][1]["data"]["model_list"][-1]["model_req_key"] == "dreamina_seedance_50"
    assert answers[2][1]["ret"] == "0"
    assert admin(sim, "DELETE", "/models", {"key": "high_aes_general_v60"}) == {"withdrawn": True}
    ((_, refused),) = exchange(sim, ("POST", PATHS["generate"], image(model="high_aes_general_v60")))
    assert refused["ret"] == "2061"


def test_the_command_runs_until_it_is_told_to_stop() -> None:
    code = (
        "from jimeng_gateway.simulator import SimulatorOptions, serve\n"
        "serve(SimulatorOptions(), '127.0.0.1', 0, lambda url: print(url, flush=True))\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        with urllib.request.urlopen(f"{url}/_sim/state") as reply:
            assert json.loads(reply.read())["jobs"] == {}
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
