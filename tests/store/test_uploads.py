"""Uploads that are used again, and setbacks that count as refusals, on both engines."""

from __future__ import annotations

from dataclasses import replace

from support.aio import run
from support.clock import START_MS
from support.database import Engine
from support.factories import credential, intend, make_request, queue_tasks, reserve, seed_sessions
from support.materials import IMAGE, VIDEO, a_reference, an_upload

from jimeng_gateway.domain.errors import ErrorKind, Failure
from jimeng_gateway.domain.policy import Refusal
from jimeng_gateway.store import sessions, submissions, uploads
from jimeng_gateway.store.submissions import SubmissionState
from jimeng_gateway.store.uploads import KnownUpload

NOW = START_MS
CLIP = a_reference(VIDEO, 1, fps=23.976)
MADE = an_upload(CLIP)
SPELL = Failure(ErrorKind.UPSTREAM_ERROR, "SignatureDoesNotMatch", "the signature was refused")
RISK = Failure(ErrorKind.RISK, "1019", "the account was refused")


def test_an_upload_is_found_as_it_was_until_it_is_old(engine: Engine) -> None:
    async def main() -> None:
        async with engine.open() as db:
            await seed_sessions(db, 2)
            await db.write(lambda tx: uploads.keep(tx, "session_0", CLIP.sha256, MADE, now=NOW, valid=1000))
            found = await db.read(lambda tx: uploads.find(tx, "session_0", CLIP, now=NOW + 999))
            assert found == KnownUpload(MADE, None)
            assert await db.read(lambda tx: uploads.find(tx, "session_0", CLIP, now=NOW + 1000)) is None
            assert await db.read(lambda tx: uploads.find(tx, "session_1", CLIP, now=NOW)) is None

    run(main())


def test_a_judgement_is_of_one_upload_only(engine: Engine) -> None:
    async def main() -> None:
        async with engine.open() as db:
            await seed_sessions(db, 1)
            sha = CLIP.sha256
            await db.write(lambda tx: uploads.keep(tx, "session_0", sha, MADE, now=NOW, valid=1000))
            await db.write(lambda tx: uploads.judge(tx, "session_0", sha, MADE, passed=False))
            found = await db.read(lambda tx: uploads.find(tx, "session_0", CLIP, now=NOW))
            assert found == KnownUpload(MADE, passed=False)
            again = replace(MADE, handle="v0another")
            await db.write(lambda tx: uploads.keep(tx, "session_0", sha, again, now=NOW + 1, valid=1000))
            await db.write(lambda tx: uploads.judge(tx, "session_0", sha, MADE, passed=True))
            found = await db.read(lambda tx: uploads.find(tx, "session_0", CLIP, now=NOW + 1000))
            assert found == KnownUpload(again, None)

    run(main())


def test_uploads_are_forgotten(engine: Engine) -> None:
    async def main() -> None:
        async with engine.open() as db:
            await seed_sessions(db, 2)
            other = a_reference(IMAGE, 2)
            for name, reference in (("session_0", CLIP), ("session_0", other), ("session_1", CLIP)):
                await db.write(
                    lambda tx, name=name, reference=reference: uploads.keep(  # type: ignore[misc]
                        tx, name, reference.sha256, an_upload(reference), now=NOW, valid=1000
                    )
                )
            await db.write(lambda tx: uploads.forget(tx, "session_0", (CLIP, CLIP)))
            assert await db.read(lambda tx: uploads.find(tx, "session_0", CLIP, now=NOW)) is None
            assert await db.read(lambda tx: uploads.find(tx, "session_0", other, now=NOW)) is not None
            fresh = credential("fresh")
            await db.write(lambda tx: sessions.replace_credential(tx, "session_0", fresh, now=NOW))
            assert await db.read(lambda tx: uploads.find(tx, "session_0", other, now=NOW)) is None
            assert await db.read(lambda tx: uploads.find(tx, "session_1", CLIP, now=NOW)) is not None

    run(main())


def test_setbacks_and_refusals_are_one_history(engine: Engine) -> None:
    async def main() -> None:
        async with engine.open() as db:
            await seed_sessions(db, 1)
            await queue_tasks(db, 1, request=make_request(references=(CLIP,)))
            [task] = (await reserve(db)).reserved
            for number in range(2):
                await db.write(
                    lambda tx, number=number: submissions.set_back(  # type: ignore[misc]
                        tx, task, SPELL, now=NOW + number
                    )
                )
            sent = await db.write(lambda tx: intend(tx, task, now=NOW + 2))
            assert sent.submit_id is not None
            submit_id = sent.submit_id
            await db.write(
                lambda tx: submissions.settle(
                    tx, submit_id, SubmissionState.REFUSED, now=NOW + 3, failure=RISK
                )
            )
            history = await db.read(lambda tx: submissions.refusals(tx, task.id))
            assert history == [
                Refusal("session_0", ErrorKind.UPSTREAM_ERROR),
                Refusal("session_0", ErrorKind.UPSTREAM_ERROR),
                Refusal("session_0", ErrorKind.RISK),
            ]
            assert await db.read(lambda tx: submissions.last_failure(tx, task.id)) == RISK
            assert await db.read(lambda tx: submissions.last_failure(tx, "task_other")) is None

    run(main())
