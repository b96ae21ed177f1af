"""States and results of executions and their steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final


class Mode(StrEnum):
    REAL = "real"
    DRILL = "drill"
    DRY_RUN = "dry-run"


class StepState(StrEnum):
    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    UNKNOWN = "unknown"
    SKIPPED = "skipped"
    UNDONE = "undone"


class ExecutionState(StrEnum):
    RUNNING = "running"
    PAUSED = "paused"  # at rest, because a person wants it to be
    ASKING = "asking"  # a step waits for people
    SUCCEEDED = "succeeded"
    UNDONE = "undone"  # tentative steps were taken back; nothing is changed
    HANDED_OVER = "handed_over"  # the old primary was lost: another execution goes on from where this stands
    FAILED = "failed"  # stopped at a step; the report says which
    UNKNOWN = "unknown"  # a step's effect can't be seen: a person must look


OPEN_STATES: Final = frozenset({ExecutionState.RUNNING, ExecutionState.PAUSED, ExecutionState.ASKING})
"""Those in which nothing is closed; an open one may be `unknown`, too."""


@dataclass(frozen=True, slots=True)
class StepResult:
    """What a step did. `output` are JSON values (integers, no floats) that later steps may use."""

    outcome: StepState
    detail: str = ""
    output: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def ok(cls, detail: str = "", **output: Any) -> StepResult:
        return cls(StepState.SUCCEEDED, detail, output)

    @classmethod
    def failed(cls, detail: str, **output: Any) -> StepResult:
        return cls(StepState.FAILED, detail, output)

    @classmethod
    def unknown(cls, detail: str, **output: Any) -> StepResult:
        return cls(StepState.UNKNOWN, detail, output)


@dataclass(frozen=True, slots=True)
class ExecutionResult:
    """How a run of a plan ended.

    step: where it stopped, if it did. outputs: step → output. asks: a person is to say how to go on. closed:
    the end is in the journal; if not (leadership lost, journal failing), whoever leads next resumes it.
    """

    id: str
    state: ExecutionState
    reason: str
    outputs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    step: str | None = None
    asks: bool = False
    closed: bool = True


class Effect(StrEnum):
    """What a step's own check sees of its effect, when the outcome was not recorded (S5)."""

    DONE = "done"
    NOT_DONE = "not_done"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Reconciled:
    """What a step's own check saw. `output` is what `run` would have returned, where the effect is there."""

    effect: Effect
    detail: str
    output: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def done(cls, detail: str, **output: Any) -> Reconciled:
        return cls(Effect.DONE, detail, output)

    @classmethod
    def not_done(cls, detail: str) -> Reconciled:
        return cls(Effect.NOT_DONE, detail)

    @classmethod
    def unknown(cls, detail: str) -> Reconciled:
        return cls(Effect.UNKNOWN, detail)


@dataclass(frozen=True, slots=True)
class Precheck:
    """One row of a plan: what, how, result and why it matters, what to do if it fails."""

    what: str
    how: str
    ok: bool | None
    result: str
    why: str
    if_failed: str
