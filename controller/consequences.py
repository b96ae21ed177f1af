"""Services that suffer from the root of another's incident. Pure."""

from __future__ import annotations

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
    """A fold: of each incident that leads, what suffers from its root too. What a person takes apart is no
    consequence any more."""

    of: dict[str, list[Consequence]] = field(default_factory=dict)

    def apply(self, event: Event) -> None:
        incident = event.incident
        if incident is None:
            return
        if event.type == ev.INCIDENT_CONSEQUENCE:
            data = event.data
            told = Consequence(
                fields.text(data, "service"), fields.optional_text(data, "part"), fields.text(data, "code"),
                fields.text(data, "root"), Instant.of(event),
            )  # fmt: skip
            self.of.setdefault(incident, []).append(told)
        elif event.type == ev.INCIDENT_SPLIT:
            self.of[incident] = [c for c in self.of.get(incident, ()) if c.service != event.service]
