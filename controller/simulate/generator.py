"""Random scenarios: an estate, its traits and its faults, all from a seed."""

from __future__ import annotations

import random
from typing import Final

from controller.simulate.estates import SERVICE, SITES, Shape, estate_of
from controller.simulate.faults import KINDS, FaultEvent
from controller.simulate.network import Delays
from controller.simulate.observer_scenarios import observed
from controller.simulate.scene import Scenario
from controller.simulate.world import Traits

# The world runs well for so long first: the controller has to know it.
CALM_S: Final = 2.0
# How often each kind comes.
WEIGHTS: Final[dict[str, int]] = {
    "crash": 14, "freeze": 10, "host-down": 10, "node-cut": 8, "node-deaf": 3, "node-mute": 3,
    "ops-cut": 4, "replication-cut": 4, "clients-cut": 1, "host-paused": 4, "backend-killed": 3,
    "postmaster-stopped": 2, "start-fails": 2, "restart": 5, "admin-stop": 2, "slow-disk": 3, "full-disk": 3,
    "replay-paused": 4, "conflict": 4, "names-loosened": 2, "promoted-outside": 2, "comes-back-empty": 2,
    "saturated": 2, "credentials": 2, "idle-kill": 2, "astray": 2, "slow-link": 3, "lossy-link": 3,
    "site-cut": 4, "site-down": 4, "controller-blind": 3, "controller-killed": 7, "controller-frozen": 5,
    "taken-over": 4, "wall-jump": 2, "journal-full": 3, "journal-slow": 2,
}  # fmt: skip
# How long each lasts, from and to, in seconds; a kind that is not here does not heal by itself.
_LASTS: Final[dict[str, tuple[float, float]]] = {
    "freeze": (0.2, 12.0), "host-paused": (0.2, 12.0), "node-cut": (0.2, 15.0), "node-deaf": (0.2, 12.0),
    "node-mute": (0.2, 12.0), "ops-cut": (0.5, 15.0), "replication-cut": (0.5, 12.0),
    "clients-cut": (0.5, 8.0), "postmaster-stopped": (0.5, 8.0), "admin-stop": (3.0, 12.0),
    "start-fails": (2.0, 10.0), "slow-disk": (0.5, 10.0), "full-disk": (3.0, 15.0),
    "replay-paused": (0.5, 15.0), "conflict": (0.5, 10.0), "names-loosened": (2.0, 10.0),
    "comes-back-empty": (1.0, 10.0), "saturated": (0.5, 8.0), "credentials": (0.5, 8.0),
    "slow-link": (1.0, 10.0), "lossy-link": (1.0, 10.0), "site-cut": (0.5, 15.0), "site-down": (1.0, 15.0),
    "controller-blind": (0.5, 10.0), "controller-frozen": (0.1, 12.0), "taken-over": (0.2, 10.0),
    "wall-jump": (1.0, 20.0), "journal-full": (0.5, 10.0), "journal-slow": (0.5, 5.0),
    "host-down": (1.0, 15.0),
}  # fmt: skip
_FOREVER_PERCENT: Final = {"host-down": 40, "site-down": 30, "node-cut": 15, "full-disk": 30}


def scenario_of(seed: str) -> Scenario:
    chance = random.Random(seed)  # noqa: S311 - chance that can be repeated, no secret
    shape = _shape(chance)
    traits = Traits(
        delays=Delays(far_s=chance.choice((0.001, 0.004, 0.015))),
        access=shape.access,
        in_place=chance.random() < 0.2,
        sealed=False,
    )
    events = _events(chance, shape)
    scenario = Scenario(
        seed=seed,
        estate=estate_of(shape),
        events=events,
        traits=traits,
        ops=chance.choice(("wit", "wit", "wit", "dc1", "dc2")),
        rewind_fails=chance.random() < 0.15,
        promote_late_s=chance.choice((0.0, 0.0, 0.0, 0.3, 1.5)),
    )
    return observed(scenario, shape)


def _shape(chance: random.Random) -> Shape:
    count = chance.choices((2, 3, 4, 5), (1, 8, 4, 2))[0]
    places = ["dc1", *(chance.choice(("dc1", "dc2", "dc2")) for _ in range(count - 1))]
    if count > 2 and chance.random() < 0.25:
        places[-1] = "far"
    sync = 1 if count < 4 or chance.random() < 0.4 else 2
    rpo_s = 0
    if chance.random() < 0.08:
        sync, rpo_s = 0, 30
    excluded = (count - 1,) if count > 2 and chance.random() < 0.08 else ()
    return Shape(
        sites=tuple(places),
        sync=sync,
        method=chance.choice(("ANY", "ANY", "ANY", "FIRST")),
        mode=chance.choices(("act", "ask", "observe"), (88, 7, 5))[0],
        profile=chance.choices(("balanced", "fast", "careful"), (60, 30, 10))[0],
        access=chance.random() < 0.9,
        rpo_s=rpo_s,
        excluded=excluded,
    )


def _events(chance: random.Random, shape: Shape) -> tuple[FaultEvent, ...]:
    count = chance.choices((1, 2, 3, 4, 5, 6, 7, 8), (8, 16, 22, 20, 14, 10, 6, 4))[0]
    kinds, weights = list(WEIGHTS), list(WEIGHTS.values())
    at_s = CALM_S + chance.random()
    events = []
    for _ in range(count):
        kind = chance.choices(kinds, weights)[0]
        events.append(_event(chance, shape, kind, at_s))
        at_s += chance.choices(
            (chance.random(), 1 + 4 * chance.random(), 5 + 7 * chance.random()), (5, 3, 2)
        )[0]
    return tuple(events)


def _event(chance: random.Random, shape: Shape, fault: str, at_s: float) -> FaultEvent:
    number = 0 if chance.random() < 0.6 else chance.randrange(len(shape.sites))
    if fault in ("replay-paused", "conflict", "astray", "promoted-outside"):
        number = chance.randrange(1, len(shape.sites))
    match KINDS[fault].on:
        case "member":
            target = f"{SERVICE}/pg{number + 1}"
        case "node":
            target = f"db{number + 1}"
        case "site":
            target = chance.choice([s for s in SITES if s in shape.sites])
        case _:
            target = ""
    low, high = _LASTS.get(fault, (0.0, 0.0))
    for_s = low + (high - low) * chance.random() ** 2
    if chance.randrange(100) < _FOREVER_PERCENT.get(fault, 0):
        for_s = 0.0
    return FaultEvent(round(at_s, 3), fault, target, round(for_s, 3), _value(chance, fault))


def _value(chance: random.Random, fault: str) -> float:
    match fault:
        case "restart":
            return round(0.1 + 3 * chance.random() ** 2, 3)
        case "slow-disk":
            return round(chance.choice((0.05, 0.3, 1.0, 3.0)), 3)
        case "slow-link":
            return round(chance.choice((0.02, 0.2, 0.8)), 3)
        case "lossy-link":
            return round(chance.choice((0.05, 0.2)), 3)
        case "controller-killed":
            return round(0.1 + 5 * chance.random() ** 2, 3)
        case "wall-jump":
            return chance.choice((-300.0, 300.0))
        case "journal-slow":
            return round(chance.choice((0.02, 0.2, 1.0)), 3)
        case _:
            return 0.0
