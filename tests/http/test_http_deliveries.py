"""A callback the whole way: ordered at the Ark door, told by the worker, looked up by its key."""

from __future__ import annotations

import asyncio
from pathlib import Path

from http_client import make
from http_fake import USER, FakeGateway
from support.aio import run
from support.receiver import receiving
from test_http_real import LOGIN, key_of, opened

from jimeng_gateway.app import worker_of
from jimeng_gateway.simulator import Simulator, SimulatorOptions
from jimeng_gateway.work.lease import Lease

ARK = "/api/v3/contents/generations/tasks"
DELIVERIES = "/api/v1/deliveries"


def test_a_delivery_as_its_caller_sees_it(tmp_path: Path) -> None:
    async def main() -> None:
        answer = await make(FakeGateway(tmp_path)).speaking(USER).get(f"{DELIVERIES}?state=pending&limit=5")
        assert answer.json == {
            "object": "list",
            "data": [
                {
                    "id": "dlv_1",
                    "object": "delivery",
                    "task_id": "task_1",
                    "event": "succeeded",
                    "state": "pending",
                    "format": "ark",
                    "host": "hook.example:443",
                    "tries": 1,
                    "status": 500,
                    "error": "the receiver answered 500",
                    "created_at": "2026-09-21T14:13:20.123Z",
                    "due_at": "2026-09-21T14:13:30.123Z",
                    "delivered_at": None,
                }
            ],
            "has_more": False,
            "next_cursor": None,
        }

    run(main())


def test_the_whole_way(tmp_path: Path) -> None:
    async def main() -> None:
        with Simulator(SimulatorOptions(speed=60)) as site:
            async with (
                receiving() as receiver,
                opened(tmp_path, site.base_url, egress_allowed_hosts="127.0.0.1") as (admin, parts),
            ):
                lease = Lease(parts.db, parts.clock, length=30_000, alone=True)
                await lease.enter()
                worker = worker_of(parts, lease)
                running = asyncio.create_task(worker.run())
                await admin.post("/api/v1/sessions", {"credential": LOGIN})
                user, other = await key_of(admin, "ark"), await key_of(admin, "other")
                order = {
                    "model": "jimeng-video-3.0",
                    "content": [{"type": "text", "text": "a cat"}],
                    "callback_url": receiver.url("/200?token=hush"),
                }
                refused = await user.post(ARK, {**order, "callback_url": "http://me:you@a/"})
                assert (refused.status, refused.error["param"]) == (400, "callback_url")
                task_id = (await user.post(ARK, order)).json["id"]
                done = await user.get(
                    f"/api/v1/tasks/{task_id}/events", headers={"accept": "text/event-stream"}
                )
                assert b"event: task.succeeded\n" in done.body
                async with asyncio.timeout(10):
                    while "succeeded" not in receiver.told():
                        await receiver.heard()
                last = receiver.requests[-1].json
                assert last == (await user.get(f"{ARK}/{task_id}")).json
                assert last["content"]["video_url"].startswith("http://gw.example:5100/api/v1/tasks/")
                assert receiver.told() == sorted(
                    receiver.told(), key=["queued", "running", "succeeded"].index
                )
                await worker.stop(running, 2)
                listed = await user.get(f"{DELIVERIES}?task_id={task_id}")
                states = {entry["event"]: entry["state"] for entry in listed.json["data"]}
                assert (states["succeeded"], b"hush" in listed.body) == ("delivered", False)
                assert (await other.get(DELIVERIES)).json["data"] == []
                assert len((await admin.get(DELIVERIES)).json["data"]) == len(states)

    run(main())
