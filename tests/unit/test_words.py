"""Nothing that users read is left without Chinese, and the language is the one that they asked for."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import jimeng_gateway
from jimeng_gateway.domain import words
from jimeng_gateway.domain.errors import ErrorKind
from jimeng_gateway.domain.request import Kind
from jimeng_gateway.domain.session import SessionState
from jimeng_gateway.domain.task import Stage
from jimeng_gateway.domain.words import Language

SOURCE = Path(jimeng_gateway.__file__).parent
HAN = re.compile(r"[\u4e00-\u9fff]")


def trees() -> Iterator[tuple[Path, ast.Module]]:
    """Our modules except the command line, whose errors never leave it, and the simulated site."""
    for file in sorted(SOURCE.rglob("*.py")):
        where = file.relative_to(SOURCE)
        if where.parts[0] not in ("cli", "simulator"):
            yield where, ast.parse(file.read_text("utf-8"))


def texts(node: ast.AST) -> set[str]:
    """The string constants in an expression."""
    return {
        each.value for each in ast.walk(node) if isinstance(each, ast.Constant) and type(each.value) is str
    }


def codes() -> set[str]:
    """Every error code that the source gives by name: as a default of its class, or where it is raised."""
    found: set[str] = set()
    for _, tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                for line in node.body:
                    if isinstance(line, ast.Assign) and "code" in {
                        ast.unparse(each) for each in line.targets
                    }:
                        found |= texts(line.value)
            elif isinstance(node, ast.Call) and ast.unparse(node.func) not in ("Failure", "replace"):
                for keyword in node.keywords:
                    if keyword.arg == "code" and isinstance(keyword.value, ast.Constant | ast.IfExp):
                        found |= texts(keyword.value)
    return found


def events() -> set[str]:
    """Every name under which a fact in the life of a task is recorded."""
    name = re.compile(r"[a-z]+\.[a-z_]+")
    found: set[str] = set()
    for where, tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("Change", "lifecycle.refuse"):
                found |= {text for text in texts(node) if name.fullmatch(text)}
            elif isinstance(node, ast.Constant) and where.name == "lifecycle.py":
                found |= {node.value} if type(node.value) is str and name.fullmatch(node.value) else set()
    return found


def test_every_error_code_has_a_sentence_and_no_sentence_is_left_over() -> None:
    found = codes()
    assert {"invalid_request", "missing_field", "reference_too_large", "task_cancelled"} <= found
    assert set(words.ERRORS) == found


def test_every_event_has_a_name_and_no_name_is_left_over() -> None:
    found = events()
    assert {"task.created", "references.failed", "references.uploaded", "submit.adopted"} <= found
    assert set(words.EVENTS) == found


def test_every_kind_stage_and_state_has_a_word() -> None:
    assert set(words.KINDS) == set(ErrorKind)
    assert set(words.STAGES) == set(Stage)
    assert set(words.STATES) == set(SessionState)
    assert set(words.MADE) == set(Kind)


@pytest.mark.parametrize("table", ["ERRORS", "KINDS", "STAGES", "STATES", "EVENTS", "MADE"])
def test_it_is_chinese_short_and_without_a_full_stop(table: str) -> None:
    for name, text in getattr(words, table).items():
        assert HAN.search(text), name
        assert len(text) <= 20, name
        assert not re.search(r"[。.!！,;:()\s]$|[,;:!?()]", text), name


@pytest.mark.parametrize("table", ["ERRORS", "KINDS", "STAGES", "STATES"])
def test_two_things_are_not_called_the_same(table: str) -> None:
    known = getattr(words, table)
    assert len(set(known.values())) == len(known)


@pytest.mark.parametrize(
    ("tag", "language"),
    [
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        ("en-US,en;q=0.9,zh-CN;q=0.8,zh;q=0.7", "en"),
        ("en;q=0.5, zh ; q=0.6", "zh"),
        ("EN;Q=0.5,ZH-hant-TW;Q=0.51", "zh"),
        ("zh,en", "zh"),
        ("en,zh", "en"),
        ("fr,zh;q=0.1", "zh"),
        ("zh;q=0,en;q=0.1", "en"),
        ("zh;q=0", "en"),
        ("zh;q=2", "en"),
        ("zh;q=", "en"),
        ("fr-FR", "en"),
        ("*", "en"),
        ("", "en"),
        (",;, ,", "en"),
        ("zhuang", "en"),
        ("zh_CN.UTF-8", "zh"),
        ("zh_TW", "zh"),
        ("zh_CN.GB18030@pinyin", "zh"),
        ("en_US.UTF-8", "en"),
        ("C.UTF-8", "en"),
        ("POSIX", "en"),
        ("fr," * 32 + "zh", "en"),
    ],
)
def test_the_language_is_the_preferred_one_that_we_speak(tag: str, language: str) -> None:
    assert words.of(tag) == Language(language)


def test_the_details_stand_behind_the_sentence() -> None:
    assert words.error_message("missing_field", "`prompt` is missing", Language.ZH) == (
        "缺少必填字段（`prompt` is missing）"
    )
    assert words.error_message("missing_field", "`prompt` is missing", Language.EN) == "`prompt` is missing"
    assert words.error_message("missing_field", "", Language.ZH) == "缺少必填字段"


def test_a_kind_is_a_code_too_where_a_task_was_waited_for() -> None:
    assert words.error_message("risk", "refused", Language.ZH) == "被网站风控拦截（refused）"
    assert words.failure_message("risk", "refused", Language.ZH) == "被网站风控拦截（refused）"


def test_a_code_of_a_newer_version_is_still_told_in_chinese() -> None:
    assert words.error_message("new_code", "what", Language.ZH) == "请求未能完成（what）"
    assert words.failure_message("new_kind", "what", Language.ZH) == "原因不明的错误（what）"
