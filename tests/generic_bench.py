"""Runs runbooks of generic actions through the real engine, with the product's own ports, on this machine.

A process can be killed between the effect of a step and its record, or between its intent and its effect; the
next process resumes what it left.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, cast

import yaml

from config.schema import Estate
from controller.adapters.clock import SystemClock
from controller.adapters.http import HttpConnections
from controller.adapters.local import LocalAccess
from controller.adapters.nodes import NodeAccesses
from controller.adapters.output_files import OutputDirectory
from controller.adapters.secrets import SecretStore
from controller.adapters.sql import SqlSessions
from model import events as ev
from model.execution import ExecutionResult, ExecutionState, Mode, StepState
from model.ports import NodeAccess
from runbooks.actions.base import ActionPorts
from runbooks.engine import Engine
from runbooks.plan_view import PlanView
from runbooks.planner import make_plan
from runbooks.recorded import recorded_from_events
from runbooks.schema import Runbook
from tests.memory_journal import MemoryJournal, MemoryStore, ProcessDiedError
from tests.runbooks.runbook_stage import runbook_of

SERVICE: Final = "shop"
Variables = Mapping[str, Any]


def bench_estate(**changes: Any) -> Estate:
    """A generic service on the node `here`; `changes` replace sections of the estate."""
    document: dict[str, Any] = {
        "configVersion": 1,
        "sites": {"one": {"role": "primary"}},
        "nodes": {"here": {"site": "one", "address": "127.0.0.1", "access": "local"}},
        "services": {SERVICE: {"engine": "generic", "members": {"web1": {"node": "here"}}}},
        **changes,
    }
    return Estate.model_validate(document)


class GenericBench:
    """`ports` may be changed before a run: `bench.ports = replace(bench.ports, …)`."""

    def __init__(self, root: Path, estate: Estate | None = None, service: str = SERVICE) -> None:
        self.estate = estate or bench_estate()
        self.service = service
        self.root = root
        self.store = MemoryStore(seed=str(root))
        self.clock = SystemClock()
        secrets = SecretStore()
        self.nodes = NodeAccesses(self.estate, secrets)
        self.journal = self.store.open()
        self.here = LocalAccess("", where="this host")
        self.ports = ActionPorts(
            clock=self.clock,
            journal=self.journal,
            lease=self.journal,
            sql=SqlSessions(self.estate, secrets),
            secrets=secrets,
            node=self.nodes.access,
            here=self.here,
            http=HttpConnections(self.clock),
            outputs=OutputDirectory(root / "outputs"),
        )
        self.runbook: Runbook | None = None

    def replace_node(self, name: str, access: NodeAccess) -> None:
        before = self.ports.node
        self.ports = replace(self.ports, node=lambda wanted: access if wanted == name else before(wanted))

    # --- one process

    async def run(self, steps: object, **variables: Any) -> ExecutionResult:
        """steps: a list of mappings, as they stand in a runbook. Every given variable is declared."""
        plan = make_plan(
            self.made(steps, variables),
            estate=self.estate,
            service=self.service,
            vars=variables,
            mode=Mode.REAL,
        )
        return await self._engine().run(plan, incident=None, actor="li", trigger="manual")

    async def plan(self, steps: object, **variables: Any) -> PlanView:
        runbook = self.made(steps, variables)
        plan = make_plan(runbook, estate=self.estate, service=self.service, vars=variables)
        return await plan.describe(self.ports)

    def made(self, steps: object, variables: Variables) -> Runbook:
        types = {str: "string", bool: "boolean", int: "integer", list: "list", dict: "mapping"}
        declared = {name: {"type": types[type(value)]} for name, value in variables.items()}
        text = yaml.safe_dump(steps, sort_keys=False, allow_unicode=True)
        head = yaml.safe_dump(
            {"apiVersion": 1, "name": "test", "engine": "generic", "kind": "other", "vars": declared}
        )
        self.runbook = runbook_of(text, head)
        return self.runbook

    # --- death and afterlife

    async def dies_before_the_result(self, steps: object, **variables: Any) -> None:
        """The step's effect is there, and its record is not."""
        await self._dies(ev.STEP_RESULT, "before", steps, variables)

    async def dies_after_the_intent(self, steps: object, **variables: Any) -> None:
        """Nothing was done yet."""
        await self._dies(ev.STEP_INTENT, "after", steps, variables)

    async def _dies(self, type_: str, when: str, steps: object, variables: Variables) -> None:
        def hook(_number: int, written: str) -> None:
            if written == type_:
                self.journal.die()

        setattr(self.journal, when, hook)
        with suppress(ProcessDiedError):
            await self.run(steps, **variables)
        assert self.journal.dead, "the process did not come to the place where it was to die"

    def next_process(self, change: Callable[[ActionPorts], ActionPorts] = lambda ports: ports) -> None:
        self.journal: MemoryJournal = self.store.open()
        self.ports = change(replace(self.ports, journal=self.journal, lease=self.journal))

    async def resume(self) -> ExecutionResult:
        self.next_process()
        execution = cast("str", self.store.of(ev.EXECUTION_OPENED)[-1].execution)
        return await self._engine().resume(recorded_from_events(self.store.events, execution))

    # --- what is in the journal

    def intents(self, step: str) -> int:
        return sum(1 for e in self.store.of(ev.STEP_INTENT) if e.data["step"] == step)

    def last_result(self, step: str) -> Mapping[str, Any]:
        return [e.data for e in self.store.of(ev.STEP_RESULT) if e.data["step"] == step][-1]

    def outcome(self, step: str) -> StepState:
        return StepState(self.last_result(step)["outcome"])

    def text(self) -> str:
        """Everything that was journaled."""
        return "\n".join(str(dict(event.data)) for event in self.store.events)

    async def close(self) -> None:
        await self.nodes.aclose()
        await self.here.aclose()

    def _engine(self) -> Engine:
        return Engine(self.ports, self.estate)


def step(action: str, /, id_: str = "act", timeout: str = "10s", **more: Any) -> dict[str, Any]:
    """`with` as `with_`; other keys as they are."""
    options = more.pop("with_", {})
    return {"id": id_, "action": action, "timeout": timeout, "with": options, **more}


def at_once(action: str, /, **options: Any) -> list[dict[str, Any]]:
    """One step, that is a point of no return: what an execution leaves open is gone on with."""
    return [step(action, with_=options, point_of_no_return=True)]


def succeeded(result: ExecutionResult) -> Mapping[str, Mapping[str, Any]]:
    assert result.state is ExecutionState.SUCCEEDED, result.reason
    return result.outputs
