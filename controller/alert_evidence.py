"""Alerts beside a diagnosis: they confirm it or contradict it, and change nothing else of it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from config.durations import format_duration
from controller.alerts import Firing
from model.diagnosis import Diagnosis, Evidence

SOURCE: Final = "alertmanager"
# A person reads a few; the rest is counted.
MOST_LINES: Final = 5
# Codes by which the service is out, or may be, though they open no incident by themselves.
_MAYBE_OUT: Final = frozenset(
    {"PrimarySuspect", "PrimaryRestarting", "PrimaryUnknown", "EverythingUnknown", "ObserverIsolated",
     "DependencyDown"}
)  # fmt: skip
# An incident by which nobody is refused.
_WORKS: Final = frozenset({"AllStandbysDown"})


def with_alerts(diagnosis: Diagnosis, firing: Sequence[Firing], now_s: float) -> Diagnosis:
    """The same diagnosis with what Alertmanager says of its service, after its own evidence."""
    said = evidence_of(diagnosis, firing, now_s)
    return replace(diagnosis, evidence=(*diagnosis.evidence, *said)) if said else diagnosis


def evidence_of(diagnosis: Diagnosis, firing: Sequence[Firing], now_s: float) -> tuple[Evidence, ...]:
    """Each alert that says `down` or `up`, for or against the code that was found."""
    telling = [f for f in firing if f.meaning.says in ("down", "up")]
    is_out = _says_out(diagnosis)
    lines = [
        Evidence(_text(f, now_s), (f.meaning.says == "down") is is_out, SOURCE, _age_ms(f, now_s))
        for f in telling[:MOST_LINES]
    ]
    for says in ("down", "up"):
        more = sum(f.meaning.says == says for f in telling[MOST_LINES:])
        if more:
            lines.append(
                Evidence(f"{more} more alerts say that it is {says}", (says == "down") is is_out, SOURCE)
            )
    return tuple(lines)


def _says_out(diagnosis: Diagnosis) -> bool:
    code, level = diagnosis.code, diagnosis.info.level
    return code in _MAYBE_OUT or (level is not None and code not in _WORKS)


def _text(firing: Firing, now_s: float) -> str:
    alert = firing.alert
    summary = f": {alert.summary}" if alert.summary else ""
    since = format_duration(float(int(max(0.0, now_s - firing.since_s))))
    return f"alert {alert.name} says that it is {firing.meaning.says}, since {since}{summary}"


def _age_ms(firing: Firing, now_s: float) -> int:
    return int(max(0.0, now_s - firing.heard_s) * 1000)
