"""Which incidents are parts of which: merged and split by people, or found to belong together. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Self

from controller import fields
from model import events as ev
from model.events import Event

EVENT_TYPES: Final = (ev.INCIDENT_MERGED, ev.INCIDENT_SPLIT, ev.INCIDENT_CONSEQUENCE)


@dataclass(frozen=True, slots=True)
class Links:
    """root_of: incident → the one that it is a part of."""

    root_of: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, events: Iterable[Event]) -> Self:
        links = cls()
        for event in events:
            links = links.apply(event)
        return links

    def apply(self, event: Event) -> Self:
        part = fields.optional_text(event.data, "part")
        if part is None or event.incident is None or event.type not in EVENT_TYPES:
            return self
        if event.type == ev.INCIDENT_SPLIT:
            return type(self)({k: v for k, v in self.root_of.items() if k != part})
        found = event.type == ev.INCIDENT_CONSEQUENCE
        if part == self.root(event.incident) or (found and part in self.root_of):
            return self  # what people have put together is not found to belong elsewhere
        return type(self)({**self.root_of, part: event.incident})

    def parts(self, incident: str) -> tuple[str, ...]:
        """Its own ones, in the order in which they became parts."""
        return tuple(part for part, root in self.root_of.items() if root == incident)

    def family(self, incident: str) -> tuple[str, ...]:
        """It with its parts and theirs; each once, whatever a journal says."""
        found = [incident]
        for member in found:
            found += [part for part in self.parts(member) if part not in found]
        return tuple(found)

    def root(self, incident: str) -> str:
        """The one that it is a part of in the end; itself where it is none."""
        seen = [incident]
        while (above := self.root_of.get(seen[-1])) is not None and above not in seen:
            seen.append(above)
        return seen[-1]
