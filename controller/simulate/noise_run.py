"""Years under the noise model: how often the product fails over for nothing, and how often it pages."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from controller.simulate import quiet
from controller.simulate.ending import person_helps
from controller.simulate.estates import SERVICE, Shape, estate_of
from controller.simulate.noise import DAY_S, RIDES_OUT_S, Disturbance, disturbances
from controller.simulate.scene import Scenario, Scene
from controller.simulate.world import Traits
from model import events as ev
from model.events import Event

DAYS_A_YEAR: Final = 365.25
# A world is made anew after so long: what it remembers would grow for ever.
DAYS_OF_A_WORLD: Final = 10.0
# The controller starts in it.
CALM_S: Final = 5.0
# So long a world may be busy with what came of a disturbance; then a person looks after it.
BY_ITSELF_S: Final = 300.0
# A failover is laid to the last disturbance that began within so long before.
_REACH_S: Final = 60.0
_NUMBERED: Final = re.compile(r" (EXE|INC)-\d+")
# The high water (P3) is noted once a day, and not every five minutes: no controller is started anew here, and
# it is read by no other. A client writes four times a second: what is written shows replicas that live.
_TRAITS: Final = Traits(sealed=False, pause_s=0.25, marks_every_s=DAY_S)


@dataclass(frozen=True, slots=True)
class FalseFailover:
    """One that was made for noise. noise: the name of the last kind that came before it. beyond: its primary
    was silent for longer than the profile promises to ride out."""

    seed: str
    at_s: float
    code: str
    noise: str
    beyond: bool


@dataclass(slots=True)
class Tally:
    """What came of some days of noise. pages: by what was said. helped: how often a person had to."""

    profile: str
    seconds: float = 0.0
    disturbances: Counter[str] = field(default_factory=Counter)
    failovers: list[FalseFailover] = field(default_factory=list)
    pages: Counter[str] = field(default_factory=Counter)
    incidents: int = 0
    helped: int = 0
    jumped_s: float = 0.0

    @property
    def years(self) -> float:
        return self.seconds / (DAYS_A_YEAR * DAY_S)

    def add(self, other: Tally) -> None:
        self.seconds += other.seconds
        self.disturbances.update(other.disturbances)
        self.failovers += other.failovers
        self.pages.update(other.pages)
        self.incidents += other.incidents
        self.helped += other.helped
        self.jumped_s += other.jumped_s


def worlds(profile: str, seed: str, days: float) -> Iterator[tuple[str, str, float]]:
    """(profile, seed, days) of each world that the stretch of time is played in: each can be played alone."""
    for number in range(math.ceil(days / DAYS_OF_A_WORLD)):
        yield profile, f"{seed}/{number}", min(DAYS_OF_A_WORLD, days - number * DAYS_OF_A_WORLD)


def play(profile: str, seed: str, days: float) -> Tally:
    """One world. The same arguments give the same tally."""
    coming = disturbances(seed, days)
    scenario = Scenario(
        seed=seed,
        estate=estate_of(Shape(profile=profile)),
        events=tuple(d.event for d in coming),
        traits=_TRAITS,
        ops="wit",
        end_s=days * DAY_S,
    )
    scene = Scene(scenario)
    scene.world.timeline.run_until(CALM_S)
    scene.plan(scenario.events)
    tally = Tally(profile, seconds=scenario.end_s)
    _to_the_end(scene, tally)
    tally.disturbances.update(d.noise.name for d in coming)
    tally.jumped_s = scene.jumped_s
    tally.pages.update(
        _kind_of(p.summary) for c in scene.controllers for p in c.pages if p.severity == "page"
    )
    _count(scene, coming, tally)
    scene.close()
    return tally


def _to_the_end(scene: Scene, tally: Tally) -> None:
    timeline, end_s = scene.world.timeline, scene.scenario.end_s
    while timeline.now_s < end_s:
        quiet.run_until(scene, end_s, BY_ITSELF_S)
        if timeline.now_s < end_s:
            tally.helped += 1
            person_helps(scene)


def _count(scene: Scene, coming: list[Disturbance], tally: Tally) -> None:
    primary = f"{SERVICE}/pg1"
    code = ""
    for event in scene.world.store.all:
        match event.type:
            case ev.INCIDENT_OPENED:
                tally.incidents += 1
                code = event.data["diagnosis"]["code"]
            case ev.SERVICE_PRIMARY:
                primary = f"{SERVICE}/{event.data['member']}"
            case ev.EXECUTION_OPENED if _unplanned(event):
                at_s = event.mono_ns / 1e9 - scene.controller.loop.offset_s
                tally.failovers.append(_laid_to(scene, coming, primary, code, at_s))


def _unplanned(event: Event) -> bool:
    return (event.data["kind"], event.data["trigger"]) == ("failover", "automatic")


def _laid_to(scene: Scene, coming: list[Disturbance], primary: str, code: str, at_s: float) -> FalseFailover:
    host = scene.member(primary).host.name
    near = [d for d in coming if at_s - _REACH_S < d.event.at_s <= at_s]
    lasted_s = silent_s([d for d in near if d.noise.silences and d.event.target in (primary, host)])
    last = near[-1].noise.name if near else "nothing"
    beyond = lasted_s > RIDES_OUT_S[scene.scenario.estate.services[SERVICE].profile]
    return FalseFailover(scene.scenario.seed, round(at_s, 3), code, last, beyond)


def silent_s(silences: list[Disturbance]) -> float:
    """The longest of them, with what began before it was over."""
    longest_s = from_s = until_s = 0.0
    for event in (d.event for d in silences):
        if event.at_s > until_s:
            from_s = event.at_s
        until_s = max(until_s, event.at_s + event.for_s)
        longest_s = max(longest_s, until_s - from_s)
    return longest_s


def _kind_of(page: str) -> str:
    """Without names and numbers that differ from one to the next."""
    return _NUMBERED.sub("", page.partition(":")[0].partition(" (")[0])


# --- what that says


def upper_bound_95(found: int, years: float) -> float:
    """Of the true rate per year, 95 % one-sided, of a Poisson process of which so many were found. Exact:
    half the chi-square quantile with 2 (n + 1) degrees of freedom; 3.0/T for none."""
    low, high = 0.0, found + 10.0 + 5.0 * math.sqrt(found + 1.0)
    for _ in range(80):
        middle = (low + high) / 2
        if _at_most(found, middle) > 0.05:
            low = middle
        else:
            high = middle
    return high / years


def _at_most(found: int, mean: float) -> float:
    """How likely a Poisson process of that mean shows no more than `found`."""
    term = total = math.exp(-mean)
    for number in range(1, found + 1):
        term *= mean / number
        total += term
    return total
