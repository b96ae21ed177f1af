"""A page, and what a channel is that carries it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Protocol

# page: somebody has to act now. warning: somebody should look. info: somebody will want to know.
SEVERITIES: Final = ("page", "warning", "info")


@dataclass(frozen=True, slots=True)
class Audience:
    """Whom a page is for: the level of its incident, and the ids of those who hold the offices of it."""

    level: str
    people: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Page:
    """What people are told. `queued_utc` is ISO 8601; texts carry no secrets. level, people: see `Audience`;
    '' and none of a page that belongs to no incident."""

    id: str
    severity: str
    summary: str
    detail: str
    service: str | None
    incident: str | None
    queued_utc: str
    level: str = ""
    people: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {
            "page": self.id,
            "severity": self.severity,
            "summary": self.summary,
            "detail": self.detail,
            "service": self.service,
            "incident": self.incident,
            "queued": self.queued_utc,
            "level": self.level or None,
            "people": list(self.people),
        }


class DeliveryError(Exception):
    """The channel did not take the page; worth another try. The text goes into the journal: no secrets."""


class Channel(Protocol):
    """One way to reach people."""

    @property
    def name(self) -> str: ...

    async def deliver(self, page: Page) -> None:
        """Returns when the other side has taken it. Raises DeliveryError; bounded in time by itself."""
        ...
