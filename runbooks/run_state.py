"""What is known of an execution while it runs in this process."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import structlog

from model.errors import LeadershipLostError
from model.execution import ExecutionState, StepResult, StepState
from model.people import Question, Reply
from runbooks.acting import Movement
from runbooks.actions.base import Action, StepContext
from runbooks.logbook import Logbook
from runbooks.marks import Marks
from runbooks.names import STEPS
from runbooks.planner import Plan
from runbooks.progress import OnProgress, Progress
from runbooks.questions import Questions
from runbooks.schema import OnFailure, Step

ENDED_WELL: Final = frozenset({StepState.SUCCEEDED, StepState.SKIPPED})
_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class StepStatus:
    """One step. attempts: number of the last one. acted: an intent is on disk, so it may have changed
    something. open: of those the last has no recorded result. inputs: the options of the last attempt.
    failures: attempts that did not succeed. runaway: it did not let go when it was told to. skip: who wants
    it to be passed over, and why. doubtful: nobody knows what became of an attempt before the last one."""

    step: Step
    kind: type[Action]
    state: StepState = StepState.PENDING
    attempts: int = 0
    failures: int = 0
    acted: bool = False
    open: bool = False
    inputs: Mapping[str, Any] = field(default_factory=dict)
    output: Mapping[str, Any] = field(default_factory=dict)
    detail: str = ""
    undone: StepState | None = None
    runaway: bool = False
    skip: tuple[str, str] | None = None
    doubtful: bool = False

    @property
    def changing(self) -> bool:
        return self.kind.changes(self.step.with_)

    @property
    def repeatable(self) -> bool:
        """It may be run again where its effect is not seen."""
        return self.kind.repeatable(self.step.with_)

    @property
    def stops(self) -> bool:
        """It did not succeed, and the runbook does not go on in spite of that."""
        failed = self.state in (StepState.FAILED, StepState.UNKNOWN)
        return failed and self.step.on_failure is not OnFailure.CONTINUE

    @property
    def final(self) -> bool:
        """Nothing is left to do for it."""
        tolerated = (
            self.state in (StepState.FAILED, StepState.UNKNOWN)
            and self.step.on_failure is OnFailure.CONTINUE
            and not self.open
        )
        return self.state in ENDED_WELL or tolerated

    @property
    def effect_unknown(self) -> bool:
        """It may have changed something, nobody knows, and the runbook does not put up with that."""
        unknown = self.open or self.state is StepState.UNKNOWN
        return unknown and self.changing and self.step.on_failure is not OnFailure.CONTINUE

    def take(self, result: StepResult) -> None:
        self.state, self.detail, self.output = result.outcome, result.detail, result.output
        self.open = False
        if result.outcome not in ENDED_WELL:
            self.failures += 1


@dataclass(slots=True)
class RunState:
    """Shared by everything that takes part in one run.

    past_no_return: the intent of a point of no return is on disk. halting: no attempt may begin any more.
    pause_reason: why it is to rest at the next place where it may; resting: it does; going: it may go on.
    """

    plan: Plan
    context: StepContext
    log: Logbook
    marks: Marks
    steps: dict[str, StepStatus]
    on_progress: OnProgress
    questions: Questions
    halting: asyncio.Event
    past_no_return: bool = False
    abort_reason: str | None = None
    pause_reason: str | None = None
    resting: bool = False
    going: asyncio.Event = field(default_factory=asyncio.Event)

    def pause(self, reason: str) -> None:
        self.pause_reason = reason
        self.going.clear()

    def go(self) -> None:
        self.pause_reason = None
        self.going.set()

    def require_lease(self) -> None:
        """Raises LeadershipLostError: checked before every step and between its intent and its act (S4)."""
        if not self.context.ports.lease.held():
            raise LeadershipLostError(
                "another controller leads now",
                where=self.log.execution,
                hint="nothing to do here: the one that leads goes on with the execution",
            )

    def context_for(self, status: StepStatus, movement: Movement | None = None) -> StepContext:
        """Shares everything with the execution's context, but speaks and asks in the step's name."""

        async def ask(question: Question, deadline_s: float) -> Reply:
            return await self.questions.ask(status.step.id, status.attempts, question, deadline_s)

        return replace(
            self.context,
            step=status.step.id,
            progress=lambda text: self.tell(status.step.id, StepState.RUNNING, text, attempt=status.attempts),
            moved=movement.moved if movement is not None else self.context.moved,
            ask=ask,
        )

    def keep_output(self, status: StepStatus) -> None:
        """Later steps find it under `steps.<id>`."""
        self.context.vars[STEPS][status.step.id] = dict(status.output)

    def now_ns(self) -> int:
        return int(self.context.ports.clock.monotonic_s() * 1e9)

    def tell(
        self,
        step: str | None,
        state: StepState | ExecutionState,
        detail: str = "",
        *,
        attempt: int = 1,
        undoing: bool = False,
    ) -> None:
        """A listener that fails changes nothing for the execution."""
        progress = Progress(
            execution=self.log.execution,
            service=self.log.service,
            incident=self.log.incident,
            step=step,
            state=state,
            detail=detail,
            at_ns=self.now_ns(),
            attempt=attempt,
            undoing=undoing,
        )
        try:
            self.on_progress(progress)
        except Exception as error:  # noqa: BLE001 - see above
            _log.warning("progress listener failed", error=f"{type(error).__name__}: {error}")
