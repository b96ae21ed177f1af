"""Brings one step to its end: intent on disk, act, result on disk; again, if the runbook says so.

An outcome that is not known is settled by the action's own look at its effect, never by a guess (S5, S13).
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from model.errors import BcmError
from model.execution import Effect, Reconciled, StepResult, StepState
from runbooks.acting import Ended, Movement, until_deadline
from runbooks.actions.base import Action
from runbooks.binding import Bound, bind, bind_inputs
from runbooks.logbook import Intent
from runbooks.marks import FIRST_CHANGE
from runbooks.run_state import ENDED_WELL, RunState, StepStatus
from runbooks.schema import OnFailure
from runbooks.template import evaluate
from runbooks.values import unjournalable


class StepRunner:
    def __init__(self, run: RunState) -> None:
        self._run = run

    async def settle(self, status: StepStatus) -> None:
        """Until the step has ended, as far as it may; `status` tells how. Does nothing for one that has.

        Raises LeadershipLostError and JournalError.
        """
        why = ""
        if status.final:
            self._write_missing_mark(status)
            return
        if status.open or status.state is StepState.UNKNOWN:
            again = await self._reconcile(status)
            if again is None:
                return
            why, status.doubtful = again, True
        elif status.state is StepState.FAILED:
            if not self._may_retry(status):
                return
            why = f"attempt {status.attempts} failed: {status.detail}"
        elif not self._run.halting.is_set() and self._skipped(status):
            return
        await self._attempts(status, why)

    async def again(self, status: StepStatus, why: str) -> None:
        """A person wants it to be tried again. An effect that is there by now is not made twice."""
        if status.state is StepState.UNKNOWN and status.changing:
            self._run.require_lease()
            seen = await self.check(status)
            if seen.effect is Effect.DONE:
                result = StepResult(StepState.SUCCEEDED, seen.detail, seen.output)
                self._end(status, result, took_ns=None, reason="reconciled")
                return
        status.state, status.failures = StepState.PENDING, 0
        await self._attempts(status, why)

    def pass_over(self, status: StepStatus, person: str, reason: str) -> None:
        """A person wants it to be skipped."""
        status.attempts = max(status.attempts, 1)
        self._end(status, _passed_over(person, reason), took_ns=None, reason="skipped")

    async def repeat(self, status: StepStatus, why: str) -> bool:
        """Run a step again that has ended: its effect was in the process that died. True if it succeeded."""
        status.state, status.open, status.failures = StepState.PENDING, False, 0
        await self._attempts(status, why)
        return status.state is StepState.SUCCEEDED

    async def _attempts(self, status: StepStatus, why: str) -> None:
        while not self._run.halting.is_set():
            await self._attempt(status, why)
            if status.state in ENDED_WELL or not self._may_retry(status):
                return
            why = f"attempt {status.attempts} {status.state.value}: {status.detail}"
            status.doubtful = status.doubtful or status.state is StepState.UNKNOWN
            await self._pause(status.step.wait_s)

    def _may_retry(self, status: StepStatus) -> bool:
        """After an unknown outcome only what may be done twice is tried again."""
        if status.failures >= status.step.attempts or status.runaway:
            return False
        return status.state is StepState.FAILED or not status.changing or status.repeatable

    async def _pause(self, seconds: float) -> None:
        """Ends early when no attempt may begin any more."""
        if seconds > 0:
            task = asyncio.ensure_future(self._run.halting.wait())
            await asyncio.wait({task}, timeout=seconds)
            task.cancel()

    def _skipped(self, status: StepStatus) -> bool:
        when = status.step.when
        if status.skip is not None:
            self._run.require_lease()
            self.pass_over(status, *status.skip)
            return True
        if when is None:
            return False
        self._run.require_lease()
        try:
            if evaluate(when, self._run.context.vars):
                return False
            result = StepResult(StepState.SKIPPED, f"`{when}` is false")
        except BcmError as error:
            result = StepResult.failed(f"`when` can't be judged: {error.what}")
        status.attempts = max(status.attempts, 1)
        self._end(status, result, took_ns=None)
        return True

    # --- one attempt

    async def _attempt(self, status: StepStatus, why: str) -> None:
        run = self._run
        run.require_lease()
        status.attempts += 1
        run.tell(status.step.id, StepState.RUNNING, why, attempt=status.attempts)
        try:
            bound = bind(status.step, run.context.vars)
            commands = bound.action.describe(run.context_for(status))
        except Exception as error:  # noqa: BLE001 - nothing has been done yet: a plain failure
            self._end(status, StepResult.failed(f"not begun: {_text(error)}"), took_ns=None)
            return
        status.inputs = bound.inputs
        intent = Intent(status.attempts, status.changing, commands, bound.inputs, why)
        if status.changing or status.kind.per_process or status.step.point_of_no_return:
            ended = await self._change(status, bound, intent)
        else:
            ended = await self._read(status, bound, intent)
        status.runaway = ended.runaway
        result, reason = _result_of(ended, status), ""
        if status.skip is not None and not status.changing and result.outcome is not StepState.SUCCEEDED:
            result, reason = _passed_over(*status.skip), "skipped"  # while it waited for people
        if result.outcome is StepState.UNKNOWN and status.changing and not ended.runaway:
            result, reason = await self._look(status, bound.action, result)
        if result.outcome is StepState.FAILED and status.doubtful and status.step.point_of_no_return:
            # What was asked for before may still come (P12), whatever has failed now.
            said = f"{result.detail}; what became of an attempt before is not known"
            result = StepResult(StepState.UNKNOWN, said, result.output)
        self._end(status, result, took_ns=ended.took_ns, reason=reason)

    async def _change(self, status: StepStatus, bound: Bound, intent: Intent) -> Ended[StepResult]:
        """The intent is on disk before anything is changed, and leadership is looked at once more (S4)."""
        run = self._run
        if status.changing and not status.kind.per_process:
            run.marks.write(FIRST_CHANGE, run.now_ns())
        if status.step.point_of_no_return:
            # This intent forbids to take anything back: it may not be on disk without all that precedes it.
            await run.log.flush()
        await run.log.intent(status.step, intent)
        status.acted = status.open = True
        if status.step.point_of_no_return:
            run.past_no_return = True
        run.require_lease()
        return await self._act(status, bound.action)

    async def _read(self, status: StepStatus, bound: Bound, intent: Intent) -> Ended[StepResult]:
        """Reading changes nothing, so it need not wait for the disk."""
        status.open = True
        written, ended = await asyncio.gather(
            self._run.log.intent(status.step, intent),
            self._act(status, bound.action),
            return_exceptions=True,
        )
        if isinstance(written, BaseException):
            raise written
        if isinstance(ended, BaseException):
            raise ended
        return ended

    async def _act(self, status: StepStatus, action: Action) -> Ended[StepResult]:
        stall_s, clock = status.step.stall, self._run.context.ports.clock
        movement = None if stall_s is None else Movement(stall_s, clock)
        context = self._run.context_for(status, movement)

        def work(deadline_s: float) -> Coroutine[Any, Any, StepResult]:
            return action.run(context, deadline_s)

        return await until_deadline(work, timeout_s=status.step.timeout, clock=clock, movement=movement)

    def _end(self, status: StepStatus, result: StepResult, *, took_ns: int | None, reason: str = "") -> None:
        """The result and its clock mark are handed to the journal, and kept for the steps that follow."""
        run = self._run
        ended_ns = run.now_ns()
        run.log.result(status.step, status.attempts, result, took_ns=took_ns, reason=reason)
        status.take(result)
        run.keep_output(status)
        run.tell(status.step.id, status.state, status.detail, attempt=status.attempts)
        if status.state is StepState.SUCCEEDED and status.step.mark is not None:
            run.marks.write(status.step.mark, ended_ns)

    # --- outcomes that are not known

    async def _look(self, status: StepStatus, action: Action, result: StepResult) -> tuple[StepResult, str]:
        """The result after a look at the effect. What is not there now may still come (P12): at a point of no
        return, and for what can't be repeated, that stays unknown."""
        seen = await self._check(status, action)
        if seen.effect is Effect.DONE:
            return StepResult(StepState.SUCCEEDED, seen.detail, seen.output), "reconciled"
        harmless = status.repeatable and not status.step.point_of_no_return
        if seen.effect is Effect.NOT_DONE and harmless:
            return StepResult.failed(f"{result.detail}; its effect is not there: {seen.detail}"), "reconciled"
        return StepResult(StepState.UNKNOWN, f"{result.detail}; {seen.detail}", result.output), ""

    async def _reconcile(self, status: StepStatus) -> str | None:
        """Settles an outcome that the process before did not record. Returns why the step runs again, or None
        if it has ended."""
        if not status.changing:
            return "its result was not recorded"
        self._run.require_lease()
        settled = settle_unrecorded(status, await self.check(status))
        if isinstance(settled, str):
            return settled
        self._end(status, settled, took_ns=None, reason="reconciled")
        return None

    async def check(self, status: StepStatus) -> Reconciled:
        """What the step's own check finds of the effect of its last attempt. Changes nothing."""
        try:
            action = bind_inputs(status.step, status.inputs).action
        except BcmError as error:
            return Reconciled.unknown(f"the check of its effect can't be made: {error.what}")
        return await self._check(status, action)

    async def _check(self, status: StepStatus, action: Action) -> Reconciled:
        context = self._run.context_for(status)

        def work(deadline_s: float) -> Coroutine[Any, Any, Reconciled]:
            return action.check(context, deadline_s)

        timeout_s = min(status.step.timeout, status.kind.check_limit_s)
        ended = await until_deadline(work, timeout_s=timeout_s, clock=context.ports.clock)
        if ended.value is None:
            why = _text(ended.error) if ended.error else f"no answer within {timeout_s:g} s"
            return Reconciled.unknown(f"the check of its effect failed: {why}")
        found = unjournalable(ended.value.output, "its output")
        return (
            Reconciled.unknown(f"the check of its effect can't be recorded: {found}")
            if found
            else ended.value
        )

    def _write_missing_mark(self, status: StepStatus) -> None:
        mark = status.step.mark
        if mark is not None and status.state is StepState.SUCCEEDED and self._run.marks.missing(mark):
            self._run.marks.write(mark, self._run.now_ns(), "written when the execution was resumed")


def settle_unrecorded(status: StepStatus, seen: Reconciled) -> StepResult | str:
    """What becomes of an attempt whose result was not recorded, by what its check sees: a result, or why it
    runs again."""
    left = f"attempt {status.attempts} left no result"
    if seen.effect is Effect.DONE:
        return StepResult(StepState.SUCCEEDED, seen.detail, seen.output)
    if seen.effect is Effect.NOT_DONE and status.repeatable:
        return f"{left}, and its effect is not there: {seen.detail}"
    if status.step.on_failure is OnFailure.CONTINUE and status.repeatable:
        return f"{left}, and its effect can't be seen: {seen.detail}"
    if seen.effect is Effect.NOT_DONE:
        return StepResult.unknown(f"{left}; its effect is not there, and it can't be repeated: {seen.detail}")
    return StepResult.unknown(f"{left}, and its effect can't be seen: {seen.detail}")


def _result_of(ended: Ended[StepResult], status: StepStatus) -> StepResult:
    """What counts as the result of an attempt, however it ended."""
    doubtful = StepResult.unknown if status.changing else StepResult.failed
    if ended.timed_out:
        late = "; it did not let go when it was cancelled" if ended.runaway else ""
        if ended.stalled:
            return StepResult.unknown(f"it has stood still for {status.step.stall:g} s{late}")
        return StepResult.unknown(f"not ended within {status.step.timeout:g} s{late}")
    if ended.value is None:
        return doubtful(_text(ended.error))
    if ended.value.outcome not in (StepState.SUCCEEDED, StepState.FAILED, StepState.UNKNOWN):
        return doubtful(f"the action returned {ended.value.outcome.value!r}, which is no outcome")
    found = unjournalable(ended.value.output, "its output")
    return doubtful(f"the action returned what can't be recorded: {found}") if found else ended.value


def _passed_over(person: str, reason: str) -> StepResult:
    return StepResult(StepState.SKIPPED, f"skipped by {person}: {reason}")


def _text(error: Exception | None) -> str:
    if isinstance(error, BcmError):
        return f"{error.where}: {error.what}" if error.where else error.what
    return f"{type(error).__name__}: {error}"
