"""A switch that people asked for, and that the old primary did not live to see, goes on as a failover.

They want the role to be elsewhere, and now it has to be: nobody is asked a second time, and no block by the
switch that could not end stands in the way. All other gates hold as for a failover that a person asks for,
and the failover proves and looks by itself. A daemon that died meanwhile has forgotten it: the next one
decides as on any outage.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from controller.supervisor.ledger import FAILOVER
from controller.supervisor.mending import Outcome
from controller.supervisor.pages import Told
from controller.supervisor.switch_gates import Wish, failover_decision, held_by
from model.execution import ExecutionState

if TYPE_CHECKING:
    from controller.supervisor.judgement import Judged
    from controller.supervisor.supervisor import Supervisor

# Detection needs a few seconds to confirm what a step ran into; after that it is another outage.
GOES_ON_FOR_S: Final = 30.0
# What a step saw by node access is more than what the probes conclude: an ended process that was being shut
# down looks like an administrator's stop.
_SEEN_BY_THE_STEP: Final = frozenset({"diagnosis", "confirmed", "flapping"})


@dataclass(frozen=True, slots=True)
class _Pending:
    execution: str
    wish: Wish
    until_s: float
    seen_lost: bool


class GoingOn:
    """One per supervisor; its turns only."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._asked: tuple[str, Wish] | None = None
        self._pending: _Pending | None = None

    def launched(self, execution: str, wish: Wish) -> None:
        """A planned switch that a person asked for has begun."""
        self._asked, self._pending = (execution, wish), None

    def ended(self, execution: str, outcome: Outcome, now_s: float, *, called_off: bool) -> None:
        """called_off: a person wanted it to stop."""
        if self._asked is None or self._asked[0] != execution:
            return
        wish, self._asked = self._asked[1], None
        moved = outcome.primary is not None or outcome.state == ExecutionState.SUCCEEDED.value
        if not moved and not called_off:
            lost = outcome.state == ExecutionState.HANDED_OVER.value
            self._pending = _Pending(execution, wish, now_s + GOES_ON_FOR_S, lost)

    async def turn(self, judged: Judged) -> bool:
        """True: the failover has begun."""
        pending, supervisor = self._pending, self._supervisor
        if pending is None or supervisor.busy:
            return False
        if judged.at_s > pending.until_s:
            self._pending = None
            return False
        decision = failover_decision(supervisor, pending.wish, supervisor.surroundings())
        passed = _SEEN_BY_THE_STEP if pending.seen_lost else frozenset()
        known = replace(decision, gates=tuple(g for g in decision.gates if g.name not in passed))
        asks = any(g.asks and not g.passed for g in known.gates)
        if asks or held_by(known, ()) is not None:
            return False
        self._pending = None
        await self._begin(pending, judged)
        return True

    async def _begin(self, pending: _Pending, judged: Judged) -> None:
        supervisor, wish = self._supervisor, pending.wish
        incident = supervisor.ledger.incident_id
        runbook = supervisor.knowledge.engine.runbooks[FAILOVER]
        order = supervisor.order(runbook, candidate=wish.to, trigger="manual", actor=wish.person)
        if incident is not None:
            note = f"{pending.execution} goes on as a failover"
            last_good_s = judged.diagnosis.last_good_s
            if last_good_s is not None:
                await supervisor.desk.mark(incident, "T0", last_good_s, note=note)
            await supervisor.desk.mark(incident, "T3", judged.at_s, note=note)
        execution = await supervisor.launch(replace(order, continues=pending.execution))
        supervisor.telling.tell(
            Told("page", f"{pending.execution} goes on as the failover {execution}: the old primary is lost")
        )
