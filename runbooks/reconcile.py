"""What the steps have left behind whose outcome nobody recorded: each one's own check looks, nothing more."""

from __future__ import annotations

import asyncio
from dataclasses import asdict, dataclass
from typing import Any

from model.execution import Effect, Reconciled, StepResult, StepState
from runbooks.recorded import RecordedExecution
from runbooks.run import Run
from runbooks.run_state import StepStatus
from runbooks.step_runner import settle_unrecorded


@dataclass(frozen=True, slots=True)
class Found:
    """One step. left: what the journal holds of it. effect: done, not_done or unknown. would: what a
    resumption makes of it, in words."""

    step: str
    action: str
    attempt: int
    left: str
    effect: str
    detail: str
    would: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


async def look(run: Run, recorded: RecordedExecution) -> list[Found]:
    """Of every step that may have changed something and has no recorded outcome, or one that is not known."""
    doubtful = [s for s in run.state.steps.values() if _left(s, recorded)]
    seen = await asyncio.gather(*(run.steps.check(status) for status in doubtful))
    return [
        Found(
            step=status.step.id,
            action=status.step.action,
            attempt=status.attempts,
            left=_left(status, recorded),
            effect=found.effect.value,
            detail=found.detail,
            would=_would(run, recorded, status, found),
        )
        for status, found in zip(doubtful, seen, strict=True)
    ]


def _left(status: StepStatus, recorded: RecordedExecution) -> str:
    """Why its outcome is not known; empty where it is."""
    if not status.changing or status.undone is StepState.SUCCEEDED:
        return ""
    if recorded.step(status.step.id).undo is StepState.RUNNING:
        return "its undo has an intent and no result"
    if status.open:
        return "an intent and no result"
    return f"unknown: {status.detail}" if status.state is StepState.UNKNOWN else ""


def _would(run: Run, recorded: RecordedExecution, status: StepStatus, seen: Reconciled) -> str:
    if recorded.closed is not None:
        return "nothing: the execution is closed"
    if status.kind.per_process:
        return "it is made again: its effect lived in the process"
    if not run.state.past_no_return and not recorded.waits_for_people:
        taken_back = status.step.undo or seen.effect is Effect.NOT_DONE
        return "it is taken back" if taken_back else "everything is taken back; this stays as it is"
    settled = settle_unrecorded(status, seen)
    if not isinstance(settled, StepResult):
        return "it runs again"
    return "it counts as done" if settled.outcome is StepState.SUCCEEDED else "it stops and asks a person"
