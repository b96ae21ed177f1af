"""One line of plain words for each record of an incident."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from controller import fields
from model import events as ev
from model.events import Event

Data = Mapping[str, Any]


def _text(data: Data, *keys: str) -> str:
    return ": ".join(t for t in (str(data[k]) for k in keys if data.get(k) is not None) if t)


def _opened(data: Data) -> str:
    diagnosis = fields.mapping(data, "diagnosis")
    return f"incident opened, level {data.get('level')}: {_text(diagnosis, 'code', 'sentence')}"


def _diagnosis(data: Data) -> str:
    settled = "" if data.get("confirmed") is True else " (not confirmed)"
    member = f" on {data['member']}" if data.get("member") else ""
    root = fields.text(fields.mapping(data, "root"), "key")
    return f"diagnosis {data.get('code')}{member}{settled}{f', root {root}' if root else ''}"


def _decision(data: Data) -> str:
    would = " (would have acted)" if data.get("would") is True else ""
    gate = f", stopped by gate {data['stopped_by']}" if data.get("stopped_by") else ""
    return f"decision {data.get('verb')}{would}{gate}: {data.get('reason')}"


def _execution(data: Data) -> str:
    return f"execution of {data.get('runbook')} opened ({_text(data, 'mode', 'trigger')})"


def _intent(data: Data) -> str:
    kind = "will change: " if data.get("changing") is True else ""
    return f"step {data.get('step')}: {kind}{data.get('action')}, attempt {data.get('attempt')}"


def _result(data: Data) -> str:
    return f"step {data.get('step')}: {_text(data, 'outcome', 'detail', 'reason')}"


def _verdict(data: Data) -> str:
    lost = data.get("lost")
    return f"RPO verdict {data.get('verdict')}{f' (at least {lost})' if lost is not None else ''}"


def _declared(data: Data) -> str:
    scope = fields.mapping(data, "scope")
    place = f"{scope.get('kind')} {scope.get('name')}"
    return f"{data.get('tier')} disaster at {place} declared, level {data.get('level')}: {data.get('reason')}"


_LINES: Final[dict[str, Callable[[Data], str]]] = {
    ev.INCIDENT_OPENED: _opened,
    ev.INCIDENT_DECLARED: _declared,
    ev.INCIDENT_MERGED: lambda d: f"{d.get('part')} is a part of it from now on: {d.get('reason')}",
    ev.INCIDENT_SPLIT: lambda d: (
        f"{d.get('part') or 'a service'} is no part of it any more: {d.get('reason')}"
    ),
    ev.DIAGNOSIS_CHANGED: _diagnosis,
    ev.DECISION_MADE: _decision,
    ev.INCIDENT_CONSEQUENCE: lambda d: f"{d.get('service')} suffers from {d.get('root')} too",
    ev.HEALTH_CHANGED: lambda d: f"{d.get('target')} {d.get('from')} → {d.get('to')}: {d.get('why')}",
    ev.ALERT_RECEIVED: lambda d: f"alert {_text(d, 'name', 'summary')} (says {d.get('says')})",
    ev.ALERT_RESOLVED: lambda d: f"alert {d.get('name')} ended: {d.get('why')}",
    ev.FACTS_FROZEN: lambda d: f"{d.get('observations')} raw observations frozen in {d.get('file')}",
    ev.INCIDENT_LEVEL: lambda d: f"level raised from {d.get('from')} to {d.get('level')}: {d.get('why')}",
    ev.INCIDENT_ACKNOWLEDGED: lambda d: f"acknowledged: {d.get('comment')}",
    ev.INCIDENT_REPORTED: lambda d: f"reported to {_text(d, 'to', 'comment')}",
    ev.DEADLINE_MISSED: lambda d: f"missed: {d.get('what')} ({d.get('office')}), level {d.get('level')}",
    ev.INCIDENT_RECOVERED: lambda d: f"recovered: {d.get('how') or _text(d, 'primary') + ' accepts writes'}",
    ev.INCIDENT_CLOSED: lambda d: f"incident closed: {d.get('reason')}",
    ev.CLOCK_MARK: lambda d: f"clock mark {_text(d, 'mark', 'note')}",
    ev.OVERRIDE_RECORDED: lambda d: (
        f"rule {d.get('rule')} overridden by {d.get('person')}: {d.get('reason')}"
    ),
    ev.RPO_VERDICT: _verdict,
    ev.EXECUTION_OPENED: _execution,
    ev.STEP_INTENT: _intent,
    ev.STEP_RESULT: _result,
    ev.UNDO_INTENT: lambda d: f"undo of step {d.get('step')}",
    ev.UNDO_RESULT: lambda d: f"undo of step {d.get('step')}: {_text(d, 'outcome', 'detail')}",
    ev.EXECUTION_RESUMED: lambda d: f"execution resumed: {d.get('reason')}",
    ev.EXECUTION_CLOSED: lambda d: f"execution closed: {_text(d, 'state', 'reason')}",
    ev.ABORT_REQUESTED: lambda d: f"abort requested: {d.get('reason')}",
    ev.SERVICE_PRIMARY: lambda d: (
        f"primary is {d.get('member')} (timeline {d.get('timeline')}): {d.get('why')}"
    ),
    ev.SYNC_SETTING: lambda d: f"synchronous_standby_names on {d.get('member')}: {d.get('value')!r}",
    ev.HIGH_WATER: lambda _d: "high-water marks of the members",
    ev.MEMBER_RETIRED: lambda d: f"{d.get('member')} retired: {d.get('why')}",
    ev.MEMBER_REJOINED: lambda d: f"{d.get('member')} rejoined",
    ev.SERVICE_BLOCKED: lambda d: f"no automatic failover until unblocked: {d.get('reason')}",
    ev.SERVICE_UNBLOCKED: lambda d: f"unblocked: {d.get('reason')}",
    ev.SERVICE_PAUSED: lambda d: f"paused: {d.get('reason')}",
    ev.SERVICE_RESUMED: lambda d: f"pause ended: {d.get('reason')}",
    ev.APPROVAL_REQUESTED: lambda d: f"approval {d.get('approval')} requested: {d.get('what')}",
    ev.APPROVAL_GIVEN: lambda d: f"approval {d.get('approval')} given by {d.get('person')}",
    ev.APPROVAL_REJECTED: lambda d: (
        f"approval {d.get('approval')} refused by {d.get('person')}: {d.get('reason')}"
    ),
    ev.APPROVAL_USED: lambda d: (
        f"{d.get('what')}, asked for by {d.get('requester')}, begins with approval {d.get('approval')}"
    ),
    ev.APPROVAL_EXPIRED: lambda d: f"approval {d.get('approval')} expired, which means no",
    ev.PAGE_QUEUED: lambda d: f"page {d.get('page')} ({d.get('severity')}): {d.get('summary')}",
    ev.PAGE_DELIVERED: lambda d: f"page {d.get('page')} delivered by {d.get('channel')}",
    ev.PAGE_FAILED: lambda d: f"page {d.get('page')} not delivered by {d.get('channel')}: {d.get('error')}",
}


def describe(event: Event) -> str:
    """In words; a type of a newer version is named and left as it is."""
    line = _LINES.get(event.type)
    return event.type if line is None else line(event.data)
