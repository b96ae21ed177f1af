"""An execution as its journal holds it: everything that is needed to go on with it after the process died."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from model import events as ev
from model.errors import JournalError, UsageError
from model.events import Event
from model.execution import ExecutionState, Mode, StepState
from model.people import Word


@dataclass(frozen=True, slots=True)
class Moment:
    """Monotonic nanoseconds within one boot of a host."""

    boot_id: str
    mono_ns: int

    @classmethod
    def of(cls, event: Event) -> Moment:
        return cls(event.boot_id, event.mono_ns)


@dataclass(frozen=True, slots=True)
class RecordedAttempt:
    """One try. `intent` None: a result without an intent (a skipped step). outcome None: an open intent."""

    number: int
    intent: Moment | None = None
    inputs: Mapping[str, Any] = field(default_factory=dict)
    outcome: StepState | None = None
    output: Mapping[str, Any] = field(default_factory=dict)
    detail: str = ""
    ended: Moment | None = None


@dataclass(frozen=True, slots=True)
class RecordedQuestion:
    """given: who agreed to it, in that order."""

    text: str
    expires_wall_ns: int
    given: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RecordedStep:
    """`undo`: None, not begun; RUNNING, begun without a result; else its outcome. question: what it asks and
    nothing has ended yet. skip: who wants it to be passed over, and why."""

    id: str
    attempts: tuple[RecordedAttempt, ...] = ()
    undo: StepState | None = None
    question: RecordedQuestion | None = None
    skip: tuple[str, str] | None = None

    @property
    def last(self) -> RecordedAttempt | None:
        return self.attempts[-1] if self.attempts else None

    @property
    def has_intent(self) -> bool:
        """It may have acted."""
        return any(attempt.intent is not None for attempt in self.attempts)

    @property
    def open_intent(self) -> bool:
        return self.last is not None and self.last.outcome is None


@dataclass(frozen=True, slots=True)
class RecordedExecution:
    """`definition` is the runbook as it was: one that was edited meanwhile changes nothing. marks: those that
    are journaled. pause_reason: of a pause that was asked for and is not over; rests: it has come to it.
    closed: the state in which it ended."""

    id: str
    service: str
    incident: str | None
    actor: str
    mode: Mode
    trigger: str
    runbook: str
    digest: str
    definition: Mapping[str, Any]
    vars: Mapping[str, Any]
    steps: Mapping[str, RecordedStep]
    marks: frozenset[str] = frozenset()
    abort_reason: str | None = None
    pause_reason: str | None = None
    rests: bool = False
    closed: ExecutionState | None = None

    @property
    def questions(self) -> Mapping[str, RecordedQuestion]:
        """Those that are open, by step."""
        return {s.id: s.question for s in self.steps.values() if s.question is not None}

    @property
    def waits_for_people(self) -> bool:
        """It stood still, and somebody was to say how to go on."""
        return self.rests or bool(self.questions)

    def step(self, step_id: str) -> RecordedStep:
        return self.steps.get(step_id, RecordedStep(step_id))


def recorded_from_events(events: Sequence[Event], execution_id: str) -> RecordedExecution:
    """Folds the events of one execution; others among them are passed over.

    Raises UsageError if there is no such execution, JournalError if its opening can't be understood.
    """
    own = [event for event in events if event.execution == execution_id]
    opened = next((event for event in own if event.type == ev.EXECUTION_OPENED), None)
    if opened is None:
        raise UsageError(
            f"no execution {execution_id!r} in the journal",
            hint="`bcm-failover execution list` prints those that there are",
        )
    recorded = _opened(opened)
    for event in own:
        recorded = _apply(recorded, event)
    return recorded


def _opened(event: Event) -> RecordedExecution:
    data = event.data
    try:
        return RecordedExecution(
            id=str(event.execution),
            service=str(event.service),
            incident=event.incident,
            actor=event.actor,
            mode=Mode(data["mode"]),
            trigger=data["trigger"],
            runbook=data["runbook"],
            digest=data["digest"],
            definition=data["definition"],
            vars=data["vars"],
            steps={planned["id"]: RecordedStep(planned["id"]) for planned in data["steps"]},
        )
    except (KeyError, ValueError, TypeError) as error:
        raise JournalError(
            f"the opening of {event.execution} can't be read: {type(error).__name__}: {error}",
            where=f"journal, seq {event.seq}",
            hint="it was written by a version that this one does not know: go on with that version",
        ) from error


def _apply(recorded: RecordedExecution, event: Event) -> RecordedExecution:
    match event.type:
        case (
            ev.STEP_INTENT
            | ev.STEP_RESULT
            | ev.UNDO_INTENT
            | ev.UNDO_RESULT
            | ev.STEP_ASKED
            | ev.STEP_ANSWERED
            | ev.STEP_SKIP_REQUESTED
        ):
            step = _step_event(recorded.step(event.data["step"]), event)
            return replace(recorded, steps={**recorded.steps, step.id: step})
        case ev.CLOCK_MARK:
            return replace(recorded, marks=recorded.marks | {event.data["mark"]})
        case ev.ABORT_REQUESTED:
            return replace(recorded, abort_reason=event.data.get("reason", ""))
        case ev.PAUSE_REQUESTED:
            return replace(recorded, pause_reason=event.data.get("reason", ""))
        case ev.EXECUTION_PAUSED:
            return replace(recorded, rests=True)
        case ev.EXECUTION_CONTINUED:
            return replace(recorded, pause_reason=None, rests=False)
        case ev.EXECUTION_CLOSED:
            return replace(recorded, closed=ExecutionState(event.data["state"]))
        case _:
            return recorded


def _step_event(step: RecordedStep, event: Event) -> RecordedStep:
    data = event.data
    match event.type:
        case ev.STEP_INTENT:
            attempt = RecordedAttempt(
                number=data["attempt"],
                intent=Moment.of(event),
                inputs=data.get("inputs", {}),
            )
            return replace(step, attempts=(*step.attempts, attempt))
        case ev.STEP_ASKED:
            asked = RecordedQuestion(data["text"], data["expires_wall_ns"], tuple(data.get("given", ())))
            return replace(step, question=asked)
        case ev.STEP_ANSWERED:
            return replace(step, question=_answered(step.question, data["word"], event.actor))
        case ev.STEP_SKIP_REQUESTED:
            return replace(step, skip=(event.actor, data.get("reason", "")))
        case ev.STEP_RESULT:
            number = data.get("attempt", 1)
            before = step.last if step.last is not None and step.last.number == number else None
            attempt = replace(
                before or RecordedAttempt(number),
                outcome=StepState(data["outcome"]),
                output=data.get("output", {}),
                detail=data.get("detail", ""),
                ended=Moment.of(event),
            )
            kept = step.attempts[:-1] if before is not None else step.attempts
            return replace(step, attempts=(*kept, attempt), question=None)
        case ev.UNDO_INTENT:
            return replace(step, undo=StepState.RUNNING)
        case _:
            return replace(step, undo=StepState(data["outcome"]))


def _answered(question: RecordedQuestion | None, word: str, person: str) -> RecordedQuestion | None:
    """A yes may be one of several; every other word ends it, and so does the step's result."""
    if question is None or word != Word.YES.value:
        return None
    return replace(question, given=(*question.given, person))
