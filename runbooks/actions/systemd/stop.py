"""systemd.stop: a unit of a node is stopped, and seen not to run."""

from __future__ import annotations

from typing import ClassVar

from model.execution import Reconciled
from runbooks.actions.systemd.change import UnitChange
from runbooks.actions.systemd.unit import Seen, Unit, Verb, outputs


class Stop(UnitChange):
    """`systemctl stop`, which waits until it has stopped. Nothing keeps others from starting it again.

    Output: `active_state` and `sub_state` as systemd words them; `changed`: it ran before.

    Undo: started, if it ran before the step.
    """

    name: ClassVar[str] = "systemd.stop"
    verb: ClassVar[Verb] = "stop"

    def judge(self, unit: Unit, seen: Seen) -> Reconciled:
        text = f"{unit.name} is {seen.now}"
        if seen.now.active in ("inactive", "failed"):
            return Reconciled.done(text, **outputs(seen))
        return Reconciled.unknown(text) if seen.now.active == "deactivating" else Reconciled.not_done(text)

    def way_back(self, seen: Seen) -> Verb | None:
        assert seen.before is not None  # noqa: S101  # narrows the type
        return "start" if seen.before.runs and not seen.now.runs else None
