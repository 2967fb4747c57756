"""In which language the commands speak: JIMENG_LANG, else the locale of the terminal, else English.

What is said stands in both languages beside the code that says it (`say`); words that come from the API or
head a table are looked up (`named`). JSON answers and the texts of `--help` are English always.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Mapping
from functools import cache

from jimeng_gateway.cli.configuration import settings
from jimeng_gateway.domain import words
from jimeng_gateway.domain.words import Language
from jimeng_gateway.settings import CONFIG, PREFIX, SettingsError

_VARIABLE = f"{PREFIX}LANG"
#: As in the C library, the first that is not empty counts.
_LOCALE = ("LC_ALL", "LC_MESSAGES", "LANG")

#: Heads of tables, names of facts, roles, and what the doctor looks at.
_LABELS = {
    "account": "账号",
    "admin": "管理员",
    "age": "超过保留期",
    "archive": "归档存储",
    "at": "时间",
    "attempts": "提交次数",
    "caller": "调用方要求",
    "chromium": "浏览器",
    "clock": "时钟",
    "configuration": "配置",
    "created": "创建时间",
    "credits": "积分",
    "data directory": "数据目录",
    "database": "数据库",
    "enabled": "启用",
    "error": "错误",
    "estimate": "预计还需",
    "event": "事件",
    "fail": "异常",
    "finished": "结束时间",
    "gateway": "网关",
    "id": "编号",
    "key": "密钥",
    "kind": "类型",
    "label": "备注",
    "last used": "上次使用",
    "length": "时长",
    "model": "模型",
    "name": "名称",
    "ok": "正常",
    "operator": "运维清理",
    "port": "端口",
    "progress": "进度",
    "prompt": "提示词",
    "queue": "排队位置",
    "reason": "原因",
    "removed": "清理时间",
    "retry of": "重试自",
    "revoked": "吊销时间",
    "role": "角色",
    "secret key": "加密密钥",
    "session": "会话",
    "size": "尺寸",
    "slots": "名额",
    "stage": "阶段",
    "state": "状态",
    "task": "任务",
    "upstream": "即梦网站",
    "user": "普通",
    "warn": "注意",
    "why": "原因",
}

CHINESE: dict[str, str] = {
    **_LABELS,
    **words.EVENTS,
    **{str(name): text for name, text in words.STAGES.items()},
    **{str(name): text for name, text in words.STATES.items()},
    **{str(name): text for name, text in words.MADE.items()},
}


def language(environ: Mapping[str, str] = os.environ) -> Language:
    """The language to speak, whatever else is wrong with the configuration."""
    locale = next((environ[name] for name in _LOCALE if environ.get(name)), "")
    return _decided(environ.get(_VARIABLE, ""), environ.get(CONFIG, ""), locale)


@cache
def _decided(given: str, file: str, locale: str) -> Language:
    try:
        environ = {name: value for name, value in ((_VARIABLE, given), (CONFIG, file)) if value}
        chosen: str = settings(environ).lang
    except SettingsError:
        chosen = given.strip().lower()
    return Language(chosen) if chosen in (Language.EN, Language.ZH) else words.of(locale)


def say(english: str, chinese: str) -> str:
    """The one that the user reads."""
    return chinese if language() is Language.ZH else english


def named(word: str) -> str:
    """A word of the API, or the head of a column; as it is where there is no Chinese for it."""
    return say(word, CHINESE.get(word, word))


def padded(text: str, width: int) -> str:
    """The text filled up with blanks to so many cells of a terminal, where a Chinese character takes two."""
    return text + " " * (width - cells(text))


def cells(text: str) -> int:
    """How many cells of a terminal a text takes."""
    return len(text) + sum(unicodedata.east_asian_width(each) in "WF" for each in text)
