"""What was known and decided of a service at a past moment, from the journal: for `explain --at`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

from controller import fields
from controller.incidents import find_incident, fold_incidents
from controller.phases import parse_wall_ns
from model import events as ev
from model.errors import UsageError
from model.events import Event

Json = dict[str, Any]

_OFFSET: Final = re.compile(r"\+(\d+(?:\.\d+)?)s")
_SHOWN: Final = frozenset({ev.DIAGNOSIS_CHANGED, ev.INCIDENT_OPENED, ev.DECISION_MADE})


def past_explanation(
    events: Iterable[Event], service: str, *, incident: str | None = None, at: str | None = None
) -> Json:
    """{service, at_utc, recorded_utc, diagnosis, decision, moments: [{at_utc, code, verb, stopped_by}]}.

    at: an ISO time, or with an incident `+1.5s` after its T0; without it, the incident's last decision. What
    stood at that moment is what was journaled last before it: a change is journaled when it happens. moments:
    every decision of the incident. Raises UsageError.
    """
    known = list(events)
    limit_ns = _limit_ns(known, incident, at)
    if incident is not None and find_incident(fold_incidents(known), incident).service != service:
        raise UsageError(f"{incident} is no incident of {service}", hint="`bcm-failover incident list`")
    of_service = [e for e in known if e.service == service and e.type in _SHOWN]
    before = [e for e in of_service if limit_ns is None or _wall_ns(e) <= limit_ns]
    if at is None and incident is not None:
        last = max((e.seq for e in of_service if e.incident == incident), default=0)
        before = [e for e in of_service if e.seq <= last]
    if not before:
        raise UsageError(f"nothing is recorded of {service} before that", hint="name a later time")
    decisions = [e for e in before if e.type == ev.DECISION_MADE]
    return {
        "service": service,
        "at_utc": at or before[-1].wall_utc,
        "recorded_utc": before[-1].wall_utc,
        "diagnosis": _diagnosis([e for e in before if e.type != ev.DECISION_MADE]),
        "decision": dict(decisions[-1].data) if decisions else {},
        "moments": [_moment(e, of_service) for e in of_service if _decided_in(e, incident)],
    }


def _limit_ns(events: list[Event], incident: str | None, at: str | None) -> int | None:
    if at is None:
        if incident is None:
            raise UsageError("name a moment", hint="--at TIME, or --incident ID")
        return None
    offset = _OFFSET.fullmatch(at)
    if offset is not None:
        if incident is None:
            raise UsageError("`+…s` counts from an incident's T0", hint="add --incident ID")
        marks = find_incident(fold_incidents(events), incident).timings.marks
        start_ns = marks["T0"].wall_ns if "T0" in marks else None
        if start_ns is None:
            raise UsageError(f"{incident} has no T0", hint="name a time: --at 2026-11-25T10:00:03Z")
        return start_ns + int(float(offset[1]) * 1e9)
    wall_ns = parse_wall_ns(at)
    if wall_ns is None:
        raise UsageError(f"not a time: {at!r}", hint="2026-11-25T10:00:03Z, or +1.5s with --incident")
    return wall_ns


def _diagnosis(events: list[Event]) -> Json:
    if not events:
        return {}
    last = events[-1]
    found = fields.mapping(last.data, "diagnosis") if last.type == ev.INCIDENT_OPENED else last.data
    return dict(found)


def _decided_in(event: Event, incident: str | None) -> bool:
    return event.type == ev.DECISION_MADE and incident is not None and event.incident == incident


def _moment(event: Event, events: list[Event]) -> Json:
    seen = [e for e in events if e.seq < event.seq and e.type != ev.DECISION_MADE]
    return {
        "at_utc": event.wall_utc,
        "code": _diagnosis(seen).get("code"),
        "verb": event.data.get("verb"),
        "stopped_by": event.data.get("stopped_by"),
    }


def _wall_ns(event: Event) -> int:
    return parse_wall_ns(event.wall_utc) or 0
