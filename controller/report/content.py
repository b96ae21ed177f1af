"""The report as data: what `incident report --format json` prints and the page is written from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from controller import fields
from controller.executions import execution_json, fold_executions
from controller.incidents import Incident, all_parts, find_incident, fold_incidents, incident_json
from controller.phases import MARKS, Instant, signed_between
from controller.report.timeline import describe
from model import events as ev
from model.events import Event

API_VERSION: Final = "bcm-failover/v1"
Json = dict[str, Any]


def report_json(events: Iterable[Event], incident_id: str) -> Json:
    """The whole report of one incident; times in seconds. events: of the whole journal, in order.

    What the journal does not hold is null, never 0. Raises UsageError if the journal knows no such incident.
    """
    journal = list(events)
    incidents = fold_incidents(journal)
    incident = find_incident(incidents, incident_id)
    parts = all_parts(incident, incidents)
    summary = incident_json(incident)
    runs = fold_executions(journal)
    t0 = incident.timings.marks.get("T0")
    decisions = _decisions(incident, t0)
    return {
        "apiVersion": API_VERSION,
        "kind": "IncidentReport",
        "overrides": summary.pop("overrides"),
        "incident": {key: summary[key] for key in summary if key not in _ELSEWHERE},
        "objectives": _objectives(incident),
        "rto": _rto(incident),
        "rpo": _rpo(incident),
        "diagnosis": _diagnoses(incident, t0),
        "decisions": decisions,
        "held": [d for d in decisions if d.get("verb") in ("hold", "ask") or d.get("would") is True],
        "executions": [execution_json(runs[e]) for e in incident.executions if e in runs],
        "approvals": _approvals(incident),
        "people": list(dict.fromkeys(p for i in (incident, *parts) for p in i.people)),
        "pages": summary["pages"],
        "parts": [_part(part) for part in parts],
        "plan": _plan(journal, incident),
        "timeline": [_line(e, t0) for e in _of_the_family(incident, parts)],
        "frozen": _frozen(incident, [runs[e].digest for e in incident.executions if e in runs]),
        "clocks": _clocks(incident.events),
        "journal": _journal(incident),
    }


_ELSEWHERE: Final = frozenset(
    {"verdicts", "timings", "diagnosis", "codes", "pages", "people", "frozen", "overridden"}
)


def _objectives(incident: Incident) -> Json:
    stated = fields.mapping(incident.frozen, "objectives")
    known = {name: fields.integer(stated, f"{name}_ms") for name in ("rto", "rpo", "mtpd")}
    return {f"{name}_s": None if ms is None else ms / 1000 for name, ms in known.items()}


def _rto(incident: Incident) -> Json:
    timings, target_s = incident.timings, _objectives(incident)["rto_s"]
    actual_s = timings.rto.seconds
    t0 = timings.marks.get("T0")
    return {
        "target_s": target_s,
        "actual_s": actual_s,
        "from_first_bad_s": timings.rto_from_first_bad.seconds,
        "met": None if target_s is None or actual_s is None else actual_s <= target_s,
        "note": timings.rto.note,
        "estimated": timings.estimated,
        "estimated_error_us": timings.rto.error_us,
        "phases": {name: span.seconds for name, span in timings.phases.items()},
        "human_wait_s": timings.human_wait.seconds,
        "below_copies_s": timings.below_copies.seconds,
        "first_bad_utc": timings.first_bad.wall_utc if timings.first_bad else None,
        "marks": {name: _mark(timings.marks.get(name), t0) for name in MARKS},
    }


def _mark(mark: Instant | None, t0: Instant | None) -> Json | None:
    return None if mark is None else {"at_utc": mark.wall_utc, "since_t0_s": signed_between(t0, mark).seconds}


def _rpo(incident: Incident) -> Json:
    """The last verdict; earlier ones beside it, since each stands for a run of its own."""
    verdicts = [{"execution": e, "label": v.label, **v.to_json()} for e, v in incident.verdicts]
    target_s = _objectives(incident)["rpo_s"]
    if not verdicts:
        return {"target_s": target_s, "verdict": None, "label": None, "earlier": []}
    last = verdicts[-1]
    return {"target_s": target_s, **last, "earlier": verdicts[:-1]}


def _diagnoses(incident: Incident, t0: Instant | None) -> Json:
    changes = [
        {
            **dict(e.data),
            "at_utc": Instant.of(e).wall_utc,
            "since_t0_s": signed_between(t0, Instant.of(e)).seconds,
        }
        for e in incident.events
        if e.type == ev.DIAGNOSIS_CHANGED
    ]
    return {"opening": dict(incident.diagnosis), "changes": changes}


def _decisions(incident: Incident, t0: Instant | None) -> list[Json]:
    return [
        {
            **dict(e.data),
            "at_utc": Instant.of(e).wall_utc,
            "since_t0_s": signed_between(t0, Instant.of(e)).seconds,
            "gates": [dict(g) for g in fields.mappings(e.data, "gates")],
        }
        for e in incident.events
        if e.type == ev.DECISION_MADE
    ]


def _approvals(incident: Incident) -> list[Json]:
    found: dict[str, Json] = {}
    for event in incident.events:
        key = fields.text(event.data, "approval")
        if event.type == ev.APPROVAL_REQUESTED:
            found[key] = {
                "approval": key,
                "what": fields.text(event.data, "what"),
                "requester": fields.text(event.data, "requester"),
                "requested_utc": Instant.of(event).wall_utc,
                "given_by": [],
                "expired": False,
                "rejected": None,
            }
        elif event.type == ev.APPROVAL_GIVEN and key in found:
            found[key]["given_by"].append(fields.text(event.data, "person") or event.actor)
        elif event.type == ev.APPROVAL_EXPIRED and key in found:
            found[key]["expired"] = True
        elif event.type == ev.APPROVAL_REJECTED and key in found:
            found[key]["rejected"] = {k: fields.text(event.data, k) for k in ("person", "reason")}
        elif event.type == ev.APPROVAL_USED and key not in found:  # asked for before there was an incident
            found[key] = {
                "approval": key,
                "what": fields.text(event.data, "what"),
                "requester": fields.text(event.data, "requester"),
                "requested_utc": None,
                "given_by": fields.texts(event.data, "given_by"),
                "expired": False,
                "rejected": None,
            }
    return list(found.values())


def _plan(journal: Sequence[Event], incident: Incident) -> Json | None:
    """Of a declared disaster: how far it has come."""
    if not incident.declared:
        return None
    # A report is read fast: what this loads is loaded for a plan only.
    from controller.disaster.progress import progress_from_events  # noqa: PLC0415

    found = progress_from_events(journal, incident.id)
    return None if found is None else found.to_json()


def _part(part: Incident) -> Json:
    """Each has its own clock and its own verdict, in its own report."""
    row = incident_json(part)
    return {key: row[key] for key in ("id", "service", "state", "level", "code", "rto_s", "rpo")}


def _of_the_family(incident: Incident, parts: Sequence[Incident]) -> list[Event]:
    """What was recorded of it and of its parts, each record once, in order."""
    found = {event.seq: event for i in (incident, *parts) for event in i.events}
    return [found[seq] for seq in sorted(found)]


def _line(event: Event, t0: Instant | None) -> Json:
    at = Instant.of(event)
    return {
        "seq": event.seq,
        "at_utc": at.wall_utc,
        "since_t0_s": signed_between(t0, at).seconds,
        "type": event.type,
        "text": describe(event),
        "actor": event.actor,
        "service": event.service,
        "incident": event.incident,
        "execution": event.execution,
    }


def _frozen(incident: Incident, digests: Sequence[str]) -> Json:
    files = [dict(e.data) for e in incident.events if e.type == ev.FACTS_FROZEN]
    return {
        "facts": dict(incident.frozen),
        "raw_observations": files[-1] if files else None,
        "runbook_digests": list(dict.fromkeys(digests)),
    }


def _clocks(events: Sequence[Event]) -> list[Json]:
    """Each writer's boot with the offsets that its NTP client stated."""
    seen: dict[tuple[str, str], list[int | None]] = {}
    for event in events:
        seen.setdefault((event.writer, event.boot_id), []).append(event.wall_offset_us)
    return [
        {
            "writer": writer,
            "boot_id": boot,
            "worst_offset_us": max((abs(o) for o in offsets if o is not None), default=None),
        }
        for (writer, boot), offsets in seen.items()
    ]


def _journal(incident: Incident) -> Json:
    first, last = incident.events[0], incident.events[-1]
    closed: Mapping[str, Any] = next(
        (e.data for e in reversed(incident.events) if e.type == ev.INCIDENT_CLOSED), {}
    )
    return {
        "records": len(incident.events),
        "first_seq": first.seq,
        "head": {"seq": last.seq, "hash": last.hash},
        "closed_head": {
            "seq": fields.integer(closed, "head_seq"),
            "hash": fields.optional_text(closed, "head_hash"),
            "signature": fields.optional_text(closed, "signature"),
        },
    }
