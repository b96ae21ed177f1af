"""Incidents that are consequences of one root: which leads, and who belongs to it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from controller import fields
from controller.phases import Instant
from model import events as ev
from model.events import Event


@dataclass(frozen=True, slots=True)
class Consequence:
    """A service that suffers from the root of another's incident. part: its own incident; None: it has opened
    none, as one that only waits for what it needs. root: `site/dc1`, `node/db1`, `service/orders`…"""

    service: str
    part: str | None
    code: str
    root: str
    at: Instant

    def to_json(self) -> dict[str, Any]:
        return {
            "service": self.service,
            "incident": self.part,
            "code": self.code or None,
            "root": self.root,
            "at_utc": self.at.wall_utc,
        }


@dataclass(slots=True)
class Consequences:
    """A fold: of each incident that leads, what belongs to it; of each that belongs to one, which."""

    of: dict[str, list[Consequence]] = field(default_factory=dict)
    part_of: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, events: Iterable[Event]) -> Consequences:
        found = cls()
        for event in events:
            found.apply(event)
        return found

    def apply(self, event: Event) -> None:
        if event.type != ev.INCIDENT_CONSEQUENCE or event.incident is None:
            return
        data: Mapping[str, Any] = event.data
        part = fields.optional_text(data, "part")
        told = Consequence(
            fields.text(data, "service"), part, fields.text(data, "code"), fields.text(data, "root"),
            Instant.of(event),
        )  # fmt: skip
        self.of.setdefault(event.incident, []).append(told)
        if part is not None:
            self.part_of[part] = event.incident
