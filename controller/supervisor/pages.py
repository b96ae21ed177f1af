"""What people are told when the product holds, asks or warns."""

from __future__ import annotations

from dataclasses import dataclass

from controller.approval_rules import ApprovalState
from controller.supervisor.judgement import Judged
from model.decision import Verb
from model.diagnosis import Diagnosis


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
