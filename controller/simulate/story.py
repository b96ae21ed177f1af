"""A scene as a story: what happened, what was seen, diagnosed, decided and done, in the order of time."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

from controller.phases import MARKS, Instant, Timings, signed_between
from controller.report.timeline import describe
from controller.simulate.ending import Ending, play_out
from controller.simulate.patience import StuckError, at_most
from controller.simulate.played import LIMIT_S, Played, internal_error, kept, silent, timings_of
from controller.simulate.scene import Scenario, Scene
from model import events as ev
from model.events import Event

# Records that tell a reader nothing that another line does not say.
_LEFT_OUT: Final = frozenset({ev.FACTS_FROZEN, ev.HIGH_WATER, ev.PAGE_QUEUED, ev.PAGE_DELIVERED})


@dataclass(frozen=True, slots=True)
class Line:
    """at_s: of the world. place: a host, or who it is about. gates: of a decision, as in the journal."""

    at_s: float
    place: str
    kind: str
    text: str
    gates: tuple[dict[str, Any], ...] = ()

    def to_json(self) -> dict[str, Any]:
        body = {"at_s": round(self.at_s, 3), "place": self.place, "kind": self.kind, "text": self.text}
        return {**body, "gates": list(self.gates)} if self.gates else body


@dataclass(frozen=True, slots=True)
class Story:
    """journal: the whole of it, as it lies on the disk. held: gates that stopped the last decision."""

    scenario: Scenario
    lines: tuple[Line, ...]
    played: Played
    clocks: tuple[dict[str, Any], ...]
    journal: str

    @property
    def journal_sha256(self) -> str:
        return hashlib.sha256(self.journal.encode()).hexdigest()

    def to_json(self) -> dict[str, Any]:
        return {
            "seed": self.scenario.seed,
            "faults": [
                {"at_s": e.at_s, "fault": e.fault, "target": e.target, "for_s": e.for_s, "value": e.value}
                for e in self.scenario.events
            ],
            "story": [line.to_json() for line in self.lines],
            "incidents": list(self.clocks),
            "recovered": self.played.recovered,
            "seconds_simulated": round(self.played.seconds, 3),
            "missed_failovers": self.played.missed_failovers,
            "false_failovers": self.played.false_failovers,
            "lost_acknowledged": self.played.lost,
            "violations": [
                {"rule": v.rule, "at_s": round(v.at_s, 3), "what": v.what} for v in self.played.violations
            ],
            "journal_sha256": self.journal_sha256,
        }


def tell(scenario: Scenario) -> Story:
    """Plays it, with every record of the journal sealed by its true hash. An error ends the story, and is
    told as a violation."""
    sealed = replace(scenario, traits=replace(scenario.traits, sealed=True))
    with silent():
        scene = Scene(sealed)
        try:
            return story_of(scene, _ending(scene))
        finally:
            scene.close()


def _ending(scene: Scene) -> Ending:
    try:
        with at_most(LIMIT_S):
            return play_out(scene)
    except (Exception, StuckError) as error:  # noqa: BLE001 - told with what led to it
        now_s = scene.world.timeline.now_s
        broken = [*scene.world.audit.violations, internal_error(error, now_s)]
        return Ending(scene.scenario.seed, len(scene.scenario.events), now_s, broken)


def story_of(scene: Scene, ending: Ending) -> Story:
    """Of a scene that was played, in a sealed world."""
    return Story(
        scene.scenario,
        tuple(_lines(scene, ending)),
        kept(ending, scene),
        tuple(_clocks(scene)),
        scene.world.store.text(),
    )


def _lines(scene: Scene, ending: Ending) -> list[Line]:
    found = [*_of_world(scene), *_of_journal(scene), *_of_people(scene), *_of_clients(scene)]
    found += [Line(v.at_s, "audit", "violation", f"{v.rule}: {v.what}") for v in ending.violations]
    return sorted(found, key=lambda line: line.at_s)


def _of_world(scene: Scene) -> Iterator[Line]:
    places = _places(scene)
    for at_s, text in scene.world.audit.notes:
        place = next((places[w] for w in _words(text) if w in places), "")
        if text.startswith("FAULT "):
            yield Line(at_s, place, "fault", text.removeprefix("FAULT "))
        else:
            yield Line(at_s, place, "world", text)


def _words(text: str) -> list[str]:
    return [word.rstrip(",:") for word in text.split()]


def _places(scene: Scene) -> dict[str, str]:
    """Host by whatever may be named in a note; the site by the site."""
    world = scene.world
    places = {name: name for name in (*world.network.hosts, *world.estate.sites)}
    places |= {observer.name: observer.host.name for observer in scene.observers}
    for service in world.estate.services:
        for server in world.servers(service):
            places[server.name] = places[f"{service}/{server.name}"] = server.host.name
    return places


def _of_journal(scene: Scene) -> Iterator[Line]:
    offset_s = scene.controllers[0].loop.time() - scene.world.timeline.now_s
    several = len(scene.world.estate.services) > 1
    for event in scene.world.store.all:
        if event.type in _LEFT_OUT:
            continue
        about = f"{event.service}: " if several and event.service else ""
        gates = tuple(event.data.get("gates") or ()) if event.type == ev.DECISION_MADE else ()
        at_s = event.mono_ns / 1e9 - offset_s
        yield Line(at_s, _host(event), _kind(event), about + _text(event), gates)


def _text(event: Event) -> str:
    if event.type == ev.DIAGNOSIS_CHANGED:
        return f"{describe(event)}: {event.data.get('sentence')} (cause: {event.data.get('cause')})"
    return describe(event)


def _host(event: Event) -> str:
    """A boot is named after its host."""
    return event.boot_id.removeprefix("boot-").rpartition("-")[0]


_KINDS: Final = {
    ev.HEALTH_CHANGED: "seen",
    ev.DIAGNOSIS_CHANGED: "diagnosed",
    ev.DECISION_MADE: "decided",
    ev.STEP_INTENT: "step",
    ev.STEP_RESULT: "step",
    ev.UNDO_INTENT: "step",
    ev.UNDO_RESULT: "step",
    ev.CLOCK_MARK: "clock",
}


def _kind(event: Event) -> str:
    return _KINDS.get(event.type, "journal")


def _of_people(scene: Scene) -> Iterator[Line]:
    for controller in scene.controllers:
        for page in controller.pages:
            yield Line(page.at_s, controller.host.name, "page", f"{page.severity}: {page.summary}")


def _of_clients(scene: Scene) -> Iterator[Line]:
    for client in scene.clients:
        for began_s, ended_s in client.gaps:
            yield Line(
                ended_s, client.name, "client", f"writes again, after {ended_s - began_s:.2f} s without one"
            )
        now_s = scene.world.timeline.now_s
        if now_s - client.last_acked_s > 1.0:
            text = f"has written nothing for {now_s - client.last_acked_s:.2f} s"
            yield Line(now_s, client.name, "client", text)


# --- the clocks of its incidents


def _clocks(scene: Scene) -> Iterator[dict[str, Any]]:
    for incident, timings in timings_of(scene).items():
        opened = scene.world.store.read(0, (ev.INCIDENT_OPENED,), None, incident, None)
        yield {
            "incident": incident,
            "service": opened[0].service if opened else None,
            "marks_s": marks_s(timings),
            "rto_s": timings.rto.seconds,
            "phases": timings.phases_json(),
        }


def marks_s(timings: Timings) -> dict[str, float | None]:
    """Seconds after T0; None: not observed."""
    start: Instant | None = timings.marks.get("T0")
    return {name: signed_between(start, timings.marks.get(name)).seconds for name in MARKS[:10]}
