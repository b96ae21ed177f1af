"""The open incident's level, raised by rules and never lowered, and what people owe it in time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from config.durations import format_duration
from config.levels import Levels
from config.services import Importance
from controller.levels import owed, raised
from controller.supervisor.open_incident import OpenIncident
from controller.supervisor.pages import Told
from model import events as ev

Append = Callable[[str, dict[str, Any]], Awaitable[Any]]


class Escalation:
    """One per service, called in its turns, and one per declared disaster. A switch by hand is no outage: it
    stays as it is. scope: `site` or `service`, what is out."""

    def __init__(
        self, levels: Levels, importance: Importance, append: Append, tell: Callable[[Told], object]
    ) -> None:
        self._levels = levels
        self._importance = importance
        self._append = append
        self._tell = tell

    async def turn(self, incident: OpenIncident | None, scope: str, elapsed_s: float) -> None:
        if incident is None or incident.manual:
            return
        level = incident.level
        if not incident.recovered:
            level = await self._raise(incident, scope, elapsed_s)
        await self._remind(incident, level, elapsed_s)

    async def _raise(self, incident: OpenIncident, scope: str, elapsed_s: float) -> str:
        found = raised(self._levels, incident.level, scope, self._importance, elapsed_s)
        if found is None:
            return incident.level
        level, why = found
        duties = self._levels.duties(level)
        await self._append(ev.INCIDENT_LEVEL, {"level": level, "from": incident.level, "why": why})
        self._tell(
            Told(
                "page",
                f"level raised from {incident.level} to {level}: {why}",
                f"commander: {self._office(duties.commander)}; to be confirmed by the "
                f"{self._office(duties.confirmed_by)}, reported to the {self._office(duties.reported_to)}",
            )
        )
        return level

    async def _remind(self, incident: OpenIncident, level: str, elapsed_s: float) -> None:
        due = owed(
            self._levels,
            level,
            elapsed_s,
            confirmed=incident.acknowledged is not None,
            reported=incident.reported is not None,
        )
        for late in due:
            what, within_s, office = late.what, late.within_s, late.office
            if late.left_s >= 0 or (what, level) in incident.missed:
                continue
            data = {"what": what, "level": level, "within_ms": int(within_s * 1000), "office": office}
            await self._append(ev.DEADLINE_MISSED, data)
            verb = "acknowledge" if what == "confirmation" else "reported"
            self._tell(
                Told(
                    "page",
                    f"no {what} within {format_duration(within_s)} (level {level}): {self._office(office)}",
                    f"`bcm-failover incident {verb} {incident.id}` says that it was done",
                )
            )

    def _office(self, office: str) -> str:
        """The office with who holds it."""
        people = self._levels.offices.get(office, ())
        return f"{office} ({', '.join(people)})" if people else office
