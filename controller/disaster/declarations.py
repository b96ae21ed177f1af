"""The declared disasters as the journal tells of them: a fold, the same before and after a restart. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from controller import fields
from controller.site_plan import SitePlan, Step
from controller.supervisor.open_incident import OpenIncident
from model import events as ev
from model.disaster import Scope, Tier
from model.events import Event

# The one that counts where several concern a service: what may not even be asked for first.
_GRAVEST_FIRST: Final = (Tier.MAN_MADE, Tier.NATURAL, Tier.EXTERNAL)


@dataclass(frozen=True, slots=True)
class Declaration:
    """services: those that it concerns now, without those that were split off. leaving: of each, the members
    at the place. plan: as it was made at the declaration. incident: None once it is closed."""

    id: str
    seq: int
    tier: Tier
    scope: Scope
    reason: str
    person: str
    services: tuple[str, ...]
    leaving: Mapping[str, tuple[str, ...]]
    plan: SitePlan
    incident: OpenIncident | None

    @property
    def open(self) -> bool:
        return self.incident is not None

    @property
    def steps(self) -> tuple[Step, ...]:
        """Of the services that it still concerns, in the order of the plan."""
        return tuple(step for step in self.plan.steps if step.service in self.services)

    def step(self, service: str) -> Step | None:
        return self.plan.step(service) if service in self.services else None

    @classmethod
    def declared_by(cls, event: Event) -> Declaration | None:
        """None for one of a newer version, of a tier that is not known here."""
        data, scope = event.data, fields.mapping(event.data, "scope")
        try:
            tier = Tier(fields.text(data, "tier"))
        except ValueError:
            return None
        return cls(
            id=event.incident or "",
            seq=event.seq,
            tier=tier,
            scope=Scope(fields.text(scope, "kind"), fields.text(scope, "name")),
            reason=fields.text(data, "reason"),
            person=event.actor,
            services=tuple(fields.texts(data, "services")),
            leaving={k: tuple(fields.texts(fields.mapping(data, "leaving"), k))
                     for k in fields.mapping(data, "leaving")},
            plan=SitePlan.from_json(fields.mapping(data, "plan")),
            incident=OpenIncident.opened_by(event),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Declarations:
    """All of them, by the id of their incident. seq: of the last event that is in it."""

    known: Mapping[str, Declaration] = field(default_factory=dict)
    seq: int = 0

    @classmethod
    def read(cls, events: Iterable[Event]) -> Declarations:
        declarations = cls()
        for event in events:
            declarations = declarations.apply(event)
        return declarations

    def open(self) -> tuple[Declaration, ...]:
        return tuple(d for d in self.known.values() if d.open)

    def of_service(self, service: str) -> Declaration | None:
        """The open one that counts for it: the gravest, and of equals the first."""
        concerned = [d for d in self.known.values() if d.open and service in d.services]
        return min(concerned, key=lambda d: (_GRAVEST_FIRST.index(d.tier), d.seq), default=None)

    def apply(self, event: Event) -> Declarations:
        step = _STEPS.get(event.type)
        known = self.known if step is None or event.incident is None else step(self.known, event)
        return replace(self, known=known, seq=max(self.seq, event.seq))


_Known = Mapping[str, Declaration]


def _declared(known: _Known, event: Event) -> _Known:
    declaration = Declaration.declared_by(event)
    return known if declaration is None else {**known, declaration.id: declaration}


def _split(known: _Known, event: Event) -> _Known:
    found = known.get(event.incident or "")
    if found is None:
        return known
    left = tuple(s for s in found.services if s != event.service)
    return {**known, found.id: replace(found, services=left)}


def _noted(known: _Known, event: Event) -> _Known:
    """What is recorded of its incident; None is left of it when it is closed."""
    found = known.get(event.incident or "")
    if found is None or found.incident is None:
        return known
    return {**known, found.id: replace(found, incident=found.incident.apply(event))}


_STEPS: Final[dict[str, Callable[[_Known, Event], _Known]]] = {
    ev.INCIDENT_DECLARED: _declared,
    ev.INCIDENT_SPLIT: _split,
    ev.INCIDENT_LEVEL: _noted,
    ev.INCIDENT_ACKNOWLEDGED: _noted,
    ev.INCIDENT_REPORTED: _noted,
    ev.DEADLINE_MISSED: _noted,
    ev.INCIDENT_CLOSED: _noted,
}
EVENT_TYPES: Final = tuple(_STEPS)
