"""What the observers make of the primary: each has a vote, if it is able to judge. Pure.

The primary counts as lost when a majority of the observers *that are declared* see it so: one that is silent
has no vote, and lowers no bar, else the side of a partition that hears nobody would decide alone. Whoever is
answered by it since the suspicion began contradicts, however few they are: an answer is not death (P13), and
contradictory observations never lead to an action (S6). Replicas that still receive contradict too (P14).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from controller.hearing import REACHED
from controller.views import MemberView, ObserverView, ServiceView
from model.health import Health, ProbeState, Profile
from model.observation import Failure, Outcome


class Vote(StrEnum):
    """`undecided`: able to judge, and has not made up its mind. `none`: silent, isolated, or in trouble."""

    LOST = "lost"
    ALIVE = "alive"
    UNDECIDED = "undecided"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Ballot:
    """One observer's vote on the primary. site: where it stands; None where nobody has said. well: it was
    answered as it should be. site_lost: it hears nothing at all from the primary's site."""

    observer: str
    site: str | None
    vote: Vote
    why: str
    well: bool = False
    site_lost: bool = False

    @property
    def text(self) -> str:
        """For a person."""
        who = f"{self.observer} ({self.site})" if self.site else self.observer
        match self.vote:
            case Vote.LOST:
                return f"{who} sees it lost: {self.why}"
            case Vote.ALIVE:
                return f"{who} sees it alive: {self.why}"
            case Vote.UNDECIDED:
                return f"{who} has not made up its mind: {self.why}"
            case Vote.NONE:
                return f"{who} can't judge: {self.why}"


@dataclass(frozen=True, slots=True)
class Tally:
    """The votes of all observers that are declared, our own first. replicas: members that still receive from
    the primary. suspected_s: since when it is suspected here."""

    ballots: tuple[Ballot, ...]
    replicas: tuple[str, ...] = ()
    suspected_s: float | None = None

    @property
    def own(self) -> Ballot:
        return self.ballots[0]

    @property
    def others(self) -> tuple[Ballot, ...]:
        return self.ballots[1:]

    @property
    def needed(self) -> int:
        """A majority of those that are declared."""
        return len(self.ballots) // 2 + 1

    def of(self, *votes: Vote) -> tuple[str, ...]:
        return tuple(b.observer for b in self.ballots if b.vote in votes)

    @property
    def able(self) -> tuple[str, ...]:
        return tuple(b.observer for b in self.ballots if b.vote is not Vote.NONE)

    def contradicting(self, code: str) -> tuple[Ballot, ...]:
        """Whoever is answered by what is said to be lost. A full disk is told by the server itself: then only
        he contradicts who is well answered by a server that does not answer here."""
        alive = tuple(b for b in self.ballots if b.vote is Vote.ALIVE)
        if code != FULL:
            return alive
        return () if self.own.vote is Vote.ALIVE else tuple(b for b in alive if b.well)

    def agreeing(self, code: str) -> tuple[str, ...]:
        """Whoever sees what the diagnosis says. A full disk needs no eyes but those that can see at all."""
        return self.able if code == FULL else self.of(Vote.LOST)

    def may_yet_agree(self, code: str) -> bool:
        """There is no majority so far, and those who have not made up their minds could make it one."""
        agree = len(self.agreeing(code))
        return agree < self.needed <= agree + len(self.of(Vote.UNDECIDED))


# A server that says so itself is not cut off from whoever heard it.
FULL: Final = "PrimaryDiskFull"
ALONE: Final = Tally((Ballot("this observer", None, Vote.LOST, "the only one"),))


def tally(view: ServiceView, now_s: float) -> Tally:
    """The votes on the view's primary."""
    primary = view.member(view.primary)
    suspected_s = primary.own.first_bad_s if primary is not None and lost_here(view, primary, now_s) else None
    own = _own(view, primary, now_s)
    others = (_other(view, other, primary, suspected_s, now_s) for other in view.elsewhere)
    replicas = tuple(m.name for m in view.standbys if m.vetoes)
    return Tally((own, *others), replicas, suspected_s)


def third_places(votes: Tally, primary_site: str | None, candidate_site: str | None) -> tuple[str, ...]:
    """Observers at a site that is neither the primary's nor the candidate's, for whom the primary's whole
    site is lost (S9): what only two places know may be the line between them."""
    return tuple(
        b.observer
        for b in votes.ballots
        if b.site_lost and b.site is not None and b.site not in (primary_site, candidate_site)
    )


def lost_here(view: ServiceView, primary: MemberView, now_s: float) -> bool:
    """As we see it: detection says so, or enough refusals while the probe held no connection just then, but
    the canary's ended without a word. A silence in which nothing else was heard either is none (S6)."""
    state, canary = primary.own, primary.canary
    if state.health is Health.DOWN:
        if state.last is not None and state.last.outcome is Outcome.SUCCEEDED:
            return False  # it is back, if not yet for as long as is asked
        return not _silent(state) or _silence_counts(view, state, now_s)
    return (
        state.health is Health.SUSPECT
        and state.last is not None
        and state.last.failure is Failure.REFUSED
        and state.last.outcome is not Outcome.SUCCEEDED
        and state.refusals >= view.profile.refusals
        and state.restarting_s is None
        and canary is not None
        and canary.closed_s is not None
        and canary.restarting_s is None
    )


def _silent(state: ProbeState) -> bool:
    return state.last is not None and state.last.failure in (Failure.SILENT, Failure.UNREACHABLE)


def _silence_counts(view: ServiceView, state: ProbeState, now_s: float) -> bool:
    if view.hearing is None or state.silent_from_s is None:
        return True
    return view.hearing.counts(state.silent_from_s, now_s, view.profile.silence_s)


def reaches_anything(view: ServiceView, now_s: float) -> bool:
    """We do, be it by a refusal."""
    for member in view.members:
        states = (member.own,) if member.canary is None else (member.own, member.canary)
        if member.fresh or _answered(states, member.node_probes, view.profile, now_s):
            return True
    return False


def _answered(
    states: Iterable[ProbeState], hosts: Mapping[str, ProbeState], profile: Profile, now_s: float
) -> bool:
    """By something that is not too old to say anything: nothing has come in for long, if nobody looks."""
    told = [s.last for s in states if s.last is not None]
    if any(o.failure in REACHED and now_s - o.ended_s <= profile.stale_s for o in told):
        return True
    return any(s.health is Health.UP for s in hosts.values())


def _own(view: ServiceView, primary: MemberView | None, now_s: float) -> Ballot:
    name, site = view.observer, view.observer_site
    if view.observer_sane is False:
        return Ballot(name, site, Vote.NONE, view.observer_why or "its own network does not work")
    if view.observer_sane is None and not reaches_anything(view, now_s):
        return Ballot(name, site, Vote.NONE, "it reaches nothing at all")
    if primary is None:
        return Ballot(name, site, Vote.NONE, "no primary is known")
    if lost_here(view, primary, now_s):
        there = [(m.own, m.node_probes) for m in view.members if m.site == primary.site]
        return Ballot(name, site, Vote.LOST, primary.own.why, site_lost=_lost(there, view.profile, now_s))
    vote, why, well = _vote(primary.own, None, view.profile, now_s)
    return Ballot(name, site, vote, why, well)


def _other(
    view: ServiceView,
    other: ObserverView,
    primary: MemberView | None,
    suspected_s: float | None,
    now_s: float,
) -> Ballot:
    profile = view.profile
    if other.sane is False:
        return Ballot(other.name, other.site, Vote.NONE, other.why or "its own network does not work")
    if primary is None:
        return Ballot(other.name, other.site, Vote.NONE, "no primary is known")
    if other.sane is None and not _other_reaches_anything(other, profile, now_s):
        return Ballot(other.name, other.site, Vote.NONE, _silence(other, now_s))
    vote, why, well = _vote(other.members[primary.name], suspected_s, profile, now_s)
    there = [
        (other.members[m.name], other.hosts.get(m.name, {})) for m in view.members if m.site == primary.site
    ]
    site_lost = vote is Vote.LOST and _lost(there, profile, now_s)
    return Ballot(other.name, other.site, vote, why, well, site_lost)


def _other_reaches_anything(other: ObserverView, profile: Profile, now_s: float) -> bool:
    return any(
        state.health is Health.UP or _answered((state,), other.hosts.get(name, {}), profile, now_s)
        for name, state in other.members.items()
    )


def _silence(other: ObserverView, now_s: float) -> str:
    heard = [s.last.ended_s for s in other.members.values() if s.last is not None]
    if not heard:
        return "it has said nothing yet"
    if all(s.health is Health.UNKNOWN for s in other.members.values()):
        return f"it has said nothing of any use for {now_s - max(heard):.1f} s"
    return "it reaches nothing at all"


def _vote(
    state: ProbeState, suspected_s: float | None, profile: Profile, now_s: float
) -> tuple[Vote, str, bool]:
    """(vote, why, well). An answer that was asked for before the suspicion began contradicts nothing, like a
    replica's position of before it (P14)."""
    last = state.last
    if last is None or now_s - last.ended_s > profile.stale_s:
        return Vote.NONE, state.why, False
    if last.shows_life:
        well = last.outcome is Outcome.SUCCEEDED
        if suspected_s is None or last.started_s > suspected_s:
            return Vote.ALIVE, state.why, well
        return Vote.UNDECIDED, "it was answered before the suspicion, and has not looked since", well
    match state.health:
        case Health.DOWN:
            return Vote.LOST, state.why, False
        case Health.UNKNOWN:
            return Vote.NONE, state.why, False
        case _:
            return Vote.UNDECIDED, state.why, False


def _lost(
    there: Iterable[tuple[ProbeState, Mapping[str, ProbeState]]], profile: Profile, now_s: float
) -> bool:
    """A site of which every member is down and nothing answers, not even by a refusal."""
    return all(
        state.health is Health.DOWN and not _answered((state,), hosts, profile, now_s)
        for state, hosts in there
    )
