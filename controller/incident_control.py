"""All that people do to incidents, for the API: one service's, a declared disaster's, or several as one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from config.schema import Estate
from controller.disaster.declarations import Declaration
from controller.disaster.desk import DisasterDesk
from controller.disaster.progress import Progress
from controller.disaster.requests import Declaring, DisasterRequests
from controller.incident_family import IncidentFamily
from controller.incident_requests import IncidentRequests
from controller.supervisor.open_incident import OpenIncident
from controller.supervisor.supervisor import Supervisor
from model.errors import HeldError, UsageError
from model.ports import Journal

Json = dict[str, Any]


class IncidentControl:
    """supervisors: the daemon's own mapping. requests, estate: of the estate in force."""

    def __init__(
        self,
        supervisors: dict[str, Supervisor],
        journal: Journal,
        desk: DisasterDesk,
        *,
        requests: Callable[[], DisasterRequests],
        estate: Callable[[], Estate],
        leads: Callable[[], bool],
    ) -> None:
        self._supervisors = supervisors
        self._desk = desk
        self._requests = requests
        self._estate = estate
        self._leads = leads
        self._family = IncidentFamily(journal)

    def declared(self) -> list[Declaration]:
        """Those that are open."""
        return list(self._desk.declarations.open())

    def elapsed_s(self, declaration: Declaration) -> int:
        return int(self._desk.elapsed_s(declaration))

    def progress(self, declaration: Declaration) -> Progress:
        return self._desk.progress(declaration)

    def estate(self) -> Estate:
        return self._estate()

    def root_of(self, incident: str) -> str | None:
        """The one that it is a part of."""
        return self._desk.links.root_of.get(incident)

    async def declare(self, wish: Declaring, *, dry_run: bool) -> Json:
        return await self._requests().declare(wish, self._estate(), leads=self._leads(), dry_run=dry_run)

    def site_plan(self, site: str, *, back: bool, person: str) -> Json:
        """Of planned work at a site. Raises UsageError."""
        plan = self._requests().moves(self._estate(), site, back=back, person=person)
        return {"site": site, "direction": "return" if back else "leave", **plan.to_json()}

    def plan(self, incident: str) -> Json:
        """The site plan and how far it has come. Raises UsageError for an incident that nobody declared."""
        declaration = self._desk.declarations.known.get(incident)
        if declaration is None:
            raise UsageError(
                f"{incident} has no site plan: it is no declared disaster",
                hint="`bcm-failover incident list` shows which are",
            )
        return self._desk.progress(declaration).to_json()

    async def acknowledge(self, incident: str, comment: str, person: str) -> Json:
        declaration = self._requests().declaration(incident)
        if declaration is not None:
            return await self._requests().acknowledge(declaration, self._estate(), comment, person)
        return await self._of_service(incident).acknowledge(comment, person)

    async def reported(self, incident: str, to: str, comment: str, person: str) -> Json:
        declaration = self._requests().declaration(incident)
        if declaration is not None:
            return await self._requests().reported(declaration, to, comment, person)
        return await self._of_service(incident).reported(to, comment, person)

    async def close(self, incident: str, reason: str, person: str) -> Json:
        """With its parts. Raises HeldError where one of them is still out."""
        declaration = self._requests().declaration(incident)
        if declaration is not None:
            return await self._requests().close(declaration, reason, person)
        requests = self._of_service(incident)
        parts = self._open_parts(incident)
        for part, supervisor in parts:
            if not part.recovered or supervisor.busy or supervisor.ledger.open_executions:
                name = supervisor.service.name
                raise HeldError(
                    f"{part.id} ({name}), a part of it, is still open",
                    gate="diagnosis",
                    hint=f"recover {name} first, or split it: bcm-failover incident split {incident} "
                    f"--service {name} --reason '…'",
                )
        closed = await requests.close(reason, person)
        for part, _ in parts:
            await self._of_service(part.id).close(f"closed with {incident}: {reason}", person)
        return {**closed, "closed_with_it": [part.id for part, _ in parts], "still_open": []}

    async def merge(self, incident: str, part: str, reason: str, person: str) -> Json:
        return await self._family.merge(incident, part, reason, person)

    async def split(self, incident: str, service: str, reason: str, person: str) -> Json:
        done = await self._family.split(incident, service, reason, person)
        if service in self._supervisors:
            self._supervisors[service].wake()
        return done

    def _open_parts(self, incident: str) -> list[tuple[OpenIncident, Supervisor]]:
        family = self._desk.links.family(incident)[1:]
        return [
            (s.ledger.incident, s)
            for s in self._supervisors.values()
            if s.ledger.incident is not None and s.ledger.incident.id in family
        ]

    def _of_service(self, incident: str) -> IncidentRequests:
        return IncidentRequests(self._supervisors.values(), incident)
