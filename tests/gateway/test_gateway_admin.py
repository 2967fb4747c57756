"""Sessions, keys, health and figures through the facade; and that credentials can be written, never read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest
from support.aio import run
from support.flaky import FlakyDatabase
from support.upstream import failure
from support.world import opened

from jimeng_gateway.domain.errors import (
    Conflict,
    ErrorKind,
    InvalidRequest,
    NotFound,
    StoreError,
    Unauthenticated,
)
from jimeng_gateway.domain.session import SessionState
from jimeng_gateway.domain.task import Stage
from jimeng_gateway.gateway import ADMIN
from jimeng_gateway.secrets import digest
from jimeng_gateway.store.database import StoreBusy, Tx

T = TypeVar("T")

SECRET = "5e55105e55105e55105e55105e55105e"
JAR = f"sessionid={SECRET}; sid_tt={SECRET}; _tea_web_id=7345678901234567890; sid_guard={SECRET}%7C1"


def everything_on(folder: Path) -> bytes:
    """Every byte of every file: the database, its log, the results."""
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


# ── sessions ─────────────────────────────────────────────────────────────────────────────────────────


def test_a_session_is_added_changed_and_removed(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            gateway = world.gateway
            made = await gateway.add_session(credential=SECRET, label="mine", slots=3)
            assert (made.label, made.slots, made.state, made.enabled) == ("mine", 3, SessionState.READY, True)
            nameless = await gateway.add_session(credential="f" * 32)
            assert (nameless.label, nameless.slots) == (nameless.id, 2)
            changed = await gateway.update_session(made.id, label="yours", enabled=False, slots=1)
            assert (changed.label, changed.enabled, changed.slots) == ("yours", False, 1)
            assert await gateway.update_session(made.id) == changed
            assert {session.id for session in await gateway.sessions()} == {made.id, nameless.id}
            await gateway.remove_session(made.id)
            assert [session.id for session in await gateway.sessions()] == [nameless.id]
            for question in (
                gateway.session(made.id),
                gateway.update_session(made.id, label="x"),
                gateway.update_session(made.id, credential="e" * 32),
                gateway.remove_session(made.id),
                gateway.check_session(made.id),
            ):
                with pytest.raises(NotFound, match="there is no session"):
                    await question

    run(main())


def test_the_same_login_is_not_added_twice_but_may_come_back(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            gateway = world.gateway
            made = await gateway.add_session(credential=SECRET, label="mine")
            other = await gateway.add_session(credential="f" * 32)
            with pytest.raises(Conflict, match=f"{made.id} \\(mine\\)"):
                await gateway.add_session(credential=JAR)
            with pytest.raises(Conflict, match="is here already"):
                await gateway.update_session(other.id, credential=SECRET)
            assert (await gateway.update_session(made.id, credential=JAR)).id == made.id
            await gateway.remove_session(made.id)
            assert (await gateway.add_session(credential=SECRET)).id != made.id

    run(main())


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"credential": ""}, "credential"),
        ({"credential": "us-" + SECRET}, "credential"),
        ({"credential": SECRET, "slots": 0}, "slots"),
        ({"credential": SECRET, "slots": 65}, "slots"),
        ({"credential": SECRET, "region": "us"}, "region"),
    ],
)
def test_an_unusable_session_is_refused(tmp_path: Path, fields: dict[str, object], param: str) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            with pytest.raises(InvalidRequest) as caught:
                await world.gateway.add_session(**fields)  # type: ignore[arg-type]
            assert caught.value.param == param
            assert SECRET not in caught.value.message
            assert await world.gateway.sessions() == []

    run(main())


def test_a_session_with_running_tasks_stays(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            (session,) = await world.sessions(1)
            task, process = await world.submit(), await world.process()
            await process.worker.drain()
            with pytest.raises(Conflict, match="1 tasks run"):
                await world.gateway.remove_session(session.id)
            await world.settle(process)
            await world.gateway.remove_session(session.id)
            done = await world.task(task)
            assert (done.stage, done.session_id) == (Stage.SUCCEEDED, session.id)
            assert world.sql("SELECT count(*) FROM slot") == [(0,)]
            assert world.sql("SELECT credential FROM session") == [("",)]

    run(main())


def test_only_the_sites_own_word_makes_a_session_valid(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            (session,) = await world.sessions(1)
            check = await world.gateway.check_session(session.id)
            assert check.valid
            assert check.account is not None
            assert (await world.gateway.session(session.id)).credits == 88
            world.site.account_faults[session.id] = failure(ErrorKind.NETWORK, "connect_refused")
            check = await world.gateway.check_session(session.id)
            assert (check.valid, check.account) == (False, None)
            assert (await world.gateway.session(session.id)).state is SessionState.READY, "nobody said so"
            world.site.account_faults[session.id] = failure(ErrorKind.AUTH, "1015")
            check = await world.gateway.check_session(session.id)
            assert check.failure is not None
            assert (check.valid, check.failure.code) == (False, "1015")
            assert (await world.gateway.session(session.id)).state is SessionState.EXPIRED
            world.site.account_faults.clear()
            assert (await world.gateway.check_session(session.id)).valid
            assert (await world.gateway.session(session.id)).state is SessionState.READY

    run(main())


def test_a_new_credential_makes_a_session_ready_and_keeps_its_web_id(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            made = await world.gateway.add_session(credential=SECRET)
            before = world.sql("SELECT web_id FROM session")
            world.site.account_faults[made.id] = failure(ErrorKind.ACCOUNT_BLOCKED, "1018")
            await world.gateway.check_session(made.id)
            assert (await world.gateway.session(made.id)).state is SessionState.BLOCKED
            renewed = await world.gateway.update_session(made.id, credential="f" * 32)
            assert (renewed.state, renewed.reason) == (SessionState.READY, None)
            assert world.sql("SELECT web_id FROM session") == before

    run(main())


def test_a_credential_is_nowhere_to_be_read(tmp_path: Path) -> None:
    """Not in any value, event or error, and not in a single byte of what lies on the disk."""

    async def main() -> None:
        async with opened(tmp_path) as world:
            for credential in (SECRET, JAR.replace(SECRET, SECRET[::-1])):
                await world.gateway.add_session(credential=credential)
            task, process = await world.submit(), await world.process()
            identities: list[object] = []
            world.site.on_submit = lambda identity, order: identities.extend([identity, order])
            await world.settle(process)
            sessions = await world.gateway.sessions()
            checks = [await world.gateway.check_session(session.id) for session in sessions]
            identity = identities[0]
            shown = repr(
                [
                    sessions,
                    checks,
                    identities,
                    world.seen,
                    await world.task(task),
                    await world.gateway.events(ADMIN, task.id),
                    await world.gateway.stats(),
                    world.vault,
                    process.bench.identities,
                ]
            )
            assert SECRET in identity.cookie or SECRET[::-1] in identity.cookie  # type: ignore[attr-defined]
            on_disk = everything_on(tmp_path)
            for secret in (SECRET, SECRET[::-1]):
                assert secret not in shown
                assert secret.encode() not in on_disk
            assert len(on_disk) > 10_000

    run(main())


# ── keys ─────────────────────────────────────────────────────────────────────────────────────────────


def test_a_key_opens_until_it_is_revoked_and_is_stored_as_a_hash(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            gateway = world.gateway
            key, secret = await gateway.create_key("app")
            boss, boss_secret = await gateway.create_key("boss", admin=True)
            assert secret.startswith("gw_")
            assert len(secret) == 35
            assert (key.prefix, key.role, boss.role) == (secret[:7], "user", "admin")
            caller = await gateway.authenticate(secret)
            assert (caller.key_id, caller.name, caller.admin) == (key.id, "app", False)
            assert (await gateway.authenticate(boss_secret)).admin
            assert [found.last_used_at is not None for found in await gateway.keys()] == [True, True]
            revoked = await gateway.revoke_key(key.id)
            world.clock.advance(5)
            assert (await gateway.revoke_key(key.id)).revoked_at == revoked.revoked_at
            for wrong in (secret, "", "gw_", secret.upper(), boss_secret[:-1], digest(boss_secret)):
                with pytest.raises(Unauthenticated):
                    await gateway.authenticate(wrong)
            with pytest.raises(NotFound):
                await gateway.revoke_key("key_none")
            on_disk = everything_on(tmp_path)
            assert secret.encode() not in on_disk
            assert boss_secret.encode() not in on_disk

    run(main())


def test_the_last_use_of_a_key_is_written_once_a_minute(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            _, secret = await world.gateway.create_key("app")
            used = []
            for _ in range(5):
                await world.gateway.authenticate(secret)
                used.append((await world.gateway.keys())[0].last_used_at)
                world.clock.advance(25)
            assert [((at or 0) - (used[0] or 0)) // 1000 for at in used] == [0, 0, 0, 75, 75]

    run(main())


def test_the_first_admin_token_is_made_once(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            token = await world.gateway.first_admin_token()
            assert token is not None
            assert await world.gateway.first_admin_token() is None
            assert await world.facade().first_admin_token() is None
            assert (await world.facade().authenticate(token)) == ADMIN
            on_disk = everything_on(tmp_path)
            assert token.encode() not in on_disk

    run(main())


def test_a_chosen_admin_token_replaces_the_stored_one(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            stored = await world.gateway.first_admin_token()
            chosen = world.facade(admin_digest=digest("chosen-by-the-operator"))
            assert await chosen.first_admin_token() is None
            assert (await chosen.authenticate("chosen-by-the-operator")).admin
            with pytest.raises(Unauthenticated):
                await chosen.authenticate(stored or "")

    run(main())


# ── health and figures ───────────────────────────────────────────────────────────────────────────────


def test_ready_needs_database_worker_and_a_usable_session(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:

            async def verdicts(gateway: object = world.gateway) -> tuple[bool, dict[str, object]]:
                health = await gateway.health()  # type: ignore[attr-defined]
                return health.ready, {name: check["ok"] for name, check in health.checks.items()}

            assert await verdicts() == (False, {"database": True, "worker": False, "sessions": False})
            (session,) = await world.sessions(1)
            await world.process()
            assert await verdicts() == (True, {"database": True, "worker": True, "sessions": True})
            world.clock.advance(31)
            assert (await verdicts())[1]["worker"] is False
            await world.process()
            await world.gateway.update_session(session.id, enabled=False)
            assert (await verdicts())[1]["sessions"] is False
            ready, checks = await verdicts(world.facade(UnreadableDatabase(world.db)))
            assert (ready, checks) == (False, {"database": False})

    run(main())


class UnreadableDatabase(FlakyDatabase):
    """Nothing can be read."""

    async def read(self, body: Callable[[Tx], T]) -> T:
        """See Database."""
        raise StoreBusy("the database is locked by another process")


def test_an_empty_store_gives_zeros(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            assert await world.gateway.stats() == {
                "tasks": {
                    "total": 0,
                    "by_stage": dict.fromkeys(map(str, Stage), 0),
                    "by_kind": {"image": 0, "video": 0},
                },
                "queue": {"length": 0, "oldest_seconds": None},
                "slots": {"total": 0, "taken": 0},
                "sessions": {
                    "total": 0,
                    "by_state": dict.fromkeys(["ready", "cooling", "expired", "blocked", "disabled"], 0),
                },
                "results": {"files": 0, "bytes": 0},
                "nodes": 0,
            }

    run(main())


def test_figures_are_counted_from_the_facts(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            _, off = await world.sessions(2, slots=1)
            await world.gateway.update_session(off.id, enabled=False)
            process = await world.process()
            done = await world.submit(n=2)
            await world.settle(process)
            await world.submit()
            await process.worker.drain()
            await world.submit()
            world.clock.advance(7)
            stats = await world.gateway.stats()
            files = sum(result.size or 0 for result in (await world.task(done)).results)
            assert stats["results"] == {"files": 2, "bytes": files}
            assert stats["queue"] == {"length": 1, "oldest_seconds": 7}
            assert stats["slots"] == {"total": 2, "taken": 1}
            assert stats["nodes"] == 1
            shown = stats["tasks"]
            assert isinstance(shown, dict)
            assert shown["total"] == 3
            assert {name: n for name, n in shown["by_stage"].items() if n} == {
                "queued": 1,
                "polling": 1,
                "succeeded": 1,
            }

    run(main())


def test_a_database_that_is_away_is_said_so_and_nothing_is_taken(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as world:
            db = FlakyDatabase(world.db, broken=StoreError("SQLite failed: FullError"))
            gateway = world.facade(db)
            for question in (gateway.create_key("x"), gateway.add_session(credential=SECRET)):
                with pytest.raises(StoreError):
                    await question
            assert await world.gateway.keys() == []
            assert await world.gateway.sessions() == []

    run(main())
