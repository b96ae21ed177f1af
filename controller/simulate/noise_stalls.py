"""The longest stall that each profile rides out: found by halving, in the simulator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from controller.simulate.ending import play
from controller.simulate.estates import SERVICE, Shape, estate_of
from controller.simulate.faults import FaultEvent
from controller.simulate.scene import Scenario
from controller.simulate.world import Traits

# What stalls, on the primary: the fault and what it is to a reader. `restart`: seconds until it is started.
KINDS: Final = {
    "server-stall": ("freeze", "every process of its server stands still"),
    "vm-pause": ("host-paused", "its whole host stands still"),
    "link-flap": ("node-cut", "its host's link loses every packet"),
    "ops-flap": ("ops-cut", "only the controller can't reach its host"),
    "write-stall": ("slow-disk", "no write of its server ends"),
    "restart": ("restart", "an operator restarts it: seconds without a server"),
}
LONGEST_S: Final = 30.0
STEP_S: Final = 0.1
# Of one length, so many are tried: they meet the probes at other moments.
TRIES: Final = 12
_ON_NODES: Final = frozenset({"host-paused", "node-cut", "ops-cut"})


@dataclass(frozen=True, slots=True)
class Survived:
    """longest_s: the longest that no try of that length was failed over for; LONGEST_S: as long as was
    tried."""

    kind: str
    longest_s: float


def longest(profile: str, kind: str, seed: str, tries: int = TRIES) -> Survived:
    """To STEP_S. A longer one is taken to be no easier."""
    low, high = 0, round(LONGEST_S / STEP_S)
    if _ridden_out(profile, kind, seed, LONGEST_S, tries):
        return Survived(kind, LONGEST_S)
    while high - low > 1:
        middle = (low + high) // 2
        if _ridden_out(profile, kind, seed, middle * STEP_S, tries):
            low = middle
        else:
            high = middle
    return Survived(kind, round(low * STEP_S, 1))


def _ridden_out(profile: str, kind: str, seed: str, length_s: float, tries: int) -> bool:
    return all(_no_failover(profile, kind, f"{seed}/{number}", length_s) for number in range(tries))


def _no_failover(profile: str, kind: str, seed: str, length_s: float) -> bool:
    fault = KINDS[kind][0]
    at_s = 5.0 + int.from_bytes(seed.encode()) % 997 / 997
    target = "db1" if fault in _ON_NODES else f"{SERVICE}/pg1"
    for_s, value = (0.0, length_s) if fault == "restart" else (length_s, length_s)
    event = FaultEvent(at_s, fault, target, for_s, value)
    traits = Traits(sealed=False, pause_s=0.25)
    ending, scene = play(Scenario(seed, estate_of(Shape(profile=profile)), (event,), traits, ops="wit"))
    scene.close()
    return ending.failovers == 0
