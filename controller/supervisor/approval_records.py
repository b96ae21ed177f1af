"""Requests for approval as the journal holds them: asked, answered, used, over. A fold; pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from controller import fields
from model import events as ev
from model.events import Event


@dataclass(frozen=True, slots=True)
class Rejection:
    """Somebody said no, in which circumstances."""

    person: str
    reason: str
    level: str
    code: str

    @property
    def said(self) -> str:
        return f"{self.person} said no: {self.reason}"


@dataclass(frozen=True, slots=True)
class Approval:
    """A request for approval. `given_by`: the persons who said yes; whether they suffice is said by
    `controller.approval_rules`. expired: nobody answered in time, or what it was asked for is over. used: an
    execution was launched with it. needed: how many, by the rule when it was asked. wish: what a person asked
    for, beside the member."""

    id: str
    incident: str | None
    runbook: str
    what: str
    to: str | None
    requester: str
    expires_ns: int
    given_by: tuple[str, ...] = ()
    expired: bool = False
    used: bool = False
    rejected: Rejection | None = None
    code: str = ""
    needed: int = 1
    wish: Mapping[str, Any] = field(default_factory=dict)

    @property
    def open(self) -> bool:
        """An answer would still count, or does."""
        return not self.expired and not self.used and self.rejected is None


Approvals = Mapping[str, Approval]  # by id


def apply(approvals: Approvals, event: Event) -> Approvals:
    """event: one about approvals."""
    if event.type == ev.APPROVAL_REQUESTED:
        asked = _requested(event)
        return {**approvals, asked.id: asked}
    found = approvals.get(fields.text(event.data, "approval"))
    return approvals if found is None else {**approvals, found.id: _answered(found, event)}


def _requested(event: Event) -> Approval:
    data = event.data
    return Approval(
        id=fields.text(data, "approval"),
        incident=event.incident,
        runbook=fields.text(data, "runbook"),
        what=fields.text(data, "what"),
        to=fields.optional_text(data, "to"),
        requester=fields.text(data, "requester"),
        expires_ns=fields.integer(data, "expires_wall_ns") or 0,
        code=fields.text(data, "code"),
        needed=fields.integer(data, "needed") or 1,
        wish=fields.mapping(data, "wish"),
    )


def _answered(approval: Approval, event: Event) -> Approval:
    data = event.data
    match event.type:
        case ev.APPROVAL_GIVEN:
            return replace(approval, given_by=(*approval.given_by, fields.text(data, "person")))
        case ev.APPROVAL_EXPIRED:
            return replace(approval, expired=True)
        case ev.APPROVAL_USED:
            return replace(approval, used=True)
        case _:
            said = [fields.text(data, key) for key in ("person", "reason", "level", "code")]
            return replace(approval, rejected=Rejection(*said))


def void(approvals: Approvals, incident: str | None) -> Approvals:
    """What was asked for is over: an answer to it, given or yet to come, is for nothing that comes later."""
    return {k: replace(a, expired=True) if a.incident == incident else a for k, a in approvals.items()}


def void_for(approvals: Approvals, member: str, kind: str) -> Approvals:
    """The same for what was asked about one member, by the kind of runbook."""
    return {
        k: replace(a, expired=True) if a.to == member and a.runbook.endswith(kind) else a
        for k, a in approvals.items()
    }


def used(approvals: Approvals, incident: str | None, runbook: str) -> Approvals:
    """An execution was launched with what was granted."""
    return {
        k: replace(a, used=True) if a.given_by and (a.incident, a.runbook) == (incident, runbook) else a
        for k, a in approvals.items()
    }
