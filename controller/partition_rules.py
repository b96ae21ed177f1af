"""Rules of diagnosis about what some observers see and others do not. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from controller.findings import Finding, against, supports
from controller.tally import Ballot, Tally, Vote, tally
from controller.views import ServiceView
from model.diagnosis import Evidence


def seen_by_others(view: ServiceView, finding: Finding, now_s: float) -> Finding:
    """What is lost from here, with what the other observers see of it."""
    votes = tally(view, now_s)
    evidence = (*finding.evidence, *told(votes.others))
    if votes.contradicting(finding.code):
        return replace(finding, code="PrimaryPartitioned", evidence=evidence, stance=None)
    pending = votes.may_yet_agree(finding.code) and _is_young(view, votes, now_s)
    return replace(finding, confirmed=finding.confirmed and not pending, evidence=evidence)


def _is_young(view: ServiceView, votes: Tally, now_s: float) -> bool:
    """Whoever looks as often as the profile asks has seen as long a silence by then as we have."""
    if votes.suspected_s is None:
        return False
    return now_s - votes.suspected_s <= view.profile.silence_s + view.profile.stale_s


def lost_elsewhere(view: ServiceView, now_s: float) -> Finding | None:
    """It answers here, and some others see it lost: no outage that could be told from here."""
    member = view.member(view.primary)
    if not view.elsewhere or member is None or not member.fresh:
        return None
    votes = tally(view, now_s)
    if not votes.of(Vote.LOST):
        return None
    evidence = (*told(votes.others), against(f"{member.name} answers here", member.own, now_s))
    return Finding("PrimaryPartitioned", member.name, True, evidence, is_outage=False)


def told(ballots: tuple[Ballot, ...]) -> Iterator[Evidence]:
    """Each vote, for or against a loss; who can't judge speaks for none."""
    for ballot in ballots:
        yield supports(ballot.text) if ballot.vote is Vote.LOST else against(ballot.text)
