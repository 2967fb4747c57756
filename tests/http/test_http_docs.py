"""docs/api.md leaves out no route, no error code, no field and no limit."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from jimeng_gateway.domain.errors import ErrorKind
from jimeng_gateway.http import schemas, serve, views
from jimeng_gateway.http.endpoint import Auth, Limits
from jimeng_gateway.http.multipart import MOST_PARTS
from jimeng_gateway.http.openai import shapes
from jimeng_gateway.http.prefer import LONGEST_WAIT
from jimeng_gateway.http.routes import ROUTES

TEXT = (Path(__file__).parents[2] / "docs" / "api.md").read_text("utf-8")
SOURCE = Path(serve.__file__).parent


def test_the_table_has_every_route_and_who_may_call_it() -> None:
    who = {Auth.PUBLIC: "everybody", Auth.KEY: "key", Auth.ADMIN: "admin", Auth.LINK: "key or link"}
    expected = {(f"{one.method} {one.path.replace(':path', '')}", who[one.auth]) for one in ROUTES}
    assert (
        set(re.findall(r"^\| \[`([A-Z]+ [^`]+)`\]\(#[^)]+\) \| ([a-z ]+) \|", TEXT, re.MULTILINE)) == expected
    )


def test_links_within_the_page_lead_somewhere() -> None:
    headings = re.findall(r"^#+ (.+)$", TEXT, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    assert set(re.findall(r"\]\(#([^)]+)\)", TEXT)) <= anchors


def test_every_route_has_an_example() -> None:
    examples = re.findall(r"^ *curl .*(?:\\\n.*)*", TEXT, re.MULTILINE)
    for one in ROUTES:
        path = (
            one.path.replace("{task_id}", "$TASK")
            .replace("{session_id}", "$SESSION")
            .replace("{key_id}", "$KEY_ID")
            .replace("{file_id}", "$FILE")
            .replace("{video_id}", "$VIDEO")
            .replace("{character_id}", "$CHARACTER")
        )
        path = path.replace("{model_id:path}", "jimeng-4.5")
        sent = re.compile(rf"\$GW{re.escape(path)}(?=[\s\"?]|$)")
        found = [
            line
            for line in examples
            if sent.search(line) and (f"-X {one.method} " in line or one.method in ("GET", "POST"))
        ]
        assert found, f"no example of {one.method} {one.path}"


def test_every_code_and_kind_is_named() -> None:
    codes = set()
    for file in SOURCE.glob("*.py"):
        codes |= set(re.findall(r'code="(\w+)"|^    code = "(\w+)"', file.read_text("utf-8"), re.MULTILINE))
    named = {code for pair in codes for code in pair if code} - {"malformed_request"}
    for word in named | {str(kind) for kind in ErrorKind}:
        assert f"`{word}`" in TEXT, word


def test_every_field_is_named() -> None:
    structs: list[type[msgspec.Struct]] = [
        schemas.NewTask,
        shapes.ImageEdit,
        shapes.VideoEdit,
        shapes.VideoFilter,
        schemas.NewSession,
        schemas.NewKey,
    ]
    for struct in structs:
        for field in struct.__struct_encode_fields__:
            assert re.search(rf'[`"]{re.escape(field)}[`"]', TEXT), field
    for field in views.TaskBody.__struct_fields__:
        assert re.search(rf'[`"]{field}[`"]', TEXT), field


def test_the_limits_are_those_of_the_code() -> None:
    limits = Limits()
    for line in (
        f"| JSON body | {limits.json_bytes >> 20} MiB |",
        f"| JSON body with references | {limits.reference_json_bytes >> 20} MiB |",
        f"| form | {limits.form_bytes >> 20} MiB of text, {MOST_PARTS} parts |",
        f"| all files of a form | {limits.files_per_request} times that |",
        f"`JIMENG_INTAKE_TIMEOUT` ({limits.intake_seconds:g} s)",
        f"| body to arrive | {limits.body_seconds:g} s |",
        f"| request line and headers | {serve.HEAD_BYTES >> 10} KiB, within {serve.HEAD_SECONDS:g} s |",
        f"| idle connection | {serve.KEEP_ALIVE_SECONDS} s |",
        f"| `Prefer: wait` | {LONGEST_WAIT:g} s |",
    ):
        assert line in TEXT
    assert f"every {limits.heartbeat_seconds:g} s of silence" in TEXT
