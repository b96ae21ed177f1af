"""What people may do to an execution while it runs. Each wish is journaled, with who, before it counts."""

from __future__ import annotations

from model import events as ev
from model.errors import HeldError, UsageError
from model.execution import StepState
from model.people import Agreement, QuestionKind, Word
from runbooks.resting import rests_at
from runbooks.run import Run
from runbooks.run_state import StepStatus


class Steering:
    """Of one execution that runs in this process. Every method raises UsageError and HeldError for what can't
    be, JournalError and LeadershipLostError where it can't be written down."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._state = run.state

    @property
    def stands_still(self) -> bool:
        """Nothing is at work: it is paused, or waits for people."""
        at_work = [
            s for s in self._state.steps.values() if s.open and s.step.id not in self._state.questions.open
        ]
        return not at_work and (self._state.resting or bool(self._state.questions.open))

    async def abort(self, reason: str, person: str) -> None:
        """Stop at the next safe point: undone before the point of no return, else stopped where it is."""
        await self._state.log.by_person(ev.ABORT_REQUESTED, {"reason": reason}, person)
        self._run.abort(reason)

    async def pause(self, reason: str, person: str) -> str:
        """Rest at the next place where it may; says where that is."""
        if self._state.halting.is_set():
            raise HeldError("it is being stopped already", gate="execution")
        if self._state.pause_reason is not None:
            raise UsageError(
                f"a pause is asked for already: {self._state.pause_reason}",
                hint=f"`bcm-failover execution resume {self._state.log.execution}` ends it",
            )
        await self._state.log.by_person(ev.PAUSE_REQUESTED, {"reason": reason}, person)
        self._state.pause(reason)
        return rests_at(self._state.plan.runbook)

    async def go_on(self, reason: str, person: str) -> None:
        """End a pause."""
        if self._state.pause_reason is None:
            raise UsageError(f"{self._state.log.execution} is not paused")
        await self._state.log.by_person(ev.EXECUTION_CONTINUED, {"reason": reason}, person)
        self._state.go()

    async def answer(
        self, step: str, word: Word, reason: str, person: str, *, kind: QuestionKind | None = None
    ) -> Agreement:
        """Say a word to what a step asks. kind: what whoever says it believes to be asked."""
        self._step(step)
        if kind is not None and not self._asks(step, kind):
            opened = self._state.questions.open.get(step)
            asked = f"it asks for {opened.question.kind.value}" if opened else "it asks nobody now"
            raise UsageError(f"step {step!r} asks for no {kind.value}: {asked}")
        return await self._state.questions.answer(step, word, reason, person)

    async def retry(self, step: str, reason: str, person: str) -> None:
        """Try a step again that did not succeed and asks how to go on."""
        status = self._step(step)
        if not self._asks(step, QuestionKind.DECISION):
            raise UsageError(
                f"step {step!r} is {status.state.value}: only a step that did not succeed and asks can be "
                "tried again",
                hint="`answer_within` of a step with `on_failure: ask` lets it wait for that",
            )
        await self.answer(step, Word.RETRY, reason, person)

    async def skip(self, step: str, reason: str, person: str) -> None:
        """Pass over a step that has not begun, that waits for somebody's hand, or that failed and asks."""
        status = self._step(step)
        problem = why_not_skipped(self._run, status)
        if problem is not None:
            raise HeldError(f"step {step!r} can't be skipped: {problem}", gate="safety")
        if step in self._state.questions.open:
            if self._asks(step, QuestionKind.MANUAL):
                status.skip = (person, reason)
            await self.answer(step, Word.SKIP, reason, person)
            return
        if status.state is not StepState.PENDING or status.acted or status.open or status.attempts:
            raise UsageError(
                f"step {step!r} has begun: it is {status.state.value}", hint="abort the execution"
            )
        await self._state.log.by_person(ev.STEP_SKIP_REQUESTED, {"step": step, "reason": reason}, person)
        status.skip = (person, reason)

    def _asks(self, step: str, kind: QuestionKind) -> bool:
        opened = self._state.questions.open.get(step)
        return opened is not None and opened.question.kind is kind

    def _step(self, step: str) -> StepStatus:
        status = self._state.steps.get(step)
        if status is None:
            raise UsageError(f"there is no step {step!r}", hint=f"steps: {', '.join(self._state.steps)}")
        return status


def why_not_skipped(run: Run, status: StepStatus) -> str | None:
    """What rests on it. A promotion relies on everything before it: the proof, the fence, the last look
    (S2, S3); an approval that may be skipped is none (S7)."""
    if status.kind.asks and status.step.action == "approval":
        return "an approval is given or it is not"
    if status.kind.fences:
        return "it fences"
    if status.kind.per_process:
        return f"{status.step.action} holds what the other steps need"
    steps = list(run.state.steps.values())
    promotions = [index for index, other in enumerate(steps) if other.kind.promotes]
    if promotions and steps.index(status) <= promotions[-1]:
        return f"the promotion (step {steps[promotions[-1]].step.id}) rests on it"
    return None
