"""What would happen on a user's own estate: the faults, and what the product does of its own accord."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from controller.simulate import quiet
from controller.simulate.client import Client
from controller.simulate.ending import BY_ITSELF_S, Ending, settled, until_settled
from controller.simulate.played import silent
from controller.simulate.scene import Scenario, Scene
from controller.simulate.story import Story, story_of
from controller.supervisor.supervisor import Supervisor

# After the last fault nothing more happens by itself.
_AFTER_S = BY_ITSELF_S + 15.0


@dataclass(frozen=True, slots=True)
class Standing:
    """How a service stands in the end. primary: who accepts writes, truly; '' if nobody does. decision: as
    JSON, with every gate. approvals: what a person is asked for."""

    service: str
    primary: str
    writes: bool
    code: str
    sentence: str
    decision: dict[str, Any]
    approvals: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "service": self.service,
            "primary": self.primary or None,
            "writes": self.writes,
            "code": self.code,
            "sentence": self.sentence,
            "decision": self.decision,
            "approvals": list(self.approvals),
        }


@dataclass(frozen=True, slots=True)
class WhatIf:
    story: Story
    standings: tuple[Standing, ...]

    def to_json(self) -> dict[str, Any]:
        return {**self.story.to_json(), "in_the_end": [s.to_json() for s in self.standings]}


def what_if(scenario: Scenario) -> WhatIf:
    """No person does anything: what is left to one is told as such."""
    with silent():
        scene = Scene(scenario)
        try:
            _more_clients(scene)
            ending = _watch(scene)
            return WhatIf(story_of(scene, ending), tuple(_standings(scene)))
        finally:
            scene.close()


def _more_clients(scene: Scene) -> None:
    """At every other site with members, so that the loss of one site does not take all who would notice."""
    world = scene.world
    for service in scene.scenario.estate.services.values():
        servers = world.servers(service.name)
        for site in dict.fromkeys(s.host.site for s in servers[1:] if s.host.site != servers[0].host.site):
            host = world.network.hosts[f"app-{site}"]
            scene.clients.append(Client(world, service.name, f"c-{service.name}-{site}", host, servers))


def _watch(scene: Scene) -> Ending:
    events = scene.scenario.events
    scene.plan(events)
    last_s = max((e.at_s + max(e.for_s, 0.0) for e in events), default=0.0)
    quiet.run_until(scene, last_s + 0.5)
    until_settled(scene, last_s + _AFTER_S)
    done = settled(scene)
    audit = scene.world.audit
    for controller in scene.controllers:
        for error in controller.loop.errors:
            audit.broken("internal", f"{error.get('message')}: {error.get('exception')!r}")
    now_s = scene.world.timeline.now_s
    return Ending(scene.scenario.seed, len(events), now_s, list(audit.violations), done, done)


def _standings(scene: Scene) -> Iterator[Standing]:
    for name, supervisor in scene.controller.supervisors.items():
        last_s = max(c.last_acked_s for c in scene.clients if c.service == name)
        writes = scene.world.timeline.now_s - last_s < 1.0
        yield _standing(scene, supervisor, writes=writes)


def _standing(scene: Scene, supervisor: Supervisor, *, writes: bool) -> Standing:
    name = supervisor.service.name
    judged = supervisor.judged
    primaries = [s.name for s in scene.world.servers(name) if s.writable and s.host.up]
    return Standing(
        service=name,
        primary=", ".join(primaries),
        writes=writes,
        code=judged.diagnosis.code if judged is not None else "not judged",
        sentence=judged.diagnosis.info.sentence if judged is not None else "",
        decision=judged.decision.to_json() if judged is not None else {},
        approvals=tuple(approval.what for approval, _state in supervisor.approvals.waiting()),
    )
