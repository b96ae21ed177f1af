"""Decision: `act`, `hold` or `ask`, with every gate evaluated and recorded, in a fixed order. Pure.

The gates' order and names are those of the design; a gate that can't be judged counts as not passed. Every
decision carries them all, also while nothing is wrong: `explain` says what would happen if something were.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

from model.decision import Decision, GateResult, Verb
from model.diagnosis import Diagnosis, Stance
from model.quorum import Choice, Proof

_TOUCHING = frozenset({"mode", "pause", "leadership", "execution", "approval"})


@dataclass(frozen=True, slots=True)
class DecisionInput:
    """All that a decision depends on. `mode`: observe, ask or act.

    paused, blocked: why, or None. proof: what could be proven from the last readings, before anything is
    detached; the proof that counts is made by the runbook after detaching. canary_age_ms: age of the newest
    canary seen on the candidate, for a service with RPO > 0. candidate_site_role: primary, standby or dr.
    auto_refusals: reasons why `act` is refused for this service as configured (P1, P10). approved: a person
    has answered what was asked. fenceable: the old primary can be fenced by other means than its standbys.
    flapping: what its probe saw of the primary changes too often to be believed: how often; None otherwise.
    """

    service: str
    diagnosis: Diagnosis
    mode: str
    paused: str | None
    leader: bool
    epoch: int
    observer_sane: bool | None
    observer_why: str
    blocked: str | None
    budget_left: int
    open_execution: str | None
    choice: Choice
    proof: Proof
    rpo_s: float
    canary_age_ms: int | None
    candidate_site_role: str | None
    third_observer: bool
    auto_refusals: tuple[str, ...] = ()
    approved: bool = False
    primary_was_seen: bool = True
    fenceable: bool = False
    flapping: str | None = None


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


def granted_overrides(diagnosis: Diagnosis) -> tuple[str, ...]:
    """Rules that the diagnosis itself overrides in the run that it asks for. A primary whose disk stays full
    answers and is out all the same (P16): the run's last look must not stop for its answer (S6). Its shutdown
    would not help: the checkpoint in it needs room, and the server panics."""
    return ("S6",) if diagnosis.code == "PrimaryDiskFull" else ()


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


def evaluate_gates(given: DecisionInput) -> tuple[GateResult, ...]:
    return (
        _mode(given),
        _pause(given),
        _leadership(given),
        _observer(given),
        _quorum(given),
        _diagnosis(given),
        _confirmed(given),
        _flapping(given),
        _blocked(given),
        _budget(given),
        _execution(given),
        _candidate(given),
        _rpo(given),
        _dr(given),
        _approval(given),
    )


def _mode(given: DecisionInput) -> GateResult:
    if given.mode == "act" and given.auto_refusals:
        return GateResult("mode", False, "mode act is refused: " + "; ".join(given.auto_refusals), "S7")
    if given.mode in ("act", "ask"):
        return GateResult("mode", True, f"mode is {given.mode}", "S7")
    return GateResult("mode", False, "mode is observe: says what it would do, and does nothing", "S7")


def _pause(given: DecisionInput) -> GateResult:
    return GateResult("pause", given.paused is None, given.paused or "not paused", "S7")


def _leadership(given: DecisionInput) -> GateResult:
    reason = f"leads with epoch {given.epoch}" if given.leader else "does not hold the state lock"
    return GateResult("leadership", given.leader, reason, "S4")


def _observer(given: DecisionInput) -> GateResult:
    if given.observer_sane is None:
        return GateResult(
            "observer", True, "no reference targets are configured: own network not judged", "S6"
        )
    return GateResult("observer", given.observer_sane, given.observer_why or "own network works", "S6")


def _quorum(given: DecisionInput) -> GateResult:
    code = given.diagnosis.code
    if code == "PrimaryPartitioned":
        return GateResult("observers", False, "a replica still hears the primary: it vetoes (P14)", "S6")
    return GateResult("observers", True, "one controller; no replica contradicts it", "S6")


def _diagnosis(given: DecisionInput) -> GateResult:
    info = given.diagnosis.info
    if info.stance is Stance.CONFIRM and not given.approved:
        return GateResult("diagnosis", False, f"{info.code}: {info.sentence}", "S6", asks=True)
    passed = info.stance in (Stance.ACT, Stance.CONFIRM)
    return GateResult("diagnosis", passed, f"{info.code}: {info.sentence}", "S6")


def _confirmed(given: DecisionInput) -> GateResult:
    if not given.primary_was_seen:
        return GateResult("confirmed", False, "the primary was never seen up by this controller", "S6")
    if not given.diagnosis.confirmed:
        return GateResult("confirmed", False, f"{given.diagnosis.code} is not confirmed yet", "S6")
    return GateResult("confirmed", True, f"{given.diagnosis.code} is confirmed", "S6")


def _flapping(given: DecisionInput) -> GateResult:
    """What comes and goes is being lost on the way as likely as not. It holds for no longer than the primary
    comes back: once it stays away the changes are forgotten within seconds. A full disk is told by the disk
    itself, and makes a server panic as often as it is started."""
    if given.flapping is None:
        return GateResult("flapping", True, "the primary does not come and go", "S6")
    passed = given.diagnosis.code == "PrimaryDiskFull"
    return GateResult("flapping", passed, given.flapping, "S6")


def _blocked(given: DecisionInput) -> GateResult:
    return GateResult("blocked", given.blocked is None, given.blocked or "not blocked", "S8")


def _budget(given: DecisionInput) -> GateResult:
    left = given.budget_left
    return GateResult("budget", left > 0, f"{left} automatic failovers left in this window", "S1")


def _execution(given: DecisionInput) -> GateResult:
    open_ = given.open_execution
    return GateResult("execution", open_ is None, f"{open_} is open" if open_ else "none is open", "S1")


def _candidate(given: DecisionInput) -> GateResult:
    choice = given.choice
    text = f"{choice.candidate}: {choice.reason}" if choice.candidate else choice.reason
    return GateResult("candidate", choice.candidate is not None, text, "P4")


def _rpo(given: DecisionInput) -> GateResult:
    if given.rpo_s == 0:
        return GateResult("rpo", given.proof.complete, given.proof.reason, "S3")
    if given.proof.complete:
        return GateResult("rpo", True, given.proof.reason, "S3")
    if not given.fenceable:
        text = "no proof, and the old primary can't be fenced: no node access to its host"
        return GateResult("rpo", False, f"{text} ({given.proof.reason})", "S3")
    if given.canary_age_ms is None:
        return GateResult("rpo", False, "no canary was seen on the candidate", "S3")
    within = given.canary_age_ms <= given.rpo_s * 1000
    text = f"newest canary on the candidate is {given.canary_age_ms} ms old, RPO {given.rpo_s:g} s"
    return GateResult("rpo", within, text, "S3")


def _dr(given: DecisionInput) -> GateResult:
    if given.candidate_site_role != "dr":
        return GateResult("dr", True, "the candidate is not at the DR site", "S9")
    if given.third_observer:
        return GateResult("dr", True, "observed from a third place", "S9")
    if given.approved:
        return GateResult("dr", True, "a person approved the DR site", "S9")
    return GateResult(
        "dr", False, "DR site without an observer in a third place: a person decides", "S9", asks=True
    )


def _approval(given: DecisionInput) -> GateResult:
    if given.mode == "ask" and not given.approved:
        return GateResult("approval", False, "mode is ask: waits for approval", "S7", asks=True)
    return GateResult("approval", True, "approved" if given.approved else "no approval needed", "S7")
