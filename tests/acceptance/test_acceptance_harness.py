"""The harness itself: its faults are what they say, and spending twice would be seen."""

from __future__ import annotations

import http.client
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from harness.programs import Expected, Said, assert_as_expected
from harness.stage import Stage, stage
from support.process import until

pytestmark = pytest.mark.acceptance


def ask(on: Stage, fault: str) -> int:
    """A request for a picture that says in no way whether it was sent before; 0 if no answer came."""
    where = urlsplit(on.proxy.url)
    connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=30)
    headers = {"authorization": f"Bearer {on.key}", "content-type": "application/json"}
    body = json.dumps({"model": "jimeng-4.5", "prompt": f"{fault}: a small cat", "n": 1})
    try:
        connection.request("POST", f"/~{fault}.{fault}/v1/images/generations", body, headers)
        return connection.getresponse().status
    except http.client.RemoteDisconnected:
        return 0
    finally:
        connection.close()


def test_faults_strike_as_often_as_they_should_and_spending_twice_is_seen(tmp_path: Path) -> None:
    wanted = {
        # Answers of three tries, and what they cost whoever repeats himself without saying so.
        "none": ([200, 200, 200], 3),
        "refuse": ([503, 503, 200], 1),
        "refuse-after": ([503, 503, 200], 3),
        "cut": ([0, 200, 200], 2),
        "half": ([0, 200, 200], 2),
        "lost": ([0, 200, 200], 3),
        "torn": ([200, 200, 200], 3),
    }
    with stage(tmp_path) as on:
        with ThreadPoolExecutor(len(wanted)) as pool:
            answers = list(pool.map(lambda fault: [ask(on, fault) for _ in range(3)], wanted))
        assert dict(zip(wanted, answers, strict=True)) == {
            fault: answered for fault, (answered, _) in wanted.items()
        }
        assert on.submits() == {fault: submits for fault, (_, submits) in wanted.items()}
        assert on.proxy.tries() == dict.fromkeys(wanted, 3)

        assert ask(on, "hangup") == 0
        until(lambda: on.submits()["hangup"] == 1, seconds=10, what="the gateway goes on without its caller")

        said = Said(ok={"lost": None}, failed={})
        with pytest.raises(AssertionError, match="'lost': 3"):
            assert_as_expected(on, said, {"lost": Expected(submits=1)})
