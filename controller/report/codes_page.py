"""`docs/diagnosis.md`: the table of codes for people, printed from the table that the product uses.

`python -m controller.report.codes_page > docs/diagnosis.md` after a change of `controller/codes.py`.
"""

from __future__ import annotations

import sys
from typing import Final

from controller.codes import CODES
from controller.diagnose import RULES_OF
from model.diagnosis import Cause, CodeInfo, Stance

_STANCES: Final[dict[Stance, tuple[str, str]]] = {
    Stance.ACT: ("a failover is the remedy", "故障切换"),
    Stance.REFUSE: ("no failover: hold, and page where it is an incident", "不切换：暂缓并通知"),
    Stance.CONFIRM: ("a person is asked", "询问人工"),
    Stance.NONE: ("nothing", "无需处理"),
    Stance.MEND: ("redundancy is restored", "恢复冗余"),
}

CAUSES: Final[dict[Cause, str]] = {
    Cause.NETWORK: "network / 网络",
    Cause.SERVER: "server / 服务器",
    Cause.APPLICATION: "application / 应用",
    Cause.SITE: "site / 站点",
    Cause.EXTERNAL: "external / 外部",
    Cause.OBSERVER: "observer / 观测点",
    Cause.NONE: "",
}

_INTRODUCTION: Final = """\
# What is wrong: the diagnosis codes

Printed from `controller/codes.py` by `python -m controller.report.codes_page > docs/diagnosis.md`.

The rules are tried in a fixed order and the first that matches wins: what makes a judgement impossible, then
what is lost, then what answers with trouble, then redundancy, then early warnings. So a cause comes before
its symptoms: a standby that is gone before the writes that wait for it. One code may be decided otherwise
than its row says: `PrimaryShutDownByAdmin` fails over where the estate says `on_admin_stop: failover`.
`PrimaryDiskFull` fails over though the server still answers, once its writes go on failing or its volume
stays full; a switchover would not do, since the checkpoint in a shutdown needs room.

The runbook is named by its kind: of `failover` the service's engine has its own (`postgresql-failover`).
Where an engine has none of that kind the decision holds and says so. What `postgresql`, `mariadb` and `redis`
share keeps its name: `PrimaryProcessDown` is the same for each. MariaDB and Redis end idle connections
without a word also when an administrator stops them, so there a refusal must outlast the grace of a restart
before it is a crash. A pool (`http`) is judged by how many members are up against its `minimum`, a `generic`
service by its declared probes, the deepest first.

Levels (危机等级): III general, II major, I extraordinary; without one it is no incident, only named.
"""


def codes_page() -> str:
    head = "| code | cause | level | what is done | runbook | settled by | what it means | 含义 |"
    lines = [_INTRODUCTION, head, "| --- | --- | --- | --- | --- | --- | --- | --- |"]
    lines += [_row(info) for info in CODES.values()]
    for engine, rules in RULES_OF.items():
        lines += ["", f"The rules of engine `{engine}`, in order of precedence:", ""]
        names = [rule.__name__.replace("_", " ") for rule in rules]
        lines += [f"{number}. {name}" for number, name in enumerate(names, 1)]
    return "\n".join(lines) + "\n"


def _row(info: CodeInfo) -> str:
    english, chinese = _STANCES[info.stance]
    runbook = f"`{info.remedy}`" if info.remedy else ""
    done = f"{english} / {chinese}"
    cells = (f"`{info.code}`", CAUSES[info.cause], info.level or "", done, runbook, info.confirm_with or "")
    return f"| {' | '.join((*cells, info.sentence, info.sentence_zh))} |"


if __name__ == "__main__":
    sys.stdout.write(codes_page())
