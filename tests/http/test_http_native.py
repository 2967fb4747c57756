"""The gateway's own task API."""

from __future__ import annotations

from pathlib import Path

from http_client import make
from http_fake import CREDENTIAL, NOW, OTHER, USER, FakeGateway, a_failure, a_result, a_task, a_video
from support.aio import run

from jimeng_gateway.domain.errors import ErrorKind
from jimeng_gateway.domain.intake import Wish
from jimeng_gateway.domain.request import Kind
from jimeng_gateway.domain.task import Stage, TaskEvent


def test_a_task_is_made_from_every_field(tmp_path: Path) -> None:
    async def main() -> None:
        gateway = FakeGateway(tmp_path)
        sent = {
            "prompt": "a cat",
            "model": "jimeng-4.5",
            "kind": "image",
            "n": 2.0,
            "ratio": "16:9",
            "resolution": "2k",
            "size": "2560x1440",
            "negative_prompt": "dog",
            "sample_strength": 1,
            "intelligent_ratio": False,
            "multi_image": True,
            "seed": 7,
            "duration": None,
        }
        answer = await make(gateway).post("/api/v1/tasks", sent)
        assert answer.status == 201
        assert answer.header("location") == "http://gw.example:5100/api/v1/tasks/task_new"
        assert gateway.wishes == [
            Wish(
                "a cat",
                "jimeng-4.5",
                Kind.IMAGE,
                2,
                "16:9",
                "2k",
                "2560x1440",
                "dog",
                1.0,
                False,
                7,
                None,
                True,
            )
        ]

    run(main())


def test_what_the_catalogue_refuses_is_a_400_that_names_the_field(tmp_path: Path) -> None:
    async def main() -> None:
        answer = await make(FakeGateway(tmp_path)).post(
            "/api/v1/tasks", {"prompt": "x", "model": "no-such-model"}
        )
        assert (answer.status, answer.error["code"], answer.error["param"]) == (
            400,
            "model_not_found",
            "model",
        )
        unknown = await make(FakeGateway(tmp_path)).post("/api/v1/tasks", {"prompt": "x", "modle": "y"})
        assert (unknown.status, unknown.error["param"]) == (400, "modle")
        assert "allowed: prompt, model, kind, n, ratio" in unknown.error["message"]
        assert "size, negative_prompt" in unknown.error["message"]
        assert "references, files" in unknown.error["message"]

    run(main())


def test_the_json_of_a_running_picture(tmp_path: Path) -> None:
    async def main() -> None:
        gateway = FakeGateway(tmp_path)
        gateway.all_tasks["task_1"] = a_task(
            stage=Stage.POLLING,
            accepted_at=NOW + 5,
            submitted_at=NOW + 1,
            session_id="sess_1",
            queue_position=3,
            queue_total=9,
            queue_eta=40,
            attempts=1,
        )
        task = (await make(gateway).get("/api/v1/tasks/task_1")).json
        assert task["request"] == {
            "kind": "image",
            "model": "jimeng-4.5",
            "ratio": "1:1",
            "resolution": "2k",
            "width": 2048,
            "height": 2048,
            "n": 1,
            "negative_prompt": "",
            "sample_strength": 0.5,
            "intelligent_ratio": False,
            "multi_image": False,
            "seed": None,
            "duration": None,
        }
        del task["request"], task["progress"]
        assert task == {
            "id": "task_1",
            "object": "task",
            "kind": "image",
            "model": "jimeng-4.5",
            "stage": "polling",
            "status": "polling",
            "prompt": "a cat",
            "references": [],
            "queue_position": 3,
            "queue_total": 9,
            "queue_eta": 40,
            "image_urls": [],
            "results": [],
            "error_kind": None,
            "error_message": None,
            "error": None,
            "late": False,
            "attempts": 1,
            "session_id": "sess_1",
            "retry_of": None,
            "poll_url": "http://gw.example:5100/api/v1/tasks/task_1",
            "created_at": "2026-09-21T14:13:20.123Z",
            "updated_at": "2026-09-21T14:13:20.123Z",
            "submitted_at": "2026-09-21T14:13:20.124Z",
            "accepted_at": "2026-09-21T14:13:20.128Z",
            "finished_at": None,
            "deadline_at": "2026-09-21T15:13:20.123Z",
        }

    run(main())


def test_a_finished_video_has_its_url(tmp_path: Path) -> None:
    async def main() -> None:
        gateway = FakeGateway(tmp_path)
        (tmp_path / "v.mp4").write_bytes(b"video")
        result = a_result(0, tmp_path / "v.mp4", "video/mp4")
        gateway.all_tasks["task_v"] = a_video(stage=Stage.SUCCEEDED, results=(result,), finished_at=NOW)
        task = (await make(gateway, public_url="https://gw.example").get("/api/v1/tasks/task_v")).json
        signature = gateway.link_signature("task_v", 0)
        url = f"https://gw.example/api/v1/tasks/task_v/content?index=0&signature={signature}"
        assert (task["video_url"], task["results"][0]["url"]) == (url, url)
        assert task["results"][0]["upstream_url"] == "https://upstream.example/0"
        assert (task["progress"], task["request"]["duration"]) == (1.0, 5.0)
        assert "image_urls" not in task

    run(main())


def test_only_the_operator_sees_what_the_site_answered(tmp_path: Path) -> None:
    async def main() -> None:
        gateway = FakeGateway(tmp_path)
        failure = a_failure(ErrorKind.CONTENT_REJECTED, "not allowed")
        gateway.all_tasks["task_1"] = a_task(stage=Stage.FAILED, failure=failure, finished_at=NOW)
        client = make(gateway)
        mine = (await client.speaking(USER).get("/api/v1/tasks/task_1")).json
        expected = {
            "kind": "content_rejected",
            "code": "1006",
            "message": "not allowed",
            "retryable": False,
            "owner": "caller",
        }
        assert mine["error"] == expected
        assert (mine["error_kind"], mine["error_message"]) == ("content_rejected", "not allowed")
        operators = (await client.get("/api/v1/tasks/task_1")).json
        assert operators["error"] == {**expected, "raw": '{"ret":"1006"}'}

    run(main())


def test_tasks_of_another_key_do_not_exist(tmp_path: Path) -> None:
    async def main() -> None:
        gateway = FakeGateway(tmp_path)
        gateway.all_tasks["task_1"] = a_task()
        other = make(gateway).speaking(OTHER)
        for method, suffix in [
            ("GET", ""),
            ("DELETE", ""),
            ("POST", "/cancel"),
            ("POST", "/retry"),
            ("GET", "/events"),
        ]:
            assert (await other.call(method, f"/api/v1/tasks/task_1{suffix}")).status == 404
        assert (await other.get("/api/v1/tasks/task_1/content")).status == 404
        assert (await other.get("/api/v1/tasks")).json["data"] == []

    run(main())


def test_lists_are_filtered_and_paged(tmp_path: Path) -> None:
    async def main() -> None:
        gateway = FakeGateway(tmp_path)
        for index in range(3):
            gateway.all_tasks[f"task_{index}"] = a_task(f"task_{index}")
        gateway.all_tasks["task_v"] = a_video(stage=Stage.POLLING)
        client = make(gateway)
        page = (await client.get("/api/v1/tasks?limit=2&kind=image&model=jimeng-4.5")).json
        assert [task["id"] for task in page["data"]] == ["task_0", "task_1"]
        assert (page["object"], page["has_more"], page["next_cursor"]) == ("list", True, "next")
        last = (await client.get("/api/v1/tasks?stage=polling&cursor=next")).json
        assert [task["id"] for task in last["data"]] == ["task_v"]
        assert (last["has_more"], last["next_cursor"]) == (False, None)

    run(main())


def test_cancel_by_either_way_and_never_after_the_end(tmp_path: Path) -> None:
    async def main() -> None:
        gateway = FakeGateway(tmp_path)
        client = make(gateway)
        for method, suffix in [("POST", "/cancel"), ("DELETE", "")]:
            gateway.all_tasks["task_1"] = a_task()
            cancelled = await client.call(method, f"/api/v1/tasks/task_1{suffix}")
            assert (cancelled.status, cancelled.json["stage"]) == (200, "cancelled")
            assert (await client.call(method, f"/api/v1/tasks/task_1{suffix}")).status == 200
            gateway.all_tasks["task_1"] = a_task(stage=Stage.SUCCEEDED, finished_at=NOW)
            refused = await client.call(method, f"/api/v1/tasks/task_1{suffix}")
            assert (refused.status, refused.error["type"]) == (409, "conflict_error")
            assert refused.header("x-should-retry") == "false"

    run(main())


def test_retry_makes_a_linked_task(tmp_path: Path) -> None:
    async def main() -> None:
        gateway = FakeGateway(tmp_path)
        gateway.all_tasks["task_1"] = a_task(stage=Stage.FAILED, finished_at=NOW)
        client = make(gateway)
        again = await client.post("/api/v1/tasks/task_1/retry")
        assert (again.status, again.json["id"], again.json["retry_of"]) == (201, "task_again", "task_1")
        assert again.header("location") == "http://gw.example:5100/api/v1/tasks/task_again"
        gateway.all_tasks["task_1"] = a_task()
        assert (await client.post("/api/v1/tasks/task_1/retry")).status == 409

    run(main())


def test_events_as_a_list(tmp_path: Path) -> None:
    async def main() -> None:
        gateway = FakeGateway(tmp_path)
        gateway.all_tasks["task_1"] = a_task()
        gateway.recorded["task_1"] = [
            TaskEvent("task_1", 1, NOW, "queued", {"model": "jimeng-4.5"}),
            TaskEvent("task_1", 2, NOW + 1, "reserved", {"session": "sess_1"}),
        ]
        client = make(gateway)
        assert (await client.get("/api/v1/tasks/task_1/events")).json == {
            "object": "list",
            "data": [
                {
                    "seq": 1,
                    "at": "2026-09-21T14:13:20.123Z",
                    "name": "queued",
                    "data": {"model": "jimeng-4.5"},
                },
                {
                    "seq": 2,
                    "at": "2026-09-21T14:13:20.124Z",
                    "name": "reserved",
                    "data": {"session": "sess_1"},
                },
            ],
        }
        for how in ({"target": "?after=1"}, {"target": "", "headers": {"last-event-id": "1"}}):
            rest = await client.get(f"/api/v1/tasks/task_1/events{how.pop('target')}", **how)
            assert [event["seq"] for event in rest.json["data"]] == [2]
        odd = await client.get("/api/v1/tasks/task_1/events", headers={"last-event-id": "soon"})
        assert (odd.status, odd.error["param"]) == (400, "Last-Event-ID")

    run(main())


def test_models_and_statistics(tmp_path: Path) -> None:
    async def main() -> None:
        client = make(FakeGateway(tmp_path))
        image, video = (await client.get("/api/v1/models")).json["data"]
        assert (image["id"], image["kind"], image["status"]) == ("jimeng-4.5", "image", "available")
        assert image["resolutions"] == [
            {"name": "2k", "sizes": [{"ratio": "1:1", "width": 2048, "height": 2048}]}
        ]
        assert (image["default_duration"], video["durations"]) == (None, [5, 10])
        assert (await client.get("/api/v1/stats")).json == {"tasks": {"queued": 0}}

    run(main())


def test_sessions_are_managed_and_their_credential_never_comes_back(tmp_path: Path) -> None:
    async def main() -> None:
        client = make(FakeGateway(tmp_path))
        path = "/api/v1/sessions"
        made = await client.post(path, {"credential": CREDENTIAL, "label": "mine", "slots": 3})
        assert (made.status, made.json["label"], made.json["slots"]) == (201, "mine", 3)
        assert made.header("location") == "http://gw.example:5100/api/v1/sessions/sess_2"
        seen = [made, await client.get(path), await client.get(f"{path}/sess_2")]
        changed = await client.call(
            "PATCH", f"{path}/sess_2", json={"enabled": False, "credential": CREDENTIAL}
        )
        assert (changed.json["enabled"], changed.json["label"]) == (False, "mine")
        seen += [changed, await client.post(f"{path}/sess_2/test")]
        assert seen[-1].json == {
            "valid": True,
            "account": {"uid": "1234", "name": "somebody", "credits": 60},
            "error": None,
        }
        seen += [
            await client.post(path, {"credential": CREDENTIAL, "slots": 65}),
            await client.post(path, {"credential": CREDENTIAL, "region": "us"}),
            await client.post(path, {"credential": [CREDENTIAL]}),
            await client.post(path, {"credentials": CREDENTIAL}),
            await client.call("POST", path, body=CREDENTIAL.encode()),
        ]
        assert [answer.status for answer in seen[-5:]] == [400] * 5
        assert all(CREDENTIAL.encode() not in answer.body for answer in seen)
        gone = await client.call("DELETE", f"{path}/sess_2")
        assert gone.json == {"id": "sess_2", "object": "session", "deleted": True}
        assert (await client.get(f"{path}/sess_2")).status == 404
        for method in ("PATCH", "POST"):
            target = path if method == "POST" else f"{path}/sess_1"
            assert (await client.call(method, target, json={"credential": "taken"})).status == 409

    run(main())


def test_a_dead_login_is_not_valid_and_one_in_use_is_not_removed(tmp_path: Path) -> None:
    from dataclasses import replace

    from jimeng_gateway.domain.session import SessionState

    async def main() -> None:
        gateway = FakeGateway(tmp_path)
        session = gateway.logins["sess_1"]
        gateway.logins["sess_1"] = replace(session, state=SessionState.EXPIRED, slots_taken=1)
        client = make(gateway)
        check = (await client.post("/api/v1/sessions/sess_1/test")).json
        assert (check["valid"], check["account"], check["error"]["kind"]) == (False, None, "auth")
        assert (await client.call("DELETE", "/api/v1/sessions/sess_1")).status == 409

    run(main())


def test_keys_show_their_secret_once(tmp_path: Path) -> None:
    async def main() -> None:
        client = make(FakeGateway(tmp_path))
        made = await client.post("/api/v1/keys", {"name": "ci", "admin": True})
        assert (made.status, made.json["key"], made.json["role"]) == (201, "gw_" + "d" * 32, "admin")
        assert made.header("cache-control") == "no-store"
        (known,) = (await client.get("/api/v1/keys")).json["data"]
        assert "key" not in known
        revoked = await client.call("DELETE", "/api/v1/keys/key_user")
        assert revoked.json["revoked_at"] == "2026-09-21T14:13:20.123Z"
        assert (await client.call("DELETE", "/api/v1/keys/key_none")).status == 404
        assert (await client.post("/api/v1/keys", {"name": ""})).status == 400

    run(main())


def test_health(tmp_path: Path) -> None:
    async def main() -> None:
        gateway = FakeGateway(tmp_path)
        client = make(gateway)
        alive = await client.speaking(None).get("/health/live")
        assert (alive.status, alive.json) == (200, {"status": "live"})
        ready = await client.get("/health/ready")
        assert (ready.status, ready.json["status"]) == (200, "ready")
        gateway.ready = False
        down = await client.get("/health/ready")
        assert (down.status, down.json) == (
            503,
            {"status": "not_ready", "checks": {"database": {"ok": False}}},
        )

    run(main())
