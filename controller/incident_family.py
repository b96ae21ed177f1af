"""Merging and splitting: which incidents people say are one, and which are not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from controller.disaster.declarations import EVENT_TYPES, Declarations
from controller.incident_links import Links
from controller.incidents import CLOSED, Incident, find_incident, fold_incidents
from model import events as ev
from model.errors import UsageError
from model.ports import Journal

Json = dict[str, Any]


class IncidentFamily:
    """On the journal: what is recorded there decides, whoever has it open."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    async def merge(self, root_id: str, part_id: str, reason: str, person: str) -> Json:
        """`part` becomes a part of `root`: one timeline, one report. Raises UsageError where it can't be."""
        events = self._journal.events()
        incidents, links = fold_incidents(events), Links.read(events)
        root, part = find_incident(incidents, root_id), find_incident(incidents, part_id)
        _check_merge(root, part, links)
        await self._journal.append(
            ev.INCIDENT_MERGED,
            {"part": part.id, "reason": reason},
            service=part.service,
            incident=root.id,
            actor=person,
        )
        return {"incident": root.id, "part": part.id, "service": part.service, "merged": person}

    async def split(self, root_id: str, service: str, reason: str, person: str) -> Json:
        """The service's incident goes apart from `root` again; out of a declared disaster the service itself
        goes, whether it has an incident or not. Raises UsageError where there is nothing to split."""
        events = self._journal.events()
        incidents, links = fold_incidents(events), Links.read(events)
        root = find_incident(incidents, root_id)
        _refuse_closed(root)
        if root.service == service:
            raise UsageError(
                f"{root.id} is {service}'s own incident: nothing is left if it is split off",
                hint=_parts_of(root, links, incidents),
            )
        part = _part_of(root, service, links, incidents)
        declaration = Declarations.read(e for e in events if e.type in EVENT_TYPES).known.get(root.id)
        suffers = any(c.service == service for c in root.consequences)
        if part is None and not suffers and (declaration is None or service not in declaration.services):
            raise UsageError(f"{root.id} has no part of {service!r}", hint=_parts_of(root, links, incidents))
        await self._journal.append(
            ev.INCIDENT_SPLIT,
            {"part": part, "reason": reason},
            service=service,
            incident=root.id,
            actor=person,
        )
        return {"incident": root.id, "part": part, "service": service, "split": person}


def _check_merge(root: Incident, part: Incident, links: Links) -> None:
    if root.id == part.id:
        raise UsageError(f"{root.id} can't be merged into itself", hint="name two incidents")
    _refuse_closed(root)
    _refuse_closed(part)
    if root.id in links.family(part.id):
        raise UsageError(
            f"{root.id} is a part of {part.id}: they would go round in a circle",
            hint=f"bcm-failover incident split {part.id} --service {root.service} --reason '…'",
        )
    above = links.root_of.get(part.id)
    if above is not None:
        raise UsageError(
            f"{part.id} is a part of {above} already",
            hint=f"bcm-failover incident split {above} --service {part.service} --reason '…'",
        )
    if root.id in links.root_of:
        top = links.root(root.id)
        raise UsageError(f"{root.id} is itself a part of {top}", hint=f"merge {part.id} into {top}")
    if part.declared and not root.declared:
        raise UsageError(
            f"{part.id} is a declared disaster and can't be a part of an outage",
            hint=f"bcm-failover incident merge {part.id} {root.id} --reason '…'",
        )


def _refuse_closed(incident: Incident) -> None:
    if incident.state == CLOSED:
        raise UsageError(
            f"{incident.id} is closed: its report is signed", hint="`incident list` shows the open ones"
        )


def _part_of(root: Incident, service: str, links: Links, incidents: Mapping[str, Incident]) -> str | None:
    """The service's newest open incident among the parts."""
    family = links.family(root.id)[1:]
    found = [i for i in incidents.values() if i.id in family and i.service == service and i.state != CLOSED]
    return found[-1].id if found else None


def _parts_of(root: Incident, links: Links, incidents: Mapping[str, Incident]) -> str:
    named = [f"{i} ({incidents[i].service})" for i in links.family(root.id)[1:] if i in incidents]
    named += [c.service for c in root.consequences if c.part is None]
    return f"parts: {', '.join(named) or 'none'}"
