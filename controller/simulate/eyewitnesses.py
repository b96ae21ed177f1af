"""What other observers had told a controller when it launched a failover by itself: audits the majority.

It counts anew, from what had truly arrived and when it was truly seen: not by detection's memory, nor by the
clocks of `controller.arrivals`.
"""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from controller.arrivals import Batch
from controller.simulate.controller import Controller
from controller.simulate.observing import ObservingController
from controller.simulate.postgres import Postgres
from controller.tally import FULL, tally
from controller.views import PG
from model import events as ev
from model.events import Event
from model.observation import Observation, Outcome

if TYPE_CHECKING:
    from controller.simulate.scene import Scene

_KEPT: Final = 400
# Times are turned from one clock to another: the news that led to the judgement is as old as that.
_ROUNDING_S: Final = 1e-6


@dataclass(frozen=True, slots=True)
class Testimony:
    """One batch, all times the world's. seen: (started, ended, observation)."""

    heard_s: float
    sane: bool | None
    seen: tuple[tuple[float, float, Observation], ...]


class Eyewitnesses:
    """Of one scene."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._told: dict[tuple[int, str], deque[Testimony]] = defaultdict(lambda: deque(maxlen=_KEPT))

    def told(self, controller: Controller, observer: ObservingController, batch: Batch) -> None:
        """The controller's process has it."""
        seen = tuple(
            (observer.world_s(o.started_s), observer.world_s(o.ended_s), o)
            for o in batch.seen
            if o.probe == PG and o.outcome is not Outcome.UNKNOWN
        )
        heard_s = self._scene.world.timeline.now_s
        self._told[id(controller), observer.name].append(Testimony(heard_s, batch.sane, seen))

    def opened(self, controller: Controller, event: Event) -> None:
        """Whatever it journals."""
        data = event.data
        if event.type != ev.EXECUTION_OPENED or data["trigger"] != "automatic" or data["kind"] != "failover":
            return
        supervisor = controller.supervisors[event.service or ""]
        judged, primary = supervisor.judged, supervisor.ledger.primary
        if not self._scene.observers or judged is None or judged.diagnosis.code == FULL:
            return
        offset_s = controller.loop.offset_s
        suspected_s = tally(judged.view, judged.at_s).suspected_s
        since_s = float("inf") if suspected_s is None else suspected_s - offset_s
        target, at_s = f"{event.service}/{primary}", judged.at_s - offset_s
        stale_s = supervisor.service.detection.stale_s
        views = [
            self._view(controller, o.name, target, at_s, since_s, stale_s) for o in self._scene.observers
        ]
        self._count(f"{event.execution} of {target}", ["lost", *views])

    def _count(self, what: str, views: list[str]) -> None:
        audit = self._scene.world.audit
        able = [v for v in views if v != "none"]
        if 2 * able.count("alive") > len(able):
            audit.broken("S6", f"{what}: most of those able to judge saw the primary alive ({views})")
        if 2 * able.count("lost") <= len(views):
            audit.broken("S6", f"{what}: no majority saw the primary lost ({views})")

    def _view(
        self, controller: Controller, observer: str, target: str, at_s: float, since_s: float, stale_s: float
    ) -> str:
        """`alive`: answered since the suspicion. `lost`: its last look failed."""
        told = [t for t in self._told[id(controller), observer] if t.heard_s <= at_s + _ROUNDING_S]
        seen = [s for t in told for s in t.seen if s[2].target == target]
        if not seen or told[-1].sane is False:
            return "none"
        started_s, ended_s, last = max(seen, key=lambda s: s[1])
        if at_s - ended_s > stale_s:
            return "none"
        if not last.shows_life:
            return "lost"
        return "alive" if started_s > since_s else "undecided"


def majority_can_see(scene: Scene, old: Postgres) -> bool:
    """Could a majority of those declared see it lost, and none of them hear it, as the world is now?"""
    network, acting = scene.world.network, scene.controller.host.name
    lost = 1
    for observer in scene.observers:
        own = observer.host.name
        if not observer.alive or observer.loop.frozen or not network.open(own, acting):
            continue
        if old.running and not old.frozen and network.both_ways(own, old.host.name):
            return False  # it may hear it: it vetoes
        references = [a.rpartition(":")[0] for a in scene.world.estate.daemon.reference_targets]
        lost += any(network.both_ways(own, gateway) for gateway in references)
    return 2 * lost > len(scene.observers) + 1
