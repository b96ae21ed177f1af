"""`docs/operations/inspection.md`: how to inspect, and the catalogue of checks.

`python -m controller.inspection.page > docs/operations/inspection.md` after a change of the catalogue.
"""

from __future__ import annotations

import sys
from typing import Final

from controller.inspection.catalogue import CATALOGUE

_INTRODUCTION: Final = """\
# Inspection (巡检)

Probes watch all the time; an inspection looks at everything once, now, also at what no probe watches: is
there a candidate, can an old primary be rewound, does a command run on every node, can every secret be
read, is anybody told. It changes nothing.

```
bcm-failover inspect                     # the whole estate
bcm-failover inspect orders              # one service: its members, nodes and probes
bcm-failover inspect --since             # what has changed since the last one
bcm-failover inspect --format md > inspection.md
bcm-failover inspect -o json
bcm-failover inspect --no-daemon -c /etc/bcm-failover/estate.yaml
```

The daemon makes it, with its own account and its own view. With the daemon dead, `--no-daemon` makes the
same checks from this process, as root or as the daemon's account; it journals nothing.

| result | what it means | exit code |
|---|---|---|
| `failed` | a failover would fail, hold or lose something | 1 |
| `warning` | not yet, or it would be slower | 1 |
| `unknown` | it could not be found out; that is not the same as well | 4, if there is nothing worse |
| `ok` | as it should be | 0 |
| `skipped` | there is nothing to look at | 0 |

## By itself

The daemon that leads inspects `inspection.every` (a day, if not stated) after the last inspection of the
whole estate, for the first time two minutes after its start; `inspection.enabled: false` turns it off.
The interval is counted on the monotonic clock, so that a jump of the wall clock brings none and loses
none. Each inspection is journaled (`inspection.done`: what was not `ok`, and how many were). What newly
`failed` is paged as a warning, once.

`--since` compares with the last inspection in the journal: a finding is `new`, `gone`, or `changed` where
its result is another than it was. Figures in its text do not count: a disk that has less free than
yesterday is no new finding.

Everything is looked at in parallel, at most eight connections and commands at once, and a check that does
not end within a minute is `unknown`. Members and nodes are given three seconds, or the time-out of the
service's profile where that is longer; declared probes their own.

## What is looked at
"""


def page() -> str:
    lines = [_INTRODUCTION]
    for check in CATALOGUE:
        scope = "" if check.of_service else " Only of the whole estate."
        lines += [
            f"### {check.name}: {check.what}",
            "",
            f"- How: {check.how}.{scope}",
            f"- Why it matters: {check.why}",
            f"- What to do: {check.todo}",
            "",
        ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.stdout.write(page())
