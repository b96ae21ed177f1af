"""systemd.start: a unit of a node is started, and seen to run."""

from __future__ import annotations

from typing import ClassVar

from model.execution import Reconciled
from runbooks.actions.systemd.change import UnitChange
from runbooks.actions.systemd.unit import Seen, Unit, Verb, of_one_that_ends, outputs


class Start(UnitChange):
    """`systemctl start`, which waits until the manager calls it started. A unit that runs is left as it is;
    one of `Type=oneshot` has started when it has ended well.

    Output: `active_state` and `sub_state` as systemd words them; `changed`: it did not run before.

    Undo: stopped, if it did not run before the step.
    """

    name: ClassVar[str] = "systemd.start"
    verb: ClassVar[Verb] = "start"

    def judge(self, unit: Unit, seen: Seen) -> Reconciled:
        now, text = seen.now, f"{unit.name} is {seen.now}"
        if now.runs:
            return Reconciled.done(text, **outputs(seen))
        if now.moves:
            return Reconciled.unknown(text)
        return of_one_that_ends(unit, seen) or Reconciled.not_done(text)

    def way_back(self, seen: Seen) -> Verb | None:
        assert seen.before is not None  # noqa: S101  # narrows the type
        return "stop" if not seen.before.runs and (seen.now.runs or seen.now.moves) else None
