"""Takes back what an execution did, as long as it has not passed the point of no return (P6)."""

from __future__ import annotations

from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, Final

from model.errors import RunbookError
from model.execution import StepResult, StepState
from runbooks.acting import until_deadline
from runbooks.binding import bind_inputs
from runbooks.run_state import RunState, StepStatus

# A healthy primary may be waiting for what is taken back here: one refusal is not the end of it.
ATTEMPTS: Final = 3
WAIT_S: Final = 0.2


@dataclass(frozen=True, slots=True)
class Undone:
    """failed, unknown: steps whose undo did not succeed. standing: changes that nothing takes back."""

    failed: tuple[str, ...]
    unknown: tuple[str, ...]
    standing: tuple[str, ...]

    @property
    def complete(self) -> bool:
        return not self.failed and not self.unknown


async def undo_all(run: RunState) -> Undone:
    """Every step that may have acted and whose runbook says `undo: true`, in reverse order.

    A step that failed or whose outcome is not known is taken back too: it may have done a part. Each undo is
    journaled like a step. Raises LeadershipLostError, and JournalError unless the logbook is lenient.
    """
    standing: list[str] = []
    for status in reversed(run.steps.values()):
        if not status.acted or status.undone is StepState.SUCCEEDED:
            continue
        if status.step.undo:
            await _undo(run, status)
        elif status.changing and not status.kind.per_process and status.state is not StepState.FAILED:
            standing.append(status.step.id)
    undone = [s for s in run.steps.values() if s.undone is not None]
    return Undone(
        failed=tuple(s.step.id for s in undone if s.undone is StepState.FAILED),
        unknown=tuple(s.step.id for s in undone if s.undone not in (StepState.FAILED, StepState.SUCCEEDED)),
        standing=tuple(reversed(standing)),
    )


async def _undo(run: RunState, status: StepStatus) -> None:
    run.require_lease()
    run.tell(status.step.id, StepState.RUNNING, "is taken back", undoing=True)
    await run.log.undo_intent(status.step)
    status.undone = StepState.RUNNING
    run.require_lease()
    began_ns = run.now_ns()
    result = await _attempts(run, status)
    run.log.undo_result(status.step, result, took_ns=run.now_ns() - began_ns)
    status.undone = result.outcome
    if result.outcome is StepState.SUCCEEDED:
        status.state, status.open = StepState.UNDONE, False
    run.tell(status.step.id, status.state, result.detail, undoing=True)


async def _attempts(run: RunState, status: StepStatus) -> StepResult:
    result = StepResult.failed("not begun")
    for number in range(1, ATTEMPTS + 1):
        if number > 1:
            await run.context.ports.clock.sleep(WAIT_S)
            run.require_lease()
        result = await _once(run, status)
        if result.outcome is StepState.SUCCEEDED or status.runaway:
            break
    return result


async def _once(run: RunState, status: StepStatus) -> StepResult:
    context = run.context_for(status)
    try:
        action = bind_inputs(status.step, status.inputs).action
    except RunbookError as error:
        return StepResult.failed(error.what)

    def work(deadline_s: float) -> Coroutine[Any, Any, StepResult]:
        return action.undo(context, deadline_s)

    ended = await until_deadline(work, timeout_s=status.step.timeout, clock=context.ports.clock)
    status.runaway = ended.runaway
    if ended.value is not None:
        return ended.value
    if ended.error is not None:
        return StepResult.unknown(f"{type(ended.error).__name__}: {ended.error}")
    return StepResult.unknown(f"not taken back within {status.step.timeout:g} s")
