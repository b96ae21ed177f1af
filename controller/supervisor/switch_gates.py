"""The gates of a switch that a person asks for: the daemon's, but for those that a person answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from controller.approval_rules import ApprovalState, Standing
from controller.decide import decide
from controller.order import FIRST
from controller.remedies.table import REMEDIES
from controller.supervisor.judgement import Judged, Surroundings, decision_input, redundancy_missing
from model.decision import Decision, GateResult
from model.health import Health

if TYPE_CHECKING:
    from controller.supervisor.supervisor import Supervisor

# Gates that no override opens: two executions at once, or a controller that does not lead, are two masters.
_NEVER_OVERRIDDEN = frozenset({"leadership", "execution"})
RULES = ("S2", "S3", "S6", "S9")
# Nothing may be moved as planned while it is not clear whose data is right, or who runs the service.
_NOT_AS_PLANNED = frozenset({"SplitBrain", "PrimaryWentBack", "SwitchedOutside", "OtherManagerPresent"})


@dataclass(frozen=True, slots=True)
class Wish:
    """A request for a switch: where to, by whom, and which rules are overridden for which reason. approved:
    how others agreed to it, where they must. runbook: another one than the engine's own; given: its variables
    that the person has set."""

    to: str | None
    person: str
    overrides: tuple[str, ...] = ()
    reason: str = ""
    approved: ApprovalState | None = None
    runbook: str | None = None
    given: Mapping[str, Any] = field(default_factory=dict)


def failover_decision(supervisor: Supervisor, wish: Wish, around: Surroundings) -> Decision:
    """The decision with a person in the place of mode, block and budget, and others in that of approval."""
    judged = supervisor.judge_now()
    case = supervisor.case
    remedy = REMEDIES[judged.view.engine.name]
    outlook = replace(judged.outlook, choice=remedy.choose(judged.outlook.members, wanted=wish.to))
    given = replace(
        decision_input(case, around, outlook, judged.at_s),
        mode="act",
        auto_refusals=(),
        paused=None,
        blocked=None,
        budget_left=1,
        turn=FIRST,
        approved=True,
        command=None,
        primary_was_seen=True,
    )
    decision = decide(given)
    others = others_gate(supervisor, wish)
    return replace(decision, gates=tuple(others if g.name == others.name else g for g in decision.gates))


def others_gate(supervisor: Supervisor, wish: Wish) -> GateResult:
    """Must others agree to what a person asks for (four eyes)?"""
    rule, state = supervisor.case.rule, wish.approved
    needed = rule.needed(wish.person)
    inputs = {
        "requester": wish.person,
        "level": rule.level,
        "needed": needed,
        "may_approve": None if rule.approvers is None else [p for p in rule.approvers if p != wish.person],
        "request": None if state is None else state.to_json(),
    }
    if state is not None:
        return GateResult("approval", state.standing is Standing.GRANTED, state.reason, "S7", inputs=inputs)
    if not needed:
        return GateResult("approval", True, "no other person is needed", "S7", inputs=inputs)
    text = f"{needed} other person must approve what a person asks for (level {rule.level})"
    return GateResult("approval", False, text, "S7", asks=True, inputs=inputs)


def held_by(decision: Decision, overrides: Sequence[str]) -> GateResult | None:
    """The first gate that neither passes nor was overridden by its rule."""
    wanted = {o.upper() for o in overrides}
    for gate in decision.gates:
        if gate.passed or gate.asks:
            continue
        if gate.name in _NEVER_OVERRIDDEN or gate.rule not in wanted:
            return gate
    return None


def run_gates(supervisor: Supervisor, wish: Wish, around: Surroundings) -> list[GateResult]:
    """What a runbook that moves no primary needs: leadership, nobody else at work, and four eyes."""
    return [*_free_gates(supervisor, around), others_gate(supervisor, wish)]


def _free_gates(supervisor: Supervisor, around: Surroundings) -> list[GateResult]:
    """This controller leads, and nobody else is at work."""
    ledger = supervisor.ledger
    open_ = ledger.open_executions[0] if ledger.open_executions else None
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
    ]


def switchover_gates(
    supervisor: Supervisor, wish: Wish, around: Surroundings, judged: Judged
) -> list[GateResult]:
    """What a planned switchover needs: both sides alive, in step, and nobody else at work."""
    ledger, view = supervisor.ledger, judged.view
    primary = view.member(ledger.primary)
    target = REMEDIES[view.engine.name].choose(judged.outlook.members, wanted=wish.to).candidate
    standby = view.member(target)
    writes = primary is not None and primary.pg.health is Health.UP
    streams = (
        standby is not None
        and standby.pg.health is Health.UP
        and standby.receives
        and primary is not None
        and standby.fact_int("timeline") == primary.fact_int("timeline")
    )
    missing = [m for m in redundancy_missing(supervisor.service, ledger, view) if target and target in m]
    diagnosis = judged.diagnosis
    return [
        *_free_gates(supervisor, around),
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
        others_gate(supervisor, wish),
    ]
