"""Runs plans: opens an execution in the journal, drives it to its end, resumes it, aborts it.

One process runs at most one execution for a service (S1). The engine touches the world through the actions
only, and never acts before the journal says that it is about to.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Final

import structlog
from pydantic import ValidationError

from config.schema import Estate
from model import events as ev
from model.errors import HeldError, RunbookError, UsageError
from model.execution import ExecutionResult, ExecutionState, Mode
from runbooks.actions.base import ActionPorts, StepContext
from runbooks.logbook import Logbook
from runbooks.marks import Marks
from runbooks.names import STEPS
from runbooks.planner import Plan
from runbooks.progress import OnProgress, Progress
from runbooks.questions import Questions
from runbooks.reconcile import Found, look
from runbooks.recorded import RecordedExecution
from runbooks.resume import go_on, statuses
from runbooks.run import Run
from runbooks.run_state import RunState
from runbooks.schema import Runbook, Step
from runbooks.steering import Steering

_CLOSE_S: Final = 5.0  # sessions are closed by shutting their sockets: that takes no time
_log = structlog.get_logger(__name__)

__all__ = ["Engine", "ExecutionResult", "Opened", "Progress"]


@dataclass(frozen=True, slots=True)
class Opened:
    """An execution that is in the journal and has not begun."""

    id: str
    plan: Plan
    incident: str | None
    actor: str


class Engine:
    """`on_progress` is called from the event loop, for people to watch."""

    def __init__(self, ports: ActionPorts, estate: Estate, *, on_progress: OnProgress | None = None) -> None:
        self.estate = estate
        self._ports = ports
        self._on_progress: OnProgress = on_progress or (lambda _progress: None)
        self._runs: dict[str, Run] = {}

    @property
    def running(self) -> Mapping[str, str]:
        """Service → execution that this engine is running for it."""
        return {service: run.state.log.execution for service, run in self._runs.items()}

    async def run(
        self,
        plan: Plan,
        *,
        incident: str | None,
        actor: str,
        trigger: str,
        expected_ms: int | None = None,
    ) -> ExecutionResult:
        """To its end. Raises what `open` raises; after that, what happens is in the result."""
        opened = await self.open(
            plan, incident=incident, actor=actor, trigger=trigger, expected_ms=expected_ms
        )
        return await self.execute(opened)

    async def open(
        self,
        plan: Plan,
        *,
        incident: str | None,
        actor: str,
        trigger: str,
        expected_ms: int | None = None,
        continues: str | None = None,
    ) -> Opened:
        """Journals the execution with the whole runbook; nothing is changed yet. continues: the execution
        that was handed over to it.

        Raises HeldError if one is running for the service, UsageError for a dry run, JournalError and
        LeadershipLostError.
        """
        if plan.mode is Mode.DRY_RUN:
            raise UsageError("a dry run is not executed", hint="`Plan.describe` shows what would be done")
        self._require_free(plan.service.name)
        runbook = plan.runbook
        event = await self._ports.journal.append(
            ev.EXECUTION_OPENED,
            {
                "runbook": runbook.name,
                "kind": runbook.kind.value,
                "digest": runbook.digest,
                "definition": runbook.definition(),
                "plan": plan.digest,
                "mode": plan.mode.value,
                "trigger": trigger,
                "vars": dict(plan.vars),
                "steps": [_planned(step) for step in runbook.steps],
                "expected_ms": expected_ms,
                "rto_ms": round(plan.service.objectives.rto * 1000),
                **({} if continues is None else {"continues": continues}),
            },
            service=plan.service.name,
            incident=incident,
            execution="new",
            actor=actor,
        )
        # The journal makes ids of its own records: an incident that was "new" is named here.
        return Opened(str(event.execution), plan, event.incident, actor)

    async def execute(self, opened: Opened) -> ExecutionResult:
        """Raises HeldError if one is running for the service."""
        run = self._make(opened, None)
        return await self._drive(run, run.drive)

    async def resume(
        self, recorded: RecordedExecution, *, reason: str = "the process that ran it is gone"
    ) -> ExecutionResult:
        """Goes on with an execution that was left open.

        Raises UsageError if it is closed, RunbookError if its service or one of its actions is gone,
        HeldError if one is running for the service.
        """
        if recorded.closed is not None:
            raise UsageError(f"{recorded.id} is closed: it ended {recorded.closed.value}")
        run = self._make(self._reopened(recorded), recorded)
        return await self._drive(run, lambda: go_on(run, recorded, reason))

    def _reopened(self, recorded: RecordedExecution) -> Opened:
        """Raises RunbookError."""
        runbook = _journaled_runbook(recorded)
        if recorded.service not in self.estate.services:
            raise RunbookError(
                f"{recorded.id} is for the service {recorded.service!r}, which the estate does not know",
                hint="load an estate with this service, then resume",
            )
        plan = Plan(
            runbook, self.estate, self.estate.services[recorded.service], recorded.vars, recorded.mode
        )
        return Opened(recorded.id, plan, recorded.incident, recorded.actor)

    async def reconcile(self, recorded: RecordedExecution) -> list[Found]:
        """What the checks of its open steps see now; nothing is changed or journaled.

        Raises UsageError while this engine is running it, RunbookError as `resume`.
        """
        if recorded.id in self.running.values():
            raise UsageError(
                f"{recorded.id} is running: what is open is at work",
                hint=f"`bcm-failover execution show {recorded.id}`",
            )
        run = self._make(self._reopened(recorded), recorded)
        try:
            return await look(run, recorded)
        finally:
            await _close_resources(run.state.context.stack)

    async def request_abort(self, execution: str, *, reason: str, actor: str) -> None:
        """See `Steering.abort`; raises UsageError if this engine is not running it."""
        await self.steer(execution).abort(reason, actor)

    def steer(self, execution: str) -> Steering:
        """What people may do to one that this engine is running. Raises UsageError if it is not."""
        run = next((r for r in self._runs.values() if r.state.log.execution == execution), None)
        if run is None:
            raise UsageError(
                f"{execution} is not running", hint="`bcm-failover execution list` shows what is open"
            )
        return Steering(run)

    def _require_free(self, service: str) -> None:
        if service in self._runs:
            running = self._runs[service].state.log.execution
            raise HeldError(
                f"{running} is running for {service}: one execution at a time (S1)",
                gate="no execution open",
                hint=f"`bcm-failover execution show {running}`; wait for its end, or abort it",
            )

    def _make(self, opened: Opened, recorded: RecordedExecution | None) -> Run:
        plan = opened.plan
        log = Logbook(
            self._ports.journal,
            execution=opened.id,
            service=plan.service.name,
            incident=opened.incident,
            actor=opened.actor,
        )
        steps = statuses(plan.runbook, recorded)
        outputs: dict[str, Any] = {step.id: {} for step in plan.runbook.steps}
        context = StepContext(
            estate=plan.estate,
            service=plan.service,
            ports=self._ports,
            execution=opened.id,
            incident=opened.incident,
            actor=opened.actor,
            vars={**plan.vars, STEPS: outputs},
        )
        halting = asyncio.Event()
        ports = self._ports
        carried = recorded.questions if recorded else {}
        state = RunState(
            plan,
            context,
            log,
            Marks(log, recorded.marks if recorded else ()),
            steps,
            self._on_progress,
            Questions(log, ports.clock, ports.consent, halting, carried),
            halting,
        )
        if recorded is not None and recorded.pause_reason is not None:
            state.pause(recorded.pause_reason)
        state.past_no_return = any(s.acted and s.step.point_of_no_return for s in steps.values())
        return Run(state)

    async def _drive(self, run: Run, drive: Callable[[], Awaitable[ExecutionResult]]) -> ExecutionResult:
        """Sessions and locks of the run are closed with it, however it ends."""
        service = run.state.log.service
        self._require_free(service)
        self._runs[service] = run
        try:
            run.state.tell(None, ExecutionState.RUNNING)
            return await drive()
        finally:
            try:
                await _close_resources(run.state.context.stack)
            finally:
                del self._runs[service]


def _planned(step: Step) -> dict[str, Any]:
    planned: dict[str, Any] = {"id": step.id, "action": step.action}
    return planned if step.budget is None else {**planned, "budget_ms": round(step.budget * 1000)}


async def _close_resources(stack: AsyncExitStack) -> None:
    """What can't be closed is left to the end of the process: the execution has ended either way."""
    task = asyncio.ensure_future(stack.aclose())
    await asyncio.wait({task}, timeout=_CLOSE_S)
    if not task.done():
        task.cancel()
        _log.warning("resources of an execution could not be closed in time", timeout_s=_CLOSE_S)
    elif task.exception() is not None:
        _log.warning("resources of an execution could not be closed", error=repr(task.exception()))


def _journaled_runbook(recorded: RecordedExecution) -> Runbook:
    """What was started is what goes on, whatever became of the file. Raises RunbookError."""
    hint = "`bcm-failover journal verify` checks the journal; go on with the version that wrote it"
    try:
        runbook = Runbook.from_definition(recorded.definition)
    except ValidationError as error:
        raise RunbookError(
            f"the journaled runbook of {recorded.id} is not valid: {error.error_count()} errors", hint=hint
        ) from error
    if runbook.digest != recorded.digest:
        raise RunbookError(
            f"the journaled runbook of {recorded.id} does not have the digest that was journaled with it",
            hint=hint,
        )
    return runbook
