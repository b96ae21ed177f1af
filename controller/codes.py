"""The table of diagnosis codes: what each means, what is done about it, in both languages.

`docs/diagnosis.md` is printed from it (`controller.report.codes_page`).
"""

from __future__ import annotations

from typing import Final

from model.diagnosis import Cause, CodeInfo, Stance

_FAILOVER: Final = "postgresql-failover"
_REJOIN: Final = "postgresql-rejoin"
A, N, S, O, X = Cause.APPLICATION, Cause.NETWORK, Cause.SERVER, Cause.OBSERVER, Cause.NONE  # noqa: E741
_SITE: Final = Cause.SITE


_row = CodeInfo
_ACT, _REFUSE, _CONFIRM, _MEND, _NONE = Stance.ACT, Stance.REFUSE, Stance.CONFIRM, Stance.MEND, Stance.NONE

CODES: Final[dict[str, CodeInfo]] = {
    row.code: row
    for row in (
        _row("Healthy", X, _NONE, None, "The service works.", "服务正常。"),
        _row("NotObservedYet", X, _NONE, None,
             "The primary has not been observed yet.", "尚未观测到主节点。"),
        _row("PrimarySuspect", X, _NONE, None,
             "The primary did not answer as it should; whether it is out is being confirmed.",
             "主节点应答异常，正在确认是否中断。", None, "postgresql"),
        # --- the primary is lost: a failover is the remedy
        _row("PrimaryProcessDown", A, _ACT, "III",
             "The primary's process has died: its connections ended without a word and nobody listens.",
             "主节点进程已终止：连接无声断开且端口无人监听。", _FAILOVER),
        _row("PrimaryHung", S, _ACT, "III",
             "The primary answers neither old sessions nor new ones, and nothing says that its host is gone.",
             "主节点对新旧会话均无响应，且无迹象表明其主机已失联。", _FAILOVER),
        _row("PrimaryNodeDown", S, _ACT, "II",
             "The primary's host is silent at every layer.", "主节点主机在各层均无响应。", _FAILOVER),
        _row("PrimaryDiskFull", S, _ACT, "III",
             "The primary has no disk space left: writes fail.", "主节点磁盘已满，写入失败。", _FAILOVER),
        _row("SiteDown", _SITE, _ACT, "II",
             "Every node of a site is silent, and nothing shows that it lives.",
             "站点的全部节点无响应，且无任何存活迹象。", _FAILOVER),
        # --- an answer, or a person: a failover would be wrong
        _row("PrimaryRestarting", A, _REFUSE, None,
             "The primary is being restarted or recovers from a crash by itself.",
             "主节点正在重启或自行恢复。"),
        _row("PrimaryNotReady", A, _REFUSE, "III",
             "The primary has answered for longer than the grace that it is starting up or shutting down.",
             "主节点持续应答正在启动或关闭，已超过宽限时间。", _FAILOVER),
        _row("PrimaryShutDownByAdmin", A, _REFUSE, "III",
             "An administrator stopped the primary and it did not come back.",
             "管理员停止了主节点且未恢复。", _FAILOVER),
        _row("PrimaryConnectionsExhausted", A, _REFUSE, "III",
             "The primary lives but has no connection slot left.", "主节点存活，但连接数已耗尽。"),
        _row("ProbeCredentialsRejected", A, _REFUSE, None,
             "The server lives but does not let the monitor in: mend its password or pg_hba.conf.",
             "服务器存活但拒绝监控账号：请修复口令或 pg_hba.conf。"),
        _row("OtherManagerPresent", A, _REFUSE, None,
             "Another manager runs this service: this product only delegates to it.",
             "该服务由其他管理器管理。"),
        _row("PrimaryReadOnly", A, _REFUSE, "III",
             "The primary lives and refuses writes as read-only.", "主节点存活但只读。"),
        _row("PrimarySyncBlocked", A, _REFUSE, "III",
             "Writes on the primary wait for a synchronous standby: the trouble is there, not here.",
             "主节点写入在等待同步备库：问题在备库。"),
        _row("PrimaryWritesBlocked", A, _REFUSE, "III",
             "Reads work, writes on the primary do not come back.", "主节点可读，写入无响应。"),
        _row("PrimaryListenerHung", A, _CONFIRM, "III",
             "Sessions that are open go on writing, new ones get no answer: a person must decide.",
             "已有会话可写，新会话无响应：需人工决定。", _FAILOVER, "node access to the primary"),
        _row("PrimaryPartitioned", N, _REFUSE, "III",
             "Some can't reach the primary, and others still hear it: a replica, or another observer.",
             "部分观测点无法到达主节点，但副本或其他观测点仍能收到其数据或应答。"),
        _row("PrimaryWentBack", S, _REFUSE, "II",
             "The primary came back as another system, or with less than it once had: nothing may follow it.",
             "主节点恢复后系统标识不同或数据倒退：任何成员不得跟随。"),
        _row("SplitBrain", A, _REFUSE, "II",
             "Two members accept writes as primary.", "两个成员同时以主节点身份接受写入。"),
        _row("SwitchedOutside", A, _REFUSE, "III",
             "Another member was made primary outside this product.", "主节点在本产品之外被切换。"),
        _row("EverythingUnknown", O, _REFUSE, None,
             "No member can be judged.", "无法判断任何成员。"),
        _row("PrimaryUnknown", O, _REFUSE, None,
             "The primary can't be judged from here: that is not the same as down.",
             "无法判断主节点状态：不等于中断。"),
        _row("ObserverIsolated", O, _REFUSE, None,
             "This observer reaches nothing at all: the trouble may be its own network.",
             "观测点无法到达任何目标：可能是自身网络中断。"),
        _row("SiteIsolated", _SITE, _REFUSE, "II",
             "Every node of a site is silent from here, but something shows that it lives.",
             "从本观测点看站点全部节点无响应，但有迹象表明站点存活。"),
        _row("NetworkDeviceDown", N, _REFUSE, "III",
             "A network device is out, and what stands behind it is silent.",
             "网络设备中断，其后的主机无响应。"),
        _row("EndpointDown", N, _REFUSE, "III",
             "The members work, but clients can't reach the service through its endpoint.",
             "成员正常，但客户端无法通过接入点到达服务。"),
        _row("DependencyDown", X, _REFUSE, None,
             "A service that this one needs is out.", "所依赖的服务中断。"),
        # --- redundancy
        _row("AllStandbysDown", A, _REFUSE, "III", "No standby is left.", "全部备库不可用。"),
        _row("OldPrimaryReturned", A, _MEND, None,
             "The old primary is back and calls itself primary: it is fenced and rejoined, never followed.",
             "旧主节点返回：立即隔离并重新加入，绝不跟随。", _REJOIN),
        _row("NodeDown", S, _MEND, None,
             "A host is out: nothing on it answers, at any layer.", "主机不可用：其上各层均无响应。"),
        _row("StandbyDown", A, _MEND, None, "A standby is out.", "一个备库不可用。"),
        _row("StandbyDetached", A, _MEND, None,
             "A standby runs but receives nothing.", "备库运行但未接收数据。", _REJOIN),
        _row("ForeignSystem", A, _REFUSE, None,
             "A member holds the data of another system: it is no copy of this service.",
             "成员的系统标识不同：不是本服务的副本。"),
        # --- early warnings (预警)
        _row("RedundancyLost", A, _REFUSE, None,
             "A copy is missing and this product can't bring it back by itself.",
             "冗余副本缺失且无法自动恢复。"),
        _row("ConfigDrift", A, _REFUSE, None,
             "The synchronous setting in force is looser than the one that the estate states.",
             "生效的同步设置比资产配置更宽松。"),
        _row("StandbyLagging", A, _REFUSE, None, "A standby lags.", "备库延迟。"),
        _row("DiskFilling", S, _REFUSE, None, "A member's disk is nearly full.", "成员磁盘即将写满。"),
        _row("LatencyDegraded", A, _REFUSE, None,
             "The primary answers, but slowly.", "主节点应答缓慢。"),
        _row("CanarySlow", A, _REFUSE, None,
             "A small write takes a large share of the time after which it counts as failed.",
             "小写入耗时已接近其超时时间。"),
        _row("CertificateExpiring", A, _REFUSE, None,
             "A certificate ends soon: its clients will be refused.", "证书即将到期，届时客户端将被拒绝。"),
        _row("ClockSkew", S, _REFUSE, None,
             "Clocks are apart: times in logs can't be compared, and tokens may fail.",
             "时钟不一致：日志时间无法对照，令牌可能失效。"),
        _row("BackupStale", A, _REFUSE, None,
             "The newest good backup is too old.", "最近一次有效备份过旧。"),
    )
}  # fmt: skip
