"""What is kept of a scenario that was played: small, and it can go from one process to another."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from controller.phases import Timings, read_timings
from controller.simulate.audit import Violation
from controller.simulate.ending import Ending, play
from controller.simulate.generator import scenario_of
from controller.simulate.patience import StuckError, at_most
from controller.simulate.scene import Scenario, Scene
from model import events as ev

# The rules that are no S: the product or the simulator itself failed; a failover was provable and did not
# come; one came though nothing had taken the primary away.
INTERNAL: Final = "internal"
MISSED: Final = "missed"
FALSE: Final = "false"
# Of real time for one scenario, which takes a second where the machine is busy.
LIMIT_S: Final = 120.0


@dataclass(frozen=True, slots=True)
class Played:
    """rtos_s: T8 − T0 of each incident that a failover by itself has ended. held: code and gate of the last
    hold, where the product had to leave it to a person."""

    seed: str
    faults: int
    seconds: float
    violations: tuple[Violation, ...] = ()
    false_failovers: int = 0
    missed_failovers: int = 0
    recovered: bool = False
    lost: int = 0
    rtos_s: tuple[float, ...] = ()
    held: str = ""

    @property
    def rules(self) -> frozenset[str]:
        """All that is wrong with it."""
        found = {v.rule for v in self.violations}
        found |= {MISSED} if self.missed_failovers else set()
        found |= {FALSE} if self.false_failovers else set()
        return frozenset(found)


def play_seed(number: int) -> Played:
    """The scenario of a seed. What it raises is a violation of its own, and ends no run."""
    return played(scenario_of(str(number)))


def played(scenario: Scenario) -> Played:
    try:
        with silent(), at_most(LIMIT_S):
            ending, scene = play(scenario)
            try:
                return kept(ending, scene)
            finally:
                scene.close()
    except (Exception, StuckError) as error:  # noqa: BLE001 - it is reported with the seed that shows it
        broken = internal_error(error, 0.0)
        return Played(scenario.seed, len(scenario.events), scenario.end_s, (broken,))


def internal_error(error: BaseException, at_s: float) -> Violation:
    """What was raised, and where."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{Path(last.filename).name}:{last.lineno}"
    text = f"{type(error).__name__} in {place}: {' '.join(str(error).split())}"
    return Violation(INTERNAL, at_s, text[:300])


def kept(ending: Ending, scene: Scene) -> Played:
    return Played(
        seed=ending.seed,
        faults=ending.faults,
        seconds=ending.seconds,
        violations=tuple(ending.violations),
        false_failovers=ending.false_failovers,
        missed_failovers=ending.missed_failovers,
        recovered=ending.recovered,
        lost=ending.lost,
        rtos_s=tuple(_rtos_s(scene)),
        held=ending.held,
    )


def timings_of(scene: Scene) -> dict[str, Timings]:
    """T0 to T9 of each incident of the scene, from its journal, in the order in which they were opened."""
    opened = scene.world.store.read(0, (ev.INCIDENT_OPENED,), None, None, None)
    incidents = [e.incident for e in opened if e.incident is not None]
    return {i: read_timings(scene.world.store.read(0, None, None, i, None)) for i in incidents}


def _rtos_s(scene: Scene) -> Iterator[float]:
    executions = scene.world.store.read(0, (ev.EXECUTION_OPENED,), None, None, None)
    automatic = {
        e.incident for e in executions if e.data["trigger"] == "automatic" and e.data["kind"] == "failover"
    }
    for incident, timings in timings_of(scene).items():
        rto_s = timings.rto.seconds
        if incident in automatic and rto_s is not None:
            yield rto_s


@contextmanager
def silent() -> Iterator[None]:
    """What the product would log of a world that is not real belongs in no log."""
    before = structlog.get_config()["wrapper_class"]
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        yield
    finally:
        structlog.configure(wrapper_class=before)
