"""Decision: `act`, `hold` or `ask`, with every gate evaluated and recorded, in a fixed order. Pure.

The gates themselves are in `gates`. A gate that can't be judged counts as not passed. Every decision carries
them all, also while nothing is wrong: `explain` says what would happen if something were.
"""

from __future__ import annotations

from typing import assert_never

from controller.gates import DecisionInput, evaluate_gates
from model.decision import Decision, GateResult, Verb
from model.diagnosis import Diagnosis, Stance

_TOUCHING = frozenset({"mode", "pause", "command", "leadership", "execution", "approval"})


def decide(given: DecisionInput) -> Decision:
    """The decision for the present diagnosis."""
    info = given.diagnosis.info
    gates = evaluate_gates(given)
    match info.stance:
        case Stance.NONE:
            return Decision(given.service, Verb.NONE, None, None, gates, info.sentence)
        case Stance.MEND:
            return _weigh_mending(given, gates)
        case Stance.ACT | Stance.REFUSE | Stance.CONFIRM:
            return _weigh(given, gates)
        case _:
            assert_never(info.stance)


def _weigh(given: DecisionInput, gates: tuple[GateResult, ...]) -> Decision:
    info, candidate = given.diagnosis.info, given.choice.candidate
    stopping = [g for g in gates if not g.passed and not g.asks]
    asking = [g for g in gates if not g.passed and g.asks]
    if stopping:
        would = given.mode == "observe" and [g.name for g in stopping] == ["mode"]
        reason = "; ".join(g.reason for g in stopping)
        return Decision(given.service, Verb.HOLD, info.runbook, candidate, gates, reason, would)
    if asking:
        reason = "; ".join(g.reason for g in asking)
        return Decision(given.service, Verb.ASK, info.runbook, candidate, gates, reason)
    return Decision(given.service, Verb.ACT, info.runbook, candidate, gates, info.sentence)


def _weigh_mending(given: DecisionInput, gates: tuple[GateResult, ...]) -> Decision:
    """Bringing a member back moves nothing: only those gates count that say who may touch the service."""
    info = given.diagnosis.info
    if info.runbook is None:
        return Decision(given.service, Verb.NONE, None, None, gates, info.sentence)
    failed = [g for g in gates if g.name in _TOUCHING and not g.passed]
    if given.mode != "observe":  # a setting that is not fit for a proof is no reason to lack a copy
        failed = [g for g in failed if g.name != "mode"]
    verb = Verb.ACT
    if failed:
        verb = Verb.ASK if all(g.asks for g in failed) else Verb.HOLD
    would = given.mode == "observe" and [g.name for g in failed] == ["mode"]
    reason = "; ".join(g.reason for g in failed if verb is Verb.ASK or not g.asks) or info.sentence
    return Decision(given.service, verb, info.runbook, None, gates, reason, would)


def decision_key(decision: Decision) -> tuple[object, ...]:
    """Equal for two decisions between which nothing has changed that a person must know: ages and counts in
    the reasons do not make a new decision. The daemon journals and pages where the key changes."""
    gates = tuple((g.name, g.passed, g.asks) for g in decision.gates)
    return (decision.verb, decision.runbook, decision.candidate, decision.would, gates)


def granted_overrides(diagnosis: Diagnosis, *, answers: bool) -> tuple[str, ...]:
    """Rules that the diagnosis itself overrides in the run that it asks for. A primary whose disk stays full
    answers and is out all the same (P16): the run's last look must not stop for its answer (S6). Its shutdown
    would not help: the checkpoint in it needs room, and the server panics. answers: it does so now. One that
    panics says that it is starting up for ever, which is no answer then (P13); if it takes a session after
    all, it may have found room."""
    if diagnosis.code != "PrimaryDiskFull":
        return ()
    return ("S6",) if answers else ("P13",)


def would_text(decision: Decision) -> str:
    """What would happen now, in one sentence for a person."""
    to = f" to {decision.candidate}" if decision.candidate else ""
    match decision.verb:
        case Verb.NONE:
            return "nothing is to be done"
        case Verb.ACT:
            return f"acts: {decision.runbook}{to}"
        case Verb.ASK:
            return f"asks a person: {decision.reason}"
        case Verb.HOLD if decision.would:
            asks = any(g.asks and not g.passed for g in decision.gates)
            then = "ask a person first" if asks else f"run {decision.runbook}{to}"
            return f"holds: {decision.reason}; in mode act it would {then}"
        case Verb.HOLD:
            return f"holds: {decision.reason}"
        case _:
            assert_never(decision.verb)
