"""The smallest scenario that still breaks the same rule: whatever can be left out is, by playing it again.

Every try is a whole scenario, played from its beginning; since the same scenario always ends alike, what
still fails may be kept. It is delta debugging: faults are left out in large portions first, then one by one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

from config.postgresql import of_postgresql
from config.schema import Estate
from controller.simulate.faults import KINDS, FaultEvent
from controller.simulate.phrases import BEGIN_S, WORDS
from controller.simulate.played import Played, played
from controller.simulate.scenario_file import estate_data, scenario_yaml
from controller.simulate.scene import Scenario
from controller.simulate.world import Traits
from model.quorum import format_names, parse_synchronous_standby_names

# So much shorter or earlier is worth a try.
_SHORTEST_S: Final = 0.5
# Moments are written with so many digits, where that makes no difference.
_DIGITS: Final = (0, 1, 2)
# Faults whose value is how long they last.
_BY_VALUE: Final = frozenset(
    word.fault for words in WORDS.values() for word in words.values() if word.lasts == "value"
)


@dataclass(frozen=True, slots=True)
class Shrunk:
    """rules: what it still breaks. finished: nothing more can be left out; else the time was over."""

    scenario: Scenario
    played: Played
    rules: frozenset[str]
    tries: int
    finished: bool


def shrink(
    scenario: Scenario, *, limit_s: float, play: Callable[[Scenario], Played] = played
) -> Shrunk | None:
    """limit_s: of real time. None: it does not fail. Ctrl-C ends it with the smallest so far."""
    return _Shrinking(play, limit_s).run(scenario)


class _Shrinking:
    def __init__(self, play: Callable[[Scenario], Played], limit_s: float) -> None:
        self._play = play
        self._until_s = time.monotonic() + limit_s
        self._tries = 0
        self._tried: set[str] = set()
        self._rules: frozenset[str] = frozenset()

    def run(self, scenario: Scenario) -> Shrunk | None:
        first = self._play(scenario)
        self._rules = first.rules
        if not first.rules:
            return None
        smallest, found, finished = scenario, first, False
        try:
            while not finished:
                smaller = self._smaller(smallest)
                if smaller is None:
                    finished = True
                else:
                    smallest, found = smaller
        except (TimeoutError, KeyboardInterrupt):
            pass
        return Shrunk(smallest, found, found.rules & self._rules, self._tries, finished)

    def _smaller(self, scenario: Scenario) -> tuple[Scenario, Played] | None:
        """The first smaller one that still fails. Raises TimeoutError."""
        for candidate in smaller_ones(scenario):
            text = scenario_yaml(candidate, "")
            if text in self._tried:
                continue
            if time.monotonic() > self._until_s:
                raise TimeoutError
            self._tried.add(text)
            self._tries += 1
            found = self._play(candidate)
            if found.rules & self._rules:
                return candidate, found
        return None


def smaller_ones(scenario: Scenario) -> Iterator[Scenario]:
    """What may be left out, the most first."""
    yield from _fewer_faults(scenario)
    yield from _fewer_services(scenario)
    yield from _fewer_members(scenario)
    yield from _no_observers(scenario)
    yield from _plainer(scenario)
    yield from _shorter(scenario)


def _fewer_faults(scenario: Scenario) -> Iterator[Scenario]:
    events = scenario.events
    size = len(events) // 2
    while size >= 1:
        for first in range(0, len(events), size):
            rest = events[:first] + events[first + size :]
            if rest:
                yield replace(scenario, events=rest)
        size //= 2


# --- a smaller estate


def _fewer_services(scenario: Scenario) -> Iterator[Scenario]:
    services = scenario.estate.services
    for name in services if len(services) > 1 else ():
        data = estate_data(scenario.estate)
        data["services"].pop(name)
        for service in data["services"].values():
            needed = [other for other in service.get("depends_on", []) if other != name]
            service["depends_on"] = needed
        yield from _on(scenario, data)


def _fewer_members(scenario: Scenario) -> Iterator[Scenario]:
    """One standby less, from the last on."""
    for service in scenario.estate.services.values():
        standbys = [m for m in of_postgresql(service).members.values() if m.role.value != "primary"]
        for member in reversed(standbys if len(standbys) > 1 else []):
            data = estate_data(scenario.estate)
            entry = data["services"][service.name]
            entry["members"].pop(member.name)
            if "endpoint" in entry:
                entry["endpoint"]["order"] = [
                    m for m in entry["endpoint"].get("order", []) if m != member.name
                ]
            if _without_name(entry["postgresql"], member.application_name):
                yield from _on(scenario, data)


def _no_observers(scenario: Scenario) -> Iterator[Scenario]:
    if scenario.estate.observers:
        data = estate_data(scenario.estate)
        data.pop("observers")
        yield from _on(scenario, data)


def _without_name(settings: dict[str, Any], name: str) -> bool:
    """False: nothing would be left of the synchronous setting."""
    text = settings.get("synchronous_standby_names", "")
    setting = parse_synchronous_standby_names(text)
    names = [n for n in setting.names if n.lower() != name.lower()]
    if setting.synchronous and not names:
        return False
    if len(names) < len(setting.names):
        settings["synchronous_standby_names"] = format_names(setting.method, setting.k, names)
    return True


def _on(scenario: Scenario, data: dict[str, Any]) -> Iterator[Scenario]:
    """On a smaller estate, with the faults that still have a target; none if none has."""
    used = {m["node"] for s in data["services"].values() for m in s["members"].values()}
    data["nodes"] = {name: node for name, node in data["nodes"].items() if name in used}
    estate = Estate.model_validate(data)
    events = tuple(event for event in scenario.events if _has_target(event, estate))
    if events:
        yield replace(scenario, estate=estate, events=events)


def _has_target(event: FaultEvent, estate: Estate) -> bool:
    match KINDS[event.fault].on:
        case "member":
            service, _, member = event.target.partition("/")
            return service in estate.services and member in estate.services[service].members
        case "node":
            return event.target in estate.nodes
        case "link":
            known = {*estate.nodes, *estate.sites, *estate.observers, "ops", "clients"}
            return set(event.target.split(",")) <= known
        case "observer":
            return event.target in estate.observers
        case _:
            return True


# --- plainer and shorter


def _plainer(scenario: Scenario) -> Iterator[Scenario]:
    traits, plain = scenario.traits, Traits(access=scenario.traits.access, sealed=scenario.traits.sealed)
    if scenario.promote_late_s:
        yield replace(scenario, promote_late_s=0.0)
    if scenario.rewind_fails:
        yield replace(scenario, rewind_fails=False)
    if traits.in_place:
        yield replace(scenario, traits=replace(traits, in_place=False))
    if traits.delays != plain.delays:
        yield replace(scenario, traits=replace(traits, delays=plain.delays))


def _shorter(scenario: Scenario) -> Iterator[Scenario]:
    for index, event in enumerate(scenario.events):
        for changed in _shorter_event(event):
            events = list(scenario.events)
            events[index] = changed
            yield replace(scenario, events=tuple(sorted(events, key=lambda e: e.at_s)))


def _shorter_event(event: FaultEvent) -> Iterator[FaultEvent]:
    later_s = event.at_s - BEGIN_S
    if later_s > _SHORTEST_S:
        yield replace(event, at_s=BEGIN_S)
        yield replace(event, at_s=round(BEGIN_S + later_s / 2, 3))
    if event.for_s > _SHORTEST_S:
        yield replace(event, for_s=round(event.for_s / 2, 3))
    if event.fault in _BY_VALUE and event.value > _SHORTEST_S:
        yield replace(event, value=round(event.value / 2, 3))
    for digits in _DIGITS:
        for rounded in (
            replace(event, at_s=round(event.at_s, digits)),
            replace(event, for_s=round(event.for_s, digits)),
        ):
            if rounded != event and (rounded.for_s > 0) == (event.for_s > 0) and _plain(rounded, event):
                yield rounded


def _plain(rounded: FaultEvent, event: FaultEvent) -> bool:
    """Fewer digits, so that it ends: rounding may make a number larger."""
    return len(f"{rounded.at_s:g}{rounded.for_s:g}") < len(f"{event.at_s:g}{event.for_s:g}")
