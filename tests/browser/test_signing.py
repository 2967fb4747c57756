"""Submits through a real page: signed by it, in order, sent once, never with another's cookies."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections import Counter

import pytest
from conftest import Shared
from signing import GENERATE, failure_of, main_process, processes, submit, who
from support.wire import an_order, counting_ids

from jimeng_gateway.browser.rules import cookie_pairs
from jimeng_gateway.clock import SystemClock
from jimeng_gateway.domain.errors import Acceptance, ErrorKind, UpstreamFailure
from jimeng_gateway.domain.intake import Wish
from jimeng_gateway.domain.ports import Signer
from jimeng_gateway.domain.request import Kind
from jimeng_gateway.domain.route import Route
from jimeng_gateway.simulator.traffic import Seen
from jimeng_gateway.upstream.client import HttpUpstream
from jimeng_gateway.upstream.wire import protocol

#: They share one browser.
pytestmark = pytest.mark.xdist_group("signing")


def upstream(shared: Shared, signer: Signer | None) -> HttpUpstream:
    return HttpUpstream(
        protocol.builtin(),
        clock=SystemClock(),
        ids=counting_ids(),
        upstream_url=shared.sim.base_url,
        signer=signer,
        usual=Route.BROWSER if signer else Route.DIRECT,
    )


async def submitted(shared: Shared, signer: Signer | None) -> str:
    client = upstream(shared, signer)
    try:
        accepted = await client.submit(who("client"), an_order(Wish(prompt="a boat", kind=Kind.VIDEO)))
    finally:
        await client.close()
    return accepted.history_id


def test_the_site_accepts_what_its_page_signed(shared: Shared) -> None:
    history_id = shared.runner.run(submitted(shared, shared.signer))
    assert history_id in {job["history_id"] for job in shared.sim.jobs()}
    (seen,) = shared.sim.requests("generate")[-1:]
    assert seen.remarks == ()
    assert len(seen.call.query["msToken"]) == 184
    assert len(seen.call.query["a_bogus"]) == 180


def test_the_site_refuses_the_same_over_plain_http(shared: Shared) -> None:
    with pytest.raises(UpstreamFailure) as caught:
        shared.runner.run(submitted(shared, None))
    assert caught.value.failure.kind is ErrorKind.RISK
    assert caught.value.failure.code == "4013"


def test_a_submit_looks_like_the_pages_own(shared: Shared) -> None:
    identity = who("looks")
    body = submit(shared.sim, identity, "looks-1", 'quotes " and \u2028 and 图片 and 🛥')
    shared.runner.run(shared.signer.send(identity, body))
    (seen,) = shared.sim.requests("generate")[-1:]
    headers = seen.call.headers
    assert seen.call.body == body.body
    assert seen.call.method == "POST"
    assert headers["content-type"] == "application/json"
    assert headers["referer"] == f"{shared.sim.base_url}/ai-tool/generate?type=video"
    assert headers["sec-fetch-site"] == "same-origin"
    for name in ("appid", "appvr", "device-time", "lan", "loc", "pf", "sign", "sign-ver", "app-sdk-version"):
        assert headers[name] == body.headers[name]
    assert headers["tdid"] == ""
    # It is a headless browser and says so; the protocol data's user agent is not put over it.
    assert "HeadlessChrome/" in headers["user-agent"]


def test_ten_sessions_at_once_never_mix(shared: Shared) -> None:
    identities = [who(f"ten{number}") for number in range(10)]
    first = len(shared.sim.requests())

    async def all_of_them() -> list[bytes]:
        return await asyncio.gather(
            *(
                shared.signer.send(identity, submit(shared.sim, identity, f"{identity.session_id}-{turn}"))
                for turn in range(2)
                for identity in identities
            )
        )

    replies = shared.runner.run(all_of_them())
    assert [json.loads(reply)["ret"] for reply in replies] == ["0"] * 20
    jars = {identity.session_id: dict(cookie_pairs(identity.cookie)) for identity in identities}
    seen = shared.sim.requests()[first:]
    assert Counter(found.endpoint for found in seen) == {"page": 10, "page_script": 10, "generate": 20}
    for found in seen:
        # Every request of every page, the document included, carries one session's whole jar.
        assert dict(found.call.cookies) == jars[found.call.session]
    assert all(job["session"] == job["submit_id"].partition("-")[0] for job in jobs_of(shared, "ten"))
    assert shared.sim.books()["twice"] == []


def jobs_of(shared: Shared, prefix: str) -> list[dict[str, str]]:
    found = [job for job in shared.sim.jobs() if job["submit_id"].startswith(prefix)]
    assert found
    return found


def test_one_sessions_submits_keep_their_order(shared: Shared) -> None:
    identity = who("order")

    async def burst() -> None:
        await asyncio.gather(
            *(shared.signer.send(identity, submit(shared.sim, identity, f"order-{n}")) for n in range(8))
        )

    shared.runner.run(burst())
    seen = [found for found in shared.sim.requests("generate") if found.call.session == "order"]
    assert [json.loads(found.call.body)["submit_id"] for found in seen] == [f"order-{n}" for n in range(8)]


def test_what_a_page_does_not_need_is_not_loaded(shared: Shared) -> None:
    shared.runner.run(shared.signer.send(who("lean"), submit(shared.sim, who("lean"), "lean-1")))
    assert shared.sim.requests("page_script")
    # It names images, fonts, styles, media, an icon, a foreign script and a foreign frame.
    assert [found.call.path for found in shared.sim.requests("page_extra")] == []


def test_a_bare_session_id_keeps_its_page(shared: Shared) -> None:
    """Its made-up sid_guard tells the time, which must not look like a new login."""
    pages = shared.told.names().count("signer.page_opened")
    one, other = who("clock"), who("clock")
    other = type(other)(other.session_id, other.region, one.cookie.replace("%7C1", "%7C2", 1), other.web_id)
    for turn, identity in enumerate((one, other)):
        shared.runner.run(shared.signer.send(identity, submit(shared.sim, identity, f"clock-{turn}")))
    assert one.cookie != other.cookie
    assert shared.told.names().count("signer.page_opened") == pages + 1


def test_a_new_login_gets_a_new_context(shared: Shared) -> None:
    row, jar = who("login"), "sessionid=renewed; _tea_web_id=7000000000000000001; ttwid=1%7Cabc"
    renewed = type(row)(row.session_id, row.region, jar, "7000000000000000001")
    for turn, identity in enumerate((row, renewed)):
        shared.runner.run(shared.signer.send(identity, submit(shared.sim, identity, f"login-{turn}")))
    last: Seen = shared.sim.requests("generate")[-1]
    assert dict(last.call.cookies) == dict(cookie_pairs(jar))


def test_a_refusal_of_the_site_is_a_reply(shared: Shared) -> None:
    shared.sim.account("poor", penniless=True)
    reply = shared.runner.run(shared.signer.send(who("poor"), submit(shared.sim, who("poor"), "poor-1")))
    assert json.loads(reply)["ret"] == "1006"


def test_a_lost_reply_is_unclear(shared: Shared) -> None:
    shared.sim.fault("lost_reply", endpoint="generate", session="lost", count=1)
    sending = shared.signer.send(who("lost"), submit(shared.sim, who("lost"), "lost-1"))
    failure = shared.runner.run(failure_of(sending))
    assert failure.acceptance is Acceptance.UNKNOWN
    assert failure.code == "signer_fetch_failed"
    assert shared.sim.books("lost-1")["charged"] == {"lost-1": 1}
    # It was sent once, and the next one goes through.
    shared.runner.run(shared.signer.send(who("lost"), submit(shared.sim, who("lost"), "lost-2")))
    sent = [found for found in shared.sim.requests("generate") if found.call.session == "lost"]
    assert len(sent) == 2


def test_impossible_cookies_are_told_before_anything_is_sent(shared: Shared) -> None:
    row = who("bad")
    odd = type(row)(row.session_id, row.region, row.cookie + "; x=" + "y" * 5000, row.web_id)
    failure = shared.runner.run(failure_of(shared.signer.send(odd, submit(shared.sim, odd, "bad-1"))))
    assert (failure.code, failure.acceptance) == ("signer_unavailable", Acceptance.NO)
    assert "cookies" in failure.message


def test_no_debugging_port_is_open(shared: Shared) -> None:
    shared.runner.run(shared.signer.send(who("port"), submit(shared.sim, who("port"), "port-1")))
    main_process(shared.folder)
    ours = {str(pid) for pid in processes(shared.folder)}
    sockets = subprocess.run(["ss", "-ltnp"], check=True, capture_output=True, text=True).stdout
    listening = [line for line in sockets.splitlines() if any(f"pid={pid}," in line for pid in ours)]
    assert listening == []


def test_the_guarded_path_is_the_one_of_the_protocol_data() -> None:
    assert protocol.builtin().endpoints["generate"].path == GENERATE
