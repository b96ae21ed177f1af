"""What a person asks of one service: the daemon's gates, but for those that a person answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from controller.decide import decide
from controller.supervisor.executor import FAILOVER, SWITCHOVER, Order
from controller.supervisor.judgement import Case, Judged, Surroundings, decision_input, redundancy_missing
from controller.supervisor.supervisor import Supervisor
from model import events as ev
from model.decision import Decision, GateResult
from model.errors import HeldError, UsageError
from model.execution import Mode
from model.health import Health
from model.quorum import choose

# Gates that no override opens: two executions at once, or a controller that does not lead, are two masters.
_NEVER_OVERRIDDEN = frozenset({"leadership", "execution"})
_RULES = ("S2", "S3", "S6", "S9")
# Nothing may be moved as planned while it is not clear whose data is right, or who runs the service.
_NOT_AS_PLANNED = frozenset({"SplitBrain", "PrimaryWentBack", "SwitchedOutside", "OtherManagerPresent"})


@dataclass(frozen=True, slots=True)
class Wish:
    """A request for a switch: where to, by whom, and which rules are overridden for which reason."""

    to: str | None
    person: str
    overrides: tuple[str, ...] = ()
    reason: str = ""


def check_member(supervisor: Supervisor, to: str | None) -> None:
    """Raises UsageError for a target that can't be one."""
    if to is None:
        return
    if to not in supervisor.service.members:
        names = ", ".join(supervisor.service.members)
        raise UsageError(f"{supervisor.service.name} has no member {to!r}", hint=f"members: {names}")
    if to == supervisor.ledger.primary:
        raise UsageError(f"{to} is the primary already")


def failover_decision(supervisor: Supervisor, wish: Wish, around: Surroundings) -> Decision:
    """The decision with a person in the place of mode, approval, block and budget."""
    judged = supervisor.judge_now()
    case = Case(supervisor.estate, supervisor.service, supervisor.knowledge, supervisor.ledger)
    outlook = replace(judged.outlook, choice=choose(judged.outlook.members, wanted=wish.to))
    given = replace(
        decision_input(case, around, outlook, judged.at_s),
        mode="act",
        auto_refusals=(),
        paused=None,
        blocked=None,
        budget_left=1,
        approved=True,
        primary_was_seen=True,
    )
    return decide(given)


def held_by(decision: Decision, overrides: Sequence[str]) -> GateResult | None:
    """The first gate that neither passes nor was overridden by its rule."""
    wanted = {o.upper() for o in overrides}
    for gate in decision.gates:
        if gate.passed or gate.asks:
            continue
        if gate.name in _NEVER_OVERRIDDEN or gate.rule not in wanted:
            return gate
    return None


def switchover_gates(
    supervisor: Supervisor, wish: Wish, around: Surroundings, judged: Judged
) -> list[GateResult]:
    """What a planned switchover needs: both sides alive, in step, and nobody else at work."""
    ledger, view = supervisor.ledger, judged.view
    primary = view.member(ledger.primary)
    target = choose(judged.outlook.members, wanted=wish.to).candidate
    standby = view.member(target)
    open_ = ledger.open_executions[0] if ledger.open_executions else None
    writes = primary is not None and primary.pg.health is Health.UP
    streams = (
        standby is not None
        and standby.pg.health is Health.UP
        and bool(standby.facts.get("walreceiver"))
        and primary is not None
        and standby.fact_int("timeline") == primary.fact_int("timeline")
    )
    missing = [m for m in redundancy_missing(supervisor.service, ledger, view) if target and target in m]
    diagnosis = judged.diagnosis
    return [
        GateResult(
            "leadership",
            around.leader,
            f"leads with epoch {around.epoch}" if around.leader else "does not hold the state lock",
            "S4",
            inputs={"leader": around.leader, "epoch": around.epoch},
        ),
        GateResult(
            "execution",
            open_ is None,
            f"{open_} is open" if open_ else "none is open",
            "S1",
            inputs={"open": open_},
        ),
        GateResult(
            "diagnosis",
            diagnosis.code not in _NOT_AS_PLANNED,
            f"{diagnosis.code}: {diagnosis.info.sentence}",
            "S6",
            inputs={"code": diagnosis.code},
        ),
        GateResult(
            "primary",
            writes,
            f"{ledger.primary} answers" if writes else f"{ledger.primary} does not answer: use failover",
            "S6",
            inputs={
                "primary": ledger.primary,
                "health": None if primary is None else primary.pg.health.value,
            },
        ),
        GateResult(
            "candidate",
            target is not None and streams,
            f"{target} streams"
            if streams
            else (missing[0] if missing else judged.outlook.choice.reason or f"{wish.to} can't be promoted"),
            "P4",
            inputs={"candidate": target, "streams": streams},
        ),
    ]


class Requests:
    """Carries out what a person asks of one supervisor."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor

    async def switchover(self, wish: Wish, *, dry_run: bool) -> dict[str, Any]:
        """Raises UsageError, HeldError, RunbookError, JournalError and LeadershipLostError."""
        supervisor = self._supervisor
        check_member(supervisor, wish.to)
        if dry_run:  # live prechecks take their time, and no turn must wait for them
            order, gates = self._planned(wish)
            return await self.plan(order, gates)
        async with supervisor.turn:
            order, gates = self._planned(wish)
            _refuse(next((g for g in gates if not g.passed), None))
            self._check(order)
            await self._open_incident(SWITCHOVER, wish, supervisor.judge_now())
            return await self._launch(replace(order, incident=self._incident))

    def _planned(self, wish: Wish) -> tuple[Order, list[GateResult]]:
        supervisor = self._supervisor
        judged = supervisor.judge_now()
        gates = switchover_gates(supervisor, wish, supervisor.surroundings(), judged)
        order = self._order("postgresql-switchover", wish)
        return replace(order, candidate=wish.to or judged.outlook.choice.candidate), gates

    async def failover(self, wish: Wish, *, dry_run: bool) -> dict[str, Any]:
        """Raises UsageError, HeldError, RunbookError, JournalError and LeadershipLostError."""
        supervisor = self._supervisor
        check_member(supervisor, wish.to)
        unknown = [o for o in wish.overrides if o.upper() not in _RULES]
        if unknown:
            raise UsageError(f"rule {unknown[0]!r} can't be overridden", hint=f"one of {', '.join(_RULES)}")
        if wish.overrides and not wish.reason.strip():
            raise UsageError("an override needs a reason: it stands in the evidence", hint="--reason '…'")
        if dry_run:
            decision = failover_decision(supervisor, wish, supervisor.surroundings())
            return await self.plan(self._order("postgresql-failover", wish), decision.gates)
        async with supervisor.turn:
            return await self._failover(wish)

    async def _failover(self, wish: Wish) -> dict[str, Any]:
        supervisor = self._supervisor
        decision = failover_decision(supervisor, wish, supervisor.surroundings())
        order = self._order("postgresql-failover", wish)
        _refuse(held_by(decision, wish.overrides))
        self._check(order)
        judged = supervisor.judge_now()
        await self._open_incident(FAILOVER, wish, judged)
        await supervisor.desk.decided(self._incident, decision)
        await supervisor.desk.mark(self._incident or "", "T3", judged.at_s, note=f"by {wish.person}")
        for rule in wish.overrides:
            await supervisor.append(
                ev.OVERRIDE_RECORDED,
                {"rule": rule.upper(), "reason": wish.reason, "person": wish.person},
                actor=wish.person,
            )
        return await self._launch(replace(order, incident=self._incident))

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

    def _order(self, runbook: str, wish: Wish) -> Order:
        return self._supervisor.order(
            runbook,
            candidate=wish.to,
            trigger="manual",
            actor=wish.person,
            overrides=tuple(o.upper() for o in wish.overrides),
        )

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

    async def _launch(self, order: Order) -> dict[str, Any]:
        """Answers as soon as the execution is open: from then on the journal tells of it."""
        execution = await self._supervisor.launch(order)
        return {
            "service": self._supervisor.service.name,
            "execution": execution,
            "incident": order.incident,
            "state": "running",
            "approval": None,
        }


def _refuse(gate: GateResult | None) -> None:
    if gate is not None:
        raise HeldError(
            gate.reason,
            gate=gate.name,
            hint=f"rule {gate.rule}; `bcm-failover explain` shows every gate",
        )
