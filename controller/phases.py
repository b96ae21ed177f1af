"""The clock of an incident: T0 to T10, the phases between them, and the actual RTO.

T0 last good observation, T1 confirmed, T2 diagnosed, T3 decided, T4 first changing step, T5 fenced,
T6 promoted, T7 traffic moved, T8 verified from the client's side, T9 redundancy restored, T10 failed back.

Two instants of one boot are subtracted on the monotonic clock. Across two boots only wall time is left, and
the difference is marked as estimated, with the clocks' stated offsets as its error. An instant that was not
recorded makes a phase "not observed", never 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from controller import fields
from model import events as ev
from model.events import Event

MARKS: Final = tuple(f"T{n}" for n in range(11))
# `prepare` (opening the execution, taking the locks) is a phase of its own, so that the phases and the human
# wait add up to the RTO.
PHASES: Final = (
    ("detect", "T0", "T1"),
    ("decide", "T1", "T3"),
    ("prepare", "T3", "T4"),
    ("fence", "T4", "T5"),
    ("promote", "T5", "T6"),
    ("reroute", "T6", "T7"),
    ("verify", "T7", "T8"),
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ANSWERS: Final = frozenset({ev.APPROVAL_GIVEN, ev.APPROVAL_REJECTED, ev.APPROVAL_EXPIRED})


def wall_text(wall_ns: int) -> str | None:
    """ISO 8601 in UTC; None beyond what a calendar knows."""
    try:
        moment = _EPOCH + timedelta(microseconds=wall_ns // 1000)
    except OverflowError:
        return None
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


@dataclass(frozen=True, slots=True)
class Instant:
    """A moment: `mono_ns` counts within `boot_id`; `wall_ns` since 1970 UTC, None if not readable;
    `offset_us` is the host's clock offset as its NTP client stated it, None if not known."""

    boot_id: str
    mono_ns: int
    wall_ns: int | None
    offset_us: int | None = None

    @classmethod
    def of(cls, event: Event, at_ns: int | None = None) -> Instant:
        """The moment of an event, or `at_ns` on the monotonic clock of its writer's boot."""
        mono_ns = event.mono_ns if at_ns is None else at_ns
        wall_ns = parse_wall_ns(event.wall_utc)
        if wall_ns is not None:
            wall_ns -= event.mono_ns - mono_ns
        return cls(event.boot_id, mono_ns, wall_ns, event.wall_offset_us)

    @property
    def wall_utc(self) -> str | None:
        return None if self.wall_ns is None else wall_text(self.wall_ns)


@dataclass(frozen=True, slots=True)
class Span:
    """A length of time. `ns` None: see `note`. `error_us`: sum of the two clocks' offsets where estimated,
    None where a clock's offset is not known."""

    ns: int | None
    estimated: bool = False
    error_us: int | None = None
    note: str = ""

    @property
    def seconds(self) -> float | None:
        """Rounded to milliseconds, for output only; None also for more than any clock can show."""
        if self.ns is None or abs(self.ns) >= 1 << 80:
            return None
        return round(self.ns / 1e9, 3)


NOT_OBSERVED: Final = Span(None, note="not observed")


@dataclass(frozen=True, slots=True)
class Timings:
    """All that the clock of one incident says. `phases` are without the human wait inside them."""

    marks: Mapping[str, Instant]
    first_bad: Instant | None
    phases: Mapping[str, Span]
    human_wait: Span
    rto: Span
    rto_from_first_bad: Span
    below_copies: Span

    @property
    def estimated(self) -> bool:
        return self.rto.estimated or any(span.estimated for span in self.phases.values())

    def phases_json(self) -> dict[str, float | None]:
        """`detect_s`, `decide_s`, … and `human_wait_s` in seconds; None is "not observed"."""
        result = {f"{name}_s": span.seconds for name, span in self.phases.items()}
        result["human_wait_s"] = self.human_wait.seconds
        return result

    def to_json(self) -> dict[str, Any]:
        return {
            "marks": {name: mark.wall_utc for name, mark in self.marks.items()},
            "first_bad": self.first_bad.wall_utc if self.first_bad else None,
            "rto_s": self.rto.seconds,
            "rto_from_first_bad_s": self.rto_from_first_bad.seconds,
            "phases": self.phases_json(),
            "below_copies_s": self.below_copies.seconds,
            "estimated": self.estimated,
            "estimated_error_us": self.rto.error_us,
        }


def parse_wall_ns(wall_utc: str) -> int | None:
    """ISO 8601 → nanoseconds since 1970 UTC; None if it is not a time."""
    try:
        moment = datetime.fromisoformat(wall_utc)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1000


def signed_between(start: Instant | None, end: Instant | None) -> Span:
    """From `start` to `end`; negative if `end` came first (as observations before T0 do)."""
    if start is None or end is None:
        return NOT_OBSERVED
    if start.boot_id == end.boot_id:
        return Span(end.mono_ns - start.mono_ns)
    if start.wall_ns is None or end.wall_ns is None:
        return Span(None, note="recorded in two boots, and a wall time is missing")
    known = start.offset_us is not None and end.offset_us is not None
    error_us = abs(start.offset_us or 0) + abs(end.offset_us or 0) if known else None
    return Span(end.wall_ns - start.wall_ns, estimated=True, error_us=error_us)


def between(start: Instant | None, end: Instant | None) -> Span:
    """A duration. One that would be negative is not stated: its marks are out of order."""
    span = signed_between(start, end)
    if span.ns is not None and span.ns < 0:
        return Span(None, span.estimated, span.error_us, "marks out of order")
    return span


def read_timings(events: Sequence[Event]) -> Timings:
    """The clock of the one incident whose events these are."""
    marks = _marks(events)
    opened = next((e for e in events if e.type in ev.INCIDENT_OPENINGS), None)
    first_bad = None
    if opened is not None:
        first_bad_ns = fields.integer(opened.data, "first_bad_ns")
        first_bad = None if first_bad_ns is None else Instant.of(opened, first_bad_ns)
        t0_ns = fields.integer(opened.data, "t0_ns")
        if "T0" not in marks and t0_ns is not None:
            marks = {"T0": Instant.of(opened, t0_ns), **marks}
    waits = _human_waits(events)
    phases = {
        name: _without(waits, marks.get(first), between(marks.get(first), marks.get(last)))
        for name, first, last in PHASES
    }
    return Timings(
        marks=marks,
        first_bad=first_bad,
        phases=phases,
        human_wait=_sum(between(*wait) for wait in waits),
        rto=between(marks.get("T0"), marks.get("T8")),
        rto_from_first_bad=between(first_bad, marks.get("T8")),
        below_copies=between(marks.get("T0"), marks.get("T9")),
    )


def _marks(events: Sequence[Event]) -> dict[str, Instant]:
    """One instant per mark. Detection's marks (T0 to T2) count from their first record; T4 to T8 from the
    last execution that reached a mark, whose resumption may have repeated them, so the first one there;
    T3 is the last decision before that execution."""
    found: dict[str, list[Event]] = {}
    for event in events:
        name = fields.text(event.data, "mark")
        if event.type == ev.CLOCK_MARK and name in MARKS:
            found.setdefault(name, []).append(event)
    # A rejoin has a first changing step (T4) too, but moves no primary and so reaches none of T5 to T8.
    moving = [e for name in ("T5", "T6", "T7", "T8") for e in found.get(name, [])]
    acting = moving or found.get("T4", [])
    execution = max(acting, key=lambda e: e.seq).execution if acting else None
    began = min((e.seq for e in acting if e.execution == execution), default=None)
    chosen: dict[str, Event] = {}
    for name in MARKS:
        records = found.get(name, [])
        if name in ("T4", "T5", "T6", "T7", "T8"):
            records = [e for e in records if e.execution == execution][:1]
        elif name == "T3":
            records = ([e for e in records if began is None or e.seq < began] or records)[-1:]
        elif name in ("T9", "T10"):
            records = records[-1:]
        if records:
            chosen[name] = records[0]
    return {name: Instant.of(e, fields.integer(e.data, "at_ns")) for name, e in chosen.items()}


def _human_waits(events: Sequence[Event]) -> list[tuple[Instant, Instant]]:
    """From each request for approval to its last answer (the second person's, where two must approve)."""
    asked: dict[str, Instant] = {}
    answered: dict[str, Instant] = {}
    for event in events:
        approval = fields.text(event.data, "approval")
        # Bringing a member back is asked for after the outage: nobody has waited for that.
        mends = fields.text(event.data, "runbook").endswith("-rejoin")
        if event.type == ev.APPROVAL_REQUESTED and not mends:
            asked.setdefault(approval, Instant.of(event))
        elif event.type in _ANSWERS and approval in asked:
            answered[approval] = Instant.of(event)
    return [(asked[key], end) for key, end in answered.items()]


def _without(waits: Sequence[tuple[Instant, Instant]], start: Instant | None, span: Span) -> Span:
    """A phase less the part of each human wait that lies in it."""
    if span.ns is None:
        return span
    waited, estimated = 0, span.estimated
    for wait_start, wait_end in waits:
        begin, end = signed_between(start, wait_start), signed_between(start, wait_end)
        if begin.ns is None or end.ns is None:
            continue
        overlap = min(end.ns, span.ns) - max(begin.ns, 0)
        if overlap > 0:
            waited += overlap
            estimated = estimated or begin.estimated or end.estimated
    return Span(max(span.ns - waited, 0), estimated, span.error_us, span.note)


def _sum(spans: Iterable[Span]) -> Span:
    """Of what was observed; "not observed" if there was nothing to wait for."""
    known = [span for span in spans if span.ns is not None]
    if not known:
        return Span(None, note="no person was waited for")
    errors = [s.error_us for s in known if s.estimated]
    error_us = None if any(e is None for e in errors) else sum(e or 0 for e in errors)
    estimated = any(s.estimated for s in known)
    return Span(sum(s.ns or 0 for s in known), estimated, error_us if estimated else None)
