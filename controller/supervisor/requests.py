"""What a person asks of one service: the daemon's gates, but for those that a person answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from controller import fields
from controller.approval_rules import DAEMON, ApprovalState, Standing
from controller.supervisor.approval_records import Approval
from controller.supervisor.consent import Question
from controller.supervisor.executor import FAILBACK, SWITCHOVER, Order
from controller.supervisor.judgement import Judged
from controller.supervisor.ledger import APPROVED, FAILOVER
from controller.supervisor.pages import Told, to_answer
from controller.supervisor.supervisor import Supervisor
from controller.supervisor.switch_gates import (
    RULES,
    Wish,
    failover_decision,
    held_by,
    run_gates,
    switchover_gates,
)
from model import events as ev
from model.decision import NO_RUNBOOKS, GateResult
from model.errors import BcmError, HeldError, UsageError
from model.execution import Mode

# What is asked for by the name of a runbook that moves no primary.
RUN = "run"


def check_member(supervisor: Supervisor, to: str | None) -> None:
    """Raises UsageError for a target that can't be one, and for a service that nothing here can move."""
    service = supervisor.service
    if not supervisor.knowledge.engine.runbooks:
        raise UsageError(f"{service.name} is made of {service.engine}: {NO_RUNBOOKS}")
    if to is None:
        return
    if to not in supervisor.service.members:
        names = ", ".join(supervisor.service.members)
        raise UsageError(f"{supervisor.service.name} has no member {to!r}", hint=f"members: {names}")
    if to == supervisor.ledger.primary:
        raise UsageError(f"{to} is the primary already")


class Requests:
    """Carries out what a person asks of one supervisor. alone: nobody else is asked (break-glass), and that
    stands in the evidence as an override."""

    def __init__(self, supervisor: Supervisor, *, alone: bool = False) -> None:
        self._supervisor = supervisor
        self._alone = alone

    async def switchover(self, wish: Wish, *, dry_run: bool) -> dict[str, Any]:
        """Raises UsageError, HeldError, RunbookError, JournalError and LeadershipLostError."""
        supervisor = self._supervisor
        self._check_wish(SWITCHOVER, wish)
        if dry_run:  # live prechecks take their time, and no turn must wait for them
            order, gates = self._planned(wish)
            return await self.plan(order, gates)
        async with supervisor.turn:
            return await self._switchover(wish)

    async def _switchover(self, wish: Wish) -> dict[str, Any]:
        order, gates = self._planned(wish)
        _refuse(next((g for g in gates if not g.passed and not g.asks), None))
        self._check(order)
        if self._must_ask(gates):
            return await self._ask(SWITCHOVER, order, wish)
        await self._open_incident(SWITCHOVER, wish, self._supervisor.judge_now())
        return await self._launch(replace(order, incident=self._incident), wish)

    def _planned(self, wish: Wish) -> tuple[Order, list[GateResult]]:
        supervisor = self._supervisor
        judged = supervisor.judge_now()
        gates = switchover_gates(supervisor, wish, supervisor.surroundings(), judged)
        order = self._order(SWITCHOVER, wish)
        return replace(order, candidate=wish.to or judged.outlook.choice.candidate), gates

    async def mend(self, kind: str, member: str, wish: Wish, *, dry_run: bool) -> dict[str, Any]:
        """A runbook that is about one member and moves nobody's role, such as `drain`. A person who asks for
        it has decided: no gate but leadership and an open execution holds it.

        Raises UsageError, HeldError, RunbookError, JournalError and LeadershipLostError.
        """
        supervisor = self._supervisor
        self._check_wish(kind, wish)
        if member not in supervisor.service.members:
            known = ", ".join(supervisor.service.members)
            raise UsageError(f"{supervisor.service.name} has no member {member!r}", hint=f"members: {known}")
        order = replace(self._order(kind, wish), member=member)
        if dry_run:
            return await self.plan(order, ())
        async with supervisor.turn:
            if not supervisor.surroundings().leader:
                raise HeldError("this controller does not lead", gate="leadership")
            self._check(order)
            return await self._launch(order, wish)

    async def failover(self, wish: Wish, *, dry_run: bool) -> dict[str, Any]:
        """Raises UsageError, HeldError, RunbookError, JournalError and LeadershipLostError."""
        supervisor = self._supervisor
        self._check_wish(FAILOVER, wish)
        unknown = [o for o in wish.overrides if o.upper() not in RULES]
        if unknown:
            raise UsageError(f"rule {unknown[0]!r} can't be overridden", hint=f"one of {', '.join(RULES)}")
        if wish.overrides and not wish.reason.strip():
            raise UsageError("an override needs a reason: it stands in the evidence", hint="--reason '…'")
        if dry_run:
            decision = failover_decision(supervisor, wish, supervisor.surroundings())
            return await self.plan(self._order(FAILOVER, wish), decision.gates)
        async with supervisor.turn:
            return await self._failover(wish)

    async def _failover(self, wish: Wish) -> dict[str, Any]:
        supervisor = self._supervisor
        decision = failover_decision(supervisor, wish, supervisor.surroundings())
        order = self._order(FAILOVER, wish)
        _refuse(held_by(decision, wish.overrides))
        self._check(order)
        must_ask = self._must_ask(decision.gates)
        if must_ask and not self._alone:
            return await self._ask(FAILOVER, order, wish)
        judged = supervisor.judge_now()
        await self._open_incident(FAILOVER, wish, judged)
        await supervisor.desk.decided(self._incident, decision)
        await supervisor.desk.mark(self._incident or "", "T3", judged.at_s, note=f"by {wish.person}")
        overridden = [(rule.upper(), wish.reason) for rule in wish.overrides]
        if must_ask:
            overridden.append(("S7", "break-glass: the approval by another person was not waited for"))
        for rule, reason in overridden:
            data = {"rule": rule, "reason": reason, "person": wish.person}
            await supervisor.append(ev.OVERRIDE_RECORDED, data, actor=wish.person)
        return await self._launch(replace(order, incident=self._incident), wish)

    async def run(self, wish: Wish, *, dry_run: bool) -> dict[str, Any]:
        """Any runbook, by its name: one that moves the primary passes the gates of its kind. Raises as
        `failover`."""
        supervisor, name = self._supervisor, wish.runbook or ""
        match supervisor.executor.kind_of(name):
            case "failover":
                return await self.failover(wish, dry_run=dry_run)
            case "switchover" | "failback":
                return await self.switchover(wish, dry_run=dry_run)
        if dry_run:
            return await self.plan(self._named(wish), run_gates(supervisor, wish, supervisor.surroundings()))
        async with supervisor.turn:
            return await self._run(wish)

    async def _run(self, wish: Wish) -> dict[str, Any]:
        supervisor = self._supervisor
        order, gates = self._named(wish), run_gates(supervisor, wish, supervisor.surroundings())
        _refuse(next((g for g in gates if not g.passed and not g.asks), None))
        self._check(order)
        if self._must_ask(gates):
            return await self._ask(RUN, order, wish)
        return await self._launch(order, wish)

    def _named(self, wish: Wish) -> Order:
        """`to` names the member that it is about."""
        return replace(self._order(RUN, replace(wish, to=None)), member=wish.to)

    # --- four eyes

    async def approve(self, approval_id: str, person: str) -> dict[str, Any]:
        """One person says yes. What the daemon asked for begins with its next turn; what a person asked for
        begins now, if the gates still let it: a yes is not kept for later. Raises UsageError, HeldError and
        what a launch raises."""
        supervisor = self._supervisor
        async with supervisor.turn:
            state = await supervisor.approvals.give(approval_id, person)
            approval = supervisor.ledger.approvals[approval_id]
            if state.standing is not Standing.GRANTED:
                return self._waits(state, approval.incident)
            if approval.requester != DAEMON:
                return await self._granted(approval, state)
        supervisor.wake()
        return {**self._waits(state, approval.incident), "state": "approved"}

    async def reject(self, approval_id: str, person: str, reason: str) -> dict[str, Any]:
        """One person says no. Raises UsageError, HeldError."""
        supervisor = self._supervisor
        async with supervisor.turn:
            code = supervisor.judge_now().diagnosis.code
            state = await supervisor.approvals.reject(approval_id, person, reason, code)
        supervisor.wake()
        incident = supervisor.ledger.approvals[approval_id].incident
        return {**self._waits(state, incident), "state": "rejected"}

    def _must_ask(self, gates: Sequence[GateResult]) -> bool:
        return any(g.name == "approval" and not g.passed for g in gates)

    async def _ask(self, kind: str, order: Order, wish: Wish) -> dict[str, Any]:
        supervisor = self._supervisor
        incident, code = self._incident, supervisor.judge_now().diagnosis.code
        to = f" to {wish.to}" if wish.to else ""
        against = f", overriding {', '.join(order.overrides)}" if order.overrides else ""
        why = f": {wish.reason}" if wish.reason else ""
        question = Question(incident, order.runbook, wish.to, code, f"{kind}{to}{against}{why}")
        asked: dict[str, Any] = {"kind": kind, "overrides": list(order.overrides), "reason": wish.reason}
        if wish.runbook is not None:
            asked |= {"runbook": wish.runbook, "given": dict(wish.given)}
        state, new = await supervisor.approvals.ask_for(question, wish.person, asked)
        if new:
            summary = f"{wish.person} asks for approval: {question.what}"
            supervisor.telling.tell(Told("page", summary, to_answer(state)))
        return self._waits(state, incident)

    async def _granted(self, approval: Approval, state: ApprovalState) -> dict[str, Any]:
        wish = Wish(
            approval.to,
            approval.requester,
            tuple(fields.texts(approval.wish, "overrides")),
            fields.text(approval.wish, "reason"),
            state,
            fields.optional_text(approval.wish, "runbook"),
            fields.mapping(approval.wish, "given"),
        )
        begin = {SWITCHOVER: self._switchover, RUN: self._run}.get(
            fields.text(approval.wish, "kind"), self._failover
        )
        try:
            return await begin(wish)
        except BcmError as error:
            await self._supervisor.approvals.expire(approval, f"it could not begin: {error.what}")
            raise

    def _waits(self, state: ApprovalState, incident: str | None) -> dict[str, Any]:
        return {
            "service": self._supervisor.service.name,
            "execution": None,
            "incident": incident,
            "state": "waiting_for_approval",
            "approval": state.id,
            "needs": state.reason,
        }

    def _check(self, order: Order) -> None:
        """What can't be launched opens no incident either. Raises HeldError, RunbookError."""
        if self._supervisor.closed:
            raise HeldError("the estate was reloaded meanwhile", gate="execution", hint="ask again")
        if self._supervisor.busy:
            raise HeldError(
                f"an execution is ending for {order.service.name}: what it changed is being written down",
                gate="execution",
                hint="ask again in a moment; `bcm-failover execution list` shows it",
            )
        self._supervisor.executor.plan(order)

    async def plan(self, order: Order, gates: Sequence[GateResult]) -> dict[str, Any]:
        """What would be done, with each precheck's live result, and which gate would stop it."""
        stopped = next((g for g in gates if not g.passed and not g.asks), None)
        described = await self._supervisor.executor.describe(order, Mode.DRY_RUN)
        return {
            **described,
            "gates": [gate.to_json() for gate in gates],
            "stopped_by": None if stopped is None else stopped.name,
        }

    @property
    def _incident(self) -> str | None:
        incident = self._supervisor.ledger.incident
        return incident.id if incident else None

    def _check_wish(self, kind: str, wish: Wish) -> None:
        """Raises UsageError where the engine has no runbook of that kind."""
        check_member(self._supervisor, wish.to)
        engine, service = self._supervisor.knowledge.engine, self._supervisor.service
        if kind not in engine.runbooks and wish.runbook is None:
            known = ", ".join(engine.runbooks)
            raise UsageError(
                f"{service.name} is made of {service.engine}: it has no {kind}", hint=f"it has: {known}"
            )
        runbook = engine.runbooks[kind]
        if wish.to is not None and not self._supervisor.executor.takes(runbook, "candidate"):
            raise UsageError(
                f"{runbook} takes no target: {service.managed_by} chooses", hint="leave out the target"
            )

    def _order(self, kind: str, wish: Wish) -> Order:
        runbook = wish.runbook or self._supervisor.knowledge.engine.runbooks[kind]
        by_plan = wish.approved is not None and wish.approved.requester == DAEMON
        order = self._supervisor.order(
            runbook,
            candidate=wish.to,
            trigger=APPROVED if by_plan else "manual",
            actor=wish.person,
            overrides=tuple(o.upper() for o in wish.overrides),
        )
        return replace(order, given=wish.given)

    async def _open_incident(self, kind: str, wish: Wish, judged: Judged) -> None:
        """A switch by hand is an incident too: it has a clock, a verdict and a report."""
        if self._supervisor.ledger.incident is not None:
            return
        planned = kind == SWITCHOVER
        code = "PlannedSwitchover" if planned else judged.diagnosis.code
        sentence = f"{kind} by {wish.person}" + (f": {wish.reason}" if wish.reason else "")
        await self._supervisor.desk.open(
            {**judged.diagnosis.to_json(), "code": code, "sentence": sentence},
            level="III",
            t0_s=None if planned else judged.diagnosis.last_good_s,
            first_bad_s=None if planned else judged.diagnosis.first_bad_s,
            confirmed_s=None if planned else judged.at_s,
            frozen=self._supervisor.frozen(),
            manual=True,
            actor=wish.person,
        )

    async def _launch(self, order: Order, wish: Wish) -> dict[str, Any]:
        """Answers as soon as the execution is open: from then on the journal tells of it."""
        supervisor, state = self._supervisor, wish.approved
        if state is not None:
            await supervisor.approvals.use(supervisor.ledger.approvals[state.id], order.incident, state)
        execution = await supervisor.launch(order)
        if supervisor.executor.kind_of(order.runbook) in (SWITCHOVER, FAILBACK):
            supervisor.going_on.launched(execution, wish)
        return {
            "service": self._supervisor.service.name,
            "execution": execution,
            "incident": order.incident,
            "state": "running",
            "approval": None if state is None else state.id,
        }


def _refuse(gate: GateResult | None) -> None:
    if gate is not None:
        raise HeldError(
            gate.reason,
            gate=gate.name,
            hint=f"rule {gate.rule}; `bcm-failover explain` shows every gate",
        )
