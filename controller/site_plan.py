"""Which services leave a place, whereto, and in which order: the site plan of a declared disaster. Pure.

A service moves after those that it needs. Those of one wave need none of each other and may go at once;
within a wave the more important comes first, then the name decides: the same facts give the same plan.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

from config.services import Importance
from controller import fields
from model.errors import UsageError

_IMPORTANCE: Final = tuple(Importance)

# Why a service is not moved by the plan.
ELSEWHERE: Final = "elsewhere"
OBSERVED: Final = "observed"
BY_HAND: Final = "by hand"


@dataclass(frozen=True, slots=True)
class Obstacle:
    """What would stop a service's move as things are: a gate's name, and why."""

    gate: str
    reason: str


@dataclass(frozen=True, slots=True)
class KnownService:
    """What is known of one service of the scope. leaving: its members at the place that is to be left.
    runbook: what would move it now. expected_ms: how long that took in the past (p95); None: not known.
    by_hand: this product has no way to move it."""

    service: str
    importance: Importance
    mode: str
    primary: str | None
    leaving: tuple[str, ...]
    candidate: str | None
    runbook: str
    obstacles: tuple[Obstacle, ...] = ()
    expected_ms: int | None = None
    by_hand: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """One service's move. after: the services of the plan that go before it. wave: 1 for those that wait for
    none. begins_ms: since the first move, if every one before it takes what is expected."""

    service: str
    wave: int
    importance: str
    primary: str | None
    leaving: tuple[str, ...]
    candidate: str | None
    runbook: str
    after: tuple[str, ...] = ()
    obstacles: tuple[Obstacle, ...] = ()
    expected_ms: int | None = None
    begins_ms: int | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "service": self.service,
            "wave": self.wave,
            "importance": self.importance,
            "from": self.primary,
            "to": self.candidate,
            "leaving": list(self.leaving),
            "runbook": self.runbook,
            "after": list(self.after),
            "obstacles": [{"gate": o.gate, "reason": o.reason} for o in self.obstacles],
            "expected_ms": self.expected_ms,
            "begins_ms": self.begins_ms,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        return cls(
            service=fields.text(data, "service"),
            wave=fields.integer(data, "wave") or 1,
            importance=fields.text(data, "importance"),
            primary=fields.optional_text(data, "from"),
            leaving=tuple(fields.texts(data, "leaving")),
            candidate=fields.optional_text(data, "to"),
            runbook=fields.text(data, "runbook"),
            after=tuple(fields.texts(data, "after")),
            obstacles=tuple(
                Obstacle(fields.text(o, "gate"), fields.text(o, "reason"))
                for o in fields.mappings(data, "obstacles")
            ),
            expected_ms=fields.integer(data, "expected_ms"),
            begins_ms=fields.integer(data, "begins_ms"),
        )


@dataclass(frozen=True, slots=True)
class Staying:
    """A service that the plan does not move. why: `elsewhere`, `observed` or `by hand`."""

    service: str
    why: str
    reason: str


@dataclass(frozen=True, slots=True)
class SitePlan:
    """steps: in the order in which they are asked for. expected_ms: the longest chain of moves; None where
    there is none, or the time of one is not known."""

    steps: tuple[Step, ...] = ()
    staying: tuple[Staying, ...] = ()
    expected_ms: int | None = None

    def step(self, service: str) -> Step | None:
        return next((s for s in self.steps if s.service == service), None)

    def to_json(self) -> dict[str, Any]:
        return {
            "steps": [step.to_json() for step in self.steps],
            "staying": [{"service": s.service, "why": s.why, "reason": s.reason} for s in self.staying],
            "expected_ms": self.expected_ms,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        return cls(
            tuple(Step.from_json(s) for s in fields.mappings(data, "steps")),
            tuple(
                Staying(*(fields.text(s, key) for key in ("service", "why", "reason")))
                for s in fields.mappings(data, "staying")
            ),
            fields.integer(data, "expected_ms"),
        )


def make_site_plan(known: Iterable[KnownService], depends_on: Mapping[str, Sequence[str]]) -> SitePlan:
    """The plan for the services of the scope.

    depends_on: of every service of the estate, since what is needed may be needed through one that stays.
    Raises UsageError where dependencies go round in a circle: none of them could go first.
    """
    services = sorted(known, key=lambda k: k.service)
    staying = tuple(s for s in map(_staying, services) if s is not None)
    kept = {s.service for s in staying}
    moving = {k.service: k for k in services if k.service not in kept}
    needs = _needs(moving, depends_on)
    waves: dict[str, int] = {}
    for service in _in_order(moving, needs):
        waves[service] = 1 + max((waves[other] for other in needs[service]), default=0)
    steps: dict[str, Step] = {}
    for service in sorted(moving, key=lambda s: (waves[s], -_IMPORTANCE.index(moving[s].importance), s)):
        steps[service] = _step(moving[service], waves[service], needs[service], steps)
    ends = [_end_ms(step) for step in steps.values()]
    expected = None if any(e is None for e in ends) else max((e or 0 for e in ends), default=None)
    return SitePlan(tuple(steps.values()), staying, expected)


def _staying(known: KnownService) -> Staying | None:
    """A service that need not move, or that the product may not touch. What may pass, as a missing proof or a
    pause, is an obstacle of a step: those that need the service wait for it."""
    if known.primary is not None and known.primary not in known.leaving:
        return Staying(known.service, ELSEWHERE, f"its primary is {known.primary}, which is not concerned")
    if known.mode == "observe":
        text = "mode is observe: it is not moved by this product; move it by hand if it must leave"
        return Staying(known.service, OBSERVED, text)
    if known.by_hand:
        text = "its engine has no runbooks yet: move it by hand if it must leave"
        return Staying(known.service, BY_HAND, text)
    return None


def _needs(
    moving: Mapping[str, KnownService], depends_on: Mapping[str, Sequence[str]]
) -> dict[str, tuple[str, ...]]:
    """For each service of the plan those of the plan that it needs, directly or through one that stays."""
    found: dict[str, tuple[str, ...]] = {}
    for service in moving:
        needed: list[str] = []
        seen = {service}
        waiting = list(depends_on.get(service, ()))
        while waiting:
            other = waiting.pop()
            if other in seen and other != service:
                continue
            seen.add(other)
            if other in moving:  # itself, too: then it is a circle
                needed.append(other)
            else:
                waiting += depends_on.get(other, ())
        found[service] = tuple(sorted(set(needed)))
    return found


def _in_order(moving: Iterable[str], needs: Mapping[str, Sequence[str]]) -> list[str]:
    """Each after those that it needs. Raises UsageError for a circle."""
    left = {service: len(needs[service]) for service in sorted(moving)}
    needed_by: dict[str, list[str]] = {service: [] for service in left}
    for service in left:
        for other in needs[service]:
            needed_by[other].append(service)
    ready = [service for service, count in left.items() if count == 0]
    order: list[str] = []
    while ready:
        service = ready.pop(0)
        order.append(service)
        for other in needed_by[service]:
            left[other] -= 1
            if left[other] == 0:
                ready.append(other)
    if len(order) < len(left):
        stuck = ", ".join(s for s in left if s not in order)
        raise UsageError(
            f"the dependencies go round in a circle: {stuck}", hint="`bcm-failover check` shows where"
        )
    return order


def _step(known: KnownService, wave: int, after: tuple[str, ...], before: Mapping[str, Step]) -> Step:
    begins = [_end_ms(before[other]) for other in after]
    return Step(
        service=known.service,
        wave=wave,
        importance=known.importance.value,
        primary=known.primary,
        leaving=known.leaving,
        candidate=known.candidate,
        runbook=known.runbook,
        after=after,
        obstacles=known.obstacles,
        expected_ms=known.expected_ms,
        begins_ms=None if any(b is None for b in begins) else max((b or 0 for b in begins), default=0),
    )


def _end_ms(step: Step) -> int | None:
    if step.begins_ms is None or step.expected_ms is None:
        return None
    return step.begins_ms + step.expected_ms
