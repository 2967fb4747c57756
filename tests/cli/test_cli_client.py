"""The client tells apart what a gateway says, what something else says, and silence."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli.stub import Answer, Stub, error, reply

from jimeng_gateway.cli.client import Client, Message, is_loopback, messages
from jimeng_gateway.cli.configuration import gateway_address
from jimeng_gateway.cli.failures import FAILED, NOT_ALLOWED, UNREACHABLE, USAGE, ApiError, UnreachableError
from jimeng_gateway.settings import Settings


def test_requests_carry_key_query_and_body(stub: Stub) -> None:
    stub.on("GET", "/x?a=1&b=%C3%A9+%26", reply({"ok": True}))
    stub.on("POST", "/x", reply({"made": 1}, 201))
    client = Client(stub.url + "/", "gw_secret")
    assert client.get("/x", {"a": 1, "b": "é &", "c": None}) == {"ok": True}
    assert client.post("/x", {"prompt": "猫"}) == {"made": 1}
    assert [each.headers["Authorization"] for each in stub.asked] == ["Bearer gw_secret"] * 2
    assert stub.asked[1].json == {"prompt": "猫"}
    assert stub.asked[1].headers["Content-Type"] == "application/json"


@pytest.mark.parametrize(
    ("status", "exit_code"),
    [(400, USAGE), (401, NOT_ALLOWED), (403, NOT_ALLOWED), (404, FAILED), (409, FAILED), (503, FAILED)],
)
def test_an_error_of_the_gateway_keeps_its_message(stub: Stub, status: int, exit_code: int) -> None:
    stub.on("GET", "/x", error(status, "some_code", "this is why", "ratio"))
    with pytest.raises(ApiError, match=r"^this is why \(ratio\)$") as caught:
        Client(stub.url, "k").get("/x")
    assert (caught.value.status, caught.value.code, caught.value.exit_code) == (
        status,
        "some_code",
        exit_code,
    )
    assert caught.value.envelope()["error"]["message"] == "this is why"


@pytest.mark.parametrize(
    "answer",
    [
        Answer(504, b"<html>gateway time-out</html>", "text/html"),
        Answer(500, b""),
        Answer(400, b"[1]"),
        Answer(400, b'{"error": "text"}'),
        Answer(200, b"<html>hello</html>", "text/html"),
    ],
)
def test_what_is_no_gateway_is_said_to_be_none(stub: Stub, answer: Answer) -> None:
    stub.on("GET", "/x", answer)
    with pytest.raises(UnreachableError, match="not"):
        Client(stub.url, "k").get("/x")


@pytest.mark.parametrize("answer", [Answer(None), Answer(200, b'{"a"', length=100)])
def test_a_reply_that_breaks_off_is_unreachable(stub: Stub, answer: Answer) -> None:
    stub.on("GET", "/x", answer)
    with pytest.raises(UnreachableError) as caught:
        Client(stub.url, "k").get("/x")
    assert caught.value.exit_code == UNREACHABLE


def test_nobody_listening_says_where_and_what_to_do() -> None:
    with pytest.raises(
        UnreachableError, match=r"http://127\.0\.0\.1:1: Connection refused .*JIMENG_GATEWAY_URL"
    ):
        Client("http://127.0.0.1:1", "k").get("/x")


def test_a_redirect_is_not_followed_with_the_key(stub: Stub) -> None:
    with Stub() as other:
        other.on("GET", "/", reply({}))
        stub.on("GET", "/x", Answer(302, location=other.url + "/"))
        with pytest.raises(UnreachableError, match="status 302"):
            Client(stub.url, "gw_secret").get("/x")
        assert other.asked == []


def test_a_proxy_is_not_used_for_this_machine(stub: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    stub.on("GET", "/x", reply(1))
    assert Client(stub.url, "k").get("/x") == 1


def test_a_download_is_whole_or_absent(stub: Stub, tmp_path: Path) -> None:
    stub.on("GET", "/good", Answer(200, b"x" * 200_000, "image/png"))
    stub.on("GET", "/cut", Answer(200, b"x" * 1000, "image/png", length=2000))
    stub.on("GET", "/gone", error(404, "not_found", "no such file"))
    client = Client(stub.url, "k")
    assert client.download("/good", tmp_path / "good.png") == 200_000
    for path in ("/cut", "/gone"):
        with pytest.raises((UnreachableError, ApiError)):
            client.download(path, tmp_path / "bad.png")
    assert [each.name for each in tmp_path.iterdir()] == ["good.png"]


def test_server_sent_events_are_read_as_the_standard_says() -> None:
    lines = [
        "retry: 2000\n",
        ": keep-alive\n",
        "\n",
        "id: 7\n",
        "event: task.reserved\n",
        'data: {"a":\r\n',
        "data: 1}\r\n",
        "\r\n",
        'data:{"b":2}\n',
        "\n",
        'event: unfinished\ndata: {"c":3}\n',
    ]
    assert list(messages(iter(lines))) == [
        Message("task.reserved", {"a": 1}, "7"),
        Message("message", {"b": 2}, "7"),
    ]


@pytest.mark.parametrize(
    ("settings", "address"),
    [
        (Settings(), "http://127.0.0.1:5100"),
        (Settings(host="0.0.0.0", port=80), "http://127.0.0.1:80"),
        (Settings(host="::", port=80), "http://[::1]:80"),
        (Settings(host="gateway.lan"), "http://gateway.lan:5100"),
        (Settings(gateway_url="https://example.com/jimeng"), "https://example.com/jimeng"),
    ],
)
def test_the_gateway_is_looked_for_where_it_listens(settings: Settings, address: str) -> None:
    assert gateway_address(settings) == address


def test_loopback_is_known_in_every_form() -> None:
    assert all(map(is_loopback, ("localhost", "127.0.0.1", "127.9.9.9", "::1")))
    assert not any(map(is_loopback, ("example.com", "10.0.0.1", "", "localhost.example.com")))
