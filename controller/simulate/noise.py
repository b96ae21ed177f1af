"""The noise model: what a service goes through without anything being lost. No failover is right for it.

Every kind comes by itself, at random and at a rate of its own (a Poisson process), on a member, a node or the
controller, each as likely as the next. docs/noise-model.md is printed from here.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import Final

from controller.simulate.estates import SERVICE
from controller.simulate.faults import KINDS, FaultEvent

DAY_S: Final = 86_400.0
# What is disturbed is often disturbed again at once: a link flaps, a backup writes in waves.
AGAIN_SHARE: Final = 0.1
AGAIN_MEAN_S: Final = 4.0


@dataclass(frozen=True, slots=True)
class Spread:
    """A log-normal quantity: half lies below `median`, a sixth above `median * exp(sigma)`; none above
    `most`. sigma 0: always `median`."""

    median: float
    sigma: float
    most: float

    def draw(self, chance: random.Random) -> float:
        return min(self.most, self.median * math.exp(self.sigma * chance.gauss(0.0, 1.0)))

    def __str__(self) -> str:
        if not self.sigma:
            return f"{self.median:g}"
        return f"median {self.median:g}, σ {self.sigma:g}, at most {self.most:g}"


ONCE: Final = Spread(0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Noise:
    """One kind. fault: of `controller.simulate.faults`, which is how it is made. a_day: of the whole service
    (three members, their hosts, one controller). lasts_s, and value: what the fault makes of it (unit: as
    printed). silences: nothing on the host or server answers anybody while it lasts."""

    name: str
    fault: str
    a_day: float
    lasts_s: Spread
    what: str
    source: str
    value: Spread = ONCE
    unit: str = ""
    silences: bool = False


_TAIL: Final = "Dean and Barroso, The Tail at Scale (CACM 2013)"
_NETWORK: Final = "Bailis and Kingsbury, The Network is Reliable (ACM Queue 2014)"
_FAIL_SLOW: Final = "Gunawi and others, Fail-Slow at Scale (FAST 2018)"

MODEL: Final = (
    Noise("loss-burst", "lossy-link", 3.0, Spread(0.5, 0.8, 3.0),
          "a host's link loses a share of its packets", f"congestion, a bad cable; {_NETWORK}",
          Spread(0.1, 0.8, 0.6), "share of packets"),
    Noise("link-flap", "node-cut", 1.0, Spread(0.2, 0.8, 2.0),
          "a host's link loses every packet", f"a bond or a spanning tree that changes over; {_NETWORK}",
          silences=True),
    Noise("ops-flap", "ops-cut", 1.0, Spread(0.3, 0.8, 3.0),
          "only the way between the ops host and a member's host loses every packet",
          f"a route or a firewall that changes over; {_NETWORK}"),
    Noise("ops-blind", "controller-blind", 0.3, Spread(0.3, 0.8, 3.0),
          "the ops host's own link loses every packet", f"as link-flap; {_NETWORK}"),
    Noise("vm-pause", "host-paused", 1.0, Spread(0.2, 0.8, 2.0),
          "a member's whole host stands still", "live migration and snapshots, with memory copied ahead",
          silences=True),
    Noise("server-stall", "freeze", 1.0, Spread(0.3, 0.8, 2.0),
          "every process of a server stands still", "memory reclaim, a throttled cgroup, a debugger",
          silences=True),
    Noise("write-stall", "slow-disk", 2.0, Spread(3.0, 0.6, 10.0),
          "no write of a server ends for a while: others wait behind it",
          f"checkpoints, a full write cache; {_FAIL_SLOW}", Spread(0.5, 0.9, 5.0), "s until a write ends"),
    Noise("slow-disk", "slow-disk", 0.5, Spread(8.0, 0.6, 30.0),
          "a server's disk is slow", f"a backup, a RAID that rebuilds; {_FAIL_SLOW}",
          Spread(0.06, 0.6, 0.3), "s a write"),
    Noise("latency-spike", "slow-link", 3.0, Spread(0.8, 0.8, 5.0),
          "a host's packets come late", f"queues; {_TAIL}", Spread(0.08, 0.9, 0.8), "s each way"),
    Noise("connection-storm", "saturated", 0.2, Spread(1.0, 0.8, 5.0),
          "a server has no connection left", "an application that was started anew"),
    Noise("controller-pause", "controller-frozen", 1.0, Spread(0.3, 0.9, 5.0),
          "the controller stands still", f"a paused or busy ops host; {_TAIL}"),
    Noise("journal-slow", "journal-slow", 0.5, Spread(2.0, 0.8, 10.0),
          "the disk of the controller's journal is slow", _FAIL_SLOW, Spread(0.05, 0.9, 1.0), "s a record"),
    Noise("restart", "restart", 1 / 30, ONCE,
          "an operator restarts a server in place", "parameters that need it, minor updates",
          Spread(0.6, 0.5, 3.0), "s until it is started again"),
    Noise("idle-kill", "idle-kill", 1.0, ONCE,
          "something between closes connections that look idle", "idle time-outs of firewalls and balancers"),
    Noise("wall-jump", "wall-jump", 1 / 30, Spread(30.0, 0.8, 300.0),
          "the clock on the wall of the ops host jumps, and back", "a time service that steps",
          Spread(60.0, 0.0, 60.0), "s"),
    Noise("long-stall", "host-paused", 1 / 30, Spread(3.0, 0.3, 5.0),
          "a member's whole host stands still for long", "a snapshot with its memory, a stalled hypervisor",
          silences=True),
)  # fmt: skip
BY_NAME: Final = {noise.name: noise for noise in MODEL}
EVENTS_A_DAY: Final = sum(noise.a_day for noise in MODEL) * (1 + AGAIN_SHARE)

# Seconds of silence that a profile promises to ride out (model.health.PROFILES, DESIGN): what silences its
# primary for longer is an outage to it, though one that would have ended by itself.
RIDES_OUT_S: Final = {"fast": 0.4, "balanced": 2.0, "careful": 10.0}


@dataclass(frozen=True, slots=True)
class Disturbance:
    """One that comes: the kind, and how it is played."""

    noise: Noise
    event: FaultEvent


def disturbances(seed: str, days: float, members: int = 3) -> list[Disturbance]:
    """All of a stretch of time, in order."""
    found = [d for noise in MODEL for d in _of_kind(noise, seed, days * DAY_S, members)]
    return sorted(found, key=lambda d: d.event.at_s)


def _of_kind(noise: Noise, seed: str, end_s: float, members: int) -> list[Disturbance]:
    chance = random.Random(f"{seed}/{noise.name}")  # noqa: S311 - chance that can be repeated, no secret
    found: list[Disturbance] = []
    at_s = chance.expovariate(noise.a_day / DAY_S)
    while at_s < end_s:
        target = _target(noise, chance.randrange(members) + 1)
        found.append(_one(noise, chance, at_s, target))
        again_s = at_s
        while chance.random() < AGAIN_SHARE:
            again_s += found[-1].event.for_s + chance.expovariate(1 / AGAIN_MEAN_S)
            found.append(_one(noise, chance, again_s, target))
        at_s += chance.expovariate(noise.a_day / DAY_S)
    return [d for d in found if d.event.at_s < end_s]


def _one(noise: Noise, chance: random.Random, at_s: float, target: str) -> Disturbance:
    value = noise.value.draw(chance)
    if noise.fault == "wall-jump" and chance.random() < 0.5:
        value = -value
    for_s = noise.lasts_s.draw(chance)
    event = FaultEvent(round(at_s, 3), noise.fault, target, round(for_s, 3), round(value, 4))
    return Disturbance(noise, event)


def _target(noise: Noise, number: int) -> str:
    match KINDS[noise.fault].on:
        case "member":
            return f"{SERVICE}/pg{number}"
        case "node":
            return f"db{number}"
        case _:
            return ""
