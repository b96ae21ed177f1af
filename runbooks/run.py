"""Drives one execution from where it stands to its end: forward, back, or to a stop.

forward ──► every step ended well ──────────────────────────► succeeded
   │
   ├─ a step failed, `undo`, or an abort, before the point of no return ──► undone
   ├─ a step saw that the old primary is lost, `hand_over` ───────────────► handed over
   ├─ a step failed, `stop` or `ask`; or past the point of no return ─────► failed, or unknown where a
   │                                                                        change can't be seen
   ├─ the journal fails, before the point of no return ──► undone, without the journal (S4)
   └─ leadership is lost ──► nothing more is done: whoever leads resumes it
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from model.errors import JournalError, LeadershipLostError
from model.execution import ExecutionResult, ExecutionState, StepState
from model.people import Word
from runbooks.names import STEPS
from runbooks.resting import ask_how, rest
from runbooks.run_state import RunState, StepStatus
from runbooks.schema import OnFailure, Step
from runbooks.step_runner import StepRunner
from runbooks.undo import Undone, undo_all

# What a step's output says, besides what it names, where it saw that the old primary is gone for good.
LOST: Final = "lost"
_CANCELLED_S: Final = 2.0  # for tasks to let go after a cancellation; they have no right to more


@dataclass(frozen=True, slots=True)
class Ending:
    state: ExecutionState
    reason: str
    step: str | None = None
    asks: bool = False


class Run:
    def __init__(self, state: RunState) -> None:
        self.state = state
        self.steps = StepRunner(state)
        self._beside: dict[str, asyncio.Task[None]] = {}
        self._group: list[asyncio.Task[None]] = []
        self._reached: list[StepStatus] = []

    async def drive(self, *, back: str | None = None) -> ExecutionResult:
        """To the end, which is journaled. back: a reason to take everything back, instead of going on.

        Never raises for what the world, the journal or another controller does.
        """
        try:
            ending = await (self._forward() if back is None else self._back(back, None))
            return await self._close(ending)
        except LeadershipLostError as error:
            return await self._lost(error)
        except JournalError as error:
            try:
                return await self._without_journal(error)
            except LeadershipLostError as lost:
                return await self._lost(lost)
        finally:
            await self._cancel_all()

    def abort(self, reason: str) -> None:
        """At the next safe point: no attempt begins any more, what is at work is waited for."""
        self.state.abort_reason = reason
        self.state.halting.set()

    async def stop(self, ending: Ending) -> ExecutionResult:
        """End it here."""
        try:
            return await self._close(ending)
        except (LeadershipLostError, JournalError) as error:
            return self._result(
                Ending(ending.state, f"{ending.reason} ({error.what})", ending.step), closed=False
            )

    def unclosed(self, reason: str) -> ExecutionResult:
        """The result of a run that must change nothing, not even its record."""
        return self._result(Ending(ExecutionState.UNKNOWN, reason), closed=False)

    # --- forward

    async def _forward(self) -> Ending:
        for batch in self.state.plan.runbook.batches():
            to_do = [step.id for step in batch if not self._status(step).final]
            if to_do and await rest(self.state, to_do) and self.state.halting.is_set():
                return await self._aborted()
            self._reached += [self._status(step) for step in batch]
            for step in batch:
                if step.beside:
                    self._beside[step.id] = asyncio.ensure_future(self.steps.settle(self._status(step)))
            await self._together([s for s in batch if not s.beside])
            await self._look_beside(wait=False)
            stopped = await self._stopped_for_good()
            if self.state.abort_reason is not None and not self._all_final():
                return await self._aborted(stopped)
            if stopped is not None:
                return await self._stop_at(stopped)
        await self._look_beside(wait=True)
        stopped = await self._stopped_for_good()
        if self.state.abort_reason is None and stopped is not None:
            return await self._stop_at(stopped)
        if not self._all_final():
            return await self._aborted(stopped)
        tolerated = [s.step.id for s in self._statuses() if s.state in (StepState.FAILED, StepState.UNKNOWN)]
        reason = f"done, in spite of {', '.join(tolerated)}" if tolerated else "done"
        return Ending(ExecutionState.SUCCEEDED, reason)

    async def _together(self, steps: list[Step]) -> None:
        """All of one batch; the first that must end the execution is raised once all have ended."""
        if len(steps) == 1:
            await self.steps.settle(self._status(steps[0]))
            return
        tasks = [asyncio.ensure_future(self.steps.settle(self._status(step))) for step in steps]
        self._group = tasks
        await _raise_from(tasks)

    async def _look_beside(self, *, wait: bool) -> None:
        """Raises what ends the execution. Steps that failed stop it at this point too."""
        tasks = list(self._beside.values())
        await _raise_from(tasks if wait else [task for task in tasks if task.done()])

    def _stopped_by(self) -> StepStatus | None:
        """Among the steps that were reached: a resumed execution comes to the others with their past."""
        return next((s for s in self._reached if s.stops), None)

    async def _stopped_for_good(self) -> StepStatus | None:
        """As `_stopped_by`, after people were asked for as long as the runbook lets them think."""
        while (stopped := self._stopped_by()) is not None:
            reply = await ask_how(self.state, stopped)
            if reply is None:
                break
            if reply.word is Word.SKIP:
                self.steps.pass_over(stopped, reply.by[0], reply.reason)
            else:
                await self.steps.again(stopped, f"{reply.by[0]} wants it again: {reply.reason}")
        return stopped

    async def _stop_at(self, status: StepStatus) -> Ending:
        reason = f"step {status.step.id} {status.state.value}: {status.detail}"
        # What is to happen at a point of no return is said for the time after it.
        not_begun = status.step.point_of_no_return and not self.state.past_no_return
        lost = status.output.get(LOST) is True
        if status.step.on_failure is OnFailure.HAND_OVER and lost and not not_begun:
            return await self._hand_over(reason, status)
        if status.step.on_failure in (OnFailure.UNDO, OnFailure.HAND_OVER) or not_begun:
            return await self._back(reason, status)
        return await self._halt(reason, status)

    async def _aborted(self, stopped: StepStatus | None = None) -> Ending:
        """What did not succeed meanwhile is told with it: a person has said what is to become of the rest."""
        told = "" if stopped is None else f"; step {stopped.step.id} {stopped.state.value}: {stopped.detail}"
        return await self._back(f"aborted: {self.state.abort_reason}{told}", stopped)

    # --- back, or to a stop

    async def _back(self, reason: str, status: StepStatus | None) -> Ending:
        """Undone if that is still allowed, else a stop."""
        self.state.halting.set()
        await self._look_beside(wait=True)
        runaway = [s.step.id for s in self._statuses() if s.runaway]
        if self.state.past_no_return or runaway:
            why = f"step {runaway[0]} did not let go" if runaway else "past the point of no return"
            return await self._halt(f"{reason}; nothing is taken back: {why}", status)
        return self._undone(reason, status, await undo_all(self.state))

    def _undone(self, reason: str, status: StepStatus | None, undone: Undone) -> Ending:
        step = status.step.id if status else None
        if not undone.complete:
            left = ", ".join((*undone.failed, *undone.unknown))
            state = ExecutionState.UNKNOWN if undone.unknown else ExecutionState.FAILED
            return Ending(state, f"{reason}; NOT taken back: {left}", step, asks=True)
        standing = f"; left as they are: {', '.join(undone.standing)}" if undone.standing else ""
        return Ending(ExecutionState.UNDONE, f"{reason}{standing}", step)

    async def _hand_over(self, reason: str, status: StepStatus) -> Ending:
        """Nothing is taken back: there is nobody any more to whom it could be given back."""
        self.state.halting.set()
        await self._look_beside(wait=True)
        return Ending(ExecutionState.HANDED_OVER, reason, status.step.id)

    async def _halt(self, reason: str, status: StepStatus | None) -> Ending:
        """Steps beside end first: a fence goes on even if the promotion failed."""
        if not self.state.past_no_return or self.state.abort_reason is not None:
            self.state.halting.set()
        await self._look_beside(wait=True)
        unknown = any(s.effect_unknown for s in self._statuses())
        return Ending(
            ExecutionState.UNKNOWN if unknown else ExecutionState.FAILED,
            reason,
            status.step.id if status else None,
            asks=status is not None and status.step.on_failure is OnFailure.ASK,
        )

    # --- without leadership, without a journal

    async def _lost(self, error: LeadershipLostError) -> ExecutionResult:
        """Not even undo: the one that leads now may have gone on already (P7)."""
        self.state.halting.set()
        await self._cancel_all()
        return self.unclosed(f"stopped: {error.what}")

    async def _without_journal(self, error: JournalError) -> ExecutionResult:
        """What was tentative is taken back; nothing else is allowed (S4). Past the point of no return, or
        with everything done, it is left open, for whoever has a journal that can be written."""
        self.state.halting.set()
        self.state.log.lenient = True
        await asyncio.gather(*self._beside.values(), return_exceptions=True)
        if self._all_final():
            ending = Ending(ExecutionState.SUCCEEDED, f"done, but its end is not recorded: {error.what}")
            return self._result(ending, closed=False)
        if self.state.past_no_return or any(s.runaway for s in self._statuses()):
            return self.unclosed(f"stopped: {error.what}")
        ending = self._undone(f"the journal failed: {error.what}", None, await undo_all(self.state))
        return await self._close(ending)

    # --- the end

    async def _close(self, ending: Ending) -> ExecutionResult:
        closed = await self.state.log.closed(ending.state, ending.reason, step=ending.step, asks=ending.asks)
        return self._result(ending, closed=closed)

    def _result(self, ending: Ending, *, closed: bool) -> ExecutionResult:
        self.state.tell(None, ending.state, ending.reason)
        return ExecutionResult(
            id=self.state.log.execution,
            state=ending.state,
            reason=ending.reason,
            outputs=dict(self.state.context.vars[STEPS]),
            step=ending.step,
            asks=ending.asks,
            closed=closed,
        )

    async def _cancel_all(self) -> None:
        """What is still at work; a task that ends by this has let go of what it did."""
        tasks = [*self._beside.values(), *self._group]
        for task in tasks:
            task.cancel()  # of one that has ended too: its error is then not reported as never read
        if tasks:
            await asyncio.wait(tasks, timeout=_CANCELLED_S)
        await self.state.log.drain(_CANCELLED_S)

    def _status(self, step: Step) -> StepStatus:
        return self.state.steps[step.id]

    def _statuses(self) -> Iterable[StepStatus]:
        return self.state.steps.values()

    def _all_final(self) -> bool:
        return all(s.final for s in self._statuses())


async def _raise_from(tasks: list[asyncio.Task[None]]) -> None:
    """Waits for all. Lost leadership weighs more than a failing journal: after it nothing is done at all."""
    if not tasks:
        return
    pending = set(tasks)
    while pending:
        done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_EXCEPTION)
        if any(not isinstance(_error_of(task), JournalError | None) for task in done):
            break  # with a failing journal the others still end what they have begun
    errors = [error for task in tasks if task.done() and (error := _error_of(task)) is not None]
    errors.sort(key=lambda error: isinstance(error, JournalError))
    if errors:
        raise errors[0]


def _error_of(task: asyncio.Task[None]) -> BaseException | None:
    return asyncio.CancelledError() if task.cancelled() else task.exception()
