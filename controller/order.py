"""Whose failover comes first when several services are out at once. Pure.

A service waits for those that it needs while they are being moved, or are just about to be; not for one that
a person has to decide on. What is independent goes at once, and the order matters where the budget does not
last for all: then the more important come first. A service is as important as the most important one that
needs it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from config.schema import Estate
from config.services import Importance
from model.decision import Decision, Verb
from model.diagnosis import Diagnosis, Stance

# Eight turns of a service that is out: a claim that is not renewed is none, whatever became of it.
CLAIM_LIVES_S: Final = 2.0
_RANKS: Final = {importance: rank for rank, importance in enumerate(Importance)}
# What confirmation will settle, one way or the other, and what comes after those that are waited for.
_SETTLES_SOON: Final = frozenset({"diagnosis", "confirmed", "observers", "order"})


class Stage(StrEnum):
    CONFIRMING = "is being confirmed"
    DUE = "fails over next"
    MOVING = "is failing over"


# Longer than each stage lasts where all goes well: a suspicion is settled within the profile's silence, and a
# failover, or that of one before it, in seconds. Whoever takes longer has a trouble of its own.
WAITED_FOR_S: Final = {Stage.CONFIRMING: 10.0, Stage.DUE: 60.0, Stage.MOVING: 60.0}


@dataclass(frozen=True, slots=True)
class Claim:
    """A service that fails over by itself, or may be about to. at_s: last judged so; since_s: when
    it came to this stage; monotonic."""

    service: str
    stage: Stage
    at_s: float
    since_s: float

    def counts(self, now_s: float) -> bool:
        """Others wait for it yet."""
        lives = now_s - self.at_s <= CLAIM_LIVES_S
        return lives and now_s - self.since_s <= WAITED_FOR_S[self.stage]


@dataclass(frozen=True, slots=True)
class Turn:
    """waits_for: services that it needs. yields_to: more important ones, for which the budget is kept."""

    waits_for: tuple[Claim, ...] = ()
    yields_to: tuple[Claim, ...] = ()


FIRST: Final = Turn()


@dataclass(frozen=True, slots=True)
class FailoverOrder:
    """Of an estate. needs: by service, those that it needs directly; the estate has no circles."""

    needs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    importance: Mapping[str, int] = field(default_factory=dict)
    needed_by: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, estate: Estate) -> FailoverOrder:
        needed_by: dict[str, list[str]] = {}
        for name, service in estate.services.items():
            for other in service.depends_on:
                needed_by.setdefault(other, []).append(name)
        return cls(
            {name: service.depends_on for name, service in estate.services.items()},
            {name: _RANKS[service.importance] for name, service in estate.services.items()},
            {name: tuple(others) for name, others in needed_by.items()},
        )

    def turn(self, service: str, claims: Iterable[Claim], budget_left: int, now_s: float) -> Turn:
        """claims: of all services; the own one does not count."""
        others = [c for c in claims if c.service != service and c.counts(now_s)]
        if not others:
            return FIRST
        needed = _reachable(service, self.needs)
        mine = self._rank(service)
        before = [c for c in others if c.stage is not Stage.MOVING and self._rank(c.service) < mine]
        return Turn(
            tuple(sorted((c for c in others if c.service in needed), key=lambda c: self._rank(c.service))),
            tuple(sorted(before, key=lambda c: self._rank(c.service))) if len(before) >= budget_left else (),
        )

    def _rank(self, service: str) -> tuple[int, int, str]:
        """Lower is earlier. Whatever a service needs comes before it: it is as important, and needs fewer."""
        needing = _reachable(service, self.needed_by)
        importance = max(self.importance.get(s, 0) for s in (service, *needing))
        return -importance, len(_reachable(service, self.needs)), service


def _reachable(service: str, edges: Mapping[str, tuple[str, ...]]) -> dict[str, None]:
    """Without itself. Whatever comes round in a circle is there once."""
    found: dict[str, None] = {}
    waiting = list(edges.get(service, ()))
    while waiting:
        other = waiting.pop()
        if other != service and other not in found:
            found[other] = None
            waiting += edges.get(other, ())
    return found


def stage_of(diagnosis: Diagnosis, decision: Decision, *, moving: bool) -> Stage | None:
    """What a service claims by its last judgement; None: it does not fail over by itself, as things are."""
    if moving:
        return Stage.MOVING
    if decision.verb is Verb.ACT:
        return Stage.DUE if diagnosis.info.stance is not Stance.MEND else None
    failed = {gate.name for gate in decision.gates if not gate.passed}
    if diagnosis.code == "PrimarySuspect" and failed <= _SETTLES_SOON:
        return Stage.CONFIRMING
    if decision.verb is Verb.HOLD and failed <= {"order"}:
        return Stage.DUE
    if decision.verb is Verb.HOLD and not diagnosis.confirmed and failed <= _SETTLES_SOON:
        return Stage.CONFIRMING
    return None


def told(claims: Iterable[Claim]) -> str:
    return ", ".join(f"{c.service} ({c.stage.value})" for c in claims)
