"""What is seen of one service or by one declared probe, as far as it says whether things live. Pure.

Signs have no ages and no texts of the moment: two that are equal need no new judgement of the estate.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from controller.views import MemberView, ServiceView
from model.diagnosis import Diagnosis
from model.health import Health, ProbeState
from model.observation import ALIVE_FAILURES, Failure

# Failures by which a host, if not the server, answers.
_HOST_ANSWERS: Final = ALIVE_FAILURES | {Failure.REFUSED, Failure.RESET, Failure.STOPPING}


class Life(StrEnum):
    ALIVE = "alive"  # something there answers, be it by a refusal
    SILENT = "silent"  # confirmed: nothing answers
    UNKNOWN = "unknown"  # not settled, stale, or not to be found out: never the same as silent (S6)


@dataclass(frozen=True, slots=True)
class MemberSigns:
    """life: of the host, as the member's server shows it. host: as probes of the host show it; None without
    any. heard: who still hears this one though it is not heard from here."""

    member: str
    node: str
    life: Life
    host: Life | None = None
    heard: str = ""


@dataclass(frozen=True, slots=True)
class ServiceSigns:
    """out: it does not work for its clients, and that is confirmed. member: whom the diagnosis names."""

    service: str
    primary: str | None
    code: str
    member: str | None
    out: bool
    members: tuple[MemberSigns, ...]

    def of(self, member: str | None) -> MemberSigns | None:
        return next((m for m in self.members if m.member == member), None)


@dataclass(frozen=True, slots=True)
class ProbeSigns:
    """Of a declared probe about a site or a node. pending: it fails, and not yet often enough to be sure.
    answered_s: start of its youngest attempt that was answered, monotonic. last_hop: where packets ended, of
    type `path`."""

    probe: str
    life: Life
    pending: bool = False
    answered_s: float | None = None
    last_hop: str = ""


def life_of(state: ProbeState) -> Life:
    """Does something answer where this probe looks? state: aged, see `detect.age`."""
    failure = None if state.last is None else state.last.failure
    match state.health:
        case Health.UP:
            return Life.ALIVE
        case Health.DOWN:
            return Life.ALIVE if failure in _HOST_ANSWERS else Life.SILENT
        case Health.SUSPECT:
            return Life.ALIVE if failure in _HOST_ANSWERS else Life.UNKNOWN
        case Health.UNKNOWN:
            # Stale says nothing, whatever it was; refused credentials are an answer of now.
            told = failure is Failure.CREDENTIALS and not state.why.startswith("not observed")
            return Life.ALIVE if told else Life.UNKNOWN


def signs_of(view: ServiceView, diagnosis: Diagnosis, *, out: bool) -> ServiceSigns:
    return ServiceSigns(
        service=view.name,
        primary=view.primary,
        code=diagnosis.code,
        member=diagnosis.member,
        out=out,
        members=tuple(_member(view, member) for member in view.members),
    )


def signs_of_probe(name: str, state: ProbeState) -> ProbeSigns:
    """state: aged. A probe that flaps says nothing."""
    if state.flapping:
        return ProbeSigns(name, Life.UNKNOWN)
    facts = state.last.facts if state.last is not None else {}
    hop = facts.get("last_hop")
    life = life_of(state)
    refused = life is Life.ALIVE and state.health is not Health.UP and state.last is not None
    return ProbeSigns(
        name,
        life,
        pending=state.health is Health.SUSPECT,
        answered_s=state.last.started_s if refused and state.last is not None else state.answered_from_s,
        last_hop=hop if isinstance(hop, str) and facts.get("reached") is False else "",
    )


def _member(view: ServiceView, member: MemberView) -> MemberSigns:
    life = life_of(member.pg)
    if life is not Life.ALIVE and member.canary is not None and member.canary.health is Health.UP:
        life = Life.ALIVE
    host = _host_life(member.node_probes.values())
    return MemberSigns(member.name, member.node, life, host, _heard(view, member, life))


def _host_life(states: Iterable[ProbeState]) -> Life | None:
    found = [life_of(state) for state in states]
    for life in (Life.ALIVE, Life.UNKNOWN, Life.SILENT):
        if life in found:
            return life
    return None


def _heard(view: ServiceView, member: MemberView, life: Life) -> str:
    """Who still hears a member that is not heard from here: a replica at another site (P14), or another
    observer whose own network works."""
    if life is Life.ALIVE:
        return ""
    if member.name == view.primary:
        for other in view.standbys:
            if other.site != member.site and other.vetoes:
                return f"{other.name} still receives from it"
    for observer in view.elsewhere:
        seen = observer.members.get(member.name)
        hosts = observer.hosts.get(member.name, {})
        if observer.sane and (
            (seen is not None and life_of(seen) is Life.ALIVE) or _host_life(hosts.values()) is Life.ALIVE
        ):
            return f"observer {observer.name} reaches it"
    return ""
