"""Executions as the journal tells them: a fold over its events, the same with the daemon alive or dead.

An intent without a result is an open intent. It is `running` as long as the process that wrote it may still
be at work, and `unknown` once another start, a new epoch or a resumption came after it (S5).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from controller import fields
from controller.phases import Instant, Span, between, wall_text
from model import events as ev
from model.errors import UsageError
from model.events import Event
from model.execution import ExecutionState, StepState
from model.people import QuestionKind, Word

_TAKEOVERS: Final = frozenset({ev.DAEMON_STARTED, ev.EPOCH_TAKEN, ev.EXECUTION_RESUMED})
_STEP_TYPES: Final = frozenset(
    {
        ev.STEP_INTENT,
        ev.STEP_RESULT,
        ev.UNDO_INTENT,
        ev.UNDO_RESULT,
        ev.STEP_ASKED,
        ev.STEP_ANSWERED,
        ev.STEP_SKIP_REQUESTED,
    }
)
# All that an execution is made of, for whoever reads no more than he needs.
EXECUTION_TYPES: Final = (
    ev.DAEMON_STARTED,
    ev.EPOCH_TAKEN,
    ev.EXECUTION_OPENED,
    ev.EXECUTION_RESUMED,
    ev.EXECUTION_CLOSED,
    ev.ABORT_REQUESTED,
    ev.PAUSE_REQUESTED,
    ev.EXECUTION_PAUSED,
    ev.EXECUTION_CONTINUED,
    *sorted(_STEP_TYPES),
)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try of a step (or of its undo). `outcome` None: no result is recorded. `began` None: a result
    without an intent (a skipped step)."""

    number: int
    began: Instant | None
    seq: int
    commands: tuple[str, ...] = ()
    inputs: Mapping[str, Any] = field(default_factory=dict)
    outcome: str | None = None
    output: Mapping[str, Any] = field(default_factory=dict)
    detail: str = ""
    reason: str = ""
    took_ns: int | None = None
    result_seq: int | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """A question to people that is open. words: what they can say. given: who agreed so far."""

    kind: str
    text: str
    needed: int
    expires_wall_ns: int
    words: tuple[str, ...]
    given: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Said:
    """What a person said of a step: yes, no, retry or skip."""

    word: str
    person: str
    reason: str
    at: Instant


@dataclass(frozen=True, slots=True)
class Step:
    """One step with all its attempts. `state` is of StepState's values. budget_ms: what the runbook lets it
    take of the RTO. asks: what it waits for."""

    id: str
    action: str
    budget_ms: int | None = None
    changing: bool = False
    attempts: tuple[Attempt, ...] = ()
    undo: Attempt | None = None
    state: str = StepState.PENDING.value
    asks: Asked | None = None
    said: tuple[Said, ...] = ()

    @property
    def last(self) -> Attempt | None:
        return self.attempts[-1] if self.attempts else None

    @property
    def output(self) -> Mapping[str, Any]:
        """Of the last attempt."""
        return self.last.output if self.last else {}

    @property
    def took_ns(self) -> int | None:
        return self.last.took_ns if self.last else None

    @property
    def spent_ns(self) -> int | None:
        """All attempts together, of those whose end is recorded; None: none is."""
        taken = [attempt.took_ns for attempt in self.attempts if attempt.took_ns is not None]
        return sum(taken) if taken else None

    @property
    def open_intent(self) -> Attempt | None:
        """The attempt or undo whose result is not recorded."""
        if self.undo is not None:
            return self.undo if self.undo.outcome is None else None
        return self.last if self.last is not None and self.last.outcome is None else None


@dataclass(frozen=True, slots=True)
class Execution:
    """One run of a plan. `state` is of ExecutionState's values; `closed` None while it is open. pause_reason:
    of a pause that was asked for and is not over. continues: the one that was handed over to it."""

    id: str
    service: str | None
    incident: str | None
    runbook: str
    digest: str
    mode: str
    trigger: str
    actor: str
    vars: Mapping[str, Any]
    expected_ms: int | None
    opened: Instant
    opened_seq: int
    steps: tuple[Step, ...]
    state: str
    reason: str = ""
    closed: Instant | None = None
    resumed: tuple[str, ...] = ()
    abort_reason: str | None = None
    pause_reason: str | None = None
    rto_ms: int | None = None
    continues: str | None = None

    @property
    def took(self) -> Span:
        return between(self.opened, self.closed)

    @property
    def open_steps(self) -> tuple[Step, ...]:
        return tuple(step for step in self.steps if step.open_intent is not None)

    def step(self, step_id: str) -> Step | None:
        return next((step for step in self.steps if step.id == step_id), None)


@dataclass(frozen=True, slots=True)
class Durations:
    """How long something took in the past: median and 95th percentile (nearest rank), milliseconds."""

    p50_ms: int
    p95_ms: int
    samples: int


def fold_executions(events: Sequence[Event]) -> dict[str, Execution]:
    """All executions by id, in the order in which they were opened."""
    grouped: dict[str, list[Event]] = {}
    takeover_seq = -1
    for event in events:
        if event.type in (ev.DAEMON_STARTED, ev.EPOCH_TAKEN):
            takeover_seq = event.seq
        if event.execution is None:
            continue
        if event.type == ev.EXECUTION_OPENED:
            grouped.setdefault(event.execution, [event])
        elif event.execution in grouped:
            grouped[event.execution].append(event)
    return {key: _fold(key, records, takeover_seq) for key, records in grouped.items()}


def open_executions(events: Sequence[Event]) -> list[Execution]:
    """Those without a closing record: what a start has to resume."""
    return [e for e in fold_executions(events).values() if e.closed is None]


def list_executions(events: Sequence[Event]) -> list[dict[str, Any]]:
    """One JSON-ready row per execution, the newest first."""
    return [_row(e) for e in reversed(fold_executions(events).values())]


def show_execution(events: Sequence[Event], execution_id: str) -> dict[str, Any]:
    """One execution with all its steps, JSON-ready. Raises UsageError if the journal knows no such one."""
    return execution_json(find_execution(events, execution_id))


def find_execution(events: Sequence[Event], execution_id: str) -> Execution:
    """Raises UsageError if the journal knows no such one."""
    execution = fold_executions(events).get(execution_id)
    if execution is None:
        raise UsageError(
            f"no execution {execution_id!r} in the journal",
            hint="`bcm-failover execution list` prints those that there are",
        )
    return execution


def execution_json(execution: Execution) -> dict[str, Any]:
    """The row of `list_executions` with digest, variables and steps."""
    return {
        **_row(execution),
        "digest": execution.digest,
        "vars": dict(execution.vars),
        "resumed": list(execution.resumed),
        "abort_requested": execution.abort_reason,
        "pause": execution.pause_reason,
        "continues": execution.continues,
        "steps": [_step_json(step, execution.opened) for step in execution.steps],
    }


def expected_durations(
    events: Sequence[Event], runbook: str, *, mode: str | None = None
) -> dict[str, Durations]:
    """Past durations of each step of a runbook that succeeded: what a plan expects. mode: only those of
    executions in this mode, since a drill is not the real thing; None: all but dry runs."""
    taken: dict[str, list[int]] = {}
    for execution in fold_executions(events).values():
        other = execution.mode != mode if mode is not None else execution.mode == "dry-run"
        if execution.runbook != runbook or other:
            continue
        for step in execution.steps:
            if step.state == StepState.SUCCEEDED.value and step.took_ns is not None:
                taken.setdefault(step.id, []).append(step.took_ns)
    return {step: durations(values) for step, values in taken.items()}


def durations(taken_ns: Sequence[int]) -> Durations:
    """Raises ValueError if there are none."""
    if not taken_ns:
        raise ValueError("no durations to summarise")
    ordered = sorted(taken_ns)

    def rank(percent: int) -> int:
        index = -(-percent * len(ordered) // 100) - 1
        return round(ordered[max(index, 0)] / 1e6)

    return Durations(rank(50), rank(95), len(ordered))


def _fold(execution_id: str, records: Sequence[Event], takeover_seq: int) -> Execution:
    opened = records[0]
    steps: dict[str, Step] = {}
    for planned in fields.mappings(opened.data, "steps"):
        step_id = fields.text(planned, "id")
        steps[step_id] = Step(step_id, fields.text(planned, "action"), fields.integer(planned, "budget_ms"))
    closed: Event | None = None
    resumed: list[str] = []
    abort_reason = pause_reason = None
    rests = False
    for event in records[1:]:
        if event.type in _TAKEOVERS:
            takeover_seq = max(takeover_seq, event.seq)
        if event.type in _STEP_TYPES:
            step_id = fields.text(event.data, "step")
            step = steps.get(step_id) or Step(step_id, fields.text(event.data, "action"))
            steps[step_id] = _apply(step, event)
        elif event.type == ev.EXECUTION_RESUMED:
            resumed.append(fields.text(event.data, "reason"))
        elif event.type == ev.ABORT_REQUESTED:
            abort_reason = fields.text(event.data, "reason")
        elif event.type == ev.PAUSE_REQUESTED:
            pause_reason = fields.text(event.data, "reason")
        elif event.type in (ev.EXECUTION_PAUSED, ev.EXECUTION_CONTINUED):
            rests = event.type == ev.EXECUTION_PAUSED
            pause_reason = pause_reason if rests else None
        elif event.type == ev.EXECUTION_CLOSED:
            closed = event
    settled = tuple(_settle(step, takeover_seq, closed) for step in steps.values())
    data = opened.data
    return Execution(
        id=execution_id,
        service=opened.service,
        incident=opened.incident,
        runbook=fields.text(data, "runbook"),
        digest=fields.text(data, "digest"),
        mode=fields.text(data, "mode", "real"),
        trigger=fields.text(data, "trigger"),
        actor=opened.actor,
        vars=fields.mapping(data, "vars"),
        expected_ms=fields.integer(data, "expected_ms"),
        opened=Instant.of(opened),
        opened_seq=opened.seq,
        steps=settled,
        state=_state(settled, closed, rests),
        reason=fields.text(closed.data, "reason") if closed else "",
        closed=Instant.of(closed) if closed else None,
        resumed=tuple(resumed),
        abort_reason=abort_reason,
        pause_reason=pause_reason,
        rto_ms=fields.integer(data, "rto_ms"),
        continues=fields.optional_text(data, "continues"),
    )


def _apply(step: Step, event: Event) -> Step:
    """The step with one more record."""
    data = event.data
    if event.type in (ev.STEP_ASKED, ev.STEP_ANSWERED, ev.STEP_SKIP_REQUESTED):
        return _of_people(step, event)
    if event.type == ev.UNDO_INTENT:
        return replace(step, undo=Attempt(1, Instant.of(event), event.seq))
    if event.type == ev.UNDO_RESULT:
        undo = step.undo or Attempt(1, None, event.seq)
        return replace(step, undo=_finished(undo, event))
    number = fields.integer(data, "attempt") or len(step.attempts) or 1
    if event.type == ev.STEP_INTENT:
        attempt = Attempt(
            number,
            Instant.of(event),
            event.seq,
            commands=tuple(fields.texts(data, "commands")),
            inputs=fields.mapping(data, "inputs"),
        )
        return replace(
            step,
            action=fields.text(data, "action") or step.action,
            changing=data.get("changing") is True,
            attempts=(*step.attempts, attempt),
        )
    step = replace(step, asks=None)
    matching = [i for i, a in enumerate(step.attempts) if a.outcome is None and a.number == number]
    if not matching:
        matching = [i for i, a in enumerate(step.attempts) if a.outcome is None][-1:]
    if not matching:
        return replace(step, attempts=(*step.attempts, _finished(Attempt(number, None, event.seq), event)))
    index = matching[-1]
    finished = _finished(step.attempts[index], event)
    return replace(step, attempts=(*step.attempts[:index], finished, *step.attempts[index + 1 :]))


def _of_people(step: Step, event: Event) -> Step:
    """A question, or what a person said."""
    data = event.data
    if event.type == ev.STEP_ASKED:
        asked = Asked(
            fields.text(data, "kind"),
            fields.text(data, "text"),
            fields.integer(data, "needed") or 1,
            fields.integer(data, "expires_wall_ns") or 0,
            tuple(fields.texts(data, "words")),
            tuple(fields.texts(data, "given")),
        )
        return replace(step, asks=asked)
    word = fields.text(data, "word", Word.SKIP.value)
    said = Said(word, event.actor, fields.text(data, "reason"), Instant.of(event))
    asks = step.asks
    if asks is not None:
        one_of_several = word == Word.YES.value and asks.kind == QuestionKind.APPROVAL.value
        asks = replace(asks, given=(*asks.given, event.actor)) if one_of_several else None
    return replace(step, asks=asks, said=(*step.said, said))


def _finished(attempt: Attempt, event: Event) -> Attempt:
    return replace(
        attempt,
        outcome=fields.text(event.data, "outcome", StepState.UNKNOWN.value),
        output=fields.mapping(event.data, "output"),
        detail=fields.text(event.data, "detail"),
        reason=fields.text(event.data, "reason"),
        took_ns=fields.integer(event.data, "took_ns"),
        result_seq=event.seq,
    )


def _settle(step: Step, takeover_seq: int, closed: Event | None) -> Step:
    """The step with its state."""
    open_intent = step.open_intent
    if open_intent is not None:
        lost = closed is not None or open_intent.seq < takeover_seq
        return replace(step, state=(StepState.UNKNOWN if lost else StepState.RUNNING).value)
    if step.undo is not None and step.undo.outcome is not None:
        undone = step.undo.outcome == StepState.SUCCEEDED.value
        return replace(step, state=StepState.UNDONE.value if undone else step.undo.outcome)
    if step.last is not None and step.last.outcome is not None:
        return replace(step, state=step.last.outcome)
    return step


def _state(steps: Sequence[Step], closed: Event | None, rests: bool) -> str:
    if closed is not None:
        return fields.text(closed.data, "state", ExecutionState.UNKNOWN.value)
    if any(s.open_intent is not None and s.state == StepState.UNKNOWN.value for s in steps):
        return ExecutionState.UNKNOWN.value
    if any(s.asks is not None for s in steps):
        return ExecutionState.ASKING.value
    return (ExecutionState.PAUSED if rests else ExecutionState.RUNNING).value


def _row(execution: Execution) -> dict[str, Any]:
    return {
        "id": execution.id,
        "service": execution.service,
        "incident": execution.incident,
        "runbook": execution.runbook,
        "mode": execution.mode,
        "trigger": execution.trigger,
        "actor": execution.actor,
        "state": execution.state,
        "reason": execution.reason,
        "opened_utc": execution.opened.wall_utc,
        "closed_utc": execution.closed.wall_utc if execution.closed else None,
        "took_s": execution.took.seconds,
        "expected_s": None if execution.expected_ms is None else execution.expected_ms / 1000,
        "open_steps": [step.id for step in execution.open_steps],
        "asks": [_asked_json(step.id, step.asks) for step in execution.steps if step.asks is not None],
        "rto_s": None if execution.rto_ms is None else execution.rto_ms / 1000,
    }


def _asked_json(step: str, asked: Asked) -> dict[str, Any]:
    return {
        "step": step,
        "kind": asked.kind,
        "text": asked.text,
        "needed": asked.needed,
        "given": list(asked.given),
        "words": list(asked.words),
        "expires_utc": wall_text(asked.expires_wall_ns),
    }


def _step_json(step: Step, opened: Instant) -> dict[str, Any]:
    return {
        "id": step.id,
        "action": step.action,
        "changing": step.changing,
        "state": step.state,
        "attempts": [_attempt_json(a, opened) for a in step.attempts],
        "undo": None if step.undo is None else _attempt_json(step.undo, opened),
        "said": [
            {"word": s.word, "person": s.person, "reason": s.reason, "at_utc": s.at.wall_utc}
            for s in step.said
        ],
        **_budget_json(step),
    }


def _budget_json(step: Step) -> dict[str, Any]:
    """What the runbook lets it take, what it took, and by how much that is too long."""
    spent = step.spent_ns
    over = None
    if step.budget_ms is not None and spent is not None:
        over = max(0, round(spent / 1e6) - step.budget_ms) / 1000
    return {
        "budget_s": None if step.budget_ms is None else step.budget_ms / 1000,
        "spent_s": None if spent is None else round(spent / 1e9, 6),
        "over_budget_s": over,
    }


def _attempt_json(attempt: Attempt, opened: Instant) -> dict[str, Any]:
    began = attempt.began
    return {
        "attempt": attempt.number,
        "began_utc": began.wall_utc if began else None,
        "began_s": between(opened, began).seconds,
        "commands": list(attempt.commands),
        "inputs": dict(attempt.inputs),
        "outcome": attempt.outcome,
        "detail": attempt.detail,
        "reason": attempt.reason,
        "output": dict(attempt.output),
        "took_s": None if attempt.took_ns is None else round(attempt.took_ns / 1e9, 6),
    }
