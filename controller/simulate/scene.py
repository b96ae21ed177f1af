"""One scenario being played: the world, its controllers and clients, and the faults as they come."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf

from config.schema import Estate
from controller.arrivals import Batch
from controller.simulate import quiet
from controller.simulate.client import Client
from controller.simulate.controller import Controller
from controller.simulate.eyewitnesses import Eyewitnesses
from controller.simulate.faults import KINDS, FaultEvent
from controller.simulate.observing import ObservingController, carry
from controller.simulate.postgres import Postgres
from controller.simulate.world import Traits, World
from runbooks.schema import Runbook

# Loaded once: what a runbook says does not change with the world.
_RUNBOOKS: dict[str, Runbook] = {}


@dataclass(frozen=True, slots=True)
class Scenario:
    """What is played. ops: the site of the ops host. end_s: when everything that heals has healed."""

    seed: str
    estate: Estate
    events: tuple[FaultEvent, ...]
    traits: Traits = field(default_factory=Traits)
    ops: str = ""
    end_s: float = 60.0
    rewind_fails: bool = False
    promote_late_s: float = 0.0


class Scene:
    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.world = World(scenario.estate, scenario.seed, scenario.traits)
        self.world.rewind_fails = scenario.rewind_fails
        self.world.promote_late_s = scenario.promote_late_s
        self.stale: list[Controller] = []
        self.clients: list[Client] = []
        self.controllers: list[Controller] = []
        self.jumped_s = 0.0
        self.observers: list[ObservingController] = []
        self._eyewitnesses = Eyewitnesses(self)
        self.jumps_given_up = 0
        # When the last fault came or healed.
        self.disturbed_s = 0.0
        self._coming: list[float] = []
        self.start_controller()
        for name in scenario.estate.other_observers:
            self.start_observer(name)
        for service in scenario.estate.services.values():
            members = [self.world.server(service.name, m) for m in service.members]
            home = members[0].host.site
            host = self.world.network.hosts[f"app-{home}"]
            self.clients.append(Client(self.world, service.name, f"c-{service.name}", host, members))

    @property
    def controller(self) -> Controller:
        """The one that leads, or that did last."""
        return self.controllers[-1]

    def member(self, target: str) -> Postgres:
        service, _, member = target.partition("/")
        return self.world.server(service, member)

    def start_controller(self) -> None:
        host = self.world.network.hosts[f"ops-{self.scenario.ops}"]
        controller = Controller(self.world, host, runbooks=_RUNBOOKS)
        self.controllers.append(controller)
        self.world.audit.note(f"controller of epoch {controller.store.epoch} starts")
        controller.journal.listen(lambda event: self._eyewitnesses.opened(controller, event))
        controller.start()

    def observing(self, name: str) -> ObservingController:
        return next(o for o in self.observers if o.name == name)

    def start_observer(self, name: str) -> None:
        """For the first time, or in the place of one that was killed."""
        others = list(self.scenario.estate.other_observers)
        starts = sum(o.starts for o in self.observers if o.name == name) + 1
        host = self.world.network.hosts[f"ops-{self.scenario.estate.observers[name].site}"]
        observer = ObservingController(
            self.world,
            host,
            name,
            number=others.index(name) + 1,
            start=starts,
            carry=lambda batch: self._carry(observer, batch),
        )
        self.observers = [o for o in self.observers if o.name != name] + [observer]
        observer.begin()

    def _carry(self, observer: ObservingController, batch: Batch) -> None:
        """To whoever acts, or would, on its host."""

        def deliver() -> None:
            for controller in self.controllers:
                controller.loop.hear(lambda c=controller: hear(c))  # type: ignore[misc]

        def hear(controller: Controller) -> None:
            self._eyewitnesses.told(controller, observer, batch)
            controller.observed_elsewhere(batch)

        carry(self.world.network, observer.host.name, self.controller.host.name, deliver)

    def kill_controller(self) -> None:
        self.controller.kill()

    def plan(self, events: Sequence[FaultEvent]) -> None:
        for event in events:
            heapq.heappush(self._coming, event.at_s)
            self.world.timeline.at(event.at_s, lambda event=event: self._strike(event))  # type: ignore[misc]

    def _strike(self, event: FaultEvent) -> None:
        self.disturbed_s = self.world.timeline.now_s
        kind = KINDS[event.fault]
        self.world.audit.note(f"FAULT {event.fault} {event.target}: {kind.sentence}")
        heal = kind.apply(self, event.target, event)
        if heal is None or event.for_s <= 0:
            return

        def healed() -> None:
            self.disturbed_s = self.world.timeline.now_s
            self.world.audit.note(f"healed: {event.fault} {event.target}")
            heal()

        heapq.heappush(self._coming, self.world.timeline.now_s + event.for_s)
        self.world.timeline.after(event.for_s, healed)

    def next_event_s(self) -> float:
        """When a fault or a healing comes next; infinite: none does."""
        while self._coming and self._coming[0] < self.world.timeline.now_s:
            heapq.heappop(self._coming)
        return self._coming[0] if self._coming else inf

    def play(self) -> None:
        """To the end of the scenario."""
        self.plan(self.scenario.events)
        quiet.run_until(self, self.scenario.end_s)

    def close(self) -> None:
        """No task is left behind."""
        for process in (*self.controllers, *self.observers):
            process.loop.close()
