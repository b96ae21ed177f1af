"""systemd.restart: a unit of a node is restarted, once, and seen to run."""

from __future__ import annotations

from typing import ClassVar

from model.execution import Reconciled
from runbooks.actions.systemd.change import UnitChange
from runbooks.actions.systemd.unit import Seen, Unit, Verb, of_one_that_ends, outputs


class Restart(UnitChange):
    """`systemctl restart`. The manager gives each start of a unit an id: another id than before the step
    tells that it was restarted, also to a controller that did not see it happen.

    Output: `active_state` and `sub_state` as systemd words them; `changed`: true.

    Undo: started, if it ran before the step and does not now; a restart itself leaves nothing to take back.
    """

    name: ClassVar[str] = "systemd.restart"
    verb: ClassVar[Verb] = "restart"

    def judge(self, unit: Unit, seen: Seen) -> Reconciled:
        now, text = seen.now, f"{unit.name} is {seen.now}"
        if seen.before is None:
            return Reconciled.not_done(f"{text}; no restart was asked for")
        if now.moves:
            return Reconciled.unknown(text)
        if now.runs and now.invocation != seen.before.invocation:
            return Reconciled.done(f"{text}, restarted", **outputs(seen))
        if now.runs:
            return Reconciled.not_done(f"{text}, and was not restarted")
        return of_one_that_ends(unit, seen) or Reconciled.not_done(text)

    def way_back(self, seen: Seen) -> Verb | None:
        assert seen.before is not None  # noqa: S101  # narrows the type
        return "start" if seen.before.runs and not seen.now.runs else None
