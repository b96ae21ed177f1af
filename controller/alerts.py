"""Alerts of the monitoring that is there already: what fires now, and of which service it tells what.

They are hearsay: they stand beside a diagnosis as evidence for or against it, or are early warnings, and
never enter a decision. Their texts may hold anything; what is shown of them is made fit for it at the door.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from config.alerts import AlertRule, Alerts
from controller.report.escape import plain
from model.ports import Clock

# Far more than a person looks at; a flood of alerts must not take the memory.
MOST_ALERTS = 1000
MOST_NAME, MOST_SUMMARY = 100, 300

Says = Literal["down", "up", "warning"]
EndedBy = Literal["resolved", "forgotten", "remapped", "no room"]


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert as it was pushed. `labels` are as they came, for matching; `name` and `summary` are one line
    each that may be shown."""

    fingerprint: str
    firing: bool
    labels: Mapping[str, str]
    name: str
    summary: str


@dataclass(frozen=True, slots=True)
class Meaning:
    """What an alert tells: of a service that the estate declares."""

    service: str
    says: Says


@dataclass(frozen=True, slots=True)
class Firing:
    """An alert that fires. since_s, heard_s: monotonic seconds at which it came first and last."""

    alert: Alert
    meaning: Meaning
    since_s: float
    heard_s: float


@dataclass(frozen=True, slots=True)
class Change:
    """One began (ended: None) or ended, and why."""

    firing: Firing
    ended: EndedBy | None


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of one push: alerts that tell something of a service, and those that tell nothing."""

    accepted: int
    ignored: int
    changes: tuple[Change, ...]


def shown(text: object, most: int) -> str:
    """A label or an annotation on one line, without control and direction marks, and not too long."""
    fit = plain(str(text)[: 2 * most])  # cut first: each character is looked at
    return fit if len(fit) <= most else f"{fit[: most - 1]}…"


def alert_of(
    fingerprint: str, labels: Mapping[str, str], annotations: Mapping[str, str], *, firing: bool
) -> Alert:
    summary = annotations.get("summary") or annotations.get("description") or annotations.get("message") or ""
    name = shown(labels.get("alertname") or fingerprint, MOST_NAME)
    return Alert(fingerprint, firing, dict(labels), name, shown(summary, MOST_SUMMARY))


def meaning_of(rules: Alerts, labels: Mapping[str, str], services: Collection[str]) -> Meaning | None:
    """The first rule that matches, or a warning of the service that the label names. None: it tells nothing
    of a service of this estate. Pure."""
    rule = next((r for r in rules.rules if _matches(r, labels)), None)
    says = "warning" if rule is None else rule.says
    named = rule.service if rule is not None else None
    service = labels.get(rules.service_label) if named is None else named
    if says == "ignore" or service is None or service not in services:
        return None
    return Meaning(service, says)


def _matches(rule: AlertRule, labels: Mapping[str, str]) -> bool:
    return all(labels.get(name, "") == value for name, value in rule.match.items())


class AlertBox:
    """The alerts that fire, by fingerprint. Mutable on purpose, bounded, used on the loop only.

    received: alerts taken in since the process began, firing or resolved.
    """

    def __init__(self, clock: Clock, rules: Alerts, services: Iterable[str]) -> None:
        self._clock = clock
        self._rules = rules
        self._services = frozenset(services)
        self._firing: dict[str, Firing] = {}
        # By service, the longest firing first; made when asked for: every judgement asks.
        self._sorted: dict[str, list[Firing]] | None = None
        self.received = 0

    def configure(self, rules: Alerts, services: Iterable[str]) -> list[Change]:
        """Go on with another estate: what fires is understood anew."""
        self._rules, self._services = rules, frozenset(services)
        self._sorted = None
        changes: list[Change] = []
        now_s = self._clock.monotonic_s()
        for key, firing in list(self._firing.items()):
            meaning = meaning_of(rules, firing.alert.labels, self._services)
            if meaning == firing.meaning:
                continue
            del self._firing[key]
            changes.append(Change(firing, "remapped"))
            if meaning is not None:
                fresh = Firing(firing.alert, meaning, now_s, firing.heard_s)
                self._firing[key] = fresh
                changes.append(Change(fresh, None))
        return changes

    def take(self, alerts: Iterable[Alert]) -> Taken:
        """What was pushed, in order."""
        accepted = ignored = 0
        changes = self.expire()
        self._sorted = None
        for alert in alerts:
            self.received += 1
            meaning = meaning_of(self._rules, alert.labels, self._services)
            if meaning is None:
                ignored += 1
            else:
                accepted += 1
                changes += self._take_one(alert, meaning)
        return Taken(accepted, ignored, tuple(changes))

    def _take_one(self, alert: Alert, meaning: Meaning) -> list[Change]:
        now_s = self._clock.monotonic_s()
        known = self._firing.pop(alert.fingerprint, None)
        if not alert.firing:
            return [] if known is None else [Change(known, "resolved")]
        since_s = now_s if known is None else known.since_s
        firing = Firing(alert, meaning, since_s, now_s)
        changes = [] if known is not None else [Change(firing, None)]
        if len(self._firing) >= MOST_ALERTS:
            # The one that was heard of longest ago: each that is heard of again goes to the end.
            oldest = next(iter(self._firing))
            changes.insert(0, Change(self._firing.pop(oldest), "no room"))
        self._firing[alert.fingerprint] = firing
        return changes

    def expire(self) -> list[Change]:
        """Those that were not repeated for too long end: their end may have been lost on the way."""
        oldest_s = self._clock.monotonic_s() - self._rules.forget_after
        gone = [key for key, firing in self._firing.items() if firing.heard_s < oldest_s]
        if gone:
            self._sorted = None
        return [Change(self._firing.pop(key), "forgotten") for key in gone]

    def firing(self, service: str | None = None) -> list[Firing]:
        """Those of one service, or all by service; the longest firing first."""
        if self._sorted is None:
            self._sorted = {}
            for firing in sorted(self._firing.values(), key=lambda f: (f.since_s, f.alert.fingerprint)):
                self._sorted.setdefault(firing.meaning.service, []).append(firing)
        lists = self._sorted.values() if service is None else [self._sorted.get(service, [])]
        oldest_s = self._clock.monotonic_s() - self._rules.forget_after
        return [firing for found in lists for firing in found if firing.heard_s >= oldest_s]

    def warnings(self, service: str) -> list[tuple[str, str, float]]:
        """(name, a sentence, monotonic seconds since when) of those that say `warning`."""
        return [
            (firing.alert.name, firing.alert.summary or firing.alert.name, firing.since_s)
            for firing in self.firing(service)
            if firing.meaning.says == "warning"
        ]
