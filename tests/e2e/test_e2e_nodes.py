"""Several processes on one PostgreSQL: they share the work, survive each other and the database's absence."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path
from random import Random, SystemRandom

import pytest
from cluster import cluster
from ledger import Rows, assert_all_succeeded, assert_nothing_held, postgres_rows, stages
from support.process import SHORT, Api, Gateway, gateway, until
from support.proxy import proxy_to_socket

from jimeng_gateway.simulator.options import SimulatorOptions
from jimeng_gateway.simulator.server import Simulator

pytestmark = pytest.mark.e2e

HASTY = SimulatorOptions(speed=10, absent_s=20, video_s=40)
#: How long the simulator takes to answer a poll, so that two at once would be seen.
POLL_S = 0.2


@contextmanager
def _nodes(
    folder: Path, database: str, sim: Simulator, environ: Mapping[str, str], count: int = 2
) -> Iterator[list[Gateway]]:
    """Gateways that share a database and a data directory."""
    shared = {**SHORT, **environ, "JIMENG_DATABASE_URL": database, "JIMENG_UPSTREAM_URL": sim.base_url}
    with ExitStack() as stack:
        yield [stack.enter_context(gateway(folder, shared, f"node{number}")) for number in range(count)]


def _all_end(rows: Rows, count: int, *, seconds: float) -> None:
    until(
        lambda: sum(n for stage, n in stages(rows).items() if stage in ("succeeded", "failed")) == count,
        seconds=seconds,
        what="all tasks have ended",
    )


@pytest.mark.long
def test_two_processes_killed_in_turn_lose_nothing(tmp_path: Path) -> None:
    seed = SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    chance = Random(seed)
    with (
        Simulator(HASTY) as sim,
        cluster() as database,
        _nodes(tmp_path, database.url, sim, {"JIMENG_LEASE": "3"}) as nodes,
    ):
        apis = [Api(node) for node in nodes]
        apis[0].add_sessions(8)
        _disturb(sim)
        task_ids: list[str] = []
        for kill in range(8):
            victim = kill % 2
            for number in range(13):
                model = "jimeng-video-3.0" if number == 0 else "jimeng-4.5"
                task_ids.append(apis[number % 2].submit(f"a cat, number {len(task_ids)}", model))
            time.sleep(chance.uniform(0.1, 2))
            nodes[victim].kill()
            time.sleep(chance.uniform(0.1, 2))
            nodes[victim].start()
        rows = postgres_rows(database.url)
        _all_end(rows, len(task_ids), seconds=40)
        assert_all_succeeded(rows, sim, task_ids, tmp_path / "data" / "results")
        _assert_one_poll_at_once(sim)
        assert sim.state()["running_max"] <= 2
        for node in nodes:
            assert not [line for line in node.whole_log() if line["event"] in ("slot.leaked", "step.crashed")]
            node.terminate(seconds=10)
        assert rows("SELECT id FROM task WHERE owner IS NOT NULL") == []


def _disturb(sim: Simulator) -> None:
    sim.fault("html504", endpoint="generate", rate=0.10)
    sim.fault("reset", endpoint="generate", rate=0.05)
    sim.fault("lost_reply", endpoint="generate", rate=0.05)
    sim.fault("html504", endpoint="history", rate=0.10, seconds=POLL_S)
    sim.fault("reset", endpoint="history", rate=0.05, seconds=POLL_S)
    sim.fault("slow", endpoint="history", seconds=POLL_S)


def _assert_one_poll_at_once(sim: Simulator) -> None:
    for account in sim.accounts():
        times = [at for at, _ in account["polls"]]
        assert times, f"{account['session']} was never polled"
        gaps = [later - earlier for earlier, later in pairwise(times)]
        # The reply to each poll takes POLL_S; a hair less for the clock of the simulator.
        assert min(gaps, default=1) > POLL_S * 0.95, account["session"]


def test_the_work_of_a_killed_process_is_taken_over_within_its_lease(tmp_path: Path) -> None:
    lease = 3
    site = SimulatorOptions(speed=10, absent_s=5)
    environ = {"JIMENG_LEASE": str(lease), "JIMENG_SUBMIT_CONCURRENCY": "8"}
    with Simulator(site) as sim, cluster() as database, _nodes(tmp_path, database.url, sim, environ) as nodes:
        api = Api(nodes[1])
        api.add_sessions(8)
        sim.fault("slow", endpoint="generate", seconds=15.0)
        task_ids = [api.submit(f"hangs {number}") for number in range(16)]
        rows = postgres_rows(database.url)
        owners = "SELECT node.pid, count(*) FROM task JOIN node ON node.id = owner GROUP BY node.pid"
        both = {nodes[0].pid: 8, nodes[1].pid: 8}
        until(lambda: dict(rows(owners)) == both, seconds=10, what="each process has eight submits")  # type: ignore[arg-type]
        until(lambda: len(sim.jobs()) == 16, seconds=10, what="the site has them all")

        nodes[0].kill()
        killed = time.monotonic()
        taken_over = "SELECT task_id FROM event WHERE name = 'submit.uncertain'"
        until(lambda: len(rows(taken_over)) == 8, seconds=lease + 4, what="the other process takes over")
        assert time.monotonic() - killed < lease + 4
        sim.clear_faults()
        _all_end(rows, 16, seconds=20)
        assert_all_succeeded(rows, sim, task_ids, tmp_path / "data" / "results")


@pytest.mark.long
def test_postgres_restarted_under_load(tmp_path: Path) -> None:
    with (
        Simulator(HASTY) as sim,
        cluster() as database,
        _nodes(tmp_path, database.url, sim, {"JIMENG_LEASE": "20"}) as nodes,
    ):
        api = Api(nodes[0])
        api.add_sessions(8)
        rows = postgres_rows(database.url)
        task_ids: list[str] = []
        for _ in range(3):
            task_ids += [api.submit(f"a cat, number {number}") for number in range(20)]
            until(lambda: stages(rows).get("polling", 0) >= 8, seconds=20, what="tasks are under way")
            database.stop()
            _wait_until_missed(nodes)
            database.start()
            # Before the next round the gateway has to be itself again.
            api.patiently("GET", "/health/ready", seconds=20)
        _all_end(rows, len(task_ids), seconds=40)
        assert_all_succeeded(rows, sim, task_ids, tmp_path / "data" / "results")
        for node in nodes:
            assert node.alive
            assert node.terminate(seconds=10) < 10
        assert_nothing_held(rows)


@pytest.mark.long
def test_answers_of_the_database_that_get_lost(tmp_path: Path) -> None:
    # Also the answer to a COMMIT: it is done, and the process that asked for it cannot know.
    seed = SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    with (
        Simulator(HASTY) as sim,
        cluster() as database,
        proxy_to_socket(database.socket, Random(seed)) as proxy,
        _nodes(tmp_path, f"postgresql://postgres@127.0.0.1:{proxy.port}/postgres", sim, {}) as nodes,
    ):
        api = Api(nodes[0])
        api.add_sessions(8)
        proxy.lose = 0.03
        task_ids = [api.submit(f"a cat, number {number}") for number in range(40)]
        rows = postgres_rows(database.url)
        _all_end(rows, len(task_ids), seconds=40)
        assert_all_succeeded(rows, sim, task_ids, tmp_path / "data" / "results")
        assert proxy.lost > 15


def _wait_until_missed(nodes: list[Gateway]) -> None:
    """Until every gateway has noticed that the database is away."""
    before = [sum(line["event"] == "store.retry" for line in node.log()) for node in nodes]
    until(
        lambda: all(
            sum(line["event"] == "store.retry" for line in node.log()) > seen
            for node, seen in zip(nodes, before, strict=True)
        ),
        seconds=20,
        what="the gateways miss their database",
    )
