"""A tour through one demo: several things happen to a service one after the other, under one client.

Each is followed in the journal until its incident is closed, and measured by the client. What happens, and to
which servers, is the engine's own; what is told and counted is the same for all.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from controller.demo.scenario import Tell, sentence
from controller.demo.verdict import ClientVerdict
from controller.report import report_json
from controller.store.reader import read_events
from model import events as ev
from model.errors import BcmError
from model.events import Event

TIMEOUT_S: Final = 45.0
_POLL_S: Final = 0.02


@dataclass(frozen=True, slots=True)
class Happening:
    """name: as in the table. begin: makes it happen, and says when (ns of CLOCK_MONOTONIC). help: what a
    person does once the service works again; None: nothing is needed."""

    name: str
    begin: Callable[[], int]
    help: Callable[[], None] | None = None


@dataclass(frozen=True, slots=True)
class HappeningResult:
    """gap_s: the client's longest time without an acknowledgement. rto_s: as the incident's report says."""

    name: str
    client: ClientVerdict
    rto_s: float | None
    verdict: str | None
    reason: str | None
    incident: str | None

    def to_json(self) -> dict[str, Any]:
        return {
            "happening": self.name,
            "client_gap_s": None if self.client.gap_s is None else round(self.client.gap_s, 3),
            "acknowledged": self.client.acknowledged,
            "lost": self.client.lost,
            "rto_s": self.rto_s,
            "verdict": self.verdict,
            "reason": self.reason,
            "incident": self.incident,
        }


def follow(state_dir: Path, happening: Happening, tell: Tell) -> tuple[int, list[Event]]:
    """Let it happen and tell what the journal says, until its incident is closed: (when it began, its
    events). Raises BcmError if it is not over in time."""
    before = read_events(state_dir)
    at_ns = happening.begin()
    seen: list[Event] = []
    helped = happening.help is None
    deadline_s = time.monotonic() + TIMEOUT_S
    while time.monotonic() < deadline_s:
        since = seen[-1].seq if seen else (before[-1].seq if before else 0)
        fresh = list(read_events(state_dir, since_seq=since))
        for event in fresh:
            line = sentence(event, at_ns)
            if line:
                tell(line)
        seen += fresh
        if not helped and any(e.type == ev.RPO_VERDICT for e in seen) and happening.help is not None:
            happening.help()
            helped = True
        if any(e.type == ev.INCIDENT_CLOSED for e in seen):
            return at_ns, seen
        time.sleep(_POLL_S)
    raise BcmError(f"`{happening.name}` was not over after {TIMEOUT_S:g} s")


def result_of(
    state_dir: Path, happening: Happening, events: Sequence[Event], client: ClientVerdict
) -> HappeningResult:
    """From the incident that it made."""
    incident = next((e.incident for e in events if e.type == ev.INCIDENT_OPENED), None)
    report = report_json(read_events(state_dir), incident) if incident else {}
    rpo = report.get("rpo") or {}
    return HappeningResult(
        name=happening.name,
        client=client,
        rto_s=(report.get("rto") or {}).get("actual_s"),
        verdict=rpo.get("verdict"),
        reason=rpo.get("reason"),
        incident=incident,
    )


def table(results: Sequence[HappeningResult]) -> list[str]:
    """One row for what is called alike, in the order of the first run."""
    names = list(dict.fromkeys(r.name for r in results))
    rows = [("what happened", "runs", "client's write gap s: median, worst", "lost of acknowledged", "RPO")]
    for name in names:
        of_it = [r for r in results if r.name == name]
        gaps = [r.client.gap_s for r in of_it if r.client.gap_s is not None]
        gap = f"{statistics.median(gaps):.3f}, {max(gaps):.3f}" if gaps else "-"
        lost = f"{sum(r.client.lost for r in of_it)} of {sum(r.client.acknowledged for r in of_it)}"
        verdicts = ", ".join(dict.fromkeys(str(r.verdict) for r in of_it))
        rows.append((name, str(len(of_it)), gap, lost, verdicts))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]


def figures(results: Sequence[HappeningResult]) -> dict[str, Any]:
    """The same for machines."""
    found: dict[str, Any] = {}
    for name in dict.fromkeys(r.name for r in results):
        of_it = [r for r in results if r.name == name]
        gaps = [r.client.gap_s for r in of_it if r.client.gap_s is not None]
        found[name] = {
            "runs": len(of_it),
            "gap_s": {
                "median": round(statistics.median(gaps), 3) if gaps else None,
                "worst": round(max(gaps), 3) if gaps else None,
            },
            "acknowledged": sum(r.client.acknowledged for r in of_it),
            "lost": sum(r.client.lost for r in of_it),
            "verdicts": sorted({str(r.verdict) for r in of_it}),
        }
    return found
