"""`docs/diagnosis.md`: the table of codes for people, printed from the table that the product uses.

`python -m controller.report.codes_page > docs/diagnosis.md` after a change of `controller/codes.py`.
"""

from __future__ import annotations

import sys
from typing import Final

from controller.codes import CODES
from controller.diagnose import RULES
from model.diagnosis import CodeInfo, Stance

_STANCES: Final[dict[Stance, tuple[str, str]]] = {
    Stance.ACT: ("a failover is the remedy", "故障切换"),
    Stance.REFUSE: ("no failover: hold, and page where it is an incident", "不切换：暂缓并通知"),
    Stance.CONFIRM: ("a person is asked", "询问人工"),
    Stance.NONE: ("nothing", "无需处理"),
    Stance.MEND: ("redundancy is restored", "恢复冗余"),
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

Levels (危机等级): III general, II major, I extraordinary; without one it is no incident, only named.
"""


def codes_page() -> str:
    lines = [_INTRODUCTION, "| code | cause | level | what is done | runbook | what it means | 含义 |"]
    lines.append("| --- | --- | --- | --- | --- | --- | --- |")
    lines += [_row(info) for info in CODES.values()]
    lines += ["", "The rules, in order of precedence:", ""]
    lines += [f"{number}. {rule.__name__.replace('_', ' ')}" for number, rule in enumerate(RULES, 1)]
    return "\n".join(lines) + "\n"


def _row(info: CodeInfo) -> str:
    english, chinese = _STANCES[info.stance]
    runbook = f"`{info.runbook}`" if info.runbook else ""
    cells = (f"`{info.code}`", info.cause.value, info.level or "", f"{english} / {chinese}", runbook)
    return f"| {' | '.join((*cells, info.sentence, info.sentence_zh))} |"


if __name__ == "__main__":
    sys.stdout.write(codes_page())
