"""What benches of every engine share: the steps of one execution on real servers, run one by one, through the
engine, or in a process that dies."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from config.schema import Estate
from controller.adapters.clock import SystemClock
from controller.adapters.nodes import NodeAccesses
from controller.adapters.secrets import SecretStore
from controller.store.sqlite import SqliteStore
from model import events as ev
from model.execution import ExecutionResult, ExecutionState, Reconciled, StepResult, StepState
from runbooks.actions.base import Action, ActionPorts, StepContext
from runbooks.engine import Engine
from runbooks.library import load_runbook
from runbooks.planner import make_plan
from runbooks.recorded import recorded_from_events
from tests.action_bench import OwnLease
from tests.memory_journal import MemoryJournal, MemoryStore, ProcessDiedError

Arrange = Callable[[MemoryJournal], None]


def die_at(number: int, *, written: bool) -> Arrange:
    """Before or after a record is written."""

    def arrange(journal: MemoryJournal) -> None:
        def hook(present: int, _type: str) -> None:
            if present == number:
                journal.die()

        setattr(journal, "after" if written else "before", hook)

    return arrange


class StepBench:
    """One execution. `run("id", action)` keeps the output under `steps.id`. ports: those of the engine."""

    def __init__(
        self,
        root: Path,
        estate: dict[str, Any],
        service: str,
        variables: dict[str, Any],
        *,
        actor: str = "daemon",
        epoch: int = 1,
    ) -> None:
        self.root = root
        self.estate = Estate.model_validate(estate)
        self.service = self.estate.service(service)
        self.secrets = SecretStore()
        self.nodes = NodeAccesses(self.estate, self.secrets)
        self.lease = OwnLease(epoch)
        self.vars = {"service": service, **variables}
        ports = ActionPorts(
            clock=SystemClock(),
            journal=None,  # type: ignore[arg-type]
            lease=self.lease,
            sql=None,  # type: ignore[arg-type]
            secrets=self.secrets,
            node=self.nodes.access,
        )
        self.ctx = StepContext(
            estate=self.estate,
            service=self.service,
            ports=ports,
            execution="EXE-1",
            incident=None,
            actor=actor,
            vars={**self.vars, "steps": {}},
            stack=AsyncExitStack(),
        )
        self.store: SqliteStore | None = None

    def bind(self, **ports: Any) -> None:
        """Ports of the engine's own."""
        self.ctx.ports = replace(self.ctx.ports, **ports)

    async def run(self, step: str, action: Action, timeout_s: float = 5.0) -> StepResult:
        self.ctx.step = step
        result = await action.run(self.ctx, time.monotonic() + timeout_s)
        self.ctx.vars["steps"][step] = dict(result.output)
        return result

    async def ok(self, step: str, action: Action, timeout_s: float = 5.0) -> StepResult:
        result = await self.run(step, action, timeout_s)
        assert result.outcome is StepState.SUCCEEDED, f"{step}: {result}"
        return result

    async def check(self, action: Action, timeout_s: float = 2.0) -> Reconciled:
        return await action.check(self.ctx, time.monotonic() + timeout_s)

    async def undo(self, action: Action, timeout_s: float = 2.0) -> StepResult:
        return await action.undo(self.ctx, time.monotonic() + timeout_s)

    async def runbook(self, name: str, **variables: Any) -> ExecutionResult:
        """Through the engine, with a journal on disk."""
        if self.store is None:
            self.store = SqliteStore.open(self.root / "state", owner="test", clock=SystemClock())
        ports = replace(self.ctx.ports, journal=self.store, lease=self.store)
        runbook = load_runbook(name)
        given = {n: v for n, v in {**self.vars, **variables}.items() if n in runbook.vars}
        plan = make_plan(runbook, estate=self.estate, service=self.service, vars=given)
        engine = Engine(ports, self.estate)
        return await engine.run(plan, incident=None, actor=self.ctx.actor, trigger="automatic")

    async def resumed(
        self, name: str, arrange: Arrange, **variables: Any
    ) -> tuple[ExecutionResult, MemoryStore] | None:
        """Runs it in a process that dies as arranged, and resumes it in the next; None: it did not die."""
        store, runbook = MemoryStore(), load_runbook(name)
        given = {n: v for n, v in {**self.vars, **variables}.items() if n in runbook.vars}
        plan = make_plan(runbook, estate=self.estate, service=self.service, vars=given)
        dying = store.open()
        arrange(dying)
        ports = replace(self.ctx.ports, journal=dying, lease=dying)
        engine = Engine(ports, self.estate)
        try:
            await engine.run(plan, incident=None, actor="daemon", trigger="automatic")
        except ProcessDiedError:
            opened = store.of(ev.EXECUTION_OPENED)
            if not opened:
                return ExecutionResult("", ExecutionState.UNDONE, "never opened"), store
        else:
            return None
        following = store.open()
        ports = replace(self.ctx.ports, journal=following, lease=following)
        recorded = recorded_from_events(store.events, opened[0].execution or "")
        if store.of(ev.EXECUTION_CLOSED):
            return ExecutionResult("", ExecutionState(store.events[-1].data["state"]), "closed"), store
        return await Engine(ports, self.estate).resume(recorded), store

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.ctx.stack.aclose()
        await self.nodes.aclose()
        if self.store is not None:
            self.store.close()
