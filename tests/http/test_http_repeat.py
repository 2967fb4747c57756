"""Requests that are sent again make one task, a dry run makes none: over the real gateway and its store."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from http_client import Answer, Client
from support.aio import run
from support.media import a_png
from test_http_real import LOGIN, key_of, opened, working
from test_http_references import site

TASKS = "/api/v1/tasks"
CAT = {"prompt": "a cat", "model": "jimeng-4.5", "n": 1}
ONCE = {"idempotency-key": "order-17"}


async def made(client: Client) -> list[str]:
    """The ids of all tasks that there are."""
    return [task["id"] for task in (await client.get(TASKS)).json["data"]]


def form(boundary: str, **files: bytes) -> dict[str, Any]:
    """A picture and a prompt as a form, cut apart by this boundary."""
    body = b"".join(
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"; filename="upload"\r\n\r\n'.encode()
        + data
        + b"\r\n"
        for name, data in files.items()
    )
    body += f'--{boundary}\r\nContent-Disposition: form-data; name="prompt"\r\n\r\na cat\r\n'.encode()
    body += f"--{boundary}--\r\n".encode()
    return {"headers": {"content-type": f"multipart/form-data; boundary={boundary}"}, "body": body}


def test_the_same_key_and_request_is_the_same_task_and_reply(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as (client, _):
            first = await client.post(TASKS, CAT, headers=ONCE)
            again = await client.post(TASKS, dict(reversed(CAT.items())), headers=ONCE)
            assert (first.status, again.status) == (201, 201)
            assert again.json == first.json
            assert (first.header("idempotent-replayed"), again.header("idempotent-replayed")) == (
                None,
                "true",
            )
            assert again.header("x-should-retry") is None
            assert await made(client) == [first.json["id"]]

    run(main())


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (TASKS, {**CAT, "prompt": "a dog"}),
        (TASKS, {**CAT, "image_urls": ["https://example.com/cat.png"]}),
        ("/v1/images/generations", CAT),
    ],
)
def test_the_same_key_with_another_request_is_refused(
    tmp_path: Path, path: str, body: dict[str, Any]
) -> None:
    async def main() -> None:
        async with opened(tmp_path) as (client, _):
            first = await client.post(TASKS, CAT, headers=ONCE)
            answer = await client.post(path, body, headers=ONCE)
            assert (answer.status, answer.error["code"]) == (422, "idempotency_key_reused")
            assert answer.error["param"] == "Idempotency-Key"
            assert answer.header("x-should-retry") == "false"
            assert await made(client) == [first.json["id"]]

    run(main())


@pytest.mark.parametrize("token", ["", "two words", "ü", "x" * 256])
def test_a_key_that_is_none_is_refused(tmp_path: Path, token: str) -> None:
    async def main() -> None:
        async with opened(tmp_path) as (client, _):
            answer = await client.post(TASKS, CAT, headers={"idempotency-key": token})
            assert (answer.status, answer.error["param"]) == (400, "Idempotency-Key")
            assert await made(client) == []

    run(main())


def test_keys_of_different_callers_do_not_meet(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as (admin, _):
            alice, bob = await key_of(admin, "alice"), await key_of(admin, "bob")
            hers = await alice.post(TASKS, CAT, headers=ONCE)
            his = await bob.post(TASKS, {**CAT, "prompt": "a dog"}, headers=ONCE)
            assert hers.json["id"] != his.json["id"]

    run(main())


def test_many_at_once_make_one_task(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as (client, _):
            answers = await asyncio.gather(*(client.post(TASKS, CAT, headers=ONCE) for _ in range(20)))
            assert {answer.status for answer in answers} == {201}
            assert {answer.json["id"] for answer in answers} == set(await made(client))
            assert sum(answer.header("idempotent-replayed") is None for answer in answers) == 1

    run(main())


def test_a_refused_request_leaves_its_key_free(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as (client, _):
            wrong = await client.post(TASKS, {**CAT, "ratio": "7:5"}, headers=ONCE)
            right = await client.post(TASKS, CAT, headers=ONCE)
            assert (wrong.status, right.status) == (400, 201)

    run(main())


def test_it_is_remembered_over_a_restart(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as (client, _):
            first = await client.post(TASKS, CAT, headers=ONCE)
        async with opened(tmp_path) as (client, _):
            again = await client.post(TASKS, CAT, headers=ONCE)
            assert again.json["id"] == first.json["id"]

    run(main())


def test_the_key_of_a_deleted_task_makes_no_other_one(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as (client, _):
            video = {"prompt": "a cat", "model": "sora-2"}
            first = await client.post("/v1/videos", video, headers=ONCE)
            assert (await client.call("DELETE", f"/v1/videos/{first.json['id']}")).status == 200
            again = await client.post("/v1/videos", video, headers=ONCE)
            assert (again.status, again.error["code"]) == (410, "task_removed")
            assert again.header("x-should-retry") == "false"
            assert await made(client) == []
            other = await client.post("/v1/videos", video, headers={"idempotency-key": "order-18"})
            assert other.status == 200

    run(main())


def test_a_retry_is_made_once(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as (client, _):
            task = (await client.post(TASKS, CAT)).json["id"]
            await client.post(f"{TASKS}/{task}/cancel")
            again = [await client.post(f"{TASKS}/{task}/retry", headers=ONCE) for _ in range(3)]
            assert len({answer.json["id"] for answer in again}) == 1
            assert len(await made(client)) == 2

    run(main())


def test_a_repetition_fetches_nothing_again(tmp_path: Path) -> None:
    async def main() -> None:
        pages = {"/cat.png": a_png()}
        async with site(pages) as url, opened(tmp_path, egress_allowed_hosts="127.0.0.1") as (client, _):
            body = {**CAT, "references": [f"{url}/cat.png"]}
            first = await client.post(TASKS, body, headers=ONCE)
            pages.clear()
            again = await client.post(TASKS, body, headers=ONCE)
            assert again.json["id"] == first.json["id"]
            assert (await client.post(TASKS, body)).error["code"] == "reference_unreachable"

    run(main())


# ── SDKs that repeat by themselves ───────────────────────────────────────────────────────────────────


def test_a_counted_try_of_the_same_form_is_the_same_task(tmp_path: Path) -> None:
    async def attempt(client: Client, number: int, picture: bytes) -> Answer:
        how = form(f"fresh{number}", image=picture)
        how["headers"]["x-stainless-retry-count"] = str(number)
        return await client.call("POST", TASKS, **how)

    async def main() -> None:
        async with opened(tmp_path) as (client, _):
            answers = [await attempt(client, number, a_png()) for number in range(3)]
            assert [answer.status for answer in answers] == [201, 201, 201]
            assert len({answer.json["id"] for answer in answers}) == 1
            other = await attempt(client, 1, a_png(9, 9))
            assert other.json["id"] != answers[0].json["id"]
            assert len(await made(client)) == 2

    run(main())


def test_first_tries_are_never_taken_for_each_other(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as (client, _):
            first = {"x-stainless-retry-count": "0"}
            answers = [await client.post(TASKS, CAT, headers=first) for _ in range(3)]
            assert len({answer.json["id"] for answer in answers}) == 3

    run(main())


def test_a_repeated_wait_waits_for_the_same_picture(tmp_path: Path) -> None:
    async def main() -> None:
        async with working(tmp_path) as (client, _):
            await client.post("/api/v1/sessions", {"credential": LOGIN, "label": "mine"})
            path = "/v1/images/generations"
            tries = [
                client.post(path, CAT, headers={"x-stainless-retry-count": str(number)}) for number in (0, 1)
            ]
            first, again = [await one for one in tries]
            assert (first.status, again.status) == (200, 200)
            assert first.json["data"] == again.json["data"]
            assert len(await made(client)) == 1

    run(main())


# ── dry runs ─────────────────────────────────────────────────────────────────────────────────────────


def test_a_dry_run_says_what_it_would_come_to_and_makes_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as (client, _):
            body = {"prompt": "a cat", "model": "gpt-image-1", "size": "1024x1024", "n": 2}
            answer = await client.post(f"{TASKS}?dry_run=true", body, headers=ONCE)
            assert answer.status == 200
            told = answer.json
            assert (told["object"], told["kind"], told["request"]["n"]) == ("dry_run", "image", 2)
            assert told["model"] in {
                model["id"] for model in (await client.get("/api/v1/models")).json["data"]
            }
            assert await made(client) == []
            real = await client.post(TASKS, CAT, headers=ONCE)
            assert real.status == 201, "the key is still free"

    run(main())


def test_a_dry_run_tells_costs_that_were_seen_and_no_others(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as (client, _):
            known = {"prompt": "x", "model": "seedance-2.0-mini", "duration": 5, "resolution": "720p"}
            unknown = {"prompt": "x", "model": "jimeng-4.6"}
            told = [await client.post(f"{TASKS}?dry_run=1", body) for body in (known, unknown)]
            assert [answer.json["estimate"] for answer in told] == [
                {"credits": 30, "basis": "observed"},
                {"credits": None, "basis": "unknown"},
            ]

    run(main())


@pytest.mark.parametrize(
    "body", [{"prompt": ""}, {**CAT, "ratio": "7:5"}, {**CAT, "references": ["bm90IGEgcGljdHVyZQ=="]}]
)
def test_a_dry_run_refuses_what_a_real_one_would(tmp_path: Path, body: dict[str, Any]) -> None:
    async def main() -> None:
        async with opened(tmp_path) as (client, _):
            dry, real = [await client.post(path, body) for path in (f"{TASKS}?dry_run=true", TASKS)]
            assert dry.status == 400
            assert {**dry.error, "request_id": ""} == {**real.error, "request_id": ""}

    run(main())


def test_dry_run_is_a_word_or_an_error(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as (client, _):
            answer = await client.post(f"{TASKS}?dry_run=perhaps", CAT)
            assert (answer.status, answer.error["param"]) == (400, "dry_run")
            assert await made(client) == []
            assert (await client.post(f"{TASKS}?dry_run=false", CAT)).status == 201

    run(main())


# ── what a key has chosen ────────────────────────────────────────────────────────────────────────────


def test_a_keys_own_names_come_first(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as (admin, _):
            alice = await key_of(admin, "alice")
            key_id = (await admin.get("/api/v1/keys")).json["data"][0]["id"]
            path = f"/api/v1/keys/{key_id}"
            changed = await admin.call(
                "PATCH", path, json={"aliases": {"sora-*": "jimeng-video-3.0"}, "wait": 5}
            )
            assert changed.json["options"] == {
                "aliases": {"sora-*": "jimeng-video-3.0"},
                "image_format": "auto",
                "wait": 5,
                "ark_status": "auto",
            }
            body = {"prompt": "x", "model": "sora-2"}
            mine = await alice.post(f"{TASKS}?dry_run=true", body)
            others = await admin.post(f"{TASKS}?dry_run=true", body)
            assert (mine.json["model"], others.json["model"]) == ("jimeng-video-3.0", "seedance-2.0")
            kept = await admin.call("PATCH", path, json={"wait": "auto"})
            assert kept.json["options"]["aliases"] == {"sora-*": "jimeng-video-3.0"}
            assert kept.json["options"]["wait"] == "auto"
            wrong = await admin.call("PATCH", path, json={"aliases": {"x": "no such model"}})
            assert (wrong.status, wrong.error["param"]) == (400, "aliases")

    run(main())
