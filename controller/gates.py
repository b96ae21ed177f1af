"""The gates of a decision, in the design's order: each says whether it lets an action through, why, and what
it looked at. Pure.

What a gate looked at (`inputs`) is on record with the decision: journal data, so no floats; ages are
integers with their unit in the key. A key is always there, whatever its value: two decisions can be compared.
"""

from __future__ import annotations

from dataclasses import dataclass

from controller.approval_rules import ApprovalState, Standing
from controller.observer_gates import dr_gate, observers_gate
from controller.order import FIRST, Turn, told
from controller.tally import ALONE, Tally
from model.decision import GateResult
from model.diagnosis import Diagnosis, Stance
from model.disaster import Command
from model.quorum import Choice, Proof


@dataclass(frozen=True, slots=True)
class DecisionInput:
    """All that a decision depends on. `mode`: observe, ask or act.

    paused, blocked: why, or None; pause_left_ms: how long the pause lasts yet. proof: what could be proven
    from the last readings, before anything is detached; the proof that counts is made by the runbook after
    detaching. canary_age_ms: age of the newest canary seen on the candidate, for a service with RPO > 0.
    candidate_site_role: primary, standby or dr. votes: of all observers on the primary; third_observers:
    those in a third place that see the primary's site lost. auto_refusals: reasons why `act` is refused for
    this service as configured (P1, P10). approved: as many as must have agreed to just this; approval: how
    the request stands, if there is one; approval_in_mode_act: also what is done automatically needs one.
    fenceable: the old primary can be fenced by other means than its standbys. flapping: what its probe saw of
    the primary changes too often to be believed: how often; None otherwise. lost_by, lost_ago_ms: the
    failover that took the primary's role from the candidate within no_return_ms, and how long ago; None: none
    did. turn: whom it has to let go first. budget_of, budget_window_ms: how many automatic failovers the
    estate allows within which span. at_s: monotonic, for the ages among the inputs. command: a declared
    disaster concerns the service, and people decide; None: none does.
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
    votes: Tally = ALONE
    third_observers: tuple[str, ...] = ()
    auto_refusals: tuple[str, ...] = ()
    approved: bool = False
    approval: ApprovalState | None = None
    approval_in_mode_act: bool = False
    primary_was_seen: bool = True
    fenceable: bool = False
    flapping: str | None = None
    pause_left_ms: int | None = None
    lost_by: str | None = None
    lost_ago_ms: int | None = None
    no_return_ms: int = 0
    turn: Turn = FIRST
    budget_of: int | None = None
    budget_window_ms: int | None = None
    at_s: float | None = None
    command: Command | None = None


def evaluate_gates(given: DecisionInput) -> tuple[GateResult, ...]:
    """All of them, in order, whatever the others say."""
    return (
        _mode(given),
        _pause(given),
        _command(given),
        _leadership(given),
        _observer(given),
        _quorum(given),
        _diagnosis(given),
        _confirmed(given),
        _flapping(given),
        _blocked(given),
        _pingpong(given),
        _order(given),
        _budget(given),
        _execution(given),
        _candidate(given),
        _rpo(given),
        _dr(given),
        _approval(given),
    )


def _mode(given: DecisionInput) -> GateResult:
    inputs = {"mode": given.mode, "auto_refusals": list(given.auto_refusals)}
    if given.mode == "act" and given.auto_refusals:
        text = "mode act is refused: " + "; ".join(given.auto_refusals)
        return GateResult("mode", False, text, "S7", inputs=inputs)
    if given.mode in ("act", "ask"):
        return GateResult("mode", True, f"mode is {given.mode}", "S7", inputs=inputs)
    text = "mode is observe: says what it would do, and does nothing"
    return GateResult("mode", False, text, "S7", inputs=inputs)


def _pause(given: DecisionInput) -> GateResult:
    inputs = {"paused": given.paused is not None, "left_ms": given.pause_left_ms}
    return GateResult("pause", given.paused is None, given.paused or "not paused", "S7", inputs=inputs)


def _command(given: DecisionInput) -> GateResult:
    """Whoever declares a disaster takes command: what would be done by itself is asked for, in the order of
    the site plan; where it might do harm, or help nobody, it is not even asked for."""
    command = given.command
    inputs = {
        "incident": None if command is None else command.incident,
        "tier": None if command is None else command.tier.value,
        "waits_for": [] if command is None else list(command.waits_for),
        "approved": given.approved,
    }
    if command is None:
        return GateResult("command", True, "no disaster is declared", "S7", inputs=inputs)
    if command.holds:
        text = f"{command.text}: nothing is switched but by a person"
        return GateResult("command", False, text, "S7", inputs=inputs)
    if command.waits_for:
        text = f"{command.text}: waits until {', '.join(command.waits_for)} has moved"
        return GateResult("command", False, text, "S7", inputs=inputs)
    if given.approved:
        return GateResult("command", True, f"{command.text}: approved", "S7", inputs=inputs)
    text = f"{command.text}: a person decides"
    return GateResult("command", False, text, "S7", asks=True, inputs=inputs)


def _leadership(given: DecisionInput) -> GateResult:
    reason = f"leads with epoch {given.epoch}" if given.leader else "does not hold the state lock"
    inputs = {"leader": given.leader, "epoch": given.epoch}
    return GateResult("leadership", given.leader, reason, "S4", inputs=inputs)


def _observer(given: DecisionInput) -> GateResult:
    inputs = {"sane": given.observer_sane}
    if given.observer_sane is None:
        text = "no reference targets are configured: own network not judged"
        return GateResult("observer", True, text, "S6", inputs=inputs)
    text = given.observer_why or "own network works"
    return GateResult("observer", given.observer_sane, text, "S6", inputs=inputs)


def _quorum(given: DecisionInput) -> GateResult:
    return observers_gate(given.diagnosis, given.votes)


def _diagnosis(given: DecisionInput) -> GateResult:
    info = given.diagnosis.info
    inputs = {"code": info.code, "stance": info.stance.value, "approved": given.approved}
    text = f"{info.code}: {info.sentence}"
    if info.stance is Stance.CONFIRM and not given.approved:
        return GateResult("diagnosis", False, text, "S6", asks=True, inputs=inputs)
    passed = info.stance in (Stance.ACT, Stance.CONFIRM)
    return GateResult("diagnosis", passed, text, "S6", inputs=inputs)


def _confirmed(given: DecisionInput) -> GateResult:
    found = given.diagnosis
    inputs = {
        "code": found.code,
        "confirmed": found.confirmed,
        "primary_was_seen": given.primary_was_seen,
        "last_good_age_ms": _age_ms(given, found.last_good_s),
        "first_bad_age_ms": _age_ms(given, found.first_bad_s),
    }
    if not given.primary_was_seen:
        text = "the primary was never seen up by this controller"
        return GateResult("confirmed", False, text, "S6", inputs=inputs)
    text = f"{found.code} is confirmed" if found.confirmed else f"{found.code} is not confirmed yet"
    return GateResult("confirmed", found.confirmed, text, "S6", inputs=inputs)


def _flapping(given: DecisionInput) -> GateResult:
    """What comes and goes is being lost on the way as likely as not. It holds for no longer than the primary
    comes back: once it stays away the changes are forgotten within seconds. A full disk is told by the disk
    itself, and makes a server panic as often as it is started."""
    code = given.diagnosis.code
    inputs = {"flapping": given.flapping is not None, "code": code}
    if given.flapping is None:
        return GateResult("flapping", True, "the primary does not come and go", "S6", inputs=inputs)
    return GateResult("flapping", code == "PrimaryDiskFull", given.flapping, "S6", inputs=inputs)


def _blocked(given: DecisionInput) -> GateResult:
    inputs = {"blocked": given.blocked is not None}
    return GateResult("blocked", given.blocked is None, given.blocked or "not blocked", "S8", inputs=inputs)


def _pingpong(given: DecisionInput) -> GateResult:
    """Redundancy that is back lifts the block, and says nothing of why the candidate lost the role. Back to
    it so soon only with a person's yes: A, B, A and on is how one cause becomes many outages."""
    inputs = {
        "candidate": given.choice.candidate,
        "lost_by": given.lost_by,
        "lost_ago_ms": given.lost_ago_ms,
        "window_ms": given.no_return_ms,
        "approved": given.approved,
    }
    if given.lost_by is None or given.lost_ago_ms is None:
        text = "the candidate did not lose the primary's role a short while ago"
        return GateResult("pingpong", True, text, "S8", inputs=inputs)
    ago = f"{given.lost_ago_ms // 1000} s ago ({given.lost_by})"
    since = f"{given.choice.candidate} lost the primary's role {ago}"
    if given.approved:
        return GateResult("pingpong", True, f"{since}; approved", "S8", inputs=inputs)
    text = f"{since}: back to it only when a person agrees"
    return GateResult("pingpong", False, text, "S8", asks=True, inputs=inputs)


def _order(given: DecisionInput) -> GateResult:
    """It holds for no longer than the others take to be moved, or to turn out to need a person."""
    turn = given.turn
    inputs = {
        "waits_for": [c.service for c in turn.waits_for],
        "yields_to": [c.service for c in turn.yields_to],
        "by_person": _by_person(given),
    }
    if _by_person(given):
        return GateResult("order", True, "a person decides when", "S1", inputs=inputs)
    if turn.waits_for:
        text = f"waits for what it needs: {told(turn.waits_for)}"
        return GateResult("order", False, text, "S1", inputs=inputs)
    if turn.yields_to:
        text = f"what is left of the budget is kept for what is more important: {told(turn.yields_to)}"
        return GateResult("order", False, text, "S1", inputs=inputs)
    return GateResult("order", True, "no other service has to go first", "S1", inputs=inputs)


def _budget(given: DecisionInput) -> GateResult:
    left, by_person = given.budget_left, _by_person(given)
    inputs = {
        "left": left,
        "of": given.budget_of,
        "window_ms": given.budget_window_ms,
        "by_person": by_person,
    }
    if left <= 0 and by_person:
        text = "none is left in this window; what a person decides is not counted"
        return GateResult("budget", True, text, "S1", inputs=inputs)
    text = f"{left} automatic failovers left in this window"
    return GateResult("budget", left > 0, text, "S1", inputs=inputs)


def _execution(given: DecisionInput) -> GateResult:
    open_ = given.open_execution
    text = f"{open_} is open" if open_ else "none is open"
    return GateResult("execution", open_ is None, text, "S1", inputs={"open": open_})


def _candidate(given: DecisionInput) -> GateResult:
    choice = given.choice
    text = f"{choice.candidate}: {choice.reason}" if choice.candidate else choice.reason
    ranking = [{"member": r.member, "place": r.place, "why": r.why} for r in choice.ranking]
    inputs = {"candidate": choice.candidate, "streams_from": choice.source, "ranking": ranking}
    return GateResult("candidate", choice.candidate is not None, text, "P4", inputs=inputs)


def _rpo(given: DecisionInput) -> GateResult:
    proof = given.proof
    inputs = {
        "rpo_ms": int(given.rpo_s * 1000),
        "proven": proof.complete,
        "needed": proof.needed,
        "readable": list(proof.readable),
        "canary_age_ms": given.canary_age_ms,
        "fenceable": given.fenceable,
    }
    if given.rpo_s == 0 or proof.complete:
        return GateResult("rpo", proof.complete, proof.reason, "S3", inputs=inputs)
    if not given.fenceable:
        text = f"no proof, and the old primary can't be fenced: no node access to its host ({proof.reason})"
        return GateResult("rpo", False, text, "S3", inputs=inputs)
    if given.canary_age_ms is None:
        return GateResult("rpo", False, "no canary was seen on the candidate", "S3", inputs=inputs)
    within = given.canary_age_ms <= given.rpo_s * 1000
    text = f"newest canary on the candidate is {given.canary_age_ms} ms old, RPO {given.rpo_s:g} s"
    return GateResult("rpo", within, text, "S3", inputs=inputs)


def _dr(given: DecisionInput) -> GateResult:
    return dr_gate(given.candidate_site_role, given.third_observers, approved=given.approved)


def _approval(given: DecisionInput) -> GateResult:
    """A no holds; a yes that is still to come asks. What was asked for another gate's sake (a diagnosis to be
    confirmed, the DR site) waits here too: this is where it stands who must answer."""
    state = given.approval
    inputs = {
        "mode": given.mode,
        "in_mode_act": given.approval_in_mode_act,
        "approved": given.approved,
        "request": None if state is None else state.to_json(),
    }
    if given.approved:
        text = "approved" if state is None else state.reason
        return GateResult("approval", True, text, "S7", inputs=inputs)
    if state is not None and state.standing is Standing.REFUSED:
        text = f"{state.reason}; asked again when the member, the level or the diagnosis is another"
        return GateResult("approval", False, text, "S7", inputs=inputs)
    mends = given.diagnosis.info.stance is Stance.MEND
    needed = given.mode == "ask" or (given.approval_in_mode_act and not mends)
    if not needed and (state is None or not _asks_elsewhere(given)):
        # What was asked while the diagnosis left it to a person may have become plain since.
        return GateResult("approval", True, "no approval needed", "S7", inputs=inputs)
    why = "mode is ask" if given.mode == "ask" else "the rule asks also in mode act" if needed else ""
    text = ": ".join(t for t in (why, "waits for approval" if state is None else state.reason) if t)
    return GateResult("approval", False, text, "S7", asks=True, inputs=inputs)


def _by_person(given: DecisionInput) -> bool:
    """A person decides, or has decided: it is nothing automatic."""
    asked = given.mode == "ask" or given.approval_in_mode_act or _asks_elsewhere(given)
    return asked or given.approved


def _asks_elsewhere(given: DecisionInput) -> bool:
    elsewhere = (_command(given), _diagnosis(given), _pingpong(given), _dr(given))
    return any(g.asks and not g.passed for g in elsewhere)


def _age_ms(given: DecisionInput, then_s: float | None) -> int | None:
    return None if given.at_s is None or then_s is None else int((given.at_s - then_s) * 1000)
