"""What users read, in Chinese: a sentence for every code and kind of error, a word for every stage and event.

Many of our users read Chinese first. Codes, kinds and names stay what they are, for programs; the English
details of an error stay too, behind the Chinese sentence. A test finds whatever has no Chinese yet.
"""

from __future__ import annotations

import re
from enum import StrEnum

from jimeng_gateway.domain.errors import ErrorKind
from jimeng_gateway.domain.request import Kind
from jimeng_gateway.domain.session import SessionState
from jimeng_gateway.domain.task import Stage


class Language(StrEnum):
    """A language that we speak."""

    EN = "en"
    ZH = "zh"

    @property
    def tag(self) -> str:
        """For the headers Accept-Language and Content-Language."""
        return "zh-CN" if self is Language.ZH else "en"


#: "zh-CN", "zh_CN.UTF-8", "en;q=0.8": the language, and its weight if it has one.
_ENTRY = re.compile(
    r"([a-z]{1,8})(?:[-_.@][a-z0-9_.@-]*)?(?:[ \t]*;[ \t]*q=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?))?"
)
#: Nobody means more; a header may be as long as a request head.
_MOST_ENTRIES = 32


def of(tag: str) -> Language:
    """The language of an Accept-Language header or of a locale as in LANG.

    Of those that we speak the one of the highest weight, the first of equals; English where none is named.
    """
    found, best = Language.EN, 0.0
    for entry in tag.split(",", _MOST_ENTRIES)[:_MOST_ENTRIES]:
        match = _ENTRY.fullmatch(entry.strip().lower())
        if match is None or match[1] not in (Language.EN, Language.ZH):
            continue
        weight = float(match[2] or 1)
        if weight > best:
            found, best = Language(match[1]), weight
    return found


ERRORS: dict[str, str] = {
    "address_refused": "不允许访问该参考素材的地址",
    "admin_required": "需要管理员密钥",
    "ambiguous_mark": "提示词中对参考素材的引用有歧义",
    "archive_failed": "归档存储暂时不可用，请稍后重试",
    "conflict": "当前状态不允许此操作",
    "content_gone": "结果文件已不存在",
    "content_removed": "结果文件已被清理",
    "task_removed": "该请求对应的任务已被删除",
    "duplicate_field": "字段重复",
    "forbidden": "没有权限执行此操作",
    "headers_too_large": "请求头过大",
    "idempotency_key_reused": "该幂等键已用于另一个请求",
    "internal_error": "网关内部出错，详情见日志",
    "invalid_api_key": "密钥无效",
    "invalid_credential": "登录凭据格式有误",
    "invalid_form": "表单格式有误",
    "invalid_json": "请求体不是有效的 JSON",
    "invalid_request": "请求参数有误",
    "lease_lost": "本进程已失去任务的处理权",
    "link_expired": "链接已过期",
    "malformed_request": "不是有效的 HTTP 请求",
    "method_not_allowed": "该接口不支持此请求方法",
    "missing_api_key": "缺少密钥",
    "missing_field": "缺少必填字段",
    "model_not_found": "没有这个模型",
    "model_retired": "该模型已下线",
    "no_preview": "该视频没有预览图",
    "not_found": "找不到请求的内容",
    "not_supported": "此接口不支持该字段",
    "object_missing": "归档存储中没有该文件",
    "origin_refused": "不接受来自该网页地址的请求",
    "payload_too_large": "请求体过大",
    "range_not_satisfiable": "请求的范围超出文件大小",
    "reference_refused": "参考素材不符合要求",
    "reference_too_large": "参考素材过大",
    "reference_unreachable": "无法获取参考素材",
    "references_gone": "参考素材已被清理",
    "request_timeout": "请求未能在时限内传完",
    "route_not_found": "没有这个接口",
    "secret_error": "凭据密钥有问题",
    "store_error": "数据库暂时不可用，请稍后重试",
    "task_cancelled": "任务已取消",
    "too_many_large_bodies": "正在接收的大请求过多，请稍后重试",
    "unavailable": "服务暂时不可用，请稍后重试",
    "unknown_field": "未知字段",
    "unknown_mark": "提示词引用了不存在的参考素材",
    "unsupported_media_type": "不支持该请求体类型",
    "unsupported_reference": "不支持该类参考素材",
    "upstream_failure": "即梦网站返回错误",
}

KINDS: dict[ErrorKind, str] = {
    ErrorKind.AUTH: "会话登录已失效",
    ErrorKind.QUOTA: "账号额度不足",
    ErrorKind.RATE_LIMITED: "请求过于频繁，被网站限流",
    ErrorKind.RISK: "被网站风控拦截",
    ErrorKind.ACCOUNT_BLOCKED: "账号已被网站封禁",
    ErrorKind.CONTENT_REJECTED: "内容未通过网站审核",
    ErrorKind.INVALID_REQUEST: "网站不接受该请求的参数",
    ErrorKind.MODEL_UNAVAILABLE: "该模型暂不可用",
    ErrorKind.GENERATION_FAILED: "网站生成失败",
    ErrorKind.NETWORK: "网络连接失败",
    ErrorKind.TIMEOUT: "等待超时",
    ErrorKind.UPSTREAM_ERROR: "即梦网站出错",
    ErrorKind.UNKNOWN: "原因不明的错误",
}

STAGES: dict[Stage, str] = {
    Stage.QUEUED: "排队中",
    Stage.SUBMITTING: "提交中",
    Stage.POLLING: "生成中",
    Stage.DOWNLOADING: "下载中",
    Stage.SUCCEEDED: "已完成",
    Stage.FAILED: "失败",
    Stage.CANCELLED: "已取消",
}

STATES: dict[SessionState, str] = {
    SessionState.READY: "可用",
    SessionState.COOLING: "冷却中",
    SessionState.EXPIRED: "已过期",
    SessionState.BLOCKED: "已封禁",
}

MADE: dict[Kind, str] = {Kind.IMAGE: "图片", Kind.VIDEO: "视频"}

EVENTS: dict[str, str] = {
    "task.created": "任务已创建",
    "task.reserved": "已占用名额",
    "references.uploaded": "参考素材已上传",
    "references.failed": "参考素材上传失败",
    "submit.sent": "已发出提交",
    "submit.accepted": "网站已受理",
    "submit.adopted": "找回了已受理的提交",
    "submit.refused": "网站拒绝了提交",
    "submit.uncertain": "不确定网站是否已受理，正在核实",
    "submit.absent": "网站没有这次提交的记录",
    "generation.started": "开始生成",
    "generation.finished": "生成完毕",
    "generation.finished_late": "超时后生成完毕",
    "generation.failed_late": "超时后生成失败",
    "download.failed": "下载失败",
    "result.removed": "结果文件已清理",
    "results.stored": "结果已保存",
    "task.succeeded": "任务已完成",
    "task.failed": "任务失败",
    "task.cancelled": "任务已取消",
    "task.taken_over": "已由其他进程接手",
    "task.collected_late": "超时后取回了结果",
    "watch.ended": "不再等待迟到的结果",
}

#: For a code of a newer version; there is none in this one.
_SOME_ERROR = "请求未能完成"


def error_message(code: str, details: str, language: Language) -> str:
    """What to tell about an error of the API: the details as they are, or behind the sentence of its code."""
    known = ERRORS.get(code) or next((text for kind, text in KINDS.items() if kind == code), _SOME_ERROR)
    return details if language is Language.EN else _with_details(known, details)


def failure_message(kind: str, details: str, language: Language) -> str:
    """The same for why a task or a session failed."""
    known = next((text for each, text in KINDS.items() if each == kind), KINDS[ErrorKind.UNKNOWN])
    return details if language is Language.EN else _with_details(known, details)


def _with_details(sentence: str, details: str) -> str:
    return f"{sentence}（{details}）" if details else sentence
