"""What is sent is read strictly and refused with the place and the allowed form."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from enum import StrEnum
from typing import Annotated, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.aio import run

from jimeng_gateway.domain.errors import InvalidRequest, Unauthenticated
from jimeng_gateway.http.auth import bearer_token
from jimeng_gateway.http.body import build, parse_json
from jimeng_gateway.http.links import Links
from jimeng_gateway.http.multipart import MOST_PARTS, Part, read_form
from jimeng_gateway.http.prefer import Preference, preference
from jimeng_gateway.http.ranges import Span, Unsatisfiable, wanted
from jimeng_gateway.http.views import instant


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Sample(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    name: str
    n: Annotated[int, msgspec.Meta(ge=1, le=10)] | None = None
    share: float | None = None
    colour: Colour | None = None
    form: Literal["url", "b64_json"] | None = None
    on: bool | None = None


def read(raw: bytes, *, lenient: bool = False) -> Sample:
    return build(parse_json(raw), Sample, lenient=lenient, what="field")


def refusal(raw: bytes) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        read(raw)
    return caught.value


def test_null_is_absent_and_a_whole_float_is_an_integer() -> None:
    assert read(b'{"name":"x","n":4.0,"share":1,"colour":null}') == Sample(name="x", n=4, share=1.0)


@pytest.mark.parametrize(
    ("raw", "param", "says"),
    [
        (b'{"name":"x","n":4.5}', "n", "expected `int`, got `float`"),
        (b'{"name":"x","n":11}', "n", "<= 10"),
        (b'{"name":"x","n":true}', "n", "got `bool`"),
        (b'{"name":"x","n":"4"}', "n", "got `str`"),
        (b'{"name":"x","n":123456789012345678901}', None, "64 bits"),
        (b'{"name":"x","n":9223372036854775808}', None, "64 bits"),
        (b'{"name":"x","share":1e999}', "share", "out of range"),
        (b'{"name":"x","share":NaN}', None, "NaN is not a JSON number"),
        (b'{"name":"x","colour":"green"}', "colour", "must be one of red, blue"),
        (b'{"name":"x","form":"jpeg"}', "form", "must be one of url, b64_json"),
        (b'{"n":1}', "name", "field `name` is missing"),
        (b'{"name":null}', "name", "field `name` is missing"),
        (b'{"name":"x","nmae":1}', "nmae", "allowed: name, n, share, colour, form, on"),
        (b'{"name":"x","name":"y"}', "name", "given twice"),
        (b'{"name":"x","form":{"a":1,"a":2}}', "a", "given twice"),
        (b'{"name":"a\\u0000b"}', "name", "NUL"),
        (b'{"name":"a\\ud800b"}', "name", "surrogate"),
        (b'{"na\\u0000me":"x"}', None, "NUL"),
        (b'{"name":"x"', None, "line 1, column 12"),
        (b'{"name":\n  x}', None, "line 2, column 3"),
        (b'{"name":"x"}}', None, "column 13"),
        (b"", None, "column 1"),
        (b'["name"]', None, "must be a JSON object"),
        (b'{"name":"\xff"}', None, "byte 9"),
        (b"\xef\xbb\xbf{}", None, "BOM"),
        (b'{"name":' + b"[" * 100_000, None, "too deeply"),
    ],
)
def test_refusals_name_the_place(raw: bytes, param: str | None, says: str) -> None:
    error = refusal(raw)
    assert error.param == param
    assert says in error.message


def test_a_surrogate_pair_is_ordinary_text() -> None:
    assert read(b'{"name":"\\ud83d\\ude00"}').name == "\N{GRINNING FACE}"


def test_forms_and_old_clients_may_write_numbers_as_text() -> None:
    values = {"name": "5", "n": "5", "share": "0.5", "on": "true"}
    assert build(values, Sample, lenient=True, what="field") == Sample(name="5", n=5, share=0.5, on=True)


def test_long_names_are_cut_in_messages() -> None:
    error = refusal(b'{"' + b"x" * 5000 + b'":1}')
    assert error.param is not None
    assert len(error.param) <= 64


@given(st.binary(max_size=200))
def test_no_body_brings_the_reader_down(raw: bytes) -> None:
    try:
        read(raw)
    except InvalidRequest as error:
        msgspec.json.encode(error.message)


BOUNDARY = "multipart/form-data; boundary=XX"
END = b"--XX--\r\n"


def part(head: str, data: bytes) -> bytes:
    return b"--XX\r\nContent-Disposition: form-data; " + head.encode() + b"\r\n\r\n" + data + b"\r\n"


class Collected:
    """Receives a form and keeps it."""

    def __init__(self) -> None:
        self.parts: list[tuple[Part, bytes]] = []
        self._part = Part("", None)
        self._data = b""

    async def begin(self, part: Part) -> None:
        self._part, self._data = part, b""

    async def data(self, chunk: bytes) -> None:
        self._data += chunk

    async def end(self) -> None:
        self.parts.append((self._part, self._data))


def collect(*chunks: bytes, content_type: str = BOUNDARY) -> list[tuple[Part, bytes]]:
    async def arriving() -> AsyncIterator[bytes]:
        for chunk in chunks:
            yield chunk

    found = Collected()
    run(read_form(arriving(), content_type, found))
    return found.parts


FORM = part('name="prompt"', "一只猫".encode()) + part('name="f"; filename="猫.png"', b"\x89PNG\r\n--X") + END


def test_form_parts() -> None:
    expected = [(Part("prompt", None), "一只猫".encode()), (Part("f", "猫.png"), b"\x89PNG\r\n--X")]
    assert collect(FORM) == expected


@given(st.lists(st.integers(0, len(FORM)), max_size=8))
def test_a_form_is_the_same_however_it_is_cut(cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(FORM)]
    assert collect(*(FORM[start:end] for start, end in itertools.pairwise(places))) == collect(FORM)


@pytest.mark.parametrize(
    ("raw", "content_type"),
    [
        (part("form-data", b"1"), BOUNDARY),
        (part('name="a"', b"1"), BOUNDARY),
        (b"not a form", BOUNDARY),
        (part('name="a"', b"1") + END, "multipart/form-data"),
        (b"".join(part(f'name="f{i}"', b"1") for i in range(MOST_PARTS + 1)) + END, BOUNDARY),
    ],
)
def test_what_is_no_form_is_refused(raw: bytes, content_type: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        collect(raw, content_type=content_type)
    assert caught.value.code == "invalid_form"


@pytest.mark.parametrize("header", ["Bearer gw_1", "bearer gw_1", "BEARER   gw_1 ", "Bearer\tgw_1"])
def test_bearer_in_any_case(header: str) -> None:
    assert bearer_token([header]) == "gw_1"


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [""],
        ["gw_1"],
        ["Bearer"],
        ["Bearer "],
        ["Basic gw_1"],
        ["Bearer a b"],
        ["Bearer gw_1"] * 2,
        ["Bearer é"],
    ],
)
def test_no_usable_key(headers: list[str]) -> None:
    with pytest.raises(Unauthenticated):
        bearer_token(headers)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([], Preference(300)),
        (["wait=10"], Preference(10, "wait=10")),
        (['Wait = "10"'], Preference(10, "wait=10")),
        (["respond-async"], Preference(0, "respond-async")),
        (["respond-async, wait=10"], Preference(10, "respond-async, wait=10")),
        (["respond-async", "wait=10; x=y"], Preference(10, "respond-async, wait=10")),
        (["wait=0"], Preference(0, "wait=0")),
        (["wait=99999"], Preference(600, "wait=600")),
        (["wait=-1"], Preference(300)),
        (["wait=soon, return=minimal"], Preference(300)),
        (["wait=1, wait=2"], Preference(1, "wait=1")),
    ],
)
def test_prefer(headers: list[str], expected: Preference) -> None:
    assert preference(headers, default=300) == expected


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes=0-0", Span(0, 1)),
        ("bytes=2-5", Span(2, 6)),
        ("bytes=5-", Span(5, 10)),
        ("bytes=-3", Span(7, 10)),
        ("bytes=-30", Span(0, 10)),
        ("bytes=5-99", Span(5, 10)),
        ("Bytes=5-", Span(5, 10)),
        ("bytes=0-1,4-5", None),
        ("bytes=5-2", None),
        ("bytes=-", None),
        ("bytes=a-b", None),
        ("items=0-1", None),
        ("bytes", None),
    ],
)
def test_ranges(header: str, expected: Span | None) -> None:
    assert wanted(header, 10) == expected


@pytest.mark.parametrize("header", ["bytes=10-", "bytes=10-20", "bytes=-0"])
def test_ranges_outside_the_file(header: str) -> None:
    with pytest.raises(Unsatisfiable):
        wanted(header, 10)


@given(st.text(alphabet="0123456789-,= bytes", max_size=30), st.integers(0, 1000))
def test_a_range_never_leaves_the_file(header: str, size: int) -> None:
    try:
        span = wanted(header, size)
    except Unsatisfiable:
        return
    assert span is None or 0 <= span.start < span.end <= size


def test_times_have_milliseconds_and_a_z() -> None:
    assert instant(1_790_000_000_007) == "2026-09-21T14:13:20.007Z"


def test_links_carry_signature() -> None:
    def sign(task_id: str, index: int, expires: int) -> str:
        return f"{task_id}-{index}-{expires}"

    links = Links("https://gw.example", sign)
    content = "https://gw.example/api/v1/tasks/t/content?index=1"
    assert links.content("t", 1) == f"{content}&signature=t-1-0"
    assert links.preview("t", 1) == f"{content}&variant=preview&signature=t-1-0"
    ending = Links("https://gw.example", sign, 1_790_000_000)
    assert ending.content("t", 1) == f"{content}&expires=1790000000&signature=t-1-1790000000"
    assert links.task("t") == "https://gw.example/api/v1/tasks/t"
