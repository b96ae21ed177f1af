"""What the journal keeps of an inspection, and what has changed since the one before. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from controller import fields
from controller.inspection.words import Inspection
from model import events as ev
from model.events import Event

Json = dict[str, Any]
# A record is for comparison; the page of findings is made again at any time.
MOST_FINDINGS: Final = 200
MOST_TEXT: Final = 300
_FIGURES: Final = re.compile(r"\d+(?:[.,:]\d+)*")


@dataclass(frozen=True, slots=True)
class Recorded:
    """One that was journaled. findings: {check, about, result, text}."""

    seq: int
    wall_utc: str
    scope: str | None
    counts: Mapping[str, Any]
    findings: tuple[Json, ...]

    def to_json(self) -> Json:
        return {
            "seq": self.seq,
            "at": self.wall_utc,
            "scope": self.scope,
            "counts": dict(self.counts),
            "findings": list(self.findings),
        }


def data_of(inspection: Inspection, trigger: str) -> Json:
    """For `inspection.done`."""
    findings = findings_of(inspection)
    return {
        "scope": inspection.scope,
        "trigger": trigger,
        "took_ms": inspection.took_ms,
        "counts": inspection.counts,
        "findings": findings[:MOST_FINDINGS],
        "left_out": max(0, len(findings) - MOST_FINDINGS),
    }


def findings_of(inspection: Inspection) -> list[Json]:
    return [
        {
            "check": row.check.name,
            "about": row.line.about,
            "result": row.line.result.value,
            "text": row.line.text[:MOST_TEXT],
        }
        for row in inspection.findings
    ]


def latest(events: Iterable[Event], scope: str | None, subjects: Collection[str] = ()) -> Recorded | None:
    """The newest of the same scope or, for one service, of the whole estate with what is about `subjects`."""
    found = None
    for event in events:
        if event.type == ev.INSPECTION_DONE and fields.optional_text(event.data, "scope") in (None, scope):
            found = event
    if found is None:
        return None
    findings: Sequence[Mapping[str, Any]] = fields.mappings(found.data, "findings")
    if scope is not None:
        # What is about the estate as a whole is not looked at for one service.
        findings = [f for f in findings if f.get("about") in subjects and f.get("about") != "estate"]
    return Recorded(
        found.seq,
        found.wall_utc,
        fields.optional_text(found.data, "scope"),
        fields.mapping(found.data, "counts"),
        tuple(dict(f) for f in findings),
    )


def compared(before: Recorded | None, now: Sequence[Mapping[str, Any]]) -> Json | None:
    """{at, new, gone, changed}: findings; changed ones have the result that they had as `was`."""
    if before is None:
        return None
    was = {_key(finding): finding for finding in before.findings}
    here = {_key(finding): finding for finding in now}
    changed = [
        {**finding, "was": was[key]["result"]}
        for key, finding in here.items()
        if key in was and was[key]["result"] != finding["result"]
    ]
    return {
        "at": before.wall_utc,
        "new": [dict(finding) for key, finding in here.items() if key not in was],
        "gone": [dict(finding) for key, finding in was.items() if key not in here],
        "changed": changed,
    }


def _key(finding: Mapping[str, Any]) -> tuple[str, str, str]:
    """Without the figures of its text: a disk that has less free than yesterday is no new finding."""
    text = _FIGURES.sub("#", str(finding.get("text")))
    return str(finding.get("check")), str(finding.get("about")), text
