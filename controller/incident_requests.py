"""What a person does to an open incident: acknowledges it, says that it was reported, closes it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from config.levels import Levels
from controller.supervisor.supervisor import Supervisor
from model import events as ev
from model.errors import HeldError, UsageError

Json = dict[str, Any]


def require_office(levels: Levels, level: str, person: str) -> None:
    """An incident's level is confirmed by an office. One that people hold binds: HeldError for others."""
    office = levels.duties(level).confirmed_by
    holders = levels.offices.get(office, ())
    if holders and person not in holders:
        raise HeldError(
            f"an incident of level {level} is confirmed by the {office}",
            gate="approval",
            hint=f"one of: {', '.join(holders)}",
        )


class IncidentRequests:
    """On the supervisor whose incident it is. Raises UsageError where no incident of this id is open."""

    def __init__(self, supervisors: Iterable[Supervisor], incident: str) -> None:
        found = [s for s in supervisors if s.ledger.incident_id == incident]
        if not found:
            raise UsageError(
                f"no open incident {incident!r}",
                hint="`bcm-failover incident list` prints those that there are",
            )
        self._supervisor = found[0]
        self._incident = incident

    async def acknowledge(self, comment: str, person: str) -> Json:
        """Confirms it and its level. Where people hold the office that confirms, one of them must."""
        async with self._supervisor.turn:
            incident = self._supervisor.ledger.incident
            level = incident.level if incident is not None else "III"
            require_office(self._supervisor.estate.levels, level, person)
            await self._supervisor.append(ev.INCIDENT_ACKNOWLEDGED, {"comment": comment}, actor=person)
        return self._answer(acknowledged=person)

    async def reported(self, to: str, comment: str, person: str) -> Json:
        async with self._supervisor.turn:
            data = {"to": to, "comment": comment}
            await self._supervisor.append(ev.INCIDENT_REPORTED, data, actor=person)
        return self._answer(reported=to)

    async def close(self, reason: str, person: str) -> Json:
        """Without redundancy (T9) only with a reason. Not while it is still an outage, or something runs."""
        supervisor = self._supervisor
        async with supervisor.turn:
            incident = supervisor.ledger.incident
            if incident is None or not incident.recovered:
                raise HeldError("the service is still out", gate="diagnosis", hint="recover it first")
            if supervisor.busy or supervisor.ledger.open_executions:
                raise HeldError(
                    "an execution of it is open", gate="execution", hint="resume or abort it first"
                )
            await supervisor.desk.close(self._incident, reason, person)
        return self._answer(closed=person)

    def _answer(self, **done: str) -> Json:
        return {"service": self._supervisor.service.name, "incident": self._incident, **done}
