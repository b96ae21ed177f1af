"""Goes on with an execution whose process died: back before the point of no return, forward after it.

1. What lived in the process (locks, sessions) is made again, before anything else.
2. It stood still for people: it goes on standing there, with what they have said.
3. No intent of a point of no return is in the journal: everything is taken back. The service was left as it
   was, and a healthy primary gets its writes back (P6). Nobody knows how old the reasons to act are by now.
4. Else forward: steps that succeeded keep their recorded outputs, open intents are reconciled by a look at
   their effect, the rest runs.
"""

from __future__ import annotations

from typing import Final

from model.errors import JournalError, LeadershipLostError
from model.execution import ExecutionResult, ExecutionState, StepState
from runbooks.recorded import RecordedAttempt, RecordedExecution
from runbooks.registry import action_type
from runbooks.run import Ending, Run
from runbooks.run_state import RunState, StepStatus
from runbooks.schema import Runbook, Step

# The locks of a dead process may take a moment to go; without locks nothing can be taken back (P7).
REPEATS: Final = 3
REPEAT_WAIT_S: Final = 0.5


def statuses(runbook: Runbook, recorded: RecordedExecution | None = None) -> dict[str, StepStatus]:
    """Every step as the journal left it; as not begun, without a record."""
    return {
        step.id: _status(step, recorded) if recorded else StepStatus(step, action_type(step.action))
        for step in runbook.steps
    }


async def go_on(run: Run, recorded: RecordedExecution, reason: str) -> ExecutionResult:
    """Drives a resumed execution to its end; raises nothing that `Run.drive` does not raise."""
    try:
        await _begin(run.state, recorded, reason)
        failed = await _repeat_per_process(run)
    except (LeadershipLostError, JournalError) as error:
        return run.unclosed(f"not resumed: {error.what}")
    if failed is not None:
        what = f"step {failed.step.id} could not be made again after the restart: {failed.detail}"
        return await run.stop(Ending(ExecutionState.UNKNOWN, what, failed.step.id, asks=True))
    if recorded.abort_reason is not None:
        run.abort(recorded.abort_reason)
    if recorded.waits_for_people and recorded.abort_reason is None:
        return await run.drive()
    if run.state.past_no_return or all(status.final for status in run.state.steps.values()):
        return await run.drive()
    why = f"aborted: {recorded.abort_reason}" if recorded.abort_reason is not None else reason
    return await run.drive(back=why)


async def _begin(state: RunState, recorded: RecordedExecution, reason: str) -> None:
    """The record of the resumption, and the marks that the process before did not come to write."""
    state.require_lease()
    event = await state.log.resumed(reason)
    for status in state.steps.values():
        state.keep_output(status)
    if event is None:
        return
    for status in state.steps.values():
        last = recorded.step(status.step.id).last
        mark = status.step.mark
        ended = last.ended if last is not None and status.state is StepState.SUCCEEDED else None
        if mark is not None and ended is not None and ended.boot_id == event.boot_id:
            state.marks.write(mark, ended.mono_ns, "written when the execution was resumed")


async def _repeat_per_process(run: Run) -> StepStatus | None:
    """The step that could not be made again, or None."""
    for status in run.state.steps.values():
        if not status.kind.per_process or not (status.acted or status.state is StepState.SUCCEEDED):
            continue
        if status.state is StepState.FAILED and not status.open:
            continue  # it failed in the process before: that is the outcome
        for number in range(REPEATS):
            if number:
                await run.state.context.ports.clock.sleep(REPEAT_WAIT_S)
            if await run.steps.repeat(status, "made again after a restart"):
                break
        else:
            return status
    return None


def _status(step: Step, recorded: RecordedExecution) -> StepStatus:
    """Of the last attempt; an undone step stays undone."""
    past = recorded.step(step.id)
    status = StepStatus(step, action_type(step.action))
    status.acted = past.has_intent
    status.undone = past.undo
    status.skip = past.skip
    if past.last is None:
        return status
    last: RecordedAttempt = past.last
    status.attempts = last.number
    status.inputs = last.inputs
    status.open = last.outcome is None
    status.failures = sum(1 for a in past.attempts if a.outcome in (StepState.FAILED, StepState.UNKNOWN))
    if last.outcome is not None:
        status.state, status.output, status.detail = last.outcome, last.output, last.detail
    if past.undo is StepState.SUCCEEDED:
        status.state, status.open = StepState.UNDONE, False
    return status
