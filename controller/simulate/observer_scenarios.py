"""Scenarios with three observers: which they are, and what goes wrong with them. By a chance of their own, so
that a seed's scenario is else as it was with one."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Final

from controller.simulate.estates import ACTING, OTHERS, SITES, Shape, estate_of
from controller.simulate.faults import FaultEvent
from controller.simulate.scene import Scenario

# Of a hundred scenarios so many have three.
THREE_PERCENT: Final = 30
# How often each kind comes. A link is cut between two of them, or between one and a member's host.
_WEIGHTS: Final = {"observer-blind": 3, "observer-frozen": 3, "observer-killed": 3, "link-cut": 9}
_LONGEST_S: Final = 12.0


def observed(scenario: Scenario, shape: Shape) -> Scenario:
    """With three observers at three sites, the one that acts among them; or as it is."""
    chance = random.Random(f"observers of {scenario.seed}")  # noqa: S311 - chance that can be repeated
    if chance.randrange(100) >= THREE_PERCENT:
        return scenario
    others = chance.sample([site for site in SITES if site != scenario.ops], len(OTHERS))
    events = [*scenario.events, *_events(chance, scenario.events, len(shape.sites))]
    return replace(
        scenario,
        estate=estate_of(replace(shape, observers=(scenario.ops, *others))),
        events=tuple(sorted(events, key=lambda e: e.at_s)),
    )


def _events(chance: random.Random, others: tuple[FaultEvent, ...], nodes: int) -> list[FaultEvent]:
    first_s, last_s = others[0].at_s, others[-1].at_s
    kinds, weights = list(_WEIGHTS), list(_WEIGHTS.values())
    found = []
    for kind in chance.choices(kinds, weights, k=chance.choice((0, 1, 1, 2))):
        target = _link(chance, nodes) if kind == "link-cut" else chance.choice(OTHERS)
        at_s = first_s - 1.0 + (last_s - first_s + 2.0) * chance.random()
        lasts_s = round(0.2 + _LONGEST_S * chance.random() ** 2, 3)
        for_s, value = (0.0, lasts_s / 2) if kind == "observer-killed" else (lasts_s, 0.0)
        found.append(FaultEvent(round(at_s, 3), kind, target, for_s, round(value, 3)))
    return found


def _link(chance: random.Random, nodes: int) -> str:
    """What one can't see, or can't tell the one that acts."""
    if chance.random() < 0.3:
        return f"{chance.choice(OTHERS)},{ACTING}"
    node = 1 if chance.random() < 0.6 else chance.randint(1, nodes)
    return f"{chance.choice((ACTING, *OTHERS))},db{node}"
