"""What must outlive the process, read from the journal: a fold over one service's events. Pure.

Kept current by `apply` with every event that is written, so that nothing is read twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from controller import fields
from controller.approval_rules import DAEMON
from controller.phases import parse_wall_ns
from controller.remedies.remedy import KEEPS_ROLES
from controller.supervisor import approval_records as records
from controller.supervisor.approval_records import Approval
from controller.supervisor.open_incident import OpenIncident
from controller.supervisor.settings_history import SettingsHistory
from model import events as ev
from model.events import Event
from model.execution import ExecutionState

# A controller that was restarted may act on a primary that it did not see itself, if the one before it did.
# High water is journaled every HIGH_WATER_EVERY_S; three of them may be missed.
HIGH_WATER_EVERY_S = 300.0
SEEN_LATELY_NS = 3 * int(HIGH_WATER_EVERY_S * 1e9)
# The kinds of execution by which a member is brought back and by which the role is taken away from one; the
# trigger of one that a person approved.
REJOIN = "rejoin"
FAILOVER = "failover"
APPROVED = "approved"
# More names to choose from: what was certain of fewer is not of more (P2).
_LOOSENS = frozenset({"postgresql.widen"})
# Ends that leave something changed, or perhaps changed. One that was undone has left nothing.
_LEFT_SOMETHING = frozenset({ExecutionState.FAILED.value, ExecutionState.UNKNOWN.value})


@dataclass(frozen=True, slots=True)
class Lost:
    """A member lost the primary's role to a failover: by which execution, and when."""

    execution: str
    boot_id: str
    mono_ns: int
    wall_ns: int

    def ago_ms(self, boot_id: str, now_s: float, wall_ns: int) -> int:
        """Of this boot on the monotonic clock: a jump of the wall's changes nothing."""
        ago_ns = int(now_s * 1e9) - self.mono_ns if boot_id == self.boot_id else wall_ns - self.wall_ns
        return max(0, ago_ns // 1_000_000)


@dataclass(frozen=True, slots=True)
class Ledger:
    """paused_until_ns: wall clock, since people state an end by the clock on the wall. retired: members that
    lost the primary's role to a failover and have not rejoined: fenced when they answer, never followed.
    lost: the same, rejoined or not, until a person has acknowledged it: never failed back to hastily.
    kinds: of the open executions. split: two members were seen to accept writes, and nobody has said yet
    which side is right. loosening: the step that is about to make the synchronous setting looser, or has
    perhaps made it so (P2). seq: of the last event that is in it."""

    service: str
    primary: str | None = None
    timeline: int | None = None
    system_identifier: str | None = None
    settings: SettingsHistory = field(default_factory=SettingsHistory)
    settings_boot: str | None = None
    high_water: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    seen_wall_ns: int | None = None
    paused_until_ns: int | None = None
    paused_reason: str = ""
    blocked: str | None = None
    incident: OpenIncident | None = None
    open_executions: tuple[str, ...] = ()
    kinds: Mapping[str, str] = field(default_factory=dict)
    split: bool = False
    loosening: str | None = None
    seq: int = 0
    approvals: Mapping[str, Approval] = field(default_factory=dict)
    retired: tuple[str, ...] = ()
    lost: Mapping[str, Lost] = field(default_factory=dict)
    last_diagnosis: str | None = None

    @classmethod
    def read(cls, service: str, events: Iterable[Event]) -> Ledger:
        ledger = cls(service)
        for event in events:
            ledger = ledger.apply(event)
        return ledger

    def paused(self, wall_ns: int) -> str | None:
        """Why it is paused now, or None."""
        left_ms = self.pause_left_ms(wall_ns)
        return None if left_ms is None else f"paused for {left_ms // 1000} s more: {self.paused_reason}"

    def pause_left_ms(self, wall_ns: int) -> int | None:
        """How long its pause lasts yet; None: it is not paused."""
        if self.paused_until_ns is None or wall_ns >= self.paused_until_ns:
            return None
        return (self.paused_until_ns - wall_ns) // 1_000_000

    def seen_lately(self, wall_ns: int) -> bool:
        """Did a controller on this journal see the primary up within the last SEEN_LATELY_NS?"""
        return self.seen_wall_ns is not None and 0 <= wall_ns - self.seen_wall_ns < SEEN_LATELY_NS

    @property
    def incident_id(self) -> str | None:
        return self.incident.id if self.incident else None

    @property
    def moving(self) -> bool:
        """An execution that changes who is primary is open. One of a kind that is not known counts."""
        return any(kind not in KEEPS_ROLES for kind in self.kinds.values())

    def crash_seen_s(self, boot_id: str, now_s: float) -> float | None:
        """Monotonic seconds at which a controller on this journal confirmed that the primary's process had
        died: it saw the connections end, so a successor need not wait to tell a crash from a restart. None:
        none did lately, or the service works again."""
        return None if self.incident is None else self.incident.crash_seen_s(boot_id, now_s)

    def history(self, boot_id: str) -> SettingsHistory:
        """The last journaled setting. Of another boot its age is not known."""
        return self.settings if self.settings_boot == boot_id else replace(self.settings, read_ns=None)

    def apply(self, event: Event) -> Ledger:
        """The ledger after one more event; those of other services change nothing."""
        if event.service != self.service:
            return self
        step = _STEPS.get(event.type)
        moved = self if step is None else step(self, event)
        return replace(moved, seq=max(self.seq, event.seq))


def _primary(ledger: Ledger, event: Event) -> Ledger:
    data = event.data
    member = fields.text(data, "member")
    return replace(
        ledger,
        primary=member,
        timeline=fields.integer(data, "timeline"),
        system_identifier=fields.optional_text(data, "system_identifier") or ledger.system_identifier,
        retired=tuple(m for m in ledger.retired if m != member),
        split=False,
    )


def _setting(ledger: Ledger, event: Event) -> Ledger:
    value = fields.text(event.data, "value")
    confirmed = event.data.get("confirmed") is not False
    history = ledger.settings
    # What the writer had confirmed is so, whatever was read before.
    moved = SettingsHistory(value, (), event.mono_ns) if confirmed else history.read(value, event.mono_ns)
    return replace(ledger, settings=moved, settings_boot=event.boot_id)


def _high_water(ledger: Ledger, event: Event) -> Ledger:
    marks = dict(ledger.high_water)
    for member, mark in fields.mapping(event.data, "members").items():
        if isinstance(mark, Mapping):
            marks[member] = (fields.integer(mark, "timeline") or 0, fields.integer(mark, "lsn") or 0)
    return replace(ledger, high_water=marks, seen_wall_ns=parse_wall_ns(event.wall_utc))


def _paused(ledger: Ledger, event: Event) -> Ledger:
    until = fields.integer(event.data, "until_wall_ns")
    return replace(ledger, paused_until_ns=until, paused_reason=fields.text(event.data, "reason"))


def _incident(ledger: Ledger, event: Event) -> Ledger:
    if ledger.incident is None or ledger.incident.id != event.incident:
        return ledger
    return replace(ledger, incident=ledger.incident.apply(event))


def _incident_over(ledger: Ledger, event: Event) -> Ledger:
    """It works again, or the incident is closed."""
    if ledger.incident is None or ledger.incident.id != event.incident:
        return ledger
    return replace(_incident(ledger, event), approvals=records.void(ledger.approvals, event.incident))


def _approvals(ledger: Ledger, event: Event) -> Ledger:
    return replace(ledger, approvals=records.apply(ledger.approvals, event))


def _execution_opened(ledger: Ledger, event: Event) -> Ledger:
    execution, data = event.execution or "", event.data
    approvals = ledger.approvals
    if fields.text(data, "trigger") == APPROVED:
        approvals = records.used(approvals, event.incident, fields.text(data, "runbook"))
    return replace(
        ledger,
        open_executions=(*ledger.open_executions, execution),
        kinds={**ledger.kinds, execution: fields.text(data, "kind")},
        approvals=approvals,
    )


def _execution_closed(ledger: Ledger, event: Event) -> Ledger:
    """One that moves the primary and did not get through blocks the next: nobody knows what it left (P12)."""
    kind, state = ledger.kinds.get(event.execution or "", REJOIN), fields.text(event.data, "state")
    blocked = ledger.blocked
    if kind not in KEEPS_ROLES and state in _LEFT_SOMETHING:
        blocked = f"{event.execution} ended {state}: a person must look, then acknowledge"
    return replace(
        ledger,
        open_executions=tuple(e for e in ledger.open_executions if e != event.execution),
        kinds={e: k for e, k in ledger.kinds.items() if e != event.execution},
        blocked=blocked,
        loosening=None,
    )


def _step_begins(ledger: Ledger, event: Event) -> Ledger:
    if fields.text(event.data, "action") not in _LOOSENS:
        return ledger
    return replace(ledger, loosening=fields.text(event.data, "step"))


def _step_ended(ledger: Ledger, event: Event) -> Ledger:
    over = fields.text(event.data, "step") == ledger.loosening
    return replace(ledger, loosening=None) if over else ledger


def _diagnosed(ledger: Ledger, event: Event) -> Ledger:
    code = fields.text(event.data, "code")
    ledger = _incident(replace(ledger, last_diagnosis=code), event)
    if code != "SplitBrain" or event.data.get("confirmed") is not True:
        return ledger
    why = "two members accepted writes as primary: a person must say which side is right, then acknowledge"
    return replace(ledger, split=True, blocked=ledger.blocked or why)


def _retired(ledger: Ledger, event: Event) -> Ledger:
    """A no to bringing it back was said of the last time."""
    member = fields.text(event.data, "member")
    approvals = records.void_for(ledger.approvals, member, REJOIN)
    retired, lost = tuple(dict.fromkeys((*ledger.retired, member))), dict(ledger.lost)
    if fields.text(event.data, "kind") == FAILOVER and member not in ledger.retired:
        wall_ns = parse_wall_ns(event.wall_utc) or 0
        lost[member] = Lost(event.execution or "", event.boot_id, event.mono_ns, wall_ns)
    return replace(ledger, retired=retired, lost=lost, approvals=approvals)


def _unblocked(ledger: Ledger, event: Event) -> Ledger:
    """By redundancy, which says nothing of why the primary was lost; or by a person, who knows."""
    lost = ledger.lost if event.actor == DAEMON else {}
    return replace(ledger, blocked=None, split=False, lost=lost)


def _rejoined(ledger: Ledger, event: Event) -> Ledger:
    member = fields.text(event.data, "member")
    return replace(ledger, retired=tuple(m for m in ledger.retired if m != member))


_STEPS: dict[str, Callable[[Ledger, Event], Ledger]] = {
    ev.SERVICE_PRIMARY: _primary,
    ev.SYNC_SETTING: _setting,
    ev.HIGH_WATER: _high_water,
    ev.SERVICE_PAUSED: _paused,
    ev.SERVICE_RESUMED: lambda ledger, _e: replace(ledger, paused_until_ns=None, paused_reason=""),
    ev.SERVICE_BLOCKED: lambda ledger, e: replace(ledger, blocked=fields.text(e.data, "reason")),
    ev.SERVICE_UNBLOCKED: _unblocked,
    ev.INCIDENT_OPENED: lambda ledger, e: replace(ledger, incident=OpenIncident.opened_by(e)),
    ev.INCIDENT_LEVEL: _incident,
    ev.INCIDENT_ACKNOWLEDGED: _incident,
    ev.INCIDENT_REPORTED: _incident,
    ev.DEADLINE_MISSED: _incident,
    ev.INCIDENT_RECOVERED: _incident_over,
    ev.INCIDENT_CLOSED: _incident_over,
    ev.EXECUTION_OPENED: _execution_opened,
    ev.EXECUTION_CLOSED: _execution_closed,
    ev.STEP_INTENT: _step_begins,
    ev.STEP_RESULT: _step_ended,
    ev.APPROVAL_REQUESTED: _approvals,
    ev.APPROVAL_GIVEN: _approvals,
    ev.APPROVAL_EXPIRED: _approvals,
    ev.APPROVAL_REJECTED: _approvals,
    ev.APPROVAL_USED: _approvals,
    ev.MEMBER_RETIRED: _retired,
    ev.MEMBER_REJOINED: _rejoined,
    ev.DIAGNOSIS_CHANGED: _diagnosed,
}
