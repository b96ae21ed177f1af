"""The stage of the runbooks' tests: a world and a store that outlive the processes which act on them."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any, cast

from config.positions import load_yaml
from config.schema import Estate
from model.execution import ExecutionResult
from model.people import Consent, OneOther
from runbooks.actions.base import ActionPorts
from runbooks.engine import Engine
from runbooks.planner import Plan, make_plan
from runbooks.progress import Progress
from runbooks.recorded import recorded_from_events
from runbooks.schema import Runbook
from tests.memory_journal import MemoryJournal, MemoryStore
from tests.runbooks.runbook_world import Process, World

HEAD = """
apiVersion: 1
name: test
engine: generic
kind: other
"""


class RealClock:
    def monotonic_s(self) -> float:
        return time.monotonic()

    def wall_s(self) -> float:
        return time.time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def runbook_of(steps: str, head: str = HEAD) -> Runbook:
    """A runbook from the text of its `steps` (and, if given, its head)."""
    document = load_yaml(f"{head}steps:\n{steps}")
    assert not document.findings, document.findings
    return Runbook.from_document(document)


@dataclass
class Stage:
    """World and store that outlive the processes of a test."""

    estate: Estate
    world: World = field(default_factory=World)
    store: MemoryStore = field(default_factory=MemoryStore)
    progress: list[Progress] = field(default_factory=list)
    clock: RealClock = field(default_factory=RealClock)

    def process(self, *, boot_id: str = "boot-1", consent: Consent | None = None) -> Life:
        """A new process takes over."""
        journal = self.store.open(boot_id=boot_id)
        process = Process(journal.epoch, self.world, journal)
        none = cast("Any", None)
        ports = ActionPorts(
            clock=self.clock,
            journal=journal,
            lease=journal,
            sql=cast("Any", process),
            secrets=none,
            node=none,
            consent=consent or OneOther(),
        )
        return Life(self, journal, ports, Engine(ports, self.estate, on_progress=self.progress.append))


@dataclass
class Life:
    """One process."""

    stage: Stage
    journal: MemoryJournal
    ports: ActionPorts
    engine: Engine

    def plan(self, runbook: Runbook, **variables: Any) -> Plan:
        return make_plan(runbook, estate=self.stage.estate, service="orders", vars=variables)

    async def run(self, runbook: Runbook, **variables: Any) -> ExecutionResult:
        return await self.engine.run(
            self.plan(runbook, **variables), incident="INC-1", actor="li", trigger="manual"
        )

    async def resume(self) -> ExecutionResult:
        execution = next(e.execution for e in self.stage.store.events if e.type == "execution.opened")
        assert execution is not None
        return await self.engine.resume(recorded_from_events(self.stage.store.events, execution))


LOCK = "  - {id: lock, action: test.lock, timeout: 1s}\n"


def set_step(id_: str, more: str = "", cell: str | None = None, value: str = "1") -> str:
    with_ = f"cell: {cell or id_}, value: {value}"
    return (
        f"  - {{id: {id_}, action: test.set, timeout: 1s, with: {{{with_}}}{', ' + more if more else ''}}}\n"
    )


def behave(id_: str, how: str, more: str = "", timeout: str = "1s", action: str = "test.behave") -> str:
    extra = ", " + more if more else ""
    return (
        f"  - {{id: {id_}, action: {action}, timeout: {timeout}, with: {{how: {how}, gate: {id_}}}{extra}}}\n"
    )


async def until(condition: object, deadline_s: float = 5.0) -> None:
    """Waits for a condition of the test."""
    async with asyncio.timeout(deadline_s):
        while not condition():  # type: ignore[operator]
            await asyncio.sleep(0.001)
