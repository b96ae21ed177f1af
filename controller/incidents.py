"""Incidents as the journal tells them: a fold over its events, the same with the daemon alive or dead.

An incident is `open` until the service works again, then `recovered`, and `closed` once redundancy is back or
a person closed it. Its level only rises. What its executions, approvals and pages wrote belongs to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from controller import fields
from controller.consequences import Consequence, Consequences
from controller.incident_links import Links
from controller.phases import Instant, Timings, read_timings
from controller.verdict import RpoVerdict
from model import events as ev
from model.errors import UsageError
from model.events import Event
from model.level import higher_level

OPEN: Final = "open"
RECOVERED: Final = "recovered"
CLOSED: Final = "closed"

_MACHINES: Final = frozenset({"", "daemon"})


@dataclass(frozen=True, slots=True)
class CodeSeen:
    """A diagnosis of the incident, from `at` on."""

    code: str
    member: str | None
    confirmed: bool
    at: Instant
    seq: int


@dataclass(frozen=True, slots=True)
class Override:
    rule: str
    reason: str
    person: str
    at: Instant


@dataclass(frozen=True, slots=True)
class Duty:
    """What a person did, or did not do in time. kind: acknowledged, reported or missed."""

    kind: str
    person: str
    text: str
    at: Instant


@dataclass(frozen=True, slots=True)
class Page:
    """A page and what became of it. `delivered`, `failed`: channels, each once."""

    id: str
    severity: str
    summary: str
    queued: Instant | None
    delivered: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Incident:
    """One outage, one switch by hand, or one declared disaster. `diagnosis`: the one that opened it; `frozen`
    its frozen facts. verdicts: of each execution that moved the service, the newest last. people: who did
    anything in it. declared: {tier, scope, reason, person, services, plan}, of a disaster; empty else.
    consequences: services that suffer from its root too. part_of, parts: see `controller.incident_links`."""

    id: str
    service: str | None
    opened: Instant
    opened_seq: int
    state: str
    level: str
    manual: bool
    diagnosis: Mapping[str, Any]
    frozen: Mapping[str, Any]
    timings: Timings
    codes: tuple[CodeSeen, ...] = ()
    recovered: Instant | None = None
    closed: Instant | None = None
    close_reason: str = ""
    primary: str | None = None
    executions: tuple[str, ...] = ()
    verdicts: tuple[tuple[str | None, RpoVerdict], ...] = ()
    overrides: tuple[Override, ...] = ()
    pages: tuple[Page, ...] = ()
    duties: tuple[Duty, ...] = ()
    people: tuple[str, ...] = ()
    consequences: tuple[Consequence, ...] = ()
    declared: Mapping[str, Any] = field(default_factory=dict)
    part_of: str | None = None
    parts: tuple[str, ...] = ()
    events: tuple[Event, ...] = field(default=(), repr=False)

    @property
    def code(self) -> str:
        return fields.text(self.diagnosis, "code")

    @property
    def root(self) -> str | None:
        """Where it comes from, as it was found last; None: it is nobody's consequence."""
        if self.consequences:
            return self.consequences[-1].root
        found = [fields.text(_root(event), "key") for event in self.events]
        return next((key for key in reversed(found) if key), None)

    @property
    def verdict(self) -> RpoVerdict | None:
        return self.verdicts[-1][1] if self.verdicts else None


def fold_incidents(events: Iterable[Event]) -> dict[str, Incident]:
    """All incidents by id, in the order in which they were opened. events: of the whole journal, in order."""
    grouped: dict[str, list[Event]] = {}
    incident_of_execution: dict[str, str] = {}
    incident_of_page: dict[str, str] = {}
    consequences, links = Consequences(), Links()
    for event in events:
        consequences.apply(event)
        links = links.apply(event)
        incident = event.incident or None
        if event.type in ev.INCIDENT_OPENINGS and incident is not None:
            grouped.setdefault(incident, [])
        if event.type == ev.EXECUTION_OPENED and event.execution and incident:
            incident_of_execution[event.execution] = incident
        page = fields.text(event.data, "page")
        if event.type == ev.PAGE_QUEUED and incident and page:
            incident_of_page[page] = incident
        if incident is None:
            incident = incident_of_execution.get(event.execution or "") or incident_of_page.get(page)
        if incident in grouped:
            grouped[incident].append(event)
    return {
        key: replace(
            _fold(key, records),
            consequences=tuple(consequences.of.get(key, ())),
            part_of=links.root_of.get(key),
            parts=links.parts(key),
        )
        for key, records in grouped.items()
    }


def list_incidents(events: Iterable[Event]) -> list[dict[str, Any]]:
    """One JSON-ready row per incident, the newest first. What is a part of another one has none of its
    own: it is listed there, and `state` and `level` are those of the whole."""
    incidents = fold_incidents(events)
    return [
        _whole(incident, incidents) for incident in reversed(incidents.values()) if incident.part_of is None
    ]


def _whole(incident: Incident, incidents: Mapping[str, Incident]) -> dict[str, Any]:
    row = _row(incident)
    parts = all_parts(incident, incidents)
    for part in parts:
        row["level"] = higher_level(row["level"], part.level)
    states = {row["state"], *(part.state for part in parts)}
    row["state"] = next(state for state in (OPEN, RECOVERED, CLOSED) if state in states)
    return row


def all_parts(incident: Incident, incidents: Mapping[str, Incident]) -> list[Incident]:
    """Its parts and theirs, each once."""
    found: dict[str, Incident] = {}
    left = list(incident.parts)
    while left:
        part = incidents.get(left.pop(0))
        if part is not None and part.id != incident.id and part.id not in found:
            found[part.id] = part
            left += part.parts
    return list(found.values())


def show_incident(events: Iterable[Event], incident_id: str) -> dict[str, Any]:
    """One incident, JSON-ready. Raises UsageError if the journal knows no such one."""
    return incident_json(find_incident(fold_incidents(events), incident_id))


def find_incident(incidents: Mapping[str, Incident], incident_id: str) -> Incident:
    """Raises UsageError if there is no such one."""
    found = incidents.get(incident_id)
    if found is None:
        raise UsageError(
            f"no incident {incident_id!r} in the journal",
            hint="`bcm-failover incident list` prints those that there are",
        )
    return found


def incident_json(incident: Incident) -> dict[str, Any]:
    """The row of `list_incidents` with codes, clock, verdicts, overrides, pages and people."""
    return {
        **_row(incident),
        "diagnosis": dict(incident.diagnosis),
        "codes": [
            {"code": c.code, "member": c.member, "confirmed": c.confirmed, "at_utc": c.at.wall_utc}
            for c in incident.codes
        ],
        "timings": incident.timings.to_json(),
        "verdicts": [{"execution": e, "label": v.label, **v.to_json()} for e, v in incident.verdicts],
        "overrides": [
            {"rule": o.rule, "reason": o.reason, "person": o.person, "at_utc": o.at.wall_utc}
            for o in incident.overrides
        ],
        "pages": [
            {
                "page": p.id,
                "severity": p.severity,
                "summary": p.summary,
                "queued_utc": p.queued.wall_utc if p.queued else None,
                "delivered": list(p.delivered),
                "failed": list(p.failed),
            }
            for p in incident.pages
        ],
        "duties": [
            {"kind": d.kind, "person": d.person, "text": d.text, "at_utc": d.at.wall_utc}
            for d in incident.duties
        ],
        "people": list(incident.people),
        "declared": dict(incident.declared) or None,
        "frozen": dict(incident.frozen),
        "close_reason": incident.close_reason,
    }


def _row(incident: Incident) -> dict[str, Any]:
    verdict = incident.verdict
    return {
        "id": incident.id,
        "service": incident.service,
        "state": incident.state,
        "level": incident.level,
        "code": incident.code,
        "sentence": fields.text(incident.diagnosis, "sentence"),
        "sentence_zh": fields.text(incident.diagnosis, "sentence_zh"),
        "manual": incident.manual,
        "primary": incident.primary,
        "opened_utc": incident.opened.wall_utc,
        "recovered_utc": incident.recovered.wall_utc if incident.recovered else None,
        "closed_utc": incident.closed.wall_utc if incident.closed else None,
        "rto_s": incident.timings.rto.seconds,
        "rpo": verdict.label if verdict else None,
        "executions": list(incident.executions),
        "overridden": [o.rule for o in incident.overrides],
        "root": incident.root,
        "consequences": [c.to_json() for c in incident.consequences],
        "tier": incident.declared.get("tier"),
        "scope": _scope(incident),
        "part_of": incident.part_of,
        "parts": list(incident.parts),
    }


def _scope(incident: Incident) -> str | None:
    scope = fields.mapping(incident.declared, "scope")
    return f"{scope.get('kind')} {scope.get('name')}" if scope else None


def _declared(opened: Event) -> Mapping[str, Any]:
    if opened.type != ev.INCIDENT_DECLARED:
        return {}
    told = {key: opened.data.get(key) for key in ("tier", "scope", "reason", "services", "plan")}
    return {**told, "person": opened.actor}


def _fold(incident_id: str, records: Sequence[Event]) -> Incident:
    opened = records[0]
    diagnosis = fields.mapping(opened.data, "diagnosis")
    incident = Incident(
        id=incident_id,
        service=opened.service,
        opened=Instant.of(opened),
        opened_seq=opened.seq,
        state=OPEN,
        level=fields.text(opened.data, "level", "III"),
        manual=opened.data.get("manual") is True,
        diagnosis=diagnosis,
        frozen=fields.mapping(opened.data, "frozen"),
        timings=read_timings(records),
        declared=_declared(opened),
        codes=(_code(diagnosis, opened),),
        events=tuple(records),
    )
    pages: dict[str, Page] = {}
    for event in records:
        incident = _apply(incident, event)
        _page(pages, event)
    return replace(incident, pages=tuple(pages.values()), people=_people(records))


def _apply(incident: Incident, event: Event) -> Incident:
    data = event.data
    match event.type:
        case ev.DIAGNOSIS_CHANGED:
            level = higher_level(incident.level, fields.text(data, "level"))
            return replace(incident, level=level, codes=(*incident.codes, _code(data, event)))
        case ev.INCIDENT_LEVEL:
            return replace(incident, level=higher_level(incident.level, fields.text(data, "level")))
        case ev.INCIDENT_ACKNOWLEDGED | ev.INCIDENT_REPORTED | ev.DEADLINE_MISSED:
            return replace(incident, duties=(*incident.duties, _duty(event)))
        case ev.INCIDENT_RECOVERED:
            primary = fields.optional_text(data, "primary")
            state = CLOSED if incident.state == CLOSED else RECOVERED
            return replace(incident, state=state, recovered=Instant.of(event), primary=primary)
        case ev.INCIDENT_CLOSED:
            reason = fields.text(data, "reason")
            return replace(incident, state=CLOSED, closed=Instant.of(event), close_reason=reason)
        case ev.EXECUTION_OPENED if event.execution is not None:
            return replace(incident, executions=(*incident.executions, event.execution))
        case ev.RPO_VERDICT:
            verdict = (event.execution, RpoVerdict.from_json(data))
            return replace(incident, verdicts=(*incident.verdicts, verdict))
        case ev.OVERRIDE_RECORDED:
            rule, reason, person = (fields.text(data, k) for k in ("rule", "reason", "person"))
            override = Override(rule, reason, person or event.actor, Instant.of(event))
            return replace(incident, overrides=(*incident.overrides, override))
        case _:
            return incident


def _root(event: Event) -> Mapping[str, Any]:
    """Of the diagnosis that the event is, or has in it."""
    match event.type:
        case ev.DIAGNOSIS_CHANGED:
            return fields.mapping(event.data, "root")
        case ev.INCIDENT_OPENED:
            return fields.mapping(fields.mapping(event.data, "diagnosis"), "root")
        case _:
            return {}


def _duty(event: Event) -> Duty:
    data, at = event.data, Instant.of(event)
    match event.type:
        case ev.INCIDENT_ACKNOWLEDGED:
            return Duty("acknowledged", event.actor, fields.text(data, "comment"), at)
        case ev.INCIDENT_REPORTED:
            text = f"to {fields.text(data, 'to')}"
            comment = fields.text(data, "comment")
            return Duty("reported", event.actor, f"{text}: {comment}" if comment else text, at)
        case _:
            within_min = (fields.integer(data, "within_ms") or 0) / 60_000
            text = f"{fields.text(data, 'what')} by or to the {fields.text(data, 'office')}"
            return Duty("missed", "", f"{text} within {within_min:g} min", at)


def _code(diagnosis: Mapping[str, Any], event: Event) -> CodeSeen:
    return CodeSeen(
        fields.text(diagnosis, "code"),
        fields.optional_text(diagnosis, "member"),
        diagnosis.get("confirmed") is True,
        Instant.of(event),
        event.seq,
    )


def _page(pages: dict[str, Page], event: Event) -> None:
    """What the event says of a page, written into `pages`."""
    key = fields.text(event.data, "page")
    if event.type == ev.PAGE_QUEUED:
        severity, summary = fields.text(event.data, "severity"), fields.text(event.data, "summary")
        pages[key] = Page(key, severity, summary, Instant.of(event))
    elif event.type in (ev.PAGE_DELIVERED, ev.PAGE_FAILED):
        page = pages.get(key) or Page(key, "", "", None)
        channel = fields.text(event.data, "channel")
        if event.type == ev.PAGE_DELIVERED:
            pages[key] = replace(page, delivered=tuple(dict.fromkeys((*page.delivered, channel))))
        else:
            pages[key] = replace(page, failed=tuple(dict.fromkeys((*page.failed, channel))))


def _people(records: Sequence[Event]) -> tuple[str, ...]:
    """Everyone who wrote a record or is named in one as the person who did it, in order."""
    named: dict[str, None] = {}
    for event in records:
        for person in (event.actor, fields.text(event.data, "person")):
            if person not in _MACHINES:
                named[person] = None
    return tuple(named)
