"""One service's executions: launched, taken up again, settled; at most one at a time (S1)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

import structlog

from config.schema import Service
from controller.supervisor.background import Background
from controller.supervisor.executor import MOVES, Executor, Order
from controller.supervisor.ledger import Ledger
from controller.supervisor.mending import Outcome
from controller.supervisor.pages import Told
from controller.supervisor.world import World
from model import events as ev
from model.errors import HeldError, UsageError
from model.execution import ExecutionState
from runbooks.engine import ExecutionResult, Opened
from runbooks.steering import Steering

log = structlog.get_logger(__name__)

# Between two tries to go on with one whose end could not be recorded: doubled from the first to the last.
FIRST_WAIT_S: Final = 1.0
LONGEST_WAIT_S: Final = 60.0


class Runs:
    """ledger: the present one. settled: told what an execution changed, before its verdict is journaled."""

    def __init__(
        self,
        world: World,
        service: Service,
        background: Background,
        *,
        ledger: Callable[[], Ledger],
        settled: Callable[[str, Outcome], Awaitable[None]],
        tell: Callable[[Told], object],
    ) -> None:
        self._world = world
        self._service = service
        self._background = background
        self._ledger = ledger
        self._settled = settled
        self._tell = tell
        self._running: asyncio.Task[None] | None = None
        self._kind: str | None = None
        # Executions whose end this process could not record, and when the next try to go on with it is due.
        self._unrecorded: dict[str, float] = {}
        self._wait_s = FIRST_WAIT_S

    @property
    def executor(self) -> Executor:
        return self._world.executor

    @property
    def running(self) -> asyncio.Task[None] | None:
        """The execution that is under way, until what it changed is journaled."""
        return self._running if self._running is not None and not self._running.done() else None

    @property
    def busy(self) -> bool:
        return self.running is not None

    @property
    def moving(self) -> bool:
        """It is one that changes who is primary, or may be."""
        return self.busy and (self._kind is None or self._kind in MOVES)

    async def launch(self, order: Order) -> str:
        """Open the execution and run it as a task of its own. Returns its id. Raises HeldError."""
        self._require_free()
        opened = await self.executor.open(order)
        self._start(self._execute(opened), opened.plan.runbook.kind.value)
        return opened.id

    def resume_open(self) -> None:
        """What a dead process left open or unsettled (S5), then the canary on the primary."""
        self._start(self._resume_open(), None)

    def resume(self, execution: str, reason: str) -> None:
        """One that is open and that nobody runs. Raises HeldError."""
        self._require_free()
        self._start(self._resume(execution, reason), self._ledger().kinds.get(execution))

    def take_up_again(self, now_s: float) -> None:
        """Go on with what is only open because its end could not be recorded, now and then."""
        for execution, due_s in list(self._unrecorded.items()):
            if execution not in self._ledger().open_executions:
                del self._unrecorded[execution]
            elif now_s >= due_s and not self.busy:
                self.resume(execution, "its end could not be recorded")

    async def give_up(self, execution: str, reason: str, person: str) -> None:
        """Close one that nobody runs and that can't be resumed: what it changed is not known, and said so.
        Raises HeldError."""
        self._require_free()
        await self._world.journal.append(
            ev.EXECUTION_CLOSED,
            {"state": ExecutionState.UNKNOWN.value, "reason": f"given up by {person}: {reason}"},
            service=self._service.name,
            incident=self._ledger().incident_id,
            execution=execution,
            actor=person,
        )
        await self.settle(execution)

    async def abort(self, execution: str, reason: str, actor: str) -> bool:
        """Ask the one that is under way to stop at the next safe point. False: it is ending already."""
        try:
            await self.executor.engine.request_abort(execution, reason=reason, actor=actor)
        except UsageError:
            return False
        return True

    def steer(self, execution: str) -> Steering:
        """What people may do to one that is under way. Raises UsageError where it is not."""
        return self.executor.engine.steer(execution)

    @property
    def stands_still(self) -> bool:
        """The one that is under way waits for people, and nothing of it is at work."""
        execution = self.executor.engine.running.get(self._service.name)
        return execution is not None and self.steer(execution).stands_still

    async def settle(self, execution: str) -> None:
        """Make the journal say what an execution changed; may be repeated."""
        outcome = await self.executor.settle(self._service, execution, self._ledger())
        await self._settled(execution, outcome)
        await self.executor.judge(self._service, execution)

    # --- behind

    def _require_free(self) -> None:
        if self.busy:
            raise HeldError(
                f"an execution is under way for {self._service.name}",
                gate="execution",
                hint="`bcm-failover execution list` shows it; wait for its end, or abort it",
            )

    def _start(self, work: Coroutine[Any, Any, None], kind: str | None) -> None:
        self._kind = kind
        self._running = self._background.spawn(work, f"execution-{self._service.name}")

    async def _execute(self, opened: Opened) -> None:
        await self._ended(await self.executor.execute(opened))

    async def _resume(self, execution: str, reason: str) -> None:
        log.warning("resuming", execution=execution, service=self._service.name)
        await self._ended(await self.executor.resume(execution, reason))

    async def _ended(self, result: ExecutionResult) -> None:
        if result.closed:
            self._unrecorded.pop(result.id, None)
            self._wait_s = FIRST_WAIT_S
            await self.settle(result.id)
            return
        if result.id not in self._unrecorded:
            self._tell(Told("page", f"{result.id} is left open: {result.reason}"))
        self._unrecorded[result.id] = self._world.clock.monotonic_s() + self._wait_s
        self._wait_s = min(2 * self._wait_s, LONGEST_WAIT_S)

    async def _resume_open(self) -> None:
        try:
            for execution in self._ledger().open_executions:
                await self._resume(execution, "the process that ran it is gone")
            last = self.executor.unsettled(self._service)
            if last is not None:
                await self.settle(last)
        except Exception:
            await self._watch_primary()  # a resumption that fails is no reason not to look
            raise
        await self._watch_primary()

    async def _watch_primary(self) -> None:
        await self._world.watch_primary(self._service, self._ledger().primary)
