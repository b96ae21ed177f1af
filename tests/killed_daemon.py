"""The real daemon, which dies at the nth record of its incident: `after` it is on disk, or just `before`.

    python killed_daemon.py before|after|freeze-before|freeze-after N run -c estate.yaml

N is a number, counted from the opening of the incident (0), or a record's name: `step.intent:promote`.
`before` models a death between an effect and its record, `after` one between a record and the next act. With
`freeze-` it stops there (SIGSTOP), to be thawed.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from controller.cli.main import main
from controller.supervisor.tap import TappedJournal
from model import events as ev


def arm(when: str, point: str) -> None:
    real = TappedJournal.append
    frozen, _, when = when.rpartition("-")
    number_of = signal.SIGSTOP if frozen else signal.SIGKILL
    seen = {"count": -1}

    async def append(self: TappedJournal, type_: str, data: Any, **where: Any) -> Any:
        if type_ == ev.INCIDENT_OPENED or seen["count"] >= 0:
            seen["count"] += 1
        # Others append while this one waits for its disk.
        names = {str(seen["count"]), f"{type_}:{data.get('step') or ''}"} if seen["count"] >= 0 else set()
        if when == "before" and point in names:
            os.kill(os.getpid(), number_of)
        event = await real(self, type_, data, **where)
        if when == "after" and point in names:
            os.kill(os.getpid(), number_of)
        return event

    TappedJournal.append = append  # type: ignore[method-assign]


if __name__ == "__main__":
    arm(sys.argv[1], sys.argv[2])
    sys.argv = [sys.argv[0], *sys.argv[3:]]
    main()
