"""Messages of the DevTools protocol, from and to bytes."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jimeng_gateway.browser import cdp


def test_a_command_goes_out_as_one_json_object_and_a_nul() -> None:
    assert cdp.encode(7, cdp.version()) == b'{"id":7,"method":"Browser.getVersion","params":{}}\0'


def test_a_page_command_names_its_page() -> None:
    sent = json.loads(cdp.encode(1, cdp.navigate("S1", "https://a.example/"))[:-1])
    assert sent["sessionId"] == "S1"
    assert sent["params"] == {"url": "https://a.example/"}


@given(st.text())
def test_no_body_can_end_a_message_early(text: str) -> None:
    sent = cdp.encode(1, cdp.call("S", "handle", "f", text))
    assert sent.count(b"\0") == 1
    assert json.loads(sent[:-1])["params"]["arguments"] == [{"value": text}]


def test_a_body_travels_as_an_argument_and_not_inside_the_script() -> None:
    sent = cdp.call("S", "handle", "(body) => body", "'); steal('")
    assert sent.params["functionDeclaration"] == "(body) => body"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b'{"id":3,"result":{"a":1}}', cdp.Result(3, {"a": 1})),
        (b'{"id":3,"result":{},"sessionId":"S"}', cdp.Result(3, {})),
        (b'{"id":3,"error":{"code":-32000,"message":"no"}}', cdp.Refused(3, -32000, "no")),
        (
            b'{"method":"Inspector.targetCrashed","params":{},"sessionId":"S"}',
            cdp.Event("Inspector.targetCrashed", {}, "S"),
        ),
        (b'{"method":"Target.x"}', cdp.Event("Target.x", {})),
        # A page may put half a character into a title; it must not end the connection.
        (b'{"id":1,"result":{"t":"\\ud800"}}', cdp.Result(1, {"t": "\ud800"})),
    ],
)
def test_what_comes_in(text: bytes, message: cdp.Message) -> None:
    assert cdp.decode(text) == message


@pytest.mark.parametrize("text", [b"", b"[]", b"{", b'"x"'])
def test_what_is_no_message(text: bytes) -> None:
    with pytest.raises(ValueError):
        cdp.decode(text)


@given(st.lists(st.binary(min_size=1).filter(lambda part: b"\0" not in part)), st.data())
def test_messages_are_found_however_the_stream_is_cut(messages: list[bytes], data: st.DataObject) -> None:
    stream, framer, found = b"".join(part + b"\0" for part in messages), cdp.Framer(), []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        found += framer.feed(stream[:size])
        stream = stream[size:]
    assert found == messages


def test_the_value_of_an_answer() -> None:
    assert cdp.value_of({"result": {"type": "number", "value": 2}}) == 2
    assert cdp.value_of({"result": {"type": "undefined"}}) is None
    thrown = {
        "exceptionDetails": {"text": "Uncaught", "exception": {"description": "Error: no"}},
        "result": {},
    }
    with pytest.raises(ValueError, match="Error: no"):
        cdp.value_of(thrown)


def test_the_repr_of_a_command_shows_no_cookie() -> None:
    assert "s3cret" not in repr(cdp.set_cookies("C", [{"name": "sessionid", "value": "s3cret"}]))
