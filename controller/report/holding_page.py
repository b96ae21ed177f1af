"""docs/operations/when-it-holds.md, printed from the gates' and codes' own tables.

`python -m controller.report.holding_page > docs/operations/when-it-holds.md`
"""

from __future__ import annotations

import sys
from typing import Final

from controller.advice import CODE_ADVICE, GATE_ADVICE
from controller.codes import CODES
from model.diagnosis import CodeInfo, Stance

_HEAD: Final = """\
# When it holds

A hold is a decision: the product saw an outage, or something like one, and a gate stopped it. It pages,
records the decision with every gate, and goes on watching; when what it sees changes, it decides anew.

1. `bcm-failover status` shows what is diagnosed and whether an approval waits.
2. `bcm-failover explain SERVICE` shows the evidence for and against, and every gate in order. The first
   one that says `STOPS` is the one to look up here. In mode `observe` it also says what mode `act` would
   have done.
3. Remove the cause, and the product goes on by itself where its mode lets it. Or take the decision
   yourself: `bcm-failover failover SERVICE --dry-run`, then without `--dry-run`.

A failover by hand passes the same gates, except those that your request answers: mode, pause, block,
budget and approval. A gate with a rule that can be overridden takes `--override RULE --reason "…"`; each
override stands on page one of the report, with your name.

| rule | `--override` means that you vouch for this |
|---|---|
| S2 | the old primary is fenced: it can acknowledge no write any more (powered off, disconnected) |
| S3 | the acknowledged writes that may be missing are known and accepted |
| S6 | the outage is real, although what was seen does not say so |
| S9 | the DR site is the right place, although nobody observes from a third one |

`leadership` and `execution` are never overridden: two at work at once are two masters.

## Gates
"""

_STANCE: Final = {
    Stance.ACT: "fails over",
    Stance.REFUSE: "holds and pages",
    Stance.CONFIRM: "asks a person",
    Stance.MEND: "mends redundancy",
    Stance.NONE: "nothing",
}


def holding_page() -> str:
    """The whole page, Markdown."""
    lines = [_HEAD, "| gate | what it guards | what to do |", "|---|---|---|"]
    lines += [f"| `{gate}` | {advice.guards} | {advice.todo} |" for gate, advice in GATE_ADVICE.items()]
    lines += ["", "## Diagnoses", ""]
    lines += [
        "By itself: what the product does, once the gates let it. Level: of the incident that it opens.",
        "",
    ]
    lines += ["| code | what it means | by itself | level | what to do |", "|---|---|---|---|---|"]
    lines += [_row(info) for info in CODES.values()]
    return "\n".join(lines) + "\n"


def _row(info: CodeInfo) -> str:
    meaning = f"{info.sentence} {info.sentence_zh}"
    silent = info.stance is Stance.REFUSE and info.level is None
    stance = "holds; no incident of its own" if silent else _STANCE[info.stance]
    return f"| `{info.code}` | {meaning} | {stance} | {info.level or ''} | {CODE_ADVICE[info.code]} |"


if __name__ == "__main__":
    sys.stdout.write(holding_page())
