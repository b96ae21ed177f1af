"""What people are told when the product holds, asks or warns."""

from __future__ import annotations

from dataclasses import dataclass

from controller import fields
from controller.approval_rules import ApprovalState
from controller.phases import wall_text
from controller.supervisor.judgement import Judged
from model.decision import Verb
from model.diagnosis import Diagnosis
from model.events import Event
from model.people import QuestionKind

_FOR = {
    QuestionKind.APPROVAL.value: "approval",
    QuestionKind.MANUAL.value: "somebody's hand",
    QuestionKind.DECISION.value: "a decision",
}


@dataclass(frozen=True, slots=True)
class Told:
    """severity: page (somebody has to act), warning or info."""

    severity: str
    summary: str
    detail: str = ""


def warning(diagnosis: Diagnosis) -> Told:
    return Told(
        "warning",
        f"{diagnosis.code}: {diagnosis.info.sentence}",
        "; ".join(e.text for e in diagnosis.evidence),
    )


def outage(diagnosis: Diagnosis, why: str) -> Told:
    """Nothing can be decided or journaled."""
    return Told("page", f"{diagnosis.code}: {diagnosis.info.sentence} Held: {why}", warning(diagnosis).detail)


def to_answer(state: ApprovalState) -> str:
    """Who must still say yes, and how a yes and a no are said."""
    return f"{state.reason}; `bcm-failover approve {state.id}`, or `reject {state.id} --reason …`"


def step_asks(event: Event) -> Told:
    """An execution waits for people: for what, and how they answer."""
    data = event.data
    step, kind = fields.text(data, "step"), fields.text(data, "kind")
    left = f"until {wall_text(fields.integer(data, 'expires_wall_ns') or 0)}; no answer is a no"
    on = f"{event.execution} {step}"
    how = {
        QuestionKind.APPROVAL.value: f"`bcm-failover execution approve {on}`, or `deny {on} --reason …`",
        QuestionKind.MANUAL.value: f"`bcm-failover execution confirm {on}`, or `deny {on} --reason …`",
    }.get(kind, f"`bcm-failover execution retry {on} --reason …`, `skip`, or `abort`")
    return Told("page", f"{on} waits for {_FOR[kind]}: {fields.text(data, 'text')}", f"{left}; {how}")


def held(judged: Judged, approval: ApprovalState | None = None) -> Told:
    """Nothing is done by itself: why, and where to look. approval: the request that waits."""
    decision, diagnosis = judged.decision, judged.diagnosis
    what = "Waits for approval" if decision.verb is Verb.ASK else "Held"
    would = "; in mode act it would have failed over" if decision.would else ""
    answer = f"{to_answer(approval)}; " if approval is not None else ""
    return Told(
        "page",
        f"{diagnosis.code}: {diagnosis.info.sentence} {what}: {decision.reason}{would}",
        f"{answer}gate {decision.stopped_by}; `bcm-failover explain {diagnosis.service}` shows every gate",
    )
