"""What a supervisor does of its own accord: decides on a failover, asks a person, brings members back."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from config.schema import ServiceMode
from controller.approval_rules import Standing
from controller.decide import decision_key, granted_overrides
from controller.remedies import endpoint
from controller.remedies.remedy import Wayward
from controller.remedies.table import REMEDIES
from controller.supervisor.consent import Question, consent
from controller.supervisor.judgement import Judged
from controller.supervisor.ledger import APPROVED
from controller.supervisor.mending import Outcome
from controller.supervisor.pages import Told, to_answer
from controller.supervisor.recovery import may_mend
from controller.supervisor.world import World
from model import events as ev
from model.decision import Verb
from model.diagnosis import Stance
from model.execution import ExecutionState

if TYPE_CHECKING:
    from controller.supervisor.supervisor import Supervisor

# After a try that did not get through: what stopped it may have been of the moment, and may not. Doubled each
# time; the budget (S1) ends it.
FIRST_WAIT_S: Final = 1.0
LONGEST_WAIT_S: Final = 300.0


class Acting:
    """One per supervisor, called in its turns only."""

    def __init__(self, supervisor: Supervisor, world: World) -> None:
        self._supervisor = supervisor
        self._world = world
        self._decided: tuple[object, ...] = ()
        self._again_s = 0.0
        self._wait_s = FIRST_WAIT_S
        self._gave_way: str | None = None

    def forget(self) -> None:
        """Another incident, or none: the next decision is news."""
        self._decided = ()

    def ended(self, outcome: Outcome) -> None:
        """An execution has ended."""
        if outcome.state == ExecutionState.SUCCEEDED.value:
            self._again_s, self._wait_s = 0.0, FIRST_WAIT_S
        if outcome.primary is not None:
            self.forget()

    def rests(self, now_s: float) -> bool:
        """After a try that did not get through: it does not act now, whatever the decision."""
        return now_s < self._again_s

    async def decide(self, judged: Judged) -> None:
        """Journal what is decided when it changes, tell who must know, and do it."""
        supervisor, ledger = self._supervisor, self._supervisor.ledger
        decision, diagnosis = judged.decision, judged.diagnosis
        incident = ledger.incident_id
        quiet = diagnosis.info.stance in (Stance.NONE, Stance.MEND) or diagnosis.info.level is None
        if quiet or (incident is None and decision.verb is not Verb.ACT):
            away = () if incident is None else set(ledger.retired) - set(supervisor.mending.unreachable())
            supervisor.telling.warn(diagnosis, judged.at_s, away, judged.view.engine.own_warnings)
            return
        key = (diagnosis.code, *decision_key(decision))
        if key != self._decided:
            await supervisor.desk.decided(incident, decision)
            self._decided = key
        asked = None
        if decision.verb is Verb.ASK and decision.runbook is not None and not supervisor.quiet:
            asked = await supervisor.approvals.ask(_question(incident, judged))
        if decision.stopped_by == "order" and all(g.passed for g in decision.gates if g.name != "order"):
            return  # of moments, and nothing that a person could do
        if decision.verb is not Verb.ACT:
            supervisor.telling.held(judged, incident, asked)
        elif decision.runbook is not None and incident is not None:
            await self._act(judged, decision.runbook, incident)

    async def give_way(self, judged: Judged) -> None:
        """The primary is lost while a member is being brought back: that can wait, this can't."""
        stopping = [g.name for g in judged.decision.gates if not g.passed and not g.asks]
        open_ = self._supervisor.ledger.open_executions
        if stopping != ["execution"] or not open_ or self._gave_way == open_[0]:
            return
        why = f"{judged.diagnosis.code}: bringing a member back has to wait"
        if judged.diagnosis.info.stance is Stance.ACT and await self._supervisor.runs.abort(
            open_[0], why, "daemon"
        ):
            self._gave_way = open_[0]

    async def mend(self, judged: Judged) -> None:
        """Restore redundancy: no client waits for it, so there is time between two tries."""
        supervisor, ledger = self._supervisor, self._supervisor.ledger
        service, command = supervisor.service, judged.command
        by_itself = (
            service.mode is ServiceMode.ACT
            and command is None
            and REMEDIES[service.engine].mends_by_itself(service)
        )
        if not by_itself:
            for member in supervisor.mending.returned(judged, ledger):
                await supervisor.append(ev.MEMBER_REJOINED, {"member": member})
        if not judged.view.engine.runbooks or supervisor.quiet or ledger.paused(supervisor.wall_ns()):
            return
        if not may_mend(judged.diagnosis, ledger):
            return
        if command is not None and (command.holds or command.moves):
            return  # in a declared disaster the service's own move is asked for first, or nothing is
        due = supervisor.mending.due(judged, supervisor.ledger)
        if due is None:
            return
        if supervisor.service.mode is ServiceMode.OBSERVE:
            told = Told("warning", f"{due.member} is to be {_done(due)}; in mode act it would be done")
            supervisor.telling.seldom(("would", due.kind, due.member), judged.at_s, told)
        elif by_itself or (due.kind == endpoint.KIND and service.mode is ServiceMode.ACT and command is None):
            await self._bring_back(due, judged.at_s, "automatic", "daemon")
        else:
            await self._bring_back_if_approved(due, judged.at_s)

    async def _act(self, judged: Judged, runbook: str, incident: str) -> None:
        supervisor = self._supervisor
        if supervisor.quiet or supervisor.busy or self.rests(judged.at_s):
            return
        self._again_s = judged.at_s + self._wait_s
        self._wait_s = min(2 * self._wait_s, LONGEST_WAIT_S)
        approval = judged.approval
        if approval is not None and approval.standing is not Standing.GRANTED:
            approval = None
        primary = judged.view.member(judged.view.primary)
        order = supervisor.order(
            runbook,
            # People have approved this member and no other; by itself the proof chooses.
            candidate=None if approval is None else judged.decision.candidate,
            trigger="automatic" if approval is None else APPROVED,
            actor="daemon" if approval is None else approval.given[-1],
            overrides=granted_overrides(judged.diagnosis, answers=primary is not None and primary.fresh),
        )
        if approval is not None:
            await supervisor.desk.mark(incident, "T3", self._world.clock.monotonic_s())
            await supervisor.launch(order)
            return
        # The gate looked at one candidate; by the time of the proof it may be another.
        to_ask = dict.fromkeys((*(m.name for m in judged.view.members if m.at_dr), *order.returning))
        with self._world.launching.one(self._world.budget_left()) as within:
            if within:
                await supervisor.desk.mark(incident, "T3", self._world.clock.monotonic_s())
                await supervisor.launch(replace(order, not_asked=tuple(to_ask)))

    async def _bring_back_if_approved(self, due: Wayward, now_s: float) -> None:
        supervisor = self._supervisor
        incident = supervisor.ledger.incident_id
        what = _to_do(due, supervisor.ledger.primary)
        question = Question(incident, self._runbook(due), due.member, "", what)
        state = consent(supervisor.ledger, supervisor.case.rule, question, supervisor.wall_ns())
        if state is not None and state.standing is Standing.GRANTED:
            await self._bring_back(due, now_s, APPROVED, state.given[-1])
        elif state is None or state.standing is Standing.WAITS:
            state = await supervisor.approvals.ask(question)
            told = Told("warning", f"waits for approval: {what}", to_answer(state))
            supervisor.telling.seldom(("asks", state.id), now_s, told)

    async def _bring_back(self, due: Wayward, now_s: float, trigger: str, actor: str) -> None:
        self._supervisor.mending.began(due.member, now_s)
        order = self._supervisor.order(self._runbook(due), candidate=None, trigger=trigger, actor=actor)
        await self._supervisor.launch(replace(order, member=due.member))

    def _runbook(self, due: Wayward) -> str:
        """Raises KeyError for what is shipped for no service of this kind."""
        if due.kind == endpoint.KIND:
            return endpoint.runbook_of(self._supervisor.service) or ""
        return self._supervisor.knowledge.engine.runbooks[due.kind]


def _to_do(due: Wayward, primary: str | None) -> str:
    match due.kind:
        case endpoint.KIND:
            return f"lead clients to {due.member}"
        case "rejoin":
            return f"bring {due.member} back as a standby of {primary}"
        case _:
            return f"{due.kind} {due.member}"


def _done(due: Wayward) -> str:
    words = {"rejoin": "brought back", "drain": "drained", "restore": "restored"}
    return words.get(due.kind, "what clients are led to")


def _question(incident: str | None, judged: Judged) -> Question:
    """May what is decided be done?"""
    decision, code = judged.decision, judged.diagnosis.code
    to = f" to {decision.candidate}" if decision.candidate else ""
    what = f"{decision.runbook}{to} ({code})"
    return Question(incident, decision.runbook or "", decision.candidate, code, what)
