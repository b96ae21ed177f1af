"""What an execution tells a person while it runs. Never a source of truth: that is the journal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from model.execution import ExecutionState, StepState


@dataclass(frozen=True, slots=True)
class Progress:
    """`step` None: of the execution as a whole. at_ns: monotonic clock. undoing: the step is being taken
    back."""

    execution: str
    service: str
    incident: str | None
    step: str | None
    state: StepState | ExecutionState
    detail: str
    at_ns: int
    attempt: int = 1
    undoing: bool = False


OnProgress = Callable[[Progress], None]
