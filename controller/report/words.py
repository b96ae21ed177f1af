"""The report's headings and fixed words, in English and in Chinese. The journal's texts stay as they are."""

from __future__ import annotations

from typing import Final

LANGUAGES: Final = ("en", "zh")

_VERIFY: Final = (
    "`bcm-failover journal verify` checks the chain and its anchor. Whoever can write the journal, the "
    "anchor, the system log and the host's key can still rewrite all of them unseen: keep a copy of this "
    "page elsewhere."
)
_VERIFY_ZH: Final = (
    "`bcm-failover journal verify` 校验哈希链与锚点。"
    "若有人能同时改写日志、锚点、系统日志与主机密钥，则无法察觉：请在别处另存本页。"
)

_WORDS: Final[dict[str, tuple[str, str]]] = {
    "title": ("Incident report", "事件报告"),
    "overrides": ("Rules that were overridden", "被人工越过的规则"),
    "no_overrides": ("No rule was overridden.", "没有规则被越过。"),
    "summary": ("Summary", "摘要"),
    "service": ("Service", "业务服务"),
    "state": ("State", "状态"),
    "level": ("Level", "危机等级"),
    "code": ("Diagnosis", "诊断"),
    "cause": ("Cause", "原因"),
    "sentence": ("What happened", "发生了什么"),
    "root": ("Root", "根因所在"),
    "part_of": ("Part of", "隶属事件"),
    "incident": ("Incident", "事件"),
    "parts": ("Its parts", "所含事件"),
    "declared": ("The declared disaster and its plan", "人工宣告的灾害与切换计划"),
    "declared_by": ("declared by", "宣告人"),
    "from": ("from", "自"),
    "to": ("to", "至"),
    "after": ("after", "先于其完成"),
    "consequences": ("What suffers from the same root", "同一根因的后果"),
    "member": ("Member", "成员"),
    "primary": ("Primary now", "当前主节点"),
    "by_hand": ("Made by hand", "人工发起"),
    "yes": ("yes", "是"),
    "no": ("no", "否"),
    "targets": ("Targets and what was reached", "目标与实际"),
    "measure": ("measure", "指标"),
    "target": ("target", "目标"),
    "actual": ("actual", "实际"),
    "met": ("met", "是否达标"),
    "rto_good": ("RTO, from the last good observation", "RTO（自最后一次正常观测）"),
    "rto_bad": ("RTO, from the first bad observation", "RTO（自首次异常观测）"),
    "rpo": ("RPO", "RPO"),
    "below_copies": ("Time below the required copies", "冗余不足的时间"),
    "not_observed": ("not observed", "未观测到"),
    "not_known": ("not known", "未知"),
    "estimated": ("estimated: two boots or two hosts", "估算：跨两次启动或两台主机"),
    "clock": ("The clock", "时钟"),
    "mark": ("mark", "时点"),
    "meaning": ("meaning", "含义"),
    "time": ("time", "时间"),
    "since_t0": ("since T0", "距 T0"),
    "phase": ("phase", "阶段"),
    "human_wait": ("waiting for people, taken out of the above", "等待人工（已从上述阶段扣除）"),
    "nobody_waited": ("nobody was waited for", "未等待人工"),
    "verdict": ("What was lost: the RPO verdict", "数据损失结论（RPO）"),
    "reason": ("Reason", "理由"),
    "method": ("Method", "方法"),
    "not_covered": ("What this does not cover", "该结论未覆盖的内容"),
    "inputs": ("Inputs", "输入"),
    "no_verdict": ("No verdict was recorded: nothing is known of losses.", "没有记录结论：损失情况未知。"),
    "diagnosis": ("Diagnosis", "诊断"),
    "for": ("Evidence for", "支持证据"),
    "against": ("Evidence against", "反对证据"),
    "none": ("none", "无"),
    "decisions": ("Decisions", "决策"),
    "gate": ("gate", "关口"),
    "result": ("result", "结果"),
    "rule": ("rule", "规则"),
    "held": ("Held, vetoed, or would have acted", "暂缓、否决与“本应执行”"),
    "executions": ("Executions", "执行"),
    "step": ("step", "步骤"),
    "outcome": ("outcome", "结果"),
    "took": ("took", "用时"),
    "detail": ("detail", "说明"),
    "commands": ("Commands", "命令"),
    "output": ("Output", "输出"),
    "undo": ("Undone", "撤销"),
    "approvals": ("Approvals", "审批"),
    "people": ("People who acted", "参与人员"),
    "pages": ("Pages", "告警通知"),
    "timeline": ("Timeline", "时间线"),
    "event": ("event", "事件"),
    "actor": ("who", "执行者"),
    "frozen": ("Frozen facts", "固化事实"),
    "raw": ("Raw observations", "原始观测"),
    "clocks": ("Clocks of the writers", "写入者时钟"),
    "journal": ("The journal", "日志"),
    "head": ("Head at the report", "报告时的链头"),
    "closed_head": ("Head that was signed at closing", "关闭时签名的链头"),
    "signature": ("Signature", "签名"),
    "not_signed": ("not signed: the incident is not closed", "未签名：事件尚未关闭"),
    "verify": (_VERIFY, _VERIFY_ZH),
}

MARK_MEANINGS: Final[dict[str, tuple[str, str]]] = {
    "T0": ("last good observation", "最后一次正常观测"),
    "T1": ("confirmed", "确认中断"),
    "T2": ("diagnosed", "完成诊断"),
    "T3": ("decided", "作出决策"),
    "T4": ("first changing step", "首个变更步骤"),
    "T5": ("fenced", "完成隔离"),
    "T6": ("promoted", "完成提升"),
    "T7": ("traffic moved", "流量切换"),
    "T8": ("verified from the client's side", "客户端侧验证"),
    "T9": ("redundancy restored", "冗余恢复"),
    "T10": ("failed back", "完成回切"),
}

PHASE_WORDS: Final[dict[str, tuple[str, str]]] = {
    "detect": ("detect", "检测"),
    "decide": ("decide", "决策"),
    "prepare": ("prepare", "准备"),
    "fence": ("fence", "隔离"),
    "promote": ("promote", "提升"),
    "reroute": ("reroute", "切流"),
    "verify": ("verify", "验证"),
}


class Words:
    """The words of one language; `words("key")`. Raises KeyError for a key that is not in the table."""

    def __init__(self, language: str) -> None:
        self._index = LANGUAGES.index(language) if language in LANGUAGES else 0

    def __call__(self, key: str) -> str:
        return _WORDS[key][self._index]

    def mark(self, mark: str) -> str:
        return MARK_MEANINGS[mark][self._index] if mark in MARK_MEANINGS else ""

    def phase(self, phase: str) -> str:
        return PHASE_WORDS[phase][self._index] if phase in PHASE_WORDS else phase

    @property
    def chinese(self) -> bool:
        return self._index == 1
