"""What people are told when the product holds, asks or warns."""

from __future__ import annotations

from dataclasses import dataclass

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


def held(judged: Judged, approval: str | None = None) -> Told:
    """Nothing is done by itself: why, and where to look."""
    decision, diagnosis = judged.decision, judged.diagnosis
    what = "Waits for approval" if decision.verb is Verb.ASK else "Held"
    would = "; in mode act it would have failed over" if decision.would else ""
    answer = f"`bcm-failover approve {approval}` lets it go on; " if approval is not None else ""
    return Told(
        "page",
        f"{diagnosis.code}: {diagnosis.info.sentence} {what}: {decision.reason}{would}",
        f"{answer}gate {decision.stopped_by}; `bcm-failover explain {diagnosis.service}` shows every gate",
    )
