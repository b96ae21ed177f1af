"""The gates that ask who saw it: a majority of the observers; for the DR site one in a third place. Pure."""

from __future__ import annotations

from controller.tally import Tally, Vote
from model.decision import GateResult
from model.diagnosis import Diagnosis, Stance


def observers_gate(diagnosis: Diagnosis, votes: Tally) -> GateResult:
    """A majority of all that are declared sees it, and nobody contradicts."""
    code = diagnosis.code
    inputs = {
        "configured": len(votes.ballots),
        "needed": votes.needed,
        "able": list(votes.able),
        "lost": list(votes.of(Vote.LOST)),
        "alive": list(votes.of(Vote.ALIVE)),
        "undecided": list(votes.of(Vote.UNDECIDED)),
        "vetoed_by_replicas": list(votes.replicas),
        "code": code,
    }
    passed, reason = _judged(diagnosis, votes)
    return GateResult("observers", passed, reason, "S6", inputs=inputs)


def _judged(diagnosis: Diagnosis, votes: Tally) -> tuple[bool, str]:
    code = diagnosis.code
    if code == "PrimaryPartitioned":
        return False, _contradicted(votes)
    if len(votes.ballots) == 1:
        return True, "one controller; no replica contradicts it"
    lost = votes.own.vote is Vote.LOST or diagnosis.info.stance in (Stance.ACT, Stance.CONFIRM)
    if not lost:
        return _enough(votes.able, votes, "can judge")
    if votes.contradicting(code):
        return False, _contradicted(votes)
    return _enough(votes.agreeing(code), votes, "see it")


def _enough(who: tuple[str, ...], votes: Tally, what: str) -> tuple[bool, str]:
    count = f"{len(who)} of {len(votes.ballots)} observers {what}, {votes.needed} are needed"
    missing = "; ".join(b.text for b in votes.ballots if b.observer not in who)
    return len(who) >= votes.needed, f"{count} ({missing})" if missing else count


def _contradicted(votes: Tally) -> str:
    """Both kinds of observers that can contradict."""
    alive = [b.text for b in votes.ballots if b.vote is Vote.ALIVE]
    if votes.replicas or not alive:
        who = ", ".join(votes.replicas) or "a replica"
        alive.insert(0, f"{who} still hears the primary: it vetoes (P14)")
    return "; ".join(alive)


def dr_gate(
    candidate_site_role: str | None, third_observers: tuple[str, ...], *, approved: bool
) -> GateResult:
    """third_observers: see `controller.tally.third_places`."""
    inputs = {
        "candidate_site_role": candidate_site_role,
        "third_observers": list(third_observers),
        "approved": approved,
    }
    if candidate_site_role != "dr":
        return GateResult("dr", True, "the candidate is not at the DR site", "S9", inputs=inputs)
    if third_observers:
        text = f"the primary's site is lost as seen from a third place, by {', '.join(third_observers)}"
        return GateResult("dr", True, text, "S9", inputs=inputs)
    if approved:
        return GateResult("dr", True, "a person approved the DR site", "S9", inputs=inputs)
    text = "DR site, and no observer in a third place sees the primary's site lost: a person decides"
    return GateResult("dr", False, text, "S9", asks=True, inputs=inputs)
