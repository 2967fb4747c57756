"""How the site says no: a code and its texts, raised where the reason is known and written at the edge."""

from __future__ import annotations

from dataclasses import dataclass

#: Texts of the codes that the simulator answers (2.6, 2.7).
_TEXTS: dict[str, tuple[str, str]] = {
    "1000": ("invalid parameter", ""),
    "1002": ("common error", ""),
    "1006": ("积分不足", "web_dre_m10n_generate_popup_credit_ininsufficient_title"),
    "1014": ("system busy", ""),
    "1015": ("login error", ""),
    "1018": ("account punish limit ai generate", ""),
    "1019": ("shark not pass", ""),
    "1310": (
        "因目前处于使用高峰期，暂时无法提交更多任务，请等待其他任务完成后再尝试提交～",
        "exceed_model_parallel_max",
    ),
    "2003": ("risk not pass", ""),
    "2008": ("invalid parameter", ""),
    "2038": ("你输入的文字不符合平台规则，请修改后重试", "web_text_violates_community_guidelines_toast"),
    "2061": ("模型已不可用，请刷新界面后再试试", ""),
    "3018": ("permission denied", ""),
    "3020": ("download file failed", ""),
    "4013": ("生成失败，疑似存在异常行为，请重新尝试", "web_risk_control_message_reject_generation"),
    "121101": ("今日生成次数已达上限", "reached_daily_generation_limit"),
}

#: Codes whose reply tells its text twice (2.6).
WITH_MESSAGE = frozenset({"1006", "2038"})
#: Codes whose reply has `data: null` (2.6).
NULL_DATA = frozenset({"1014", "1015", "1018", "1019"})


@dataclass(slots=True)
class Refusal(Exception):
    """The site answers this code; HTTP 200 all the same."""

    ret: str
    errmsg: str = ""
    #: The code of the reply's data part where it differs (3018 carries 1017).
    fail_code: str | None = None

    def __post_init__(self) -> None:
        """The usual text of the code, unless one is given."""
        if not self.errmsg:
            self.errmsg = _TEXTS.get(self.ret, (f"error {self.ret}", ""))[0]

    @property
    def starling_key(self) -> str:
        """The site's key of the text, where one is known."""
        return _TEXTS.get(self.ret, ("", ""))[1]
